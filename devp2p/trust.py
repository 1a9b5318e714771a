"""How far a peer is trusted, and what a session with it speaks. Trust is no rating: it says nothing of how well a peer serves."""

import enum
from dataclasses import dataclass


class Trust(enum.Enum):
    """What a session's beginning has shown of the peer, beside its key."""

    STRANGER = "stranger"
    """It holds its key: no more is known."""
    INTRODUCED = "introduced"
    """A peer that we know has introduced it."""
    KNOWN = "known"
    """It has resumed a session whose chain is at least a day old: it holds its key, and all that we agreed on before."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What a session speaks, how it began, and how far its peer is trusted; `str` of it is for people."""

    protocol: str
    """``"RLPx"``, ``"dpx/1"``, or ``"plain"`` over a link that protects what it carries by itself."""
    features: tuple[str, ...] = ()
    """What both have agreed on in dpx/1, by its names there: ``"mux"``, ``"resume"`` ..."""
    mode: str = "plain"
    """How the session began: ``"plain"``, ``"introduced"`` or ``"resumed"``."""
    trust: Trust = Trust.STRANGER
    generation: int = 0
    """How many sessions the chain has that this one continues, itself included; 0 without resumption."""
    why: str = ""
    """Why the peer is trusted, or is trusted no more; empty for a stranger that never was."""

    def __str__(self) -> str:
        """``dpx/1 (mux, resume; resumed, generation 3)``, or ``RLPx``."""
        parts = [", ".join(self.features)] if self.features else []
        if self.mode != "plain":
            parts.append(self.mode if not self.generation else f"{self.mode}, generation {self.generation}")
        return f"{self.protocol} ({'; '.join(parts)})" if parts else self.protocol


STOCK = Profile("RLPx")
"""A session as every client has it."""
PLAIN = Profile("plain")
"""A session over a link that has proved its peer."""
