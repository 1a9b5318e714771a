"""MPTCP, and the SCTP of kernels."""

import socket

import pytest
import trio

from devp2p import Address, PrivateKey, open_node
from devp2p.transports import Arrival, ByteLink, Carriers, TcpTransport
from devp2p.transports.kernel import KernelTransport
from devp2p.transports.ksctp import KernelSctpTransport
from devp2p.transports.mptcp import TCP_ONLY, MptcpTransport, connect_mptcp
from devp2p.transports.tls import TlsTransport
from tests.chat import Chat

HOSTS = pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
KEY = PrivateKey.generate()


class NoSuch(KernelTransport):
    """A protocol that no kernel has: 253 is for experiments."""

    schemes, protocol, missing = frozenset({"none"}), 253, "this kernel has no experiments"


@HOSTS
async def test_where_the_kernel_lacks_it_the_error_says_what_is_missing(host: str):
    address = Address("none", host, 30303)
    for attempt in (NoSuch().dial(address, expect=None), NoSuch().bind(address)):
        with pytest.raises(OSError, match="this kernel has no experiments"):
            await attempt
    with pytest.raises(OSError, match="this kernel has no experiments"):
        await NoSuch().bind(Address("none", "*", 0))


@HOSTS
@pytest.mark.parametrize("scheme", ["mptcp", "ksctp"])
async def test_this_kernel_has_it_or_the_error_says_what_to_do(scheme: str, host: str):
    transport = Carriers().transport(address := Address(scheme, host, 0))
    protocol = {"mptcp": MptcpTransport, "ksctp": KernelSctpTransport}[scheme].protocol
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, protocol).close()
    except OSError:
        with pytest.raises(OSError, match=r"sysctl net.mptcp.enabled=1|modprobe sctp"):
            await transport.bind(address)
    else:
        listener = await transport.bind(address)
        assert listener.addresses[0].scheme == scheme
        await listener.aclose()


@pytest.mark.real_clock
@HOSTS
async def test_sessions_run_over_such_sockets(host: str, monkeypatch: pytest.MonkeyPatch):
    """With the number of TCP, which every kernel has, in the place of SCTP's."""
    monkeypatch.setattr(KernelSctpTransport, "protocol", socket.IPPROTO_TCP)
    async with open_node(KEY, [Chat()], listen=[Address("ksctp", host, 0)], transports=[KernelSctpTransport()], strict=True) as node:
        (address,) = node.addresses
        async with open_node(PrivateKey.generate(), [Chat()], transports=[KernelSctpTransport()], strict=True) as caller:
            peer = await caller.connect(f"ksctp://{bytes(KEY.public_key).hex()}@{address.where}")
            assert (peer.link.transport, peer.link.native_auth, peer.link.path) == ("ksctp", False, "direct")
            assert peer.link.remote == address
            await peer.ready(Chat)


@pytest.mark.real_clock
async def test_nobody_there_and_no_such_name_are_os_errors(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(KernelSctpTransport, "protocol", socket.IPPROTO_TCP)
    transport = KernelSctpTransport()
    listener = await transport.bind(Address("ksctp", "127.0.0.1", 0))
    await listener.aclose()
    with pytest.raises(ConnectionRefusedError):
        await transport.dial(listener.addresses[0], expect=None)
    everywhere = await transport.bind(Address("ksctp", "*", 0))
    assert everywhere.addresses[0].host == "*"
    with pytest.raises(OSError, match="in use"):
        await transport.bind(everywhere.addresses[0])
    await everywhere.aclose()


@pytest.mark.interop
@pytest.mark.real_clock
@HOSTS
async def test_a_connection_that_is_not_mptcp_after_all_says_so(host: str):
    for ours, theirs in ((MptcpTransport(), TcpTransport()), (TcpTransport(), MptcpTransport()), (MptcpTransport(), MptcpTransport())):
        listener = await theirs.bind(Address(next(iter(theirs.schemes)), host, 0))
        accepted, arriving = trio.open_memory_channel[Arrival](1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listener.serve, accepted.send)
            links = [await ours.dial(listener.addresses[0], expect=None)]
            await links[0].stream.send_all(b"first bytes, for listeners that wait for them")
            arrived = await arriving.receive()
            assert isinstance(arrived, ByteLink)
            links.append(arrived)
            nursery.cancel_scope.cancel()
        both = isinstance(ours, MptcpTransport) and isinstance(theirs, MptcpTransport)
        fell_back = [not both and isinstance(side, MptcpTransport) for side in (ours, theirs)]
        assert [link.path == TCP_ONLY for link in links] == fell_back
        for link in links:
            await link.aclose()


@pytest.mark.interop
@pytest.mark.real_clock
async def test_transports_over_tcp_can_go_by_it():
    async with open_node(KEY, [Chat()], listen=["tls://127.0.0.1:0"], strict=True) as node:
        (address,) = node.addresses
        link = await TlsTransport(PrivateKey.generate(), connect_mptcp).dial(address, expect=KEY.public_key)
        assert isinstance(link, ByteLink)
        assert (link.peer, link.path) == (KEY.public_key, TCP_ONLY)
        await link.aclose()
