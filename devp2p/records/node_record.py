"""What names a node and says where it listens: `NodeRecord`, with its ``enode://`` or ``enr:`` text.

The text form is the field's enode URL, ``enode://<public key, 128 hex digits>@<host>:<tcp port>[?discport=<udp port>]``. A node behind
another transport is written the same way with that transport's scheme: ``unix://<public key>@/run/node.sock``, and one behind a relay
``relay://<public key>@<relay's public key>@<relay's host>:<its tcp port>``, where the relay's key may be missing. What a node has signed
about itself, its ENR (EIP-778), is read too.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias
from urllib.parse import parse_qsl

from devp2p.addresses import Address, IpAddress, Scope, is_scheme, parse_port, scope_of
from devp2p.arguments import require, several
from devp2p.errors import DecodingError
from devp2p.keys import NodeId, PublicKey
from devp2p.records.enr import Record
from devp2p.records.transport_entries import transport_addresses, transport_entries

ENODE_SCHEME: Final = "tcp"
"""What enode URLs, the standard entries of ENRs (EIP-778) and discovery v4 mean: for each of them a node has a host and a TCP port."""

_ENODE = "enode"  # stands for that scheme in an enode URL
_MAX_TEXT = 2048  # no honest URL comes near, and a longer one is not worth looking at
_SHOWN = 24  # characters of a record's text in a message: who looks for it needs no more

UdpEndpoint: TypeAlias = tuple[str, int]
"""IP address or DNS name, without brackets, and port."""


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """One node: its public key, the addresses that it can be dialled at (best first), and its discovery port if it differs.

    ``enr`` is the signed record that all this is from, if there is one; `from_enr` makes such a record.
    """

    public_key: PublicKey
    addresses: tuple[Address, ...] = ()
    udp_port: int | None = None
    """At the first address; None stands for the same port as TCP's, 0 for no discovery."""
    enr: Record | None = None

    def __post_init__(self) -> None:
        """TypeError for a part that is of another type."""
        require(self.public_key, PublicKey, "public_key of a NodeRecord is a PublicKey", "PublicKey.from_bytes(...) makes one")
        require(self.addresses, tuple, "addresses of a NodeRecord is a tuple of Address")
        for address in self.addresses:
            require(address, Address, "addresses of a NodeRecord holds Address objects", "Address.parse(...) makes one")

    @classmethod
    def from_enr(cls, record: Record) -> "NodeRecord":
        """Take the addresses out of a node's own record: those of TCP, then those of other transports (`transport_entries`).

        IPv4 comes first, unless only the IPv6 address is a public one. Entries for transports that say no port are ignored.
        """
        require(record, Record, "an ENR is a Record", "NodeRecord.parse(...) reads its text")
        addresses = tuple(Address(ENODE_SCHEME, host, port) for host, port in _endpoints(record, record.tcp, record.tcp6))
        addresses += transport_addresses(record, partial(_endpoints, record))
        udp = dict(_endpoints(record, record.udp, record.udp6))
        return cls(record.public_key, addresses, udp.get(addresses[0].host, 0) if addresses else None, record)

    @property
    def id(self) -> NodeId:
        """The 32-byte node-ID (keccak256 of the public key)."""
        return self.public_key.node_id

    @property
    def enode(self) -> str:
        """The record as text, with its first address; `parse` reads it back. Without address it is just ``enode://<public key>``.

        A node that can be found, but not dialled, is written with the TCP port 0, as go-ethereum does.
        """
        key = bytes(self.public_key).hex()
        if not self.addresses:
            if not self.udp_endpoints:
                return f"{_ENODE}://{key}"
            host, port = self.udp_endpoints[0]
            return f"{_ENODE}://{key}@{Address(ENODE_SCHEME, host, 0).where}?discport={port}"
        address = self.addresses[0]
        if address.scheme != ENODE_SCHEME:
            return f"{address.scheme}://{key}@{address.where}"
        query = "" if self.udp_port in {None, address.port} else f"?discport={self.udp_port}"
        return f"{_ENODE}://{key}@{address.where}{query}"

    @property
    def udp_endpoints(self) -> tuple[UdpEndpoint, ...]:
        """Where the node takes part in discovery, best first; none if it does not, or nobody knows."""
        if self.enr is not None:
            return _endpoints(self.enr, self.enr.udp, self.enr.udp6)
        ports = [(address, address.port if self.udp_port is None else self.udp_port) for address in self.addresses]
        return tuple((address.host, port) for address, port in ports if address.scheme == ENODE_SCHEME and port)

    @classmethod
    def parse(cls, text: str) -> "NodeRecord":
        """Read an enode URL (or the same with another transport's scheme), or an ENR; ValueError says what is wrong with anything else."""
        require(text, str, "a node is text such as 'enode://<public key>@<host>:<port>' or 'enr:...'")
        text = text.strip()
        if text.startswith("enr:"):
            try:
                return cls.from_enr(Record.parse(text))
            except DecodingError as error:
                raise ValueError(f"{_cut(text)} is no node's record: {error}") from None
        scheme, separator, rest = text.partition("://")
        if len(text) > _MAX_TEXT or not separator or not is_scheme(scheme):
            raise ValueError(f"a node is written enode://<public key>@<host>:<port> or enr:..., not {text[:80]!r}")
        key, at, where = rest.partition("@")
        public_key = _parse_key(key)
        if not at:
            return cls(public_key)
        udp_port = None
        if scheme == _ENODE:
            scheme = ENODE_SCHEME
            where, _, query = where.partition("?")
            for name, value in parse_qsl(query):
                if name == "discport":
                    udp_port = parse_port(value)
        address = Address.parse(f"{scheme}://{where}")
        if address.host == "*":
            raise ValueError(f"the host is missing in {text[:16]}…@{where[:80]}")
        return cls(public_key, (address,), udp_port)


