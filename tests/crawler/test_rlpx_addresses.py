"""Visits by RLPx to addresses that lead nowhere, and what the system says of them."""

import errno
import os
import socket

import pytest
import trio
from devp2p_crawler.model import Outcome
from devp2p_crawler.visiting import RlpxCaller, rlpx_caller, visit_rlpx
from devp2p_crawler.visiting.failures import outcome_of

from devp2p import Address, NodeRecord, PrivateKey

pytestmark = pytest.mark.real_clock
KEY = PrivateKey.generate()


def a_caller(seconds: float = 5.0) -> RlpxCaller:
    return rlpx_caller(crawl=bytes(16), key=PrivateKey.generate(), client_id="test/1", connect=seconds)


async def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    visit = await visit_rlpx(NodeRecord(KEY.public_key, (Address("tcp", "127.0.0.1", port),)), a_caller())
    assert (visit.outcome, visit.rtt, visit.asked, visit.said) == (Outcome.REFUSED, None, 1, None)


async def test_nothing_comes_back() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        filling = [socket.socket() for _ in range(4)]
        try:
            for one in filling:
                one.setblocking(False)  # noqa: FBT003  (positional only)
                assert one.connect_ex(server.getsockname()) in {0, errno.EINPROGRESS}
            await trio.sleep(0.1)
            node = NodeRecord(KEY.public_key, (Address("tcp", "127.0.0.1", server.getsockname()[1]),))
            visit = await visit_rlpx(node, a_caller(0.3))
        finally:
            for one in filling:
                one.close()
    assert (visit.outcome, visit.asked) == (Outcome.SILENT, 1)


@pytest.mark.parametrize(
    "addresses", [(), (Address("tcp", "127.0.0.1", 0),), (Address("quic", "127.0.0.1", 1), Address("ws", "127.0.0.1", 1))]
)
async def test_a_node_without_an_address_is_not_called(addresses: tuple[Address, ...]) -> None:
    visit = await visit_rlpx(NodeRecord(KEY.public_key, addresses), a_caller())
    assert (visit.outcome, visit.ip, visit.port, visit.asked) == (Outcome.NO_ADDRESS, b"", 0, 0)


def test_errors_of_the_system_are_sorted_by_who_is_at_fault() -> None:
    told = {
        errno.ECONNREFUSED: Outcome.REFUSED,
        errno.ECONNRESET: Outcome.REFUSED,
        errno.EHOSTUNREACH: Outcome.UNREACHABLE,
        errno.ENETUNREACH: Outcome.UNREACHABLE,
        errno.EAFNOSUPPORT: Outcome.UNREACHABLE,
        errno.ETIMEDOUT: Outcome.SILENT,
        errno.EMFILE: Outcome.OUR_FAULT,
        errno.ENOBUFS: Outcome.OUR_FAULT,
        errno.EADDRNOTAVAIL: Outcome.OUR_FAULT,
    }
    assert {number: outcome_of(OSError(number, os.strerror(number))) for number in told} == told
    assert outcome_of(socket.gaierror(socket.EAI_NONAME, "no name")) is Outcome.NO_ADDRESS
    assert outcome_of(socket.gaierror(socket.EAI_AGAIN, "later")) is Outcome.OUR_FAULT
