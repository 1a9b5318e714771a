"""Dials race: in which order they begin, when, who wins, and that nothing is left of the others."""

from contextlib import suppress
from itertools import pairwise

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from devp2p import Address, DialError, HandshakeError, Link, Listener, NodeRecord, PrivateKey, Progress, PublicKey, dial, open_node
from devp2p.transports import ByteLink, Preference, in_order, preference_of
from devp2p.transports.memory import MemoryStream, memory_link_pair
from tests.chat import Chat
from tests.network import LARGE, SMALL

SCHEMES = {"quiet": Preference.PROVED, "tcp": Preference.TCP, "odd": Preference.OTHER, "relay": Preference.RELAY}
HOSTS = ["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2", "node.example"]
ADDRESSES = st.builds(Address, st.sampled_from([*SCHEMES]), st.sampled_from(HOSTS), st.integers(1, 3))


def rank(address: Address) -> int:
    return SCHEMES[address.scheme]


# The order


@given(st.lists(ADDRESSES, max_size=20))
def test_the_order_is_by_transport_and_then_by_families_in_turn(addresses: list[Address]) -> None:
    order = in_order(addresses, rank)
    assert sorted(map(str, order)) == sorted(map(str, dict.fromkeys(addresses))), "each once, and no other"
    assert [*map(rank, order)] == sorted(map(rank, order))
    for preference in Preference:
        given_ones = [address for address in dict.fromkeys(addresses) if rank(address) == preference]
        ones = [address for address in order if rank(address) == preference]
        assert ones[:1] == given_ones[:1], "the best one stays the first"
        families = [len(address.ip) == 16 for address in ones]
        for family in (True, False):
            assert [one for one in ones if (len(one.ip) == 16) is family] == [one for one in given_ones if (len(one.ip) == 16) is family]
        mixed = 2 * min(families.count(True), families.count(False))
        assert all(one is not other for one, other in pairwise(families[:mixed]))


@given(st.lists(ADDRESSES, max_size=8))
def test_the_order_is_one(addresses: list[Address]) -> None:
    assert in_order(in_order(addresses, rank), rank) == in_order(addresses, rank)


def test_what_counts_for_what() -> None:
    wanted = {
        "tcp://1.2.3.4:1": Preference.TCP,
        "unix:///run/x": Preference.OTHER,
        "ws://1.2.3.4:1": Preference.OTHER,
        f"relay://{bytes(SMALL.public_key).hex()}@1.2.3.4:1": Preference.RELAY,
    }
    assert {text: preference_of(Address.parse(text)) for text in wanted} == wanted


# The race


def at(name: str) -> Address:
    return Address("race", name)


class Track:
    """A transport at whose addresses something happens after a while: ``link 3``, ``fail 0.1``, ``never 0``, ``break 1``, ``stray 0``."""

    schemes = frozenset({"race"})

    def __init__(self) -> None:
        self.began: dict[str, float] = {}
        self.cancelled: list[str] = []
        self.streams: list[MemoryStream] = []

    async def dial(self, address: Address, *, expect: PublicKey | None) -> Link:  # noqa: ARG002
        self.began[address.host] = trio.current_time()
        what, seconds, *_ = address.host.split()
        try:
            await trio.sleep(10**6 if what == "never" else float(seconds))
        except trio.Cancelled:
            self.cancelled.append(address.host)
            raise
        if what == "fail":
            raise ConnectionRefusedError("nobody is here")
        if what == "break":
            raise HandshakeError("that is no handshake")
        if what == "gone":
            raise trio.BrokenResourceError
        if what == "stray":
            raise KeyError("a fault of the transport itself")
        ours, theirs = memory_link_pair(ends=(address, address))
        assert isinstance(theirs.stream, MemoryStream)
        self.streams.append(theirs.stream)
        return ours

    async def bind(self, address: Address) -> Listener:
        raise NotImplementedError


def node(*names: str) -> NodeRecord:
    return NodeRecord(LARGE.public_key, tuple(map(at, names)))


async def race(*names: str, timeout: float = 100, each: float = 15, progress: Progress | None = None) -> tuple[Track, Link]:  # noqa: ASYNC109
    track = Track()
    link = await dial(node(*names), [track], timeout=timeout, each=each, progress=progress)
    return track, link


