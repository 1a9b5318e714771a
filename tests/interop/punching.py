"""The programs of a laboratory for holes: a relay, and two nodes behind NATs that have a session through it.

    python -m tests.interop.punching relay KEY
    python -m tests.interop.punching called KEY SCHEME RELAY [--silent] [--port=PORT]
    python -m tests.interop.punching caller KEY SCHEME RELAY TARGET GO
    python -m tests.interop.punching filler KEY SCHEME RELAY TARGET...

KEY is a private key in hex, RELAY is ``KEY@HOST:PORT``, TARGET the public key of the node that is called, GO a
file that appears when the caller may exchange something. Each prints lines of JSON.
"""

import json
import random
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable

import trio

from devp2p import DialError, Limits, Node, NodeRecord, Peer, PrivateKey, open_node
from devp2p.capabilities.punch import Punch, PunchLimits
from devp2p.capabilities.punch.rounds import Round
from devp2p.capabilities.relay import Relay, RelayLimits
from tests.chat import Chat, GetTime, Say

PORT = 30303
LIMITS = PunchLimits(patience=1.5)


def tell(**what: object) -> None:
    sys.stdout.write(f"{json.dumps(what)}\n")
    sys.stdout.flush()


async def relay(key: str) -> None:
    """Serve, and tell how much has crossed."""
    server = Relay(serve=True, limits=RelayLimits(circuit_time=0, circuit_bytes=0))
    limits = Limits(inbound_retry=0.0)  # several nodes come from one NAT at once
    async with open_node(PrivateKey(bytes.fromhex(key)), [server], listen=[f"tcp://*:{PORT}"], limits=limits):
        while True:
            tell(reservations=server.relaying.reservations, circuits=server.relaying.circuits, bytes=server.relaying.relayed_bytes)
            await trio.sleep(0.1)


async def called(key: str, scheme: str, at: str, *options: str) -> None:
    """Be reached through the relay."""
    if "--silent" in options:

        async def only_wait(self: Round) -> None:
            with trio.move_on_after(LIMITS.patience):
                await self._successor.arrived()

        Round.respond = only_wait  # type: ignore[method-assign]
    port = next((option.partition("=")[2] for option in options if option.startswith("--port=")), str(PORT))
    capabilities = Relay(), Punch(limits=LIMITS, anywhere=True), Chat()
    async with open_node(PrivateKey(bytes.fromhex(key)), capabilities, listen=[f"{scheme}://*:{port}", f"relay://{at}"]) as node:
        async for event in node.events():
            tell(event=repr(event)[:300])


async def caller(key: str, scheme: str, at: str, target: str, go: str) -> None:
    """Call it, wait until nothing more is tried, and exchange something."""
    capabilities = Relay(), Punch(limits=LIMITS, anywhere=True), Chat()
    async with open_node(PrivateKey(bytes.fromhex(key)), capabilities, listen=[f"{scheme}://*:{PORT}"]) as node:
        peer = await _connected(node, f"relay://{target}@{at}")
        tell(began=peer.link.path)
        with trio.fail_after(30):
            while not any(isinstance(one, Punch) for one in peer.capabilities) or _is_trying(peer):  # noqa: ASYNC110
                await trio.sleep(0.05)
        await trio.sleep(1.0)  # until both have left the old link
        tell(marked=True)
        while not await trio.Path(go).exists():  # noqa: ASYNC110
            await trio.sleep(0.05)
        await peer[Chat].send(Say(random.Random(1).randbytes(250_000).hex()))  # the request waits behind it
        seconds = (await peer[Chat].request(GetTime("utc"))).seconds
        same = node.roster.get(peer.public_key) is peer
        tell(path=peer.link.path, transport=peer.link.transport, mux=peer.link.native_mux, same=same, answered=seconds == 3)
        await trio.sleep(0.5)


async def filler(key: str, scheme: str, at: str, *targets: str) -> None:
    """Fill places with candidates that are behind the relay, and tell by which transports they are connected."""

    async def candidates() -> AsyncGenerator[NodeRecord]:
        for target in targets:
            yield NodeRecord.parse(f"relay://{target}@{at}")

    capabilities = Relay(), Punch(limits=LIMITS, anywhere=True), Chat()
    listen = [f"{scheme}://*:{PORT}"]
    async with open_node(PrivateKey(bytes.fromhex(key)), capabilities, listen=listen, candidates=candidates()) as node:
        await _connected(node, f"enode://{at}")
        while True:
            wanted = [peer for peer in node.connected if bytes(peer.public_key).hex() in targets]
            tell(links=[peer.link.path.partition(" ")[0] for peer in wanted], since=[peer.since for peer in wanted])
            await trio.sleep(0.02)


def _is_trying(peer: Peer) -> bool:
    return any(isinstance(one, Punch) for one in peer.active)


async def _connected(node: Node, target: str) -> Peer:
    for _ in range(100):
        try:
            return await node.connect(target)
        except DialError as error:
            tell(not_yet=str(error)[-200:])
            await trio.sleep(0.2)
    raise AssertionError("the relay leads nowhere")


PROGRAMS: dict[str, Callable[..., Awaitable[None]]] = {"relay": relay, "called": called, "caller": caller, "filler": filler}

if __name__ == "__main__":
    trio.run(PROGRAMS[sys.argv[1]], *sys.argv[2:])
