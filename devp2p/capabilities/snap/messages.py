"""The messages of snap/1 and snap/2 (caps/snap.md, "Protocol Messages"): flat lists that begin with the request's id.

Names are those of the specification, in Python's spelling; `response_bytes` is also what it calls "bytes". Lists stay encoded until an item
is asked for. `max_size` of a request is what its longest list may take (go-ethereum asks for 512 hashes at once, others for 1,200); that of
an answer is the soft limit that everybody keeps, 2 MiB, and what may come on top: the item that exceeds it, and two proofs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from devp2p import Request, Response
from devp2p.rlp import U64, Bytes32, Lazy, MaxItems, MaxLength, Raw

SOFT_LIMIT = 2 * 2**20
"""Bytes after which an answer ends, whatever was asked for (EIP-8189, "Response Size Limit")."""
MOST_LOOKUPS = 1024
"""How many accounts, codes, nodes or access lists a request gets at most; go-ethereum has the same number for most of them."""
UNAVAILABLE = b"\x80"
"""What stands for an access list that is not there: the RLP of an empty string."""

_MOST_ASKED = 256 * 2**10
_MOST_ANSWERED = SOFT_LIMIT + 2**20
_MOST_LEAVES = 65_536  # the smallest account takes 38 bytes, the smallest slot 35
_MOST_NODES = 512  # of proofs; the two edges of a full trie have 130 at most

Node = Annotated[bytes, MaxLength(1024)]
"""A trie node in RLP: 532 bytes at most, which a branch with 16 hashes has."""
ProofNodes = Annotated[Lazy[Node], MaxItems(_MOST_NODES)]
Hash = Annotated[bytes, MaxLength(32)]
"""Where a hash may be shorter: bytes that are missing are zeros on the left, and an empty one stands for none."""


@dataclass(frozen=True)
class GetAccountRange(Request["AccountRange"]):
    """Accounts of a state from a key on (0x00)."""

    root_hash: Bytes32
    starting_hash: Bytes32
    limit_hash: Bytes32
    response_bytes: U64
    max_size: ClassVar[int] = 2**10


@dataclass(frozen=True)
class AccountData:
    """An account by the keccak of its address."""

    hash: Bytes32
    body: Raw
    """Slim RLP: see `slim`."""


@dataclass(frozen=True)
class AccountRange(Response):
    """The answer to `GetAccountRange` (0x01)."""

    accounts: Annotated[Lazy[AccountData], MaxItems(_MOST_LEAVES)]
    proof: ProofNodes
    max_size: ClassVar[int] = _MOST_ANSWERED


@dataclass(frozen=True)
class GetStorageRanges(Request["StorageRanges"]):
    """The storage of several accounts, or a part of one account's (0x02)."""

    root_hash: Bytes32
    account_hashes: Lazy[Bytes32]
    starting_hash: Hash
    limit_hash: Hash
    response_bytes: U64
    max_size: ClassVar[int] = _MOST_ASKED


@dataclass(frozen=True)
class SlotData:
    """A storage slot by the keccak of its key; its value is in RLP, as it stands in the trie."""

    hash: Bytes32
    data: bytes


@dataclass(frozen=True)
class StorageRanges(Response):
    """The answer to `GetStorageRanges` (0x03): a list for each account, and a proof for the last of them if it is not whole."""

    slots: Annotated[tuple[Annotated[Lazy[SlotData], MaxItems(_MOST_LEAVES)], ...], MaxItems(MOST_LOOKUPS)]
    proof: ProofNodes
    max_size: ClassVar[int] = _MOST_ANSWERED


@dataclass(frozen=True)
class GetByteCodes(Request["ByteCodes"]):
    """Codes of contracts by their hashes (0x04)."""

    hashes: Lazy[Bytes32]
    response_bytes: U64
    max_size: ClassVar[int] = _MOST_ASKED


@dataclass(frozen=True)
class ByteCodes(Response):
    """The answer to `GetByteCodes` (0x05): those that are known, in the order in which they were asked for."""

    codes: Lazy[bytes]
    max_size: ClassVar[int] = _MOST_ANSWERED


@dataclass(frozen=True)
class GetTrieNodes(Request["TrieNodes"]):
    """Nodes of the state's trie by their paths (0x06, snap/1 only).

    Each element is a path in the trie of accounts; or an account's hash and paths in its storage. Paths are in hex-prefix encoding.
    """

    root_hash: Bytes32
    paths: Lazy[Annotated[tuple[bytes, ...], MaxItems(MOST_LOOKUPS + 1)]]
    response_bytes: U64
    max_size: ClassVar[int] = _MOST_ASKED


@dataclass(frozen=True)
class TrieNodes(Response):
    """The answer to `GetTrieNodes` (0x07)."""

    nodes: Lazy[Node]
    max_size: ClassVar[int] = _MOST_ANSWERED


@dataclass(frozen=True)
class GetBlockAccessLists(Request["BlockAccessLists"]):
    """Block access lists by the hashes of their blocks (0x08, snap/2 only)."""

    hashes: Lazy[Bytes32]
    response_bytes: U64
    max_size: ClassVar[int] = _MOST_ASKED


@dataclass(frozen=True)
class BlockAccessLists(Response):
    """The answer to `GetBlockAccessLists` (0x09): in the order in which they were asked for, `UNAVAILABLE` in place of each missing one."""

    access_lists: Lazy[Raw]
    max_size: ClassVar[int] = 10 * 2**20  # one may be larger than the soft limit; go-ethereum takes no more in a message


AnyRequest = GetAccountRange | GetStorageRanges | GetByteCodes | GetTrieNodes | GetBlockAccessLists
AnyAnswer = AccountRange | StorageRanges | ByteCodes | TrieNodes | BlockAccessLists
SnapMessage = AnyRequest | AnyAnswer

SHARED: Mapping[int, type[Any]] = {
    0x00: GetAccountRange,
    0x01: AccountRange,
    0x02: GetStorageRanges,
    0x03: StorageRanges,
    0x04: GetByteCodes,
    0x05: ByteCodes,
}
"""What both versions have."""
