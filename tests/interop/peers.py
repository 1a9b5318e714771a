"""Other clients as processes: commands in, events out, a line of JSON each (geth/README.md, and the header of ethereumjs/peer.mjs)."""

import json
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import trio

from devp2p import PublicKey

BUILT = Path(__file__).resolve().parents[2] / "build" / "interop"
TESTPEER = BUILT / "testpeer"
DPXPEER = BUILT / "dpxpeer"
TRANSPORTPEER = BUILT / "transportpeer"
DEVP2P = BUILT / "devp2p"
PEER_MJS = BUILT / "ethereumjs" / "peer.mjs"
RELAY_MJS = BUILT / "websocket" / "relay.mjs"

PATIENCE = 120.0  # seconds; on an idle machine everything that is waited for comes within one
_SHOWN = 30  # events in a failure's message
_CHUNK = 256 * 1024

Event = dict[str, Any]


class Program:
    """A running process. Each event can be waited for once, in any order."""

    def __init__(self, process: trio.Process) -> None:
        self._process = process
        self._log: list[Event] = []
        self._unseen: list[Event] = []
        self._news = trio.lowlevel.ParkingLot()
        self._ended = False
        self._sending = trio.Lock()

    async def read_events(self) -> None:
        """Gather events until the process closes its output."""
        assert self._process.stdout is not None
        line = bytearray()
        while data := await self._process.stdout.receive_some(_CHUNK):
            *whole, rest = data.split(b"\n")
            for part in whole:
                event = json.loads(line + part)
                line.clear()
                self._log.append(event)
                self._unseen.append(event)
            line += rest
            self._news.unpark_all()
        self._ended = True
        self._news.unpark_all()

    async def command(self, cmd: str, **fields: object) -> None:
        """Give a command."""
        assert self._process.stdin is not None
        async with self._sending:
            await self._process.stdin.send_all(json.dumps({"cmd": cmd, **fields}).encode() + b"\n")

    async def event(self, name: str, *, within: float = PATIENCE, **fields: object) -> Event:
        """Take the oldest event with that name and those fields, waiting for it."""
        wanted = {"event": name, **fields}
        with trio.move_on_after(within):
            while True:
                for index, event in enumerate(self._unseen):
                    if wanted.items() <= event.items():
                        return self._unseen.pop(index)
                if self._ended:
                    break
                await self._news.park()
        shown = "\n  ".join(str(event)[:500] for event in self._log[-_SHOWN:])
        raise AssertionError(f"no event {wanted} {'before the end' if self._ended else f'within {within:g} s'}, only\n  {shown}")

    def seen(self, name: str, **fields: object) -> list[Event]:
        """All events so far with that name and those fields."""
        wanted = {"event": name, **fields}
        return [event for event in self._log if wanted.items() <= event.items()]

    async def quit(self) -> None:
        """Let it end in its own way, as it does at the end of its input, and expect a good exit status."""
        assert self._process.stdin is not None
        with trio.fail_after(PATIENCE):
            await self._process.stdin.aclose()
            assert await self._process.wait() == 0


P = TypeVar("P", bound=Program)


class GethPeer(Program):
    """A node made of go-ethereum's p2p.Server."""

    id: str
    public_key: PublicKey
    enode: str

    async def sessions(self) -> list[Event]:
        """All sessions that it has now."""
        await self.command("peers")
        peers: list[Event] = (await self.event("peers"))["peers"]
        return peers


class EthereumJsPeer(Program):
    """A node made of @ethereumjs/devp2p."""

    public_key: PublicKey
    enode: str


@asynccontextmanager
async def geth_peer(*arguments: str) -> AsyncIterator[GethPeer]:
    """Run a go-ethereum peer with command-line `arguments`."""
    async with running(GethPeer, [str(TESTPEER), *arguments]) as peer:
        listening = await peer.event("listening")
        peer.id, peer.enode = listening["id"], listening["enode"]
        peer.public_key = PublicKey.from_bytes(bytes.fromhex(listening["pubkey"]))
        yield peer


class TransportPeer(Program):
    """A session of Go over a transport that a library of Go's carries (transports/README.md), which listens."""

    public_key: PublicKey
    address: str
    """Where it listens: HOST:PORT."""

    def enode(self, scheme: str) -> str:
        """It as a node of a transport."""
        return f"{scheme}://{bytes(self.public_key).hex()}@{self.address}"


@asynccontextmanager
async def transport_peer(transport: str, *arguments: str) -> AsyncIterator[TransportPeer]:
    """Let it listen, with command-line `arguments`."""
    async with running(TransportPeer, [str(TRANSPORTPEER), transport, "listen", *arguments]) as peer:
        listening = await peer.event("listening")
        peer.address = listening["address"]
        peer.public_key = PublicKey.from_bytes(bytes.fromhex(listening["pubkey"]))
        yield peer


async def transport_dial(transport: str, key: PublicKey, address: str, *arguments: str) -> list[Event]:
    """Let it dial a node at HOST:PORT and do what the `arguments` say, and return what it reports."""
    command = [str(TRANSPORTPEER), transport, "dial", "--peer", bytes(key).hex(), "--address", address, *arguments]
    with trio.fail_after(PATIENCE):
        done = await trio.run_process(command, capture_stdout=True, check=False)
    events: list[Event] = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, events
    return events


@asynccontextmanager
async def ethereumjs_peer(*arguments: str) -> AsyncIterator[EthereumJsPeer]:
    """Run an ethereumjs peer with command-line `arguments`."""
    async with running(EthereumJsPeer, ["node", str(PEER_MJS), *arguments]) as peer:
        listening = await peer.event("listening")
        peer.enode = listening["enode"]
        peer.public_key = PublicKey.from_bytes(bytes.fromhex(listening["pubkey"]))
        yield peer


@asynccontextmanager
async def websocket_relay(*arguments: str) -> AsyncIterator[tuple[Program, int]]:
    """Run a relay between TCP and WebSocket, and give the port at which it listens (websocket/relay.mjs)."""
    async with running(Program, ["node", str(RELAY_MJS), *arguments]) as relay:
        yield relay, (await relay.event("listening"))["port"]


@asynccontextmanager
async def running(kind: type[P], command: Sequence[str]) -> AsyncIterator[P]:
    """Run a program for the length of the block. It has to end well at the block's end, and is killed if the block fails."""
    async with trio.open_nursery() as nursery:
        run = partial(trio.run_process, command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, check=False, deliver_cancel=_kill)
        program = kind(await nursery.start(run))
        nursery.start_soon(program.read_events)
        try:
            yield program
            await program.quit()
        finally:
            nursery.cancel_scope.cancel()


async def _kill(process: trio.Process) -> None:
    process.kill()
    await trio.lowlevel.checkpoint()
