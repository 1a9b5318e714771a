"""``devp2p discover``: take part in discovery v4 and v5 to ask a node, to find nodes, or just to be there."""

import argparse
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import trio

from devp2p.addresses import Address
from devp2p.cli.news import json_lost, text_lost
from devp2p.discovery import VERSIONS
from devp2p.keys import PrivateKey, PublicKey
from devp2p.peers import undialable
from devp2p.records import PRESETS, NodeRecord
from devp2p.terminal import (
    Exit,
    Failure,
    HelpFormatter,
    Outlets,
    discovery_node,
    explain,
    external_address,
    how_many,
    lookup_target,
    outlets,
    read_key,
    run_until,
    seconds,
    told_to_end,
    udp_address,
    wait_room,
    warn,
    write_fields,
    write_json,
    write_text,
)
from devp2p.transports import default_transports

if TYPE_CHECKING:  # imported when it is used, as `devp2p --help` need not wait for it
    from devp2p.discovery import Discovery

SUMMARY = "find nodes, by discovery v4 and v5"
DESCRIPTION = """\
Take part in node discovery: ask one node whether it is there, find the newest
record of a node, search for nodes, or be a node that others can begin with.
Both versions share one UDP port.
"""
EPILOG = """\
examples:
  devp2p discover ping enode://<public key>@203.0.113.5:30303
  devp2p discover resolve <public key> --bootnode enr:-IS4QHCYrYZbAKW...
  devp2p discover random --network mainnet --count 20
  devp2p discover listen --key node.key --listen 0.0.0.0:30303 --external 203.0.113.5
"""
_EXITS = """\
exit codes:
  0  done; or ended by Ctrl-C, SIGTERM or SIGHUP
  1  no answer, or nothing found, or the address could not be listened at, or
     the result not be written
  2  wrong arguments, or no key where one should be
"""
_NODE = "the node: enode://<128 hex digits>@HOST:PORT, or its ENR (enr:...)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """How to take part in discovery."""

    key: PrivateKey
    listen: Address
    versions: frozenset[int]
    bootnodes: tuple[NodeRecord, ...] = ()
    external: tuple[str, ...] = ()

    def open(self) -> "AbstractAsyncContextManager[Discovery]":
        """Take part."""
        from devp2p.discovery import open_discovery  # noqa: PLC0415  (see above)

        return open_discovery(self.key, listen=self.listen, versions=self.versions, bootnodes=self.bootnodes, external=self.external)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, run: Callable[[argparse.Namespace], int], text: str, example: str, *, port: int = 0) -> argparse.ArgumentParser:
        command = commands.add_parser(
            name,
            help=text[0].lower() + text[1:].partition(".")[0].replace("\n", " "),
            description=text,
            epilog=f"examples:\n  devp2p discover {name} {example}\n\n{_EXITS}",
            formatter_class=HelpFormatter,
            allow_abbrev=False,
        )
        _configure_place(command, port)
        command.set_defaults(run=run)
        return command

    ping = add("ping", _ping, "Ask a node whether it is there. It also says from where it sees us.", "enr:-IS4QHCYrYZbAKW...")
    ping.add_argument("node", metavar="NODE", type=discovery_node, help=_NODE)
    _add_timeout(ping, 5.0)

    resolve = add(
        "resolve", _resolve, "Find the newest record of a node. Without its address, bootnodes are needed.", "enr:-IS4QHCYrYZbAKW..."
    )
    resolve.add_argument("node", metavar="NODE", type=lookup_target, help=f"{_NODE}; or just its public key")
    _add_timeout(resolve, 20.0)

    lookup = add("lookup", _lookup, "Search for the nodes closest to a place.", "--bootnode enr:-IS4QHCYrYZbAKW...")
    lookup.add_argument("target", metavar="NODE", nargs="?", type=lookup_target, help="a node or public key (default: a random place)")
    _add_timeout(lookup, 20.0)

    text = "Find nodes at random. They are shown as they are found, until there are enough."
    find = add("random", _random, text, "--network mainnet --count 20")
    find.add_argument("--count", metavar="N", type=how_many, help="how many nodes to find (default: until Ctrl-C)")
    _add_timeout(find, None)

    add("listen", _listen, "Be a node that others find, and begin with. It ends by Ctrl-C.", "--listen 0.0.0.0:30303", port=30303)


def _configure_place(parser: argparse.ArgumentParser, port: int) -> None:
    parser.add_argument(
        "--bootnode", metavar="NODE", action="append", type=discovery_node, default=[], help="begin with this node; can be repeated"
    )
    parser.add_argument("--network", choices=sorted(PRESETS), help="begin with the bootnodes of a public network")
    version = parser.add_mutually_exclusive_group()
    version.add_argument("--v4", dest="versions", action="store_const", const=frozenset({4}), help="only discovery v4")
    version.add_argument("--v5", dest="versions", action="store_const", const=frozenset({5}), help="only discovery v5")
    parser.add_argument("--key", metavar="FILE", help="the key of our node (default: a new one for this run)")
    anywhere = Address("udp", "*", port)
    parser.add_argument(
        "--listen",
        metavar="ADDR",
        type=udp_address,
        default=anywhere,
        help=f"our UDP address: HOST:PORT (default: *:{port}, IPv4 and IPv6)",
    )
    parser.add_argument(
        "--external", metavar="IP", action="append", type=external_address, default=[], help="where others reach us: IP or IP:PORT"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object for each result, one a line")


def _add_timeout(parser: argparse.ArgumentParser, default: float | None) -> None:
    shown = "none" if default is None else f"{default:g}"
    parser.add_argument("--timeout", metavar="SECONDS", type=seconds, default=default, help=f"how long to try (default: {shown})")


def _place(options: argparse.Namespace) -> Place:
    preset = PRESETS.get(options.network)
    return Place(
        key=PrivateKey.generate() if options.key is None else read_key(options.key),
        listen=options.listen,
        versions=options.versions or VERSIONS,
        bootnodes=(*options.bootnode, *map(NodeRecord.parse, preset.bootnodes if preset is not None else ())),
        external=tuple(options.external),
    )


def _run(options: argparse.Namespace, act: "Callable[[Discovery], Awaitable[Exit]]", *, limited: bool = True) -> int:
    """Do something while taking part in discovery, at most for ``--timeout`` if it is `limited`, and return the exit status."""
    place = _place(options)
    with outlets(json_lost if options.json else text_lost) as streams:
        if limited:
            return trio.run(_act, place, act, options.timeout)
        return trio.run(_act_until_signal, place, act, streams)


async def _act(place: Place, act: "Callable[[Discovery], Awaitable[Exit]]", timeout: float) -> Exit:  # noqa: ASYNC109  (it is shown)
    status = Exit.FAILED
    try:
        async with place.open() as discovery:
            with trio.move_on_after(timeout) as scope:
                status = await act(discovery)
            if scope.cancelled_caught:
                warn(f"no answer within {timeout:g} s")
    except OSError as error:
        raise Failure(f"cannot listen at {place.listen}: {explain(error)}; --listen names another address", Exit.FAILED) from None
    except ValueError as error:  # of arguments that do not fit each other; what comes out of the block itself is in a group
        raise Failure(str(error)) from None
    return status


async def _act_until_signal(place: Place, act: "Callable[[Discovery], Awaitable[Exit]]", streams: Outlets) -> Exit:
    """Act for as long as the process is not told to end, and somebody reads what it says."""
    with told_to_end() as told:
        status = await run_until(partial(streams.wait_end, told), lambda _: _act(place, act, float("inf")))
    streams.check()
    return Exit.OK if status is None else status


def _ping(options: argparse.Namespace) -> int:
    node: NodeRecord = options.node

    async def ping(discovery: "Discovery") -> Exit:
        pinged = await discovery.ping(node)
        if pinged is None:
            warn(f"no answer from {node.enode}")
            return Exit.FAILED
        told: dict[str, object] = {
            "id": node.id.hex(),
            "version": pinged.version,
            "address": str(pinged.endpoint),
            "seen_as": str(pinged.seen_as) if pinged.seen_as.ip else None,
            "seq": pinged.sequence,
            "seconds": round(pinged.rtt, 6),
        }
        _show(told, options)
        return Exit.OK

    return _run(options, ping)


def _require_beginning(options: argparse.Namespace, what: str) -> None:
    """`Failure` if there is no node to ask, since none would ever be found."""
    if not (options.bootnode or options.network):
        raise Failure(f"{what} asks the nodes that are known to begin with, and there are none: add --bootnode NODE or --network NAME")


def _resolve(options: argparse.Namespace) -> int:
    if not options.node.udp_endpoints:
        _require_beginning(options, "a search for a node without an address")

    async def resolve(discovery: "Discovery") -> Exit:
        found = await discovery.resolve(options.node)
        if found is None:
            warn("the node was not found")
            return Exit.FAILED
        _show(_found(found), options)
        return Exit.OK

    return _run(options, resolve)


def _lookup(options: argparse.Namespace) -> int:
    _require_beginning(options, "a search")
    target: PublicKey = options.target.public_key if options.target is not None else PrivateKey.generate().public_key

    async def lookup(discovery: "Discovery") -> Exit:
        found = await discovery.lookup(target)
        _show_all(found, options)
        if not found:
            warn("nobody answered; begin with other nodes: --bootnode or --network")
        return Exit.OK if found else Exit.FAILED

    return _run(options, lookup)


def _random(options: argparse.Namespace) -> int:
    _require_beginning(options, "a search")

    async def find(discovery: "Discovery") -> Exit:
        found, enough = 0, float("inf") if options.count is None else options.count
        candidates = discovery.candidates()
        with trio.move_on_after(options.timeout or float("inf")):
            while found < enough:
                candidate = await anext(candidates)
                if options.json:
                    write_json({**_found(candidate.record), "source": candidate.source})
                else:
                    write_text(f"{candidate.source:<8}  {_text(candidate.record)}")
                found += 1
                await wait_room()
        if not found or (options.count is not None and found < enough):
            warn(f"{found} nodes found within {options.timeout:g} s")
            return Exit.FAILED
        return Exit.OK

    return _run(options, find, limited=False)


def _listen(options: argparse.Namespace) -> int:
    async def listen(discovery: "Discovery") -> Exit:
        _show({"listening": str(discovery.address), **_names(NodeRecord.from_enr(discovery.record))}, options)
        await trio.sleep_forever()

    return _run(options, listen, limited=False)


def _names(node: NodeRecord) -> dict[str, object]:
    return {"id": node.id.hex(), "enode": node.enode, "enr": node.enr.text if node.enr is not None else None}


def _found(node: NodeRecord) -> dict[str, object]:
    """A node that was found; with the word for why no node could dial it, by the transports that a node has by default."""
    schemes = {scheme for transport in default_transports() for scheme in transport.schemes}
    why = undialable(node, schemes)
    return {**_names(node), "not_dialled": None if why is None else why.value}


def _text(node: NodeRecord) -> str:
    return node.enr.text if node.enr is not None else node.enode


def _show(told: dict[str, object], options: argparse.Namespace) -> None:
    if options.json:
        write_json(told)
    else:
        write_fields({name.replace("_", " "): str(value) for name, value in told.items() if value is not None})


def _show_all(found: Sequence[NodeRecord], options: argparse.Namespace) -> None:
    for node in found:
        if options.json:
            write_json(_found(node))
        else:
            write_text(_text(node))
