"""Fuzz targets for what peers say in snap: requests that are served, answers that are held against what was asked."""

import contextlib
from collections.abc import Coroutine, Generator
from typing import Any, Final

from devp2p import DecodingError, RemoteProtocolError
from devp2p.capabilities.snap import AccountPage, Snap1, Snap2
from devp2p.capabilities.snap.checking import check_accounts, check_codes, check_nodes, check_storage
from devp2p.capabilities.snap.messages import AccountRange, AnyRequest, ByteCodes, StorageRanges, TrieNodes
from devp2p.capabilities.snap.serving import answer
from tests.capabilities.snap.states import small_state
from tests.fuzz.discovery_targets import check_refusal

STATE: Final = small_state(4)
ROOT, FIRST, LAST = STATE.root, bytes(32), b"\xff" * 32
STORED: Final = {key: account for key, account in sorted(STATE.accounts_by_hash.items()) if key in STATE.storage}
TABLES: Final = (Snap1.table(), Snap2.table())


def fuzz_snap(data: bytes) -> None:
    # A byte, which says version and message id, and a message. Invariant: it is refused as DecodingError, or it is one that is the same
    # when it was written and read again; then a request is answered or refused as RemoteProtocolError, and of an answer no more is taken
    # than is true of a small state.
    head, message_data = (data[0], data[1:]) if data else (0, b"")
    table, code = TABLES[head & 1], head >> 1
    if code >= len(table.spec.sizes) or not table.spec.sizes[code]:
        return
    try:
        message = table.decode(code, message_data)
    except DecodingError as error:
        check_refusal(error)
        return
    with contextlib.suppress(DecodingError):  # of an item that nobody had looked at
        assert table.decode(code, table.encode(message)[2]) == message
    with contextlib.suppress(RemoteProtocolError):
        if isinstance(message, AnyRequest):
            served = returned(answer(STATE, message))
            assert served.request_id == message.request_id
            table.encode(served)
        else:
            check_taken(message)


def check_taken(message: Any) -> None:
    match message:
        case AccountRange():
            page = result(check_accounts(ROOT, FIRST, LAST, message))
            assert page is None or is_true(page)
        case StorageRanges():
            for key, part in result(check_storage(STORED, FIRST, LAST, message)).items():
                assert dict(part.slots) == {slot: STATE.storage[key][slot] for slot in part.slots}
                assert part.more or len(part.slots) == len(STATE.storage[key])
        case ByteCodes():
            assert set(result(check_codes([*STATE.code], message.codes)).values()) <= set(STATE.code.values())
        case TrieNodes():
            assert set(result(check_nodes({(b"\0",): ROOT}, message.nodes)).values()) <= {STATE.hashes_of_nodes[ROOT]}
        case _:
            pass


def is_true(page: AccountPage) -> bool:
    there = sorted(STATE.accounts_by_hash.items())
    return [*page.accounts.items()] == there[: len(page.accounts)] and page.more == (len(page.accounts) < len(there))


def result(steps: Generator[Any, Any, Any]) -> Any:
    try:
        while True:
            next(steps)
    except StopIteration as done:
        return done.value


def returned(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine returns that waits for nothing, as so small a state does not."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waits")
