"""Link-local IPv6 addresses mean something at one interface only, which has to stay with them: ``fe80::1%eth0``."""

import socket
import subprocess
import sys

import pytest
import trio

from devp2p import Address, PrivateKey, open_node
from devp2p.addresses import Endpoint
from devp2p.discovery import open_discovery
from devp2p.discovery.datagrams import DatagramSocket
from devp2p.transports.sockets import host_in
from tests.chat import Chat, GetTime

NAMESPACE = ["unshare", "--map-root-user", "--net", "sh", "-ec"]
WIRE = (
    "ip link set lo up; ip link add a0 type veth peer name b0; ip link set a0 up; ip link set b0 up;"
    'ip address add fe80::77/64 dev a0 nodad; exec "$0" -m tests.transports.test_link_local'
)
HOST = "fe80::77%a0"


def test_an_interface_stays_with_an_address() -> None:
    (number, name), *_ = socket.if_nameindex()
    assert host_in(("fe80::1", 30303, 0, number)) == f"fe80::1%{name}"
    assert host_in(("fe80::1", 30303, 0, 54321)) == "fe80::1%54321", "of an interface that is gone"
    assert host_in((f"fe80::1%{name}", 30303, 0, number)) == f"fe80::1%{name}"
    assert host_in(("2001:db8::1", 30303, 0, 0)) == "2001:db8::1"
    assert host_in(("::ffff:10.1.2.3", 30303, 0, 0)) == "10.1.2.3"
    assert host_in(("10.1.2.3", 30303)) == "10.1.2.3"


async def test_what_is_remembered_of_interfaces_is_bounded() -> None:
    with await DatagramSocket.bind(Address("udp", "*", 0)) as sock:
        for number in range(5000):
            sock._zones.set(b"\xfe\x80" + number.to_bytes(14, "big"), 7)
        assert len(sock._zones) == 1024
        assert sock._name(Endpoint(b"\xfe\x80" + (4999).to_bytes(14, "big"), 9))[2:] == (0, 7)
        assert sock._name(Endpoint(b"\xfe\x80" + (1).to_bytes(14, "big"), 9))[2:] == (0, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="network namespaces are Linux's")
def test_nodes_on_a_link_dial_and_find_each_other() -> None:
    if subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this user may make no network namespaces")
    told = subprocess.run([*NAMESPACE, WIRE, sys.executable], capture_output=True, text=True, check=False)
    assert (told.returncode, told.stdout) == (0, "dialled\nfound\n"), told.stderr


async def be_on_a_link() -> None:
    """What the test above does in a namespace."""
    with trio.fail_after(60):
        async with (
            open_node(PrivateKey.generate(), [Chat()], listen=[f"tcp://[{HOST}]:0"], discovery=False) as node,
            open_node(PrivateKey.generate(), [Chat()], discovery=False) as other,
        ):
            assert node.addresses[0].host == HOST
            peer = await other.connect(node.enode)
            assert (await peer[Chat].request(GetTime("abc"))).seconds == 3
            assert {one.address.host for one in (peer, node.connected[0])} == {HOST}
        sys.stdout.write("dialled\n")
        async with (
            open_discovery(PrivateKey.generate(), listen="udp://*:0") as one,
            open_discovery(PrivateKey.generate(), listen=f"udp://[{HOST}]:0") as two,
        ):
            where = f"enode://{bytes(one.record.public_key).hex()}@[{HOST}]:0?discport={one.address.port}"
            assert await two.ping(where) is not None
        sys.stdout.write("found\n")


if __name__ == "__main__":
    trio.run(be_on_a_link)
