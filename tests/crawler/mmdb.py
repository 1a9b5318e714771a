"""Files of places for tests: the format of MaxMind's .mmdb, version 2, as far as it takes."""

from collections.abc import Mapping
from ipaddress import ip_network


class Large(int):
    """A number of 32 bits, also if it would need fewer."""


def encode(value: object) -> bytes:
    """One value of the data section."""
    if isinstance(value, str):
        data = value.encode()
        return head(2, len(data)) + data
    if isinstance(value, int):
        data = value.to_bytes(8, "big").lstrip(b"\0")
        return head(6 if isinstance(value, Large) or len(data) in {3, 4} else 5 if len(data) <= 2 else 9, len(data)) + data
    if isinstance(value, dict):
        return head(7, len(value)) + b"".join(encode(key) + encode(each) for key, each in value.items())
    assert isinstance(value, list)
    return head(11, len(value)) + b"".join(map(encode, value))


def head(kind: int, size: int) -> bytes:
    short, more = (size, b"") if size < 29 else (29, bytes([size - 29]))
    return bytes([kind << 5 | short]) + more if kind < 8 else bytes([short, kind - 7]) + more


def database(entries: Mapping[str, object], version: int = 6) -> bytes:
    """A file that has a value for each of some networks, none of which lies in another."""
    tree: list[list[int | None]] = [[None, None]]
    data = b""
    for text, value in entries.items():
        network = ip_network(text)
        bits = f"{int(network.network_address):0{network.max_prefixlen}b}"[: network.prefixlen]
        if version == 6 and network.version == 4:
            bits = "0" * 96 + bits
        node = 0
        for bit in map(int, bits[:-1]):
            found = tree[node][bit]
            if found is None:
                tree.append([None, None])
                found = tree[node][bit] = len(tree) - 1
            node = found
        tree[node][int(bits[-1])] = -1 - len(data)
        data += encode(value)
    count = len(tree)

    def pointer(value: int | None) -> bytes:
        number = count if value is None else value if value >= 0 else count + 16 + (-1 - value)
        return number.to_bytes(3, "big")

    metadata = {
        "binary_format_major_version": 2,
        "binary_format_minor_version": 0,
        "build_epoch": 2**33,
        "database_type": "Test",
        "description": {"en": "Test"},
        "ip_version": version,
        "languages": ["en"],
        "node_count": Large(count),
        "record_size": 24,
    }
    nodes = b"".join(pointer(value) for pair in tree for value in pair)
    return nodes + bytes(16) + data + b"\xab\xcd\xefMaxMind.com" + encode(metadata)
