"""Row H4 of THREATS.md: auths that were seen on the wire and are sent again, and what may be done in another's name.

Each name begins with its row. A control runs the same attack with the defence disabled, and there it must succeed.
"""

import tracemalloc
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from devp2p import Address, Node, NodeRecord, PrivateKey, rlp
from devp2p.book import Book
from devp2p.errors import HandshakeError
from devp2p.keys import PublicKey, keccak256
from devp2p.node.events import PeerConnected
from devp2p.testing import ScriptedPeer
from devp2p.wire.rlpx import ecies, handshake, replays
from devp2p.wire.rlpx.agreement import Agreement
from devp2p.wire.rlpx.handshake import Initiator, Recipient
from devp2p.wire.rlpx.replays import LIFETIME, POINTS, SeenAuths
from tests.books import fill
from tests.chat import Chat
from tests.fuzz.wire_targets import entropy
from tests.network import LARGE, Network, running
from tests.wire.handshakes import AUTH, KEY_B, PLAIN_AUTH

P = 2**256 - 2**32 - 977


@pytest.fixture
def operations(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each function of devp2p.keys that computes on the curve is called."""
    counted: Counter[str] = Counter()

    def count(owner: Any, name: str) -> None:
        original = getattr(owner, name)

        def counting(*arguments: Any, **options: Any) -> Any:
            counted[name] += 1
            return original(*arguments, **options)

        monkeypatch.setattr(owner, name, counting)

    for name in ("agree", "sign"):
        count(PrivateKey, name)
    for name in ("from_bytes", "verify"):
        count(PublicKey, name)
    count(handshake, "recover")
    public: Callable[[PrivateKey], PublicKey] = vars(PrivateKey)["public_key"].fget

    def public_key(key: PrivateKey) -> PublicKey:
        counted["public_key"] += key._public_key is None
        return public(key)

    monkeypatch.setattr(PrivateKey, "public_key", property(public_key))
    return counted


def everything_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SeenAuths, "is_new", lambda *_: True)


# What a recipient does


class Door:
    """Recipients of one node, each of which gets one auth."""

    def __init__(self, key: PrivateKey = KEY_B) -> None:
        self.key = key
        self.seen = SeenAuths()
        self.now = 0.0

    def knock(self, auth: bytes) -> Agreement | str | None:
        """What comes of an auth: what is agreed, the text of the error, or None if more is awaited."""
        side = Recipient(self.key, entropy(1), is_new=lambda point: self.seen.is_new(point, self.now))
        try:
            return side.receive_data(auth)
        except HandshakeError as error:
            return str(error)


@pytest.mark.parametrize("auth", [AUTH, PLAIN_AUTH], ids=["EIP-8", "plain"])
def test_h4_ten_thousand_replays_cost_nothing_on_the_curve(auth: bytes, operations: Counter[str]) -> None:
    door = Door()
    assert isinstance(door.knock(auth), Agreement)
    assert operations["agree"] == 4
    operations.clear()
    answers = {door.knock(auth) for _ in range(10_000)}
    assert answers == ({"handshake packet does not open"} if auth == AUTH else {None})  # of the other, the rest of a longer one is awaited
    assert not operations


@pytest.mark.parametrize("auth", [AUTH, PLAIN_AUTH], ids=["EIP-8", "plain"])
def test_h4_control_without_the_cache_each_costs_as_much_as_the_first(
    auth: bytes, operations: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    everything_is_new(monkeypatch)
    door = Door()
    assert isinstance(door.knock(auth), Agreement)
    first = Counter(operations)
    assert first["agree"] >= 3
    assert first["recover"] == 1
    assert all(isinstance(door.knock(auth), Agreement) for _ in range(100))
    assert operations["agree"] == 101 * first["agree"]
    assert operations["recover"] == 101


def test_h4_changing_the_rest_of_a_replay_does_not_make_it_new(operations: Counter[str]) -> None:
    door = Door()
    door.knock(AUTH)
    operations.clear()
    for position in range(67, len(AUTH)):
        changed = bytearray(AUTH)
        changed[position] ^= 1
        assert door.knock(bytes(changed)) == "handshake packet does not open"
    longer = (len(AUTH) - 2 + 50).to_bytes(2, "big") + AUTH[2:] + bytes(50)
    assert door.knock(longer) == "handshake packet does not open"
    assert not operations


def negated(auth: bytes) -> bytes:
    """The same auth with -R, which has the x of R, in the place of R."""
    y = int.from_bytes(auth[35:67], "big")
    return auth[:35] + (P - y).to_bytes(32, "big") + auth[67:]


def test_h4_the_other_point_with_the_same_x_is_no_new_one(operations: Counter[str]) -> None:
    door = Door()
    door.knock(AUTH)
    operations.clear()
    assert door.knock(negated(AUTH)) == "handshake packet does not open"
    assert not operations


def test_h4_control_to_the_recipient_it_is_as_good() -> None:
    assert isinstance(Door().knock(negated(AUTH)), Agreement)


def test_h4_one_auth_in_either_format_makes_the_other_a_replay(operations: Counter[str]) -> None:
    door = Door()
    assert isinstance(door.knock(AUTH), Agreement)
    operations.clear()
    assert door.knock((AUTH[2:] + bytes(307))[:307]) is None
    assert not operations


def test_h4_a_replay_is_refused_with_the_same_words_as_any_bad_packet() -> None:
    door = Door()
    door.knock(AUTH)
    bad = AUTH[:-1] + bytes([AUTH[-1] ^ 1])
    assert door.knock(AUTH) == Door().knock(bad) == Door().knock(AUTH[:3] + bytes(64) + AUTH[67:])


# What is remembered


def point(number: int) -> bytes:
    return b"\x04" + number.to_bytes(32, "big") + keccak256(number.to_bytes(32, "big"))


def test_h4_a_replay_is_known_for_ten_minutes_after_it_last_came() -> None:
    seen = SeenAuths()
    assert seen.is_new(point(1), 0.0)
    assert not seen.is_new(point(1), 599.9)
    assert not seen.is_new(point(1), 1199.8)
    assert seen.is_new(point(1), 1199.8 + LIFETIME)


def test_h4_old_points_leave_no_trace() -> None:
    seen = SeenAuths()
    for number in range(100):
        seen.is_new(point(number), float(number))
    seen.is_new(point(100), 49.0 + LIFETIME)
    assert len(seen) == 51


def test_h4_whoever_pushes_a_point_out_has_paid_with_as_many_new_ones() -> None:
    seen = SeenAuths()
    seen.is_new(point(0), 0.0)
    for number in range(1, POINTS):
        assert seen.is_new(point(number), 1.0)
    assert not seen.is_new(point(0), 2.0)
    for number in range(POINTS, 2 * POINTS - 1):
        assert seen.is_new(point(number), 3.0)
    assert not seen.is_new(point(0), 4.0), "it came again meanwhile, and so is not the oldest"
    for number in range(2 * POINTS, 3 * POINTS):
        assert seen.is_new(point(number), 5.0)
    assert seen.is_new(point(0), 6.0)
    assert len(seen) == POINTS


def remembered(number: int) -> int:
    """Bytes that the cache takes after so many points."""
    seen = SeenAuths()
    tracemalloc.start()
    try:
        for each in range(number):
            seen.is_new(point(each), each / 1000)
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def test_h4_any_number_of_points_takes_less_than_a_mebibyte() -> None:
    assert remembered(20_000) < 2**20


def test_h4_control_without_a_bound_it_takes_ever_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replays, "POINTS", 10**9)
    assert remembered(20_000) > 2 * 2**20


# What a node does


def auth_of(key: PrivateKey, node: Node) -> bytes:
    return Initiator(key, node.public_key, entropy(7)).packet


async def send(network: Network, node: Node, auth: bytes) -> bytes:
    """Send an auth over a new link, and then what is no frame; what comes back until the node hangs up."""
    link = await network.dial(node.record.addresses[0], expect=None)
    stream = link.stream
    await stream.send_all(auth)
    await wait_all_tasks_blocked()
    with suppress(trio.BrokenResourceError):
        await stream.send_all(bytes(100))
    await stream.send_eof()
    answer = bytearray()
    while piece := await stream.receive_some():
        answer += piece
    await stream.aclose()
    return bytes(answer)


@asynccontextmanager
async def replayed(times: int) -> AsyncIterator[tuple[Node, list[bytes]]]:
    """A node to which one auth was sent so often, over as many links, and what it answered."""
    network = Network()
    async with running(network) as node:
        auth = auth_of(LARGE, node)
        yield node, [await send(network, node, auth) for _ in range(times)]


async def test_h4_a_node_answers_a_replay_by_nothing(operations: Counter[str]) -> None:
    async with replayed(1) as (_, answers):
        assert len(answers[0]) > 300  # ack and Hello: nobody can tell a first auth from a replay
        once = Counter(operations)
    operations.clear()
    async with replayed(200) as (_, answers):
        assert set(answers[1:]) == {b""}
        assert operations == once


async def test_h4_control_a_node_without_the_cache_answers_each(operations: Counter[str], monkeypatch: pytest.MonkeyPatch) -> None:
    everything_is_new(monkeypatch)
    async with replayed(20) as (_, answers):
        assert all(len(answer) > 300 for answer in answers)
        assert operations["recover"] == 20


async def test_h4_who_was_replayed_comes_in_all_the_same() -> None:
    network = Network()
    async with running(network) as node:
        await send(network, node, auth_of(LARGE, node))
        for _ in range(5):
            await send(network, node, auth_of(LARGE, node))
        peer = await ScriptedPeer.dial(network, node.record, [Chat()], key=LARGE)
        await peer.begin()
        await wait_all_tasks_blocked()
        assert [one.public_key for one in node.connected] == [LARGE.public_key]
        await peer.stream.aclose()


# What is kept of the one in whose name it was sent


def kept(node: Node, key: PublicKey, book: Book) -> tuple[object, ...]:
    """All that a node keeps of another: rating, ban, the history of dials, the pool, the peer, and what is in the book."""
    policy, node_id, now = node.policy, key.node_id, trio.current_time()
    node._steering.save()
    known = policy.candidates.pool.get(node_id)
    return (
        node_id in policy.ratings and policy.ratings.standing(node_id, "chat", now),
        policy.bans.get(node_id, now),
        policy.candidates.history.why_not(record_of(key), now),
        known and (known.record, known.tries, known.served),
        [peer for peer in node.connected if peer.public_key == key],
        book.get(node_id),
        [row._replace(saved=0.0, last_connected=0.0) for row in book.standings.ratings if row.id == node_id],
        [row for row in book.standings.bans if row.id == node_id],
    )


def record_of(key: PublicKey) -> NodeRecord:
    return NodeRecord(key, (Address("memory", "friend"),))


def forged(key: PrivateKey, node: Node, number: int) -> bytes:
    """An auth in a node's name without its key. Whatever the signature is, some ephemeral key is recovered from it, so that it opens."""
    liar = PrivateKey.generate()
    signature = liar.sign(keccak256(bytes([number])))
    body = rlp.encode([signature, bytes(key.public_key), bytes([number]) * 32, 4])
    prefix = (ecies.OVERHEAD + len(body)).to_bytes(2, "big")
    return prefix + ecies.encrypt(node.public_key, body, ephemeral=liar, iv=bytes(16), shared_mac_data=prefix)


@pytest.mark.parametrize("connected", [False, True])
async def test_h4_what_is_sent_in_anothers_name_changes_nothing_that_is_kept_of_it(*, connected: bool) -> None:
    network = Network()
    with Book.open(":memory:") as book:
        fill(book, [record_of(LARGE.public_key)])
        async with running(network, book=book) as node:
            events = node.events()
            friend = None
            if connected:
                friend = await ScriptedPeer.dial(network, node.record, [Chat()], key=LARGE)
                await friend.begin()
                await wait_all_tasks_blocked()
                assert isinstance(await anext(events), PeerConnected)
            before = kept(node, LARGE.public_key, book)
            auth = auth_of(LARGE, node)
            packets = [auth, auth, *(forged(LARGE, node, number) for number in range(10))]
            answers = [await send(network, node, packet) for packet in packets]
            assert sum(len(answer) > 300 for answer in answers) == 11  # all but the replay opened, and were in its name
            assert kept(node, LARGE.public_key, book) == before
            if friend is not None:
                await friend.stream.aclose()


async def test_h4_control_the_same_by_the_node_itself_changes_it() -> None:
    network = Network()
    with Book.open(":memory:") as book:
        fill(book, [record_of(LARGE.public_key)])
        async with running(network, book=book) as node:
            before = kept(node, LARGE.public_key, book)
            friend = await ScriptedPeer.dial(network, node.record, [Chat()], key=LARGE)
            await friend.begin()
            await wait_all_tasks_blocked()
            await friend.stream.send_all(bytes(100))
            await friend.receive_end()
            await friend.stream.aclose()
            await wait_all_tasks_blocked()
            after = kept(node, LARGE.public_key, book)
            assert after[0] != before[0]
            assert after[6] != before[6]
