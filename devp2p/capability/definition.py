"""What a plugin author writes and sees: `Capability`, and the `Peer` it runs with.

A capability is a table of messages and one function per session. State that belongs to one peer lives in the local variables of
``run``; state that all peers share lives in the capability object, of which a node has one.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, ClassVar, Generic, TypeAlias, cast

import trio
from typing_extensions import TypeVar

from devp2p.addresses import Address
from devp2p.arguments import named, number, require, whole
from devp2p.capability.channel import Channel, M
from devp2p.capability.messages import MessageTable, check_messages
from devp2p.capability.moving import Mover, Successor
from devp2p.capability.traffic import Backlog, Traffic
from devp2p.conduct import Conduct, RecentConduct, default_metric
from devp2p.errors import DisconnectReason, LocalProtocolError, PeerDisconnected
from devp2p.keys import NodeId, PrivateKey, PublicKey
from devp2p.limits import MAX_MESSAGE_SIZE, Limits, check_cap
from devp2p.records import Entries, NodeRecord
from devp2p.transports import LinkFacts, Transport
from devp2p.trust import Profile, Trust
from devp2p.wire import CapabilitySpec, CapabilityVersion, Hello, printable

H = TypeVar("H", default=Channel[M])
Handle = TypeVar("Handle")


class Capability(ABC, Generic[M, H]):
    """A sub-protocol: subclass it, name its messages, write ``run``.

    ``Capability[ChatMessage]`` names the union of its messages; with a second argument, the type of the handle that ``run`` publishes by
    ``channel.ready(handle)`` and that ``peer[TheCapability]`` then is. Versions of one capability are separate classes with the same
    ``name``; with each peer the highest version that both sides have runs.
    """

    name: ClassVar[str]
    """1 to 8 ASCII characters."""
    version: ClassVar[int]
    messages: ClassVar[Mapping[int, type[Any]]]
    """Message ids, from 0, and the dataclasses that travel under them."""
    length: ClassVar[int | None] = None
    """How many message ids the capability takes; by default one more than the largest in ``messages``."""

    urgent: ClassVar[Collection[type[Any]]] = ()
    """Small messages that may overtake the others, at most ``Limits.urgent_size`` (1 KiB) each."""
    bulk: ClassVar[Collection[type[Any]]] = ()
    """Messages that are sent when nothing else waits."""
    weight: ClassVar[int] = 1
    """Its share of the line, and of the peers, while other capabilities want them too."""
    slots: ClassVar[int] = 8
    """How many peers it wants; ``open_node(slots=...)`` may say another number. The best are chosen by `metric`."""
    minimum: ClassVar[int] = 0
    """How many peers it is to have, whatever other capabilities want."""
    rating_floor: ClassVar[float] = -math.inf
    """If the median of its peers' ratings (see `metric`) falls below this, they are all too poor, and strangers are tried."""
    latency_target: ClassVar[float] = 1.0
    """The time in seconds in which it wishes to be answered."""
    max_upload: ClassVar[float | None] = None
    """Bytes a second that it may send to all peers together; ``open_node(max_upload=...)`` may say another number."""
    max_download: ClassVar[float | None] = None
    """The same for what it receives. Where all capabilities of a peer share one stream, as in stock sessions, the others wait with it."""
    optional: ClassVar[bool] = False
    """Whether the session goes on when ``run`` returns."""
    ready_within: ClassVar[float | None] = None
    """Seconds for a handshake of its own, after which it must have called ``channel.ready``; None if it needs none."""
    request_timeout: ClassVar[float] = 10.0
    """Seconds that ``channel.request`` waits by default."""
    max_message_size: ClassVar[int] = 2**20
    """The largest message in bytes, uncompressed; a message class may set its own ``max_size``, up to 16 MiB - 1."""
    inbox_bytes: ClassVar[int | None] = None
    """How much may wait unread, in bytes on the wire; by default what the node's `Limits` say."""
    inbox_messages: ClassVar[int | None] = None
    direct: ClassVar[bool] = False
    """Whether it connects to others, or has them connect, by other ways than the node's transports; a node with a proxy refuses it."""

    def __init_subclass__(cls, **kwargs: object) -> None:
        """LocalProtocolError where a class is written that cannot be right, and says why."""
        super().__init_subclass__(**kwargs)
        _check_declaration(cls)

    @abstractmethod
    async def run(self, peer: "Peer", channel: Channel[M]) -> None:
        """Talk to one peer, from the moment that the capability is negotiated; returning ends the session, unless ``optional``."""

    def wants(self, record: NodeRecord) -> bool:  # noqa: ARG002  (subclasses look at it)
        """Whether a node that discovery has found may be worth dialling, by what its record says.

        This is the place for a filter such as Ethereum's fork ID: ``record.enr`` is the node's signed record, if it is known. It must be
        quick, and raise nothing whatever a stranger has signed. A node is dialled if any of our capabilities wants it; so one that is of
        use only beside another (snap beside eth) should want what that one wants.
        """
        return True

    def record_entries(self) -> Entries:
        """What the node's own record (EIP-778) is to say for this capability, by key, such as Ethereum's ``eth`` with its fork id.

        It is asked when the node begins to take part in discovery, and every few seconds from then on; the record changes when the answer
        does. What the user has set stays, and what says who and where the node is cannot be set here. It must be quick; where it fails,
        the record has no such entries. A record has 300 bytes in all.
        """
        return {}

    def metric(self, conduct: RecentConduct) -> float:
        """How good a peer is, by its recent conduct: any number, more is better, and below zero its faults outweigh its service.

        Only the order counts among the peers of this capability. A peer with a rating below zero and faults that were reported as invalid
        has to go. By default useful amounts count logarithmically, and slow answers, timeouts and faults against them.
        """
        return default_metric(conduct)

    async def serve(self, node: Any) -> None:  # noqa: ANN401  (a `devp2p.Node`, which is built upon this)
        """What the capability does for as long as the node runs, beside its sessions: tasks and listeners of its own.

        `node` is the `devp2p.Node`. It is called once, and may return at any time; where it fails, that is logged, and the node goes on.
        """

    def transports(self, key: PrivateKey) -> Sequence[Transport]:  # noqa: ARG002  (subclasses look at it)
        """Transports that come with the capability, as that of relayed links does; the node with this `key` dials and listens by them."""
        return ()

    @classmethod
    def table(cls, limits: Limits | None = None) -> MessageTable:
        """Compile the messages; LocalProtocolError says what is wrong with them. `limits`: those of the node, by default the usual ones."""
        for attribute in ("name", "version", "messages"):
            if not hasattr(cls, attribute):
                raise LocalProtocolError(f"{cls.__name__} does not set {attribute!r}")
        _check_declaration(cls)  # what was set after the class was made
        return MessageTable(
            cls.name,
            cls.version,
            cls.messages,
            urgent=cls.urgent,
            bulk=cls.bulk,
            max_message_size=cls.max_message_size,
            urgent_size=(limits or Limits()).urgent_size,
            length=cls.length,
        )

    @classmethod
    def inbox_limits(cls, limits: Limits) -> tuple[int, int]:
        """How much may wait unread, as (bytes, messages)."""
        size = limits.inbox_bytes if cls.inbox_bytes is None else cls.inbox_bytes
        count = limits.inbox_messages if cls.inbox_messages is None else cls.inbox_messages
        return size, count

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}/{self.version}>"


