"""The program of a child: one node that listens, dials whom it is told to dial, and talks with everybody it knows.

It speaks with its parent by lines of JSON (`tools.show.reports`) and ends when its stdin does, or by SIGTERM.
"""

import argparse
import os
import signal
import sys

import trio

import devp2p
from devp2p import DialError, DialFailed, Limits, Node, PeerConnected, PeerDropped, PeerReady, PeerRefused, PrivateKey
from devp2p.transports.tcp import TcpTransport
from devp2p.transports.unix import UnixTransport
from examples.bulk import Bulk
from examples.chat import Chat
from tools.show.echo import Echo
from tools.show.line import Line, MeasuredTransport
from tools.show.reports import Event, lines_of, read_line, write_line
from tools.show.traffic import Traffic, transport_of

_REPORT_EVERY = 0.5
_LIMITS = Limits(ping_interval=2.0)  # so that a short show sees some pings


def tell(event: Event) -> None:
    """Write an event for the parent."""
    print(write_line(event), flush=True)


async def run_node(options: argparse.Namespace) -> None:
    """Run the node until the parent says that it is enough."""
    line = Line(delay=options.delay)
    key = PrivateKey.generate()
    client_id = f"devp2p.py/{options.name}/v{devp2p.__version__}"
    transports = [MeasuredTransport(transport, line) for transport in (TcpTransport(), UnixTransport())]
    async with devp2p.open_node(
        key, [Chat(), Bulk(), Echo()], listen=options.listen, client_id=client_id, limits=_LIMITS, transports=transports
    ) as node:
        traffic = Traffic(node, options.pace)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_tell_events, node)
            nursery.start_soon(traffic.run)
            nursery.start_soon(_tell_reports, node, traffic, line)
            nursery.start_soon(_wait_for_signal, nursery.cancel_scope)
            tell(
                {
                    "event": "listening",
                    "id": node.record.id.hex(),
                    "client": client_id,
                    "pid": os.getpid(),
                    "enodes": [devp2p.NodeRecord(node.public_key, (address,)).enode for address in node.addresses],
                }
            )
            await _obey(node, nursery)
            nursery.cancel_scope.cancel()
        tell(traffic.tally.report(node, line).to_event())
    tell({"event": "stopped"})


async def _obey(node: Node, nursery: trio.Nursery) -> None:
    """Do what the parent says, until it says no more."""
    async with trio.lowlevel.FdStream(os.dup(sys.stdin.fileno())) as stdin:
        async for text in lines_of(stdin):
            match read_line(text):
                case {"cmd": "connect", "to": str(target)}:
                    nursery.start_soon(_dial, node, target)
                case {"cmd": "disconnect", "peer": str(identity)}:
                    for peer in node.connected:
                        if peer.id.hex() == identity:
                            peer.disconnect(detail="as the show wants it")
                case _:
                    pass


async def _dial(node: Node, target: str) -> None:
    try:
        await node.connect(target)
    except (DialError, ValueError) as error:
        tell({"event": "dialled", "to": target, "error": str(error)})
    else:
        tell({"event": "dialled", "to": target, "error": None})


async def _tell_events(node: Node) -> None:
    async for event in node.events():
        match event:
            case PeerConnected(peer):
                transport = transport_of(peer)
                tell(
                    {
                        "event": "connected",
                        "peer": peer.id.hex(),
                        "client": peer.client_id,
                        "inbound": peer.inbound,
                        "transport": transport,
                    }
                )
            case PeerDropped(peer, end):
                tell({"event": "dropped", "peer": peer.id.hex(), "reason": int(end.reason), "why": str(end), "by_remote": end.by_remote})
            case PeerRefused(address, error):
                tell({"event": "refused", "address": str(address), "why": str(error)})
            case PeerReady() | DialFailed():
                pass


async def _tell_reports(node: Node, traffic: Traffic, line: Line) -> None:
    while True:
        await trio.sleep(_REPORT_EVERY)
        tell(traffic.tally.report(node, line).to_event())


async def _wait_for_signal(scope: trio.CancelScope) -> None:
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        async for _ in signals:
            scope.cancel()


def main() -> None:
    """Parse the command line and run the node."""
    parser = argparse.ArgumentParser(description="One node of the demonstration; tools.show starts it.")
    parser.add_argument("--name", required=True)
    parser.add_argument("--listen", action="append", required=True, metavar="ADDRESS")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds by which each read is late")
    parser.add_argument("--pace", type=float, default=1.0, help="2 asks about twice as often")
    trio.run(run_node, parser.parse_args())


if __name__ == "__main__":
    main()
