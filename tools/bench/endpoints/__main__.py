"""The command line of a measured process."""

import argparse
import cProfile
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import trio

from devp2p.allocator import keep_freed_memory
from tools.bench.endpoints import api, bare, crowd, discovery, dpx, qos, slow, transports
from tools.bench.endpoints.basics import Options, emit

MODES: dict[str, Callable[[Options], Awaitable[dict[str, Any]]]] = {
    "rlpx-recv": bare.receive,
    "rlpx-send": bare.send,
    "rlpx-handshake": bare.handshake,
    "dpx-recv": dpx.receive,
    "dpx-send": dpx.send,
    "dpx-handshake": dpx.handshake,
    "dpx-resume": dpx.handshake,
    "socket-recv": dpx.receive_bytes,
    "socket-send": dpx.send_bytes,
    "aead-seal": dpx.seal_bytes,
    "api-recv": api.stream,
    "api-send": api.stream,
    "dpxapi-recv": api.stream,
    "dpxapi-send": api.stream,
    "qos-serve": qos.serve,
    "qos-play": qos.play,
    "dpxqos-serve": qos.serve,
    "dpxqos-play": qos.play,
    "dpxqos-slow": slow.one_way,
    "dpxshare-recv": qos.share,
    "dpxshare-send": qos.share,
    "share-recv": qos.share,
    "share-send": qos.share,
    "idle-serve": api.idle,
    "idle-dial": crowd.dial,
    "link-recv": transports.stream,
    "link-send": transports.stream,
    "link-pong": transports.echo,
    "link-ping": transports.echo,
    "link-idle": transports.idle,
    "link-shake": transports.shake,
    "link-crowd": transports.crowd,
    "link-relay": transports.relay,
    "discv4-encode": discovery.encode_v4,
    "discv4-decode": discovery.decode_v4,
    "discv4-pairs": discovery.pairs_v4,
    "discv5-encode": discovery.encode_v5,
    "discv5-decode": discovery.decode_v5,
    "discv5-handshake": discovery.handshake_v5,
    "discv5-pairs": discovery.pairs_v5,
    "discovery-tables": discovery.fill_tables,
}


def parse() -> Options:
    """Read the command line, which is also that of tools/bench/geth (but for ``--steps``) or golibp2p and pylibp2p."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench.endpoints")
    parser.add_argument("mode", choices=MODES)
    parser.add_argument("--size", type=int, default=32, help="bytes of payload in a message; for idle-dial, sessions")
    parser.add_argument("--seconds", type=float, default=0.5, help="how long to send or play; with --stall, to wait for a pong")
    parser.add_argument("--payload", choices=("random", "pattern"), default="random")
    parser.add_argument("--snappy", action="store_true", help="compress (bare level; the API always does)")
    parser.add_argument("--target", default="", help="enode of the other side; empty: listen")
    parser.add_argument("--beside", type=int, default=0, help="size of the messages to send beside ping-pong; 0: none")
    parser.add_argument("--stall", action="store_true", help="never read what is sent beside ping-pong")
    parser.add_argument("--flows", default="", help="name:size:weight of each capability that floods, comma-separated")
    parser.add_argument("--steps", action="store_true", help="time the steps of the loop")
    parser.add_argument("--transport", default="tcp", help="link-: the scheme of the transport")
    parser.add_argument("--relay", default="", help="link-: enode of the relay between")
    parser.add_argument("--folder", default="", help="link-: where both sides find a certificate, or a socket")
    return Options(**vars(parser.parse_args()))


def main() -> None:
    """Do what the mode says; DEVP2P_BENCH_PROFILE=directory leaves a profile for `pstats` there."""
    options = parse()
    crowd.raise_file_limit()
    keep_freed_memory()  # as `devp2p node` does
    directory = os.environ.get("DEVP2P_BENCH_PROFILE")
    if directory is None:
        report = trio.run(MODES[options.mode], options)
    else:
        profile = cProfile.Profile()
        report = profile.runcall(trio.run, MODES[options.mode], options)
        profile.dump_stats(Path(directory) / f"{options.mode}-{options.size}.pstats")
    emit(report)


if __name__ == "__main__":
    main()
