"""Node lists in DNS, as text and as a tree (EIP-1459; dnsdisc.md of the devp2p specifications): reading, verifying and signing them (pure).

    enrtree://<key>@<domain>                          where a tree is, and whose signature holds for it; as an entry, a link to another tree
    enrtree-root:v1 e=<hash> l=<hash> seq=<n> sig=    at the domain itself: the tops of the two halves, records and links
    enrtree-branch:<hash>,<hash>,...                  at <hash>.<domain>: further entries of the same half
    enr:<record>                                      at <hash>.<domain>: one node

A hash is the beginning, 16 bytes where we make it, of the keccak256 of an entry's text. So the signature of the root holds for everything
below it, and whoever answers for the domain can leave out entries, but not make any.

`parse_entry` and the `parse` methods refuse what is not exactly in these forms, by DecodingError: there is one text for each entry.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, TypeAlias

from devp2p.arguments import require
from devp2p.errors import DecodingError, LocalProtocolError
from devp2p.keys import PrivateKey, PublicKey, keccak256
from devp2p.records import Record

MAX_TEXT: Final = 512
"""Characters of an entry that is read; the specification wants a whole DNS message to fit into so many bytes."""
MAX_CHILDREN: Final = 13
"""Children of a branch that is made: what 370 characters hold, which leaves a DNS message room for its names and headers."""
ROOT_PREFIX: Final = "enrtree-root:v1"
"""How the text of a root begins. A domain may have other texts beside it."""

_LINK, _BRANCH = "enrtree://", "enrtree-branch:"
_HASH: Final = 16  # bytes of the hashes that we make
_SHORTEST, _LONGEST = 12, 32  # and of those that we read
_MAX_DOMAIN: Final = 200  # the longest hash in front of it makes a name of at most 253 characters, which is what DNS has room for
_DOMAIN: Final = re.compile(r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*")
_ROOT: Final = re.compile(ROOT_PREFIX + r" e=([A-Z2-7]{20,52}) l=([A-Z2-7]{20,52}) seq=(0|[1-9][0-9]{0,19}) sig=([A-Za-z0-9_-]{87})")
_MAX_SEQUENCE: Final = 2**64 - 1
_MAX_MESSAGE: Final = 512  # bytes of a DNS message over UDP, without extensions
_MESSAGE_OVERHEAD: Final = 12 + 4 + 12  # the header; type and class of the question; what an answer has beside its name and its data


@dataclass(frozen=True, slots=True)
class TreeUrl:
    """Where a tree is: under which domain, and by whose key it is signed. In a tree it is a link to another one."""

    public_key: PublicKey
    domain: str
    """As it was written; DNS makes no difference between upper and lower case."""

    @classmethod
    def parse(cls, text: str) -> "TreeUrl":
        """Read ``enrtree://<key>@<domain>``; DecodingError says what is wrong with anything else."""
        if not text.startswith(_LINK):
            raise DecodingError(f"the URL of a tree begins with {_LINK}, not with {text[:10]!r}")
        key, at, domain = text.removeprefix(_LINK).partition("@")
        if not at:
            raise DecodingError("the URL of a tree without a public key")
        try:
            public_key = PublicKey.from_bytes(_from_base32(key, 33, 33))
        except DecodingError as error:
            raise DecodingError(f"the public key in the URL of a tree: {error}") from None
        _check_domain(domain)
        return cls(public_key, domain)

    @property
    def text(self) -> str:
        """The URL, ``enrtree://...``."""
        return f"{_LINK}{_to_base32(self.public_key.compressed)}@{self.domain}"

    @property
    def identity(self) -> str:
        """The same text for all ways to write the same domain."""
        return replace(self, domain=self.domain.lower()).text

    def __str__(self) -> str:
        return self.text


def parse_tree(text: str) -> TreeUrl:
    """Read ``enrtree://...``; ValueError says what is wrong with anything else."""
    require(text, str, "a node list in DNS is text such as 'enrtree://<key>@<domain>', or a TreeUrl")
    try:
        return TreeUrl.parse(text)
    except DecodingError as error:
        raise ValueError(f"a node list in DNS is written enrtree://<key>@<domain>, not {text[:80]!r}: {error}") from None


