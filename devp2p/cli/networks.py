"""The option ``--network NAME|GENESIS.json``: which chain a command is about. Imported only by who is given one."""

from pathlib import Path

from devp2p.capabilities.ethereum import GenesisChain
from devp2p.capabilities.ethereum.networks import NETWORKS, Genesis, load_genesis
from devp2p.cli.output import Failure, explain, warn


def network_chain(text: str) -> GenesisChain:
    """Make the chain of one block of a public network, by its name, or of a genesis file, by its path; `Failure` says what is wrong."""
    if text in NETWORKS:
        return GenesisChain.public(text)
    return GenesisChain.of(_read(text))


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
