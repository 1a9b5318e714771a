"""What we know of nodes and must not forget when the program ends, kept in one SQLite file.

- book:       `Book`, which is all of it
- nodes:      what is known of one node, and which news of it counts
- standings:  how peers behaved: ratings, bans and anchors
- schema:     the tables of the file, and how older ones become newer
- database:   the file itself: who may have it, what damages it, what is undone
- vault:      what only the node itself may read, sealed
- trouble:    what a node that runs does when its book fails
"""

from devp2p.book.book import FORGOTTEN_AFTER, Book
from devp2p.book.nodes import BookEntry, Source
from devp2p.book.standings import Standings
from devp2p.book.vault import Vault
from devp2p.errors import BookError, DamagedBookError

__all__ = ["FORGOTTEN_AFTER", "Book", "BookEntry", "BookError", "DamagedBookError", "Source", "Standings", "Vault"]
