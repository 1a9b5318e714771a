"""What a node answers to peers that ask it for state (caps/snap.md, "Protocol Messages"), from a `State`.

Every request is answered, with nothing if the state is not here. An answer ends after the bytes that were asked for, or 2 MiB; the number
of things that a request may have looked up is bounded as well, since to look up what is not there fills no answer.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any

import trio

from devp2p import RemoteProtocolError, rlp
from devp2p.capabilities.ethereum import ChainError, State
from devp2p.capabilities.snap.messages import (
    MOST_LOOKUPS,
    SOFT_LIMIT,
    UNAVAILABLE,
    AccountRange,
    AnyAnswer,
    AnyRequest,
    BlockAccessLists,
    ByteCodes,
    GetAccountRange,
    GetBlockAccessLists,
    GetByteCodes,
    GetStorageRanges,
    GetTrieNodes,
    StorageRanges,
    TrieNodes,
)
from devp2p.rlp import Lazy

LAST_KEY = b"\xff" * 32
_STEP = 256  # leaves, a quarter of a millisecond

_NOTHING: dict[type[AnyRequest], Callable[[int], AnyAnswer]] = {
    GetAccountRange: lambda number: AccountRange(number, Lazy(), Lazy()),
    GetStorageRanges: lambda number: StorageRanges(number, (), Lazy()),
    GetByteCodes: lambda number: ByteCodes(number, Lazy()),
    GetTrieNodes: lambda number: TrieNodes(number, Lazy()),
    GetBlockAccessLists: lambda number: BlockAccessLists(number, Lazy()),
}


async def answer(state: State | None, request: AnyRequest) -> AnyAnswer:
    """Answer a request, with nothing if there is no state or it cannot be read; RemoteProtocolError if it is none that a peer may send."""
    if state is None:
        return _NOTHING[type(request)](request.request_id)
    try:
        return await _look_up(state, request)
    except ChainError:
        return _NOTHING[type(request)](request.request_id)


async def _look_up(state: State, request: AnyRequest) -> AnyAnswer:
    match request:
        case GetAccountRange():
            return await _accounts(state, request)
        case GetStorageRanges():
            return await _slots(state, request)
        case GetByteCodes():
            hashes = request.hashes[:MOST_LOOKUPS]
            codes = await state.codes(hashes, size=_size(request)) if hashes else ()
            return ByteCodes(request.request_id, Lazy(codes))
        case GetTrieNodes():
            paths = _some_paths(request.paths)
            nodes = await state.nodes(request.root_hash, paths, size=_size(request)) if paths else ()
            return TrieNodes(request.request_id, Lazy(nodes))
        case GetBlockAccessLists():
            hashes = request.hashes[:MOST_LOOKUPS]
            lists = await state.access_lists(hashes, size=_size(request)) if hashes else ()
            return BlockAccessLists(request.request_id, Lazy(UNAVAILABLE if one is None else one for one in lists))


async def _accounts(state: State, request: GetAccountRange) -> AccountRange:
    found = await state.accounts(request.root_hash, request.starting_hash, request.limit_hash, size=_size(request))
    if found is None:
        return AccountRange(request.request_id, Lazy(), Lazy())
    return AccountRange(request.request_id, await _encoded(found.leaves, lambda slim: slim), Lazy(found.proof))


async def _slots(state: State, request: GetStorageRanges) -> StorageRanges:
    accounts = request.account_hashes[:MOST_LOOKUPS]
    start, limit = request.starting_hash.rjust(32, b"\0"), request.limit_hash.rjust(32, b"\0") if request.limit_hash else LAST_KEY
    found = await state.slots(request.root_hash, accounts, start, limit, size=_size(request)) if accounts else None
    slots = [await _encoded(one.leaves, rlp.encode_bytes) for one in found or ()]
    return StorageRanges(request.request_id, tuple(slots), Lazy(found[-1].proof if found else ()))


async def _encoded(leaves: Sequence[tuple[bytes, bytes]], write: Callable[[bytes], bytes]) -> Lazy[Any]:
    """Encode keys and values, and let others have their turn meanwhile: 2 MiB take 40 ms."""
    items: list[bytes] = []
    for key, value in leaves:
        items.append(rlp.encode_list(rlp.encode_bytes(key) + write(value)))
        if len(items) % _STEP == 0:
            await trio.lowlevel.checkpoint()
    return Lazy.encoded(items)


def _size(request: AnyRequest) -> int:
    return min(request.response_bytes, SOFT_LIMIT)


def _some_paths(sets: Iterable[tuple[bytes, ...]]) -> list[tuple[bytes, ...]]:
    """The sets that may be looked up, with as many paths in all; RemoteProtocolError if one is empty (go-ethereum ends a session, too)."""
    some: list[tuple[bytes, ...]] = []
    left = MOST_LOOKUPS
    for paths in islice(sets, MOST_LOOKUPS):
        if not paths:
            raise RemoteProtocolError("GetTrieNodes has an empty set of paths: a set is a path, or an account's hash and paths")
        if left <= 0:
            break
        some.append(paths[: left + 1])
        left -= max(len(paths) - 1, 1)
    return some
