"""Makes tests/vectors/dpx1.json, from which others can build dpx/1: every section of it comes from a function of `SECTIONS`.

    python -m tests.wire.dpx.vectors            says what differs from the file
    python -m tests.wire.dpx.vectors --write    writes the file

Nothing is random, and nothing that the library is tested with comes out of the library, but for the two packets of the handshake, which are
ECIES with fixed keys. A new part of dpx/1 appends a function here, and in test_vectors.py what the library makes of it.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import coincurve
import rlp as ecosystem
from cryptography.hazmat.primitives.asymmetric import ec

from devp2p.wire.rlpx import Handshake
from tests.wire.dpx import specification
from tests.wire.handshakes import KEY_A, KEY_B, VECTORS, Constant, fixed

FILE = Path(__file__).parents[2] / "vectors" / "dpx1.json"
K_I, K_R, RS = (sha256(name).digest() for name in (b"initiator's share", b"recipient's share", b"old secret"))
PRELUDE = b"\xff\x01" + bytes(range(70))
PARAMS = [4 * 1024 * 1024, 1024 * 1024, 16 * 1024 * 1024 + 64 * 1024, 64, 16 * 1024 + 64]
OFFER = [b"dpx1", 1 | 2 | 64, K_I, [], [], PARAMS]
ACCEPT = [b"dpx1", 1 | 2 | 64, K_R, 0, [], [0, []], PARAMS]
NUMBERS = (0, 1, 4095, 4096, 4097, 8191, 8192)
CONTENTS = ((b"\xc1\x80", b"\x80" + bytes(range(31))), (b"\xc1\x01", b""), (b"\xc4\x7f\x82\xff\xff", b"sixteen bytes ok"), (b"", b"\x01"))

Vectors = dict[str, Any]


def encode(item: Any) -> bytes:
    return cast("bytes", ecosystem.encode(item))


def encoded(item: Any) -> str:
    return encode(item).hex()


def elements() -> list[Vectors]:
    """Whole elements, one with everything in it that the format has room for, and one with items of a later version."""
    tokens = [[bytes([n]) * 16, bytes([n]) * 48] for n in (1, 2)]
    full = [b"dpx1", 95, K_I, tokens, [[b"signature", b"subject"]], PARAMS]
    resumed = [b"dpx1", 7, K_R, 3, [bytes([3]) * 48], [1, [0, 4]], [2**31 - 1, 2**20, 2**24, 65535, 2**19]]
    return [
        {"in": "auth", "what": "plain offer", "element": encoded(OFFER)},
        {"in": "auth", "what": "offer of everything", "element": encoded(full)},
        {"in": "auth", "what": "offer with unknown items", "element": encoded([*OFFER, b"later", [1, [2]]])},
        {"in": "ack", "what": "plain accept", "element": encoded(ACCEPT)},
        {"in": "ack", "what": "resumed from the secret before the newest", "element": encoded(resumed)},
        {"in": "ack", "what": "accept with unknown items", "element": encoded([*ACCEPT, b"later"])},
    ]


def handshake() -> list[Vectors]:
    """A whole handshake with the keys and nonces of EIP-8's vectors, and what comes of it."""
    one = Handshake(KEY_A, fixed("a"), remote=KEY_B.public_key, extension=Constant(ecosystem.encode(OFFER)))
    other = Handshake(KEY_B, fixed("b"), extension=Constant(ecosystem.encode(ACCEPT)))
    auth = one.data_to_send()
    other.receive_data(auth)
    ack = other.data_to_send()
    es, ss = (agreed_x(VECTORS[f"{kind}_key_a"], VECTORS[f"{kind}_key_b"]) for kind in ("ephemeral", "static"))
    inputs = {"auth": auth, "ack": ack, "es": es, "ss": ss, "k_i": K_I, "k_r": K_R}
    keys = {name: VECTORS[name] for name in ("static_key_a", "static_key_b", "ephemeral_key_a", "ephemeral_key_b", "nonce_a", "nonce_b")}
    return [{**keys, **hexadecimal(inputs), "mode": 0, **hexadecimal(specification.key_schedule(inputs, 0))}]


def agreed_x(private: str, other: str) -> bytes:
    one, two = (ec.derive_private_key(int(key, 16), ec.SECP256K1()) for key in (private, other))
    return one.exchange(ec.ECDH(), two.public_key())


