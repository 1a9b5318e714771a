"""What strangers may try on TLS: their word for somebody else, other protocols, handshakes without end, floods of new keys.

They are made of the library's own TLS, with its checks left out.
"""

import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, cast

import pytest
import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from OpenSSL import SSL, crypto
from trio.testing import memory_stream_pair

from devp2p import Address, HandshakeError, PeerMismatch, PrivateKey, PublicKey
from devp2p.transports import ByteLink, Connection, Link, tls
from devp2p.transports.certificates import NodeCertificate, certificate_for
from devp2p.transports.tls import TlsTransport

NODE, CALLER, MALLORY = PrivateKey(b"\1" * 32), PrivateKey(b"\2" * 32), PrivateKey(b"\3" * 32)
AT = Address("tls", "127.0.0.1", 30303)
Stream = trio.StapledStream[Any, Any]


class Stranger(tls._Engine):
    """One side of TLS that takes whatever it is shown, and remembers whom it was shown."""

    shown: tuple[bytes, ...] = ()

    def __init__(self, context: SSL.Context, *, server_side: bool) -> None:
        super().__init__(context, lambda _: None, server_side=server_side)

    def judge(self, certificate: crypto.X509, depth: int) -> bool:
        self.shown += (crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate),) if depth == 0 else ()
        return True

    def do_handshake(self) -> None:
        self._run(self._connection.do_handshake)
        self._drain()

    def select(self, offered: list[bytes]) -> bytes:
        return offered[0]


class Lax(Stranger):
    """The same in the place of ours: a control."""

    def do_handshake(self) -> None:
        super().do_handshake()
        self.peer = self.peer or MALLORY.public_key


def context_of(certificate: NodeCertificate | None, protocols: list[bytes] | None = None) -> SSL.Context:
    """What a stranger offers."""
    made = SSL.Context(SSL.TLS_METHOD)
    made.set_min_proto_version(SSL.TLS1_3_VERSION)
    if certificate is not None:
        made.use_certificate(certificate.certificate)
        made.use_privatekey(certificate.key)
    if protocols is None or protocols:
        made.set_alpn_protos(protocols or [tls.ALPN])
    made.set_alpn_select_callback(lambda connection, offered: cast("Stranger", connection.get_app_data()).select(offered))
    made.set_verify(SSL.VERIFY_PEER, lambda connection, found, _error, depth, _ok: connection.get_app_data().judge(found, depth))
    return made


class Meeting:
    """A node of ours and a stranger, on a stream each."""

    def __init__(self, ours: Stream, theirs: Stream) -> None:
        self.stream = theirs
        self.connection = Connection(ours, AT, replace(AT, port=4))
        self.link: Link | None = None
        self.error: Exception | None = None

    async def respond(self) -> None:
        """We are called."""
        await self._do(TlsTransport(NODE).respond(self.connection))

    async def initiate(self, expect: PublicKey | None) -> None:
        """We call."""
        await self._do(TlsTransport(CALLER).initiate(self.connection, AT, expect))

    async def _do(self, handshake: Any) -> None:
        try:
            self.link = await handshake
        except Exception as error:  # noqa: BLE001  (tests look at it)
            self.error = error
            await trio.aclose_forcefully(self.connection.stream)

    async def stranger(self, engine: Stranger) -> "trio.SSLStream[Any]":
        """The stranger's handshake, as far as it comes."""
        stream = trio.SSLStream(self.stream, cast("ssl.SSLContext", engine), server_side=engine.server_side)
        try:
            await stream.do_handshake()
            with trio.move_on_after(0.05):
                await stream.receive_some()
        except trio.BrokenResourceError:
            pass
        return stream


async def called_by(context: SSL.Context) -> Meeting:
    """A node of ours that a stranger has called."""
    met = Meeting(*memory_stream_pair())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(met.respond)
        await met.stranger(Stranger(context, server_side=False))
    return met


