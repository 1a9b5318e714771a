"""The list of nodes for DNS that `export` signs: its options, and who is on it."""

import argparse
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from devp2p import PrivateKey
from devp2p.terminal import Exit, Failure, count, host_name, how_many, read_key, warn, write_key
from devp2p_crawler.cli.outputs import STDOUT
from devp2p_crawler.exports import SignedList, last_sequence, sign_list
from devp2p_crawler.filters import RULES, Chosen, ListRules, choose, parse_duration
from devp2p_crawler.model import KnownNode

_SAYS: Final = {
    "record": "do not ask for a record with an address and ports for TCP and UDP",
    "address": "do not ask for a public address, the one at which the node answered",
    "dialable": "do not ask that the latest call by RLPx came about",
    "age": "do not ask for an age",
    "handshakes": "do not ask for handshakes",
    "subnet": "do not bound how many are of one /24 or /48",
    "asn": "do not bound how many are of one autonomous system",
}
_SUFFIXES: Final = {".json", ".txt", ".zone"}


def add_list_options(parser: argparse.ArgumentParser) -> None:
    """Add what concerns the formats enrtree and zone."""
    group = parser.add_argument_group("lists for DNS (enrtree, zone)")
    group.add_argument("--key", metavar="FILE", help="the key to sign with (default: OUT.key, which is made if there is none)")
    group.add_argument("--domain", metavar="DOMAIN", help="where the list will be published (default: the name of OUT)")
    group.add_argument("--seq", metavar="N", type=count, help="its sequence number (default: one more than that of the list at OUT)")
    group.add_argument("--seed", metavar="TEXT", help="what chance chooses by (default: a new one, which is printed)")
    group.add_argument("--size", metavar="N", type=how_many, help="at most N nodes (default: all that pass)")
    group.add_argument(
        "--nameserver",
        metavar="HOST",
        type=host_name,
        action="append",
        default=[],
        help="zone: a name server, for a whole zone; repeatable",
    )
    group.add_argument("--list-age", metavar="DURATION", type=_duration, help="the least age (default: 7d)")
    group.add_argument("--list-handshakes", metavar="N", type=count, help="the least number of Hellos (default: 3)")
    group.add_argument("--per-subnet", metavar="N", type=how_many, help="most nodes of one /24 or /48 (default: 2)")
    group.add_argument("--per-asn", metavar="N", type=how_many, help="most nodes of one autonomous system (default: 10)")
    for name in RULES:
        group.add_argument(f"--no-{name}", dest="off", action="append_const", const=name, help=_SAYS[name])
    parser.set_defaults(off=[])


def refuse_list_options(options: argparse.Namespace) -> None:
    """`Failure` if there are options that concern no other format than enrtree and zone."""
    for name in ("key", "domain", "seq", "seed", "size", "nameserver", "list_age", "list_handshakes", "per_subnet", "per_asn"):
        if getattr(options, name) not in (None, []):
            raise Failure(f"--{name.replace('_', '-')} is for the formats enrtree and zone; others have filters, such as -limit")
    if options.off:
        raise Failure(f"--no-{options.off[0]} is for the formats enrtree and zone, which alone have such a rule")


def make_list(nodes: Iterator[KnownNode], options: argparse.Namespace) -> tuple[SignedList, dict[str, str]]:
    """Choose, and sign. Returns the list, and what to tell of it; `Failure` if nobody is left."""
    seed: str = os.urandom(16).hex() if options.seed is None else options.seed
    given = {
        "min_age": None if options.list_age is None else options.list_age // 1000,
        "min_handshakes": options.list_handshakes,
        "per_subnet": options.per_subnet,
        "per_asn": options.per_asn,
    }
    bounds = {name: value for name, value in given.items() if value is not None}
    rules = ListRules(size=options.size, seed=seed, off=frozenset(options.off), **bounds)
    choice = choose(nodes, rules)
    if not choice.nodes:
        raise Failure(_nobody(choice), Exit.FAILED)
    out: Path = options.out
    domain: str = options.domain or _domain_of(out)
    sequence: int = options.seq if options.seq is not None else (0 if out == STDOUT else last_sequence(out)) + 1
    signed = sign_list(choice.nodes, _key(options), domain, sequence)
    fields = {"nodes": f"{len(choice.nodes)} of {choice.looked_at}", "url": str(signed.url), "sequence": str(sequence), "seed": seed}
    if choice.removed:
        fields["left out"] = _removed(choice)
    if choice.without_asn and "asn" not in rules.off:
        fields["unbounded"] = f"{choice.without_asn} of unknown autonomous systems, which --per-asn does not bound (--geo FILE tells)"
    return signed, fields


def _nobody(choice: Chosen) -> str:
    if not choice.looked_at:
        return "nobody is left for the list: no node passed the filters"
    return f"nobody is left for the list: of {choice.looked_at} nodes these rules removed {_removed(choice)}; nothing was written"


def _removed(choice: Chosen) -> str:
    """Who was removed by what, and how to switch that off."""
    told: list[str] = []
    for rule in ("unsigned", *RULES, "size"):
        if number := choice.removed[rule]:
            option = {"unsigned": "they have no record", "size": "--size"}.get(rule, f"--no-{rule}")
            told.append(f"{rule} {number} ({option})")
    return ", ".join(told)


def _domain_of(out: Path) -> str:
    if out == STDOUT:
        raise Failure("where will the list be published? add --domain, such as --domain nodes.example.org")
    return out.stem if out.suffix in _SUFFIXES else out.name


def _key(options: argparse.Namespace) -> PrivateKey:
    if options.key is not None:
        return read_key(options.key)
    out: Path = options.out
    if out == STDOUT:
        raise Failure("a list has to be signed: add --key FILE; `devp2p key generate FILE` makes one")
    path = out.with_name(f"{out.name}.key")
    if not path.exists():
        write_key(str(path), PrivateKey.generate(), force=False)
        warn(f"there was no --key: a new one is kept in {path}, and signs the next list, too")
    return read_key(str(path))


def _duration(text: str) -> int:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