def key_schedule() -> list[Vectors]:
    """The key schedule alone, for each mode, with and without a prelude. The packets are any bytes: it reads nothing in them."""
    packets = {"auth": b"\x00\x10" + b"auth" * 4, "ack": b"\x00\x0c" + b"ack" * 4}
    base = {**packets, "es": b"\xe5" * 32, "ss": b"\x55" * 32, "k_i": K_I, "k_r": K_R}
    old, prelude = {"rs": RS}, {"prelude": PRELUDE}
    vectors = []
    for mode, more in ((0, {}), (1, {}), (2, old), (3, old), (0, prelude), (2, {**old, **prelude})):
        inputs = base | more
        vectors.append({"mode": mode, **hexadecimal(inputs), **hexadecimal(specification.key_schedule(inputs, mode))})
    return vectors


def records() -> list[Vectors]:
    """Records of one direction, counted from 0, under both ciphers; those that are not listed need not be made to make these."""
    vectors = []
    for cipher in specification.CIPHERS:
        for at, number in enumerate(NUMBERS):
            header_data, data = CONTENTS[at % len(CONTENTS)]
            key = specification.key_of_record(K_I, number)
            record = specification.content_record(cipher, key, number % 4096, header_data, data)
            inputs = {"first_key": K_I, "key": key, "header_data": header_data, "data": data, "record": record}
            vectors.append({"cipher": cipher, "number": number, **hexadecimal(inputs)})
    return vectors


def prelude() -> list[Vectors]:
    """All that goes before the handshake above, between the same two. The signature is made as RFC 6979 says, by libsecp256k1."""
    keys = {"ephemeral_key_i": sha256(b"initiator's fresh key").digest(), "ephemeral_key_r": sha256(b"recipient's fresh key").digest()}
    e_i, e_r = (coincurve.PrivateKey(key).public_key.format() for key in keys.values())
    padding = bytes(range(20))
    request = b"\xff\x01" + (33 + len(padding)).to_bytes(2, "big") + e_i + padding
    static = coincurve.PrivateKey(bytes.fromhex(VECTORS["static_key_b"]))
    digest = specification.keccak256(b"dpx-anon-v1" + e_i + e_r)
    claim = encode([static.public_key.format(compressed=False)[1:], static.sign_recoverable(digest, hasher=None)]) + bytes(11)
    auth = bytes.fromhex(handshake()[0]["auth"])
    following = specification.prelude(request, e_r, agreed_x(*(key.hex() for key in keys.values())), claim, auth)
    inputs = {**keys, "padding": padding, "request": request, "claim": claim, "auth": auth}
    return [
        {"static_key_a": VECTORS["static_key_a"], "static_key_b": VECTORS["static_key_b"], **hexadecimal(inputs), **hexadecimal(following)}
    ]


def resumption() -> list[Vectors]:
    """Both shares, sealed under a secret from before. Signature and keys are any bytes: nothing looks into them."""
    auth_nonce, ack_nonce = b"\x53" * 32, b"\x55" * 32
    auth, ack = [b"\x51" * 65, b"\x52" * 64, auth_nonce, 4], [b"\x54" * 64, ack_nonce, 4]
    vectors = []
    for features in (7, 71 | 2**40):  # the second is of a later version: a bit that nobody knows is bound as any other
        inputs = {"secret": RS, "k_i": K_I, "k_r": K_R, "auth": encode(auth), "ack": encode(ack)}
        sealed = specification.sealing(inputs, auth_nonce, ack_nonce, encode(features))
        vectors.append({"features": features, **hexadecimal(inputs), **hexadecimal(sealed)})
    return vectors


SECTIONS: dict[str, Callable[[], Sequence[Vectors]]] = {
    "elements": elements,
    "handshake": handshake,
    "key_schedule": key_schedule,
    "records": records,
    "prelude": prelude,
    "resumption": resumption,
}


def hexadecimal(values: dict[str, bytes]) -> dict[str, str]:
    return {name: value.hex() for name, value in values.items()}


def made() -> dict[str, Sequence[Vectors]]:
    """What the file is to hold."""
    return {name: make() for name, make in SECTIONS.items()}


def stored() -> dict[str, list[Vectors]]:
    """What it holds."""
    content: dict[str, list[Vectors]] = json.loads(FILE.read_text())
    return content


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.wire.dpx.vectors")
    parser.add_argument("--write", action="store_true")
    sections = made()
    if parser.parse_args().write:
        FILE.write_text(json.dumps(sections, indent=1) + "\n")
        return 0
    old = stored() if FILE.exists() else {}
    different = [name for name in {**sections, **old} if sections.get(name) != old.get(name)]
    sys.stdout.write(f"different: {', '.join(different)}\n" if different else "all as in the file\n")
    return bool(different)


if __name__ == "__main__":
    sys.exit(main())
