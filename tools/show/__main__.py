"""``python -m tools.show``: the command line of the demonstration."""

import argparse
import errno
import os
import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tools.show.plan import FEWEST_NODES, MOST_NODES, Choice

if TYPE_CHECKING:
    from tools.show.qos.director import QosView

_NOBODY_WATCHES = {errno.EPIPE, errno.EIO}  # the reader of our output is gone, the terminal closed
_NO_RICH = "The live screen needs the package rich (pip install rich); here is text instead."
_OUT = Path("build/show")
_SECONDS, _QOS_SECONDS = 60.0, 20.0


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line; wrong ones end the program with status 2."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.show",
        description="Nodes of good, slow, useless and hostile conduct find each other by discovery, on this machine; a screen shows it.",
    )
    parser.add_argument("--json", action="store_true", help="no screen: events as lines of JSON, the last of which is the summary")
    parser.add_argument("--qos", action="store_true", help="another show: a slow line shared by stock RLPx, and by dpx/1, side by side")
    parser.add_argument("--nodes", type=int, default=30, metavar="N", help=f"{FEWEST_NODES} to {MOST_NODES} (default: 30)")
    parser.add_argument(
        "--seconds",
        type=float,
        metavar="S",
        help=f"how long to watch once all are connected (default: {_SECONDS:g}, or {_QOS_SECONDS:g})",
    )
    parser.add_argument("--seed", type=int, metavar="N", help="decides who behaves how (default: a new one each time, which is shown)")
    parser.add_argument("--pace", type=float, default=300.0, metavar="X", help="how many times faster observers judge peers (default: 300)")
    parser.add_argument(
        "--choice", type=Choice, choices=list(Choice), default=Choice.SLOTS, help="how observers choose their peers (default: slots)"
    )
    parser.add_argument("--no-go", dest="go", action="store_false", help="without a go-ethereum node")
    parser.add_argument("--no-crawl", dest="crawl", action="store_false", help="without a crawl of the network in the end")
    parser.add_argument("--out", type=Path, default=_OUT, metavar="DIR", help=f"where the plots go (default: {_OUT})")
    options = parser.parse_args(arguments)
    if not FEWEST_NODES <= options.nodes <= MOST_NODES:
        parser.error(f"--nodes is {FEWEST_NODES} to {MOST_NODES}")
    if options.seconds is None:
        options.seconds = _QOS_SECONDS if options.qos else _SECONDS
    if not 0.5 <= options.seconds <= 3600:
        parser.error("--seconds is 0.5 to 3600")
    if not 1 <= options.pace <= 600:
        parser.error("--pace is 1 to 600")
    if options.seed is None:
        options.seed = random.randrange(10_000)  # noqa: S311  (no secret)
    return options


def run(options: argparse.Namespace) -> int:
    """Choose what to show and how, and run it."""
    import trio  # noqa: PLC0415  (what takes time to import is imported where Ctrl-C is caught)

    if options.qos:
        from tools.show.qos.director import QosOptions, run_qos  # noqa: PLC0415

        return trio.run(run_qos, QosOptions(options.seconds, options.out), qos_view(json=options.json))

    from tools.show.director import Options, View, run_show  # noqa: PLC0415
    from tools.show.plain import JsonView, PlainView  # noqa: PLC0415

    view: View
    if options.json:
        view = JsonView()
    elif sys.stdout.isatty():
        try:
            from tools.show.screen import Screen  # noqa: PLC0415
        except ImportError:
            print(_NO_RICH)
            view = PlainView()
        else:
            view = Screen()
    else:
        view = PlainView()
    chosen = Options(options.nodes, options.seconds, options.seed, options.pace, options.go, options.out, options.choice, options.crawl)
    return trio.run(run_show, chosen, view)


def qos_view(*, json: bool) -> "QosView":
    """How to show `tools.show.qos`."""
    from tools.show.qos.plain import QosJson, QosPlain  # noqa: PLC0415

    if json:
        return QosJson()
    if not sys.stdout.isatty():
        return QosPlain()
    try:
        from tools.show.qos.screen import QosScreen  # noqa: PLC0415
    except ImportError:
        print(_NO_RICH)
        return QosPlain()
    return QosScreen()


def main() -> int:
    """Run the show; returns the exit status."""
    status = 1
    try:
        status = run(parse())
    except* KeyboardInterrupt:
        status = 0
    except* OSError as errors:
        if not all(error.errno in _NOBODY_WATCHES for error in errors.exceptions if isinstance(error, OSError)):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return status


if __name__ == "__main__":
    sys.exit(main())
