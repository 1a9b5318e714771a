"""Fuzz targets for what goes before a handshake with a node whose key is not known."""

from devp2p import rlp
from devp2p.errors import HandshakeError
from devp2p.keys import PrivateKey, PublicKey
from devp2p.wire.dpx import prelude
from devp2p.wire.dpx.prelude import MAGIC, Answering, Asking, PreludeEntropy, missing_of_request
from devp2p.wire.rlpx import MAX_PACKET, Handshake
from tests.fuzz.wire_targets import KEY, OTHER, entropy

ASKED, ANSWERED = (PreludeEntropy(PrivateKey.from_bytes(bytes(31) + bytes([number])), bytes(number)) for number in (7, 8))


def asking() -> Asking:
    def call(remote: PublicKey, asked: bytes) -> Handshake:
        return Handshake(OTHER, entropy(1), remote=remote, prelude=asked)

    return Asking(ASKED, call)


def answering() -> Answering:
    return Answering(KEY, ANSWERED, lambda asked: Handshake(KEY, entropy(2), prelude=asked))


REQUEST = asking().data_to_send()
CLAIM = rlp.encode([bytes(KEY.public_key), KEY.sign(prelude._digest(REQUEST[4:37], ANSWERED.ephemeral.public_key.compressed))])


def fuzz_request(data: bytes) -> None:
    # Invariant: who answers requests meets any bytes, and any that follow a request's first ones, by waiting, by HandshakeError, by an
    # answer or by an ack; and knows beforehand how much is missing.
    for stream in (data, MAGIC + data, MAGIC + (33 + len(data)).to_bytes(2) + ASKED.ephemeral.public_key.compressed + data):
        side = answering()
        missing = missing_of_request(stream) > 0
        try:
            found = side.receive_data(stream)
        except HandshakeError:
            assert not missing
            continue
        said = side.data_to_send()
        assert len(said) <= 2 + MAX_PACKET
        if stream.startswith(MAGIC):
            assert bool(said) is not missing
            assert found is None


def fuzz_answer(data: bytes) -> None:
    # Invariant: who asks meets any bytes, and any plaintext in a sound envelope, by waiting or by HandshakeError, but for the answer that
    # the holder of a key has signed for this very request; and then it calls that key.
    for stream in (data, sealed(data), sealed(CLAIM + data)):
        side = asking()
        side.data_to_send()
        try:
            assert side.receive_data(stream) is None
        except HandshakeError:
            assert side.remote in {None, KEY.public_key}  # it may be what comes behind the answer that is no ack
            continue
        assert side.remote is None or (side.remote == KEY.public_key and len(side.data_to_send()) > 300)


def sealed(plaintext: bytes) -> bytes:
    """Seal any plaintext as the recipient seals its key and signature."""
    plaintext = plaintext[: MAX_PACKET - 33 - 16]
    head = (33 + len(plaintext) + 16).to_bytes(2) + ANSWERED.ephemeral.public_key.compressed
    prk = prelude._extract(ANSWERED.ephemeral.ecdh(ASKED.ephemeral.public_key), REQUEST + head)
    return head + prelude._seal(prelude._answer_key(prk), plaintext, b"")
