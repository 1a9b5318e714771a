"""SSH: node keys proved by SSH itself, a channel for each capability, and the bounds on strangers."""

import inspect
import re
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import asyncssh
import pytest
import trio
from trio.testing import MockClock

from devp2p import Address, HandshakeError, PeerMismatch, PrivateKey, open_node
from devp2p.transports import Connection, MuxLink
from devp2p.transports.memory import memory_stream_pair
from devp2p.transports.ssh import SshTransport, connection
from tests.chat import Chat

pytestmark = pytest.mark.real_clock

KEY, OTHER = PrivateKey.generate(), PrivateKey.generate()


@asynccontextmanager
async def listening(host: str = "127.0.0.1", key: PrivateKey = KEY) -> AsyncGenerator[tuple[Address, trio.MemoryReceiveChannel[Any]]]:
    """Where an SSH transport listens, and what arrives there."""
    listener = await SshTransport(key).bind(Address("ssh", host, 0))
    send, receive = trio.open_memory_channel[Any](10)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listener.serve, send.send)
        yield listener.addresses[0], receive
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def linked(host: str = "127.0.0.1") -> AsyncGenerator[tuple[MuxLink, MuxLink]]:
    """Both ends of a link, the dialler's first."""
    async with listening(host) as (address, arrived):
        ends: list[Any] = []

        async def respond() -> None:
            incoming = await arrived.receive()
            assert await incoming.hear()
            ends.append(await incoming.upgrade())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(respond)
            ours = await SshTransport(OTHER).dial(address, expect=KEY.public_key)
        theirs = ends[0]
        assert isinstance(ours, MuxLink)
        assert isinstance(theirs, MuxLink)
        try:
            yield ours, theirs
        finally:
            with trio.CancelScope(shield=True):
                await ours.aclose()
                await theirs.aclose()


