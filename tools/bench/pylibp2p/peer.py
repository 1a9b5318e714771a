"""py-libp2p's side of the benchmarks of transports: the modes and the command line of tools/bench/endpoints/transports.py.

It runs as a script in an environment of its own (requirements/libp2p.txt), where nothing of this project is installed. A message is so many
bytes of a stream, with nothing around them: both sides know the size.
"""

import argparse
import json
import logging
import math
import os
import resource
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import trio

PROTOCOL = "/bench/1"
STEP = 20  # sessions of a crowd between two reports
_CHUNK = 2**16
_FEWEST = 3  # connections that make a figure, however long they take


@dataclass(frozen=True)
class Options:
    """The command line."""

    mode: str
    transport: str
    target: str
    size: int
    seconds: float


def emit(report: dict[str, Any]) -> None:
    """Write a line for the process that started this one."""
    sys.stdout.write(json.dumps(report) + "\n")
    sys.stdout.flush()


@asynccontextmanager
async def host(options: Options) -> AsyncGenerator[Any]:
    """A host of one transport, which listens if there is no target: TCP with Noise and Yamux, as libp2p has it by default, or QUIC."""
    libp2p: Any = import_module("libp2p")  # without types here, as it is not installed beside this project
    make_address: Any = import_module("multiaddr").Multiaddr
    config: Any = import_module("libp2p.network.config").ConnectionConfig
    where = "/ip4/127.0.0.1/udp/0/quic-v1" if options.transport == "quic" else "/ip4/127.0.0.1/tcp/0"
    listen = [] if options.target else [make_address(where)]
    noise: Any = import_module("libp2p.security.noise.transport")
    pair = libp2p.generate_new_ed25519_identity()
    x25519: Any = import_module("libp2p.crypto.x25519").create_new_key_pair
    security = {noise.PROTOCOL_ID: noise.Transport(libp2p_keypair=pair, noise_privkey=x25519().private_key)}
    quic = {"enable_quic": True} if options.transport == "quic" else {"connection_config": config(max_connections=2000)}
    made: Any = libp2p.new_host(key_pair=pair, sec_opt=security, muxer_preference="YAMUX", listen_addrs=listen or None, **quic)
    async with made.run(listen_addrs=listen):
        yield made


def target_of(options: Options) -> Any:  # noqa: ANN401  (see `host`)
    """The other side, as a PeerInfo."""
    return import_module("libp2p.peer.peerinfo").info_from_p2p_addr(import_module("multiaddr").Multiaddr(options.target))


async def read_exactly(stream: Any, size: int) -> bytes:  # noqa: ANN401  (see `host`)
    """The next `size` bytes."""
    parts: list[bytes] = []
    while size:
        data: bytes = await stream.read(min(size, _CHUNK))
        if not data:
            raise SystemExit("the stream has ended")
        parts.append(data)
        size -= len(data)
    return b"".join(parts)


