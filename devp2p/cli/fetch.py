"""``devp2p fetch``: headers, blocks or receipts of an Ethereum chain, from several nodes at once, verified, into a file."""

import argparse
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING

import trio

from devp2p.errors import DecodingError, PeerDisconnected
from devp2p.keys import PrivateKey, keccak256
from devp2p.node import DialFailed, Node, PeerDropped, PeerRefused, open_node
from devp2p.records import NodeRecord
from devp2p.terminal import (
    Ending,
    Exit,
    Failure,
    HelpFormatter,
    add_proxy,
    cannot_write,
    explain,
    node_record,
    run_until,
    seconds,
    told_to_end,
)
from devp2p.transports import Proxy

if TYPE_CHECKING:  # imported when it is used, as `devp2p --help` need not wait for it
    from devp2p.capabilities.backfill import Journal, Order

SUMMARY = "fetch a part of an Ethereum chain"
DESCRIPTION = """\
Fetch headers, blocks or receipts from nodes that speak eth, from all of them
at once, and write them to a file or stdout, the lowest block first.
Everything is verified: headers are linked to the last one's hash, which
--anchor names; without it, the nodes must agree on it, and are believed.
Blocks and receipts must have the roots that these headers say.
"""
EPILOG = """\
formats:
  json     one object a line, with the names and hexadecimal numbers of
           JSON-RPC (default)
  csv      a line for each header, block or receipt; lists are JSON
  rlp      headers one behind the other; blocks as `geth import` and
           `devp2p chain import` read them; receipts as the latter does
  parquet  as csv, with columns of integers and text
           (needs pip install 'trio-devp2p[parquet]')

It can be interrupted, or killed: what has come is in OUTPUT.fetch (or the file
that --journal names), and the same command goes on from there.

examples:
  devp2p fetch headers --network mainnet --from enode://<key>@HOST:30303 0..999
  devp2p fetch blocks 23000000..23000099 --from enode://... --from enode://... \\
      --format rlp --output blocks.rlp
  devp2p fetch receipts 100 --network genesis.json --from enode://...

exit codes:
  0  all was fetched and written
  1  something is missing, or could not be written, or it was interrupted
  2  wrong arguments
"""
_RANGE = re.compile(r"(\d+)(?:\.\.(\d*))?")
_SHORTEST_BAR = 5
_END = 2**63


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    kind: str
    first: int
    last: int | None
    """None: the newest block that a node has."""
    anchor: bytes | None
    nodes: tuple[NodeRecord, ...]
    network: str
    patience: float
    proxy: Proxy | None = None