async def receive_all(stream: Any, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        more = await stream.receive_some()
        assert more
        data += more
    return bytes(data)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_both_sides_prove_their_node_keys(host: str) -> None:
    async with linked(host) as (ours, theirs):
        assert (ours.peer, theirs.peer) == (KEY.public_key, OTHER.public_key)
        assert (ours.initiator, theirs.initiator) == (True, False)
        stream = await ours.open()
        await stream.send_all(b"hello")
        other = await theirs.accept()
        assert await other.receive_some() == b"hello"
        back = await theirs.open()
        await back.send_all(b"back")
        assert await (await ours.accept()).receive_some() == b"back"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_nodes_talk_over_ssh(host: str) -> None:
    async with (
        open_node(KEY, [Chat()], listen=[Address("ssh", host, 0)], strict=True) as node,
        open_node(OTHER, [Chat()], strict=True) as caller,
    ):
        (address,) = node.addresses
        peer = await caller.connect(f"ssh://{bytes(KEY.public_key).hex()}@{address.where}")
        facts = peer.link
        assert (facts.transport, facts.native_auth, facts.native_mux, facts.path) == ("ssh", True, True, "direct")
        await peer.ready(Chat)
        theirs = await anext(aiter(node.peers(Chat)))
        assert theirs.public_key == OTHER.public_key


async def test_another_node_than_the_expected_one_is_told_nothing() -> None:
    async with listening() as (address, arrived), trio.open_nursery() as nursery:

        async def respond() -> None:
            incoming = await arrived.receive()
            await incoming.hear()
            with pytest.raises((HandshakeError, trio.BrokenResourceError)):  # a reset may overtake what is said
                await incoming.upgrade()
            await incoming.aclose()

        nursery.start_soon(respond)
        with pytest.raises(PeerMismatch):
            await SshTransport(OTHER).dial(address, expect=OTHER.public_key)


LEFT_ALONE = """
import asyncio, threading
before = type(asyncio.new_event_loop())
import devp2p.transports.ssh.loop
made = [type(asyncio.new_event_loop())]
thread = threading.Thread(target=lambda: made.append(type(asyncio.new_event_loop())))
thread.start()
thread.join()
assert made == [before, before], made
asyncio.run(asyncio.sleep(0))
"""


def test_asyncio_elsewhere_in_the_process_stays_what_it_was():
    subprocess.run([sys.executable, "-c", LEFT_ALONE], check=True, timeout=60)


async def test_the_loop_ends_with_the_last_connection() -> None:
    before = trio.lowlevel.current_statistics().tasks_living
    async with linked(), linked("::1"):
        assert trio.lowlevel.current_statistics().tasks_living > before
    with trio.fail_after(10):
        while trio.lowlevel.current_statistics().tasks_living > before:  # noqa: ASYNC110
            await trio.sleep(0.01)


def test_our_connections_of_asyncssh_are_made_as_we_want_them() -> None:
    options = SshTransport(KEY)
    for kind, made in (
        (asyncssh.SSHServerConnection, options._as_server),
        (asyncssh.SSHClientConnection, options._as_client),
    ):
        for name in ("connection_lost", "data_received"):
            assert callable(getattr(kind, name)), name
        assert made.compression_algs == [b"none"]
        assert made.kex_algs == [b"curve25519-sha256", b"curve25519-sha256@libssh.org"]


SINCE = "any more: asyncssh has changed inside, see devp2p/transports/ssh/connection.py"
SIGNATURES: dict[tuple[type, str], list[str]] = {
    (asyncssh.connection.SSHConnection, "process_packet"): ["pkttype", "pktid", "packet"],
    (asyncssh.connection.SSHConnection, "send_packet"): ["pkttype", "args", "handler"],
    (asyncssh.connection.SSHConnection, "send_newkeys"): ["k", "h"],
    (asyncssh.connection.SSHConnection, "log_sent_packet"): ["pkttype", "pktid", "packet", "note"],
    (asyncssh.connection.SSHConnection, "log_received_packet"): ["pkttype", "pktid", "packet", "note"],
    (asyncssh.connection.SSHConnection, "add_channel"): ["chan"],
    (asyncssh.connection.SSHConnection, "remove_channel"): ["recv_chan"],
    (asyncssh.SSHClientConnection, "validate_server_host_key"): ["key_data"],
    (asyncssh.SSHClientConnection, "send_userauth_request"): ["method", "args", "key", "trivial"],
    (asyncssh.SSHServerConnection, "reload_config"): [],
    (asyncssh.SSHServerConnection, "validate_public_key"): ["username", "key_data", "msg", "signature"],
}
"""What we override or call, though nothing promises that it stays; asyncssh must have it, and call it so."""


@pytest.mark.parametrize(("kind", "name"), SIGNATURES, ids=lambda one: getattr(one, "__name__", one))
def test_asyncssh_has_each_method_that_we_override_and_calls_it(kind: type, name: str) -> None:
    assert [*inspect.signature(getattr(kind, name)).parameters][1:] == SIGNATURES[kind, name], f"{name} is not that {SINCE}"
    sources = "".join(path.read_text("utf-8") for path in Path(asyncssh.__file__).parent.glob("*.py"))
    calls = re.findall(rf"\.{name}\b", sources)
    assert calls, f"nobody calls {name} {SINCE}"
    assert inspect.iscoroutinefunction(getattr(kind, name)) is (name in {"send_userauth_request", "reload_config", "validate_public_key"})


@pytest.mark.parametrize(
    ("name", "used"),
    [
        ("_max_recv_pktlen", "if self._pktlen > self._max_recv_pktlen"),
        ("_auth_methods", "lookup_client_auth(self, self._auth_methods[0])"),
        ("_channels", "self._channels[recv_chan]"),
        ("_session_id", "String(self._session_id)"),
        ("_options", "self._options"),
    ],
)
def test_asyncssh_has_each_protected_name_that_we_set_or_read_and_goes_by_it(name: str, used: str) -> None:
    for kind in (asyncssh.SSHServerConnection, asyncssh.SSHClientConnection):
        source = "".join(inspect.getsource(one) for one in kind.__mro__ if one.__module__.startswith("asyncssh"))
        assert f"self.{name}" in source, f"{kind.__name__} has no {name} {SINCE}"
    assert used in inspect.getsource(asyncssh.connection), f"{name} is not used as it was {SINCE}"


async def test_what_we_set_of_asyncssh_is_what_it_goes_by() -> None:
    async with linked() as (_, link):
        inner: Any = link
        ours = inner._wire._ours
        assert ours._max_recv_pktlen == connection._PACKET
        assert isinstance(ours._session_id, bytes)
        assert len(ours._session_id) == 32


def test_trio_asyncio_keeps_what_asyncio_was_where_we_look_for_it() -> None:
    policies: Any = import_module("trio_asyncio._loop")
    assert policies._original_policy is not None
    assert type(policies._faked_policy).policy is policies._original_policy, "it would give all of this process loops that run trio"


def test_a_handshake_takes_four_round_trips() -> None:
    async def pump(source: Any, sink: Any) -> None:
        send, receive = trio.open_memory_channel[tuple[float, bytes]](1000)

        async def come() -> None:
            while True:
                data = await source.receive_some()
                send.send_nowait((trio.current_time() + 0.5, data))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(come)
            async for when, data in receive:
                await trio.sleep_until(when)
                await sink.send_all(data)

    async def main() -> float:
        (one, near), (far, other) = memory_stream_pair(), memory_stream_pair()
        ends = Address("ssh", "a", 1), Address("ssh", "b", 2)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pump, near, far)
            nursery.start_soon(pump, far, near)
            nursery.start_soon(SshTransport(KEY).respond, Connection(other, *ends))
            link = await SshTransport(OTHER).initiate(Connection(one, *ends), ends[1], KEY.public_key)
            took = trio.current_time()
            await link.aclose()
            nursery.cancel_scope.cancel()
        return took

    began = (clock := MockClock(autojump_threshold=0)).current_time()
    assert round(trio.run(main, clock=clock) - began) == 4


async def test_a_bound_of_ours_ends_the_link_and_raises_nothing_of_asyncsshs_in_a_channel() -> None:
    """As where a peer never ends an exchange of keys, and what is read meanwhile asks for windows."""
    async with linked() as (ours, theirs):
        stream = await ours.open()
        await stream.send_all(b"x")
        other = await theirs.accept()
        machine: Any = theirs._wire._ours  # type: ignore[attr-defined]
        machine.exchanges, machine._waiting = True, 10**6
        await other.send_eof()
        assert await other.receive_some() == b"x"
        with pytest.raises(trio.BrokenResourceError, match="too much while keys are exchanged"):
            await other.receive_some()
