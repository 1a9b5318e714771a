"""Fetching a part of an Ethereum chain from several peers at once; also an example of what can be built on ``peer[Eth]``.

- span:      whom to ask for which headers: downwards from a hash that is trusted, each linked to the one above
- parts:     whom to ask for which bodies or receipts
- portion:   how much to ask one peer for at a time
- journal:   what has come, in a SQLite file, so that a kill loses nothing
- backfill:  `backfill` asks the peers of a node, and fills a `Journal`

The first three are pure.
"""

from devp2p.capabilities.backfill.backfill import BackfillError, backfill, find_anchor
from devp2p.capabilities.backfill.journal import Filled, Journal, JournalError, Order, Progress

__all__ = ["BackfillError", "Filled", "Journal", "JournalError", "Order", "Progress", "backfill", "find_anchor"]
