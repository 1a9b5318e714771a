"""A `Network` as text, so that a chain file says which chain it has."""

import json
from dataclasses import asdict
from typing import Any

from devp2p.capabilities.ethereum.networks import BlobParameters, Network
from devp2p.capabilities.ethereum.store.database import Database, StoreError, damaged


def write_network(network: Network) -> str:
    """Write all of a network; the same network gives the same text."""
    return json.dumps({**asdict(network), "genesis": network.genesis.hex()}, sort_keys=True)


def read_network(database: Database) -> Network:
    """Read which network a chain file is of."""
    found = database.row("SELECT network FROM chain")
    if found is None:
        raise StoreError(f"{database.path} has no genesis block yet: devp2p chain import puts it there")
    try:
        fields: dict[str, Any] = json.loads(found[0])
        return Network(
            network_id=fields["network_id"],
            chain_id=fields["chain_id"],
            genesis=bytes.fromhex(fields["genesis"]),
            timestamp=fields["timestamp"],
            blocks=tuple(fields["blocks"]),
            times=tuple(fields["times"]),
            upgrades=fields["upgrades"],
            blob_schedule={name: BlobParameters(**parameters) for name, parameters in fields["blob_schedule"].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(database.path, f"what it says of its network: {error}") from None
