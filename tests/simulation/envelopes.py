"""What elliptic curves cost is most of what a datagram costs, and nothing that a simulation is about: here a signature names who signed.

Within `envelopes`, a signature is the key's and the digest's bytes, two keys agree on the hash of both, and whoever reads a packet of
discovery v4 is given what was written. All else is as always: encodings and sizes, hashes, ciphers. `test_network.py` shows that a network
does exactly the same with envelopes as without.
"""

import gc
import hashlib
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from devp2p.discovery.v4 import packets as v4_packets
from devp2p.discovery.v4.packets import Decoded, Packet
from devp2p.discovery.v5 import crypto as v5_crypto
from devp2p.keys import PrivateKey, PublicKey

_KEPT = 20_000  # packets of which it is remembered what they say: far more than are ever under way


class _Post:
    """Remembers what the latest packets of discovery v4 say."""

    def __init__(self) -> None:
        self._letters: OrderedDict[bytes, Decoded] = OrderedDict()
        self._encode = v4_packets.encode

    def encode(self, packet: Packet, key: PrivateKey, *, size: int = 0) -> tuple[bytes, bytes]:
        data, packet_hash = self._encode(packet, key, size=size)
        self._letters[data] = Decoded(packet, key.public_key, packet_hash)
        self._letters.move_to_end(data)  # it may have been written before
        if len(self._letters) > _KEPT:
            self._letters.popitem(last=False)
        return data, packet_hash

    def decode(self, data: bytes) -> Decoded:
        return self._letters[data]


def _sign(key: PrivateKey, digest: bytes) -> bytes:
    return bytes(key.public_key)[:32] + digest + b"\0"


def _verify(key: PublicKey, digest: bytes, signature: bytes) -> bool:
    return signature[:64] == bytes(key)[:32] + digest


def _agree(key: PrivateKey, other: PublicKey, *, once: bool = False) -> bytes:  # noqa: ARG001  (the shape of the true one)
    return b"\2" + hashlib.sha256(b"".join(sorted([bytes(key.public_key), bytes(other)]))).digest()


@contextmanager
def envelopes() -> Iterator[None]:
    """Do without elliptic curves; and without looking for cyclic garbage, of which there is none, among millions of objects."""
    post = _Post()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(v4_packets, "encode", post.encode)
        patch.setattr(v4_packets, "decode", post.decode)
        patch.setattr(v4_packets, "check_hash", lambda data: data[:32])
        patch.setattr(PrivateKey, "sign", _sign)
        patch.setattr(PublicKey, "verify", _verify)
        patch.setattr(v5_crypto, "agree", _agree)
        collecting = gc.isenabled()
        gc.disable()
        try:
            yield
        finally:
            if collecting:
                gc.enable()
