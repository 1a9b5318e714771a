"""A model of a strict peer of discovery v5: one that ends a session, and all its requests, at the first packet that does not open.

Rust's `discv5` (0.12, handler/mod.rs) is such a one, and the model does what it does: the keys of a handshake are its
session as soon as the handshake packet is sent; requests wait while it challenges the remote or provokes a challenge;
what is not answered in a second is sent once more as it was; a second WHOAREYOU for one request is a fault. It only pings.
"""

import random
from dataclasses import dataclass

from devp2p.addresses import Endpoint
from devp2p.discovery.table.contacts import Contact
from devp2p.discovery.v5 import crypto as v5_crypto
from devp2p.discovery.v5 import messages as v5_messages
from devp2p.discovery.v5 import packets as v5_packets
from devp2p.discovery.v5.messages import Ping, Pong
from devp2p.discovery.v5.sessions import Remote
from devp2p.errors import DecodingError
from devp2p.keys import PrivateKey, PublicKey
from devp2p.records.enr import Record
from tests.discovery.nodes import endpoint_of
from tests.discovery.v5_wire import key_of, record_of

TIMEOUT = 1.0
CHALLENGE = 2.0


@dataclass(eq=False)
class _Call:
    remote: Remote
    record: Record
    number: int
    nonce: bytes
    packet: bytes
    due: float
    initiates: bool
    handshake_sent: bool = False
    retried: bool = False


@dataclass(eq=False)
class _Session:
    write: bytes
    read: list[bytes]
    """Newest first; with the keys to write it goes back to those that the other uses."""
    other_writes: list[bytes]


