"""Walks through a whole state, or an account's storage, page by page, with one peer or several."""

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Generic, TypeVar

import trio

from devp2p import Devp2pError, PeerDisconnected, RemoteProtocolError
from devp2p.capabilities.ethereum import Account
from devp2p.capabilities.snap.peer import FIRST_KEY, SnapPeer
from devp2p.capabilities.snap.serving import LAST_KEY

V = TypeVar("V")
Page = tuple[Mapping[bytes, V], bool]
"""Values by their keys, in order; and whether there are more."""


class StateUnavailableError(Devp2pError):
    """Of all peers that were asked, none is left that has the rest of a state."""


class Walk(Generic[V]):
    """An async iterator over (key, value). It may be left at any point: it holds nothing that would have to be closed."""

    def __init__(
        self, peers: Iterable[SnapPeer], ask: Callable[[SnapPeer, bytes], Awaitable[Page[V] | None]], start: bytes, limit: bytes
    ) -> None:
        self.key: bytes = start
        """From where the next page is asked for: where another walk may go on."""
        self._peers = deque(peers)
        self._ask = ask
        self._limit = limit
        self._items: deque[tuple[bytes, V]] = deque()
        self._is_over = False

    def __aiter__(self) -> "Walk[V]":
        return self

    async def __anext__(self) -> tuple[bytes, V]:
        while not self._items and not self._is_over:
            await self._turn_page()
        if not self._items:
            raise StopAsyncIteration
        return self._items.popleft()

    async def _turn_page(self) -> None:
        """Get the next page from the peer whose turn it is, or from the next one; who fails is asked no more."""
        why = "no peer has it"
        while self._peers:
            peer = self._peers.popleft()
            try:
                page = await self._ask(peer, self.key)
            except (PeerDisconnected, RemoteProtocolError, trio.TooSlowError) as error:
                why = str(error) or "no peer has answered in time"
                continue
            if page is not None:
                self._peers.append(peer)
                self._take(*page)
                return
        raise StateUnavailableError(f"nobody is left who has the state from key {self.key.hex()} on: {why}")

    def _take(self, values: Mapping[bytes, V], more: bool) -> None:  # noqa: FBT001  (a page, unpacked)
        self._items.extend((key, value) for key, value in values.items() if key <= self._limit)
        last = max(values, default=LAST_KEY)
        self._is_over = not more or last >= self._limit
        if not self._is_over:
            self.key = (int.from_bytes(last, "big") + 1).to_bytes(32, "big")


def walk_accounts(peers: Iterable[SnapPeer], root: bytes, start: bytes = FIRST_KEY, limit: bytes = LAST_KEY) -> Walk[Account]:
    """Iterate over the accounts of a state from `start` to `limit`, each as (keccak of its address, account).

    Peers take turns; one that fails, lies or does not have the state is not asked again. StateUnavailableError when none is left.
    """

    async def ask(peer: SnapPeer, key: bytes) -> Page[Account] | None:
        page = await peer.account_range(root, key, limit)
        return None if page is None else (page.accounts, page.more)

    return Walk(peers, ask, start, limit)


def walk_slots(peers: Iterable[SnapPeer], root: bytes, account_hash: bytes, account: Account, start: bytes = FIRST_KEY) -> Walk[int]:
    """Iterate over the storage of an account in the same way, each slot as (keccak of its key, value)."""

    async def ask(peer: SnapPeer, key: bytes) -> Page[int] | None:
        page = (await peer.storage_ranges(root, {account_hash: account}, key)).get(account_hash)
        return None if page is None else (page.slots, page.more)

    return Walk(peers, ask, start, LAST_KEY)
