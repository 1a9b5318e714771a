"""``devp2p-crawl probe``: ask one node everything, and say step by step what is wrong with it, and what to do."""

import argparse
import secrets
import time
from functools import partial
from typing import Final

import trio

from devp2p import NodeRecord, PrivateKey
from devp2p.capabilities.ethereum.networks import NETWORKS
from devp2p.terminal import Exit, Failure, explain, lookup_target, read_key, seconds, write_json, write_text
from devp2p_crawler import __version__
from devp2p_crawler.analysis import ProbeStep, StepState
from devp2p_crawler.model import uuid7
from devp2p_crawler.visiting import Probe, probe, rlpx_caller

SUMMARY = "say what is wrong with one node, step by step"
DESCRIPTION = """\
Ask one node all that a crawl would: by discovery v4 and v5, by TCP, in the
handshake, in its Hello and in its Status. Each step is told with its time, and
where one fails, with what to do. At the end it says whether the node can be
called, and whether the filter of node lists in DNS would take it.

It is a crawl's view, from this machine: a node behind the same router may be
seen in another way than from elsewhere.
"""
EPILOG = """\
examples:
  devp2p-crawl probe enode://<public key>@203.0.113.5:30303
  devp2p-crawl probe --json 'enode://<public key>@203.0.113.5:30303?discport=30301'
  devp2p-crawl probe enr:-KO4Q...

exit codes:
  0  the node said Hello: it can be called
  1  no call reached it
  2  wrong arguments
  3  it is there, but refused us before its Hello, as one does that has no room
"""
_SHOWN: Final = {StepState.OK: "ok", StepState.WARNING: "!", StepState.FAILED: "FAILED", StepState.SKIPPED: "-"}
_WIDEST_STATE: Final = max(map(len, _SHOWN.values()))
_WIDEST_NAME: Final = len("v4 neighbours")
_INDENT: Final = " " * (_WIDEST_STATE + _WIDEST_NAME + 15)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "node", metavar="NODE", type=_node, help="enode://<128 hex digits>@HOST:PORT[?discport=PORT], or its record (enr:...)"
    )
    version = parser.add_mutually_exclusive_group()
    version.add_argument("--v4", dest="versions", action="store_const", const=(4,), help="of discovery, ask by v4 only")
    version.add_argument("--v5", dest="versions", action="store_const", const=(5,), help="by v5 only")
    parser.add_argument(
        "--network",
        choices=tuple(NETWORKS),
        default="mainnet",
        help="whose Status we say to a node that waits for one and names no network (default: mainnet)",
    )
    parser.add_argument("--key", metavar="FILE", help="ask as the node with this key (default: a new one)")
    parser.add_argument(
        "--timeout", metavar="SECONDS", type=seconds, default=5.0, help="for each step by TCP, at most (default: %(default)g)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object, at the end")
    parser.set_defaults(run=run, versions=(4, 5))


def run(options: argparse.Namespace) -> int:
    """Probe a node."""
    key = PrivateKey.generate() if options.key is None else read_key(options.key)
    now = time.time_ns() // 1000
    caller = rlpx_caller(
        crawl=uuid7(now, secrets.token_bytes),
        key=key,
        client_id=f"devp2p-crawler/{__version__}",
        network=NETWORKS[options.network],
        connect=options.timeout,
        handshake=options.timeout,
        status=options.timeout,
    )
    if not options.json:
        write_text(f"node ID {options.node.id.hex()}")
    try:
        found = trio.run(partial(probe, options.node, caller, on_step=_ignore if options.json else _show, versions=options.versions))
    except OSError as error:
        raise Failure(f"cannot ask by UDP from here: {explain(error)}", Exit.FAILED) from None
    if options.json:
        write_json(_as_json(found))
    else:
        write_text(f"verdict: {found.verdict}")
    return _status(found)


def _status(found: Probe) -> Exit:
    if found.is_reached:
        return Exit.OK
    return Exit.REFUSED if found.is_refused else Exit.FAILED


def _ignore(_: ProbeStep) -> None:
    pass


def _show(step: ProbeStep) -> None:
    taken = "" if step.seconds is None else f"{1000 * step.seconds:,.1f} ms"
    write_text(f"{_SHOWN[step.state]:<{_WIDEST_STATE}}  {step.name:<{_WIDEST_NAME}}  {taken:>10}  {step.says}")
    if step.advice:
        write_text(f"{_INDENT} -> {step.advice}")


def _as_json(found: Probe) -> dict[str, object]:
    record, visit = found.record or found.node, found.visit
    return {
        "status": {Exit.OK: "reached", Exit.REFUSED: "refused"}.get(_status(found), "unreachable"),
        "verdict": found.verdict,
        "id": found.node.id.hex(),
        "public_key": bytes(found.node.public_key).hex(),
        "enr": None if record.enr is None else record.enr.text,
        "answers_by_udp": found.answers_by_udp,
        "outcome": None if visit is None else visit.outcome.name.lower(),
        "steps": [
            {
                "name": step.name,
                "state": step.state.value,
                "seconds": None if step.seconds is None else round(step.seconds, 6),
                "says": step.says,
                "advice": step.advice,
                **({"facts": dict(step.facts)} if step.facts else {}),
            }
            for step in found.steps
        ],
    }


def _node(text: str) -> NodeRecord:
    node = lookup_target(text)
    if not node.addresses and not node.udp_endpoints:
        raise argparse.ArgumentTypeError("it names a node and no address: write enode://KEY@HOST:PORT, or a record that has one")
    return node
