"""The forks that changed which transactions are valid."""

from collections.abc import Callable, Mapping
from enum import IntEnum, auto
from typing import Final


class Fork(IntEnum):
    """A set of rules for transactions; later ones are greater."""

    FRONTIER = auto()
    HOMESTEAD = auto()
    SPURIOUS_DRAGON = auto()
    ISTANBUL = auto()
    BERLIN = auto()
    LONDON = auto()
    SHANGHAI = auto()
    CANCUN = auto()
    PRAGUE = auto()
    OSAKA = auto()
    AMSTERDAM = auto()

    @classmethod
    def among(cls, is_active: Callable[[str], bool]) -> "Fork":
        """Return the latest fork of those whose upgrade is active, by the name that genesis files of go-ethereum have for it.

        For a block of a network: ``Fork.among(lambda name: network.is_active(name, number, timestamp))``.
        """
        return next((fork for fork in reversed(cls) if fork is not cls.FRONTIER and is_active(_UPGRADES[fork])), cls.FRONTIER)


_UPGRADES: Final[Mapping[Fork, str]] = {fork: fork.name.lower() for fork in Fork} | {Fork.SPURIOUS_DRAGON: "eip155"}