def enode_address(addresses: Iterable[Address]) -> Address | None:
    """The first of some addresses that enode URLs and ENRs can name."""
    return next((address for address in addresses if address.scheme == ENODE_SCHEME), None)


def enr_entries(addresses: Iterable[Address]) -> dict[str, object]:
    """What an ENR says of where a node listens, but for its IP addresses: for each transport that it can name, the first address."""
    bound = tuple(addresses)
    address = enode_address(bound)
    return ({} if address is None else {"tcp": address.port}) | transport_entries(bound)


def node_of(node: str | NodeRecord, what: str = "a node") -> NodeRecord:
    """Take a node by its text, or a record as it is; ValueError for text that is none, TypeError for anything else."""
    require(node, (str, NodeRecord), f"{what} is text such as 'enode://<public key>@<host>:<port>', or a NodeRecord")
    return NodeRecord.parse(node) if isinstance(node, str) else node


def nodes_of(nodes: Iterable[str | NodeRecord], what: str) -> tuple[NodeRecord, ...]:
    """Take a list of nodes, which is the argument `what`; ValueError and TypeError name it."""
    found: list[NodeRecord] = []
    for node in several(nodes, what):
        try:
            found.append(node_of(node, f"each of {what}"))
        except ValueError as error:
            raise ValueError(f"{what}: {error}") from None
    return tuple(found)


def _cut(text: str) -> str:
    return repr(text) if len(text) <= _SHOWN else f"{text[:_SHOWN]!r}…"


def _endpoints(record: Record, port: int | None, port6: int | None) -> tuple[UdpEndpoint, ...]:
    """Pair a record's IP addresses with their ports, best first, and leave out what nobody can send to."""
    # An IPv4 address in IPv6 clothes is shown as what it is, lest it pass by rules about IPv4 addresses.
    ip6 = record.ip6 and (record.ip6.ipv4_mapped or record.ip6)
    found = {address: port for address, port in ((ip6, port6), (record.ip, port)) if address and port and not _is_nowhere(address)}
    ranked = sorted(found, key=lambda address: (scope_of(address.packed) is not Scope.PUBLIC, address.version))
    return tuple((str(address), found[address]) for address in ranked)


def _is_nowhere(address: IpAddress) -> bool:
    return address.is_unspecified or address.is_multicast


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
