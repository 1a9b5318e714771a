"""Whether honest nodes get in while others knock without end: ``python -m tools.bench.knocks`` (Linux: all of 127.0.0.0/8 is this machine).

Three processes over loopback: a node that holds local addresses to the limits for strangers; whoever attacks it; and honest nodes, which
dial it one after the other, each from a network of its own, and give up after five seconds. Two attacks: links that say nothing, from
many networks (row H11 of THREATS.md), and further links of nodes that are connected already (row H10).
"""

import argparse
import resource
import selectors
import socket
import sys
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final

import trio

from devp2p import Address, Capability, Channel, Limits, NodeRecord, Peer, PeerDisconnected, PrivateKey, RemoteProtocolError, open_node
from devp2p.session import LocalNode, Session, local_node, open_session
from devp2p.transports import ByteLink
from tools.bench.endpoints.basics import Blob, emit
from tools.bench.figures import Row, percentile
from tools.bench.footprint import cpu_time, memory
from tools.bench.plan import Benchmark
from tools.bench.sides import BenchError, Process, Side

NAMES: Final = (
    "knocks/silent_honest",
    "knocks/silent_honest_p95",
    "knocks/silent_links",
    "knocks/silent_cpu",
    "knocks/silent_memory",
    "knocks/second_honest",
    "knocks/second_honest_p95",
)
OURS: Final = Side("devp2p", (sys.executable, "-m", "tools.bench.knocks"))

_PATIENCE = 60.0
_GIVING_UP = 5.0  # seconds after which an honest node has tried long enough
_STANDS = 0.3  # seconds after which a session is taken for one that stands
_HOSTS = 254  # of a /24
_MOST_NETWORKS = 20_000  # of 127.0.0.0/8, two hundred and fifty in each second byte
_HELD = 30.0  # seconds for which a silent link is held open, if the node lets it stand
_CONNECTED, _LINKS = 36, 600  # keys with a session, and the further links that they open
_HONEST_WHILE = 20  # honest nodes that dial meanwhile


@dataclass(frozen=True)
class Fate:
    """How the honest nodes fared."""

    took: list[float]
    """Milliseconds to a session, of those that got one."""
    tried: int

    @property
    def success(self) -> float:
        """Per cent that got in."""
        return 100 * len(self.took) / self.tried

    @property
    def p95(self) -> float:
        """Milliseconds; infinite if fewer than that got in."""
        every = sorted(self.took) + [float("inf")] * (self.tried - len(self.took))
        return percentile(every, 95)


class Quiet(Capability[Blob]):
    """Is shared, and does nothing."""

    name, version = "quiet", 1
    messages = {0: Blob}

    async def run(self, peer: Peer, channel: Channel[Blob]) -> None:  # noqa: ARG002
        """Stay."""
        await trio.sleep_forever()


async def be_the_node() -> None:
    """Listen, until the end of stdin."""
    limits = Limits(limit_local_addresses=True)
    async with open_node(PrivateKey.generate(), [Quiet()], listen=["tcp://127.0.0.1:0"], limits=limits, max_peers=400) as node:
        emit({"enode": node.enode})
        stdin = trio.lowlevel.FdStream(0)
        while await stdin.receive_some(1):
            pass


