"""T40, T41 and T45: what somebody can do to a node by SSH before he has proved who he is."""

import random
from contextlib import suppress
from typing import Any

import asyncssh
import pytest
import trio
from asyncssh.constants import (
    MSG_IGNORE,
    MSG_USERAUTH_FAILURE,
    MSG_USERAUTH_REQUEST,
    MSG_USERAUTH_SUCCESS,
)
from asyncssh.packet import Boolean, String, UInt32

from devp2p import HandshakeError, PeerMismatch
from devp2p.transports import Connection
from devp2p.transports.ssh import SshTransport, connection, wire
from devp2p.transports.ssh.connection import OurServer
from devp2p.transports.ssh.keys import NODES, USER, node_key
from devp2p.transports.ssh.transport import SshLink
from devp2p.transports.ssh.wire import Wire
from tests.attacks.ssh_bent import AT, CALLER, MALLORY, NODE, Bent, pair, told

# T40


async def stand_between(monkeypatch: pytest.MonkeyPatch, expect: Any) -> tuple[list[bytes], BaseException | SshLink]:
    """Mallory answers a call that is meant for a node: what he learns of the caller, and what comes of it."""
    learned: list[bytes] = []

    async def learn(_: Any, username: str, key_data: bytes, *__: bytes) -> bool:
        assert username == USER
        learned.append(key_data)
        return False

    monkeypatch.setattr(OurServer, "validate_public_key", learn)
    ours, theirs = pair()
    results: list[Any] = []

    async def respond() -> None:
        with pytest.raises((HandshakeError, trio.BrokenResourceError)):
            await SshTransport(MALLORY).respond(theirs)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(respond)
        try:
            results.append(await SshTransport(CALLER).initiate(ours, AT, expect))
        except (HandshakeError, trio.BrokenResourceError) as error:
            results.append(error)
    return learned, results[0]


async def test_t40_who_stands_between_is_not_taken_for_the_node_and_does_not_learn_who_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    learned, result = await stand_between(monkeypatch, NODE.public_key)
    assert isinstance(result, PeerMismatch)
    assert bytes(MALLORY.public_key).hex() in str(result)
    assert learned == []


async def test_t40_control_who_expects_nobody_shows_himself(monkeypatch: pytest.MonkeyPatch) -> None:
    learned, _ = await stand_between(monkeypatch, None)
    assert bytes(CALLER.public_key) in learned[0]


# T41


def requests(session: bytes) -> list[bytes]:
    """Tries to be let in as the caller, or at all, without the caller's key."""

    def head(method: bytes, user: bytes = USER.encode()) -> bytes:
        return String(user) + String(b"ssh-connection") + String(method)

    def by_key(claimed: Any, signer: Any, user: bytes = USER.encode()) -> bytes:
        algorithm = claimed.algorithm
        text = head(b"publickey", user) + Boolean(True) + String(algorithm) + String(claimed.public_data)  # noqa: FBT003
        signed = String(session) + bytes([MSG_USERAUTH_REQUEST]) + text
        return text + String(signer.sign(signed, algorithm))

    caller, mallory = node_key(CALLER), node_key(MALLORY)
    another = asyncssh.generate_private_key("ecdsa-sha2-nistp384")
    return [
        head(b"none"),
        head(b"password") + Boolean(False) + String(b"secret"),  # noqa: FBT003
        head(b"keyboard-interactive") + String(b"") + String(b""),
        head(b"hostbased") + String(caller.algorithm) + String(caller.public_data) + String(b"h") + String(b"u") + String(b"s"),
        head(b"publickey") + Boolean(True) + String(NODES) + String(caller.public_data) + String(b"\0" * 70),  # noqa: FBT003
        by_key(caller, mallory),
        by_key(mallory, mallory, b"root"),
        by_key(another, another),
        head(b"publickey") + Boolean(True) + String(NODES) + String(mallory.public_data[:-1]) + String(b""),  # noqa: FBT003
    ]


class Trying(Bent):
    """Tries all of them, twice."""

    swallowed = frozenset({MSG_USERAUTH_FAILURE})

    def try_next_auth(self, *, next_method: bool = False) -> None:  # noqa: ARG002
        tries = requests(self._session_id)
        for text in [*tries, *tries]:
            self.send_packet(MSG_USERAUTH_REQUEST, text)


