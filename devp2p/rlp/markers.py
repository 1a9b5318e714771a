"""What annotations say beyond the bare types: sizes, counts, and items that stay encoded.

A size or count that cannot be is a LocalProtocolError where it is written, and one that is no number a TypeError.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Annotated, TypeAlias

from devp2p.arguments import whole


@dataclass(frozen=True, slots=True)
class Bits:
    """An integer from 0 to ``2**bits - 1``; 1 to 256 bits."""

    bits: int

    def __post_init__(self) -> None:
        whole(self.bits, "Bits", 1, 256)


@dataclass(frozen=True, slots=True)
class Length:
    """Exactly so many bytes."""

    size: int

    def __post_init__(self) -> None:
        whole(self.size, "Length")


@dataclass(frozen=True, slots=True)
class MaxLength:
    """At most so many bytes; for text, of its UTF-8 form."""

    size: int

    def __post_init__(self) -> None:
        whole(self.size, "MaxLength")


@dataclass(frozen=True, slots=True)
class MaxItems:
    """At most so many items in a ``tuple[T, ...]`` or ``Lazy[T]``; without this, a Lazy holds at most 65,536."""

    count: int

    def __post_init__(self) -> None:
        whole(self.count, "MaxItems")


class Kept(Enum):
    """What a field keeps in its encoding."""

    ITEM = "one item"
    REST = "all further items"


U8: TypeAlias = Annotated[int, Bits(8)]
U16: TypeAlias = Annotated[int, Bits(16)]
U32: TypeAlias = Annotated[int, Bits(32)]
U64: TypeAlias = Annotated[int, Bits(64)]
U128: TypeAlias = Annotated[int, Bits(128)]
U256: TypeAlias = Annotated[int, Bits(256)]

Bytes4: TypeAlias = Annotated[bytes, Length(4)]
Bytes8: TypeAlias = Annotated[bytes, Length(8)]
Bytes20: TypeAlias = Annotated[bytes, Length(20)]
Bytes32: TypeAlias = Annotated[bytes, Length(32)]
Bytes64: TypeAlias = Annotated[bytes, Length(64)]
Bytes65: TypeAlias = Annotated[bytes, Length(65)]
Bytes256: TypeAlias = Annotated[bytes, Length(256)]

Raw: TypeAlias = Annotated[bytes, Kept.ITEM]
"""One whole item as its encoding. Its head is checked; what a list holds is checked by whoever decodes it."""
Rest: TypeAlias = Annotated[tuple[bytes, ...], Kept.REST]
"""For the last field: all further elements, each as its encoding. Nothing is lost when it is written again."""