AnyCapability = Capability[Any, Any]

_COUNTS = ("weight", "slots")
_COUNTS_OR_NONE = ("inbox_bytes", "inbox_messages")
_SECONDS = ("latency_target", "request_timeout")


def _check_declaration(cls: type[AnyCapability]) -> None:
    """See that what a class says of itself makes sense, as far as it says it; a base for other classes need not name its messages."""
    where = cls.__name__
    try:
        _check_numbers(cls, where)
        if hasattr(cls, "name") and hasattr(cls, "version"):
            CapabilitySpec(cls.name, cls.version, ())
        if hasattr(cls, "messages"):
            check_messages(where, cls.messages, cls.urgent, cls.bulk, cls.length)
    except (TypeError, LocalProtocolError) as error:  # to whoever declares it, that is one kind of mistake
        text = str(error)
        raise LocalProtocolError(text if text.startswith(where) else f"{where}: {text}") from None


def _check_numbers(cls: type[AnyCapability], where: str) -> None:
    for name in _COUNTS:
        whole(getattr(cls, name), f"{where}: {name}", 1)
    for name in _COUNTS_OR_NONE:
        if getattr(cls, name) is not None:
            whole(getattr(cls, name), f"{where}: {name}", 1)
    for name in _SECONDS:
        number(getattr(cls, name), f"{where}: {name}", infinite=True)
    if cls.ready_within is not None:
        number(cls.ready_within, f"{where}: ready_within", infinite=True)
    for name in ("max_upload", "max_download"):
        check_cap(getattr(cls, name), f"{where}: {name}")
    whole(cls.minimum, f"{where}: minimum")
    if cls.minimum > cls.slots:
        raise LocalProtocolError(f"{where}: minimum is {cls.minimum}, more than slots, which is {cls.slots}: lower it, or raise slots")
    whole(cls.max_message_size, f"{where}: max_message_size", 1, MAX_MESSAGE_SIZE)
    require(cls.rating_floor, (int, float), f"{where}: rating_floor is a number")


