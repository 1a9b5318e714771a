"""The program of a child: two nodes over loopback TCP, and the slow line between them.

It speaks with its parent by lines of JSON. It writes ``ready`` once the nodes are connected, begins when it reads ``go``, then writes a
``report`` ten times a second, and ends when its stdin does.
"""

import argparse
import os
import sys

import trio

import devp2p
from devp2p import Address, NodeRecord
from tools.show.qos.plan import LOAD, Load, Side
from tools.show.qos.relay import SlowLine, slow_line
from tools.show.qos.sharing import Diary, Flood, capabilities
from tools.show.reports import Event, lines_of, read_line, write_line

_REPORT_EVERY = 0.1


def tell(event: Event) -> None:
    """Write an event for the parent."""
    print(write_line(event), flush=True)


async def run_pair(side: Side, load: Load) -> None:
    """Run both nodes until the parent says that it is enough."""
    diary, dpx = Diary(load), side is Side.DPX
    async with (
        devp2p.open_node(devp2p.PrivateKey.generate(), capabilities(diary), listen=["tcp://127.0.0.1:0"], dpx=dpx) as target,
        slow_line(target.addresses[0].port or 0, load.rate) as line,
        devp2p.open_node(devp2p.PrivateKey.generate(), capabilities(diary), dpx=dpx) as player,
    ):
        peer = await player.connect(NodeRecord(target.public_key, (Address("tcp", "127.0.0.1", line.port),)))
        await peer.ready(Flood)
        tell({"event": "ready", "profile": str(peer.profile)})
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_report, diary, line)
            async with trio.lowlevel.FdStream(os.dup(sys.stdin.fileno())) as stdin:
                async for text in lines_of(stdin):
                    if read_line(text) == {"cmd": "go"}:
                        diary.begin()
            _tell_report(diary, line)
            nursery.cancel_scope.cancel()


async def _report(diary: Diary, line: SlowLine) -> None:
    await diary.go.wait()
    while True:
        await trio.sleep(_REPORT_EVERY)
        _tell_report(diary, line)


def _tell_report(diary: Diary, line: SlowLine) -> None:
    """What there is to tell: answers since the report before, all else since the beginning."""
    answers, diary.answers = diary.answers, []
    tell(
        {
            "event": "report",
            "at": diary.now,
            "answers": answers,
            "open": list(diary.open),
            "floods": diary.floods,
            "flood_bytes": diary.flood_bytes,
            "bulk_bytes": diary.bulk_bytes,
            "carried": line.carried.there,
        }
    )


def main() -> None:
    """Parse the command line and run the nodes."""
    parser = argparse.ArgumentParser(description="One side of the demonstration of dpx/1; tools.show --qos starts it.")
    parser.add_argument("--side", type=Side, choices=list(Side), required=True)
    options = parser.parse_args()
    trio.run(run_pair, options.side, LOAD)


if __name__ == "__main__":
    main()
