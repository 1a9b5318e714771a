"""A restart, while somebody has filled what we find and wants all places: the hour of an eclipse, on a whole node over a network in memory.

The nodes have addresses of the internet, so that networks count. The attacker has identities without number in four networks, answers
whoever dials him, serves like everybody, knocks at once when we start, and is 95 of 100 nodes that are found. `tests/slots` has
the same as models, with many runs.
"""

from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pytest
import trio

from devp2p import Address, Channel, Node, NodeRecord, Peer, PeerDisconnected, PublicKey, RemoteProtocolError, open_node
from devp2p.book import Book
from devp2p.discovery.candidates import Candidate
from devp2p.peers.slots.policy import Slots
from devp2p.session import LocalNode, open_session, run_session
from devp2p.testing import MemoryTransport
from devp2p.transports.links import ByteLink, Link
from devp2p.transports.memory import memory_stream_pair
from tests.books import key
from tests.chat import Chat, ChatMessage
from tests.network import NO_PINGS

PLACES = 12
HONEST, ATTACKERS = range(8), range(100, 252)  # 95 %
NETWORKS = 4
"""Those of the attacker. At most two peers are of one network, so he could have two thirds of the places."""


def address(number: int) -> Address:
    """Where a node is: each attacker at a host of its own, in few networks, and everybody else in a network of his own."""
    return Address("tcp", f"60.{number % NETWORKS}.{number}.7" if number in ATTACKERS else f"30.{number}.0.7", 30303)


def record(number: int) -> NodeRecord:
    return NodeRecord(key(number).public_key, (address(number),))


class Line(MemoryTransport):
    """What one host has of the internet."""

    schemes = frozenset({"tcp"})

    def __init__(self, internet: MemoryTransport, host: str) -> None:
        super().__init__(internet)
        self._host = host

    async def dial(self, address: Address, *, expect: PublicKey | None) -> ByteLink:  # noqa: ARG002
        await trio.lowlevel.checkpoint()
        if address.host not in self._names.listeners:
            raise ConnectionRefusedError(f"nobody listens at {address}")
        ours, theirs = memory_stream_pair()
        local = Address("tcp", self._host, 50000)
        self._names.listeners[address.host][1].send_nowait(ByteLink(theirs, local=address, remote=local, initiator=False))
        return ByteLink(ours, local=local, remote=address, initiator=True)


class Serving(Chat):
    """Brings as much in a minute as a test says, by public key; everybody else five."""

    slots = 8

    def __init__(self, worth: dict[bytes, float] | None = None) -> None:
        self._worth = worth or {}

    async def run(self, peer: Peer, channel: Channel[ChatMessage]) -> None:
        while True:
            channel.conduct.useful(self._worth.get(bytes(peer.public_key), 5.0))
            await trio.sleep(60)


@dataclass
class Attacker:
    """One identity of the attacker: no more of a node than others see."""

    number: int
    internet: MemoryTransport
    connected: bool = False

    def __post_init__(self) -> None:
        self.line = Line(self.internet, address(self.number).host)
        self.local = LocalNode(key(self.number), "attacker", (Serving(),), NO_PINGS)

    async def run(self, victim: NodeRecord) -> None:
        """Answer whoever dials, and knock, again and again."""
        async with trio.open_nursery() as nursery:
            self.nursery = nursery
            nursery.start_soon((await self.line.bind(address(self.number))).serve, self.on_link)
            await trio.sleep((self.number - ATTACKERS[0]) * 0.01)
            while True:
                if not self.connected:
                    nursery.start_soon(self.hold, await self.line.dial(victim.addresses[0], expect=None), victim.public_key)
                await trio.sleep(240)

    async def on_link(self, link: Link) -> None:
        self.nursery.start_soon(self.hold, link, None)

    async def hold(self, link: Link, expect: PublicKey | None) -> None:
        try:
            session = await open_session(link, self.local, expect=expect)
            self.connected = True
            await run_session(session)
        except (RemoteProtocolError, PeerDisconnected, trio.TooSlowError):
            pass
        finally:
            self.connected = False


@asynccontextmanager
async def victim(internet: MemoryTransport, book: Path | None, capability: Serving, *, defended: bool = True) -> AsyncIterator[Node]:
    """The node that is attacked. It dials whom it is offered, as one with discovery does."""
    where = Address("tcp", "90.1.0.7", 30303)
    line = Line(internet, where.host)
    options: dict[str, Any] = {
        "listen": [where],
        "candidates": nobody(),
        "book": book,
        "max_peers": PLACES,
        "transports": [line],
        "limits": NO_PINGS,
        "strict": True,
    }
    async with open_node(key(999), [capability], **options) as node:
        limits: dict[str, Any] = {} if defended else {"network_cap": PLACES, "dialled_floor": 0}
        node.policy.slots = Slots(node.policy.slots.rules.specs, PLACES, secret=bytes(16), **limits)
        if not defended:  # in ten minutes there is one replacement, by a node chosen at random; without it there is none
            node.policy.slots.changes_allowed = 0
        yield node


