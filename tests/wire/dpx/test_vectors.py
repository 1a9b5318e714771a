"""The published vectors: they are what the specification gives, and the library makes the same of the same inputs."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from devp2p.keys import PrivateKey, PublicKey, keccak256
from devp2p.wire.dpx import (
    Accept,
    Answering,
    Asking,
    Feature,
    Mode,
    Offer,
    Params,
    PreludeEntropy,
    RecordOpener,
    RecordSealer,
    ResumeVerdict,
    Token,
    Verdict,
    decode_accept,
    decode_offer,
    derive,
    encode_accept,
    encode_offer,
    find,
    sealing,
)
from devp2p.wire.rlpx import Handshake
from devp2p.wire.rlpx.packets import ACK, AUTH
from tests.wire.dpx import vectors
from tests.wire.dpx.test_records import CLASSES
from tests.wire.handshakes import KEY_A, KEY_B, Constant, Meeting, fixed

STORED = vectors.stored()


def raw(vector: dict[str, Any], *names: str) -> list[bytes]:
    return [bytes.fromhex(vector[name]) for name in names]


@pytest.mark.parametrize("section", vectors.SECTIONS)
def test_the_file_holds_what_the_specification_gives(section):
    assert STORED[section] == json.loads(json.dumps(vectors.SECTIONS[section]()))


def test_every_section_of_the_file_has_a_maker():
    assert list(STORED) == list(vectors.SECTIONS)


def test_the_tool_tells_a_changed_file_from_one_that_is_right(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["vectors"])
    assert vectors.main() == 0
    changed = {**STORED, "records": STORED["records"][1:]}
    monkeypatch.setattr(vectors, "FILE", tmp_path / "dpx1.json")
    vectors.FILE.write_text(json.dumps(changed))
    assert vectors.main() == 1
    assert capsys.readouterr().out == "all as in the file\ndifferent: records\n"


def test_the_tool_runs_as_it_says():
    command = [sys.executable, "-m", "tests.wire.dpx.vectors"]
    assert subprocess.run(command, cwd=Path(__file__).parents[3], check=False, capture_output=True).returncode == 0


EVERYTHING = Offer(
    Feature(95),
    vectors.K_I,
    (Token(b"\1" * 16, b"\1" * 48), Token(b"\2" * 16, b"\2" * 48)),
    (bytes.fromhex("d2897369676e617475726587") + b"subject",),
)
RESUMED = Accept(
    Feature(7),
    vectors.K_R,
    Mode.RESUMED_PREVIOUS,
    b"\3" * 48,
    Verdict(ResumeVerdict.RESUMED, (0, 4)),
    Params(2**31 - 1, 2**20, 2**24, 65535, 2**19),
)
PLAIN = Feature.CHACHA20_POLY1305 | Feature.MUX | Feature.AES_256_GCM
MEANT: dict[str, Offer | Accept] = {
    "plain offer": Offer(PLAIN, vectors.K_I),
    "offer of everything": EVERYTHING,
    "offer with unknown items": Offer(PLAIN, vectors.K_I),
    "plain accept": Accept(PLAIN, vectors.K_R),
    "resumed from the secret before the newest": RESUMED,
    "accept with unknown items": Accept(PLAIN, vectors.K_R),
}


@pytest.mark.parametrize("vector", STORED["elements"], ids=lambda vector: vector["what"])
def test_elements_mean_what_they_say(vector):
    (element,) = raw(vector, "element")
    meant = MEANT[vector["what"]]
    assert find([b"\x80", element]) == element
    assert (decode_offer if vector["in"] == "auth" else decode_accept)(element) == meant
    if "unknown" not in vector["what"]:
        assert (encode_offer(meant) if isinstance(meant, Offer) else encode_accept(meant)) == element


@pytest.mark.parametrize("vector", STORED["key_schedule"], ids=lambda vector: f"mode {vector['mode']}{' prelude' * ('prelude' in vector)}")
def test_the_key_schedule(vector):
    auth, ack, es, ss, k_i, k_r = raw(vector, "auth", "ack", "es", "ss", "k_i", "k_r")
    said = keccak256(bytes.fromhex(vector["prelude"])) if "prelude" in vector else b""
    agreed = dataclasses.replace(Meeting().shake_hands()[0], auth_packet=auth, ack_packet=ack, ephemeral=es, static=ss, prelude=said)
    old = bytes.fromhex(vector["rs"]) if "rs" in vector else None
    keys = derive(agreed, (k_i, k_r), vector["mode"], old)
    assert [keys.to_recipient, keys.to_initiator, keys.resumption, keys.exporter] == raw(vector, "i2r", "r2i", "rms", "exp")


def test_a_whole_handshake():
    (vector,) = STORED["handshake"]
    auth, ack, es, ss, k_i, k_r = raw(vector, "auth", "ack", "es", "ss", "k_i", "k_r")
    recipient = Handshake(KEY_B, fixed("b"), extension=Constant(encode_accept(Accept(PLAIN, k_r))))
    initiator = Handshake(KEY_A, fixed("a"), remote=KEY_B.public_key, extension=Constant(encode_offer(Offer(PLAIN, k_i))))
    assert initiator.data_to_send() == auth
    theirs = recipient.receive_data(auth)
    assert recipient.data_to_send() == ack
    ours = initiator.receive_data(ack)
    for agreed in (ours, theirs):
        assert agreed is not None
        assert (agreed.ephemeral, agreed.static) == (es, ss)
        keys = derive(agreed, (k_i, k_r), vector["mode"], None)
        assert [keys.to_recipient, keys.to_initiator, keys.resumption, keys.exporter] == raw(vector, "i2r", "r2i", "rms", "exp")


@pytest.mark.parametrize("cipher", CLASSES)
def test_records_around_new_keys(cipher):
    listed = {vector["number"]: vector for vector in STORED["records"] if vector["cipher"] == cipher}
    (first,) = {vector["first_key"] for vector in listed.values()}
    sealer, opener = (make(bytes.fromhex(first), CLASSES[cipher]) for make in (RecordSealer, RecordOpener))
    assert isinstance(sealer, RecordSealer)
    assert isinstance(opener, RecordOpener)
    for number in range(max(listed) + 1):
        header_data, data, record = raw(listed[number], "header_data", "data", "record") if number in listed else (b"", b"", None)
        sealed = sealer.seal(header_data, data)
        opener.receive_data(sealed)
        assert opener.next_record() == (header_data.ljust(13, b"\0"), data)
        assert record is None or sealed == record


def test_the_prelude():
    (vector,) = STORED["prelude"]
    keys = [PrivateKey(key) for key in raw(vector, "ephemeral_key_i", "ephemeral_key_r")]
    padding, said = raw(vector, "padding", "prelude")
    k_i = bytes.fromhex(STORED["handshake"][0]["k_i"])
    called: list[tuple[PublicKey, bytes]] = []

    def begin(remote: PublicKey, prelude: bytes) -> Handshake:
        called.append((remote, prelude))
        return Handshake(KEY_A, fixed("a"), remote=remote, extension=Constant(encode_offer(Offer(PLAIN, k_i))), prelude=prelude)

    asking = Asking(PreludeEntropy(keys[0], padding), begin)
    answering = Answering(KEY_B, PreludeEntropy(keys[1], bytes(11)), lambda prelude: Handshake(KEY_B, fixed("b"), prelude=prelude))
    request = asking.data_to_send()
    answering.receive_data(request)
    answer = answering.data_to_send()
    asking.receive_data(answer)
    wrapped = asking.data_to_send()
    assert [request, answer, wrapped] == raw(vector, "request", "answer", "wrapped")
    assert called == [(KEY_B.public_key, said)]
    agreed = answering.receive_data(wrapped)
    assert agreed is not None
    assert (agreed.auth_packet, agreed.prelude) == (bytes.fromhex(vector["auth"]), said)


@pytest.mark.parametrize("vector", STORED["resumption"], ids=lambda vector: f"features {vector['features']:#x}")
def test_what_is_sealed_to_resume_a_session(vector):
    secret, k_i, k_r, sealed_i, sealed_r = raw(vector, "secret", "k_i", "k_r", "sealed_i", "sealed_r")
    auth, ack = AUTH.decode(bytes.fromhex(vector["auth"])), ACK.decode(bytes.fromhex(vector["ack"]))
    token = sealing.seal_offer(secret, k_i, auth, vector["features"])
    assert [token.id, token.sealed] == raw(vector, "id", "sealed_i")
    assert sealing.opens_offer(secret, token, k_i, auth, vector["features"])
    assert sealing.seal_answer(secret, k_r, sealed_i, ack) == sealed_r
    assert sealing.opens_answer(secret, sealed_r, k_r, sealed_i, ack)
