"""What names a node and says where it listens: `Address`, and `NodeRecord` with its ``enode://`` text.

The text form is the field's enode URL, ``enode://<public key, 128 hex digits>@<host>:<tcp port>[?discport=<udp port>]``. A node behind
another transport is written the same way with that transport's scheme: ``unix://<public key>@/run/node.sock``.
"""

from dataclasses import dataclass
from urllib.parse import parse_qsl

from devp2p.errors import DecodingError
from devp2p.keys import NodeId, PublicKey

_MAX_TEXT = 2048  # no honest URL comes near, and a longer one is not worth looking at
_PORTLESS = frozenset({"unix", "memory"})  # schemes whose host part is a path or a plain name


@dataclass(frozen=True, slots=True)
class Address:
    """Where a transport listens or dials: ``tcp://[::1]:30303``, ``unix:///run/node.sock``, ``memory://alice``.

    ``host`` is an IP address or DNS name without brackets, ``*`` for every interface, or a path or name where the scheme has no
    ports; ``port`` is then None. Port 0 asks a listener for any free one.
    """

    scheme: str
    host: str
    port: int | None = None

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Read ``scheme://host:port`` or ``scheme://path``; ValueError says what is wrong with anything else."""
        scheme, separator, rest = text.partition("://")
        if not separator or not scheme.isalnum():
            raise ValueError(f"an address looks like tcp://127.0.0.1:30303, not {text[:80]!r}")
        if scheme in _PORTLESS:
            if not rest:
                raise ValueError(f"{scheme}:// wants a {'path' if scheme == 'unix' else 'name'} behind it")
            return cls(scheme, rest)
        host, port = _split_host(rest)
        return cls(scheme, host or "*", port)

    def __str__(self) -> str:
        if self.port is None:
            return f"{self.scheme}://{self.host}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """One node: its public key, the addresses that it can be dialled at (best first), and its discovery port if it differs."""

    public_key: PublicKey
    addresses: tuple[Address, ...] = ()
    udp_port: int | None = None

    @property
    def id(self) -> NodeId:
        """The 32-byte node-ID (keccak256 of the public key)."""
        return self.public_key.node_id

    @property
    def enode(self) -> str:
        """The record as text; `parse` reads it back. A record without address is just ``enode://<public key>``."""
        key = bytes(self.public_key).hex()
        if not self.addresses:
            return f"enode://{key}"
        address = self.addresses[0]
        scheme = "enode" if address.scheme == "tcp" else address.scheme
        where = str(address).partition("://")[2]
        query = "" if self.udp_port in {None, address.port} else f"?discport={self.udp_port}"
        return f"{scheme}://{key}@{where}{query}"

    @classmethod
    def parse(cls, text: str) -> "NodeRecord":
        """Read an enode URL (or the same with another transport's scheme); ValueError says what is wrong with anything else."""
        text = text.strip()
        scheme, separator, rest = text.partition("://")
        if len(text) > _MAX_TEXT or not separator or not scheme.isalnum():
            raise ValueError(f"a node is written enode://<public key>@<host>:<port>, not {text[:80]!r}")
        key, at, where = rest.partition("@")
        public_key = _parse_key(key)
        if not at:
            return cls(public_key)
        udp_port = None
        if scheme == "enode":
            scheme = "tcp"
            where, _, query = where.partition("?")
            for name, value in parse_qsl(query):
                if name == "discport":
                    udp_port = _parse_port(value)
        address = Address.parse(f"{scheme}://{where}")
        if address.host == "*":
            raise ValueError(f"{text[:16]}…@{where}: the host is missing")
        return cls(public_key, (address,), udp_port)


def _parse_key(text: str) -> PublicKey:
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raw = b""
    if len(raw) != 64 or len(text) != 128:
        raise ValueError(f"a node's public key is 128 hex digits, not {len(text)} characters: {text[:24]!r}…")
    try:
        return PublicKey.from_bytes(raw)
    except DecodingError as error:
        raise ValueError(f"{text[:16]}… is no public key: {error}") from None


def _split_host(text: str) -> tuple[str, int]:
    if text.startswith("["):
        host, bracket, tail = text[1:].partition("]")
        if not bracket or not tail.startswith(":"):
            raise ValueError(f"an IPv6 address with its port looks like [::1]:30303, not {text[:80]!r}")
        return host, _parse_port(tail[1:])
    host, colon, port = text.rpartition(":")
    if not colon:
        raise ValueError(f"the port is missing in {text[:80]!r}")
    if ":" in host:
        raise ValueError(f"an IPv6 address stands in brackets: [{host[:60]}]:{port[:8]}")
    return host, _parse_port(port)


def _parse_port(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 5 or int(text) > 65535:
        raise ValueError(f"a port is a number from 0 to 65535, not {text[:24]!r}")
    return int(text)
