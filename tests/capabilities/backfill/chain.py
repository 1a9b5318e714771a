"""A chain of headers, for what needs no blocks behind them."""

from devp2p.capabilities.ethereum.blocks import Header


def headers(count: int, *, salt: int = 0) -> list[Header]:
    """Linked headers from number 0 on; those of another `salt` are of another chain."""
    chain: list[Header] = []
    for number in range(count):
        chain.append(
            Header(
                parent_hash=chain[-1].hash if chain else bytes(32),
                coinbase=bytes([salt]) * 20,
                state_root=bytes(32),
                transactions_root=bytes([1]) * 32,
                receipts_root=bytes([2]) * 32,
                number=number,
                gas_limit=30_000_000,
                timestamp=12 * number,
            )
        )
    return chain
