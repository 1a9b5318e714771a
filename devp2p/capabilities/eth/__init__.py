"""eth: blocks, receipts and pending transactions between the nodes of an Ethereum chain."""

__all__: list[str] = []
