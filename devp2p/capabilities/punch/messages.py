"""The messages of punch/1 (docs/spec/punch1.md, "Messages")."""

from dataclasses import dataclass
from typing import Annotated, Final, TypeAlias

from devp2p.rlp import U8, MaxItems, MaxLength

MOST_ADDRESSES: Final = 8

Addresses: TypeAlias = Annotated[tuple[Annotated[str, MaxLength(128)], ...], MaxItems(MOST_ADDRESSES)]
"""Such as ``tcp://203.0.113.7:30303``."""


@dataclass(frozen=True)
class Connect:
    """Let us try, at these addresses of mine; the answer is one of the same round (0x00)."""

    round: U8
    addresses: Addresses


@dataclass(frozen=True)
class Sync:
    """Now (0x01)."""

    round: U8


@dataclass(frozen=True)
class Chosen:
    """There is a link, the session goes on over it (0x02)."""

    round: U8


@dataclass(frozen=True)
class Failed:
    """There is none (0x03)."""

    round: U8


PunchMessage: TypeAlias = Connect | Sync | Chosen | Failed
