"""The options that say which nodes, which `filter` and `export` share."""

import argparse
import difflib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from devp2p.terminal import Failure, count
from devp2p_crawler.cli.geo import add_geo
from devp2p_crawler.cli.sources import Source
from devp2p_crawler.exports import chosen_by
from devp2p_crawler.filters import Described, Filter, best, geth, ours, parse_duration
from devp2p_crawler.model import KnownNode

T = TypeVar("T")

_PLACED = {"--country", "--asn"}
_GETHS = "go-ethereum's filters"
_OURS = "more filters; a node has to pass all that are given"


def add_filters(parser: argparse.ArgumentParser) -> None:
    """Add the options, and let the parser say what to write in the place of one that it does not know."""
    group = parser.add_argument_group(_GETHS)
    group.add_argument("-limit", "--limit", metavar="N", type=count, help="at most N nodes: those with the highest scores")
    _add(group, "-ip", "NETWORK", geth.by_ip, "whose record names an address in it, such as 10.0.0.0/8")
    _add(group, "-min-age", "DURATION", geth.by_min_age, "so long between the first and the last answer, such as 24h")
    _add(group, "-eth-network", "NAME", geth.by_eth_network, "whose record has a fork id of mainnet, sepolia, hoodi or holesky")
    for name, accepts, text in (
        ("-les-server", geth.les_server, "whose record has an entry les"),
        ("-snap", geth.snap, "whose record has an entry snap"),
        ("-dialable", geth.dialable, "whose record has a port for TCP or QUIC"),
    ):
        group.add_argument(name, f"-{name}", dest="filters", action="append_const", const=accepts, help=text)
    group = parser.add_argument_group(_OURS)
    _add(group, "--client", "NAME,...", ours.by_client, "whose client is one of these, such as geth,reth")
    _add(group, "--version", "VERSION,...", ours.by_version, "whose client's version fits, such as '>=1.14,<1.16'")
    _add(
        group,
        "--fork",
        "FORK",
        ours.by_fork,
        "with this fork hash: 8 hex digits, or the upgrade behind which it stands, such as mainnet/osaka",
    )
    _add(group, "--ready-for", "UPGRADE", ours.by_readiness, "which has an upgrade, or announces it as its next: mainnet/osaka")
    _add(group, "--country", "CC,...", ours.by_country, "in one of these countries, such as DE,FR; needs --geo")
    _add(group, "--asn", "N,...", ours.by_asn, "in one of these autonomous systems, such as 24940,16509; needs --geo")
    group.add_argument(
        "--min-uptime", metavar="DURATION", type=_reading(parse_duration), help="which has been there for so long, up to now, such as 12h"
    )
    _add(group, "--max-rtt", "DURATION", ours.by_max_rtt, "which answered within it, such as 150ms")
    _add(group, "--caps", "NAME,...", ours.by_capabilities, "whose Hello named all of these, such as eth/69,snap")
    _add(group, "--proto", "v4|v5|rlpx", ours.by_protocol, "which answered its latest visit by this protocol")
    _add(group, "--seen-by", "N", ours.by_vantages, "seen alive from N vantages or more")
    group.add_argument(
        "--where",
        metavar="SQL",
        action="append",
        default=[],
        help="for which this is true, as behind WHERE; the columns are those of `export --format csv`, and the tables of the database",
    )
    add_geo(parser)
    parser.set_defaults(filters=[], placed=[])
    _let_advise(parser)


def chosen(source: Source, options: argparse.Namespace) -> Iterator[KnownNode]:
    """The nodes of a source that pass all filters, by node-ID."""
    if options.placed and not options.geo:
        raise Failure("--country and --asn need to know where addresses are: add --geo FILE, such as GeoLite2-Country.mmdb")
    filters: list[Filter] = [*options.filters, *options.placed]
    if options.min_uptime is not None:
        least: int = options.min_uptime
        filters.append(ours.at_least_up(least, source.uptime))

    def passing() -> Iterator[KnownNode]:
        for node in source.nodes():
            one = Described(node)
            if all(accepts(one) for accepts in filters):
                yield node

    nodes = passing()
    for condition in options.where:
        nodes = _only(nodes, chosen_by(condition, passing(), None if source.store is None else source.path))
    return nodes if options.limit is None else iter(best(nodes, options.limit))


def is_everything(options: argparse.Namespace) -> bool:
    """Whether no filter was given."""
    return not options.filters and not options.placed and not options.where and options.min_uptime is None and options.limit is None


def _only(nodes: Iterator[KnownNode], wanted: set[bytes]) -> Iterator[KnownNode]:
    return (node for node in nodes if node.node in wanted)


def _add(group: Any, name: str, metavar: str, make: Callable[[str], Filter], text: str) -> None:  # noqa: ANN401  (argparse does not name its type)
    names = [name] if name.startswith("--") else [name, f"-{name}"]
    dest = "placed" if name in _PLACED else "filters"
    group.add_argument(*names, dest=dest, action="append", metavar=metavar, type=_reading(make), help=text)


def _reading(make: Callable[[str], T]) -> Callable[[str], T]:
    """What argparse is to call: it tells users only of errors of its own kind."""

    def read(text: str) -> T:
        try:
            return make(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return read


def _let_advise(parser: argparse.ArgumentParser) -> None:
    """Let a parser say which option was meant. It would leave the error to the parser of the whole command, which knows none of these."""
    parse = parser.parse_known_args

    def parse_known_args(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        namespace, rest = parse(*args, **kwargs)
        for word in rest:
            names = sorted(name for action in vars(parser)["_actions"] for name in action.option_strings if name.startswith("--"))
            close = difflib.get_close_matches(f"--{word.lstrip('-').partition('=')[0]}", names, 1)
            there = f"did you mean {close[0]}?" if close else f"there are {', '.join(names)}"
            parser.error(f"{word[:60]!r} is no option of this command: {there}" if word.startswith("-") else f"{word[:60]!r} is too much")
        return namespace, rest

    vars(parser)["parse_known_args"] = parse_known_args
