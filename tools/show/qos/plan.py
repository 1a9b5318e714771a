"""What is sent over which line (pure)."""

import enum
from dataclasses import dataclass

FLOOD, BULK, CHAT = CAPABILITIES = ("flood", "bulk", "chat")


class Side(enum.StrEnum):
    """How the two nodes of a side speak with each other; all else is alike."""

    STOCK = "stock"
    """RLPx as every client has it: a message is one frame."""
    DPX = "dpx"

    @property
    def label(self) -> str:
        """What people call it."""
        return "stock RLPx" if self is Side.STOCK else "dpx/1"


@dataclass(frozen=True, slots=True)
class Load:
    """What the capabilities send, in bytes and seconds."""

    rate: int = 1_000_000
    """Bytes a second that the line carries each way."""
    flood_size: int = 4_000_000
    flood_every: float = 5.0
    """At the usual rate a large message has the line for four of five seconds."""
    bulk_size: int = 64 * 1024
    chat_every: float = 0.1
    """From one question to the next, whether the answers have come or not."""


LOAD = Load()
