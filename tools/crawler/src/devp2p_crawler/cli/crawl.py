"""``devp2p-crawl crawl``: find the nodes of a network, ask each what it is, and write it all down."""

import argparse

from devp2p_crawler.cli.options import add_options, choose

SUMMARY = "map a network"
DESCRIPTION = """\
Find the nodes of a network by discovery v4 and v5, beginning with those that
you name, ask each what it is, and write every visit into one file. It ends
when everybody was visited, when its time is up, or at Ctrl-C.
On a terminal it shows a live screen, elsewhere lines of text; --json gives
lines for programs.
"""
EPILOG = """\
what --json prints:
  An object a line, whose "event" is begin (always the first), progress (one a
  second), message, lost (how many lines nobody read in time), or summary
  (always the last): found, alive, dialled, hellos, failed, packets_sent,
  recall_estimate with recall_low and recall_high, seconds, outcomes, clients,
  networks, and "ended", which is done, time or interrupted.
  A crawl waits for no reader: it goes on, and lines that do not fit are lost.

signals:
  Ctrl-C (SIGINT) and SIGTERM end it in order: all that was found is written,
  and `devp2p-crawl resume` goes on from there. The second one ends it at once;
  what was written until then is whole. SIGHUP rereads the opt-out list, where
  there is one.

examples:
  devp2p-crawl crawl --db mainnet.db --network mainnet --contact you@example.org
  devp2p-crawl crawl --db my.db --bootnode enode://<public key>@HOST:PORT --v4
  devp2p-crawl crawl --db my.db --input nodes.json --no-dial --for 600 --json
  devp2p-crawl crawl --config fleet.toml --metrics 9100 --dry-run

exit codes:
  0  it is over: done, out of time, or told to end
  1  the file, the address or the metrics could not be opened, or not all
     that was found could be written
  2  wrong options
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_options(parser)
    parser.set_defaults(run=_run)


def _run(flags: argparse.Namespace) -> int:
    choices = choose(flags)
    from devp2p_crawler.cli.running import crawl, prepare  # noqa: PLC0415  (--help, and wrong options, need not wait for it)

    return crawl(prepare(choices))
