"""What we know of nodes and must not forget when the program ends, kept in one SQLite file.

`Book` is that; `schema` says how it looks in the file, and `database` keeps the file.
"""

from devp2p.book.contents import FORGOTTEN_AFTER, Book
from devp2p.book.entries import BookEntry, Source
from devp2p.book.standings import Standings
from devp2p.errors import BookError, DamagedBookError

__all__ = ["FORGOTTEN_AFTER", "Book", "BookEntry", "BookError", "DamagedBookError", "Source", "Standings"]
