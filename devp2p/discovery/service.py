"""Discovery as it runs: one UDP socket and one task for the protocols, v4 and v5 (discv4.md, discv5-wire.md).

Theory of operation. One task receives, keeps the timers and sends. It takes what has come in batches, lets each protocol look at each
datagram, and sends what they have put out; then it sleeps until something comes or the earliest timer is due. A coroutine that begins an
operation sends its first packet itself, at once, and only moves the time at which that task has to wake up.

Further tasks do what needs no socket of its own: they look for candidates (`finding`), for as long as somebody waits for such.

There are two clocks (clock.py). Timers go by how much time has passed, so that a system clock that is set makes none fire or stop. The
packets of v4 and the rows of the book bear the system's time, whatever it is at the moment, so that all is well as soon as that is right.
"""

import logging
import secrets
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, Final

import trio

from devp2p.addresses import Address, Endpoint
from devp2p.arguments import as_bytes, require
from devp2p.containment import unless_it_fails
from devp2p.discovery.awaited import Awaited, AwaitedV4, AwaitedV5, Pinged
from devp2p.discovery.candidates import Filter
from devp2p.discovery.clock import Clock
from devp2p.discovery.datagrams import BATCH, DatagramSocket
from devp2p.discovery.dns import DnsSource
from devp2p.discovery.events import AddressChanged, ClockDoubtful, Ended, NodeHeard
from devp2p.discovery.finding import Candidates, Finder, introduce, read_trees, repeat_known, walk
from devp2p.discovery.known_nodes import KnownNodes, with_ip_addresses
from devp2p.discovery.limits import DiscoveryLimits
from devp2p.discovery.own_record import OwnRecord
from devp2p.discovery.statistics import Statistics
from devp2p.discovery.table import may_be_asked
from devp2p.discovery.v4 import Discv4
from devp2p.discovery.v5 import Discv5, TalkHandler, checked_handler
from devp2p.errors import LocalProtocolError, RemoteProtocolError
from devp2p.keys import PublicKey, keccak256
from devp2p.records import Entries, NodeRecord, Record, node_of

_BATCHES: Final = 8  # of datagrams that are taken before the timers have their turn

_logger = logging.getLogger(__name__)

Unhandled = Callable[[bytes, Endpoint], None]
"""Takes a datagram that is of neither protocol, and where it came from. It must return at once; it is called for at most `BATCH` a turn."""
Heard = Callable[[NodeRecord, int], None]
"""Takes a node that has asked us something by itself, and proved where it is; and the version by which. It must return at once."""
MaySend = Callable[[Endpoint], bool]
"""Says whether a datagram may be sent to an endpoint now, and is asked before each. It must return at once."""


