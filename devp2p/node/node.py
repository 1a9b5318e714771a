"""A node: `open_node` owns the root nursery, and with it the listeners, the dials and a session for each peer.

Links come from the `door`, where they were accepted, or from the `dialer`; both hand them to `sessions`. The `policy` decides
which peers the node wants; all of these ask it, and so does `steering`, which does what it says.
"""

import os
import time
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from functools import partial
from secrets import SystemRandom, token_bytes
from typing import TYPE_CHECKING

import trio

from devp2p.addresses import Address, address_of
from devp2p.arguments import Several, number, require, several, whole
from devp2p.capability import AnyCapability, Peer, check_class
from devp2p.errors import LocalProtocolError
from devp2p.keys import PrivateKey, PublicKey
from devp2p.limits import Limits
from devp2p.nat import NatSettings, nat_of
from devp2p.node.discovering import DiscoveryPlan, DiscoverySettings, advertise, opened, own_candidates, own_enr, own_record
from devp2p.node.forwarding import Forwarding
from devp2p.node.hiding import require_by_proxy, require_nothing_past
from devp2p.node.pace import PolicyClock
from devp2p.node.parts import Parts
from devp2p.node.resuming import new_resumption
from devp2p.node.roster import ReadyPeers, Roster, Subscription
from devp2p.node.serving import serve, serving
from devp2p.node.static_peers import keep_connected
from devp2p.node.statistics import NodeStatistics, count
from devp2p.node.vouching import Vouching, consent_of
from devp2p.records import NodeRecord, enode_address, node_of, nodes_of
from devp2p.runtime import require_trio
from devp2p.session import LocalNode, local_node
from devp2p.transports import Carriers, Proxy, Transport
from devp2p.wire.dpx import UNSHAPED, Consent, Shaping
from devp2p.wire.rlpx import Extension

if TYPE_CHECKING:  # imported when they are used: see `discovering`
    from devp2p.book import Book
    from devp2p.discovery import Discovery
    from devp2p.nat import NatStatus
    from devp2p.node.policy import Policy
    from devp2p.peers import Ban
    from devp2p.peers.slots import SlotsView