async def try_all() -> tuple[str, list[int], Any]:
    ours, theirs = pair()
    mallory = Wire(ours.stream, lambda loop, wire: Trying(loop, wire, SshTransport(MALLORY)._as_client, None))
    results: list[Any] = []

    async def respond() -> None:
        try:
            results.append(await SshTransport(NODE).respond(theirs))
        except (HandshakeError, trio.BrokenResourceError) as error:
            results.append(error)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(respond)
        try:
            await mallory.start()
        except (HandshakeError, trio.BrokenResourceError):
            pass
        finally:
            await mallory.aclose()
    if isinstance(results[0], SshLink):
        await results[0].aclose()
    return str(results[0]), told(mallory), results[0]


async def test_t41_nobody_is_let_in_without_the_signature_of_a_key_and_tries_are_counted() -> None:
    said, answers, _ = await try_all()
    assert said == "SSH: too many tries to be let in"
    assert MSG_USERAUTH_SUCCESS not in answers
    assert answers.count(MSG_USERAUTH_FAILURE) <= connection.TRIES


async def test_t41_control_without_a_look_at_the_signature_mallory_is_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    real = OurServer.validate_public_key

    async def believe(self: OurServer, username: str, key_data: bytes, msg: bytes, signature: bytes) -> bool:
        monkeypatch.setattr(asyncssh.ecdsa._ECKey, "verify", lambda *_: True)
        return await real(self, username, key_data, msg, signature)

    monkeypatch.setattr(OurServer, "validate_public_key", believe)
    _, _, link = await try_all()
    assert link.peer == CALLER.public_key


# T45


def ignored(size: int) -> bytes:
    """A packet without a cipher, of which nothing is to be thought."""
    payload = bytes([MSG_IGNORE]) + String(bytes(size))
    padding = -(5 + len(payload)) % 8 + 8
    return UInt32(1 + len(payload) + padding) + bytes([padding]) + payload + bytes(padding)


async def say(data: bytes) -> tuple[str, int]:
    """Say something to a node instead of a handshake; what came of it, and how much was taken."""
    ours, theirs = pair()
    node = Wire(theirs.stream, lambda loop, wire: OurServer(loop, wire, SshTransport(NODE)._as_server))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(swallow, ours)
        nursery.start_soon(send, ours, data)
        with pytest.raises((HandshakeError, trio.BrokenResourceError)) as caught:
            await node.start()
        nursery.cancel_scope.cancel()
    return str(caught.value), node.received


async def swallow(of: Connection) -> None:
    while await of.stream.receive_some():
        pass


async def send(to: Connection, data: bytes) -> None:
    with suppress(trio.BrokenResourceError):
        await to.stream.send_all(data)


BANNER = b"SSH-2.0-mallory\r\n"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"SSH-2.0-" + b"x" * 1_000_000, "Banner line too long"),
        (b"SSH-2.0-" + b"x" * 300 + b"\r\n", "Version too long"),
        (b"SSH-1.0-old\r\n", "Unsupported SSH version"),
        (b"SSH-2.0-\xff\r\n", "bytes that make no sense"),
        (BANNER + UInt32(1 << 30) + bytes(100_000), "Max packet size exceeded"),
        (BANNER + UInt32(20_000) + b"\x04\x14" + b"a," * 40_000, ""),
        (BANNER + ignored(1000) * 1000, "more than 65536 bytes without a proof"),
        (BANNER, "no proof, or no new keys, within 30 s"),
        (b"S", "no proof, or no new keys, within 30 s"),
    ],
    ids=["banner", "version", "old", "no text", "size", "names", "ignored", "silence", "a letter"],
)
async def test_t45_who_proves_nothing_is_heard_for_64_kib_and_30_s(data: bytes, said: str) -> None:
    error, received = await say(data)
    assert said in error
    assert received <= wire.UNPROVED + 8 * 1024


async def test_t45_random_bytes_raise_nothing_else() -> None:
    rng = random.Random(45)
    for _ in range(30):
        await say(BANNER + UInt32(rng.choice([12, 28, 60, 1000])) + rng.randbytes(1100))


async def test_t45_control_without_the_bound_ten_times_as_much_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "UNPROVED", 1 << 40)
    _, received = await say(BANNER + ignored(1000) * 1000)
    assert received > 10 * 64 * 1024
