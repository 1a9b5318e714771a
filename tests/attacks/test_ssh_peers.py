"""T42 to T44, T46, T47: what a peer can do to a node by SSH when it is let in."""

from typing import Any

import pytest
import trio
from asyncssh.connection import SSHConnection
from asyncssh.constants import (
    MSG_CHANNEL_CLOSE,
    MSG_CHANNEL_DATA,
    MSG_CHANNEL_FAILURE,
    MSG_CHANNEL_OPEN_CONFIRMATION,
    MSG_CHANNEL_OPEN_FAILURE,
    MSG_CHANNEL_REQUEST,
    MSG_GLOBAL_REQUEST,
    MSG_REQUEST_FAILURE,
)
from asyncssh.packet import Boolean, String, UInt32

from devp2p.transports.ssh import channels, connection, wire
from devp2p.transports.ssh.connection import ServerOwner
from tests.attacks.ssh_bent import Bent, ask, attacked, leading_to, told, until_lost

# T42

ELSEWHERE = [
    (b"session", b""),
    (b"x11", String(b"h") + UInt32(1)),
    (b"direct-tcpip", leading_to(b"127.0.0.1")),
    (b"direct-tcpip", leading_to(b"devp2p.example")),
    (b"forwarded-tcpip", leading_to(b"devp2p")),
    (b"direct-streamlocal@openssh.com", String(b"/run/docker.sock") + String(b"") + UInt32(0)),
    (b"tun@openssh.com", UInt32(1) + UInt32(0)),
    (b"auth-agent@openssh.com", b""),
    (b"channel", b""),
    (b"\xff", b""),
]


async def test_t42_there_is_no_shell_no_command_and_nothing_is_forwarded() -> None:
    async with attacked() as (mallory, link):
        for kind, more in ELSEWHERE:
            ask(mallory, kind, more)
        for name in (b"tcpip-forward", b"streamlocal-forward@openssh.com", b"hostkeys-prove-00@openssh.com", b"keepalive@openssh.com"):
            mallory.send(MSG_GLOBAL_REQUEST, String(name), Boolean(True), String(b"") + UInt32(0))  # noqa: FBT003
        ask(mallory, b"direct-tcpip", leading_to(b"devp2p"))
        stream = await link.accept()
        for name in (b"shell", b"exec", b"pty-req", b"env", b"subsystem", b"auth-agent-req@openssh.com", b"x11-req"):
            mallory.send(MSG_CHANNEL_REQUEST, UInt32(stream.number), String(name), Boolean(True), String(b"id"))  # noqa: FBT003
        mallory.send(MSG_CHANNEL_DATA, UInt32(stream.number), String(b"and yet it is a stream"))
        assert await stream.receive_some() == b"and yet it is a stream"
        await stream.send_all(b"")
        with trio.move_on_after(1):
            await link.accept()
            pytest.fail("something else was opened")
        answers = told(mallory)
        assert answers.count(MSG_CHANNEL_OPEN_FAILURE) == len(ELSEWHERE)
        assert answers.count(MSG_CHANNEL_OPEN_CONFIRMATION) == 1
        assert answers.count(MSG_REQUEST_FAILURE) == 4
        assert answers.count(MSG_CHANNEL_FAILURE) == 7
        assert link._wire.lost is None


