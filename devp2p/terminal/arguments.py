"""What the arguments of several commands have in common: reading them, and laying out their help."""

import argparse
import math
import re
import shutil
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from devp2p.addresses import Address
from devp2p.discovery import parse_external
from devp2p.errors import LocalProtocolError
from devp2p.limits import check_cap
from devp2p.nat import NatSettings, nat_of
from devp2p.records import NodeRecord
from devp2p.terminal.output import write
from devp2p.transports import DEFAULT_LISTEN, Proxy, known_schemes, read_address, why_not_installed
from devp2p.wire.dpx import Shaping

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

SCHEMES: frozenset[str] = known_schemes()
"""What the nodes of this command can dial and listen at, if what it needs is installed; capabilities may bring others."""

_WIDEST = 100
_RATE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?(|[KMG]i?)(?:B(?:/s)?)?", re.IGNORECASE)
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "KI": 2**10, "MI": 2**20, "GI": 2**30}
_HOST_NAME = re.compile(r"[\w.-]{1,253}")


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Help that keeps its paragraphs and examples as they are written, no wider than can be read well."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=min(shutil.get_terminal_size().columns, _WIDEST) - 2)


class Parser(argparse.ArgumentParser):
    """A parser whose help fails, as all output does, where it cannot be written; argparse's own says nothing of it."""

    def print_help(self, file: "SupportsWrite[str] | None" = None) -> None:
        """Print it, by default to stdout; `Failure` if that does not take it."""
        if file is None:
            write(self.format_help().removesuffix("\n"))
        else:
            super().print_help(file)


class IntermixedParser(Parser):
    """A parser of a subcommand that takes options between several positional arguments, which argparse does not by itself."""

    _begun = False

    def parse_known_args(  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]  (its overloads, in one)
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse them; `parse_known_intermixed_args` itself comes by here, once for options and once for the rest."""
        namespace = argparse.Namespace() if namespace is None else namespace
        if self._begun:
            return super().parse_known_args(args, namespace)
        self._begun = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._begun = False


def node_record(text: str) -> NodeRecord:
    """Read a node that can be dialled."""
    try:
        record = NodeRecord.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if not record.addresses:
        raise argparse.ArgumentTypeError("it names a node but no address to dial: add @<host>:<port>")
    known = [address for address in record.addresses if _is_usable(address)]
    if not known:
        _check_scheme(record.addresses[0])
    if not any(address.is_dialable for address in known):
        raise argparse.ArgumentTypeError("it says port 0: the node does not take connections")
    return record


def node_or_address(text: str) -> NodeRecord | Address:
    """Read a node that can be dialled, or where whatever node may be."""
    scheme, separator, rest = text.partition("://")
    if scheme not in SCHEMES or not separator or ("@" in rest and not rest.startswith("/")):
        return node_record(text)
    try:
        address = Address.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if address.is_wildcard or not address.is_dialable:
        raise argparse.ArgumentTypeError(f"{address} is where one can listen, and not dial: write a host and a port above 0")
    return address


def listen_address(text: str) -> Address:
    """Read an address to listen at; without a scheme it is a TCP one."""
    try:
        address = read_address(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    _check_scheme(address)
    return address


def udp_address(text: str) -> Address:
    """Read an address for discovery."""
    try:
        address = Address.parse(f"udp://{text.removeprefix('udp://')}")
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return address


def metrics_address(text: str) -> Address:
    """Read where to serve metrics: ``HOST:PORT``, or a port of this machine alone."""
    try:
        return Address.parse(f"{DEFAULT_LISTEN.scheme}://{f'127.0.0.1:{text}' if text.isdigit() else text.removeprefix('http://')}")
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def host_name(text: str) -> str:
    """Read the name of a host, without a port."""
    if not _HOST_NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(f"a host name alone is wanted, such as node.example, without a scheme or port, not {text[:80]!r}")
    return text


def external_address(text: str) -> str:
    """Read where others reach us."""
    try:
        parse_external(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def nat_settings(text: str) -> NatSettings:
    """Read how a node is reached through a router."""
    try:
        return nat_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def proxy(text: str) -> Proxy:
    """Read a proxy."""
    try:
        return Proxy.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def add_proxy(add_argument: Callable[..., object], more: str = "") -> None:
    """Add the option for a proxy, by which a command dials nodes. `more`: what else it means for this command."""
    add_argument(
        "--proxy",
        metavar="URL",
        type=proxy,
        help="dial by this proxy, which also resolves names: socks5://[USER:PASSWORD@]HOST:PORT, such as socks5://127.0.0.1:9050 of Tor, "
        f"or http://[USER:PASSWORD@]HOST:PORT{more}",
    )


def discovery_node(text: str) -> NodeRecord:
    """Read a node that takes part in discovery."""
    record = lookup_target(text)
    if not record.udp_endpoints:
        raise argparse.ArgumentTypeError("it names a node but no UDP port to ask it at: add @<host>:<port>")
    return record


def lookup_target(text: str) -> NodeRecord:
    """Read a node that need not have an address, or a public key."""
    try:
        return NodeRecord.parse(text if ":" in text else f"enode://{text}")
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def seconds(text: str) -> float:
    """Read a duration above zero."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"a number of seconds above 0 is wanted, not {text!r}")
    return value


