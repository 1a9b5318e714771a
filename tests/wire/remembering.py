"""A toy extension of the handshake: two nodes that have met remember a secret, and prove it to each other when they meet again.

    offer  = ["toy", share (16), proof]          # in auth
    answer = ["toy", share (16), proof]          # in ack, only if the auth had an offer

A proof is empty, or a hash of the secret from the last meeting and of what is unique in this packet. After each meeting both sides have a
new secret, from all that they agreed on. It is kept under a peer's key, and so it changes in `proved` only.
"""

import random
from dataclasses import dataclass, field

from devp2p import rlp
from devp2p.errors import DecodingError
from devp2p.keys import PublicKey, keccak256
from devp2p.wire.rlpx.agreement import Agreement
from devp2p.wire.rlpx.extension import Extension
from devp2p.wire.rlpx.packets import Ack, Auth

MAGIC = b"toy"


@dataclass(frozen=True)
class Element:
    magic: bytes
    share: bytes
    proof: bytes


CODEC = rlp.codec(Element)


def encoded(share: bytes, proof: bytes) -> tuple[bytes]:
    return (CODEC.encode(Element(MAGIC, share, proof)),)


def find(elements: tuple[bytes, ...]) -> Element | None:
    """The first element that is ours among those of others."""
    for element in elements:
        try:
            found = CODEC.decode(element)
        except DecodingError:
            continue
        if found.magic == MAGIC and len(found.share) == 16:
            return found
    return None


def offer_proof(secret: bytes, auth: Auth) -> bytes:
    return keccak256(b"offer" + secret + auth.signature + auth.public_key + auth.nonce)


def answer_proof(secret: bytes, auth: Auth, ack: Ack) -> bytes:
    return keccak256(b"answer" + offer_proof(secret, auth) + ack.ephemeral_key + ack.nonce)


@dataclass
class Kept:
    """What is kept under a peer's key."""

    secret: bytes
    meetings: list[str] = field(default_factory=list)
    """For each meeting, whether the peer was "new" or "known"."""


class Remembering(Extension):
    def __init__(self, seed: int = 0) -> None:
        self.peers: dict[PublicKey, Kept] = {}
        self.pending: dict[bytes, bytes] = {}
        """By the nonces of what is under way: the secret that our proof is made with."""
        self.told: list[tuple[str, PublicKey]] = []
        """What happened, and in whose name; under a key that is not proved, so it is no part of what is kept."""
        self._random = random.Random(seed)

    def offer(self, remote: PublicKey, auth: Auth) -> tuple[bytes, ...]:
        self.told.append(("offer", remote))
        kept = self.peers.get(remote)
        if kept is not None:
            self.pending[auth.nonce] = kept.secret
        return encoded(self._random.randbytes(16), b"" if kept is None else offer_proof(kept.secret, auth))

    def answer(self, remote: PublicKey, auth: Auth, ack: Ack) -> tuple[bytes, ...]:
        self.told.append(("answer", remote))
        theirs, kept = find(auth.elements), self.peers.get(remote)
        if theirs is None:
            return ()
        proof = b""
        if kept is not None and theirs.proof == offer_proof(kept.secret, auth):
            self.pending[ack.nonce] = kept.secret
            proof = answer_proof(kept.secret, auth, ack)
        return encoded(self._random.randbytes(16), proof)

    def _settle(self, agreement: Agreement) -> bytes | None:
        return self.pending.pop(agreement.auth.nonce if agreement.initiated else agreement.ack.nonce, None)

    def proved(self, agreement: Agreement) -> None:
        self.told.append(("proved", agreement.remote))
        secret, offered, answered = self._settle(agreement), find(agreement.auth.elements), find(agreement.ack.elements)
        if offered is None or answered is None:
            return
        is_known = secret is not None and answered.proof == answer_proof(secret, agreement.auth, agreement.ack)
        old = secret if is_known and secret is not None else bytes(32)
        new = keccak256(agreement.ephemeral + agreement.static + agreement.transcript + offered.share + answered.share + old)
        kept = self.peers.setdefault(agreement.remote, Kept(new))
        kept.secret = new
        kept.meetings.append("known" if is_known else "new")

    def failed(self, agreement: Agreement) -> None:
        self.told.append(("failed", agreement.remote))
        self._settle(agreement)

    def unanswered(self, remote: PublicKey, auth: Auth) -> None:
        self.told.append(("unanswered", remote))
        self.pending.pop(auth.nonce, None)


def snapshot(extension: Remembering) -> dict[PublicKey, tuple[bytes, tuple[str, ...]]]:
    """All that is kept of others, as it is now."""
    return {key: (kept.secret, tuple(kept.meetings)) for key, kept in extension.peers.items()}
