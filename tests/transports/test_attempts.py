"""Names with several IP addresses: the attempts race, and nothing is left of those that were given up."""

import socket
from typing import Any

import pytest
import trio

from devp2p import Address, HandshakeError, Link, open_node
from devp2p.transports import first_link
from devp2p.transports.memory import MemoryStream, memory_link_pair
from tests.chat import Chat, GetTime
from tests.transports.linking import ALICE, BOB
from tests.transports.ways import node_at


class Places:
    """What happens where: ``link 1`` after a second, ``fail 0``, ``break 0``, ``never 0``."""

    def __init__(self) -> None:
        self.began: dict[str, float] = {}
        self.streams: list[MemoryStream] = []
        self.given_up: list[str] = []

    async def dial(self, place: str) -> Link:
        self.began[place] = trio.current_time()
        what, seconds, *_ = place.split()
        try:
            await trio.sleep(10**6 if what == "never" else float(seconds))
        except trio.Cancelled:
            self.given_up.append(place)
            raise
        if what == "fail":
            raise ConnectionRefusedError(place)
        if what == "break":
            raise HandshakeError(place)
        ours, theirs = memory_link_pair(ends=(Address("memory", place), Address("memory", place)))
        assert isinstance(theirs.stream, MemoryStream)
        self.streams.append(theirs.stream)
        return ours


@pytest.mark.parametrize(
    ("places", "winner", "after"),
    [
        (["link 1"], "link 1", 1),
        (["never 0", "link 1"], "link 1", 1.25),
        (["fail 0.1", "link 1"], "link 1", 1.1),
        (["break 0.1", "link 1"], "link 1", 1.1),
        (["link 3", "never 0", "fail 0.1", "link 0"], "link 0", 0.6),
        (["link 0.1", "never 0"], "link 0.1", 0.1),
    ],
)
async def test_the_first_link_is_the_one(places: list[str], winner: str, after: float) -> None:
    began, there = trio.current_time(), Places()
    link = await first_link(places, there.dial)
    assert link.remote.host == winner
    assert trio.current_time() - began == pytest.approx(after)
    assert set(there.given_up) == {place for place in there.began if place.startswith(("never", "link")) and place != winner}
    await link.aclose()


async def test_of_two_at_once_one_is_closed() -> None:
    there = Places()
    link = await first_link(["link 0.25 a", "link 0 b"], there.dial)
    await link.aclose()
    for stream in there.streams:
        assert await stream.receive_some() == b""


@pytest.mark.parametrize(
    ("places", "error", "text"),
    [
        (["fail 0.1 a", "fail 0 b"], ConnectionRefusedError, "fail 0.1 a"),
        (["fail 0 a", "break 0 b"], HandshakeError, "break 0 b"),
        ([], OSError, "no such place"),
    ],
)
async def test_if_all_fail_what_was_wrong_first_is_told(places: list[str], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        await first_link(places, Places().dial)


@pytest.mark.parametrize("after", [0.0, 0.1, 0.25, 0.3, 0.6])
async def test_cancelled_it_leaves_nothing(after: float) -> None:
    there = Places()
    with trio.move_on_after(after) as scope:
        await (await first_link(["never 0", "link 0.25", "never 1"], there.dial)).aclose()
        await trio.sleep_forever()
    assert scope.cancelled_caught
    assert len(there.given_up) + len(there.streams) == len(there.began)
    for stream in there.streams:
        assert await stream.receive_some() == b""


class Names(trio.abc.HostnameResolver):
    """One name, with two addresses of this machine."""

    async def getaddrinfo(  # noqa: PLR0913, PLR0917  (trio says so)
        self,
        host: Any,
        port: Any,
        family: int = 0,  # noqa: ARG002
        type: int = 0,  # noqa: A002
        proto: int = 0,
        flags: int = 0,  # noqa: ARG002
    ) -> Any:
        hosts = ["127.0.0.2", "127.0.0.1"] if host in {"node.example", b"node.example"} else [host]
        return [(socket.AF_INET, type or socket.SOCK_STREAM, proto, "", (one, int(port))) for one in hosts]

    async def getnameinfo(self, sockaddr: Any, flags: int) -> Any:
        raise NotImplementedError


@pytest.mark.real_clock
@pytest.mark.parametrize("scheme", ["quic", pytest.param("sctp", marks=pytest.mark.interop)])
async def test_a_name_of_which_one_address_is_silent_is_reached_at_the_other(scheme: str) -> None:
    async with (
        open_node(ALICE, [Chat()], listen=[f"{scheme}://127.0.0.1:0"], strict=True) as node,
        open_node(BOB, [Chat()], strict=True) as caller,
    ):
        port = node.addresses[0].port or 0
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            silent.bind(("127.0.0.2", port))
            before = trio.socket.set_custom_hostname_resolver(Names())
            try:
                peer = await caller.connect(node_at(ALICE, Address(scheme, "node.example", port)))
            finally:
                trio.socket.set_custom_hostname_resolver(before)
        assert (await peer[Chat].request(GetTime("abc"))).seconds == 3
        assert peer.address == Address(scheme, "127.0.0.1", port)
