"""Sessions of Node Discovery v5.1: who has proved to be who, and with which keys to talk to them (discv5-theory.md, "Sessions").

Theory of operation. A session belongs to a node-ID *and* an endpoint (`Remote`): what one address has proved says nothing of another.

    request that does not open   ->  challenge()   WHOAREYOU, remembered for a second
    WHOAREYOU for our request    ->  prove()       handshake packet; its keys are tentative until something opens under them
    handshake packet             ->  accept()      proof verified against the challenge; its keys are confirmed, for its message opened

Two nodes that call each other at the same moment make two handshakes, and each confirms the other's first: so the two newest sets of keys
are kept, and both open. A lost datagram or a forged WHOAREYOU never costs a session, because keys are only displaced by confirmed ones.

A stranger's packet costs a challenge of some hundred bytes, and its number is bounded. An old challenge is displaced by a new one only
when it has had its half second: however many strangers knock, a handshake under way can be finished, and it is the newcomers who wait. As
nobody has proved anything yet, a bad proof does not end the challenge either (whoever can write a false address could so prevent any
handshake), but only a few are verified.
"""

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from devp2p.addresses import Endpoint
from devp2p.bounded import Recent
from devp2p.discovery.protocol import RandomBytes
from devp2p.discovery.v5 import crypto as v5_crypto
from devp2p.discovery.v5.packets import MAX_HANDSHAKE_MESSAGE, Handshake, Ordinary, Packet, WhoAreYou, encode, encode_header, seal
from devp2p.errors import DecodingError
from devp2p.keys import NodeId, PrivateKey, PublicKey
from devp2p.records import Record

MAX_SEALED: Final = 2**31
"""How many messages one key seals; then there must be another. (The counter in a nonce has 32 bits.)"""

_PATIENCE = 0.5  # seconds that a challenge stays whatever comes
_PROOFS = 4  # how many proofs are verified for one challenge
_KEPT = 2  # confirmed keys of one session
_RANDOM_MESSAGE = 32  # bytes where there are no keys: about as many as a sealed Ping has


class Remote(NamedTuple):
    """A node at an endpoint."""

    id: NodeId
    endpoint: Endpoint


@dataclass(slots=True, eq=False)
class Keys:
    """The keys of one handshake, 16 bytes each."""

    write: bytes = field(repr=False)
    read: bytes = field(repr=False)
    sealed: int = 0
    """How many messages `write` has sealed."""


@dataclass(slots=True, eq=False)
class PacketSession:
    """What one remote and we share, as the specification calls it: a session of packets, not one with a peer."""

    record: Record
    """The newest record of it that a handshake used."""
    confirmed: list[Keys]
    """Newest first."""
    tentative: Keys | None = None
    """Of a handshake that the remote has not answered yet."""

    def confirm(self, keys: Keys) -> None:
        """The remote is known to have these keys."""
        self.confirmed = [keys, *self.confirmed][:_KEPT]

    def forget_worn_out(self) -> None:
        """Let go of keys that have sealed as many messages as they may."""
        self.confirmed = [keys for keys in self.confirmed if keys.sealed < MAX_SEALED]
        if self.tentative is not None and self.tentative.sealed >= MAX_SEALED:
            self.tentative = None


@dataclass(slots=True, eq=False)
class _Challenge:
    data: bytes
    """The WHOAREYOU without mask."""
    record: Record | None
    """What we know of the one who is to prove itself."""
    proofs: int = 0


class Opened(NamedTuple):
    """A message that a remote has sealed."""

    plaintext: bytes
    keys: Keys
    """What it was sealed with; an answer takes the same."""
    record: Record
    is_news: bool
    """Whether this is the first message under these keys."""