async def nobody() -> AsyncIterator[NodeRecord]:
    """No other source than the one of the test; the node dials, as it has one."""
    await trio.sleep_forever()
    yield record(0)


async def found(numbers: Iterable[int], first: int = 0) -> AsyncIterator[Candidate]:
    """Find nodes: so many at once, the others one by one."""
    for count, number in enumerate(numbers):
        yield Candidate(record(number), "v4")
        await trio.sleep(0 if count < first else 2)
    await trio.sleep_forever()


def poisoned() -> Iterable[int]:
    """A hundred of the attacker's first, then one of ours in twenty."""
    attackers, honest = cycle(ATTACKERS), cycle(HONEST)
    yield from islice(attackers, 100)
    while True:
        yield next(honest)
        yield from islice(attackers, 19)


@dataclass(frozen=True)
class Outcome:
    """Whom the node has in the end, by number."""

    anchors: tuple[int, ...]
    """Those of its first life that are still up."""
    dialled: frozenset[int]
    inbound: frozenset[int]

    @property
    def all(self) -> frozenset[int]:
        return self.dialled | self.inbound


def number_of(public_key: PublicKey) -> int:
    numbers: list[int] = [*HONEST, *ATTACKERS]
    return next(number for number in numbers if key(number).public_key == public_key)


async def two_lives(book: Path | None, *, away: int, defended: bool = True) -> Outcome:
    """A quarter of an hour with honest nodes, a restart, and ten minutes of the attack. `away`: how many anchors are gone by then."""
    internet = MemoryTransport()
    anchors: list[int] = []
    async with AsyncExitStack() as nodes:
        honest: dict[int, AsyncExitStack] = {}
        for number in HONEST:
            honest[number] = await nodes.enter_async_context(AsyncExitStack())
            where = address(number)
            lines = [Line(internet, where.host)]
            opening = open_node(key(number), [Serving()], listen=[where], transports=lines, limits=NO_PINGS, strict=True)
            await honest[number].enter_async_context(opening)
        if book is not None:
            worth = {bytes(key(number).public_key): 1.0 + number for number in HONEST}
            async with victim(internet, book, Serving(worth)) as node, trio.open_nursery() as nursery:
                nursery.start_soon(node._steering.collect, found(HONEST))
                await trio.sleep(900)
                nursery.cancel_scope.cancel()
            with Book.open(book) as kept:
                anchors = [number for anchor in kept.standings.anchors for number in HONEST if record(number).id == anchor.id]
            for number in anchors[:away]:
                await honest[number].aclose()
        async with victim(internet, book, Serving(), defended=defended) as node, trio.open_nursery() as nursery:
            for number in ATTACKERS:
                nursery.start_soon(Attacker(number, internet).run, record_of(node))
            await trio.sleep(2)  # by then each of them has knocked
            nursery.start_soon(node._steering.collect, found(poisoned(), 100))
            await trio.sleep(600)
            peers = {number_of(peer.public_key): peer.inbound for peer in node.connected}
            nursery.cancel_scope.cancel()
    dialled = frozenset(number for number, inbound in peers.items() if not inbound)
    return Outcome(tuple(anchors[away:]), dialled, frozenset(peers) - dialled)


def record_of(node: Node) -> NodeRecord:
    return NodeRecord(node.public_key, node.addresses)


@pytest.mark.simulation
@pytest.mark.parametrize("away", [0, 1])
async def test_a_node_restarted_into_an_attack_keeps_its_anchors_and_three_honest_peers_that_it_dialled(tmp_path, away):
    outcome = await two_lives(tmp_path / "book", away=away)
    assert outcome.anchors == (HONEST[-1], HONEST[-2])[away:], "the two best of its first life"
    assert set(outcome.anchors) <= outcome.dialled
    assert len(outcome.dialled & set(HONEST)) >= 3
    assert outcome.all & set(ATTACKERS), "he has what he can get"
    assert max(Counter(address(number).host[:4] for number in outcome.all & set(ATTACKERS)).values()) <= 2


@pytest.mark.simulation
async def test_control_without_a_book_and_without_bounds_the_attacker_has_all_places():
    outcome = await two_lives(None, away=0, defended=False)
    assert len(outcome.all) >= PLACES - 2  # two are left free for newcomers, who would be his
    assert outcome.all <= set(ATTACKERS)