def check_class(capability: object) -> None:
    """Raise TypeError for what is no capability's class, by which peers and channels are asked for."""
    given: object = capability
    if not isinstance(capability, type) or not issubclass(capability, Capability):
        kind = type(given)
        hint = f": write {kind.__name__}" if issubclass(kind, Capability) else ""
        raise TypeError(f"a capability is named by its class, not by {named(given)}{hint}")


Introducer: TypeAlias = Callable[[type[AnyCapability], int, float], Awaitable[tuple[NodeRecord, ...]]]
"""Asks for so many introductions to nodes of a capability, and waits for so many seconds at most."""


def _nothing_left_to_end(_: PeerDisconnected) -> None:
    pass


class Peer:
    """The other end of one session. ``peer[Chat]`` is the handle of a shared capability: its channel, or what it published."""

    def __init__(  # noqa: PLR0913  (made in one place, by the session)
        self,
        hello: Hello,
        link: LinkFacts,
        channels: Sequence[tuple[AnyCapability, Channel[Any]]],
        *,
        inbound: bool,
        since: float,
        profile: Profile,
        end: Callable[[PeerDisconnected], None],
    ) -> None:
        self.public_key: PublicKey = hello.public_key
        self.id: NodeId = hello.public_key.node_id
        self.client_id: str = printable(hello.client_id)
        """The peer's name for its software, safe to print."""
        self.offers: tuple[CapabilityVersion, ...] = hello.capabilities
        """All that the peer's Hello listed."""
        self.link: LinkFacts = link
        """What carries the session: transport, ends and path. It changes when the session moves to another link."""
        self.inbound = inbound
        """Whether the peer dialled us."""
        self.profile: Profile = profile
        """What we speak with the peer, stock RLPx or dpx/1, and why it is trusted."""
        self.since = since
        """When the session began, on trio's clock."""
        self.latency: float | None = None
        """Seconds from the last Ping to its Pong."""
        self.ended: PeerDisconnected | None = None
        """How the session ended, once it has."""
        self.introducer: Introducer | None = None
        """Asks the peer for introductions; the node sets it where both sides speak dpx/1."""
        self.mover: Mover | None = None
        """Moves the session to another link; the node sets it."""
        self._channels = channels
        self._end = end
        self._gone = trio.Event()

    @property
    def address(self) -> Address:
        """Where the peer was observed."""
        return self.link.remote

    def moved(self, link: LinkFacts, profile: Profile) -> None:
        """The session goes on over another link."""
        self.link, self.profile = link, profile

    @property
    def trust(self) -> Trust:
        """What the session's beginning has shown of the peer beside its key; ``profile.why`` says how."""
        return self.profile.trust

    @property
    def capabilities(self) -> tuple[AnyCapability, ...]:
        """The shared capabilities, in the order of their message ids."""
        return tuple(capability for capability, _ in self._channels)

    @property
    def active(self) -> tuple[AnyCapability, ...]:
        """The shared capabilities that are not done with this peer."""
        return tuple(capability for capability, channel in self._channels if not channel.is_over)

    def __contains__(self, capability: type[AnyCapability]) -> bool:
        """Whether a capability is shared and ready."""
        channel = self._find(capability)
        return channel is not None and channel.is_ready and self.ended is None

    def __getitem__(self, capability: "type[Capability[Any, Handle]]") -> Handle:
        """The handle of a capability (or of whichever of its subclasses runs).

        Raises KeyError if it is not shared, LocalProtocolError if it is not ready yet, PeerDisconnected after the end.
        """
        return cast("Handle", self._channel(capability).handle)

    async def ready(self, capability: "type[Capability[Any, Handle]]") -> Handle:
        """Wait until a capability is ready and return its handle; KeyError if it is not shared, PeerDisconnected after the end."""
        channel = self._channel(capability)
        await channel.wait_ready()
        return cast("Handle", channel.handle)

    def conduct(self, capability: type[AnyCapability]) -> Conduct:
        """What the capability reported of this peer; KeyError if it is not shared."""
        return self._channel(capability).conduct.total

    def traffic(self, capability: type[AnyCapability]) -> Traffic:
        """What was exchanged with this peer in a capability; KeyError if it is not shared."""
        return self._channel(capability).traffic.total

    def backlog(self, capability: type[AnyCapability]) -> Backlog:
        """What waits to be read of this peer, or sent to it, in a capability; KeyError if it is not shared."""
        return self._channel(capability).backlog

    async def introduce_me(
        self,
        capability: type[AnyCapability],
        count: int = 1,
        *,
        timeout: float = 10.0,  # noqa: ASYNC109  (what has come until then is returned)
    ) -> tuple[NodeRecord, ...]:
        """Ask this peer to introduce us to up to `count` (1 to 4) nodes that speak a capability (dpx/1, section 8).

        Returns those that it has introduced us to, after `timeout` seconds at the latest; none if it knows us too little, has nobody who
        agrees to it, or was asked too often (twice in a minute). A node that looks for peers dials them when a slot is free, and
        ``node.connect`` does at once; either shows them the introduction, so that they trust us as introduced.

        LocalProtocolError if the session is not one of a node that speaks dpx/1 with introductions, or the peer was asked and has not
        answered yet; KeyError for a capability that is not shared with it; PeerDisconnected after the end.
        """
        check_class(capability)
        if self.introducer is None:
            if self.ended is not None:
                raise self.ended.again()
            raise LocalProtocolError(
                f"{self!r} speaks {self.profile}: only a node's peer that speaks dpx/1 with introductions can be asked"
            )
        return await self.introducer(capability, count, timeout)

    def successor(self) -> AbstractAsyncContextManager[Successor]:
        """Await another link to this peer, over which its session is to go on: ``async with peer.successor() as successor``.

        For capabilities that have agreed on that with the peer, which does the same. Within the block further links of the peer are no
        rivals of the first. One of the two sides opens a link, and both then let the session go on over it (`Successor`); how each knows
        when to do so is for them to agree on. LocalProtocolError if a successor is awaited already, and without a node, PeerDisconnected
        after the end.
        """
        if self.mover is None:
            if self.ended is not None:
                raise self.ended.again()
            raise LocalProtocolError(f"{self!r} belongs to no node: only the sessions of a node find other links")
        return self.mover()

    def disconnect(self, reason: DisconnectReason = DisconnectReason.REQUESTED, detail: str = "") -> None:
        """Begin to end the session with a reason for the peer; `wait_ended` waits until it has."""
        whole(reason, "the reason of a Disconnect", 0, 255)
        self._end(PeerDisconnected(reason, by_remote=False, detail=detail))

    async def wait_ended(self) -> PeerDisconnected:
        """Wait until the session is over and say how it ended."""
        await self._gone.wait()
        assert self.ended is not None  # noqa: S101  (gone() sets it first)
        return self.ended

    def gone(self, end: PeerDisconnected) -> None:
        """The session says that it is over."""
        self.ended = end
        self._end = _nothing_left_to_end  # and lets go of the session, which holds this peer
        self.mover = None
        self._gone.set()

    def _find(self, capability: type[AnyCapability]) -> Channel[Any] | None:
        check_class(capability)
        return next((channel for shared, channel in self._channels if isinstance(shared, capability)), None)

    def _channel(self, capability: type[AnyCapability]) -> Channel[Any]:
        channel = self._find(capability)
        if channel is None:
            shared = ", ".join(type(one).__name__ for one in self.capabilities) or "nothing"
            raise KeyError(f"{capability.__name__} is not shared with {self!r}: shared is {shared}")
        return channel

    def __repr__(self) -> str:
        return f"<Peer {self.id.hex()[:16]}… at {self.address} {self.client_id!r}>"
