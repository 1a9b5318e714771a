"""The record that this node publishes while discovery runs: kept up to date, and its sequence number never used twice.

EIP-778; discv5 theory, "Maintaining The Local Node Record". What the user has set stays; what capabilities offer, and where others see us,
fills in the rest.
"""

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Protocol

from devp2p.addresses import Endpoint
from devp2p.arguments import require
from devp2p.discovery.external_address import ExternalAddress
from devp2p.errors import BookError, LocalProtocolError
from devp2p.keys import PrivateKey
from devp2p.records import WANTED_ENTRIES, Entries, LocalRecord, Record

if TYPE_CHECKING:  # who uses a protocol alone needs no book
    from devp2p.book import Book

_LAST_SEQUENCE: Final = 2**64 - 2**32
PLACES: Final = frozenset({b"id", b"secp256k1", b"ip", b"ip6", b"tcp", b"tcp6", b"udp", b"udp6"})
"""What only the user and others, who see us, can say of a node."""


class PublishesRecord(Protocol):
    """Has the record that this node publishes, as `devp2p.records.LocalRecord` does: what is in it at the time is told to others."""

    @property
    def record(self) -> Record:
        """The record as it is now."""
        ...


class OwnRecord:
    """Our record: a `PublishesRecord` for `Discv4` and `Discv5`."""

    def __init__(  # noqa: PLR0913  (all but the key by name)
        self,
        key: PrivateKey,
        *,
        entries: Entries,
        bound: Endpoint,
        external: Iterable[Endpoint],
        book: "Book | None",
        now: float,
    ) -> None:
        """Sign a first record: `entries`, and where we are.

        That is what is in `external` (port 0 stands for the bound one), or else the address that the socket is bound to, unless that is a
        wildcard. The sequence number goes on from that in the book. Without one it is the time in milliseconds, as in go-ethereum: a node
        that is started again must have a higher number, or nobody would take its record.
        """
        require(entries, Mapping, WANTED_ENTRIES)
        self._book = book
        self._port = bound.port
        fixed = [Endpoint(ip, port or bound.port) for ip, port in external]
        self.external: ExternalAddress = ExternalAddress(fixed)
        if any(bound.ip) and not any(len(endpoint.ip) == len(bound.ip) for endpoint in fixed):
            fixed.append(bound)
        where: dict[int, Endpoint | None] = {4: None, 16: None} | {len(endpoint.ip): endpoint for endpoint in fixed}
        given = {_key(key): value for key, value in entries.items()}
        places = {key.encode(): value for key, value in self._places(where[4], where[16]).items() if value is not None}
        last = book.sequence if book is not None else 0
        if last >= _LAST_SEQUENCE:
            raise BookError(
                f"the book says that our own record had the number {last}, after which none is left: it is damaged, move it away"
            )
        self._local = LocalRecord(key, {**places, **given}, last_sequence=last or int(now * 1000))
        self._given: dict[bytes, object] = given
        self._began = where[4]
        self._forwarded: Endpoint | None = None
        self._ports: Mapping[str, tuple[int, int]] = {}
        self._offered: frozenset[bytes] = frozenset()
        self._keep()

    @property
    def record(self) -> Record:
        """The record as it is now."""
        return self._local.record

    def update(self, entries: Entries) -> bool:
        """Change entries as the user says; a value of None removes one. Tells whether there is a new record now.

        LocalProtocolError as `Record.sign`, which changes nothing.
        """
        changed = self._change(entries)
        self._given |= {_key(key): value for key, value in entries.items()}
        return changed

    def forward(self, endpoint: Endpoint | None, ports: Mapping[str, tuple[int, int]] = MappingProxyType({})) -> bool:
        """A router forwards to us what comes to an IPv4 endpoint; None if none does. Tells whether that is news.

        Port 0 stands for the bound one. `ports`: by the key of an entry that says a port, such as ``tcp``, ours and the one that is
        forwarded to it. What the user has set stays. Where enough others have seen us at another address since then, the router is not
        believed.
        """
        if endpoint is not None and (self._forwarded is None or endpoint.ip != self._forwarded.ip):
            self.external.doubt(endpoint)
        self._forwarded = None if endpoint is None else Endpoint(endpoint.ip, endpoint.port or self._port)
        # Those of before go back to what they were.
        self._ports = {**{key: (ours, ours) for key, (ours, _) in self._ports.items()}, **ports}
        return self.address_changed()

    def offer(self, entries: Entries) -> bool:
        """Have these entries, and none that were offered before, beside what the user has set and where we are."""
        require(entries, Mapping, WANTED_ENTRIES)
        offered = {_key(key): value for key, value in entries.items()}
        if places := PLACES & offered.keys():
            raise LocalProtocolError(f"{min(places).decode()!r} in a record says who and where the node is, and cannot be offered")
        gone = dict.fromkeys(self._offered - offered.keys())
        changed = self._change({key: value for key, value in {**gone, **offered}.items() if key not in self._given})
        self._offered = frozenset(offered)
        return changed

    def _change(self, entries: Entries) -> bool:
        changed = self._local.update(entries)
        if changed:
            self._keep()
        return changed

    def address_changed(self) -> bool:
        """Others see us somewhere else: say so, where it is not the user who says where we are."""
        external = self.external
        record, forwarded = self.record, self._forwarded
        ipv4 = external.ipv4 or self._began
        is_believed = forwarded is not None and not external.contradicts(forwarded)
        if is_believed:
            ipv4 = forwarded
        ipv6 = external.ipv6 or _endpoint(record.ip6, record.udp6)
        places = self._places(ipv4, ipv6)
        changes = {key: value for key, value in places.items() if key.encode() not in self._given}
        for key, (ours, theirs) in self._ports.items():
            if self._given.get(key.encode()) == ours:
                changes[key] = theirs if is_believed else ours
        return self._change(changes)

    def _places(self, ipv4: Endpoint | None, ipv6: Endpoint | None) -> Mapping[str, object]:
        udp = ipv4.port if ipv4 is not None else self._port
        udp6 = ipv6.port if ipv6 is not None else udp
        return {
            "ip": IPv4Address(ipv4.ip) if ipv4 is not None else None,
            "ip6": IPv6Address(ipv6.ip) if ipv6 is not None else None,
            "udp": udp,
            "udp6": udp6 if udp6 != udp else None,
        }

    def _keep(self) -> None:
        """Remember the sequence number, before anybody else hears of it."""
        if self._book is not None:
            with self._book.trouble.survived("the number of our own record"):
                self._book.sequence = self.record.sequence


def _key(key: str | bytes) -> bytes:
    require(key, (str, bytes), "a key of a record is text or bytes")
    return key.encode() if isinstance(key, str) else key


def _endpoint(address: IPv4Address | IPv6Address | None, port: int | None) -> Endpoint | None:
    return Endpoint(address.packed, port) if address is not None and port else None
