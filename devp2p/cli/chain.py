"""``devp2p chain``: fill a chain file from files, and see what it has."""

import argparse
import contextlib
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from devp2p.terminal import Exit, Failure, HelpFormatter, IntermixedParser, explain, warn, write_fields, write_json
from devp2p.wire import printable

if TYPE_CHECKING:
    from devp2p.capabilities.ethereum.networks import ForkId, Genesis, Network
    from devp2p.capabilities.ethereum.store import Contents, ImportProgress, StateContents

SUMMARY = "fill a chain file that a node serves, and see what it has"
DESCRIPTION = """\
A chain file is an SQLite database with blocks, receipts, access lists and
states, from which `devp2p node --chain` answers peers over eth and snap.
"""
EPILOG = """\
examples:
  devp2p chain import chain.db --genesis genesis.json chain.rlp
  devp2p chain info chain.db
"""
_EXITS = """\
exit codes:
  0  done
  1  something did not fit, or a file could not be read or written; what came
     before that stays, and another import goes on from there
  2  wrong arguments, or no genesis file where one should be
"""
_IMPORT = """\
Bring blocks, and what belongs to them, into a chain file, which is made if it
is not there. Everything is verified: links between blocks, all roots and
hashes. What is there already is passed over, so an import that was interrupted
goes on when it is called again. All files may be compressed by gzip.

The forms of files:
  GENESIS.json  as `geth init` takes it
  CHAIN.rlp     as `geth export` writes it: blocks, each behind its parent. A
                new block becomes the head if it is higher than the head.
  receipts      RLP lists [block-hash, [receipt, ...]], one behind the other;
                a receipt is [type, status-or-root, cumulative-gas, logs]
  access lists  RLP lists [block-hash, access-list], one behind the other; with
                the header instead of the hash for blocks outside the chain
  states        as `geth dump --incompletes` prints them. So that it knows all
                slots, geth must run with --cache.preimages from its init on.
                The state of the genesis block is in GENESIS.json.
"""
_IMPORT_EPILOG = f"""\
examples:
  devp2p chain import chain.db --genesis genesis.json chain.rlp
  devp2p chain import chain.db --receipts receipts.rlp --state 600=state.json

{_EXITS}"""
_INFO = """\
Show what a chain file has: its network, its head, and how many blocks have
receipts and access lists; for which blocks there are states, and how large.
"""
_INFO_EPILOG = f"""\
examples:
  devp2p chain info chain.db --json

{_EXITS}"""
_MOST_STATES: Final = 8
"""How many states are listed for people."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=IntermixedParser)
    add = partial(commands.add_parser, formatter_class=HelpFormatter, allow_abbrev=False)

    taking = add("import", help="bring blocks, receipts, access lists and states into it", description=_IMPORT, epilog=_IMPORT_EPILOG)
    taking.add_argument("database", metavar="DB", help="the chain file")
    taking.add_argument("chains", metavar="CHAIN.rlp", nargs="*", default=[], help="blocks")
    taking.add_argument(
        "--genesis", metavar="FILE", help="the genesis file; not needed if DB is there already, whose ids and forks it replaces"
    )
    taking.add_argument("--receipts", metavar="FILE", action="append", default=[], help="receipts of blocks (repeatable)")
    taking.add_argument("--bals", metavar="FILE", action="append", default=[], help="block access lists, EIP-7928 (repeatable)")
    taking.add_argument(
        "--state",
        metavar="BLOCK=FILE",
        type=_state,
        action="append",
        default=[],
        help="the state behind a block, which is given by its number or hash (repeatable)",
    )
    taking.add_argument("--json", action="store_true", help="print what was imported, and what there is now, as one JSON object")
    taking.set_defaults(run=_run_import)

    info = add("info", help="show what it has", description=_INFO, epilog=_INFO_EPILOG)
    info.add_argument("database", metavar="DB", help="the chain file")
    info.add_argument("--json", action="store_true", help="print it as one JSON object")
    info.set_defaults(run=_run_info)


def _state(text: str) -> tuple[int | bytes, str]:
    """``600=state.json``, or a block's hash in place of its number."""
    block, equals, path = text.partition("=")
    if equals and path and re.fullmatch(r"0x[0-9a-fA-F]{64}", block):
        return bytes.fromhex(block[2:]), path
    if equals and path and block.isascii() and block.isdigit():
        return int(block), path
    raise argparse.ArgumentTypeError(f"BLOCK=FILE is expected, such as 600=state.json or 0x<64 hex digits>=state.json, not {text[:80]!r}")


# -------------------------------------------------------------------------------------------------------------------------- import


def _run_import(options: argparse.Namespace) -> int:
    from devp2p.capabilities.ethereum.store import Importer, StoreError  # noqa: PLC0415  (other commands need no SQLite)

    states: Sequence[tuple[int | bytes, str]] = options.state
    for path in (*options.chains, *options.receipts, *options.bals, *(path for _, path in states)):
        _require_readable(path)  # rather now than after an hour
    genesis = None if options.genesis is None else _read_genesis(options.genesis)
    if genesis is None and not Path(options.database).exists():
        raise Failure(f"there is no {options.database}: name the genesis file of its chain with --genesis, and it will be made")
    progress = _Progress()
    counts: dict[str, int] = dict.fromkeys(("blocks", "receipts", "access_lists", "states"), 0)
    try:
        with Importer.open(options.database, genesis, report=progress.report) as importer:
            for kind, take, paths in (
                ("blocks", importer.blocks, options.chains),
                ("receipts", importer.receipts, options.receipts),
                ("access_lists", importer.access_lists, options.bals),
            ):
                for path in paths:
                    counts[kind] += take(path)
            for block, path in states:
                counts["states"] += importer.state(block, path)
            contents = importer.contents()
    except StoreError as error:
        raise Failure(str(error), Exit.FAILED) from None
    finally:
        progress.end()
    if options.json:
        write_json({"imported": counts, **_as_json(options.database, contents)})
    else:
        write_fields({"imported": ", ".join(f"{kind.replace('_', ' ')} {count}" for kind, count in counts.items()), **_as_text(contents)})
    return Exit.OK


