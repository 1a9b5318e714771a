"""The program of a child: some of the nodes, in one trio loop.

The first worker has the bootnode, of which the others learn from the parent.
It speaks with its parent by lines of JSON (`tools.show.reports`) and ends when its stdin does, or by SIGTERM.
"""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import trio

from tools.show.actor import Actor, run_actor
from tools.show.plan import Choice, NodePlan, plan_nodes
from tools.show.reports import Event, lines_of, read_line, write_line

_REPORT_EVERY = 0.5
_SLOWER = 30.0
"""So many times slower than the observers live those whom nobody watches: else their dials and choices take most of the machine's time. At
the usual pace they would not knock again in a whole show where they were refused, and leave inbound places empty."""


def tell(name: str, event: Event) -> None:
    """Write an event of a node for the parent."""
    print(write_line({"node": name, **event}), flush=True)


async def run_worker(plans: Sequence[NodePlan], *, has_bootnode: bool, pace: float) -> None:
    """Run the nodes of some plans until the parent says that it is enough."""
    actors: list[Actor] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_wait_for_signal, nursery.cancel_scope)
        nursery.start_soon(_tell_reports, actors)
        if has_bootnode:
            await _start(plans[0], [], pace, actors, nursery)
        async with trio.lowlevel.FdStream(os.dup(sys.stdin.fileno())) as stdin:
            async for text in lines_of(stdin):
                match read_line(text):
                    case {"cmd": "begin", "bootnode": str(enr)}:
                        for plan in plans[has_bootnode:]:
                            nursery.start_soon(_start, plan, [enr], pace, actors, nursery)
                    case _:
                        pass
        _tell_all(actors)
        nursery.cancel_scope.cancel()


async def _start(plan: NodePlan, bootnodes: Sequence[str], pace: float, actors: list[Actor], nursery: trio.Nursery) -> None:
    try:
        own_pace = pace if plan.observer else max(1.0, pace / _SLOWER)
        actors.append(await nursery.start(run_actor, plan, bootnodes, own_pace, partial(tell, plan.name)))
    except OSError as error:
        tell(plan.name, {"event": "problem", "text": f"did not start: {error}"})


async def _tell_reports(actors: Sequence[Actor]) -> None:
    while True:
        await trio.sleep(_REPORT_EVERY)
        _tell_all(actors)


def _tell_all(actors: Sequence[Actor]) -> None:
    for actor in actors:
        tell(actor.plan.name, actor.report().to_event())


async def _wait_for_signal(scope: trio.CancelScope) -> None:
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        async for _ in signals:
            scope.cancel()


def main() -> None:
    """Parse the command line and run the nodes."""
    parser = argparse.ArgumentParser(description="Some nodes of the demonstration; tools.show starts it.")
    parser.add_argument("--nodes", type=int, required=True, help="how many there are in all workers")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--worker", type=int, required=True, help="which of the workers this is")
    parser.add_argument("--ipv6", action="store_true")
    parser.add_argument("--pace", type=float, default=1.0, help="how many times faster than usual peers are judged")
    parser.add_argument("--choice", type=Choice, default=Choice.SLOTS, help="how observers choose their peers")
    options = parser.parse_args()
    plans = plan_nodes(options.nodes, options.seed, ipv6=options.ipv6)
    own = [replace(plan, choice=options.choice if plan.observer else Choice.SLOTS) for plan in plans if plan.worker == options.worker]
    trio.run(partial(run_worker, own, has_bootnode=options.worker == 0, pace=options.pace))


if __name__ == "__main__":
    main()
