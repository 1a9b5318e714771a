"""The bounds of discovery, of both versions together."""

from dataclasses import dataclass, field
from typing import Final

from devp2p.arguments import check_bounds
from devp2p.discovery.v4 import Discv4Limits
from devp2p.discovery.v5 import Discv5Limits

_PATIENCE: Final = 1.0  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveryLimits:
    """The bounds of discovery."""

    v4: Discv4Limits = field(default_factory=Discv4Limits)
    v5: Discv5Limits = field(default_factory=Discv5Limits)
    local_addresses_in_dns: bool = False
    """Whether nodes of DNS trees may have loopback and private addresses."""

    @classmethod
    def for_questions(cls, *, at_once: int, remembered: int = 1 << 15) -> "DiscoveryLimits":
        """The bounds of a program that asks very many nodes, so many operations `at_once` for each version.

        It has most nodes asked but once, and is busy with others meanwhile: so it waits longer for an answer than a node which asks again.

        What was learned of so many nodes is `remembered`: endpoint proofs of v4, records of v5 that were verified. It takes 3 KB each.
        """
        return cls(
            v4=Discv4Limits(response_timeout=_PATIENCE, operations=2 * at_once, bonds=remembered, duplicates=remembered),
            v5=Discv5Limits(
                response_timeout=_PATIENCE,
                operations=2 * at_once,
                sessions=max(1024, 2 * at_once),
                challenges=max(1024, at_once),
                remembered=remembered,
            ),
        )

    def __post_init__(self) -> None:
        check_bounds(self)