@dataclass(frozen=True, slots=True)
class Root:
    """The signed entry at the domain itself. That it has the right form says nothing about its signature: see `is_signed_by`."""

    records: bytes
    """The hash of the topmost entry of the half with the records."""
    links: bytes
    """The same of the half with the links."""
    sequence: int
    """Which of a domain's trees is the newest: the one with the highest number."""
    signature: bytes = bytes(65)

    @classmethod
    def parse(cls, text: str) -> "Root":
        """Read ``enrtree-root:v1 ...``; DecodingError says what is wrong with anything else."""
        match = _ROOT.fullmatch(text) if len(text) <= MAX_TEXT else None
        if match is None:
            raise DecodingError("the root of a tree that is not of the form e= l= seq= sig=")
        records, links, sequence, signature = match.groups()
        if int(sequence) > _MAX_SEQUENCE:
            raise DecodingError("the root of a tree with a sequence number of more than 64 bits")
        return cls(_read_hash(records), _read_hash(links), int(sequence), _read_signature(signature))

    @property
    def text(self) -> str:
        """The entry as text."""
        return f"{self._content} sig={self.signature_text}"

    @property
    def signature_text(self) -> str:
        """The signature as the entry has it: base64url without padding."""
        return base64.urlsafe_b64encode(self.signature).decode().rstrip("=")

    @property
    def digest(self) -> bytes:
        """The 32 bytes that are signed."""
        return keccak256(self._content.encode())

    @property
    def _content(self) -> str:
        return f"{ROOT_PREFIX} e={_to_base32(self.records)} l={_to_base32(self.links)} seq={self.sequence}"

    def is_signed_by(self, key: PublicKey) -> bool:
        """Tell whether the signature is that of `key`."""
        return key.verify(self.digest, self.signature)


@dataclass(frozen=True, slots=True)
class Branch:
    """An entry that has nothing but the hashes of others."""

    children: tuple[bytes, ...]

    @classmethod
    def parse(cls, text: str) -> "Branch":
        """Read ``enrtree-branch:...``; DecodingError says what is wrong with anything else. It may be empty."""
        if not text.startswith(_BRANCH) or len(text) > MAX_TEXT:
            raise DecodingError(f"a branch has at most {MAX_TEXT} characters and begins with {_BRANCH}")
        hashes = text.removeprefix(_BRANCH)
        return cls(tuple(map(_read_hash, hashes.split(","))) if hashes else ())

    @property
    def text(self) -> str:
        """The entry as text."""
        return _BRANCH + ",".join(map(_to_base32, self.children))


Entry: TypeAlias = Branch | TreeUrl | Record
"""What is at ``<hash>.<domain>``: a branch, a link, or a record."""


def parse_entry(text: str) -> Entry:
    """Read and verify any entry but a root; DecodingError says what is wrong with anything else."""
    if len(text) > MAX_TEXT:
        raise DecodingError(f"an entry of {len(text)} characters, where {MAX_TEXT} are allowed")
    if text.startswith(_BRANCH):
        return Branch.parse(text)
    if text.startswith(_LINK):
        return TreeUrl.parse(text)
    return Record.parse(text)


def hash_of(text: str) -> bytes:
    """The 16 bytes by which other entries of our making name this one."""
    return keccak256(text.encode())[:_HASH]


def has_hash(text: str, wanted: bytes) -> bool:
    """Tell whether an entry is the one that was named by a hash of 12 to 32 bytes."""
    return keccak256(text.encode()).startswith(wanted)


def entry_name(entry_hash: bytes, domain: str) -> str:
    """The DNS name of the entry with a hash."""
    return f"{_to_base32(entry_hash)}.{domain}"