class StrictPeer:
    """Drives like a `Discv5`. `results` says what became of each ping: ``ok``, ``timeout`` or ``ended``."""

    def __init__(self, number: int, chance: random.Random) -> None:
        self.key, self.endpoint, self.record = key_of(number), endpoint_of(number), record_of(number)
        self.id = self.key.public_key.node_id
        self.results: dict[int, str] = {}
        self._chance = chance
        self._sessions: dict[Remote, _Session] = {}
        self._challenges: dict[Remote, tuple[bytes, bytes, float]] = {}  # header data, datagram, until when
        self._calls: list[_Call] = []
        self._pending: list[tuple[Remote, Record, int]] = []
        self._outbox: list[tuple[bytes, Endpoint]] = []
        self._numbers = 0
        self._sealed = 0

    @property
    def contact(self) -> Contact[Record]:
        return Contact(self.id, self.endpoint, self.record.sequence, self.record)

    def ping(self, contact: Contact[Record], now: float) -> int:
        self._numbers += 1
        self._ask(Remote(contact.record.id, contact.endpoint), contact.record, self._numbers, now)
        return self._numbers

    def datagrams_to_send(self, now: float) -> list[tuple[bytes, Endpoint]]:
        del now
        sent, self._outbox = self._outbox, []
        return sent

    def next_event(self) -> None:
        return None

    def next_timer(self) -> float | None:
        return min([*(call.due for call in self._calls), *(until for _, _, until in self._challenges.values())], default=None)

    def handle_timer(self, now: float) -> None:
        for remote in [remote for remote, (_, _, until) in self._challenges.items() if until <= now]:
            del self._challenges[remote]
            self._send_pending(remote, now)
        for call in [call for call in self._calls if call.due <= now]:
            if call not in self._calls:  # it failed with another
                continue
            if call.retried:
                self._calls.remove(call)
                self.results[call.number] = "timeout"
                self._fail(call.remote, "timeout", drop=False)
            else:
                call.retried, call.due = True, now + TIMEOUT
                self._outbox.append((call.packet, call.remote.endpoint))

    def receive_datagram(self, data: bytes, address: Endpoint, now: float) -> None:
        packet = v5_packets.decode(data, self.id)
        header = packet.header
        if isinstance(header, v5_packets.WhoAreYou):
            self._prove(packet, header, address, now)
            return
        remote = Remote(header.source, address)
        if isinstance(header, v5_packets.Handshake):
            challenge = self._challenges.pop(remote, None)
            if challenge is None:
                return
            secret = v5_crypto.agree(self.key, PublicKey.from_bytes(header.ephemeral_key))
            keys = v5_crypto.derive_keys(secret, challenge[0], initiator=remote.id, recipient=self.id)
            self._establish(remote, keys.recipient, keys.initiator, None, now)
        self._read(packet, remote, header.nonce, now)

    def _read(self, packet: v5_packets.Packet, remote: Remote, nonce: bytes, now: float) -> None:
        session = self._sessions.get(remote)
        plaintext = None
        for place, read in enumerate(session.read if session is not None else ()):
            try:
                plaintext = packet.open(read)
            except DecodingError:
                continue
            assert session is not None
            session.write = session.other_writes[place]
            break
        if plaintext is None:
            if session is not None:
                self._fail(remote, "ended", drop=True)
            self._challenge(remote, nonce, now)
            return
        match v5_messages.decode_message(plaintext):
            case Ping(request_id):
                pong = v5_messages.encode_message(Pong(request_id, 1, remote.endpoint.ip, remote.endpoint.port))
                self._outbox.append((self._seal(remote, pong)[0], remote.endpoint))
            case Pong(request_id):
                for call in [call for call in self._calls if call.remote == remote and call.number == int.from_bytes(request_id, "big")]:
                    self._calls.remove(call)
                    self.results[call.number] = "ok"
            case _:
                raise AssertionError("nobody asks it anything else")

    def _ask(self, remote: Remote, record: Record, number: int, now: float) -> None:
        if remote in self._challenges or any(call.remote == remote and call.initiates for call in self._calls):
            self._pending.append((remote, record, number))
            return
        initiates = remote not in self._sessions
        if initiates:
            nonce = self._chance.randbytes(12)
            header = v5_packets.encode_header(v5_packets.Ordinary(nonce, self.id), self._chance.randbytes(16))
            packet = v5_packets.encode(header, self._chance.randbytes(44), remote.id)
        else:
            packet, nonce = self._seal(remote, self._ping(number))
        self._calls.append(_Call(remote, record, number, nonce, packet, now + TIMEOUT, initiates))
        self._outbox.append((packet, remote.endpoint))

    def _prove(self, packet: v5_packets.Packet, header: v5_packets.WhoAreYou, address: Endpoint, now: float) -> None:
        call = next((call for call in self._calls if call.nonce == header.nonce and call.remote.endpoint == address), None)
        if call is None:
            return
        if call.handshake_sent:
            self._calls.remove(call)
            self.results[call.number] = "ended"
            self._fail(call.remote, "ended", drop=True)
            return
        ephemeral = PrivateKey.from_bytes(self._chance.randbytes(32))
        public = ephemeral.public_key.compressed
        secret = v5_crypto.agree(ephemeral, call.record.public_key)
        keys = v5_crypto.derive_keys(secret, packet.header_data, self.id, call.remote.id)
        signature = v5_crypto.sign_id(self.key, packet.header_data, public, call.remote.id)
        call.nonce, call.handshake_sent, call.initiates = self._next_nonce(), True, False
        handshake = v5_packets.Handshake(call.nonce, self.id, signature, public, self.record.encode())
        masking_iv = self._chance.randbytes(16)
        call.packet = v5_packets.seal(
            handshake, self._ping(call.number), key=keys.initiator, masking_iv=masking_iv, destination=call.remote.id
        )
        call.due = now + TIMEOUT
        self._outbox.append((call.packet, address))
        self._establish(call.remote, keys.initiator, keys.recipient, call, now)

    def _challenge(self, remote: Remote, nonce: bytes, now: float) -> None:
        challenge = self._challenges.get(remote)
        if challenge is None:
            header = v5_packets.encode_header(v5_packets.WhoAreYou(nonce, self._chance.randbytes(16), 0), self._chance.randbytes(16))
            challenge = self._challenges[remote] = header, v5_packets.encode(header, b"", remote.id), now + CHALLENGE
        self._outbox.append((challenge[1], remote.endpoint))

    def _establish(self, remote: Remote, write: bytes, read: bytes, made_by: _Call | None, now: float) -> None:
        old = self._sessions.get(remote)
        self._sessions[remote] = _Session(write, [read, *(old.read[:1] if old else [])], [write, *([old.write] if old else [])])
        for call in self._calls if old is not None else ():
            if call.remote == remote and call is not made_by:
                call.packet, call.nonce = self._seal(remote, self._ping(call.number))
                self._outbox.append((call.packet, remote.endpoint))
        self._send_pending(remote, now)

    def _send_pending(self, remote: Remote, now: float) -> None:
        pending, self._pending = self._pending, [item for item in self._pending if item[0] != remote]
        for other, record, number in pending:
            if other == remote:
                self._ask(remote, record, number, now)

    def _fail(self, remote: Remote, why: str, *, drop: bool) -> None:
        if drop:
            self._sessions.pop(remote, None)
        gone = [call.number for call in self._calls if call.remote == remote] + [
            number for other, _, number in self._pending if other == remote
        ]
        self.results.update(dict.fromkeys(gone, why))
        self._calls = [call for call in self._calls if call.remote != remote]
        self._pending = [item for item in self._pending if item[0] != remote]

    def _seal(self, remote: Remote, plaintext: bytes) -> tuple[bytes, bytes]:
        nonce = self._next_nonce()
        header = v5_packets.Ordinary(nonce, self.id)
        key = self._sessions[remote].write
        return v5_packets.seal(header, plaintext, key=key, masking_iv=self._chance.randbytes(16), destination=remote.id), nonce

    def _next_nonce(self) -> bytes:
        self._sealed += 1
        return self._sealed.to_bytes(4, "big") + self._chance.randbytes(8)

    @staticmethod
    def _ping(number: int) -> bytes:
        return v5_messages.encode_message(Ping(number.to_bytes(8, "big"), 1))