def raise_file_limit() -> int:
    """As many files as the system lets a process have."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


def be_silent(target: str, rate: float, networks: int) -> None:
    """Connect so many times a second, from each host of so many /24s in turn, and say nothing; tell how often when a line comes."""
    address = NodeRecord.parse(target).addresses[0]
    most = raise_file_limit() - 100
    links = deque[tuple[float, socket.socket]]()
    stdin = selectors.DefaultSelector()
    stdin.register(0, selectors.EVENT_READ)
    begun = time.perf_counter()
    emit({"flooding": True})
    for number in count():
        if number % 20 == 0:
            time.sleep(max(0.0, begun + number / rate - time.perf_counter()))
            if stdin.select(0):
                if not sys.stdin.readline():
                    return
                emit({"links": number})
        network, host = number % networks, 1 + number // networks % _HOSTS
        link = socket.socket()
        link.setblocking(False)  # noqa: FBT003  (positional only)
        link.bind((f"127.{1 + network // 250}.{network % 250}.{host}", 0))
        link.connect_ex((address.host, address.port or 0))
        links.append((time.perf_counter(), link))
        while len(links) > most or links[0][0] + _HELD < time.perf_counter():
            links.popleft()[1].close()


def as_node(key: PrivateKey) -> LocalNode:
    """Whoever has a key."""
    return local_node(key, [Quiet()], client_id="bench")


async def call(target: NodeRecord, local: LocalNode, host: str) -> Session:
    """Dial from an address of this machine, as far as to the Hellos; raises what `open_session` raises."""
    address = target.addresses[0]
    sock = trio.socket.socket()
    try:
        await sock.bind((host, 0))
        await sock.connect((address.host, address.port or 0))
    except BaseException:
        sock.close()
        raise
    link = ByteLink(trio.SocketStream(sock), local=Address("tcp", host, 0), remote=address, initiator=True)
    return await open_session(link, local, expect=target.public_key)


async def visit(target: NodeRecord, number: int, took: list[float]) -> None:
    """Be an honest node that wants a session, and has one if nobody ends it for a while."""
    local = as_node(PrivateKey.generate())
    began = trio.current_time()
    with trio.move_on_after(_GIVING_UP):
        try:
            session = await call(target, local, f"127.{200 + number // 250}.{number % 250}.7")
            after = trio.current_time() - began
            with trio.move_on_after(_STANDS):
                await session.wait_farewell()
            await session.close()
        except (OSError, PeerDisconnected, RemoteProtocolError, trio.TooSlowError):
            return
        took.append(1000 * after)


async def be_honest(target: str, seconds: float, number: int) -> None:
    """So many honest nodes, evenly through so many seconds."""
    record, took = NodeRecord.parse(target), list[float]()
    async with trio.open_nursery() as nursery:
        for each in range(number):
            nursery.start_soon(visit, record, each, took)
            await trio.sleep(seconds / number)
    emit({"took": took, "tried": number})


async def be_connected(target: str, seconds: float) -> None:
    """Have sessions, then open further links under the same keys, each from a host of its own, as soon as a line comes."""
    record, hosts = NodeRecord.parse(target), count()
    nodes = [as_node(PrivateKey.generate()) for _ in range(_CONNECTED)]
    places = trio.CapacityLimiter(_LINKS)

    async def link(local: LocalNode) -> None:
        number = next(hosts)
        try:
            async with places:
                session = await call(record, local, f"127.{100 + number // 500}.{number // 2 % 250}.{6 + number % 2}")
                await session.wait_farewell()
        except (OSError, PeerDisconnected, RemoteProtocolError, trio.TooSlowError):
            pass

    async with trio.open_nursery() as nursery:
        for local in nodes:
            nursery.start_soon(link, local)
            await trio.sleep(0.02)
        emit({"connected": True})
        await trio.lowlevel.FdStream(0).receive_some(1)
        for number in range(_LINKS):
            nursery.start_soon(link, nodes[number % _CONNECTED])
            await trio.sleep(seconds / _LINKS)


def _fate(honest: Process, within: float) -> Fate:
    report = honest.line(within)
    return Fate(report["took"], report["tried"])


def silent_links(seconds: float, rate: float, networks: int) -> tuple[Fate, float, float, float]:
    """How honest nodes fare among silent links; how many of these came a second, the node's share of a core, and its growth in MiB."""
    with OURS.run("node") as node:
        enode = node.line(_PATIENCE)["enode"]
        before = memory(node.pid)
        with OURS.run("silent", "--target", enode, "--rate", str(rate), "--networks", str(networks)) as silent:
            silent.line(_PATIENCE)
            time.sleep(2.0)  # until the first stage is full
            silent.nudge()
            links, began, cpu = silent.line(_PATIENCE)["links"], time.perf_counter(), cpu_time(node.pid)
            with OURS.run("honest", "--target", enode, "--seconds", str(seconds), "--number", str(round(4 * seconds))) as honest:
                fate = _fate(honest, seconds + _PATIENCE)
            silent.nudge()
            passed = time.perf_counter() - began
            came = (silent.line(_PATIENCE)["links"] - links) / passed
            return fate, came, 100 * (cpu_time(node.pid) - cpu) / passed, (memory(node.pid) - before) / 1024


