"""What is used of aiortc and trio that they call private: if a release of theirs changes it, this says so first."""

import asyncio
import inspect
from contextlib import nullcontext
from importlib import import_module
from typing import Any

import pytest
import trio
from OpenSSL import SSL

from devp2p.errors import RemoteProtocolError

pytestmark = pytest.mark.interop

_STATE = "_association_state _last_received_tsn _local_tsn _cwnd _local_partial_reliability _sack_needed _sack_misordered _sack_duplicates"
_NAMES = [*_STATE.split(), "_outbound_queue", "_sent_queue", "_advertised_rwnd", "_inbound_streams"]
_CALLS = ("_handle_data", "_send", "_send_chunk", "_receive", "_send_sack", "start", "stop")


@pytest.fixture
def sctp() -> Any:
    return import_module("tests.interop.sctp_ends")


def test_names_of_aiortc_that_are_used_are_there(sctp: Any) -> None:
    aiortc = import_module("aiortc.rtcsctptransport")
    made = sctp.Pair().ends[0]._sctp
    for name in _NAMES:
        assert hasattr(made, name), f"RTCSctpTransport has no {name} any more"
    for name in _CALLS:
        assert inspect.iscoroutinefunction(getattr(aiortc.RTCSctpTransport, name)), name
    assert list(inspect.signature(aiortc.RTCSctpTransport._send).parameters)[1:4] == ["stream_id", "pp_id", "user_data"]
    assert list(inspect.signature(aiortc.RTCSctpTransport._receive).parameters)[1:] == ["stream_id", "pp_id", "data"]
    assert aiortc.InboundStream().reassembly == []
    assert aiortc.HeartbeatChunk().params == []
    assert {state.name for state in aiortc.RTCSctpTransport.State} == {
        *("CLOSED", "COOKIE_WAIT", "COOKIE_ECHOED", "ESTABLISHED"),
        *("SHUTDOWN_PENDING", "SHUTDOWN_SENT", "SHUTDOWN_RECEIVED", "SHUTDOWN_ACK_SENT"),
    }
    assert aiortc.USERDATA_MAX_LENGTH == sctp.association._FRAGMENT
    assert aiortc.SCTP_MAX_PACKET_LENGTH < 1232  # with DTLS and UDP it fits any path of IPv6


@pytest.mark.real_clock
async def test_names_of_trio_that_are_used_are_there(sctp: Any) -> None:
    with trio.socket.socket(type=trio.socket.SOCK_DGRAM) as sock, trio.DTLSEndpoint(sock) as endpoint:
        channel = endpoint.connect(("127.0.0.1", 9), SSL.Context(SSL.DTLS_METHOD))
        assert isinstance(sctp.connection_in(channel), SSL.Connection)


def test_an_association_carries_messages_whole_and_in_order(sctp: Any) -> None:
    pair = sctp.Pair()
    pair.carry()
    assert all(end.is_up for end in pair.ends)
    for number in range(20):
        pair.ends[0].send(2, bytes((number,)) * (number * 800 + 1))
        pair.carry()
    assert pair.got[1] == [(2, bytes((number,)) * (number * 800 + 1)) for number in range(20)]
    pair.wait(1)
    assert pair.ends[0].is_drained
    pair.ends[1].abort()
    pair.carry()
    assert all(end.is_over for end in pair.ends)


def test_what_is_lost_comes_again(sctp: Any) -> None:
    pair = sctp.Pair()
    pair.carry()
    for number in range(50):
        pair.ends[0].send(0, bytes((number,)) * 5000)
        pair.carry(lose=5)
    for _ in range(100):
        pair.wait(3)
    assert pair.got[1] == [(0, bytes((number,)) * 5000) for number in range(50)]


def test_a_sign_of_life_is_given_when_it_is_asked_for(sctp: Any) -> None:
    pair = sctp.Pair()
    pair.carry()
    pair.wait(1)
    pair.ends[0].ping()
    pair.ends[1].feed(pair.ends[0].packets.popleft())
    assert pair.ends[1].packets


def test_one_that_nobody_answers_gives_up(sctp: Any) -> None:
    clock = [0.0]
    made = sctp.Association(is_client=True, on_message=lambda *_: None, clock=lambda: clock[0])
    made.start()
    while (deadline := made.deadline) is not None:
        clock[0] = deadline
        made.tick()
    assert made.is_over
    assert clock[0] < 60


def test_what_aiortc_asserts_is_the_peers_fault(sctp: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = sctp.Pair()
    pair.carry()

    async def fail(_: bytes) -> None:
        raise AssertionError("duplicate chunk in reassembly")

    monkeypatch.setattr(pair.ends[0]._sctp, "take", fail)
    pair.ends[1].ping()
    with pytest.raises(RemoteProtocolError, match="duplicate chunk"):
        pair.carry()


@pytest.mark.parametrize("beside", [False, True])
async def test_it_needs_no_loop_and_minds_none(sctp: Any, beside: bool) -> None:  # noqa: FBT001
    """trio-asyncio, which SSH needs, tells asyncio of its own loop wherever trio runs."""
    loop, real = import_module("trio_asyncio"), import_module("_asyncio")._get_running_loop
    async with loop.open_loop() if beside else nullcontext() as around:
        pair = sctp.Pair()
        pair.carry()
        assert all(end.is_up for end in pair.ends)
        assert loop.current_loop.get() is around
        assert real() is None
    assert asyncio._get_running_loop() is None
