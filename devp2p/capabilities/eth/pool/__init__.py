"""Pending transactions: what is kept of them, and how they are exchanged with peers.

`Pool` is what eth asks of a pool, `TransactionPool` the one that the library brings, `PoolLimits` its bounds. Decisions are pure; what
awaits peers, the chain or a proof lies around them.

    protocols.py        Pool, PoolPeer
    limits.py           PoolLimits
    entries.py queue.py ledger.py    which transactions are kept when not all can be: by sender, nonce and price
    judging.py          whether a transaction is good, by the rules behind the head and by its sender's account
    shelf.py            two ledgers, with blobs and without, and the transactions themselves
    known.py            what a peer knows; what was refused; who gets transactions whole
    wanted.py           which announced transactions are asked of whom
    columns.py          which cells of blobs are asked of whom (EIP-8070)
    examining.py        Examiner: rules, accounts and codes at the chain's head
    peering.py          PeerState: what is kept of a peer
    telling.py          Teller: sends and announces
    fetching.py cell_fetching.py    ask for transactions and for cells, and judge the answers
    sidecars.py         blob transactions that wait for cells; cells for those who ask
    kzg.py kzg_worker.py    proofs, by ckzg in a process of its own
    pool.py             TransactionPool
"""

from devp2p.capabilities.eth.pool.limits import PoolLimits
from devp2p.capabilities.eth.pool.pool import TransactionPool
from devp2p.capabilities.eth.pool.protocols import CellGroups, Pool, PoolPeer
from devp2p.capabilities.eth.pool.sidecars import Prover

__all__ = ["CellGroups", "Pool", "PoolLimits", "PoolPeer", "Prover", "TransactionPool"]
