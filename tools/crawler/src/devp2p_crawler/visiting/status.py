"""eth for whoever only wants to hear a peer's Status: eth/66 to eth/72, of which nothing else is looked at.

All of these versions send Status as their first message, both sides at once. Peers of the two shapes are many: go-ethereum and its kin
have left eth/68 behind, and chains that grew from older versions of it speak nothing newer.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, TypeAlias

from devp2p import Capability, Channel, NodeRecord, Peer, Session
from devp2p.capabilities.eth.messages import LENGTHS
from devp2p.capabilities.ethereum.networks import NETWORKS, ForkId, Network, advertised_fork_id
from devp2p.rlp import U32, U64, U256, Bytes32, Rest
from devp2p_crawler.model import Said

_LENGTHS: Final = {66: 17, 67: 17, 68: 17, **LENGTHS}
_FIRST_WITH_RANGE: Final = 69
_MOST_STATUS: Final = 1024  # bytes; a Status has less than 200
_MOST_OTHER: Final = 64 * 1024
_MOST_PASSED: Final = 16  # messages before the Status


@dataclass(frozen=True)
class EarlyStatus:
    """The first message of eth/64 to eth/68 (EIP-2364)."""

    version: U32
    network_id: U64
    total_difficulty: U256
    head: Bytes32
    genesis: Bytes32
    fork_id: ForkId
    later: Rest = ()

    max_size: ClassVar[int] = _MOST_STATUS


@dataclass(frozen=True)
class RangeStatus:
    """The first message from eth/69 on (EIP-7642)."""

    version: U32
    network_id: U64
    genesis: Bytes32
    fork_id: ForkId
    earliest: U64
    latest: U64
    latest_hash: Bytes32
    later: Rest = ()

    max_size: ClassVar[int] = _MOST_STATUS


AnyStatus: TypeAlias = EarlyStatus | RangeStatus


class StatusReader(Capability[Any]):
    """eth as a visitor has it: `hear_status` takes its messages, and it never runs."""

    name = "eth"

    async def run(self, peer: Peer, channel: Channel[Any]) -> None:
        """Visits run no session."""
        raise NotImplementedError


def _passed(code: int) -> type[Any]:
    """A class for messages that are not looked at."""
    return dataclasses.make_dataclass(f"Passed{code}", [("items", Rest, ())], namespace={"max_size": _MOST_OTHER}, frozen=True)


def _reader(version: int) -> StatusReader:
    messages: Mapping[int, type[Any]] = {
        0: EarlyStatus if version < _FIRST_WITH_RANGE else RangeStatus,
        **{code: _passed(code) for code in range(1, _LENGTHS[version])},
    }
    made: type[StatusReader] = type(
        f"StatusReader{version}", (StatusReader,), {"version": version, "messages": messages, "length": _LENGTHS[version]}
    )
    return made()


STATUS_READERS: Final[tuple[StatusReader, ...]] = tuple(_reader(version) for version in _LENGTHS)
"""The capabilities of a visitor."""
_OFFERED: Final = frozenset(f"eth/{version}" for version in _LENGTHS)


def shares_eth(said: Said) -> bool:
    """Whether a Status is to be expected of a node that offers this."""
    return not _OFFERED.isdisjoint(said.capabilities)


async def hear_status(session: Session) -> AnyStatus | None:
    """Wait for a peer's Status; None if other things come instead. Raises as `devp2p.Session.receive`."""
    for _ in range(_MOST_PASSED):
        message = await session.receive()
        if isinstance(message, EarlyStatus | RangeStatus):
            return message
    return None


def fitting_status(session: Session, node: NodeRecord, default: Network, seconds: int) -> AnyStatus:
    """A Status that a node may accept which waits for ours: of the public network whose fork id its record has, else of `default`.

    `seconds`: the time, since 1970. It says that we have the first block, and no other.
    """
    told = advertised_fork_id(node)
    network = None if told is None else next((one for one in NETWORKS.values() if told.hash in one.fork_hashes), None)
    if network is None or told is None:
        network, told = default, default.fork_id(2**63, seconds)  # the number of the head: after all forks by number
    version = session.shared[0][0].version
    if version < _FIRST_WITH_RANGE:
        return EarlyStatus(version, network.network_id, 0, network.genesis, network.genesis, told)
    return RangeStatus(version, network.network_id, network.genesis, told, 0, 0, network.genesis)


def with_status(said: Said, status: AnyStatus) -> Said:
    """What a node said, its Status included."""
    of_blocks = (
        {"head": status.head, "head_number": None}
        if isinstance(status, EarlyStatus)
        else {"head": status.latest_hash, "head_number": status.latest}
    )
    return dataclasses.replace(
        said,
        eth_version=status.version,
        network_id=status.network_id,
        genesis=status.genesis,
        fork_hash=status.fork_id.hash,
        fork_next=status.fork_id.next,
        **of_blocks,
    )