def block_range(text: str) -> tuple[int, int | None]:
    """Read ``7``, ``0..99`` or ``100..``, the last of which goes to the newest block."""
    found = _RANGE.fullmatch(text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is no range of blocks: write one such as 7, 0..99 (both ends included), or 100..")
    first = int(found[1])
    last = first if found[2] is None else int(found[2]) if found[2] else None
    if last is not None and last < first:
        raise argparse.ArgumentTypeError(f"{text!r} ends before it begins: write {last}..{first}")
    if max(first, last or 0) >= _END:
        raise argparse.ArgumentTypeError(f"{text!r} has a number of more than 63 bits")
    return first, last


def block_hash(text: str) -> bytes:
    """Read 64 hex digits, with or without 0x."""
    if not re.fullmatch(r"(0x)?[0-9a-fA-F]{64}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no hash of a block: it has 64 hex digits")
    return bytes.fromhex(text.removeprefix("0x"))


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    kinds = ["headers", "blocks", "receipts"]
    parser.add_argument("kind", metavar="|".join(kinds), choices=kinds, help="what to fetch")
    parser.add_argument(
        "range", metavar="RANGE", type=block_range, help="which blocks: 7, or 0..99 with both ends, or 100.. up to the newest"
    )
    parser.add_argument(
        "--from",
        dest="nodes",
        metavar="ENODE",
        action="append",
        type=node_record,
        required=True,
        help="a node to fetch from (enode:// or enr:); can be repeated, and all are asked at once",
    )
    parser.add_argument(
        "--network", metavar="NAME|FILE", default="mainnet", help="the chain: a public network, or a genesis.json (default: mainnet)"
    )
    parser.add_argument("--anchor", metavar="HASH", type=block_hash, help="the hash of the last block (default: what the nodes agree on)")
    parser.add_argument("--format", choices=["json", "csv", "rlp", "parquet"], default="json", help="see below (default: json)")
    parser.add_argument("--output", "-o", metavar="FILE", help="write here, once all has come (default: stdout)")
    parser.add_argument("--journal", metavar="FILE", help="keep here what has come until all has (default: OUTPUT.fetch)")
    parser.add_argument(
        "--patience", metavar="SECONDS", type=seconds, default=30.0, help="give up when nothing came for so long (default: 30)"
    )
    add_proxy(parser.add_argument)
    parser.set_defaults(run=partial(_run, parser))
    parser.formatter_class = HelpFormatter


def _run(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    from devp2p.capabilities.backfill import JournalError  # noqa: PLC0415  (see above)
    from devp2p.cli.fetching import check_format  # noqa: PLC0415

    check_format(options.format)
    if options.output is None and options.format in {"rlp", "parquet"} and sys.stdout.isatty():
        parser.error(f"{options.format} is not for a terminal: name a file by --output, or send stdout to one")
    if options.output is not None and Path(options.output).exists() and not Path(options.output).is_file():
        parser.error(f"--output {options.output} is no file that could be replaced: name another one, or leave it out to have stdout")
    first, last = options.range
    task = _Task(
        kind=options.kind,
        first=first,
        last=last,
        anchor=options.anchor,
        nodes=tuple(options.nodes),
        network=options.network,
        patience=options.patience,
        proxy=options.proxy,
    )
    with ExitStack() as afterwards:
        path = options.journal or (f"{options.output}.fetch" if options.output else None)
        if path is None:
            path = str(Path(afterwards.enter_context(tempfile.TemporaryDirectory(prefix="devp2p-fetch-"))) / "blocks.fetch")
            again = "to be able to go on, name a file by --output or --journal"
        else:
            again = f"what came is in {path}, and the same command goes on from there"
        try:
            journal = trio.run(_until_signal, task, path, again)
            with journal:
                _write_out(journal, options.kind, options.format, options.output)
                journal.remove()
        except JournalError as error:
            raise Failure(str(error), Exit.FAILED) from None
    return Exit.OK


async def _until_signal(task: _Task, path: str, again: str) -> "Journal":
    """Fetch all, and return the journal that has it; `Failure` if something is missing."""
    opened: list[Journal] = []
    done = False
    try:
        with told_to_end() as told:
            done = bool(await run_until(told.wait, lambda ending: _fetch(task, path, opened, ending)))
        if not done:
            raise Failure(f"interrupted: {_how_far(opened)}{f'; {again}' if opened else ''}", Exit.FAILED)
    except Failure:
        for journal in opened:
            journal.close()
        raise
    return opened[0]


async def _fetch(task: _Task, path: str, opened: "list[Journal]", ending: Ending) -> bool:
    from devp2p.capabilities.backfill import BackfillError, Journal, JournalError, backfill  # noqa: PLC0415
    from devp2p.capabilities.eth import eth  # noqa: PLC0415
    from devp2p.cli.networks import network_chain  # noqa: PLC0415

    chain, problem = network_chain(task.network), ""
    async with open_node(PrivateKey.generate(), eth(chain), listen=[], static_peers=task.nodes, discovery=False, proxy=task.proxy) as node:
        troubles: dict[str, str] = {}
        async with trio.open_nursery() as nursery:
            ending.scope = nursery.cancel_scope  # so that the node ends in order, and its peers are told
            nursery.start_soon(_follow, node, troubles)
            try:
                order = await _order(node, task, path, chain.network.genesis)
                opened.append(journal := Journal.open(path, order))
                nursery.start_soon(_show, journal)
                await backfill(node, journal, patience=task.patience)
            except (BackfillError, JournalError) as error:
                told = "; ".join(f"{where}: {what}" for where, what in troubles.items())
                problem = f"{error}{f' ({told})' if told else ''}"
            nursery.cancel_scope.cancel()
    if problem:
        doubt = task.anchor and opened and not opened[0].progress.headers
        asked = f"; is the hash of block {opened[0].order.last} that of --anchor?" if doubt else ""
        raise Failure(f"{problem}; {_how_far(opened)}{asked}", Exit.FAILED)
    return bool(opened) and _is_whole(opened[0])


async def _order(node: Node, task: _Task, path: str, genesis: bytes) -> "Order":
    """What to fetch: as the journal has it if there is one, else by what the nodes say."""
    from devp2p.capabilities.backfill import Journal, Order, find_anchor  # noqa: PLC0415

    bodies, receipts = task.kind == "blocks", task.kind == "receipts"
    begun = Journal.order_of(path)
    if begun is not None and _is_same(begun, task, genesis):
        return begun
    last = task.last if task.last is not None else await _newest(node, task)
    anchor = task.anchor or await find_anchor(node, last, peers=len(task.nodes), patience=task.patience)
    return Order(task.first, last, anchor, genesis, bodies=bodies, receipts=receipts)


def _is_same(begun: "Order", task: _Task, genesis: bytes) -> bool:
    return (
        (begun.first, begun.genesis) == (task.first, genesis)
        and task.last in {None, begun.last}
        and task.anchor in {None, begun.anchor}
        and (begun.bodies, begun.receipts) == (task.kind == "blocks", task.kind == "receipts")
    )


async def _newest(node: Node, task: _Task) -> int:
    """Return the number of the newest block of the first node that has the first block of the range."""
    from devp2p.capabilities.backfill import BackfillError  # noqa: PLC0415
    from devp2p.capabilities.eth import Eth  # noqa: PLC0415

    others: list[str] = []
    with trio.move_on_after(task.patience):
        async for peer in node.peers(Eth):
            try:
                newest = peer[Eth].head
            except (KeyError, PeerDisconnected):
                continue  # it has left in this moment
            if task.first <= newest < _END:
                return newest
            others.append(f"the newest block of {peer.address} is {newest}")
            if len(others) == len(task.nodes):
                break
    if others:
        raise BackfillError(f"{', '.join(others)}, and the range begins at {task.first}")
    raise BackfillError(f"none of the nodes could be asked within {task.patience:g} s")


async def _follow(node: Node, troubles: dict[str, str]) -> None:
    """Remember of each node what was wrong with it last."""
    async for event in node.events():
        match event:
            case DialFailed(record, error):
                where = str(next(iter(record.addresses), record.public_key))
                troubles[where] = str(error).removeprefix(f"{where}: ")
            case PeerRefused(address, error, _):
                troubles[str(address)] = str(error)
            case PeerDropped(peer, reason):
                troubles[str(peer.address)] = str(reason)
            case _:
                pass


async def _show(journal: "Journal") -> None:
    """Show on stderr how far it is: a bar that moves on a terminal, else a line now and then."""
    moves, began, shown = sys.stderr is not None and sys.stderr.isatty(), trio.current_time(), ""
    try:
        while True:
            text = _bar(journal, trio.current_time() - began) if moves else _how_far([journal])
            if text != shown:
                with suppress(OSError):
                    print(f"\r{text}\x1b[K" if moves else text, end="" if moves else "\n", file=sys.stderr, flush=True)
                shown = text
            await trio.sleep(0.1 if moves else 10)
    finally:
        text = f"\r{_bar(journal, trio.current_time() - began)}\x1b[K" if moves else _how_far([journal])
        if moves or text != shown:
            with suppress(OSError):
                print(text, file=sys.stderr, flush=True)


def _bar(journal: "Journal", seconds: float) -> str:
    """Show how far it is in one line of the terminal; where that is narrow, without what does not fit."""
    width = min(shutil.get_terminal_size().columns, 100) - 1
    have, wanted = _counts(journal)
    share = have / wanted
    left = "" if not have or share == 1 or seconds < 1 else f"  {(1 / share - 1) * seconds:.0f} s left"
    head, percent = "fetching  ", f"  {share:4.0%}"
    tails = [f"{percent}  {_how_far([journal])}{left}", f"{percent}{left}", percent]
    tail = next((tail for tail in tails if len(head) + _SHORTEST_BAR + len(tail) <= width), percent)
    room = max(0, width - len(head) - len(tail))
    done = int(room * share)
    return f"{head}{'━' * done}{'╌' * (room - done)}{tail}"[:width]


def _counts(journal: "Journal") -> tuple[int, int]:
    """How many headers, bodies and receipts have come, of how many."""
    have, order = journal.progress, journal.order
    came = have.headers + have.bodies * order.bodies + have.receipts * order.receipts
    return came, have.blocks * (1 + order.bodies + order.receipts)


def _is_whole(journal: "Journal") -> bool:
    have, wanted = _counts(journal)
    return have == wanted


def _how_far(opened: "Sequence[Journal]") -> str:
    if not opened:
        return "nothing was fetched yet"
    have, order = opened[0].progress, opened[0].order
    parts = [
        "1 header" if have.headers == 1 else f"{have.headers} headers",
        *["1 body" if have.bodies == 1 else f"{have.bodies} bodies"] * order.bodies,
        *[f"{have.receipts} receipts"] * order.receipts,
    ]
    return f"{' and '.join(parts)} of {have.blocks} block{'' if have.blocks == 1 else 's'}"


def _write_out(journal: "Journal", kind: str, form: str, output: str | None) -> None:
    """Write all that was fetched; a file appears once it is whole."""
    from devp2p.cli.fetching import KINDS, open_writer  # noqa: PLC0415

    def write(file: IO[bytes]) -> None:
        with open_writer(form, file, KINDS[kind]) as writer:
            for block in journal.blocks():
                try:
                    writer.write(block)
                except DecodingError as error:
                    header = keccak256(block.header).hex()
                    raise Failure(f"block 0x{header}: {error}: only --format rlp can write that", Exit.FAILED) from None

    if output is None:
        try:
            write(sys.stdout.buffer)
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise cannot_write(error) from None
        return
    path = Path(output)
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            try:
                write(file)
                file.flush()
                os.fsync(file.fileno())
                os.chmod(file.name, 0o666 & ~_umask())  # noqa: PTH101  (a temporary file is for its owner only)
                os.replace(file.name, path)  # noqa: PTH105
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise Failure(f"cannot write {output}: {explain(error)}; what was fetched is in {journal.path}", Exit.FAILED) from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
