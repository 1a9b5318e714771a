"""Rows E8 and E9 of THREATS.md, and F3 and F12 where they are about eth: answers that are lies, or never end, and what peers say unasked.

All lies about blocks, with an honest answer beside each kind, are in tests/capabilities/eth/test_lies.py, all about the state in
tests/capabilities/snap/test_peer.py. Each name begins with its row. A control runs the same attack with the defence disabled.
"""

from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import partial
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from devp2p import DecodingError, DisconnectReason, PeerDisconnected, Response, rlp
from devp2p.capabilities.eth import Eth, InvalidAnswer, answers, capability, eth
from devp2p.capabilities.eth.greeting import status_of
from devp2p.capabilities.eth.messages import MESSAGES, BlockRangeUpdate, Receipts
from devp2p.capabilities.eth.peer import MOST_PARTS
from devp2p.capabilities.snap import snap
from devp2p.capabilities.snap.capability import Snap1, Snap2
from devp2p.rlp import Lazy, markers
from devp2p.testing import scripted_peer
from tests.attacks.test_lists import UNITS, a_list, peak
from tests.capabilities.eth.test_lies import CHAIN, LIES, play, script
from tests.capabilities.snap.states import CHAIN as GENESIS
from tests.capabilities.snap.states import PlainEth, small_state
from tests.capabilities.snap.states import Status as PlainStatus

# E8, lies in answers

CHECKED = {  # what finds each of these lies
    "headers that are not linked": "headers_fault",
    "headers of other blocks": "headers_fault",
    "a header with another hash": "headers_fault",
    "a gap in the headers": "headers_fault",
    "more headers than were asked for": "require_few",
    "a body of no block that was asked for": "_BODY",
    "a body without a transaction": "_BODY",
    "a body with ommers": "_BODY",
    "receipts of another block": "receipts_fault",
    "receipts with one missing": "receipts_fault",
    "another block's access list": "access_list_fault",
}


@pytest.mark.parametrize("name", CHECKED)
async def test_e8_a_lie_about_blocks_is_not_returned_costs_the_peer_and_ends_the_session(name):
    case = LIES[name]
    async with script(case.version) as (node, peer, handle), trio.open_nursery() as nursery:
        connected = node.connected[0]
        nursery.start_soon(play, case, peer)
        with pytest.raises(InvalidAnswer, match=case.why):
            await case.ask(handle)
        assert (await connected.wait_ended()).reason == DisconnectReason.PROTOCOL_BREACH
        assert (connected.conduct(Eth).invalid, connected.conduct(Eth).useful) == (4, 0)


@pytest.mark.parametrize("name", CHECKED)
async def test_e8_control_if_answers_were_not_held_against_what_was_asked_it_would_be_returned(name, monkeypatch):
    case, check = LIES[name], CHECKED[name]
    if check == "_BODY":
        monkeypatch.setattr(answers, "_BODY", replace(answers._BODY, fault=lambda *_: None))
    monkeypatch.setattr(answers, check, lambda *_, **__: None) if check != "_BODY" else None
    if check == "require_few":
        monkeypatch.setattr(answers, "headers_fault", lambda *_, **__: None)
    async with script(case.version) as (node, peer, handle), trio.open_nursery() as nursery:
        nursery.start_soon(play, case, peer)
        assert await case.ask(handle)
        assert node.connected[0].conduct(Eth).invalid == 0
        assert node.connected[0].conduct(Eth).useful > 0


async def endless(size: int) -> int:
    """How many parts are taken, of receipts with so many bytes each that never end, of a block that used 262,144 gas."""
    async with script(72) as (_, peer, handle), trio.open_nursery() as nursery:
        taken = 0

        async def bring() -> None:
            nonlocal taken
            for _ in range(MOST_PARTS + 1):
                request = await peer.receive_message()
                taken += 1
                await peer.send_message(Receipts(request.request_id, incomplete=True, receipts=Lazy([rlp.encode([bytes(size)])])))

        nursery.start_soon(bring)
        with pytest.raises(InvalidAnswer):
            await handle.receipts(CHAIN.chain[3:4])
        nursery.cancel_scope.cancel()
    return taken


async def test_e8_receipts_that_never_end_are_bounded_by_the_gas_that_the_block_used():
    assert await endless(10_000) == 4
    assert await endless(0) == MOST_PARTS


async def test_e8_control_without_that_all_parts_are_kept(monkeypatch):
    monkeypatch.setattr(answers, "GAS_A_BYTE", 1e-6)
    assert await endless(10_000) == MOST_PARTS


# What peers say of themselves (E9)


async def updated(count: int, **changes: Any) -> tuple[bool, int]:
    """Whether a session lives after so many updates of a peer's range, and what the range is then."""
    async with script(72) as (node, peer, handle):
        connected = node.connected[0]
        for number in range(count):
            await peer.send_message(replace(BlockRangeUpdate(number, 10**6 + number, b"\7" * 32), **changes))
        await wait_all_tasks_blocked()
        await trio.sleep(2)  # in which a session that has to end does
        return not connected.ended, handle.range.latest


async def test_e9_a_thousand_updates_leave_the_last_of_them():
    assert await updated(1000) == (True, 10**6 + 999)


IMPOSSIBLE = [{"earliest": 11, "latest": 10}, {"latest_hash": bytes(32)}]


@pytest.mark.parametrize("changes", IMPOSSIBLE)
async def test_e9_a_range_that_cannot_be_ends_the_session_and_is_not_kept(changes):
    assert await updated(1, **changes) == (False, 20)