@asynccontextmanager
async def open_node(  # noqa: PLR0913  (keyword arguments are the configuration)
    key: PrivateKey,
    capabilities: Iterable[AnyCapability],
    *,
    listen: Several[str | Address] = (),
    static_peers: Several[str | NodeRecord] = (),
    trusted_peers: Several[str | NodeRecord] = (),
    bootnodes: Several[str | NodeRecord] = (),
    dns_trees: Several[str] = (),
    discovery: bool | DiscoverySettings | None = None,
    candidates: AsyncIterable[NodeRecord] | None = None,
    book: "Book | str | os.PathLike[str] | None" = None,
    max_peers: int = 50,
    slots: Mapping[str, int] | None = None,
    pace: float = 1.0,
    client_id: str | None = None,
    limits: Limits | None = None,
    transports: Sequence[Transport] | None = None,
    strict: bool = False,
    extension: Extension | None = None,
    dpx: bool = True,
    reveal_key: bool = False,
    introductions: str = "none",
    shaping: Shaping = UNSHAPED,
    max_upload: Mapping[str, float | None] | None = None,
    max_download: Mapping[str, float | None] | None = None,
    nat: str | NatSettings = "none",
    proxy: str | Proxy | None = None,
    extra_transports: Sequence[Transport] = (),
) -> AsyncGenerator["Node"]:
    """Run a node for the length of an ``async with`` block.

    `listen`: addresses such as ``tcp://0.0.0.0:30303``, ``tcp://*:0`` (all interfaces, IPv4 and IPv6, any port) or
    ``unix:///run/node.sock``. `static_peers`: nodes to stay connected to, and `trusted_peers`: nodes to let in whenever they come; both
    beside `max_peers`. `transports`: by default those that come with the library, as far as what they need is installed;
    `extra_transports`: some beside them, or in the place of those with the same schemes. `strict`: let a capability's stray exception end
    the node, as tests want it, instead of that one session. `extension`: an object of a class derived from `devp2p.wire.rlpx.Extension`,
    which offers peers something in the handshake. `dpx`: offer and accept dpx/1, which peers that do not know it pass over; False for stock
    RLPx with everybody. `reveal_key`: answer nodes that know where this one listens and not its key, and ask (dpx/1, section 9): whoever
    can reach it then finds out who it is. `introductions`: whom this node lets be introduced to it by peers that it knows well: ``"none"``,
    ``"known"`` (those whom the introducer knows from earlier sessions) or ``"any"`` (also those who were introduced to the introducer).
    `shaping`: how to pad and time what goes to peers that speak dpx/1, such as ``Shaping.cells()``; by default not at all. `bootnodes` and
    `dns_trees` (``enrtree://...``) say where to begin to look for others. With either of them, or if `discovery` is True or has settings,
    the node takes part in discovery, at the UDP port of the same number as its first TCP port (without one, see
    `DiscoverySettings.listen`), and dials what is found, as the capabilities' slots want it; if it is False, it does not. `candidates`:
    nodes from a source of your own, which are dialled in the same way. `book`: what is known of nodes and how they behaved, or a file to
    keep it. `slots`: how many peers the capabilities with these names want, instead of what their classes say; likewise `max_upload` and
    `max_download`: how many bytes a second they may send and receive, with all peers together (for the whole node, `Limits` says that).
    `pace`: how many times faster than usual peers are rated, for demonstrations. `nat`: how to be reached through a router, as
    `devp2p.nat.nat_of` reads it: ``"any"``, ``"pcp"``, ``"pmp"`` or ``"upnp"`` has it forward the node's ports, ``"stun"`` and
    ``"extip:IP"`` say where it is. `proxy`: by which all dials go (``"socks5://127.0.0.1:9050"``, ``"http://USER:PASSWORD@HOST:PORT"``);
    what would go past it is refused.

    Raises ValueError for what cannot be understood or reached, LocalProtocolError for a capability or a number of peers that is not right,
    and for arguments of which one excludes the other, TypeError for an argument of the wrong type, BookError for a book that cannot be
    opened, OSError if an address cannot be listened at. An exception that leaves the block arrives in an ExceptionGroup, as from any trio
    nursery.
    """
    require_trio("open_node")
    carriers = Carriers(transports, key, proxy=proxy)
    static, trusted = nodes_of(static_peers, "static_peers"), nodes_of(trusted_peers, "trusted_peers")
    addresses = [address_of(address, "listen") for address in several(listen, "listen")]
    local = local_node(
        key,
        capabilities,
        client_id=client_id,
        limits=limits,
        listen_port=_port(addresses),
        strict=strict,
        extension=extension,
        dpx=dpx,
        reveal_key=reveal_key,
        shaping=shaping,
        max_upload=max_upload,
        max_download=max_download,
    )
    require_by_proxy(carriers.proxy, several(extra_transports, "extra_transports"))
    brought = [one for capability in local.capabilities for one in capability.transports(key)]
    for transport in (*extra_transports, *brought):
        carriers.add(transport)
    for record in static:
        carriers.require_dialable(record)
    consent = consent_of(introductions)
    if not dpx and consent is not Consent.NONE:
        raise LocalProtocolError(f"introductions={introductions!r} needs dpx/1: leave out dpx=False")
    behind = nat_of(nat)
    plan = DiscoveryPlan.of(discovery, bootnodes, dns_trees, addresses, external=behind.external)
    require_nothing_past(carriers, addresses, local.capabilities, discovers=plan is not None, nat=behind)
    if candidates is not None:
        require(candidates, AsyncIterable, "candidates is an async iterable of NodeRecord", "an async generator is one")
    dials = candidates is not None or (plan is not None and plan.settings.dials)
    # Who opens no node need not wait until all of this is imported.
    from devp2p.node.dialer import Dialer  # noqa: PLC0415
    from devp2p.node.door import Door  # noqa: PLC0415
    from devp2p.node.introducing import Introducing  # noqa: PLC0415
    from devp2p.node.persistence import StandingsKeeper  # noqa: PLC0415
    from devp2p.node.policy import Policy  # noqa: PLC0415
    from devp2p.node.record_entries import RecordEntries  # noqa: PLC0415
    from devp2p.node.secrets import SecretsKeeper  # noqa: PLC0415
    from devp2p.node.sessions import Sessions  # noqa: PLC0415
    from devp2p.node.steering import Steering  # noqa: PLC0415

    clock = PolicyClock(pace)
    # What can fail to open does so before the nursery, so that its errors are not in a group.
    async with AsyncExitStack() as stack:
        known = await stack.enter_async_context(opened(book))
        roster = stack.enter_context(closing(Roster()))
        secrets = None
        if local.dpx is not None:
            local.dpx.resumption = new_resumption(roster)
            secrets = None if known is None else SecretsKeeper(known, key, local.dpx.resumption)
        policy = Policy(
            local,
            roster,
            clock,
            outside=static + trusted,
            schemes=carriers.schemes,
            max_peers=max_peers,
            wanted={} if slots is None else slots,
            dials=dials,
            random=SystemRandom().random,
            secret=token_bytes(16),
        )
        keeper = None if known is None else StandingsKeeper(known, policy.ratings, policy.bans, policy.candidates.pool, clock)
        if keeper is not None:
            keeper.load(policy.recall, trio.current_time())
        listeners = await carriers.bind_all(addresses, stack)
        bound = tuple(address for listener in listeners for address in listener.addresses)
        found = None if plan is None else await plan.begin(stack, key, listeners, known, strict=strict)
        forwarding = None if behind.is_idle else Forwarding(behind, bound, found)
        entries = None if found is None else RecordEntries(local.capabilities, found, strict=strict)
        async with trio.open_nursery() as nursery:
            vouching = Vouching(key.public_key, policy, time.time, consent)
            if local.dpx is not None:
                local.dpx.introductions = vouching
            introducing = Introducing(key, policy, roster, vouching, wall=time.time, enr=partial(own_enr, key, bound, found))
            sessions = Sessions(local, policy, roster, introducing, nursery, carriers)
            with closing(Dialer(local, policy, roster, sessions, carriers)) as dialer:
                door = Door(local, sessions, roster, nursery)
                steering = Steering(policy, roster, sessions, dialer, nursery, book=known, keeper=keeper, dials=dials)
                for listener in listeners:
                    nursery.start_soon(listener.serve, door.take_in)
                await nursery.start(steering.run)
                if secrets is not None:
                    nursery.start_soon(secrets.run)
                if entries is not None:
                    nursery.start_soon(entries.run)
                if found is not None and plan is not None and plan.settings.dials:
                    nursery.start_soon(steering.collect, found.candidates(policy.candidates.takes))
                if candidates is not None:
                    nursery.start_soon(steering.collect, own_candidates(candidates, strict=strict))
                for record in static:
                    nursery.start_soon(keep_connected, record, dialer.reach, roster.publish)
                node = Node(local, bound, found, policy, roster, Parts(carriers, door, dialer, steering, introducing, nursery, forwarding))
                if forwarding is not None:
                    nursery.start_soon(forwarding.run)
                for capability in serving(local.capabilities):
                    nursery.start_soon(partial(serve, capability, node, strict=strict))
                yield node
            nursery.cancel_scope.cancel()


