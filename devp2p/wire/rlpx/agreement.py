"""What the two sides of a handshake have agreed on, and the secrets of RLPx frames that are derived from it."""

from dataclasses import dataclass, field

from devp2p.keys import Keccak256, PublicKey, keccak256
from devp2p.wire.rlpx.packets import Ack, Auth


@dataclass(frozen=True, repr=False)
class Agreement:
    """All that came out of an auth and an ack; equal on both sides but for `remote` and `initiated`. Its text form shows no secret.

    The frames' secrets are derived from it: those of RLPx by `secrets`, or others. It proves nothing: anyone can make an auth in another's
    name, or send an old one again. The first valid frame proves the peer.
    """

    remote: PublicKey
    """The peer's static key."""
    initiated: bool
    """Whether the auth is ours, and the ack the peer's."""
    ephemeral: bytes
    """What the two ephemeral keys agree on: 32 bytes, the x coordinate of the shared point."""
    static: bytes
    """What the two static keys agree on: 32 bytes."""
    auth: Auth
    ack: Ack
    auth_packet: bytes
    """The auth as it was on the wire, with its size prefix."""
    ack_packet: bytes
    prelude: bytes = b""
    """keccak256 of what both sides sent before the auth, where the initiator had to ask who is there (`dpx.prelude`); else empty."""

    @property
    def elements(self) -> tuple[bytes, ...]:
        """The peer's elements behind the specified ones, each as its RLP encoding."""
        return self.ack.elements if self.initiated else self.auth.elements

    @property
    def own_elements(self) -> tuple[bytes, ...]:
        """Our elements."""
        return self.auth.elements if self.initiated else self.ack.elements

    @property
    def transcript(self) -> bytes:
        """keccak256(auth-packet || ack-packet || prelude): who changed a byte of these on its way leaves the two sides with two values."""
        return keccak256(self.auth_packet + self.ack_packet + self.prelude)

    def __repr__(self) -> str:
        """Name the peer only."""
        return f"<Agreement with {self.remote!r}, {'initiated' if self.initiated else 'accepted'}>"


@dataclass(frozen=True, eq=False)
class Secrets:
    """What frames are sealed and opened with. The running hashes belong to one FrameSealer and one FrameOpener."""

    aes: bytes = field(repr=False)
    mac: bytes = field(repr=False)
    egress_mac: Keccak256 = field(repr=False)
    ingress_mac: Keccak256 = field(repr=False)


def secrets(agreement: Agreement) -> Secrets:
    """Derive the secrets of RLPx frames (RLPx, "Initial Handshake")."""
    ephemeral, auth_nonce, ack_nonce = agreement.ephemeral, agreement.auth.nonce, agreement.ack.nonce
    shared = keccak256(ephemeral + keccak256(ack_nonce + auth_nonce))
    aes = keccak256(ephemeral + shared)
    mac = keccak256(ephemeral + aes)
    to_recipient = Keccak256(xor(mac, ack_nonce) + agreement.auth_packet)
    to_initiator = Keccak256(xor(mac, auth_nonce) + agreement.ack_packet)
    egress, ingress = (to_recipient, to_initiator) if agreement.initiated else (to_initiator, to_recipient)
    return Secrets(aes, mac, egress, ingress)


def xor(left: bytes, right: bytes) -> bytes:
    """Combine two byte strings of one length bit by bit."""
    return (int.from_bytes(left) ^ int.from_bytes(right)).to_bytes(len(left))