@pytest.mark.parametrize(
    ("names", "began", "winner", "after"),
    [
        (["link 0.2 a", "link 0 b"], {"link 0.2 a": 0}, "link 0.2 a", 0.2),
        (["link 3 a", "link 1 b"], {"link 3 a": 0, "link 1 b": 0.25}, "link 1 b", 1.25),
        (["link 1 a", "link 3 b"], {"link 1 a": 0, "link 3 b": 0.25}, "link 1 a", 1),
        (["fail 0.1 a", "link 1 b"], {"fail 0.1 a": 0, "link 1 b": 0.1}, "link 1 b", 1.1),
        (["break 0.1 a", "link 1 b"], {"break 0.1 a": 0, "link 1 b": 0.1}, "link 1 b", 1.1),
        (["gone 0.1 a", "stray 0.1 b", "link 0 c"], {"gone 0.1 a": 0, "stray 0.1 b": 0.1, "link 0 c": 0.2}, "link 0 c", 0.2),
        (["never 0 a", "never 0 b", "link 0 c"], {"never 0 a": 0, "never 0 b": 0.25, "link 0 c": 0.5}, "link 0 c", 0.5),
        (["never 0 a", "fail 0.05 b", "link 0 c"], {"never 0 a": 0, "fail 0.05 b": 0.25, "link 0 c": 0.3}, "link 0 c", 0.3),
        (["fail 0.3 a", "never 0 b", "link 0 c"], {"fail 0.3 a": 0, "never 0 b": 0.25, "link 0 c": 0.3}, "link 0 c", 0.3),
        (["link 0.5 a", "never 0 b", "never 0 c"], {"link 0.5 a": 0, "never 0 b": 0.25, "never 0 c": 0.5}, "link 0.5 a", 0.5),
    ],
)
async def test_one_after_the_other_begins_and_the_first_link_wins(
    names: list[str], began: dict[str, float], winner: str, after: float
) -> None:
    started, progress = trio.current_time(), Progress()
    track, link = await race(*names, progress=progress)
    times = {name: round(time - started, 6) for name, time in track.began.items()}
    if winner != "link 0.5 a":  # its third begins in the moment in which the first stands, or not
        assert times == began
    assert (link.remote, progress.address) == (at(winner), at(winner))
    assert trio.current_time() - started == pytest.approx(after)
    assert progress.seconds["connect"] == pytest.approx(after - times[winner])
    assert set(progress.failures) == {at(name) for name in times if name.startswith(("fail", "break", "gone", "stray"))}
    assert set(track.cancelled) == set(times) - {winner} - {address.host for address in progress.failures}
    assert trio.lowlevel.current_statistics().tasks_living == TASKS
    await link.aclose()


TASKS = 3
"""Trio's own, and the test's."""


async def test_of_two_links_that_stand_at_once_one_is_closed() -> None:
    track, link = await race("link 0.25 a", "link 0 b")
    assert isinstance(link, ByteLink)
    await link.stream.send_all(b"x")
    ends: list[bytes] = []
    for stream in track.streams:
        with suppress(trio.BrokenResourceError):
            ends.append(await stream.receive_some(1))
    assert sorted(ends) in ([b"x"], [b"", b"x"])
    await link.aclose()


async def test_if_all_fail_each_is_told_in_the_order_in_which_it_was_given() -> None:
    progress = Progress()
    with pytest.raises(DialError) as caught:
        await race("never 0 a", "fail 0.4 b", "break 0 c", timeout=3, progress=progress)
    assert str(caught.value) == (
        "race://never 0 a: no answer within 3 s; race://fail 0.4 b: nobody is here; race://break 0 c: that is no handshake"
    )
    assert [*progress.failures] == [at("never 0 a"), at("fail 0.4 b"), at("break 0 c")]


@pytest.mark.parametrize("after", [0.0, 0.1, 0.25, 0.3, 0.5, 0.6])
async def test_a_race_that_is_cancelled_leaves_nothing(after: float) -> None:
    track = Track()
    with trio.move_on_after(after) as scope:
        link = await dial(node("never 0 a", "link 0.25 b", "never 0 c"), [track])
        await link.aclose()
        await trio.sleep_forever()
    assert scope.cancelled_caught
    assert len(track.cancelled) + len(track.streams) == len(track.began)
    for stream in track.streams:
        assert await stream.receive_some() == b""
    assert trio.lowlevel.current_statistics().tasks_living == TASKS


async def test_an_address_that_is_named_twice_is_dialled_once() -> None:
    with pytest.raises(DialError, match=r"^race://fail 0 a: nobody is here$"):
        await race("fail 0 a", "fail 0 a")


@pytest.mark.real_clock
async def test_a_node_is_reached_by_the_address_that_answers_first_and_once() -> None:
    """A real one: at an IPv6 and an IPv4 address, of which one does not answer."""
    async with (
        open_node(LARGE, [Chat()], listen=["tcp://127.0.0.1:0", "tcp://[::1]:0"], strict=True) as called,
        open_node(SMALL, [Chat()], strict=True) as caller,
    ):
        ipv4, ipv6 = called.addresses
        with trio.socket.socket() as shut:
            await shut.bind(("127.0.0.1", 0))
            nobody = Address(ipv4.scheme, "127.0.0.1", shut.getsockname()[1])
            peer = await caller.connect(NodeRecord(called.public_key, (nobody, ipv6, ipv4)))
        assert peer.address == ipv6
        assert await caller.connect(NodeRecord(called.public_key, (ipv4,))) is peer, "no second link to a node that is connected"
        await peer.ready(Chat)
        assert len(called.connected) == 1


async def test_a_key_that_is_not_there_is_told_as_well() -> None:
    with pytest.raises(DialError, match="port 0 says"):
        await dial(NodeRecord(PrivateKey.generate().public_key, (Address("race", "x", 0),)), [Track()])
