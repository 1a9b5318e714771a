"""This side of every session: key, name, capabilities and limits. `local_node` makes it of what a user gives."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from devp2p import wire
from devp2p.arguments import require, several
from devp2p.bandwidth import Bucket
from devp2p.capability import NO_CAPS, AnyCapability, Bandwidth, Budget, Capability, Direction, MessageTable
from devp2p.errors import LocalProtocolError
from devp2p.keys import PrivateKey
from devp2p.limits import Limits, check_cap
from devp2p.version import default_client_id
from devp2p.wire import base
from devp2p.wire.dpx import UNSHAPED, Dpx, Shaping, find
from devp2p.wire.rlpx import Combined, Contained, Entropy, Extension, Handshake, SeenAuths

_COVER = 0.2  # the part of the line that cover may take, of all sessions together


@dataclass(frozen=True, eq=False)
class LocalNode:
    """What all sessions of one node have in common."""

    key: PrivateKey
    client_id: str
    capabilities: tuple[AnyCapability, ...]
    limits: Limits = Limits()  # noqa: RUF009  (frozen)
    listen_port: int = 0
    strict: bool = False
    """Let a stray exception of a capability or of the extension propagate, as tests want it."""
    extension: Extension | None = None
    """What a user's may offer and answer in auth and ack; handshakes ask `contained`."""
    dpx: Dpx | None = None
    """What speaks dpx/1 for the node, if it does."""
    reveal_key: bool = False
    """Tell this node's key to whoever asks for it before a handshake."""
    budget: Budget | None = None
    """Bytes that all inboxes may hold together; by default a session has a budget of its own."""
    bandwidth: Bandwidth = NO_CAPS
    """What all sessions may use together."""
    shaping: Shaping = UNSHAPED
    """How what is sent to peers that speak dpx/1 is shaped."""
    padding: Counter[str] = field(default_factory=Counter[str])
    """Bytes of padding that were sent ("out") and came ("in") in all sessions."""
    seen_auths: SeenAuths = field(default_factory=SeenAuths)
    """What refuses an auth that came before."""

    @cached_property
    def tables(self) -> dict[base.CapabilityVersion, tuple[AnyCapability, MessageTable]]:
        """The compiled messages of each capability; LocalProtocolError if two have one name and version, or a table is wrong."""
        tables: dict[base.CapabilityVersion, tuple[AnyCapability, MessageTable]] = {}
        for capability in self.capabilities:
            table = capability.table(self.limits)
            if table.spec.offer in tables:
                raise LocalProtocolError(f"two capabilities are called {table.spec.offer}")
            tables[table.spec.offer] = capability, table
        return tables

    @cached_property
    def cover(self) -> Bucket | None:
        """What all sessions may send together of padding with nothing before it, where the node has a cap."""
        cap = self.limits.max_upload
        return None if cap is None else Bucket(cap * _COVER, cap * _COVER * 60)

    @cached_property
    def hello(self) -> base.Hello:
        """What we say of ourselves."""
        return base.Hello(self.client_id, tuple(sorted(self.tables)), self.key.public_key, listen_port=self.listen_port)

    @cached_property
    def contained(self) -> Extension | None:
        """The extensions as handshakes ask them: their stray exceptions end no session, unless `strict` lets them."""
        found = [one for one in (self.extension, self.dpx) if one is not None]
        if not self.strict:
            found = [Contained(one) for one in found]
        return Combined(*found) if len(found) > 1 else next(iter(found), None)

    @cached_property
    def specs(self) -> tuple[wire.CapabilitySpec, ...]:
        """What the wire must know of the capabilities."""
        return tuple(table.spec for _, table in self.tables.values())

    def check(self) -> None:
        """Find what is not right before the first peer does.

        LocalProtocolError for a table that is wrong, too many capabilities, too long a name, or an extension that gives elements which no
        packet can hold; it is asked in a handshake of this node with itself, which goes no further.
        """
        base.encode_hello(self.hello)
        if self.extension is not None:
            extension = self.extension if self.dpx is None else Combined(self.extension, self.dpx)
            ours = Handshake(self.key, Entropy.draw(os.urandom), remote=self.key.public_key, extension=extension)
            theirs = Handshake(self.key, Entropy.draw(os.urandom), extension=extension)
            agreement = theirs.receive_data(ours.data_to_send())
            theirs.failed()
            ours.failed()
            if self.dpx is not None and agreement is not None and not (find(agreement.elements) and find(agreement.own_elements)):
                raise LocalProtocolError(
                    f"beside what {type(self.extension).__name__} offers or answers a packet has no room for dpx/1: return fewer or shorter"
                    " elements, or give dpx=False"
                )