def count(text: str) -> int:
    """Read a number of things, from 0 up."""
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"a whole number from 0 up is wanted, not {text!r}")
    return int(text)


def how_many(text: str) -> int:
    """Read a number of things that are wanted, from 1 up."""
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"a whole number from 1 up is wanted, not {text!r}")
    return int(text)


def client_id(text: str) -> str:
    """Read a name for Hello; peers cut what is longer."""
    if not text.isprintable() or not 1 <= len(text) <= 256:
        raise argparse.ArgumentTypeError("a client name has 1 to 256 printable characters")
    return text


def _is_usable(address: Address) -> bool:
    return address.is_relayed or (address.scheme in SCHEMES and why_not_installed(address.scheme) is None)


def _check_scheme(address: Address) -> None:
    if _is_usable(address):
        return
    if address.scheme not in SCHEMES:
        *others, last = sorted(SCHEMES)
        raise argparse.ArgumentTypeError(f"there is no transport {address.scheme!r}: use {', '.join(others)} or {last}")
    raise argparse.ArgumentTypeError(f"{address.scheme}:// {why_not_installed(address.scheme)}")


def shaping(text: str) -> Shaping:
    """``off``, ``buckets``, ``cells[:CELL]``, ``paced:RATE[:CELL]``, or ``constant:RATE[-MOST][:CELL]``."""
    kind, *parts = text.split(":")
    cell = {"cell": count(parts.pop())} if len(parts) == (1 if kind == "cells" else 2) else {}
    try:
        match kind, parts:
            case "off", []:
                return Shaping()
            case "buckets", []:
                return Shaping.buckets()
            case "cells", []:
                return Shaping.cells(**cell)
            case "paced", [rate]:
                return Shaping.paced(_rate(rate), **cell)
            case "constant", [rates]:
                least, _, most = rates.partition("-")
                return Shaping.constant(_rate(least), _rate(most) if most else None, **cell)
            case _:
                wanted = "off, buckets, cells[:CELL], paced:RATE[:CELL] or constant:RATE[-MOST][:CELL] is expected, such as constant:20K"
                raise argparse.ArgumentTypeError(f"{wanted}, not {text[:80]!r}")
    except LocalProtocolError as error:
        raise argparse.ArgumentTypeError(f"{error}, in {text[:80]!r}") from None


def _rate(text: str) -> float:
    """Read bytes a second."""
    found = _RATE.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError(
            f"a number of bytes a second is expected, with K, M or G for thousands, such as 20K, not {text[:80]!r}"
        )
    return float(found[1]) * _UNITS[found[2].upper()]


def bandwidth(text: str) -> tuple[str, float]:
    """``[NAME=]RATE``: the bytes a second that a capability may use, or with an empty name the whole node; such as ``eth=500K``."""
    name, equals, rate = text.rpartition("=")
    found = _RATE.fullmatch(rate)
    if found is None or bool(name) != bool(equals):
        wanted = "[NAME=]RATE is expected, a number of bytes a second with K, M or G for thousands, such as 2M or eth=500K"
        hint = ": 8 bits are a byte" if rate.lower().rstrip("/s").endswith(("bit", "bps")) else ""
        raise argparse.ArgumentTypeError(f"{wanted}, not {text[:80]!r}{hint}")
    value = float(found[1]) * _UNITS[found[2].upper()]
    try:
        check_cap(value, "a bandwidth cap")
    except LocalProtocolError as error:
        raise argparse.ArgumentTypeError(f"{error}, in {text[:80]!r}") from None
    return name, value


def slots(text: str) -> tuple[str, int]:
    """``NAME=N``: how many peers a capability is to have."""
    name, equals, number = text.partition("=")
    if not (name and equals and number.isascii() and number.isdigit() and int(number)):
        raise argparse.ArgumentTypeError(f"NAME=N, such as eth=25, is expected, not {text!r}")
    return name, int(number)
