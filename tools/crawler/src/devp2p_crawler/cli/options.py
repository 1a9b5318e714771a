"""The options of the commands that crawl: what they are called, what they mean, and what is made of them."""

import argparse
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from devp2p import PRESETS, Address, NodeRecord, PrivateKey
from devp2p.terminal import Failure, discovery_node, explain, host_name, metrics_address, read_key, seconds, udp_address
from devp2p_crawler.cli.layers import Given, Option, add_flags, as_told, nearest, resolve
from devp2p_crawler.model import Networks, OptOut, parse_network
from devp2p_crawler.stores import SinkError, open_frontier, open_sink

LEVELS: Final = ("debug", "info", "warning", "error")
_TREE: Final = re.compile(r"enrtree://[A-Z2-7]{53}@[\w.-]{1,253}")
_VANTAGE: Final = re.compile(r"[\w.-]{1,64}")
_CONTACT: Final = re.compile(r"https?://[!-~]+|[!-~]+@[\w.-]+")
_LONGEST_CONTACT: Final = 100
_LARGEST_LIST: Final = 64 << 20  # bytes
_PUBLIC_KEY: Final = re.compile(r"[0-9a-fA-F]{128}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What a user has chosen; the names are those of the flags."""

    db: str
    bootnode: tuple[NodeRecord, ...]
    network: str | None
    input: tuple[str, ...]
    dns: tuple[str, ...]
    versions: tuple[int, ...]
    dial: bool
    duration: float | None
    inbound: bool
    listen: Address
    key: PrivateKey | None
    sink: tuple[str, ...] = field(repr=False)
    """URLs, which may hold passwords."""
    frontier: str | None = field(repr=False)
    vantage: str
    contact: str
    opt_out: str | None
    net_restrict: Networks | None
    one_machine: bool
    json: bool
    plain: bool
    metrics: Address | None
    metrics_name: tuple[str, ...]
    log_level: str
    dry_run: bool
    told: str
    """What of it is kept with the crawl, as JSON."""


def _file_to_write(text: str) -> str:
    path = Path(text)
    if not text or path.is_dir():
        raise ValueError(f"the name of a file is wanted, such as crawl.db, not {f'the folder {text}' if text else 'nothing'}")
    if not path.absolute().parent.is_dir():
        raise ValueError(f"there is no folder {path.parent}: make it, or name a file elsewhere")
    return text


def _file_to_read(text: str) -> str:
    path = Path(text)
    if not path.is_file() and not path.is_fifo():
        raise ValueError(f"there is no file {text[:200]!r}: name one that is there")
    return text


def _sink(text: str) -> str:
    return _server(text, open_sink)


def _frontier(text: str) -> str:
    return _server(text, open_frontier)


def _server(text: str, opener: Callable[[str], object]) -> str:
    """A URL of a server of which nothing is wrong that can be seen from here; no text of an error holds its password."""
    try:
        opener(text)
    except SinkError as error:
        raise ValueError(str(error)) from None
    return text


def _network(text: str) -> str:
    if text not in PRESETS:
        raise ValueError(f"there is no network {text[:80]!r}{nearest(text, PRESETS)}")
    return text


def _tree(text: str) -> str:
    if not _TREE.fullmatch(text):
        raise ValueError(f"a node list in DNS is wanted, such as {PRESETS['mainnet'].dns_tree}, not {text[:100]!r}")
    if find_spec("dns") is None:
        raise ValueError("to read node lists in DNS install dnspython: pip install 'devp2p-crawler[dns]'")
    return text


def _vantage(text: str) -> str:
    if not _VANTAGE.fullmatch(text):
        raise ValueError(f"a short name of letters, digits, '.', '_' and '-' is wanted, such as frankfurt-1, not {text[:80]!r}")
    return text


def _contact(text: str) -> str:
    if not _CONTACT.fullmatch(text) or len(text) > _LONGEST_CONTACT:
        wanted = f"a URL or an address of mail of at most {_LONGEST_CONTACT} characters"
        raise ValueError(f"{wanted} is wanted, such as https://example.org/crawler or crawler@example.org, not {text[:120]!r}")
    return text


def _one_network(text: str) -> str:
    return str(parse_network(text))


def _metrics(text: str) -> Address:
    if find_spec("prometheus_client") is None:
        raise ValueError("to serve metrics install Prometheus's client library: pip install 'devp2p-crawler[metrics]'")
    return metrics_address(text)


def _level(text: str) -> str:
    if text not in LEVELS:
        raise ValueError(f"one of {', '.join(LEVELS)} is wanted, not {text[:80]!r}")
    return text


_GROUPS: Final[Mapping[str, Sequence[Option]]] = {
    "what is written": (
        Option("db", "the file that takes it all; what is there is kept", "FILE", _file_to_write, is_path=True, is_kept=False),
        Option(
            "sink",
            "servers that get all of the file as it grows, and what they missed once they are there again: postgresql://USER@HOST/DATABASE;"
            " a password is better kept in DEVP2P_CRAWL_SINK",
            "URL",
            _sink,
            many=True,
            is_kept=False,
        ),
        Option(
            "frontier",
            "a PostgreSQL server by which crawlers share the work, so that each node is visited by one of them",
            "URL",
            _frontier,
            is_kept=False,
        ),
        Option("vantage", "a name for the place from which you look (default: local)", "NAME", _vantage, default="local"),
    ),
    "where it begins": (
        Option(
            "bootnode", "nodes to ask first: enode://<128 hex digits>@HOST:PORT, or records (enr:...)", "NODE", discovery_node, many=True
        ),
        Option("network", f"a public network, with its bootnodes and its Status: {', '.join(PRESETS)}", "NAME", _network),
        Option("input", "go-ethereum's nodes.json", "FILE", _file_to_read, many=True, is_path=True),
        Option("dns", "a node list in DNS: enrtree://KEY@DOMAIN", "TREE", _tree, many=True),
    ),
    "what it does": (
        Option("v4", "ask by discovery v4 only (default: by both)"),
        Option("v5", "ask by discovery v5 only"),
        Option("no-dial", "call nobody by TCP: find nodes, and ask them by UDP alone"),
        Option("dial", "call those that answer, as it does anyhow; for use where a file says no-dial"),
        Option("for", "end after so long (default: when everybody was visited)", "SECONDS", seconds),
        Option(
            "listen",
            "the address for discovery, and with --inbound for calls (default: *:0, any free port of IPv4 and IPv6)",
            "HOST:PORT",
            udp_address,
        ),
        Option("inbound", "take calls by TCP, too: it shows nodes that cannot be called"),
        Option("key", "the key to do it with, see `devp2p key generate` (default: a new one)", "FILE", read_key, is_path=True),
        Option("dry-run", "say what would be done, and send nothing", is_kept=False),
    ),
    "politeness": (
        Option("contact", "where those who are visited can ask about it: a URL or an address of mail", "WHERE", _contact, default=""),
        Option(
            "opt-out",
            "who is not to be visited: a node or a network a line (ID, public key, enode, ENR, address, 192.0.2.0/24); read anew at SIGHUP",
            "FILE",
            _file_to_read,
            is_path=True,
        ),
        Option("net-restrict", "visit only addresses in these networks", "CIDR", _one_network, many=True),
        Option("one-machine", "take each port of a loopback address for a host: for networks on this machine alone"),
    ),
    "what it shows": (
        Option("json", "an object a second, one a line; the last one is the summary", is_kept=False),
        Option("plain", "lines of text (default where stdout is no terminal)", is_kept=False),
        Option(
            "metrics",
            "serve Prometheus metrics at this address; a PORT alone is one of 127.0.0.1. Anyone who can reach it can read them",
            "HOST:PORT",
            _metrics,
            is_kept=False,
        ),
        Option("metrics-name", "a name of this machine under which metrics may be read", "NAME", host_name, many=True, is_kept=False),
        Option("log-level", f"what to log: {', '.join(LEVELS)} (default: warning)", "LEVEL", _level, default="warning", is_kept=False),
        Option(
            "config",
            "options in TOML, with the names of flags: for = 600. Flags go before the environment (DEVP2P_CRAWL_FOR=600), and that before "
            "this file",
            "FILE",
            _file_to_read,
            is_path=True,
            is_kept=False,
        ),
    ),
}
OPTIONS: Final = tuple(option for group in _GROUPS.values() for option in group)
_RIVALS: Final = (frozenset({"v4", "v5"}), frozenset({"json", "plain"}), frozenset({"dial", "no-dial"}))


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the flags; `choose` makes `Choices` of them."""
    parser.usage = f"{parser.prog} --db FILE [OPTION...]"
    add_flags(parser, _GROUPS)


def choose(
    flags: argparse.Namespace, before: Callable[[str], Mapping[str, Given]] | None = None, environment: Mapping[str, str] = os.environ
) -> Choices:
    """What flags, environment and file say together; `Failure` says what is wrong, and what to write instead.

    `before`: what was told to the crawl that goes on, given the name of the file that it is in.
    """

    def told_before(given: Mapping[str, Given]) -> Mapping[str, Given]:
        return before(given["db"].texts[-1]) if before is not None and "db" in given else {}

    values, given = resolve(OPTIONS, _RIVALS, flags, environment, told_before)
    if not values["db"]:
        raise Failure("where should it be written? Name a file: --db crawl.db")
    if values["metrics-name"] and values["metrics"] is None:
        raise Failure("--metrics-name is for --metrics, which is not given: add --metrics 9100")
    versions = (4,) if values["v4"] else (5,) if values["v5"] else (4, 5)
    net_restrict = Networks.parse(values["net-restrict"]) if values["net-restrict"] else None
    choices = Choices(
        db=values["db"],
        bootnode=values["bootnode"],
        network=values["network"],
        input=values["input"],
        dns=values["dns"],
        versions=versions,
        dial=not values["no-dial"],
        duration=values["for"],
        inbound=values["inbound"],
        listen=values["listen"] or udp_address("*:0"),
        key=values["key"],
        sink=values["sink"],
        frontier=values["frontier"],
        vantage=values["vantage"],
        contact=values["contact"],
        opt_out=values["opt-out"],
        net_restrict=net_restrict,
        one_machine=values["one-machine"],
        json=values["json"],
        plain=values["plain"],
        metrics=values["metrics"],
        metrics_name=values["metrics-name"],
        log_level=values["log-level"],
        dry_run=values["dry-run"],
        told=as_told(OPTIONS, given),
    )
    if choices.opt_out is not None:
        read_opt_out(choices.opt_out)
    return choices


def read_opt_out(path: str) -> OptOut:
    """Read an opt-out list; `Failure` names the line that is wrong."""
    try:
        with Path(path).open("rb") as file:
            data = file.read(_LARGEST_LIST + 1)
    except OSError as error:
        raise Failure(f"--opt-out: cannot read {path}: {explain(error)}") from None
    if len(data) > _LARGEST_LIST:
        raise Failure(f"--opt-out: {path} is larger than 64 MiB, which no such list is")
    nodes, networks = set[bytes](), Networks()
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
        try:
            found = _identity(line) or OptOut.parse_line(line)
        except ValueError as error:
            raise Failure(f"--opt-out: {path}:{number}: {error}; a node is its ID or public key in hex, an enode or an ENR") from None
        if isinstance(found, bytes):
            nodes.add(found)
        elif found is not None:
            networks.add(found)
    return OptOut(nodes, networks)


def _identity(line: str) -> bytes | None:
    """The node-ID of an enode, an ENR or a public key."""
    text = line.partition("#")[0].strip()
    if _PUBLIC_KEY.fullmatch(text.removeprefix("0x")):
        text = f"enode://{text.removeprefix('0x')}"
    return bytes(NodeRecord.parse(text).id) if text.startswith(("enode:", "enr:")) else None