class PacketSessions:
    """All sessions and challenges of a node."""

    def __init__(self, key: PrivateKey, random_bytes: RandomBytes, *, sessions: int, challenges: int, handshake_timeout: float) -> None:
        """At most `sessions` and `challenges` are kept; a challenge is for `handshake_timeout` seconds."""
        self._key = key
        self._own_id = key.public_key.node_id
        self._random_bytes = random_bytes
        self._max_challenges = challenges
        self._sessions: Recent[Remote, PacketSession] = Recent(sessions)  # least recently used first
        self._challenges: Recent[Remote, _Challenge] = Recent(challenges, handshake_timeout)

    @property
    def counts(self) -> tuple[int, int]:
        """How many sessions and challenges there are."""
        return len(self._sessions), len(self._challenges)

    def record_of(self, remote: Remote) -> Record | None:
        """The record that the session's handshake used."""
        session = self._sessions.get(remote)
        return None if session is None else session.record

    # Messages

    def seal_request(self, remote: Remote, plaintext: bytes) -> tuple[bytes, bytes, bool]:
        """Make the packet of a request: the datagram, its nonce, and whether there is a confirmed session that it can be opened with.

        Without session, and without hope that the remote took our last handshake for good, it is random and only provokes a WHOAREYOU.
        """
        session = self._sessions.get(remote)
        if session is not None:
            self._sessions.touch(remote)
            session.forget_worn_out()
            keys = session.confirmed[0] if session.confirmed else session.tentative
            if keys is not None:
                return *self._seal(remote, keys, plaintext), keys is not session.tentative
        nonce = self._random_bytes(12)
        header_data = encode_header(Ordinary(nonce, self._own_id), self._random_bytes(16))
        return encode(header_data, self._random_bytes(_RANDOM_MESSAGE), remote.id), nonce, False

    def seal_answer(self, remote: Remote, keys: Keys, plaintext: bytes) -> bytes:
        """Make the packet of an answer to what was sealed with `keys`: the datagram."""
        datagram, _ = self._seal(remote, keys, plaintext)
        session = self._sessions.get(remote)
        if session is not None:
            session.forget_worn_out()  # for reading too: so that the next request does not open, and leads to a handshake
        return datagram

    def _seal(self, remote: Remote, keys: Keys, plaintext: bytes) -> tuple[bytes, bytes]:
        nonce = self._next_nonce(keys)
        header = Ordinary(nonce, self._own_id)
        return seal(header, plaintext, key=keys.write, masking_iv=self._random_bytes(16), destination=remote.id), nonce

    def open(self, packet: Packet, remote: Remote) -> Opened | None:
        """Open the message of an ordinary packet, if a session can."""
        session = self._sessions.get(remote)
        if session is None:
            return None
        for keys in (*session.confirmed, session.tentative):
            if keys is None:
                continue
            try:
                plaintext = packet.open(keys.read)
            except DecodingError:
                continue
            self._sessions.touch(remote)
            is_news = keys is session.tentative
            if is_news:
                session.tentative = None
                session.confirm(keys)
            return Opened(plaintext, keys, session.record, is_news)
        return None

    # Handshakes: the recipient's side

    def challenge(self, remote: Remote, nonce: bytes, record: Record | None, now: float) -> bytes | None:
        """Ask a remote who it is, after its packet with that nonce: the datagram, 63 bytes, or None if too many are being asked.

        Who is being asked already gets the same question again, so that all its requests lead to one handshake. `record` is what is known
        of the node.
        """
        self._challenges.forget_old(now)
        challenge = self._challenges.get(remote, now)
        if challenge is None:
            oldest = self._challenges.oldest()
            if oldest is not None and len(self._challenges) >= self._max_challenges and now - oldest < _PATIENCE:
                return None
            header = WhoAreYou(nonce, self._random_bytes(16), record.sequence if record else 0)
            challenge = _Challenge(encode_header(header, self._random_bytes(16)), record)
            self._challenges.set(remote, challenge, now)
        return encode(challenge.data, b"", remote.id)

    def is_challenged(self, remote: Remote, now: float) -> bool:
        """Whether a remote is being asked who it is."""
        return self.challenged_at(remote, now) is not None

    def challenged_at(self, remote: Remote, now: float) -> float | None:
        """When a remote was first asked who it is, if it still may answer that; else None."""
        self._challenges.forget_old(now)
        return self._challenges.when(remote)

    def accept(self, packet: Packet, header: Handshake, remote: Remote, now: float) -> Opened | None:
        """Take in a handshake packet: its message, or None if it is not the proof that we asked for."""
        challenge = self._challenges.get(remote, now)
        if challenge is None:
            return None
        try:
            record = _proved_record(header, challenge)
            if not v5_crypto.verify_id(record.public_key, header.id_signature, challenge.data, header.ephemeral_key, self._own_id):
                raise DecodingError("a handshake with another's signature")
            secret = v5_crypto.agree(self._key, PublicKey.from_bytes(header.ephemeral_key))
            keys = v5_crypto.derive_keys(secret, challenge.data, initiator=remote.id, recipient=self._own_id)
            plaintext = packet.open(keys.initiator)
        except DecodingError:
            challenge.proofs += 1
            if challenge.proofs >= _PROOFS:
                self._challenges.pop(remote)
            return None
        self._challenges.pop(remote)
        ours = Keys(write=keys.recipient, read=keys.initiator)
        self._session(remote, record).confirm(ours)
        return Opened(plaintext, ours, record, is_news=True)

    # Handshakes: the initiator's side

    def prove(self, asked: Packet, remote: Remote, record: Record, own: bytes, plaintext: bytes) -> bytes | None:
        """Answer a WHOAREYOU by a handshake packet with a message; None if that is too long for one.

        `record` is the remote's, `own` our encoded one, or nothing if the remote has it. The keys are tentative from here on.
        """
        if len(plaintext) + len(own) > MAX_HANDSHAKE_MESSAGE:
            return None
        ephemeral = PrivateKey.from_bytes(self._random_bytes(32))
        public = ephemeral.public_key.compressed
        keys = v5_crypto.derive_keys(v5_crypto.agree(ephemeral, record.public_key, once=True), asked.header_data, self._own_id, remote.id)
        signature = v5_crypto.sign_id(self._key, asked.header_data, public, remote.id)
        ours = Keys(write=keys.initiator, read=keys.recipient)
        header = Handshake(self._next_nonce(ours), self._own_id, signature, public, own)
        self._session(remote, record).tentative = ours
        return seal(header, plaintext, key=ours.write, masking_iv=self._random_bytes(16), destination=remote.id)

    def _session(self, remote: Remote, record: Record) -> PacketSession:
        session = self._sessions.get(remote) or PacketSession(record, [])
        if record.sequence > session.record.sequence:
            session.record = record
        self._sessions.set(remote, session)
        return session

    def _next_nonce(self, keys: Keys) -> bytes:
        """A nonce that the key has not met: how many it sealed, and 64 random bits, so that not even a counter gone wrong repeats one."""
        nonce = keys.sealed.to_bytes(4, "big") + self._random_bytes(8)
        keys.sealed += 1
        return nonce


def _proved_record(header: Handshake, challenge: _Challenge) -> Record:
    """The record whose key must have signed: the one that came if it is newer than what is known, else the known one."""
    record = challenge.record
    if header.record:
        came = Record.decode(header.record)
        if came.id != header.source:
            raise DecodingError("a handshake with another's record")
        if record is None or came.sequence > record.sequence:
            record = came
    if record is None:
        raise DecodingError("a handshake without record")
    return record