def local_node(  # noqa: PLR0913  (keyword arguments are the configuration)
    key: PrivateKey,
    capabilities: Iterable[AnyCapability] = (),
    *,
    client_id: str | None = None,
    limits: Limits | None = None,
    listen_port: int = 0,
    strict: bool = False,
    extension: Extension | None = None,
    dpx: bool = True,
    reveal_key: bool = False,
    shaping: Shaping = UNSHAPED,
    max_upload: Mapping[str, float | None] | None = None,
    max_download: Mapping[str, float | None] | None = None,
) -> LocalNode:
    """Make what `call` and `open_session` need to know of this side.

    To ask nodes what they are, a key is enough:

        local = local_node(PrivateKey.generate())
        session = await call(enode, local)
        print(session.hello.client_id, *session.hello.capabilities)
        await session.refuse(DisconnectReason.CLIENT_QUITTING)

    One is enough for any number of calls, also at the same time. The arguments mean what they mean in `open_node`; `listen_port` is what
    Hello names, 0 for none. TypeError for wrong types, else as `LocalNode.check`.
    """
    require(key, PrivateKey, "key is a PrivateKey", "PrivateKey.from_bytes(...) makes one of 32 bytes, PrivateKey.generate() a new one")
    own = several(capabilities, "capabilities")
    for capability in own:
        hint = "write *f() for a function that makes several" if isinstance(capability, tuple | list) else ""
        require(capability, Capability, "each of capabilities is an object of a class derived from Capability", hint)
    if client_id is not None:
        require(client_id, str, "client_id is text")
    limits = Limits() if limits is None else limits
    require(limits, Limits, "limits is a Limits", "Limits(ping_interval=...) changes one of them")
    if extension is not None:
        require(extension, Extension, "extension is an object of a class derived from Extension")
    require(shaping, Shaping, "shaping is a Shaping", "Shaping.cells() makes one, for example")
    require(dpx, bool, "dpx is True, or False for sessions with stock frames only")
    require(reveal_key, bool, "reveal_key is True or False")
    if not dpx:
        _require_without_dpx(shaping, reveal_key=reveal_key)
    local = LocalNode(
        key,
        client_id or default_client_id(),
        own,
        limits,
        listen_port,
        strict,
        extension,
        dpx=Dpx(os.urandom) if dpx else None,
        reveal_key=reveal_key,
        budget=Budget(limits.total_inbox_bytes),
        shaping=shaping,
        bandwidth=_bandwidth_of(own, limits, max_upload, max_download),
    )
    local.check()
    return local


def _bandwidth_of(
    own: tuple[AnyCapability, ...],
    limits: Limits,
    max_upload: Mapping[str, float | None] | None,
    max_download: Mapping[str, float | None] | None,
) -> Bandwidth:
    return Bandwidth(
        Direction(limits.max_upload, _caps_of(own, "max_upload", max_upload)),
        Direction(limits.max_download, _caps_of(own, "max_download", max_download)),
    )


def _caps_of(capabilities: tuple[AnyCapability, ...], what: str, wanted: Mapping[str, float | None] | None) -> dict[str, float]:
    """What capabilities may send or receive, by their names: what is `wanted`, or what their classes say; of several versions the least."""
    wanted = {} if wanted is None else wanted
    require(wanted, Mapping, f"{what} is a dict of capabilities' names and bytes a second, such as {{'chat': 100_000}}")
    capabilities = tuple(one for one in capabilities if hasattr(one, "name"))  # `LocalNode.check` complains of the others
    names = dict.fromkeys(capability.name for capability in capabilities)
    for name, rate in wanted.items():
        if name not in names:
            raise LocalProtocolError(f"{what} names {name!r}, which is none of this node's capabilities: {', '.join(names)}")
        check_cap(rate, f"{what} of {name!r}")
    caps = [(one.name, wanted[one.name] if one.name in wanted else getattr(one, what)) for one in capabilities]
    return {name: min(rate for other, rate in caps if other == name and rate is not None) for name, cap in caps if cap is not None}


def _require_without_dpx(shaping: Shaping, *, reveal_key: bool) -> None:
    """Raise LocalProtocolError for what a node without dpx/1 cannot do."""
    if reveal_key:
        raise LocalProtocolError(
            "reveal_key=True answers a question that dpx/1 asks, and dpx=False does not speak it: give one or the other"
        )
    if shaping.mode:
        raise LocalProtocolError("shaping is for sessions of dpx/1, and dpx=False leaves them out: give one or the other")