async def test_t42_control_asyncssh_by_itself_would_ask_for_a_session(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(ServerOwner, "session_requested", lambda _: asked.append("a shell"))
    async with attacked() as (mallory, link):
        monkeypatch.setattr(connection.Ours, "process_packet", SSHConnection.process_packet)
        ask(mallory, b"session")
        with trio.fail_after(10):
            while not asked:  # noqa: ASYNC110
                await trio.sleep(0.1)
        assert link._wire.lost is None


# T43


async def flood_channels(most: int) -> int:
    """Ask for 200 channels, and close each at once; how many wait to be accepted."""
    async with attacked() as (mallory, link):
        link._wire.channels.most = most
        for _ in range(200):
            ask(mallory, b"direct-tcpip", leading_to(b"devp2p"))
        await trio.sleep(1)
        for number in range(200):
            if number in link._wire.channels._open:
                mallory.send(MSG_CHANNEL_CLOSE, UInt32(number))
        for _ in range(200):
            ask(mallory, b"direct-tcpip", leading_to(b"devp2p"))
        await trio.sleep(1)
        assert link._wire.lost is None
        return len(link._wire.channels._arrived)


async def test_t43_of_a_flood_of_channels_so_many_are_kept_closed_or_not() -> None:
    assert await flood_channels(channels.STREAMS) == channels.STREAMS


async def test_t43_control_without_the_bound_all_are_kept() -> None:
    assert await flood_channels(1000) == 400


# T44


async def overflow(size: int) -> tuple[int, str | None]:
    """Send so much into a channel, one byte a packet in the beginning, whatever its window; what is held, and how it ended."""
    async with attacked() as (mallory, link):
        ask(mallory, b"direct-tcpip", leading_to(b"devp2p"))
        stream = await link.accept()
        for _ in range(500):
            mallory.send(MSG_CHANNEL_DATA, UInt32(stream.number), String(b"."))
        for _ in range(size // 32768):
            await mallory.wait_room()
            mallory.send(MSG_CHANNEL_DATA, UInt32(stream.number), String(bytes(32768)))
        await trio.sleep(1)
        return len(stream._received), link._wire.lost


async def test_t44_more_than_a_window_ends_the_link_and_is_not_held() -> None:
    held, lost = await overflow(2 * channels.WINDOW)
    assert held <= channels.WINDOW
    assert lost == "SSH: more data than the window of a channel allows"


async def test_t44_who_takes_packets_of_a_byte_gets_no_channel() -> None:
    async with attacked() as (mallory, link):
        ask(mallory, b"direct-tcpip", leading_to(b"devp2p"), largest=1)
        with trio.move_on_after(1):
            await link.accept()
            pytest.fail("it was opened")
        assert told(mallory).count(MSG_CHANNEL_OPEN_FAILURE) == 1


async def test_t44_control_without_a_look_at_the_window_all_of_it_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    def take(self: channels.Channel, data: bytes) -> None:
        self._received += data

    monkeypatch.setattr(channels.Channel, "_take", take)
    held, lost = await overflow(2 * channels.WINDOW)
    assert held >= 2 * channels.WINDOW
    assert lost is None


# T46


async def ask_without_listening(count: int) -> int:
    """Ask questions without reading the answers; bytes of answers that wait."""
    async with attacked() as (mallory, link):
        mallory._ours.is_busy = True  # type: ignore[union-attr]  # and so it reads nothing more
        with trio.move_on_after(5):
            for _ in range(count):
                await mallory.wait_room()
                mallory.send(MSG_GLOBAL_REQUEST, String(b"?"), Boolean(True))  # noqa: FBT003
            await trio.sleep_forever()
        return len(link._wire._out)


async def test_t46_who_does_not_read_answers_gets_no_more_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "REPLIES", 32 * 1024)
    assert await ask_without_listening(7000) < 64 * 1024


async def test_t46_control_without_the_bound_they_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "REPLIES", 1 << 40)
    assert await ask_without_listening(7000) > 96 * 1024


# T47


async def exchange_keys(times: int) -> str | None:
    async with attacked() as (mallory, link):
        ours: Any = mallory._ours
        ours._exchanged = -1000
        for _ in range(times):
            ours._send_kexinit()
            ours._kexinit_sent = True
            with trio.fail_after(60):
                while ours.exchanges and mallory.lost is None:
                    await mallory.changed.park()
        await trio.sleep(1)
        return link._wire.lost


async def test_t47_new_keys_without_end_are_refused() -> None:
    assert await exchange_keys(connection.KEY_EXCHANGES + 2) == "SSH: keys are exchanged too often"


async def test_t47_new_keys_now_and_then_are_not() -> None:
    assert await exchange_keys(3) is None


async def test_t47_control_without_the_bound_they_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "KEY_EXCHANGES", 1000)
    assert await exchange_keys(3 * 8) is None


class Unfinished(Bent):
    """Begins to exchange keys, and does not go on."""

    def send_packet(self, pkttype: int, *args: bytes, handler: Any = None) -> None:
        if not (self.wire.is_up and 30 <= pkttype <= 49):
            super().send_packet(pkttype, *args, handler=handler)


async def test_t47_an_exchange_that_is_not_finished_ends_the_link() -> None:
    async with attacked(Unfinished) as (mallory, link):
        ours: Any = mallory._ours
        ours._send_kexinit()
        ours._kexinit_sent = True
        began = trio.current_time()
        assert await until_lost(link) == "SSH: no proof, or no new keys, within 30 s"
        assert trio.current_time() - began < 2 * wire.LOGIN


async def test_t47_what_waits_for_new_keys_is_bounded() -> None:
    async with attacked(Unfinished) as (mallory, link):
        ours: Any = mallory._ours
        ours._send_kexinit()
        ours._kexinit_sent = True
        ours._kex_complete = True  # and so it goes on under the old ones
        ours.exchanges = False
        for _ in range(2 * connection.DEFERRED):
            mallory.send(MSG_GLOBAL_REQUEST, String(b"?"), Boolean(True))  # noqa: FBT003
        assert await until_lost(link) == "SSH: too much while keys are exchanged"
