"""The options ``--network NAME|GENESIS.json`` and ``--chain DB``: which chain a command is about. Imported only by who is given one."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from devp2p.capabilities.eth import Eth, Status
from devp2p.capabilities.eth.pool import Pool, TransactionPool
from devp2p.capabilities.ethereum import Chain, GenesisChain, State
from devp2p.capabilities.ethereum.networks import NETWORKS, Genesis, load_genesis
from devp2p.capabilities.ethereum.store import SqliteChain, StoreError
from devp2p.capability import AnyCapability, Peer
from devp2p.cli.chain import fork_id_as_json, network_as_json
from devp2p.errors import PeerDisconnected
from devp2p.terminal import Exit, Failure, explain, warn

_ETH = ("eth", "devp2p.capabilities.eth:eth")
_SNAP = ("snap", "devp2p.capabilities.snap:snap")


@dataclass(frozen=True, slots=True)
class Served:
    """The chain that a node runs eth and snap over."""

    chain: Chain
    state: State | None = None
    pool: Pool | None = None
    from_file: bool = False

    @property
    def arguments(self) -> dict[str, object]:
        """What functions that make capabilities are given for parameters of these names."""
        return {name: value for name, value in (("chain", self.chain), ("state", self.state), ("pool", self.pool)) if value is not None}

    def capabilities(self, asked: Sequence[str]) -> list[str]:
        """The names of the capabilities to run: what was asked for, and eth and snap if that is nothing, or a chain file is given."""
        if asked and not self.from_file:
            return list(asked)
        own = (_ETH,) if self.state is None else (_ETH, _SNAP)
        return [*asked, *(value for name, value in own if name not in asked and value not in asked)]

    def as_json(self) -> dict[str, object]:
        """What there is at this moment."""
        head = self.chain.head
        return {
            "network": network_as_json(self.chain.network, head.number, head.timestamp),
            "head": {"number": head.number, "hash": _hex(head.hash), "timestamp": head.timestamp},
            "earliest": head.earliest,
            "state": self.state is not None,
        }

    def as_text(self) -> str:
        """The same in a line for people."""
        network, head = self.chain.network, self.chain.head
        name = next((name for name, one in NETWORKS.items() if one.genesis == network.genesis), f"genesis {_hex(network.genesis)}")
        state = "with" if self.state is not None else "without"
        fork_id = network.fork_id(head.number, head.timestamp)
        return f"network {network.network_id} ({name}), head {head.number} ({_hex(head.hash)}), {state} state, fork id {fork_id}"

    def peer_as_json(self, peer: Peer, capability: AnyCapability) -> dict[str, object]:
        """What a peer has told of its chain in eth's Status; nothing of another capability, or if it is gone."""
        status = _status(peer, capability)
        if status is None:
            return {}
        return {
            "status": {
                "network_id": status.network_id,
                "genesis": _hex(status.genesis),
                "fork_id": fork_id_as_json(status.fork_id),
                "head": {"number": status.latest, "hash": _hex(status.latest_hash)},
                "earliest": status.earliest,
            }
        }

    def peer_as_text(self, peer: Peer, capability: AnyCapability) -> str:
        """The same for people."""
        status = _status(peer, capability)
        if status is None:
            return ""
        return f": head {status.latest} ({_hex(status.latest_hash)}), blocks from {status.earliest}, fork id {status.fork_id}"


def open_served(network: str | None, file: str | None, stack: ExitStack) -> Served:
    """Open the chain of a network, or of a chain file until `stack` is left; `Failure` says what is wrong, or that the two do not fit."""
    if file is None:
        assert network is not None  # noqa: S101  (one of the two is given)
        return Served(network_chain(network))
    try:
        chain = stack.enter_context(SqliteChain.open(file))
    except StoreError as error:
        raise Failure(str(error), Exit.FAILED) from None
    if network is not None and (other := network_chain(network).network.genesis) != chain.network.genesis:
        raise Failure(f"--network {network} begins with the block {_hex(other)}, but --chain {file} with {_hex(chain.network.genesis)}")
    if not chain.has_state:
        return Served(chain, from_file=True)
    return Served(chain, chain, TransactionPool(chain, chain), from_file=True)


def network_chain(text: str) -> GenesisChain:
    """Make the chain of one block of a public network, by its name, or of a genesis file, by its path; `Failure` says what is wrong."""
    if text in NETWORKS:
        return GenesisChain.public(text)
    return GenesisChain.of(_read(text))


def _status(peer: Peer, capability: AnyCapability) -> Status | None:
    try:
        return peer[Eth].status if isinstance(capability, Eth) else None
    except PeerDisconnected:
        return None


def _hex(data: bytes) -> str:
    return f"0x{data.hex()}"


def _read(text: str) -> Genesis:
    try:
        genesis = load_genesis(text)
    except FileNotFoundError:
        names = ", ".join(NETWORKS)
        raise Failure(f"--network {text}: this is neither a public network ({names}) nor a genesis file that is there") from None
    except OSError as error:
        raise Failure(f"--network: cannot read {Path(text)}: {explain(error)}") from None
    except ValueError as error:
        raise Failure(f"--network: {error}") from None
    if genesis.unknown_upgrades:
        keys = ", ".join(genesis.unknown_upgrades)
        warn(f"{text}: config.{keys}: no such upgrade is known here, so no fork id has it, and peers that know it may refuse this node")
    return genesis