async def serve(options: Options, handle: Callable[[Any], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
    """Listen, and handle the first stream that comes."""
    ended, reports = trio.Event(), list[dict[str, Any]]()

    async def on_stream(stream: Any) -> None:  # noqa: ANN401  (see `host`)
        try:
            reports.append(await handle(stream))
        finally:
            ended.set()

    async with host(options) as made:
        made.set_stream_handler(PROTOCOL, on_stream)
        emit({"listening": str(made.get_addrs()[0])})
        await ended.wait()
        emit(reports[0])
        os._exit(0)  # a host takes seconds to close


async def receive(options: Options) -> dict[str, Any]:
    """Take messages for a time: a QUIC stream of py-libp2p that has ended cannot be read to its end, so nobody waits for that."""

    async def handle(stream: Any) -> dict[str, Any]:  # noqa: ANN401  (see `host`)
        count, first, begin, last = 0, 0.0, 0.0, 0.0
        while last - first < options.seconds or not count:
            await read_exactly(stream, options.size)
            last = time.perf_counter()
            first = first or last
            if last - first < options.seconds / 5 or not begin:
                begin = last
            else:
                count += 1
        return {"messages": count, "seconds": last - begin}

    return await serve(options, handle)


async def send(options: Options) -> dict[str, Any]:
    """Send messages until killed."""
    async with host(options) as made:
        target = target_of(options)
        await made.connect(target)
        stream = await made.new_stream(target.peer_id, [PROTOCOL])
        payload = os.urandom(options.size)
        with suppress(Exception):  # the other side has measured enough
            while True:
                await stream.write(payload)
        os._exit(0)


async def pong(options: Options) -> dict[str, Any]:
    """Send back what comes."""

    async def handle(stream: Any) -> dict[str, Any]:  # noqa: ANN401  (see `host`)
        while True:
            await stream.write(await read_exactly(stream, options.size))

    return await serve(options, handle)


async def ping(options: Options) -> dict[str, Any]:
    """Send a message and wait for it, again and again."""
    async with host(options) as made:
        target = target_of(options)
        await made.connect(target)
        stream = await made.new_stream(target.peer_id, [PROTOCOL])
        message, count, begin = os.urandom(options.size), 0, time.perf_counter()
        while time.perf_counter() < begin + options.seconds:
            await stream.write(message)
            await read_exactly(stream, options.size)
            count += 1
        emit({"messages": count, "seconds": time.perf_counter() - begin})
        os._exit(0)


async def idle(options: Options) -> dict[str, Any]:
    """Accept streams on which nothing happens, until killed."""

    async def handle(stream: Any) -> None:  # noqa: ANN401, ARG001  (see `host`)
        await trio.sleep_forever()  # to read would end a QUIC stream, after a time of its own

    async with host(options) as made:
        made.set_stream_handler(PROTOCOL, handle)
        emit({"listening": str(made.get_addrs()[0])})
        await trio.sleep_forever()
    raise AssertionError("it is killed")


async def shake(options: Options) -> dict[str, Any]:
    """Connect again and again, and close each connection."""
    async with host(options) as made:
        target, count, spent, end = target_of(options), 0, 0.0, math.inf
        while count < _FEWEST or time.perf_counter() < end:
            begin = time.perf_counter()
            await made.connect(target)
            if end < math.inf:
                spent += time.perf_counter() - begin
                count += 1
            else:  # the first one imports what it needs
                end = time.perf_counter() + options.seconds
            await made.disconnect(target.peer_id)
        emit({"messages": count, "seconds": spent})
        os._exit(0)


async def crowd(options: Options) -> dict[str, Any]:
    """Open streams, each from a key of its own; say how many there are, and wait for a line after each few."""
    target, number = target_of(options), 0

    async def connect(task_status: trio.TaskStatus[None]) -> None:
        async with host(options) as made:
            await made.connect(target)
            await made.new_stream(target.peer_id, [PROTOCOL])
            task_status.started()
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        while number < options.size:
            await nursery.start(connect)
            number += 1
            if number % STEP == 0:
                emit({"sessions": number})
                await trio.to_thread.run_sync(sys.stdin.readline)
        await trio.sleep_forever()
    raise AssertionError("it is killed")


MODES = {
    "link-recv": receive,
    "link-send": send,
    "link-pong": pong,
    "link-ping": ping,
    "link-idle": idle,
    "link-shake": shake,
    "link-crowd": crowd,
}


def main() -> None:
    """Do what the mode says."""
    parser = argparse.ArgumentParser(prog="peer.py")
    parser.add_argument("mode", choices=MODES)
    parser.add_argument("--transport", choices=("tcp", "quic"), default="tcp")
    parser.add_argument("--target", default="", help="multiaddr of the other side; empty: listen")
    parser.add_argument("--size", type=int, default=32, help="bytes of a message; for link-crowd, sessions")
    parser.add_argument("--seconds", type=float, default=0.5, help="how long to send or play")
    options = Options(**vars(parser.parse_args()))
    logging.disable(logging.CRITICAL)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    trio.run(MODES[options.mode], options)


if __name__ == "__main__":
    main()
