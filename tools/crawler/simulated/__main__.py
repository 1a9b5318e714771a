"""Run a simulated network by itself: ``python -m tools.crawler.simulated --nodes 2000 --seed 1``.

It prints where a crawl may begin, answers until the time is over, it is interrupted or its standard input ends (with --until-eof), and then
says who was asked how often, how long it took to reach how many, and whether the crawler was polite.
"""

import argparse
import json
import signal
import sys
import time
from collections.abc import Sequence

import trio

from tools.crawler.simulated.ledger import Figures
from tools.crawler.simulated.network import Network
from tools.crawler.simulated.population import Plan
from tools.crawler.simulated.telling import told

_PREPARE = "make the tables for 4 or 5 before it begins, not when a node is first asked: for large networks"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status: 0, 2 for arguments that make no network, 3 for a run that is void."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        plan = Plan(
            nodes=options.nodes,
            seed=options.seed,
            dead=options.dead,
            liars=options.liars,
            tar_pits=options.tar_pits,
            bombs=options.bombs,
            hostile_names=options.hostile_names,
            sharing=options.sharing,
            fakes=options.fakes,
            victims=options.victims,
            round_trip=(options.round_trip[0] / 1000, options.round_trip[1] / 1000),
        )
    except ValueError as error:
        parser.error(str(error))
    began = time.monotonic()
    try:
        network = Network(plan, options.port)
    except OSError as error:
        parser.error(f"port {options.port}: {error.strerror}")
    with network:
        network.prepare(options.prepare)
        _ready(network, time.monotonic() - began, as_json=options.json)
        trio.run(_run, network, options)
        for told_to_end in (signal.SIGINT, signal.SIGTERM):  # once was enough, and the summary takes a moment
            signal.signal(told_to_end, signal.SIG_IGN)
        summary = network.summary()
    _say({"event": "summary", **summary}) if options.json else print(told(summary), flush=True)
    return 3 if summary["void"] else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.crawler.simulated", description="A simulated network on loopback addresses.")
    parser.add_argument("--nodes", type=int, default=2000, help="how many nodes there are, the dead included (default: 2000)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed makes the same network (default: 1)")
    parser.add_argument("--for", type=float, dest="seconds", metavar="SECONDS", help="end after so long (default: when interrupted)")
    parser.add_argument("--until-eof", action="store_true", help="end when standard input does")
    parser.add_argument("--json", action="store_true", help="print JSON objects, one a line: ready, progress each second, summary")
    parser.add_argument("--port", type=int, default=0, help="the first of three ports that nodes listen at (default: any free ones)")
    parser.add_argument("--prepare", type=int, nargs="+", choices=(4, 5), default=(), metavar="VERSION", help=_PREPARE)
    parser.add_argument("--round-trip", type=float, nargs=2, default=(20.0, 80.0), metavar="MS", help="from and to (default: 20 80)")
    shares = parser.add_argument_group("shares of all nodes, from 0 to 1")
    for name, what in (
        ("dead", "were there lately"),
        ("liars", "tell of nodes that do not exist"),
        ("tar-pits", "take connections, and say nothing"),
        ("bombs", "answer garbage"),
        ("hostile-names", "have a client name that is an attack"),
        ("sharing", "share their host with others"),
    ):
        default = getattr(Plan, name.replace("-", "_"))
        shares.add_argument(f"--{name}", type=float, default=default, metavar="SHARE", help=f"{what} (default: {default:g})")
    parser.add_argument("--fakes", type=int, default=0, help="how many nodes liars make up (default: a quarter of all, at least 1000)")
    parser.add_argument("--victims", type=int, default=Plan.victims, help="addresses that liars send others to (default: %(default)s)")
    return parser


def _ready(network: Network, seconds: float, *, as_json: bool) -> None:
    population = network.population
    bootnode = population.bootnode
    if as_json:
        _say(
            {
                "event": "ready",
                "enode": bootnode.enode,
                "enr": bootnode.record.text,
                "ports": [door.port for door in network.doors],
                "nodes": len(population.members),
                "reachable": population.reachable,
                "kinds": population.counts,
                "seconds": round(seconds, 3),
            }
        )
        return
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in population.counts.items())
    print(f"bootnode {bootnode.record.text}")
    print(f"bootnode {bootnode.enode}")
    print(
        f"{len(population.members):,} nodes are there after {seconds:.1f} s: {kinds}; {population.reachable:,} can be reached", flush=True
    )


def _say(figures: Figures) -> None:
    print(json.dumps(figures, separators=(",", ":")), flush=True)


async def _run(network: Network, options: argparse.Namespace) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_until_told, nursery.cancel_scope)
        if options.until_eof:
            nursery.start_soon(_until_eof, nursery.cancel_scope)
        if options.json:
            nursery.start_soon(_tell_progress, network)
        if options.seconds is not None:
            nursery.cancel_scope.deadline = trio.current_time() + options.seconds
        await network.run()


async def _until_told(scope: trio.CancelScope) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            scope.cancel()


async def _until_eof(scope: trio.CancelScope) -> None:
    async with trio.lowlevel.FdStream(sys.stdin.fileno()) as stream:
        while await stream.receive_some():
            pass
    scope.cancel()


async def _tell_progress(network: Network) -> None:
    while True:
        await trio.sleep(1)
        ledger = network.ledger
        _say(
            {"event": "progress", "recall": round(ledger.recall, 5), "packets_received": ledger.received, "connections": ledger.connections}
        )


if __name__ == "__main__":
    sys.exit(main())