def second_links(seconds: float) -> Fate:
    """How honest nodes fare while connected ones open further links."""
    with OURS.run("node") as node:
        enode = node.line(_PATIENCE)["enode"]
        with OURS.run("connected", "--target", enode, "--seconds", str(seconds)) as connected:
            connected.line(_PATIENCE)
            connected.nudge()
            with OURS.run("honest", "--target", enode, "--seconds", str(seconds), "--number", str(_HONEST_WHILE)) as honest:
                return _fate(honest, seconds + _PATIENCE)


def rows(seconds: float = 30.0, rate: float = 2000.0, networks: int = 300) -> list[Row]:
    """What rows H10 and H11 of THREATS.md promise."""
    if not Path("/proc/self/status").exists():
        raise BenchError("the links come from many addresses of 127.0.0.0/8, and that is this machine on Linux only")
    silent, links, cpu, growth = silent_links(seconds, rate, networks)
    second = second_links(10.0)
    figures = (
        (silent.success, "%"),
        (silent.p95, "ms"),
        (links, "1/s"),
        (cpu, "% of a core"),
        (growth, "MiB"),
        (second.success, "%"),
        (second.p95, "ms"),
    )
    return [Row(name, value, None, unit, None, None) for name, (value, unit) in zip(NAMES, figures, strict=True)]


def benchmarks() -> Iterable[Benchmark]:
    """Both attacks, which take most of a minute."""
    yield Benchmark(NAMES, lambda plan: rows(plan.seconds(30.0, 5.0)), variant=True)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line; wrong ones end the program with status 2."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench.knocks", description="Honest nodes among those that knock without end.")
    parser.add_argument(
        "job",
        nargs="?",
        choices=("all", "node", "silent", "connected", "honest"),
        default="all",
        help="the others are for `all` to start",
    )
    parser.add_argument("--seconds", type=float, default=30.0, help="how long silent links come (default: 30)")
    parser.add_argument("--rate", type=float, default=2000.0, help="silent links a second (default: 2000)")
    parser.add_argument("--networks", type=int, default=300, help="the /24s that they come from (default: 300)")
    parser.add_argument("--number", type=int, default=_HONEST_WHILE, help=argparse.SUPPRESS)
    parser.add_argument("--target", default="", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if not 1 <= options.seconds <= 3600:
        parser.error("--seconds is 1 to 3600")
    if not 1 <= options.rate <= 1_000_000:
        parser.error("--rate is 1 to 1000000")
    if not 1 <= options.networks <= _MOST_NETWORKS:
        parser.error(f"--networks is 1 to {_MOST_NETWORKS}")
    if options.job in {"silent", "connected", "honest"} and not options.target:
        parser.error(f"{options.job} needs the node: --target enode://...")
    return options


def main(arguments: list[str] | None = None) -> None:
    """The command."""
    options = parse(arguments)
    if options.job == "node":
        trio.run(be_the_node)
    elif options.job == "silent":
        be_silent(options.target, options.rate, options.networks)
    elif options.job == "connected":
        trio.run(be_connected, options.target, options.seconds)
    elif options.job == "honest":
        trio.run(be_honest, options.target, options.seconds, options.number)
    else:
        for row in rows(options.seconds, options.rate, options.networks):
            print(f"{row.name:30} {row.ours:10.1f} {row.unit}")


if __name__ == "__main__":
    main()
