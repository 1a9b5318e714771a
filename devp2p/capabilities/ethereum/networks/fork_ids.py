"""Whether a peer follows the same chain, by its fork id: the validation rules of EIP-2124, with times as in EIP-6122.

The places of a chain are its forks, in order. Our own head is before some fork, the next one; a peer's checksum says before which fork the
peer is. So there are four cases: it is at the same place, at an earlier one, at a later one, or at one that our chain has not.
"""

from dataclasses import dataclass
from typing import Final, Literal, Protocol, TypeAlias

from devp2p.capabilities.ethereum.networks.network import ForkId, Network

Rule: TypeAlias = Literal["1a", "1b", "2", "3", "4"]

_FIRST_TIME: Final = 1_438_269_973
"""When the first block of mainnet was made. The id of a peer does not say whether its next fork is a block or a time: what is greater is
a time. (go-ethereum 1.17.8 has the same threshold. A smaller number is compared with what our own next fork is.)"""


class Place(Protocol):
    """A place in a chain; a `Head` and a `Header` are such."""

    @property
    def number(self) -> int:
        """The number of a block."""
        ...

    @property
    def timestamp(self) -> int:
        """Its time, in seconds since 1970."""
        ...


@dataclass(frozen=True, slots=True)
class ForkVerdict:
    """What a peer's fork id says."""

    rule: Rule
    """By which rule of EIP-2124 it was judged."""
    compatible: bool
    """Whether to stay connected, as far as the id can tell."""
    why: str
    """One clause, such as "the peer is before a fork at 7280000 and does not know of it", to be shown after what was done."""


def check_fork_id(network: Network, head: Place, theirs: ForkId) -> ForkVerdict:
    """Judge a peer's fork id from where our own head is."""
    forks, hashes = (*network.blocks, *network.times), network.fork_hashes
    passed, reached = _position(network, head)
    if theirs.hash == hashes[passed]:
        return _same_place(theirs.next, reached, head)
    if theirs.hash in hashes[:passed]:
        fork = forks[hashes.index(theirs.hash)]
        if theirs.next == fork:
            return ForkVerdict("2", compatible=True, why=f"the peer is still before our fork at {fork}, and knows of it")
        known = f"expects one at {theirs.next} instead" if theirs.next else "does not know of it"
        return ForkVerdict("4", compatible=False, why=f"the peer is before our fork at {fork}, and {known}: its software needs an update")
    if theirs.hash in hashes[passed + 1 :]:
        fork = forks[hashes.index(theirs.hash) - 1]
        return ForkVerdict("3", compatible=True, why=f"the peer has passed our fork at {fork}, which we have not reached yet")
    return ForkVerdict(
        "4", compatible=False, why=f"the peer has the fork id {theirs}, of another chain or of forks that are not known here"
    )


def _position(network: Network, head: Place) -> tuple[int, int]:
    """How many forks our head has passed; and how far it is, in the unit of the next one."""
    passed = sum(number <= head.number for number in network.blocks)
    if passed < len(network.blocks) or not network.times:
        return passed, head.number
    return passed + sum(time <= head.timestamp for time in network.times), head.timestamp


def _same_place(announced: int, reached: int, head: Place) -> ForkVerdict:
    if not announced:
        return ForkVerdict("1b", compatible=True, why="the peer has passed the same forks as we have")
    if reached >= announced or (announced > _FIRST_TIME and head.timestamp >= announced):
        return ForkVerdict("1a", compatible=False, why=f"the peer expects a fork at {announced}, which we have passed without one")
    return ForkVerdict("1b", compatible=True, why=f"the peer has passed the same forks as we have, and expects one at {announced}")