@pytest.mark.parametrize("changes", IMPOSSIBLE)
async def test_e9_control_if_nobody_looked_it_would_be_kept(changes, monkeypatch):
    monkeypatch.setattr(capability, "check_range", lambda _: None)
    assert await updated(1, **changes) == (True, changes.get("latest", 10**6))


STATUSES = [{"network_id": 1}, {"genesis": bytes(32)}, {"version": 71}, {"earliest": 2**64 - 1}, {"latest_hash": bytes(32)}]


async def greeted(changes: dict[str, Any]) -> bool:
    async with scripted_peer(eth(CHAIN)) as (node, peer):
        await peer.send_message(replace(status_of(CHAIN, 72), **changes))
        try:
            await node.connected[0].ready(Eth)
        except PeerDisconnected:
            return False
        return True


@pytest.mark.parametrize("changes", STATUSES, ids=lambda one: next(iter(one)))
async def test_e9_a_status_of_another_chain_or_of_none_makes_no_peer(changes):
    assert not await greeted(changes)


@pytest.mark.parametrize("changes", STATUSES, ids=lambda one: next(iter(one)))
async def test_e9_control_if_it_were_not_checked_it_would(changes, monkeypatch):
    monkeypatch.setattr(capability, "check_status", lambda *_: None)
    assert await greeted(changes)


# Lists of a million, in each field of each message (F3)

KINDS = sorted({kind for table in [*MESSAGES.values(), Snap1.messages, Snap2.messages] for kind in table.values()}, key=str)


def sample(hint: Any) -> Any:
    """Some value that an annotation allows."""
    if get_origin(hint) is Annotated:
        base, mark = get_args(hint)[:2]
        return bytes(mark.size) if isinstance(mark, markers.Length) else b"\x80" if mark is markers.Kept.ITEM else sample(base)
    if is_dataclass(hint):
        hints = get_type_hints(hint, include_extras=True)
        return hint(**{field.name: sample(hints[field.name]) for field in fields(hint)})  # type: ignore[operator]
    if get_origin(hint) in {Lazy, tuple}:
        return Lazy() if get_origin(hint) is Lazy else ()
    return {int: 1, bool: False, bytes: b""}[hint] if hint in {int, bool, bytes} else sample(get_args(hint)[0])


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.__module__.split('.')[2]}-{kind.__name__}")
def test_f3_no_message_of_eth_or_snap_makes_objects_of_a_hundred_thousand_items(kind):
    codec, size, names = rlp.codec(kind), min(kind.max_size, 2**17), [field.name for field in fields(kind)]
    honest = rlp.split_list(codec.encode(sample(kind)), 100)
    reached = 0

    def take(message: bytes) -> None:
        nonlocal reached
        with suppress(DecodingError):
            decoded = codec.decode(message)
            values = [getattr(decoded, name) for name in names]
            values += [inner for value in values if isinstance(value, tuple) for inner in value]
            reached += any(len(value) > 1000 for value in values if isinstance(value, Lazy))

    for unit in UNITS[:2]:
        for at in range(len(honest)):
            for content in (a_list(unit * size), a_list(a_list(unit * min(size, 65_000))), a_list(unit * min(size, 65_000))):
                message = a_list(b"".join([*honest[:at], content, *honest[at + 1 :]]))
                assert peak(partial(take, message)) < 3 * len(message) + 2**16
    assert reached or not any(isinstance(getattr(codec.decode(codec.encode(sample(kind))), name), Lazy) for name in names)


def test_f3_control_a_message_of_eth_whose_items_are_objects_would():
    @dataclass(frozen=True)
    class Eager(Response):
        headers: tuple[bytes, ...]

    message = a_list(b"\x01" + a_list(b"\x80" * 65_000))
    assert peak(partial(rlp.codec(Eager).decode, message)) > 5 * len(message)


# Answers that nobody asked for (F12)

ANSWERS = [kind for kind in KINDS if issubclass(kind, Response)]


@asynccontextmanager
async def session_of(kind: type[Any]):
    """A session in which a kind of answer could come."""
    if kind in MESSAGES[69].values() or kind in MESSAGES[72].values():
        version = 72 if kind in MESSAGES[72].values() else 69
        async with script(version) as (node, peer, handle):
            yield node, peer, handle
    else:
        one = Snap1 if kind in Snap1.messages.values() else Snap2
        async with scripted_peer([PlainEth(), *snap(GENESIS, small_state(4), [one.version or 1])]) as (node, peer):
            await peer.send_message(PlainStatus())
            await node.connected[0].ready(one)
            yield node, peer, None


@pytest.mark.parametrize("kind", ANSWERS, ids=lambda kind: f"{kind.__module__.split('.')[2]}-{kind.__name__}")
async def test_f12_an_answer_of_eth_or_snap_that_nobody_asked_for_ends_the_session(kind):
    async with session_of(kind) as (node, peer, _):
        connected = node.connected[0]
        await peer.send_message(sample(kind))
        end = await connected.wait_ended()
        assert end.reason == DisconnectReason.PROTOCOL_BREACH
        assert "for which nobody waits" in end.detail


async def test_f12_a_second_answer_of_eth_ends_the_session_and_is_not_taken_for_another_request():
    case = LIES["headers of other blocks"]
    async with script(72) as (node, peer, handle), trio.open_nursery() as nursery:
        connected = node.connected[0]

        async def answer_twice() -> None:
            request = await peer.receive_message()
            for _ in range(2):
                await peer.send_message(replace(case.answers[0], request_id=request.request_id, headers=Lazy([CHAIN.chain[3].raw])))

        nursery.start_soon(answer_twice)
        assert await handle.headers(3, 1) == (CHAIN.chain[3],)
        assert (await connected.wait_ended()).reason == DisconnectReason.PROTOCOL_BREACH
