"""`SnapPeer`: what one may ask a peer for. Answers are typed, and proved before they are returned."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar, cast

import trio

from devp2p import Channel, LocalProtocolError, Peer, RemoteProtocolError
from devp2p.capabilities.ethereum import Account
from devp2p.capabilities.ethereum.blocks import Header
from devp2p.capabilities.ethereum.tries import EMPTY_CODE, EMPTY_ROOT
from devp2p.capabilities.snap.checking import (
    AccountPage,
    Path,
    Steps,
    StoragePage,
    check_access_lists,
    check_accounts,
    check_codes,
    check_nodes,
    check_storage,
)
from devp2p.capabilities.snap.messages import (
    MOST_LOOKUPS,
    GetAccountRange,
    GetBlockAccessLists,
    GetByteCodes,
    GetStorageRanges,
    GetTrieNodes,
    SnapMessage,
)
from devp2p.capabilities.snap.serving import LAST_KEY
from devp2p.rlp import Lazy

FIRST_KEY = bytes(32)
USUAL_SIZE = 512 * 2**10
"""Bytes that are asked for unless somebody says otherwise, as go-ethereum does."""
_LIE = 4
_threads = trio.CapacityLimiter(1)  # they compute, so two of them would only hold the interpreter's lock for longer

T = TypeVar("T")


class SnapPeer:
    """The state that a peer has. Keys are keccaks of addresses and of storage keys, `size` is in bytes and soft.

    Every method raises RemoteProtocolError if the peer lies, which its conduct then says, and which ends the session; trio.TooSlowError if
    it does not answer in time, and PeerDisconnected after the end. What the peer does not have is no lie. Nothing of a lie is returned.
    """

    def __init__(self, peer: Peer, channel: Channel[SnapMessage], version: int) -> None:
        self.version: int = version
        """1 or 2."""
        self._peer = peer
        self._channel = channel
        self._order = trio.Lock()

    async def account_range(
        self, root: bytes, start: bytes = FIRST_KEY, limit: bytes = LAST_KEY, size: int = USUAL_SIZE
    ) -> AccountPage | None:
        """Fetch the accounts of a state from `start` to `limit`, or as many as fit; None if the peer does not have that state.

        The first account is always among them, and the last one may lie behind `limit`.
        """
        if root == EMPTY_ROOT:
            return AccountPage({}, more=False, size=0)
        answer = await self._channel.request(GetAccountRange(root, start, limit, size))
        page = await self._proved(check_accounts(root, start, limit, answer))
        self._rate(0 if page is None else page.size)
        return page

    async def storage_ranges(
        self,
        root: bytes,
        accounts: Mapping[bytes, Account],
        start: bytes = FIRST_KEY,
        limit: bytes = LAST_KEY,
        size: int = USUAL_SIZE,
    ) -> dict[bytes, StoragePage]:
        """Fetch the storage of accounts of a state, by their hashes; those that did not fit are missing at the end.

        Only the last one that came may be a part, and says so by `more`. `start` and `limit` are for a single account (LocalProtocolError).
        All but those that have no storage are missing if the peer does not have the state.
        """
        if len(accounts) > 1 and (start, limit) != (FIRST_KEY, LAST_KEY):
            raise LocalProtocolError(f"start and limit are for the storage of one account: ask for these {len(accounts)} without them")
        pages = {key: StoragePage({}, more=False, size=0) for key, one in accounts.items() if one.storage_root == EMPTY_ROOT}
        asked = dict([(key, one) for key, one in accounts.items() if key not in pages][:MOST_LOOKUPS])
        if asked:
            answer = await self._channel.request(GetStorageRanges(root, Lazy(asked), start, limit, size))
            proved = await self._proved(check_storage(asked, start, limit, answer))
            self._rate(sum(page.size for page in proved.values()))
            pages |= proved
        return pages

    async def byte_codes(self, hashes: Iterable[bytes], size: int = USUAL_SIZE) -> dict[bytes, bytes]:
        """Fetch codes by their hashes; what did not fit, or is not known to the peer, is missing. At most 1,024 are asked for at once."""
        wanted = list(dict.fromkeys(hashes))
        found = {EMPTY_CODE: b""} if EMPTY_CODE in wanted else {}
        asked = [one for one in wanted if one != EMPTY_CODE][:MOST_LOOKUPS]
        if asked:
            answer = await self._channel.request(GetByteCodes(Lazy(asked), size))
            proved = await self._proved(check_codes(asked, answer.codes))
            self._rate(sum(map(len, proved.values())))
            found |= proved
        return found

    async def trie_nodes(self, root: bytes, wanted: Mapping[Path, bytes], size: int = USUAL_SIZE) -> dict[Path, bytes]:
        """Fetch trie nodes of a state by their paths (snap/1; LocalProtocolError in snap/2). At most 1,024 are asked for at once.

        A path is one in the trie of accounts, or an account's hash and one in its storage, both in hex-prefix encoding. Of each its node's
        hash has to be known, which the node above it names: nothing else proves it.
        """
        asked = dict([*wanted.items()][:MOST_LOOKUPS])
        answer = await self._channel.request(GetTrieNodes(root, Lazy(asked), size))
        proved = await self._proved(check_nodes(asked, answer.nodes))
        self._rate(sum(map(len, proved.values())))
        return proved

    async def access_lists(self, headers: Sequence[Header], size: int = USUAL_SIZE) -> tuple[bytes | None, ...]:
        """Fetch the access lists of blocks in RLP (snap/2; LocalProtocolError in snap/1), those of abandoned blocks as well.

        They come in the order of `headers`, None for each that the peer does not have; what did not fit is missing at the end. At most
        1,024 are asked for at once.
        """
        asked = headers[:MOST_LOOKUPS]
        answer = await self._channel.request(GetBlockAccessLists(Lazy([header.hash for header in asked]), size))
        proved = await self._proved(check_access_lists(asked, answer))
        self._rate(sum(len(one) for one in proved if one is not None))
        return proved

    async def _proved(self, steps: Steps[T]) -> T:
        """Take the steps of a check, and let others have their turn between two; a peer that lies has to go.

        Answers of one peer are checked one after another, as in eth: so the first of them is done soon, and the peer works on the next
        request while the others are checked.
        """
        result: object = None
        async with self._order:
            try:
                while True:
                    work = steps.send(result)
                    if work is None:
                        await trio.lowlevel.checkpoint()
                        result = None
                    else:
                        result = await trio.to_thread.run_sync(work, limiter=_threads)
            except StopIteration as done:
                return cast("T", done.value)
            except RemoteProtocolError as error:
                self._channel.conduct.invalid(_LIE, str(error))
                self._peer.disconnect(error.reason, str(error))
                raise

    def _rate(self, size: int) -> None:
        """What the peer brought is worth its KiB, as in eth; how long it took, the channel says."""
        if size:
            self._channel.conduct.useful(size / 1024, f"{size} bytes of state")
