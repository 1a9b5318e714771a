"""How large each message of eth may be, in bytes of its RLP. A larger one ends the session before it is decompressed.

eth asks for limits and calls 10 MiB typical, which go-ethereum applies to every message. A limit is what a stranger can make us hold at
once, so what cannot be that large has a lower one: twice or more of what the soft limits of eth, or those of go-ethereum 1.17.8, let an
honest peer send.
"""

from typing import Final

KIB: Final = 1024

BLOCK_DATA: Final = 10 * KIB * KIB
"""Bodies, receipts, access lists and pooled transactions: beyond 2 MiB only by one item, of which receipts may be 10 MB."""
HEADERS: Final = 4 * KIB * KIB
"""The soft limit is 2 MiB, and no single header is large."""
CELLS: Final = 4 * KIB * KIB
"""1,023 cells of 2 KiB fit below the soft limit; one more transaction may then bring those of six blobs, 128 each."""
TRANSACTIONS: Final = 2 * KIB * KIB
"""Peers pack some 100 KiB of them, none larger than 128 KiB; blobs are never sent unasked."""
ANNOUNCEMENT: Final = 512 * KIB
"""The soft limit is 4,096 items, some 150 KiB."""
REQUEST: Final = 160 * KIB
"""4,096 hashes, which is more than go-ethereum looks up for any request, are 132 KiB."""
SMALL: Final = KIB
"""A few numbers and hashes, and room for what later versions may append."""
