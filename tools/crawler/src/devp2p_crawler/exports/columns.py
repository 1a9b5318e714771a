"""The table of nodes: its columns, which CSV, NDJSON, Parquet and SQL conditions share."""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from devp2p_crawler.exports.node_set import record_text
from devp2p_crawler.filters import Described
from devp2p_crawler.model import Kind, Said

Value = str | int | list[str] | None


class Type(enum.Enum):
    """Of what kind the values of a column are."""

    TEXT = "text"
    """Of our own making: hex digits, addresses, words of a closed list."""
    STRANGE = "strange"
    """A stranger's text."""
    STRANGE_LIST = "strange list"
    """Texts of strangers."""
    WHOLE = "whole"
    """0 to 2^64 - 1."""
    TIME = "time"
    """Microseconds since 1970, UTC."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, what it holds, and how a node's value is found."""

    name: str
    type: Type
    of: Callable[[Described], Value]
    tells_address: bool = False
    """Whether its value is cut or left out where addresses are private."""


def _said(pick: Callable[[Said], Value]) -> Callable[[Described], Value]:
    return lambda one: None if one.node.said is None else pick(one.node.said)


def _hex(value: bytes | None) -> str | None:
    return None if value is None else value.hex()


def _outcome(kind: Kind) -> Callable[[Described], Value]:
    return lambda one: one.node.outcomes[kind].name.lower() if kind in one.node.outcomes else None


def address_text(packed: bytes, *, private: bool = False) -> str | None:
    """An IP address as text, None for none; a private one only by its network: the first 24 bits of IPv4, or 48 of IPv6."""
    if not packed:
        return None
    if packed.startswith(b"\0" * 10 + b"\xff\xff"):
        packed = packed[12:]
    if private:
        kept = 3 if len(packed) == 4 else 6
        packed = packed[:kept].ljust(len(packed), b"\0")
    return str(ip_address(packed))


COLUMNS: Final[tuple[Column, ...]] = (
    Column("node", Type.TEXT, lambda one: one.node.node.hex()),
    Column("public_key", Type.TEXT, lambda one: one.node.public_key.hex()),
    Column("ip", Type.TEXT, lambda one: address_text(one.node.ip), tells_address=True),
    Column("udp", Type.WHOLE, lambda one: one.node.udp),
    Column("tcp", Type.WHOLE, lambda one: one.node.tcp),
    Column("country", Type.STRANGE, lambda one: one.node.country),
    Column("asn", Type.WHOLE, lambda one: one.node.asn),
    Column("organisation", Type.STRANGE, lambda one: one.node.organisation),
    Column("client", Type.STRANGE, _said(lambda said: said.client)),
    Column("capabilities", Type.STRANGE_LIST, lambda one: [] if one.node.said is None else list(one.node.said.capabilities)),
    Column("listen_port", Type.WHOLE, _said(lambda said: said.listen_port)),
    Column("eth_version", Type.WHOLE, _said(lambda said: said.eth_version)),
    Column("network_id", Type.WHOLE, _said(lambda said: said.network_id)),
    Column("genesis", Type.TEXT, _said(lambda said: _hex(said.genesis))),
    Column("fork_hash", Type.TEXT, _said(lambda said: _hex(said.fork_hash))),
    Column("fork_next", Type.WHOLE, _said(lambda said: said.fork_next)),
    Column("head", Type.TEXT, _said(lambda said: _hex(said.head))),
    Column("head_number", Type.WHOLE, _said(lambda said: said.head_number)),
    Column("said_at", Type.TIME, lambda one: one.node.said_at),
    Column("first_seen", Type.TIME, lambda one: one.node.first_seen),
    Column("last_seen", Type.TIME, lambda one: one.node.last_seen),
    Column("first_ok", Type.TIME, lambda one: one.node.first_ok),
    Column("last_ok", Type.TIME, lambda one: one.node.last_ok),
    Column("last_visit", Type.TIME, lambda one: one.node.last_visit),
    Column("score", Type.WHOLE, lambda one: one.node.score),
    *(Column(kind.name.lower(), Type.TEXT, _outcome(kind)) for kind in Kind),
    Column("rtt_us", Type.WHOLE, lambda one: one.node.rtt),
    Column("handshakes", Type.WHOLE, lambda one: one.node.handshakes),
    Column("vantages", Type.STRANGE_LIST, lambda one: sorted(one.node.vantages)),
    Column("record_sequence", Type.WHOLE, lambda one: None if one.node.record is None else one.node.record.sequence),
    Column("record_fork_hash", Type.TEXT, lambda one: None if one.advertised_fork_id is None else one.advertised_fork_id.hash.hex()),
    Column("record_fork_next", Type.WHOLE, lambda one: None if one.advertised_fork_id is None else one.advertised_fork_id.next),
    Column("record", Type.TEXT, lambda one: None if one.node.record is None else record_text(one.node), tells_address=True),
)
"""In the order in which files have them. New ones are added at the end."""


def row_of(one: Described, *, private: bool = False) -> list[Value]:
    """The values of a node, one for each of `COLUMNS`. `private`: its address is cut, and its record, which holds it, is left out."""
    values = [None if private and column.tells_address else column.of(one) for column in COLUMNS]
    if private:
        values[_IP] = address_text(one.node.ip, private=True)
    return values


_IP: Final = next(number for number, column in enumerate(COLUMNS) if column.name == "ip")
