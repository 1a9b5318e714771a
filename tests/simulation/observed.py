"""A program that talks to itself over TCP and looks at its own packets, as somebody on the way does. It needs a network namespace.

    unshare --map-root-user --net sh -c 'ip link set lo up; python -m tests.simulation.observed constant busy 20'

It prints the packets with data of the side that has dialled, from when the session runs: [[time in seconds, bytes], ...].
"""

import json
import os
import random
import socket
import struct
import sys
import threading

import trio

from devp2p import Channel, Limits, Peer, PrivateKey, Shaping, open_node
from tests.chat import Blob, Chat, ChatMessage, Say, chat

SHAPINGS = {
    "off": Shaping(),
    "buckets": Shaping.buckets(),
    "cells": Shaping.cells(1024),
    "paced": Shaping.paced(51_200, 1024, gap=0.02),
    "constant": Shaping.constant(51_200, cell=1024),
}
_OUTGOING = 4  # PACKET_OUTGOING: on the loopback interface each packet is there twice
_ETHERNET, _ALL_PROTOCOLS, _TIMESTAMP = 14, 3, 35  # SO_TIMESTAMPNS


class Observer(threading.Thread):
    """Looks at all packets of the loopback interface."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL_PROTOCOLS))
        self._socket.bind(("lo", 0))
        self._socket.setsockopt(socket.SOL_SOCKET, _TIMESTAMP, 1)
        self.seen: list[tuple[float, int, int]] = []
        """(time, source port, bytes of data) of each."""

    def run(self) -> None:
        while True:
            packet, ancillary, _, address = self._socket.recvmsg(128, 128)
            if address[2] != _OUTGOING or packet[_ETHERNET] >> 4 != 4 or packet[_ETHERNET + 9] != socket.IPPROTO_TCP:
                continue
            seconds, nanoseconds = struct.unpack("ll", ancillary[0][2][:16])
            start = _ETHERNET + (packet[_ETHERNET] & 15) * 4
            total = int.from_bytes(packet[_ETHERNET + 2 : _ETHERNET + 4])
            size = total - (start - _ETHERNET) - (packet[start + 12] >> 4) * 4
            if size > 0:
                self.seen.append((seconds + nanoseconds / 1e9, int.from_bytes(packet[start : start + 2]), size))


async def babble(peer: Peer, channel: Channel[ChatMessage]) -> None:  # noqa: ARG001
    """Say things of many sizes, with pauses."""
    chance = random.Random(7)
    while True:
        for _ in range(chance.randrange(20)):
            await channel.send(Blob(os.urandom(chance.randrange(3000))))
        await trio.sleep(chance.random())


async def say_little(peer: Peer, channel: Channel[ChatMessage]) -> None:  # noqa: ARG001
    """Say so little that cover goes on."""
    while True:
        await channel.send(Say("nothing new"))
        await trio.sleep(3)


async def main(shaping: Shaping, *, busy: bool, seconds: float) -> None:
    observer = Observer()
    observer.start()
    limits = Limits(ping_interval=2.0)
    speaking = chat(babble if busy else say_little)
    async with (
        open_node(PrivateKey.generate(), [Chat()], listen=["tcp://127.0.0.1:0"], limits=limits) as other,
        open_node(PrivateKey.generate(), [speaking], limits=limits, shaping=shaping) as one,
    ):
        await one.connect(other.record)
        port = other.addresses[0].port
        await trio.sleep(0.2)  # the Hellos, and what goes with them
        start = len(observer.seen)
        await trio.sleep(seconds)
        seen = [(now, size) for now, source, size in observer.seen[start:] if source != port]
    sys.stdout.write(json.dumps(seen))


if __name__ == "__main__":
    trio.run(lambda: main(SHAPINGS[sys.argv[1]], busy=sys.argv[2] == "busy", seconds=float(sys.argv[3])))
