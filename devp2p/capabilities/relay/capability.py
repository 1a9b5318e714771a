"""`Relay`: relay/1 as a capability of a node."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import trio

from devp2p import (
    Address,
    Capability,
    Channel,
    DialError,
    DisconnectReason,
    Entries,
    LocalProtocolError,
    Node,
    NodeRecord,
    Peer,
    PrivateKey,
    Transport,
    call,
    local_node,
)
from devp2p.capabilities.nat import Nat, Verdict
from devp2p.capabilities.relay.hop import Hop
from devp2p.capabilities.relay.limits import RelayLimits
from devp2p.capabilities.relay.messages import (
    MOST_ADDRESS,
    MOST_ADDRESSES,
    Close,
    Connect,
    Data,
    Incoming,
    RelayMessage,
    Reserve,
    Reserved,
    Status,
    Window,
)
from devp2p.capabilities.relay.serving import Relaying
from devp2p.capabilities.relay.transport import RelayTransport, Wanted

_ENTRY = "relay"
"""The key of a record (EIP-778) that says that a node is a relay."""
_MOST_ASKED = 64  # relays whose keys are kept in mind


class Relay(Capability[RelayMessage, Hop]):
    """relay/1: dial nodes through relays, listen at relays, and be one.

    ``open_node(key, [Relay(), ...], listen=["relay://<relay's key>@<host>:<port>"])`` is a node that others reach through that relay, and
    ``node.connect("relay://<key>@<relay's key>@<host>:<port>")`` reaches it. The relay's key may be left out if the node has a session with
    the relay, or the relay tells its key (`reveal_key` in `open_node`).
    """

    name = "relay"
    version = 1
    messages: ClassVar[Mapping[int, type[Any]]] = {
        0: Reserve,
        1: Reserved,
        2: Connect,
        3: Incoming,
        4: Status,
        5: Data,
        6: Window,
        7: Close,
    }
    slots: ClassVar[int] = 4
    max_message_size: ClassVar[int] = 20 * 1024
    ready_within: ClassVar[float | None] = 5.0
    optional: ClassVar[bool] = True

    def __init__(self, *, serve: bool | None = None, limits: RelayLimits | None = None) -> None:
        """`serve`: be a relay for others, who get as much as `limits` say; `let_serve` changes it later.

        None: while nat/1 says that others reach this node, which takes a `devp2p.capabilities.nat.Nat` beside it; without one, never.
        """
        self.relaying: Relaying = Relaying(limits or RelayLimits(), self._addresses)
        """The relay's side: what it has granted, to be read."""
        self.relaying.is_on = bool(serve)
        self._asks_nat = serve is None
        self._key: PrivateKey | None = None
        self._node: Node | None = None
        self._runs = trio.Event()
        self._hops: set[Hop] = set()
        self._asked: dict[str, str] = {}
        self._wanted = Wanted()

    def let_serve(self, serve: bool) -> None:  # noqa: FBT001  (it is what it is about)
        """Be a relay for others from now on, or no more, whatever nat/1 says: then reservations are not renewed, and no circuit begins."""
        self._asks_nat = False
        self.relaying.is_on = serve

    async def run(self, peer: Peer, channel: Channel[RelayMessage]) -> None:
        """Speak relay/1 with one peer."""
        if self._key is None:
            raise LocalProtocolError("relay/1 runs in a node, which open_node makes")
        hop = Hop(peer, channel, self._key.public_key, self.relaying)
        channel.ready(hop)
        self._hops.add(hop)
        try:
            await hop.run()
        finally:
            self._hops.discard(hop)

    @property
    def observed(self) -> tuple[tuple[Address, Address], ...]:
        """Our own end of the link to each relay in use, and what that relay says it is."""
        return tuple((hop.peer.link.local, hop.observed) for hop in self._hops if hop.observed is not None)

    async def serve(self, node: Any) -> None:  # noqa: ANN401  (as in `Capability`)
        """Know the node, for dials and reservations; see to the circuits across it."""
        self._node = node
        self._runs.set()
        try:
            async with trio.open_nursery() as self.relaying.nursery:
                nat = next((one for one in node.capabilities if isinstance(one, Nat)), None)
                while nat is not None:
                    is_public = nat.reachability.verdict is Verdict.PUBLIC
                    self._wanted.put(not is_public)
                    if self._asks_nat:
                        self.relaying.is_on = is_public
                    await nat.changed()
                await trio.sleep_forever()
        finally:
            self.relaying.nursery = None

    def transports(self, key: PrivateKey) -> Sequence[Transport]:
        """The transport of relayed links."""
        self._key = self.relaying.key = key
        return (RelayTransport(key.public_key, self._reach, self._wanted),)

    def wants(self, record: NodeRecord) -> bool:
        """A node whose record says that it is a relay."""
        return record.enr is not None and record.enr.get(_ENTRY) is not None

    def record_entries(self) -> Entries:
        """The node's record says so while it is one."""
        return {_ENTRY: b"\x01"} if self.relaying.is_on else {}

    async def _reach(self, address: Address) -> Hop:
        """See `transport.Reach`."""
        await self._runs.wait()
        node = self._node
        assert node is not None  # noqa: S101  (it runs)
        key = address.via or self._connected(node, address) or await self._ask(address)
        where = address.where.rpartition("@")[2]
        try:
            peer = await node.connect(f"enode://{key}@{where}")
        except DialError:
            self._asked.pop(address.where, None)  # it may have another key by now
            raise
        return await peer.ready(Relay)

    def _connected(self, node: Node, address: Address) -> str:
        """The key of the peer that was dialled at a host and port, in hex; empty if there is none."""
        where = address.where
        return next((bytes(peer.public_key).hex() for peer in node.connected if not peer.inbound and peer.address.where == where), "")

    async def _ask(self, address: Address) -> str:
        """Ask the relay for its key, in hex, once: it may not like to be called again soon. Raises DialError if it does not tell."""
        if address.where not in self._asked:
            asker = PrivateKey.generate()
            record = NodeRecord.parse(f"enode://{bytes(asker.public_key).hex()}@{address.where}")
            session = await call(record.addresses[0], local_node(asker, []))
            if len(self._asked) >= _MOST_ASKED:
                self._asked.clear()
            self._asked[address.where] = bytes(session.public_key).hex()
            await session.refuse(DisconnectReason.REQUESTED)
        return self._asked[address.where]

    def _addresses(self) -> tuple[str, ...]:
        if self._node is None:
            return ()
        record = self._node.record
        enodes = [NodeRecord(record.public_key, (address,)).enode for address in record.addresses if not address.is_relayed]
        return tuple(enode for enode in enodes if len(enode) <= MOST_ADDRESS)[:MOST_ADDRESSES]


def relay_server() -> Relay:
    """A node's relay/1 that serves others by the usual limits: ``devp2p node --capability relay-server``."""
    return Relay(serve=True)