def _require_readable(path: str) -> None:
    try:
        with Path(path).open("rb"):
            pass
    except (OSError, ValueError) as error:
        raise Failure(f"cannot read {path}: {explain(error) if isinstance(error, OSError) else error}") from None


def _read_genesis(path: str) -> "Genesis":
    from devp2p.capabilities.ethereum.networks import load_genesis  # noqa: PLC0415  (as above)

    try:
        genesis = load_genesis(path)
    except OSError as error:
        raise Failure(f"cannot read {path}: {explain(error)}") from None
    except ValueError as error:
        raise Failure(str(error)) from None
    if genesis.unknown_upgrades:
        warn(f"{path}: {', '.join(genesis.unknown_upgrades)} is not known here, and left out of the fork id")
    return genesis


class _Progress:
    """How far an import is, on stderr: one line that changes, or, if that is no terminal, a line now and then."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._terminal = sys.stderr.isatty()
        self._pause = 0.2 if self._terminal else 10.0
        self._next = clock() + self._pause
        self._shown = False

    def report(self, progress: "ImportProgress") -> None:
        if (now := self._clock()) < self._next:
            return
        self._next = now + self._pause
        whole = f" of {progress.size / 1e6:.1f}" if progress.size else ""
        line = f"{os.path.basename(progress.path)}: {progress.items} items, {progress.done / 1e6:.1f}{whole} MB"  # noqa: PTH119  (a text)
        line = printable(line)
        if self._terminal:  # in a line that was broken, the next one could not take its place
            line = f"\r\x1b[K{line[-(shutil.get_terminal_size().columns - 1) :]}"
        with contextlib.suppress(OSError):
            print(line, end="" if self._terminal else "\n", file=sys.stderr)
            sys.stderr.flush()
            self._shown = self._terminal

    def end(self) -> None:
        """Leave the line empty for what comes."""
        if self._shown:
            self._shown = False
            with contextlib.suppress(OSError):
                print("\r\x1b[K", end="", file=sys.stderr, flush=True)


# ---------------------------------------------------------------------------------------------------------------------------- info


def _run_info(options: argparse.Namespace) -> int:
    from devp2p.capabilities.ethereum.store import StoreError, read_contents  # noqa: PLC0415  (as above)

    try:
        contents = read_contents(options.database)
    except StoreError as error:
        raise Failure(str(error), Exit.FAILED) from None
    if options.json:
        write_json(_as_json(options.database, contents))
    else:
        write_fields(_as_text(contents))
    return Exit.OK


def network_as_json(network: "Network", number: int, timestamp: int) -> dict[str, object]:
    """A network for programs, with its fork id (EIP-2124) at a block."""
    return {
        "network_id": network.network_id,
        "chain_id": network.chain_id,
        "genesis": f"0x{network.genesis.hex()}",
        "fork_id": fork_id_as_json(network.fork_id(number, timestamp)),
    }


def fork_id_as_json(fork_id: "ForkId") -> dict[str, object]:
    """The same of a fork id alone."""
    return {"hash": f"0x{fork_id.hash.hex()}", "next": fork_id.next}


def _as_json(path: str, contents: "Contents") -> dict[str, object]:
    head = contents.head
    return {
        "file": path,
        "network": network_as_json(contents.network, head.number, head.timestamp),
        "head": {
            "number": head.number,
            "hash": f"0x{head.hash.hex()}",
            "timestamp": head.timestamp,
            "state_root": f"0x{head.state_root.hex()}",
        },
        "earliest": contents.earliest,
        "blocks": contents.blocks,
        "beside": contents.beside,
        "receipts": contents.receipts,
        "access_lists": contents.access_lists,
        "codes": contents.codes,
        "states": [
            {
                "number": state.number,
                "root": f"0x{state.root.hex()}",
                "accounts": state.accounts,
                "slots": state.slots,
                "served": state.served,
            }
            for state in contents.states
        ],
    }


def _as_text(contents: "Contents") -> dict[str, str]:
    network, head = contents.network, contents.head
    beside = f", and {contents.beside} outside the chain" if contents.beside else ""
    fields = {
        "network": f"{network.network_id}, chain {network.chain_id}, genesis 0x{network.genesis.hex()}",
        "fork id": str(network.fork_id(head.number, head.timestamp)),
        "head": f"block {head.number}, 0x{head.hash.hex()}, {_time(head.timestamp)}",
        "blocks": f"{contents.blocks}{beside}",
        "receipts": f"of {contents.receipts} blocks, complete from block {contents.earliest} on",
        "access lists": f"of {contents.access_lists} blocks",
        "codes": str(contents.codes),
    }
    shown = contents.states[:_MOST_STATES]
    fields |= {f"state {_block(state)}": _state_as_text(state) for state in shown}
    if len(contents.states) > len(shown):
        fields["states"] = f"{len(contents.states)} in all"
    return fields


def _block(state: "StateContents") -> str:
    return f"0x{state.root[:4].hex()}" if state.number is None else str(state.number)


def _state_as_text(state: "StateContents") -> str:
    where = "of a block outside the chain" if state.number is None else "too old for snap to serve it"
    return f"{state.accounts} accounts, {state.slots} slots{'' if state.served else f'; {where}'}"


def _time(seconds: int) -> str:
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (OverflowError, ValueError, OSError):
        return f"{seconds} s after 1970"
