"""go-ethereum's own conformance tests of discovery v5 against a `Discv5` on a socket."""

import random
import re
import secrets
import subprocess

import pytest
import trio

from devp2p.addresses import Endpoint
from devp2p.discovery.v5.protocol import Discv5
from devp2p.keys import PrivateKey
from devp2p.records.enr import LocalRecord
from tests.interop.peers import DEVP2P

pytestmark = [pytest.mark.interop, pytest.mark.real_clock, pytest.mark.usefixtures("geth")]

CASES = {
    "Ping",
    "PingLargeRequestID",
    "PingMultiIP",
    "HandshakeResend",
    "TalkRequest",
    "FindnodeWrongIP",
    "FindnodeHandshake",
    "FindnodeZeroDistance",
    "FindnodeResults",
    "UnsolicitedNodes",
}
"""Those of the release that is built; other releases have fewer or more, and this says which we know that we pass."""


async def send(node: Discv5, socket: trio.socket.SocketType) -> None:
    while node.next_event() is not None:
        pass
    for data, (ip, port) in node.datagrams_to_send(trio.current_time()):
        await socket.sendto(data, (trio.socket.inet_ntoa(ip), port))


async def serve(node: Discv5, socket: trio.socket.SocketType) -> None:
    """Let the node have its socket and its timer."""
    while True:
        due = node.next_timer()
        with trio.move_on_at(float("inf") if due is None else due):
            data, (host, port) = await socket.recvfrom(2048)
            node.receive_datagram(data, Endpoint(trio.socket.inet_aton(host), port), trio.current_time())
        if due is not None and due <= trio.current_time():
            node.handle_timer(trio.current_time())
        await send(node, socket)


async def test_go_ethereum_finds_no_fault():
    key = PrivateKey.generate()
    with trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as socket:
        await socket.bind(("127.0.0.1", 0))
        record = LocalRecord(key, {"ip": "127.0.0.1", "udp": socket.getsockname()[1]})
        node = Discv5(record, key, random=random.SystemRandom().random, random_bytes=secrets.token_bytes)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve, node, socket)
            command = [str(DEVP2P), "discv5", "test", "--tap", "--listen1", "127.0.0.1", "--listen2", "127.0.0.2", record.record.text]
            ended = await trio.run_process(command, capture_stdout=True, stderr=subprocess.STDOUT, check=False)
            nursery.cancel_scope.cancel()
    report = ended.stdout.decode()
    outcomes = {name: outcome for outcome, name in re.findall(r"^((?:not )?ok) \d+ (\w+)", report, re.MULTILINE)}
    assert set(outcomes.values()) == {"ok"}, report
    assert outcomes.keys() >= CASES, report
    assert ended.returncode == 0, report
