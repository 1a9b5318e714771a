"""A whole capability: a chat that can also tell the time.

Two terminals show it. The first prints its enode, which the second dials:

    python examples/chat.py
    python examples/chat.py enode://...
"""

import sys
import time
from contextlib import suppress
from dataclasses import dataclass

import trio

import devp2p
from devp2p import Capability, Channel, Peer, Request, Response


@dataclass(frozen=True)
class Say:
    text: str


@dataclass(frozen=True)
class GetTime(Request["Time"]):
    zone: str


@dataclass(frozen=True)
class Time(Response):
    seconds: int


ChatMessage = Say | GetTime | Time


class Chat(Capability[ChatMessage]):
    name, version = "chat", 1
    messages = {0x00: Say, 0x01: GetTime, 0x02: Time}
    urgent = {Time}  # may overtake; everything else stays in order

    async def run(self, peer: Peer, channel: Channel[ChatMessage]) -> None:
        await channel.send(Say("hello"))
        async for message in channel:
            match message:
                case Say(text):
                    print(f"{peer.client_id}: {text}")
                    channel.conduct.useful(1, f"spoke: {text}")
                case GetTime(zone, request_id=number):
                    await channel.send(Time(number, int(time.time()) if zone == "utc" else 0))


async def main() -> None:
    key = devp2p.PrivateKey.generate()
    async with devp2p.open_node(key, [Chat()], listen=["tcp://127.0.0.1:0"]) as node:
        print(f"listening at {node.enode}")
        for enode in sys.argv[1:]:
            try:
                await node.connect(enode)
            except (ValueError, devp2p.DialError) as error:  # it is no enode, or nobody answers there
                print(error)
        async for peer in node.peers(Chat):
            with suppress(devp2p.PeerDisconnected, trio.TooSlowError):  # it may leave, or not answer
                answer = await peer[Chat].request(GetTime("utc"))  # typed: Time
                print(f"{peer.client_id}: it is {answer.seconds} s past 1970 here")


if __name__ == "__main__":
    try:
        trio.run(main)
    except* KeyboardInterrupt:
        pass  # Ctrl-C: every peer was told, and there is nothing to report
