"""The first headers of the public networks, whose hashes are in `NETWORKS`: so a node can say what its chain begins with, if nothing else.

Facts of go-ethereum 1.17.8 (core/genesis.go), and of earlier versions for Holesky; the state roots are those of the accounts that each
network began with, which are not here.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from devp2p.capabilities.ethereum.blocks import Header
from devp2p.capabilities.ethereum.networks.presets import NETWORKS
from devp2p.capabilities.ethereum.tries import EMPTY_ROOT

_GWEI: Final = 10**9


def _first(name: str, state_root: str, *, gas_limit: int, difficulty: int, nonce: int = 0, **others: Any) -> Header:  # noqa: ANN401
    return Header(
        parent_hash=bytes(32),
        coinbase=bytes(20),
        state_root=bytes.fromhex(state_root),
        transactions_root=EMPTY_ROOT,
        receipts_root=EMPTY_ROOT,
        difficulty=difficulty,
        number=0,
        gas_limit=gas_limit,
        timestamp=NETWORKS[name].timestamp,
        nonce=nonce.to_bytes(8, "big"),
        **others,
    )


FIRST_HEADERS: Final[Mapping[str, Header]] = MappingProxyType(
    {
        "mainnet": _first(
            "mainnet",
            "d7f8974fb5ac78d9ac099b9ad5018bedc2ce0a72dad1827a1709da30580f0544",
            gas_limit=5_000,
            difficulty=2**34,
            nonce=66,
            extra_data=bytes.fromhex("11bbe8db4e347b4e8c937c1c8370e4b5ed33adb3db69cbdb7a38e1e50b1b82fa"),
        ),
        "sepolia": _first(
            "sepolia",
            "5eb6e371a698b8d68f665192350ffcecbbbf322916f4b51bd79bb6887da3f494",
            gas_limit=30_000_000,
            difficulty=2**17,
            extra_data=b"Sepolia, Athens, Attica, Greece!",
            base_fee=_GWEI,
        ),
        "hoodi": _first(
            "hoodi",
            "da87d7f5f91c51508791bbcbd4aa5baf04917830b86985eeb9ad3d5bfb657576",
            gas_limit=36_000_000,
            difficulty=1,
            nonce=0x1234,
            base_fee=_GWEI,
            withdrawals_root=EMPTY_ROOT,
            blob_gas_used=0,
            excess_blob_gas=0,
            parent_beacon_root=bytes(32),
        ),
        "holesky": _first(
            "holesky",
            "69d8c9d72f6fa4ad42d4702b433707212f90db395eb54dc20bc85de253788783",
            gas_limit=25_000_000,
            difficulty=1,
            nonce=0x1234,
            base_fee=_GWEI,
        ),
    }
)
"""By the names of `NETWORKS`."""
