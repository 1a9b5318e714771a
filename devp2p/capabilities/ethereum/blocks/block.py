"""Whole blocks, as files of a chain hold them: RLP of a header, and of the body's parts behind it, one block after another."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import BinaryIO, Final, Self

from devp2p import DecodingError, rlp
from devp2p.capabilities.ethereum.blocks.body import Body
from devp2p.capabilities.ethereum.blocks.header import Header
from devp2p.capabilities.ethereum.blocks.reading import Fields

MAX_BLOCK: Final = 64 * 1024 * 1024
"""Bytes of a block in a file."""


@dataclass(frozen=True, repr=False)
class Block:
    """A header and the body that belongs to it; `body_fault` tells whether it does. `access_list` is in RLP, if it is known."""

    header: Header
    body: Body
    access_list: bytes | None = None

    def __repr__(self) -> str:
        """Name the block, and count what is in it."""
        return f"<Block {self.header.number}, 0x{self.hash.hex()}: {len(self.body.transactions)} transactions>"

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """Take apart ``[header, transactions, ommers, withdrawals, access-list]`` in RLP.

        Withdrawals are absent before Shanghai. The access list is in files that go-ethereum 1.17.8 writes of blocks since Amsterdam.
        DecodingError if it is something else. Transactions, ommers, withdrawals and the access list are not decoded.
        """
        fields = Fields.of(raw)
        try:
            header, body = Header.decode(fields.item()), Body.take(fields)
            access_list = fields.item() if fields else None
            fields.close()
        except DecodingError as error:
            raise DecodingError(f"a block: {error}") from None
        return cls(header, body, access_list)

    @cached_property
    def raw(self) -> bytes:
        """The block in RLP, which is that it came in, if it was decoded."""
        return rlp.encode_list(self.header.raw + self.body.content + (self.access_list or b""))

    @property
    def hash(self) -> bytes:
        """The hash of the block, which is its header's."""
        return self.header.hash


def read_blocks(file: BinaryIO) -> Iterator[Block]:
    """Iterate over the blocks of a file, as `geth export` writes it. DecodingError, with the place, where it is something else."""
    for at, raw in read_items(file):
        try:
            yield Block.decode(raw)
        except DecodingError as error:
            raise DecodingError(f"byte {at}: {error}") from None


def read_items(file: BinaryIO, most: int = MAX_BLOCK) -> Iterator[tuple[int, bytes]]:
    """Iterate over the RLP items of a file that has nothing else, each with its place; one of more than `most` bytes is refused.

    DecodingError, with the place, where no item is, or where the file ends within one.
    """
    at = 0
    while head := file.read(1):
        try:
            raw = _read_item(head, file, most)
            rlp.split_item(raw)  # judges the head
        except DecodingError as error:
            raise DecodingError(f"byte {at}: {error}") from None
        yield at, raw
        at += len(raw)


def _read_item(head: bytes, file: BinaryIO, most: int) -> bytes:
    first = head[0]
    if 0xB8 <= first < 0xC0 or first >= 0xF8:  # its length has bytes of its own
        width = first - (0xF7 if first >= 0xF8 else 0xB7)
        head += file.read(width)
        size = 1 + width + int.from_bytes(head[1:], "big")
    else:
        size = 1 if first < 0x80 else first - (0xBF if first >= 0xC0 else 0x7F)
    if size > most:
        raise DecodingError(f"an item of {size} bytes, more than {most}")
    raw = head + file.read(size - len(head))
    if len(raw) < size:
        raise DecodingError(f"{size - len(raw)} bytes of the last item are missing")
    return raw
