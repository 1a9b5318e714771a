"""The default gateways of this machine, as Linux tells them in /proc/net."""

import ipaddress
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from devp2p.nat.leases import NatError

_PROC: Final = Path("/proc/self/net")
_UP_AND_GATEWAY: Final = 0x3  # RTF_UP, RTF_GATEWAY
_MOST_LINES: Final = 10_000


@dataclass(frozen=True, slots=True)
class Gateway:
    """A router to which everything goes that is for no network of ours."""

    host: str
    """Its address; one of IPv6 that is link-local has a zone, as in ``fe80::1%eth0``."""
    interface: str

    @property
    def version(self) -> int:
        """Of IP: 4 or 6."""
        return 6 if ":" in self.host else 4


def gateways(proc: Path = _PROC) -> tuple[Gateway, ...]:
    """The default gateways, IPv4 first and the best metric first; NatError where there is none, or no way to know."""
    if not (proc / "route").exists() and not (proc / "ipv6_route").exists():
        raise NatError(f"the default gateway is read from /proc/net/route, which only Linux has: this is {sys.platform}")
    found = [*_sorted(_ipv4(_lines(proc / "route"))), *_sorted(_ipv6(_lines(proc / "ipv6_route")))]
    if not found:
        raise NatError("this machine has no default gateway")
    return tuple(found)


def _sorted(routes: list[tuple[int, Gateway]]) -> list[Gateway]:
    return [*dict.fromkeys(gateway for _, gateway in sorted(routes, key=lambda route: route[0]))]


def _lines(path: Path) -> list[list[str]]:
    try:
        return [line.split() for line in path.read_text("ascii", "replace").splitlines()[:_MOST_LINES]]
    except OSError:
        return []


def _ipv4(lines: list[list[str]]) -> list[tuple[int, Gateway]]:
    """Of lines with interface, destination, gateway, flags, ..., metric, mask: numbers in hexadecimal, addresses in the machine's order."""
    found: list[tuple[int, Gateway]] = []
    for line in lines[1:]:
        try:
            interface, destination, gateway, flags, metric, mask = (*line[:4], line[6], line[7])
            is_default = int(destination, 16) == int(mask, 16) == 0 and int(flags, 16) & _UP_AND_GATEWAY == _UP_AND_GATEWAY
            address = ipaddress.IPv4Address(int(gateway, 16).to_bytes(4, sys.byteorder))
            if is_default:
                found.append((int(metric), Gateway(str(address), interface)))
        except (ValueError, IndexError, OverflowError):
            continue
    return found


def _ipv6(lines: list[list[str]]) -> list[tuple[int, Gateway]]:
    """Of lines with destination, its length, source, its length, next hop, metric, ..., flags, interface: all in hexadecimal."""
    found: list[tuple[int, Gateway]] = []
    for line in lines:
        try:
            destination, length, hop, metric, flags, interface = line[0], line[1], line[4], line[5], line[8], line[9]
            if int(destination, 16) or int(length, 16) or int(flags, 16) & _UP_AND_GATEWAY != _UP_AND_GATEWAY:
                continue
            address = ipaddress.IPv6Address(bytes.fromhex(hop))
            zone = f"%{interface}" if address.is_link_local else ""
            found.append((int(metric, 16), Gateway(f"{address}{zone}", interface)))
        except (ValueError, IndexError):
            continue
    return found