class Discovery:
    """Discovery that runs; `open_discovery` makes it."""

    def __init__(  # noqa: PLR0913  (made in one place, below)
        self,
        sock: DatagramSocket,
        clock: Clock,
        own: OwnRecord,
        *,
        protocols: Iterable[Discv4 | Discv5],
        known: KnownNodes,
        limits: DiscoveryLimits,
        unhandled: Unhandled | None,
        heard: Heard | None,
        may_send: MaySend | None,
        strict: bool,
    ) -> None:
        self._socket = sock
        self._clock = clock
        self._own = own
        self._known = known
        self._strict = strict
        self._on_unhandled = unhandled if strict or unhandled is None else unless_it_fails(unhandled, None)
        self._on_heard = heard if strict or heard is None else unless_it_fails(heard, None)
        self._may_send = may_send if strict or may_send is None else unless_it_fails(may_send, otherwise=False)
        self._unhandled = self._withheld = 0
        self._sleep = trio.CancelScope()
        self._finder = Finder(known.sources)
        self._trees: DnsSource | None = None
        self.v4: AwaitedV4 | None = None
        """Discovery v4 alone, or None if it does not run; its `protocol` is to be read."""
        self.v5: AwaitedV5 | None = None
        """The same of v5."""
        for protocol in protocols:
            if isinstance(protocol, Discv5):
                at_once = max(1, limits.v5.operations // 2)
                self.v5 = AwaitedV5(protocol, clock=clock.now, flush=self._flush, random_bytes=secrets.token_bytes, at_once=at_once)
            else:
                at_once = max(1, limits.v4.operations // 2)
                self.v4 = AwaitedV4(protocol, clock=clock.now, flush=self._flush, random_bytes=secrets.token_bytes, at_once=at_once)
        # The better one first: it is asked where both could be.
        self._versions: Mapping[int, Awaited[Any]] = {one.version: one for one in (self.v5, self.v4) if one is not None}

    @property
    def record(self) -> Record:
        """Our own record as it is now."""
        return self._own.record

    @property
    def address(self) -> Address:
        """Where it listens; the host of a wildcard is ``*``."""
        ip, port = self._socket.endpoint
        return Address("udp", "*" if not any(ip) else str(Endpoint(ip, port)).rpartition(":")[0].strip("[]"), port)

    @property
    def statistics(self) -> Statistics:
        """What was counted so far."""
        return Statistics(
            received=self._socket.received,
            sent=self._socket.sent,
            not_sent=self._socket.not_sent,
            send_error=self._socket.send_error,
            expired=0 if self.v4 is None else self.v4.protocol.expired,
            expired_by=None if self.v4 is None else self.v4.protocol.expired_by,
            dns_error="" if self._trees is None else self._trees.failure,
            withheld=self._withheld,
            unhandled=self._unhandled,
            tables=MappingProxyType({one.version: one.protocol.table.statistics() for one in self._versions.values()}),
            candidates=MappingProxyType(dict(self._finder.found)),
        )

    def update_record(self, entries: Entries) -> bool:
        """Change entries of our own record; a value of None removes one. Tells whether there is a new record now.

        LocalProtocolError for values that do not fit, or too many of them.
        """
        return self._own.update(entries)

    def offer_entries(self, entries: Entries) -> bool:
        """Have in our own record these entries, of all that are not the user's: what was offered before and is not now goes.

        Entries given to `open_discovery` or by `update_record` are the user's, and stay. Tells whether there is a new record now;
        LocalProtocolError as `update_record`, which changes nothing.
        """
        return self._own.offer(entries)

    def forward(self, endpoint: Endpoint | None, ports: Mapping[str, tuple[int, int]] = MappingProxyType({})) -> bool:
        """Say where a router forwards to us, an IPv4 endpoint (port 0: the bound one); None when it does no longer.

        `ports`: for entries that say a port, such as ``tcp``, ours and the one that is forwarded to it. It takes the place of what others
        see, unless enough of them see us at another address from now on; what the user has set stays. Tells whether there is a new record.
        """
        return self._own.forward(endpoint, ports)

    def candidates(self, *filters: Filter) -> Candidates:
        """Iterate nodes that one could dial and that pass all `filters`, from all sources in turn, for as long as discovery runs.

        The same node is not given again within `devp2p.discovery.candidates.WINDOW`. Nothing is searched while nobody waits for the next.
        """
        return self._finder.candidates(filters if self._strict else [unless_it_fails(wanted, otherwise=False) for wanted in filters])

    def send(self, data: bytes, to: Endpoint) -> None:
        """Send a datagram of some other protocol, as `unhandled` gets them; whether it is lost is not known."""
        self._socket.send(data, to)

    def on_talk(self, protocol: bytes, handler: TalkHandler | None) -> None:
        """Let `handler` answer the TALKREQs of a protocol from now on; None for nobody. LocalProtocolError without v5.

        Where it fails, or gives what is no response, the answer is empty, as if it did not know the protocol, and the first failure is
        logged with its traceback.
        """
        if handler is not None and not self._strict:
            handler = unless_it_fails(checked_handler(handler, protocol), b"", (RemoteProtocolError,))
        self._need_v5().protocol.on_talk(protocol, handler)

    # Operations. They raise ClosedResourceError if discovery ends meanwhile, and LocalProtocolError for a version that does not run.

    async def ping(self, node: NodeRecord | str, *, version: int | None = None) -> Pinged | None:
        """Ask a node whether it is there, by v5 if it is known how, or else by v4; None if it is silent."""
        record = await self._with_ips(node)
        return await self._fitting(record, version).ping(record)

    async def request_enr(self, node: NodeRecord | str, *, version: int | None = None) -> NodeRecord | None:
        """Ask a node itself for its record; None if it does not give it."""
        record = await self._with_ips(node)
        return await self._fitting(record, version).request_enr(record)

    async def resolve(self, node: NodeRecord | PublicKey | str, *, version: int | None = None) -> NodeRecord | None:
        """Find the newest record of a node: ask itself where it is said to be, or else search; None if nobody knows it."""
        record = NodeRecord(node) if isinstance(node, PublicKey) else await self._with_ips(node)
        answers = [await one.resolve(record) for one in self._running(version)]
        found = [answer for answer in answers if answer is not None]
        return max(found, key=lambda answer: answer.enr.sequence if answer.enr is not None else 0, default=None)

    async def lookup(self, target: PublicKey | bytes, *, version: int | None = None) -> tuple[NodeRecord, ...]:
        """Search for the nodes closest to a target, closest first: those that answered, at most 16 of each protocol.

        A target is a public key, or 64 bytes in the form of one; or, for v5 alone, a node-ID of 32 bytes.
        """
        raw = bytes(target) if isinstance(target, PublicKey) else as_bytes(target, "the target of a lookup")
        able = [one for one in self._running(version) if len(raw) in one.protocol.target_sizes]
        if not able:
            raise LocalProtocolError("a target has 64 bytes, or for discovery v5 also 32")
        found: dict[bytes, NodeRecord] = {}
        for one in able:
            for node in await one.lookup(raw):
                if node.id not in found or found[node.id].enr is None:
                    found[node.id] = node
        place = raw if len(raw) == 32 else keccak256(raw)
        return tuple(sorted(found.values(), key=lambda node: int.from_bytes(node.id, "big") ^ int.from_bytes(place, "big")))

    async def find_nodes(
        self, node: NodeRecord | str, around: PublicKey | bytes | Iterable[int], *, version: int | None = None
    ) -> tuple[NodeRecord, ...] | None:
        """Ask one node for others that it knows, at most 16; None if it is silent.

        `around` is for v4 a target, a public key or 64 bytes in the form of one: the node names those that it knows closest to that. For
        v5 it is one or more logarithmic distances from the node itself, 0 to 256, of which 0 is its own record, and some nodes answer only
        to ten or fewer. TypeError for what is neither, LocalProtocolError for another size, distance or version.
        """
        record = await self._with_ips(node)
        if isinstance(around, (PublicKey, bytes, bytearray, memoryview)):
            if self.v4 is None or version not in {None, 4}:
                raise LocalProtocolError("a target is for discovery v4: v5 asks for distances, such as [256, 255]")
            return await self.v4.find_nodes(record, around if isinstance(around, PublicKey) else bytes(around))
        require(around, Iterable, "what to find nodes around is a public key, or distances such as [256, 255]")
        if version not in {None, 5}:
            raise LocalProtocolError("distances are for discovery v5: v4 asks for nodes around a target, a public key")
        return await self._need_v5().find_nodes(record, around)

    async def talk(self, node: NodeRecord | str, protocol: bytes, request: bytes) -> bytes | None:
        """Say something to a node in another protocol, by v5, and return its response; None if it is silent."""
        return await self._need_v5().talk(await self._with_ips(node), protocol, request)

    # What runs

    async def run(self) -> None:
        """Serve the socket and the timers, for ever; `open_discovery` does this."""
        unread = 0
        while True:
            with trio.CancelScope(deadline=self._due()) as self._sleep:
                await self._socket.wait_readable()
            now = self._clock.now()
            batch = self._socket.receive()
            for data, sender in batch:
                if not any(one.protocol.receive_datagram(data, sender, now) for one in self._versions.values()):
                    self._unhandled += 1
                    self._socket.give_back(data, sender)
                    if self._on_unhandled is not None:
                        self._on_unhandled(data, sender)
            # What is in the socket still may be the answers that are waited for, if we were late; but a flood must not stop the timers.
            unread = unread + 1 if len(batch) == BATCH else 0
            for one in self._versions.values() if unread % _BATCHES == 0 else ():
                if (due := one.protocol.next_timer()) is not None and due <= now:
                    one.protocol.handle_timer(now)
            self._flush()

    def close(self) -> None:
        """Nothing will come any more: let those who wait know."""
        self._finder.close()
        for one in self._versions.values():
            one.operations.close()

    def begin_finding(self, nursery: trio.Nursery, trees: DnsSource | None, *, local: bool, walks: bool) -> None:
        """Have the sources of candidates work in a nursery, of which some ask nodes (`walks`); `open_discovery` does this."""
        nursery.start_soon(repeat_known, self._finder)
        for one in self._versions.values() if walks else ():
            nursery.start_soon(walk, one, self._finder, partial(self._known.heard, one.source, answered=True))
        if self.v4 is not None and self.v5 is not None and walks:
            nursery.start_soon(introduce, self.v4, self.v5, self._known.bootnodes)
        self._trees = trees
        if trees is not None:
            nursery.start_soon(partial(read_trees, trees, self._finder, partial(self._note_tree, trees), local=local))

    def _note_tree(self, trees: DnsSource, node: NodeRecord) -> None:
        self._known.heard("dns", [node], answered=False)
        self._known.keep_tree_sequences(trees.sequences)

    def _flush(self) -> None:
        """Send what is to be sent, take in what has happened, and see that we wake up in time."""
        now = self._clock.now()
        for one in self._versions.values():
            for data, to in one.protocol.datagrams_to_send(now):
                if self._may_send is None or self._may_send(to):
                    self._socket.send(data, to)
                else:
                    self._withheld += 1
            while (event := one.protocol.next_event()) is not None:
                if isinstance(event, Ended):
                    one.operations.end(event)
                elif not isinstance(event, NodeHeard):
                    self._note(event)
                elif self._on_heard is not None and may_be_asked(event.contact.endpoint, node := one.protocol.record_of(event.contact)):
                    self._on_heard(node, one.version)
        self._sleep.deadline = self._due()

    def _note(self, news: AddressChanged | ClockDoubtful) -> None:
        match news:
            case AddressChanged():
                if self._own.address_changed():
                    _logger.info("others see us at %s; our record has the number %d", news.ipv4 or news.ipv6, self.record.sequence)
            case ClockDoubtful():
                _logger.warning("nobody answers, and what comes is too old: the system's clock is probably ahead")

    def _due(self) -> float:
        timers = (one.protocol.next_timer() for one in self._versions.values())
        return min((self._clock.to_trio(timer) for timer in timers if timer is not None), default=float("inf"))

    def _running(self, version: int | None) -> tuple[Awaited[Any], ...]:
        running = tuple(one for one in self._versions.values() if version in {None, one.version})
        if not running:
            raise LocalProtocolError(f"discovery v{version} does not run")
        return running

    def _fitting(self, node: NodeRecord, version: int | None) -> Awaited[Any]:
        """The protocol by which to ask a node: the better one of those of which it is known where to send to."""
        running = self._running(version)
        return next((one for one in running if one.protocol.contact_of(node) is not None), running[-1])

    async def _with_ips(self, node: NodeRecord | str) -> NodeRecord:
        record = node_of(node)
        await trio.lowlevel.checkpoint()  # perhaps there is nothing to wait for
        return await with_ip_addresses(record, self._socket.ip_versions) or record

    def _need_v5(self) -> AwaitedV5:
        if self.v5 is None:
            raise LocalProtocolError("discovery v5 does not run")
        return self.v5
