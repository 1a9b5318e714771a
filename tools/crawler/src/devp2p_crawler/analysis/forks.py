"""Fork ids (EIP-2124) against the networks that are known: which one, how far a node is there, and whether it is ready for the next fork.

A fork id does not name its network, and neither a first block nor a network id does so alone: chains that were split off have both in
common with mainnet. So a node belongs to a known network if its checksum is one of that network's, and what else it says agrees.
All others are kept as they are, by what they say.
"""

import enum
from dataclasses import dataclass
from typing import Final

from devp2p.capabilities.ethereum.networks import NETWORKS, Network
from devp2p_crawler.model import Said

_AFTER_ALL_BLOCKS: Final = 2**64 - 1
"""A head behind all forks by number: networks that are still there have passed them long ago."""

# Networks that are known by their id alone: what nodes say, which nothing proves.
_BY_ID: Final = {
    5: "goerli",
    10: "optimism",
    14: "flare",
    25: "cronos",
    30: "rootstock",
    50: "xdc",
    56: "bsc",
    61: "classic",
    63: "mordor",
    97: "bsc-testnet",
    100: "gnosis",
    137: "polygon",
    146: "sonic",
    250: "fantom",
    369: "pulsechain",
    2020: "ronin",
    8217: "kaia",
    8453: "base",
    10_200: "chiado",
    10_001: "ethereum-pow",
    42_161: "arbitrum",
    42_220: "celo",
    80_002: "polygon-amoy",
}


class Readiness(enum.Enum):
    """How a node stands to the forks of its network, as its fork id tells."""

    READY = "ready"
    """It has passed all that were due, and knows the next one, if one is scheduled."""
    NOT_READY = "not ready"
    """It has passed all that were due, and the next one it does not know, or expects at another place."""
    BEHIND = "behind"
    """It has not passed a fork that was due, and knows of it: it is fetching the chain."""
    STALE = "stale"
    """It has not passed a fork that was due, and does not know of it: its software is too old."""
    AHEAD = "ahead"
    """It has passed a fork that is not due yet, or expects one that is not known here: newer than our tables."""
    UNKNOWN = "unknown"
    """Its network is not known here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForkStanding:
    """Where a node stands."""

    network: str | None
    """The name of the network; None if it is not known."""
    readiness: Readiness
    passed: str | None = None
    """The latest upgrade that it has passed, if that has a name: "osaka"."""
    upcoming: int | None = None
    """The block or the time of the next fork that its network has scheduled, as seen from where it stands."""


def standing(
    *, fork_hash: bytes | None, fork_next: int | None, at: int, network_id: int | None = None, genesis: bytes | None = None
) -> ForkStanding:
    """Judge a fork id at a time (seconds since 1970). `network_id` and `genesis` are of the Status; a record has neither."""
    name = network_of(fork_hash=fork_hash, network_id=network_id, genesis=genesis)
    if name is None or name not in NETWORKS or fork_hash is None:
        return ForkStanding(network=name, readiness=Readiness.UNKNOWN)
    network, announced = NETWORKS[name], fork_next or 0
    forks, hashes = (*network.blocks, *network.times), network.fork_hashes
    stands, due = hashes.index(fork_hash), hashes.index(network.fork_id(_AFTER_ALL_BLOCKS, at).hash)
    upcoming = forks[stands] if stands < len(forks) else None
    return ForkStanding(
        network=name, readiness=_readiness(stands, due, announced, upcoming), passed=_passed(network, stands), upcoming=upcoming
    )


def standing_of(said: Said, at: int) -> ForkStanding | None:
    """The same of what a node said; None if it said no Status."""
    if said.fork_hash is None:
        return None
    return standing(fork_hash=said.fork_hash, fork_next=said.fork_next, at=at, network_id=said.network_id, genesis=said.genesis)


def network_of(*, fork_hash: bytes | None, network_id: int | None = None, genesis: bytes | None = None) -> str | None:
    """The name of a node's network; None if it is not known.

    One of `NETWORKS` if its checksum is one of that, and the rest agrees as far as it is there; or a name that goes by the id alone.
    """
    for name, network in NETWORKS.items():
        if fork_hash in network.fork_hashes and network_id in {None, network.network_id} and genesis in {None, network.genesis}:
            return name
    return None if network_id is None else _BY_ID.get(network_id)


def _readiness(stands: int, due: int, announced: int, upcoming: int | None) -> Readiness:
    if stands < due:
        return Readiness.BEHIND if announced == upcoming else Readiness.STALE
    if stands > due:
        return Readiness.AHEAD
    if announced == (upcoming or 0):
        return Readiness.READY
    return Readiness.AHEAD if upcoming is None else Readiness.NOT_READY


def _passed(network: Network, stands: int) -> str | None:
    """The last of the upgrades whose fork is the one before a place."""
    forks = (*network.blocks, *network.times)
    if stands == 0:
        return None
    return next((name for name, place in reversed([*network.upgrades.items()]) if place == forks[stands - 1]), None)
