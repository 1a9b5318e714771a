"""Groupwise: a group of nodes that keeps a table together, each value where the node-ID is nearest to its key.

Whoever is asked for a key passes the question on to the member that is nearest to it, unless that is itself; and a new member is handed
what it is nearest to. Terminals show it, each of which names all that were there before:

    python examples/group.py
    python examples/group.py enode://... colour=blue
    python examples/group.py enode://... enode://... colour
"""

import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated

import trio

import devp2p
from devp2p import Capability, Channel, NodeId, Peer, PeerDisconnected, Request, Response, keccak256
from devp2p.rlp import Bytes32, MaxLength

Value = Annotated[bytes, MaxLength(1024)]


@dataclass(frozen=True)
class Put(Request["Answer"]):
    key: Bytes32
    value: Value


@dataclass(frozen=True)
class Get(Request["Answer"]):
    key: Bytes32


@dataclass(frozen=True)
class Answer(Response):
    value: Value
    holder: Bytes32  # the node-ID of the member that keeps it


GroupMessage = Put | Get | Answer


class Group(Capability[GroupMessage]):
    name, version = "group", 1
    messages = {0x00: Put, 0x01: Get, 0x02: Answer}
    ready_within = 5.0

    def __init__(self, own: NodeId) -> None:
        self.values: dict[bytes, bytes] = {}
        self._own = own
        self._members: dict[NodeId, Channel[GroupMessage]] = {}

    async def run(self, peer: Peer, channel: Channel[GroupMessage]) -> None:
        self._members[peer.id] = channel
        channel.ready(channel)  # it is a member from now on
        at_once = trio.Semaphore(16)  # no member may have more questions under way
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._hand_over, peer.id, channel)
                async for message in channel:
                    await at_once.acquire()
                    nursery.start_soon(self._serve, channel, message, at_once)
        finally:
            del self._members[peer.id]

    async def ask(self, question: Put | Get) -> Answer:
        """Have a value kept or found, by the member that is nearest to its key."""
        nearest = min([self._own, *self._members], key=lambda one: distance(one, question.key))
        if nearest != self._own:
            member = self._members[nearest]
            answer = await member.request(question)
            member.conduct.useful(1, "kept or found a value")
            return answer
        if isinstance(question, Put) and (question.key in self.values or len(self.values) < 4096):
            self.values[question.key] = question.value
        return Answer(0, self.values.get(question.key, b""), bytes(self._own))

    async def _serve(self, channel: Channel[GroupMessage], message: GroupMessage, at_once: trio.Semaphore) -> None:
        with suppress(PeerDisconnected, trio.TooSlowError):  # the nearer member is gone: whoever asks us will ask again
            if isinstance(message, Put | Get):
                answer = await self.ask(message)
                await channel.send(Answer(message.request_id, answer.value, answer.holder))
        at_once.release()

    async def _hand_over(self, member: NodeId, channel: Channel[GroupMessage]) -> None:
        with suppress(PeerDisconnected, trio.TooSlowError):
            for key, value in [*self.values.items()]:
                if distance(member, key) < distance(self._own, key):
                    await channel.request(Put(key, value))


def distance(node: NodeId, key: bytes) -> int:
    return int.from_bytes(node) ^ int.from_bytes(key)


async def main() -> None:
    own = devp2p.PrivateKey.generate()
    group = Group(own.public_key.node_id)
    async with devp2p.open_node(own, [group], listen=["tcp://127.0.0.1:0"]) as node:
        print(f"listening at {node.enode}")
        for argument in sys.argv[1:]:
            try:
                if argument.startswith("enode:"):
                    peer = await node.connect(argument)
                    await peer.ready(Group)
                    continue
                name, equals, value = argument.partition("=")
                key = keccak256(name.encode())
                answer = await group.ask(Put(key, value.encode()) if equals else Get(key))
                print(f"{name} is {answer.value.decode()!r} at node {answer.holder.hex()[:8]}")
            except (ValueError, devp2p.DialError, PeerDisconnected, trio.TooSlowError) as error:  # no enode, nobody there, or no answer
                print(error)
        await trio.sleep_forever()


if __name__ == "__main__":
    try:
        trio.run(main)
    except* KeyboardInterrupt:
        pass  # Ctrl-C: every peer was told, and there is nothing to report
