"""A small state in memory, as `State` wants it, and the plain capability beside which snap runs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from devp2p import Capability, Channel, Peer, keccak256, rlp
from devp2p.capabilities.ethereum import Account, GenesisChain, Range, State
from devp2p.capabilities.ethereum.tries import EMPTY_CODE, EMPTY_ROOT, TrieReader, slim_account, trie_nodes
from devp2p.capabilities.snap import Snap1, Snap2
from devp2p.capabilities.snap.messages import AnyRequest, GetBlockAccessLists
from devp2p.capabilities.snap.serving import answer

Leaf = tuple[bytes, bytes]
CHAIN = GenesisChain.public("hoodi")


def number(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def encoded(account: Account) -> bytes:
    """As in the trie."""
    return rlp.encode([number(account.nonce), number(account.balance), account.storage_root, account.code_hash])


@dataclass
class MemoryState:
    """A `State` of one root: all that it has lies in dicts, and its tries in one of nodes by hash."""

    accounts_by_hash: Mapping[bytes, Account]
    storage: Mapping[bytes, Mapping[bytes, int]]
    code: Mapping[bytes, bytes]
    lists: Mapping[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    hashes_of_nodes: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    root: bytes = EMPTY_ROOT

    def __post_init__(self) -> None:
        self.root = self.keep((key, encoded(account)) for key, account in sorted(self.accounts_by_hash.items()))
        for slots in self.storage.values():
            self.keep((key, rlp.encode(number(value))) for key, value in sorted(slots.items()))
        self.trie = TrieReader(self.hashes_of_nodes.get)

    def keep(self, leaves: Iterator[Leaf]) -> bytes:
        root = EMPTY_ROOT
        for _, root, node in trie_nodes(leaves):
            self.hashes_of_nodes[root] = node
        return root

    async def account(self, address: bytes) -> Account | None:
        return self.accounts_by_hash.get(keccak256(address))

    async def accounts(self, root: bytes, start: bytes, limit: bytes, *, size: int) -> Range | None:
        if root != self.root:
            return None
        leaves, _ = self.some(root, start, limit, size, slim_account)
        return Range(leaves, self.proof(root, start, leaves))

    async def slots(self, root: bytes, accounts: Sequence[bytes], start: bytes, limit: bytes, *, size: int) -> Sequence[Range] | None:
        found: list[Range] = []
        for at, key in enumerate(accounts):
            if root != self.root or key not in self.accounts_by_hash:
                return None
            taken = sum(len(key) + len(value) for one in found for key, value in one.leaves)
            if taken > size or (found and found[-1].proof):
                break
            first = start if at == 0 else bytes(32)
            last = limit if at == len(accounts) - 1 else b"\xff" * 32
            storage_root = self.accounts_by_hash[key].storage_root
            leaves, cut = self.some(storage_root, first, last, size - taken, lambda data: data)
            found.append(Range(leaves, self.proof(storage_root, first, leaves) if cut or first != bytes(32) else ()))
        return found

    async def codes(self, hashes: Sequence[bytes], *, size: int) -> Sequence[bytes]:
        found: list[bytes] = []
        for one in hashes:
            if one in self.code:
                found.append(self.code[one])
            if sum(map(len, found)) > size:
                break
        return found

    async def nodes(self, root: bytes, paths: Sequence[Sequence[bytes]], *, size: int) -> Sequence[bytes]:
        found: list[bytes] = []
        for first, *others in paths if root == self.root else ():
            account = self.accounts_by_hash.get(first.rjust(32, b"\0"))
            inner = [(account.storage_root, path) for path in others if account] if others else [(root, first)]
            for trie, path in inner:
                if sum(map(len, found)) <= size:
                    found.append(self.trie.node(trie, path))
        return found

    async def access_lists(self, hashes: Sequence[bytes], *, size: int) -> Sequence[bytes | None]:
        found: list[bytes | None] = []
        for one in hashes:
            found.append(self.lists.get(one))
            if sum(len(raw or b"0") for raw in found) > size:
                break
        return found

    def some(self, root: bytes, start: bytes, limit: bytes, size: int, shape: Callable[[bytes], bytes]) -> tuple[list[Leaf], bool]:
        """Leaves from `start` on, and whether something, or `limit`, has cut them."""
        leaves: list[Leaf] = []
        taken = 0
        for key, value in self.trie.iterate(root, start):
            if leaves and (taken > size or leaves[-1][0] >= limit):
                return leaves, True
            leaves.append((key, shape(value)))
            taken += 32 + len(leaves[-1][1])
        return leaves, False

    def proof(self, root: bytes, start: bytes, leaves: Sequence[Leaf]) -> list[bytes]:
        ends = [self.trie.prove(root, start), self.trie.prove(root, leaves[-1][0]) if leaves else []]
        return [*dict.fromkeys(chain(*ends))]


def small_state(count: int = 40) -> MemoryState:
    """So many accounts; of five of them each has a code, and three have storage: 1, 30, and 100 slots."""
    code = {keccak256(text): text for text in (b"", *(bytes([number]) * 20 * (number + 1) for number in range(5)))}
    storage = {
        keccak256(b"account %d" % at): {keccak256(b"slot %d" % n): n * n + 1 for n in range(size)} for at, size in enumerate([1, 30, 100])
    }
    accounts: dict[bytes, Account] = {}
    for at in range(count):
        key = keccak256(b"account %d" % at)
        slots = storage.get(key, {})
        *_, (_, root, _) = trie_nodes((slot, rlp.encode(number(value))) for slot, value in sorted(slots.items()))
        accounts[key] = Account(at, 10**18 * at, root, [*code][at] if 0 < at < 6 else EMPTY_CODE)
    return MemoryState(accounts, storage, code)


@dataclass(frozen=True)
class Status:
    """The only message of the plain eth."""


class PlainEth(Capability[Status, str]):
    """A capability called eth, which is ready once both sides have said something; what else eth does, snap does not need."""

    name, version = "eth", 69
    messages = {0x00: Status}
    ready_within = 5.0

    async def run(self, peer: Peer, channel: Channel[Status]) -> None:  # noqa: ARG002
        await channel.send(Status())
        async for _ in channel:
            if not channel.is_ready:
                channel.ready("accepted")


async def answered(state: State, request: AnyRequest) -> Any:
    """An answer as it comes out of the wire at the other end."""
    table = (Snap2 if isinstance(request, GetBlockAccessLists) else Snap1).table()
    code, _, data = table.encode(await answer(state, request))
    return table.decode(code, data)