async def calling(context: SSL.Context, expect: PublicKey | None) -> tuple[Meeting, Stranger]:
    """A node of ours that has called a stranger, in the belief that `expect` is there."""
    met, engine = Meeting(*memory_stream_pair()), Stranger(context, server_side=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(met.initiate, expect)
        await met.stranger(engine)
    return met, engine


def forged(of: PrivateKey) -> NodeCertificate:
    """A certificate for a TLS key of one's own, with what a node has signed for its TLS key."""
    stolen = certificate_for(of).certificate.extensions[0].value
    key, name, now = ec.generate_private_key(ec.SECP256R1()), x509.Name([]), datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(7)
    builder = builder.not_valid_before(now - timedelta(1)).not_valid_after(now + timedelta(1)).add_extension(stolen, critical=True)
    return NodeCertificate(builder.sign(key, hashes.SHA256()), key, now)


async def test_t10_who_stands_between_is_not_taken_for_the_node_and_does_not_learn_who_calls():
    met, engine = await calling(context_of(certificate_for(MALLORY)), NODE.public_key)
    assert isinstance(met.error, PeerMismatch)
    assert bytes(MALLORY.public_key).hex() in str(met.error)
    assert engine.shown == ()


async def test_t10_control_who_expects_nobody_talks_to_him_and_shows_himself():
    met, engine = await calling(context_of(certificate_for(MALLORY)), None)
    assert met.link is not None
    assert met.link.peer == MALLORY.public_key
    assert len(set(engine.shown)) == 1


async def test_t11_what_a_node_has_signed_for_its_own_tls_key_is_of_no_use_to_another():
    met, _ = await calling(context_of(forged(NODE)), NODE.public_key)
    assert "has not signed" in str(met.error)
    met = await called_by(context_of(forged(CALLER)))
    assert "has not signed" in str(met.error)
    assert isinstance(met.error, HandshakeError)


async def test_t11_control_without_a_look_at_the_signature_it_is(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(PublicKey, "verify", lambda *_: True)
    met, _ = await calling(context_of(forged(NODE)), NODE.public_key)
    assert met.link is not None
    assert met.link.peer == NODE.public_key


@pytest.mark.parametrize("protocols", [[b"h2", b"http/1.1"], [b"devp2p/2"], []])
async def test_t12_who_speaks_another_protocol_is_refused(protocols: list[bytes]):
    met = await called_by(context_of(certificate_for(CALLER), protocols))
    assert isinstance(met.error, HandshakeError)
    assert "ALPN" in str(met.error)


async def test_t12_a_server_of_another_protocol_is_refused_before_we_show_ourselves():
    for mute in (True, False):
        context = context_of(certificate_for(NODE))
        context.set_alpn_select_callback(lambda *_, mute=mute: SSL.NO_OVERLAPPING_PROTOCOLS if mute else b"h2")
        met, engine = await calling(context, NODE.public_key)
        assert isinstance(met.error, HandshakeError)
        assert engine.shown == ()


async def test_t12_control_without_a_look_at_it_any_protocol_is_taken(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tls, "_Engine", lambda context, _, server_side: Lax(context, server_side=server_side))
    met = await called_by(context_of(certificate_for(CALLER), [b"h2"]))
    assert met.link is not None


async def test_t13_a_caller_without_a_certificate_is_refused_though_he_believes_that_he_is_in():
    met = await called_by(context_of(None))
    assert isinstance(met.error, HandshakeError)
    assert "did not return a certificate" in str(met.error)


async def test_t13_who_shows_more_than_one_certificate_is_refused():
    context = context_of(certificate_for(CALLER))
    context.add_extra_chain_cert(certificate_for(CALLER).certificate)
    met = await called_by(context)
    assert "more than one certificate" in str(met.error)
    met, engine = await calling(context, CALLER.public_key)
    assert "more than one certificate" in str(met.error)
    assert engine.shown == ()


async def test_t13_control_where_none_is_demanded_he_is_in(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(SSL, "VERIFY_FAIL_IF_NO_PEER_CERT", 0)
    monkeypatch.setattr(tls, "_Engine", lambda context, _, server_side: Lax(context, server_side=server_side))
    met = await called_by(context_of(None))
    assert met.link is not None


def endless_hello() -> bytes:
    """The beginning of a ClientHello of 128 KiB - 1, in records of 16 KiB."""
    message = bytes.fromhex("0101ffff0303") + bytes(32) + b"\0" + b"\0\2\x13\1" + b"\1\0" + b"\xff\xff"
    message += b"\xaa\xaa\xff\x00" + bytes(0xFF00) + bytes(60_000)
    return b"".join(
        b"\x16\3\1" + len(piece).to_bytes(2) + piece for piece in (message[at : at + 2**14] for at in range(0, len(message), 2**14))
    )


async def taken_of(data: bytes) -> tuple[int, Exception | None]:
    """How much a node of ours takes of what a stranger says before it ends it, and why."""
    met = Meeting(*memory_stream_pair())
    taken = 0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(met.respond)
        for at in range(0, len(data), 1024):
            if met.error is not None:
                break
            await met.stream.send_all(data[at : at + 1024])
            taken += 1024
            await trio.testing.wait_all_tasks_blocked()
        await met.stream.aclose()
    return taken, met.error


async def test_t14_of_a_handshake_without_end_sixteen_kibibytes_are_taken():
    taken, error = await taken_of(endless_hello())
    assert taken <= tls.MAX_HANDSHAKE + 1024
    assert f"more than {tls.MAX_HANDSHAKE} bytes" in str(error)


async def test_t14_control_without_the_bound_openssl_takes_as_much_as_it_is_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tls, "MAX_HANDSHAKE", 2**30)
    taken, _ = await taken_of(endless_hello())
    assert taken > 4 * 16 * 1024


def _expand(secret: bytes, label: bytes, size: int, hashed_by: hashes.HashAlgorithm) -> bytes:
    label = b"tls13 " + label
    return HKDFExpand(hashed_by, size, size.to_bytes(2) + bytes((len(label),)) + label + b"\0").derive(secret)


class Keys:
    """One direction of records, sealed by hand."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._hash: hashes.HashAlgorithm = hashes.SHA384() if len(secret) == 48 else hashes.SHA256()
        self._renewed()

    def _renewed(self) -> None:
        self._aead = AESGCM(_expand(self._secret, b"key", 32 if len(self._secret) == 48 else 16, self._hash))
        self._iv, self._count = int.from_bytes(_expand(self._secret, b"iv", 12, self._hash)), 0

    def seal(self, kind: int, data: bytes) -> bytes:
        head = b"\x17\3\3" + (len(data) + 17).to_bytes(2)
        record = head + self._aead.encrypt((self._iv ^ self._count).to_bytes(12), data + bytes((kind,)), head)
        self._count += 1
        return record

    def update(self, *, asked: bool) -> bytes:
        """Say that new keys follow, and that the other side is to take new ones too."""
        record = self.seal(0x16, bytes((24, 0, 0, 1, asked)))
        self._secret = _expand(self._secret, b"traffic upd", len(self._secret), self._hash)
        self._renewed()
        return record


@asynccontextmanager
async def flooder() -> AsyncGenerator[tuple[ByteLink, Stream, Keys]]:
    """A link of ours, and who has called it, with the keys in his hand."""
    secrets = dict[bytes, bytes]()
    context = context_of(certificate_for(CALLER))
    context.set_tls13_ciphersuites(b"TLS_AES_128_GCM_SHA256")
    context.set_keylog_callback(lambda _, line: secrets.update({line.split()[0]: bytes.fromhex(line.split()[2].decode())}))
    met = await called_by(context)
    assert isinstance(met.link, ByteLink)
    try:
        yield met.link, met.stream, Keys(secrets[b"CLIENT_TRAFFIC_SECRET_0"])
    finally:
        await met.link.aclose()


async def flooded(*, asked: bool, times: int, data: bytes = b"") -> int:
    """How many of so many updates of keys a node takes, each with so much data."""
    async with flooder() as (link, stream, keys), trio.open_nursery() as nursery:
        nursery.start_soon(_take_all, stream)
        for done in range(0, times, 100):
            await stream.send_all(b"".join(keys.update(asked=asked) + (keys.seal(0x17, data) if data else b"") for _ in range(100)))
            with trio.move_on_after(0.001):
                with pytest.raises(trio.BrokenResourceError, match="no data in them"):
                    await _take_all(link.stream)
                nursery.cancel_scope.cancel()
                return done
        nursery.cancel_scope.cancel()
    return times


async def _take_all(stream: trio.abc.ReceiveStream) -> None:
    while await stream.receive_some():
        pass


@pytest.mark.parametrize("asked", [True, False])
async def test_t15_a_flood_of_new_keys_ends_the_connection(asked: bool):  # noqa: FBT001
    assert await flooded(asked=asked, times=8_000) < 6_000


async def test_t15_a_renewal_beside_data_is_no_flood():
    assert await flooded(asked=True, times=8_000, data=b"data") == 8_000


async def test_t15_control_without_the_bound_it_goes_on(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tls, "MAX_IDLE", 2**30)
    assert await flooded(asked=True, times=8_000) == 8_000


async def shown_by_who_comes_again() -> bool:
    """Whether there are certificates when a caller tries to go on from his first call."""
    node, context, session = TlsTransport(NODE), context_of(certificate_for(CALLER)), None
    node._current_context.set_session_id(b"devp2p")  # without, OpenSSL resumes nothing of clients that it has judged
    met, engine = Meeting(*memory_stream_pair()), Stranger(context, server_side=False)
    for _ in range(2):
        met, engine = Meeting(*memory_stream_pair()), Stranger(context, server_side=False)
        if session is not None:
            engine._connection.set_session(session)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(met._do, node.respond(met.connection))
            nursery.start_soon(_say, met)
            await met.stranger(engine)
            nursery.cancel_scope.cancel()
        assert met.link is not None
        session = engine._connection.get_session()
    return bool(engine.shown)  # certificates go both ways, or none does


async def _say(met: Meeting) -> None:
    """Tickets go with the first data."""
    while met.link is None:
        await trio.testing.wait_all_tasks_blocked()
    assert isinstance(met.link, ByteLink)
    await met.link.stream.send_all(b"hello")


async def test_t16_nobody_goes_on_from_an_earlier_connection_without_a_certificate():
    assert await shown_by_who_comes_again()


async def test_t16_control_with_tickets_he_does(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(SSL, "OP_NO_TICKET", 0)
    monkeypatch.setattr(SSL, "SESS_CACHE_OFF", SSL.SESS_CACHE_BOTH)
    monkeypatch.setattr(tls, "_Engine", lambda context, _, server_side: Lax(context, server_side=server_side))
    assert not await shown_by_who_comes_again()


async def cut_off() -> bytes | bytearray:
    """What a node of ours receives when somebody on the way ends the connection below TLS."""
    async with flooder() as (link, stream, keys):
        await stream.send_all(keys.seal(0x17, b"data"))
        assert await link.stream.receive_some() == b"data"
        await stream.send_eof()
        return await link.stream.receive_some()


async def test_t17_who_cuts_the_connection_does_not_end_it_in_the_peers_name():
    with pytest.raises(trio.BrokenResourceError, match="without a farewell"):
        await cut_off()


async def test_t17_control_as_https_is_it_looks_like_an_end(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(trio, "SSLStream", partial(trio.SSLStream, https_compatible=True))
    assert await cut_off() == b""