@dataclass(frozen=True, slots=True, eq=False)
class Tree:
    """A whole signed tree, made by `make_tree` or `restore_tree`."""

    root: Root
    public_key: PublicKey
    records: tuple[Record, ...]
    """By node-ID."""
    links: tuple[TreeUrl, ...]
    """In the order in which they were given."""
    entries: Mapping[bytes, str]
    """The texts of all entries but the root, by hash."""

    def url(self, domain: str) -> TreeUrl:
        """What to give to those who shall read it, once it is published under `domain`; LocalProtocolError if that is none."""
        try:
            _check_domain(domain)
        except DecodingError as error:
            raise LocalProtocolError(str(error)) from None
        return TreeUrl(self.public_key, domain)

    def to_txt(self, domain: str) -> dict[str, str]:
        """All that is to be published, as TXT records: names, of which the domain itself is the first, and their texts.

        A text of more than 255 characters is several strings in a TXT record, which readers join. LocalProtocolError if `domain` is no
        domain, or is so long that an answer would not fit into a DNS message of 512 bytes.
        """
        url = self.url(domain)
        texts = {url.domain: self.root.text}
        texts.update((entry_name(entry_hash, url.domain), text) for entry_hash, text in self.entries.items())
        for name, text in texts.items():
            size = _MESSAGE_OVERHEAD + len(name) + 2 + len(text) + -(-len(text) // 255)
            if size > _MAX_MESSAGE:
                raise LocalProtocolError(f"{name} would need a DNS message of {size} bytes, where {_MAX_MESSAGE} are allowed")
        return texts


def make_tree(records: Iterable[Record], links: Iterable[TreeUrl], sequence: int, key: PrivateKey) -> Tree:
    """Make a tree and sign it. Of several records of one node the newest is taken; LocalProtocolError for a `sequence` that is none."""
    if not 0 <= sequence <= _MAX_SEQUENCE:
        raise LocalProtocolError(f"the sequence number of a tree has 64 bits, and is not {sequence}")
    tree = _unsigned(records, links, sequence, key.public_key)
    return replace(tree, root=replace(tree.root, signature=key.sign(tree.root.digest)))


def restore_tree(records: Iterable[Record], links: Iterable[TreeUrl], root: tuple[int, str], key: PublicKey) -> Tree:
    """Make a tree again that was signed before. `root` is its sequence number, and its signature as text.

    The order of the links matters, that of the records does not. DecodingError if the signature is not that of `key` for this tree.
    """
    sequence, signature = root
    tree = _unsigned(records, links, sequence, key)
    tree = replace(tree, root=replace(tree.root, signature=_read_signature(signature)))
    if not tree.root.is_signed_by(key):
        raise DecodingError("the signature is not that of the key for this tree")
    return tree


def _unsigned(records: Iterable[Record], links: Iterable[TreeUrl], sequence: int, key: PublicKey) -> Tree:
    newest: dict[bytes, Record] = {}
    for record in records:
        known = newest.get(record.id)
        if known is None or known.sequence < record.sequence:
            newest[record.id] = record
    nodes = tuple(newest[node_id] for node_id in sorted(newest))
    links = tuple(links)
    entries: dict[bytes, str] = {}
    root = Root(_build([record.text for record in nodes], entries), _build([link.text for link in links], entries), sequence)
    return Tree(root, key, nodes, links, MappingProxyType(entries))


def _build(leaves: Sequence[str], entries: dict[bytes, str]) -> bytes:
    """Put the leaves of one half, and as many branches as they need, into `entries`; gives the hash of the topmost one.

    Readers take any shape. This one is what go-ethereum makes of the same leaves, too, so that a signature by the one holds in the other.
    """

    def add(text: str) -> bytes:
        entry_hash = hash_of(text)
        entries[entry_hash] = text
        return entry_hash

    level: list[bytes] = [add(leaf) for leaf in leaves]
    while len(level) != 1:
        starts = range(0, max(1, len(level)), MAX_CHILDREN)  # without any leaf it is one empty branch
        groups: list[list[bytes]] = [level[start : start + MAX_CHILDREN] for start in starts]
        level = [group[0] if len(group) == 1 else add(Branch(tuple(group)).text) for group in groups]
    return level[0]


def _check_domain(domain: str) -> None:
    if len(domain) > _MAX_DOMAIN or not _DOMAIN.fullmatch(domain):
        raise DecodingError(f"{ascii(domain[:40])[:80]} is not a domain of at most {_MAX_DOMAIN} characters")


def _read_hash(text: str) -> bytes:
    try:
        return _from_base32(text, _SHORTEST, _LONGEST)
    except DecodingError as error:
        raise DecodingError(f"the hash of an entry: {error}") from None


def _read_signature(text: str) -> bytes:
    try:
        signature = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError):
        signature = b""
    if len(signature) != 65:
        raise DecodingError("a signature that is not 65 bytes of base64url")
    return signature


def _from_base32(text: str, least: int, most: int) -> bytes:
    if len(text) > (most * 8 + 4) // 5:  # before anything is made of it
        raise DecodingError(f"{len(text)} characters, which are more than {most} bytes of base32")
    try:
        data = base64.b32decode(text + "=" * (-len(text) % 8))
    except (binascii.Error, ValueError):
        raise DecodingError("not base32 in capitals, without padding") from None
    if _to_base32(data) != text:
        raise DecodingError("base32 with bits set behind its last byte")
    if not least <= len(data) <= most:
        raise DecodingError(f"{len(data)} bytes, where {least} to {most} are wanted")
    return data


def _to_base32(data: bytes) -> str:
    return base64.b32encode(data).decode().rstrip("=")
