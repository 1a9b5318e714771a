"""A list cut into its items, each as its encoding: for data of others that is hashed and handed on more often than it is read."""

from devp2p.errors import DecodingError
from devp2p.rlp.items import MAX_ITEMS, item_end, list_bounds, require_end, require_item


def split_list(data: bytes, max_items: int = MAX_ITEMS) -> list[bytes]:
    """Return the encodings of the items of the one list that `data` is.

    Raises DecodingError if it is something else, or holds more than `max_items`. The heads of the items are checked; what nested lists hold
    is checked by whoever decodes them.
    """
    require_item(data)
    end = len(data)
    at, stop = list_bounds(data, 0, end)
    require_end(stop, end)
    return split_items(data, at, end, max_items)


def split_items(data: bytes, at: int, end: int, max_items: int = MAX_ITEMS) -> list[bytes]:
    """Do the same with the content of a list, which lies in `data` from `at` to `end`."""
    found: list[bytes] = []
    while at < end:
        if len(found) == max_items:
            raise DecodingError(f"a list of more than {max_items} items")
        stop = item_end(data, at, end)
        found.append(data[at:stop])
        at = stop
    return found
