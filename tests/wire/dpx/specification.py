"""dpx/1 a second time: keys, records and the prelude as the specification writes them, with other primitives than the library's.

Nothing here is imported from `devp2p`. HKDF is RFC 5869 with its loop, and ciphers and keccak are those of pycryptodome.
"""

import hmac
from collections.abc import Iterator

from Crypto.Cipher import AES, ChaCha20_Poly1305
from Crypto.Hash import keccak

CIPHERS = ("ChaCha20-Poly1305", "AES-256-GCM")
LABELS = ("i2r", "r2i", "rms", "exp")


def keccak256(data: bytes) -> bytes:
    return keccak.new(digest_bits=256, data=data).digest()


def hkdf_extract(salt: bytes, ikm: bytes) -> bytes:
    return hmac.new(salt, ikm, "sha256").digest()


def hkdf_expand(prk: bytes, info: bytes, length: int) -> bytes:
    okm, block, counter = b"", b"", 0
    while len(okm) < length:
        counter += 1
        block = hmac.new(prk, block + info + bytes([counter]), "sha256").digest()
        okm += block
    return okm[:length]


def key_schedule(inputs: dict[str, bytes], mode: int) -> dict[str, bytes]:
    """From `auth`, `ack`, `es`, `ss`, `k_i`, `k_r`, and if there are such `rs` and `prelude`, to the four keys by their labels."""
    transcript = inputs["auth"] + inputs["ack"]
    if "prelude" in inputs:
        transcript += keccak256(inputs["prelude"])
    ikm = inputs["es"] + inputs["ss"] + inputs["k_i"] + inputs["k_r"] + inputs.get("rs", bytes(32))
    prk = hkdf_extract(keccak256(transcript), ikm)
    return {label: hkdf_expand(prk, b"dpx1 " + label.encode() + bytes([mode]), 32) for label in LABELS}


def sealing(inputs: dict[str, bytes], auth_nonce: bytes, ack_nonce: bytes, features: bytes) -> dict[str, bytes]:
    """From `secret`, both shares, and what is specified of `auth` and `ack`, to what the two packets have of it (section 7)."""
    secret = inputs["secret"]
    kek_i, kek_r = (hkdf_expand(secret, b"dpx1 kek " + side, 32) for side in (b"i", b"r"))

    def seal(key: bytes, nonce: bytes, share: bytes, bound: bytes) -> bytes:
        cipher = ChaCha20_Poly1305.new(key=key, nonce=nonce[:12])
        cipher.update(bound)
        return b"".join(cipher.encrypt_and_digest(share))

    sealed_i = seal(kek_i, auth_nonce, inputs["k_i"], inputs["auth"] + features)
    sealed_r = seal(kek_r, ack_nonce, inputs["k_r"], sealed_i + inputs["ack"])
    return {"id": hkdf_expand(secret, b"dpx1 id", 16), "kek_i": kek_i, "kek_r": kek_r, "sealed_i": sealed_i, "sealed_r": sealed_r}


def aead(cipher: str, key: bytes, number: int, ad: bytes, plain: bytes) -> bytes:
    nonce = b"\0\0\0\0" + number.to_bytes(8, "big")
    one = ChaCha20_Poly1305.new(key=key, nonce=nonce) if cipher == CIPHERS[0] else AES.new(key, AES.MODE_GCM, nonce=nonce)
    one.update(ad)
    return b"".join(one.encrypt_and_digest(plain))


def padded(data: bytes) -> bytes:
    while len(data) % 16:
        data += b"\0"
    return data


def record(cipher: str, key: bytes, index: int, header: bytes, body: bytes) -> bytes:
    """The record with this index under `key`, of a plain header of 16 bytes and a plain body with its padding, right or wrong."""
    sealed = aead(cipher, key, 2 * index, b"", header)
    return sealed + aead(cipher, key, 2 * index + 1, sealed, body)


def content_record(cipher: str, key: bytes, index: int, header_data: bytes, data: bytes) -> bytes:
    return record(cipher, key, index, padded(len(data).to_bytes(3, "big") + header_data), padded(data))


def key_of_record(key: bytes, number: int) -> bytes:
    """The key of the record with this number, counted from 0 since the handshake, whose key is the one given."""
    for _ in range(number // 4096):
        key = hkdf_expand(key, b"dpx1 rekey", 32)
    return key


def records(cipher: str, key: bytes, contents: list[tuple[bytes, bytes]]) -> Iterator[bytes]:
    """Seal pairs of header-data and data, one record after another."""
    for number, (header_data, data) in enumerate(contents):
        yield content_record(cipher, key_of_record(key, number), number % 4096, header_data, data)


def prelude(request: bytes, e_r: bytes, secret: bytes, claim: bytes, auth: bytes) -> dict[str, bytes]:
    """Section 9: what follows a request; `secret` is the x coordinate that the fresh keys agree on, `claim` what the answer seals."""
    head = (33 + len(claim) + 16).to_bytes(2, "big") + e_r
    prk = hkdf_extract(keccak256(request + head), secret)
    k_answer = hkdf_expand(prk, b"dpx1 anon answer", 32)
    answer = head + aead(CIPHERS[0], k_answer, 0, b"", claim)
    k_auth = hkdf_expand(prk, b"dpx1 anon auth" + keccak256(request + answer), 32)
    size = (len(auth) + 16).to_bytes(2, "big")
    wrapped = size + aead(CIPHERS[0], k_auth, 0, size, auth)
    return {
        "prk": prk,
        "k_answer": k_answer,
        "answer": answer,
        "k_auth": k_auth,
        "wrapped": wrapped,
        "prelude": keccak256(request + answer),
    }
