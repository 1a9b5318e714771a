"""A chain in one SQLite file: filled from files by `Importer`, served as `Chain` and `State` by `SqliteChain`.

- chain:           `SqliteChain`: the questions of peers, each in a thread and a snapshot
- block_rows:      reading headers, bodies, receipts, access lists
- state_rows:      reading ranges of accounts and storage, proofs, nodes, codes
- heads:           which blocks are the chain
- importing:       `Importer`: files, in batches
- additions:       writing blocks and what belongs to them, verified
- state_building:  writing states, verified
- dumps:           states as `geth dump` prints them
- contents:        `Contents`: what a file has
- schema:          its tables
- database:        one connection to it; which files are opened, and what failures mean
- network_text:    a `Network` in it
"""

from devp2p.capabilities.ethereum.store.additions import Misfit
from devp2p.capabilities.ethereum.store.chain import SqliteChain
from devp2p.capabilities.ethereum.store.contents import Contents, StateContents, read_contents
from devp2p.capabilities.ethereum.store.database import DamagedStoreError, StoreError
from devp2p.capabilities.ethereum.store.importing import Importer, ImportProgress

__all__ = [
    "Contents",
    "DamagedStoreError",
    "ImportProgress",
    "Importer",
    "Misfit",
    "SqliteChain",
    "StateContents",
    "StoreError",
    "read_contents",
]
