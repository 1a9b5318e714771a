"""A decoder of RLP as one writes it first, for controls: recursive, generous, and every item an object."""


def decode(data: bytes) -> object:
    """The first item in some bytes."""
    return _item(data, 0)[0]


def _item(data: bytes, at: int) -> tuple[object, int]:
    head = data[at]
    if head < 0x80:
        return data[at : at + 1], at + 1
    is_list, short = head >= 0xC0, (head - 0x80) % 0x40
    if short < 56:
        start, size = at + 1, short
    else:
        start = at + 1 + short - 55
        size = int.from_bytes(data[at + 1 : start])
    if not is_list:
        return data[start : start + size], start + size
    items: list[object] = []
    at = start
    while at < start + size:
        item, at = _item(data, at)
        items.append(item)
    return items, at