def _port(addresses: Iterable[Address]) -> int:
    """What Hello calls the listening port; 0 if there is none."""
    address = enode_address(addresses)
    return 0 if address is None else address.port or 0


class Node:
    """A running node; `open_node` makes it."""

    def __init__(  # noqa: PLR0913, PLR0917  (made in one place, above)
        self,
        local: LocalNode,
        addresses: tuple[Address, ...],
        discovery: "Discovery | None",
        policy: "Policy",
        roster: Roster,
        parts: "Parts",
    ) -> None:
        self.roster: Roster = roster
        """The connected peers and the news of them."""
        self.policy: Policy = policy
        """What decides about other nodes: ratings, bans, candidates, slots. To be read."""
        self.addresses: tuple[Address, ...] = addresses
        """Where the node listens."""
        self.discovery: Discovery | None = discovery
        """Discovery, where the node takes part in it."""
        self._local = local
        self._carriers = parts.carriers
        self._door = parts.door
        self._dialer = parts.dialer
        self._steering = parts.steering
        self._introducing = parts.introducing
        self._nursery = parts.nursery
        self._forwarding = parts.forwarding

    @property
    def public_key(self) -> PublicKey:
        """This node's key."""
        return self._local.key.public_key

    @property
    def record(self) -> NodeRecord:
        """How others name this node, with its ENR if that says where it is.

        Otherwise a wildcard address is written as loopback: which of the real ones peers reach is not known here.
        """
        return own_record(self._local.key, self.addresses, self.discovery)

    @property
    def enode(self) -> str:
        """`record` as text."""
        return self.record.enode

    @property
    def enr(self) -> str | None:
        """The node's own record (EIP-778) as text, ``enr:...``; None without discovery."""
        return None if self.discovery is None else self.discovery.record.text

    @property
    def nat(self) -> "NatStatus | None":
        """What its router forwards to the node, and where; None where it was not told to ask (`nat` of `open_node`)."""
        return None if self._forwarding is None else self._forwarding.status

    async def nat_changed(self) -> None:
        """Wait until `nat` is something else; for ever where it is None."""
        if self._forwarding is None:
            await trio.sleep_forever()
        else:
            await self._forwarding.changed()

    @property
    def given_transports(self) -> tuple[Transport, ...] | None:
        """The transports that it was opened with, for `call` and `dial`; None for those that come with the library."""
        return self._carriers.given

    @property
    def max_peers(self) -> int:
        """How many peers it may have, beside static and trusted ones."""
        return self.policy.slots.rules.budget

    @property
    def pace(self) -> float:
        """How many times faster than usual peers are rated and replaced; figures taken at another pace than 1 have to say so."""
        return self.policy.clock.pace

    @property
    def capabilities(self) -> tuple[AnyCapability, ...]:
        """What it runs with peers that share it."""
        return self._local.capabilities

    @property
    def connected(self) -> tuple[Peer, ...]:
        """All peers with a session."""
        return tuple(self.roster)

    def peers(self, capability: type[AnyCapability]) -> ReadyPeers:
        """Iterate the peers with which a capability can be used: those that there are, then each as it becomes ready.

        LocalProtocolError for a capability that is not one of the node's: there would never be any.
        """
        self._find(capability)
        return self.roster.ready_peers(capability)

    def events(self) -> Subscription:
        """Iterate what happens to peers from now on: see `devp2p.Event`."""
        return self.roster.subscribe()

    @property
    def statistics(self) -> NodeStatistics:
        """Counts of the node as they are, and of what happened since it was opened."""
        return count(self._local, self.policy, self.roster, self._door, self._dialer, self._steering)

    def slots(self) -> "SlotsView":
        """The set of peers as it is now, explained: which slots each fills, what it is worth, why it is kept."""
        return self.policy.view()

    async def request_peers(self, capability: type[AnyCapability], count: int) -> tuple[Peer, ...]:
        """Wait for `count` ready peers of a capability, and return the best so many.

        Until then the capability has as many slots as that, whatever others want. Raises LocalProtocolError if it is not one of the node's,
        or if there cannot be so many peers, and trio.ClosedResourceError when the node ends.
        """
        name = self._find(capability).name
        whole(count, "count", 1)
        if count > self.max_peers:
            raise LocalProtocolError(f"{count} peers of {name} are more than max_peers, which is {self.max_peers}")
        return await self._steering.request_peers(capability, name, count)

    def ban(self, target: str | NodeRecord | Peer, *, seconds: float = 3600.0, reason: str = "as the user wants it") -> "Ban":
        """Let a node in no more for some time, and end the session with it. The book remembers it.

        ValueError for text that is no node, LocalProtocolError for a time that is not above zero.
        """
        number(seconds, "seconds of a ban")
        record = target if isinstance(target, Peer) else node_of(target, "the node to ban")
        return self._steering.ban(record.id, seconds, reason)

    @property
    def introductions(self) -> str:
        """Whom it lets be introduced to it, as in `open_node`; `let_introduce` changes it."""
        return self._introducing.consent.name.lower()

    def let_introduce(self, introductions: str) -> None:
        """Say from now on whom this node lets be introduced to it: ``"none"``, ``"known"`` or ``"any"``, as in `open_node`.

        Its peers are told. LocalProtocolError for anything else, and for a node without dpx/1.
        """
        consent = consent_of(introductions)
        if self._local.dpx is None and consent is not Consent.NONE:
            raise LocalProtocolError(f"introductions={introductions!r} needs dpx/1: this node was opened with dpx=False")
        self._introducing.let(consent)

    async def connect(self, target: str | NodeRecord) -> Peer:
        """Dial a node that one knows and return the peer with its capabilities running, or the peer that is connected already.

        While the session lasts the peer has its place for sure, but for bad conduct. Raises ValueError for text that is no node record, and
        DialError if the node cannot be reached, fails the handshake, or either side does not admit the other.
        """
        record = node_of(target, "the node to dial")
        with self.policy.wish(record.public_key):
            return await self._dialer.reach(record)

    async def listen(self, address: str | Address) -> tuple[Address, ...]:
        """Listen at one more address; returns the bound ones.

        OSError if that is impossible, ValueError without a transport for it, RuntimeError when the node has ended.
        """
        async with AsyncExitStack() as unless_served:
            listener = await self._carriers.bind(address_of(address), unless_served)
            self._nursery.start_soon(listener.serve, self._door.take_in)
            unless_served.pop_all()
        self.addresses += listener.addresses
        advertise(self.addresses, self.discovery)
        if self._forwarding is not None:
            self._forwarding.add(listener.addresses)
        return listener.addresses

    def _find(self, capability: type[AnyCapability]) -> AnyCapability:
        check_class(capability)
        for own in self.capabilities:
            if isinstance(own, capability):
                return own
        ours = ", ".join(type(own).__name__ for own in self.capabilities) or "none"
        raise LocalProtocolError(f"{capability.__name__} is none of this node's capabilities, which are {ours}: give it to open_node")
