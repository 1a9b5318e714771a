"""Sets of IP networks and of nodes, which answer at once however large they are (pure)."""

import ipaddress
import re
from collections.abc import Iterable

_HEX = re.compile(r"(?:0x)?([0-9a-fA-F]{64})")


class Networks:
    """A set of IP networks."""

    def __init__(self, networks: Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network] = ()) -> None:
        self._by_length: dict[tuple[int, int], set[int]] = {}  # (bits of an address, bits of the prefix) -> prefixes
        self.count: int = 0
        """How many there are, whether or not one lies in another."""
        for network in networks:
            self.add(network)

    @classmethod
    def parse(cls, texts: Iterable[str]) -> "Networks":
        """Read them, such as "10.0.0.0/8", "2001:db8::/32", "192.0.2.7"; ValueError says what is wrong."""
        return cls(map(parse_network, texts))

    def add(self, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> None:
        """Let it have one more."""
        bits, length = network.max_prefixlen, network.prefixlen
        self._by_length.setdefault((bits, length), set()).add(int(network.network_address) >> (bits - length))
        self.count += 1

    def covers(self, ip: bytes) -> bool:
        """Whether an address of 4 or 16 bytes lies in one of them; an IPv4 address that is written as an IPv6 one counts as itself."""
        if len(ip) == 16 and ip.startswith(bytes(10) + b"\xff\xff"):
            ip = ip[12:]
        bits, number = 8 * len(ip), int.from_bytes(ip, "big")
        return any(
            number >> (bits - length) in prefixes for (of_bits, length), prefixes in self._by_length.items() if of_bits == bits and bits
        )


def parse_network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """Read a network or a single address; ValueError says what is wrong."""
    text = text.strip()
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        pass
    try:
        meant = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"a network such as 192.0.2.0/24 or 2001:db8::/32, or one address, is wanted, not {text[:80]!r}") from None
    raise ValueError(f"{text} is an address in a network: write {meant} for the network, or {text.partition('/')[0]} for the address alone")


class OptOut:
    """Who does not want to be visited: nodes by their IDs, and whole networks."""

    def __init__(self, nodes: Iterable[bytes] = (), networks: Networks | None = None) -> None:
        self.nodes: frozenset[bytes] = frozenset(nodes)
        """Node-IDs, 32 bytes each."""
        self.networks: Networks = Networks() if networks is None else networks

    @classmethod
    def parse_line(cls, line: str) -> bytes | ipaddress.IPv4Network | ipaddress.IPv6Network | None:
        """Read one line of a list: a node-ID, or a network; None if it is empty or a remark. ValueError says what is wrong."""
        text = line.partition("#")[0].strip()
        if not text:
            return None
        if found := _HEX.fullmatch(text):
            return bytes.fromhex(found[1])
        return parse_network(text)

    def covers(self, node: bytes, ip: bytes = b"") -> bool:
        """Whether a node is not to be visited at an address (4 or 16 bytes; empty for none)."""
        return node in self.nodes or (bool(ip) and self.networks.covers(ip))

    def __len__(self) -> int:
        return len(self.nodes) + self.networks.count
