"""Fuzz targets for everything that reads bytes of strangers before and right after the keys are agreed.

Each takes arbitrary bytes, so that Hypothesis and coverage-guided fuzzers can share it. Random bytes never pass a MAC, so the
targets also play the peer that knows the keys: they encrypt the bytes first, and what is fuzzed is the decoder behind.
"""

from devp2p import rlp
from devp2p.errors import DecodingError, HandshakeError
from devp2p.keys import Keccak256, PrivateKey
from devp2p.wire.rlpx import ecies
from devp2p.wire.rlpx.agreement import Agreement, Secrets
from devp2p.wire.rlpx.frames import FrameOpener, FrameSealer
from devp2p.wire.rlpx.handshake import Entropy, Handshake
from devp2p.wire.rlpx.packets import MAX_PACKET
from tests.wire.remembering import Remembering

KEY = PrivateKey.from_bytes(bytes(31) + b"\x01")
OTHER = PrivateKey.from_bytes(bytes(31) + b"\x02")
EPHEMERAL = PrivateKey.from_bytes(bytes(31) + b"\x03")
IV = bytes(16)


def entropy(seed: int, padding: int = 100) -> Entropy:
    """A handshake's randomness, the same for the same seed."""
    draw = [PrivateKey.from_bytes(bytes(29) + bytes([1 + number, seed, 1])) for number in range(2)]
    nonce, iv = bytes([seed]) * 32, bytes([seed]) * 16
    return Entropy(ephemeral=draw[0], nonce=nonce, ecies_ephemeral=draw[1], iv=iv, padding=lambda _: bytes(padding))


def secrets(*, egress: bytes = b"egress", ingress: bytes = b"ingress") -> Secrets:
    """What a handshake could have come to; the peer's have egress and ingress exchanged."""
    return Secrets(b"a" * 32, b"m" * 32, Keccak256(egress), Keccak256(ingress))


def seal_packet(to: PrivateKey, plaintext: bytes) -> bytes:
    """Encrypt anything as the body of an EIP-8 handshake packet."""
    prefix = (ecies.OVERHEAD + len(plaintext)).to_bytes(2, "big")
    return prefix + ecies.encrypt(to.public_key, plaintext, ephemeral=EPHEMERAL, iv=IV, shared_mac_data=prefix)


def fuzz_ecies(data: bytes) -> None:
    # Invariant: bytes that were not encrypted to the key raise HandshakeError and nothing else; any plaintext comes back.
    for ciphertext in (data, b"\x04" + bytes(EPHEMERAL.public_key) + data):
        try:
            ecies.decrypt(KEY, ciphertext, data[:2])
        except HandshakeError:
            continue
        raise AssertionError("a forged ciphertext was accepted")
    ciphertext = ecies.encrypt(KEY.public_key, data, ephemeral=EPHEMERAL, iv=IV, shared_mac_data=data[:2])
    assert ecies.decrypt(KEY, ciphertext, data[:2]) == data


def fuzz_auth(data: bytes) -> None:
    # Invariant: a recipient answers any bytes, and any plaintext in a sound envelope, by waiting, by HandshakeError, or by an ack; what an
    # extension is given are whole items, and it has been told nothing that is proved.
    for stream in (data, seal_packet(KEY, data[: MAX_PACKET - ecies.OVERHEAD])):
        extension = Remembering()
        handshake = Handshake(KEY, entropy(1), extension=extension)
        try:
            found = handshake.receive_data(stream)
        except HandshakeError:
            assert not extension.told
            continue
        if found is None:
            assert len(stream) < 2 + MAX_PACKET
        else:
            assert 0 < len(handshake.data_to_send()) <= 2 + MAX_PACKET
            assert extension.told in ([], [("answer", found.remote)])
            check_elements(found, extension)
        handshake.failed()


def fuzz_ack(data: bytes) -> None:
    # Invariant: an initiator answers any bytes, and any plaintext in a sound envelope, by waiting, by HandshakeError, or by an agreement;
    # for its extension as above.
    for stream in (data, seal_packet(KEY, data[: MAX_PACKET - ecies.OVERHEAD])):
        extension = Remembering()
        handshake = Handshake(KEY, entropy(1), remote=OTHER.public_key, extension=extension)
        try:
            found = handshake.receive_data(stream)
        except HandshakeError:
            handshake.failed()
            assert [what for what, _ in extension.told] == ["offer", "unanswered"]
            continue
        if found is None:
            assert len(stream) < 2 + MAX_PACKET
        else:
            assert found.remote == OTHER.public_key
            check_elements(found, extension)


def check_elements(found: Agreement, extension: Remembering) -> None:
    for element in found.elements:
        assert rlp.codec(rlp.Raw).decode(element) == element
    assert not extension.peers


def fuzz_frames(data: bytes) -> None:
    # Invariant: an opener meets any bytes with waiting, DecodingError or HandshakeError, and gives back what was sealed, however it is cut.
    step = 1 + data[0] if data else 1
    opener = FrameOpener(secrets(), 1024)
    try:
        for at in range(0, len(data), step):
            opener.receive_data(data[at : at + step])
            assert opener.next_frame() is None
    except (DecodingError, HandshakeError):
        pass
    sealer = FrameSealer(secrets(egress=b"ingress"))
    opener = FrameOpener(secrets(), 1024)
    pieces = [data[at : at + step] for at in range(0, len(data), step)]
    wire = b"".join(b"".join(sealer.seal(piece)) for piece in pieces)
    opened: list[bytes] = []
    for at in range(0, len(wire), step):
        opener.receive_data(wire[at : at + step])
        while (frame := opener.next_frame()) is not None:
            opened.append(bytes(frame))
    assert opened == pieces
    assert not opener.in_frame
