"""Sessions over each transport, as applications have them: nodes, a capability with one typed message, and calls.

Modes: ``link-recv`` and ``link-send`` are a stream of messages, ``link-pong`` and ``link-ping`` a message there and back, ``link-idle`` a
node on which nothing happens, ``link-shake`` calls it again and again, ``link-crowd`` from many keys; ``link-relay`` is the relay between.
"""

import datetime as dt
import ipaddress
import math
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from devp2p import (
    Capability,
    Channel,
    DialError,
    DisconnectReason,
    Node,
    NodeRecord,
    Peer,
    PeerDisconnected,
    PrivateKey,
    call,
    local_node,
    open_node,
    run_session,
)
from devp2p.capabilities.relay import Relay, RelayLimits
from devp2p.capability import AnyCapability
from devp2p.transports import Transport
from tools.bench.endpoints.api import MAX_PEERS, Bench, Idle
from tools.bench.endpoints.basics import Blob, Options, emit, make_payload

STEP = 20
"""Sessions of a crowd between two reports."""
_GENEROUS = RelayLimits(circuit_time=0, circuit_bytes=0, circuits=MAX_PEERS, circuits_per_peer=MAX_PEERS, connect_rate=1e4)
_FEWEST = 3  # calls that make a figure, however long they take
_RETRY = 0.05  # seconds until a node that has no place at its relay yet is called again


class Echo(Capability[Blob]):
    """Sends back what comes, or plays with who does, and times it."""

    name, version = "bench", 1
    messages = {0: Blob}

    def __init__(self, options: Options) -> None:
        self.ended = trio.Event()
        self.report: dict[str, Any] = {}
        self._options = options

    async def run(self, peer: Peer, channel: Channel[Blob]) -> None:  # noqa: ARG002
        """One session."""
        with suppress(PeerDisconnected):
            await (self._play(channel) if self._options.target else self._answer(channel))
        self.ended.set()

    async def _answer(self, channel: Channel[Blob]) -> None:
        async for message in channel:
            await channel.send(message)

    async def _play(self, channel: Channel[Blob]) -> None:
        seconds, message = self._options.seconds, Blob(make_payload(self._options.size, "random"))
        count, begin, start = 0, 0.0, time.perf_counter()
        while (now := time.perf_counter()) < start + seconds:
            if not begin and now > start + seconds / 10:
                begin, count = now, 0
            await channel.send(message)
            await channel.receive()
            count += 1
        self.report = {"messages": count, "seconds": time.perf_counter() - (begin or start)}


@asynccontextmanager
async def node(options: Options, *capabilities: AnyCapability) -> AsyncGenerator[Node]:
    """A node that listens and says where, or one that dials."""
    relayed = (Relay(),) if options.relay else ()
    listen, transports = () if options.target else (_where(options),), _transports(options)
    key = PrivateKey.generate()
    async with open_node(key, (*relayed, *capabilities), listen=listen, transports=transports, max_peers=MAX_PEERS) as opened:
        if not options.target:
            emit({"listening": NodeRecord(key.public_key, opened.addresses).enode})
        yield opened


def _where(options: Options) -> str:
    if options.relay:
        return f"relay://{options.relay.partition('://')[2]}"
    return f"unix://{options.folder}/node.sock" if options.transport == "unix" else f"{options.transport}://127.0.0.1:0"


def _transports(options: Options) -> list[Transport] | None:
    """Those to open a node with; None for those that every node has."""
    if options.transport != "wss":
        return None
    from devp2p.transports.ws import WsTransport  # noqa: PLC0415  (its packages are not needed for the others)

    certificate, key = Path(options.folder) / "certificate.pem", Path(options.folder) / "key.pem"
    if options.target:
        return [WsTransport(authorities=certificate)]
    _certify(certificate, key)
    return [WsTransport(certificate=certificate, private_key=key)]


def _certify(certificate: Path, key: Path) -> None:
    """Write a certificate for the loopback address that vouches for itself."""
    made, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "benchmark")])
    builder = (
        x509.CertificateBuilder(name, name, made.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(made.public_key()), critical=False)
    )
    certificate.write_bytes(builder.sign(made, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    plain = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    key.write_bytes(made.private_bytes(*plain))


async def _connect(opened: Node, options: Options) -> Peer:
    """Connect to the target, which may still be waiting for its place at the relay."""
    while True:
        try:
            peer = await opened.connect(options.target)
        except DialError:
            if not options.relay:
                raise
            await trio.sleep(_RETRY)
        else:
            assert peer.link.transport == options.transport, peer.link  # noqa: S101  (of two processes of one program)
            return peer


async def stream(options: Options) -> dict[str, Any]:
    """``link-send`` and ``link-recv``."""
    bench = Bench(options)
    async with node(options, bench) as opened:
        peer = await _connect(opened, options) if options.target else None
        await bench.ended.wait()
        if peer is not None:
            await peer.wait_ended()
    return bench.sent if options.target else bench.meter.report()


async def echo(options: Options) -> dict[str, Any]:
    """``link-ping`` and ``link-pong``."""
    played = Echo(options)
    async with node(options, played) as opened:
        if options.target:
            await _connect(opened, options)
        await played.ended.wait()
    return played.report


async def idle(options: Options) -> dict[str, Any]:
    """``link-idle``: accept sessions on which nothing happens, until killed."""
    async with node(options, Idle()):
        await trio.sleep_forever()


async def relay(options: Options) -> dict[str, Any]:  # noqa: ARG001  (as all modes)
    """``link-relay``: be a relay that grants as much as anybody wants, until killed."""
    key = PrivateKey.generate()
    async with open_node(key, [Relay(serve=True, limits=_GENEROUS)], listen=["tcp://127.0.0.1:0"], max_peers=MAX_PEERS) as opened:
        emit({"listening": opened.enode})
        await trio.sleep_forever()


@asynccontextmanager
async def caller(options: Options, key: PrivateKey) -> AsyncGenerator[list[Transport] | None]:
    """The transports for calls with a key: those by a relay need a node that has a session with it."""
    if not options.relay:
        yield _transports(options)
        return
    own = Relay()
    async with open_node(key, [own, Idle()]) as opened:
        peer = await _connect(opened, options)
        peer.disconnect()
        await peer.wait_ended()
        yield list(own.transports(key))


async def shake(options: Options) -> dict[str, Any]:
    """``link-shake``: from dialling to Hello, again and again."""
    key = PrivateKey.generate()
    local, count, spent = local_node(key, [Idle()]), 0, 0.0
    async with caller(options, key) as transports:
        end = math.inf
        while count < _FEWEST or time.perf_counter() < end:
            begin = time.perf_counter()
            session = await call(options.record, local, transports)
            if end < math.inf:
                spent += time.perf_counter() - begin
                count += 1
            else:  # the first one imports what the transport needs
                end = time.perf_counter() + options.seconds
            await session.refuse(DisconnectReason.CLIENT_QUITTING)
    return {"messages": count, "seconds": spent}


async def crowd(options: Options) -> dict[str, Any]:
    """``link-crowd``: open ``--size`` sessions, each with a key of its own, and keep them until killed."""
    async with trio.open_nursery() as nursery:
        for number in range(1, options.size + 1):
            session = await call(options.record, local_node(PrivateKey.generate(), [Idle()]), _transports(options))
            nursery.start_soon(run_session, session)
            if number % STEP == 0:
                emit({"sessions": number})
                await trio.to_thread.run_sync(sys.stdin.readline)
        await trio.sleep_forever()
    raise AssertionError("it is killed")
