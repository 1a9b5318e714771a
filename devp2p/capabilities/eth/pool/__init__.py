"""Pending transactions: what is kept of them, and how they are exchanged with peers.

`Pool` is what eth asks of a pool, `PoolLimits` the bounds of the one that the library brings.
"""

from devp2p.capabilities.eth.pool.limits import PoolLimits
from devp2p.capabilities.eth.pool.protocols import CellGroups, Pool, PoolPeer

__all__ = ["CellGroups", "Pool", "PoolLimits", "PoolPeer"]
