"""The corpus holds: every input of it does no harm to any target, it has what was published, and a defect does not get past it."""

import pytest

from devp2p import rlp
from devp2p.capabilities.ethereum.blocks import receipt
from devp2p.capabilities.ethereum.tries import ranges
from devp2p.capabilities.snap import checking
from devp2p.discovery.v4 import packets as v4_packets
from devp2p.discovery.v5 import crypto as v5_crypto
from devp2p.nat import pcp
from devp2p.records import enr
from devp2p.wire import base, compression, messages
from devp2p.wire.dpx import header
from devp2p.wire.rlpx import frames
from tests.fuzz import corpus
from tests.fuzz.seeds import seeds
from tests.fuzz.targets import MAX_SIZE, TARGETS, run

INPUTS = {name: corpus.read(corpus.KEPT / name) for name in TARGETS}


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_in_the_corpus_finds_a_fault(name):
    for data in INPUTS[name]:
        run(name, data)


@pytest.mark.parametrize("name", TARGETS)
def test_it_has_the_seeds_and_is_named_by_hash(name):
    assert set(seeds(name)) <= set(INPUTS[name])
    assert {path.name for path in (corpus.KEPT / name).iterdir()} == {corpus.short_name(data) for data in INPUTS[name]}


def test_it_stays_small():
    everything = [data for inputs in INPUTS.values() for data in inputs]
    assert {path.name for path in corpus.KEPT.iterdir()} == set(TARGETS)
    assert len(everything) <= 600
    assert sum(map(len, everything)) <= 200 * 1024
    assert max(map(len, everything)) <= MAX_SIZE


def is_noticed(name):
    """Whether an input of the corpus makes a target raise."""
    for data in INPUTS[name]:
        try:
            run(name, data)
        except Exception:  # noqa: BLE001  (any is a finding)
            return True
    return False


def unchecked(*_args):
    return True


def unproved(*_args):
    yield
    return False


DEFECTS = {
    "rlp": (rlp.Lazy, "__len__", lambda _self: 1),
    "messages": (compression, "decompress", lambda data, _limit: bytes(data)),
    "connection": (base, "decode_disconnect", lambda data, **_options: data[9]),
    "streams": (messages.OwnIds, "locate", lambda _self, code: (0, code - 0x10, 10**6)),
    "dpx": (header, "decode", lambda data: header.Header(data[1] & 127)),
    "session": (frames, "compare_digest", unchecked),
    "records": (enr, "_quote", lambda key: ascii(key[:32].decode("latin-1"))),  # as it once was
    "blocks": (receipt, "_bloomed", lambda _data, _at, _end: []),
    "v4": (v4_packets, "is_expired", lambda _packet, _now: False),
    "v5": (v5_crypto, "verify_id", unchecked),
    "nat": (pcp, "unmapped", lambda ip: ip[:3]),
    "snap": (checking, "check_range_in_steps", unproved),
    "tries": (ranges, "EMPTY", b""),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_control_a_planted_defect_is_noticed(name, monkeypatch):
    owner, attribute, wrong = DEFECTS[name]
    assert not is_noticed(name)
    monkeypatch.setattr(owner, attribute, wrong)
    assert is_noticed(name)


def test_control_an_error_of_another_family_is_noticed(monkeypatch):
    """A target suppresses nothing but what is declared."""
    monkeypatch.setattr("tests.fuzz.wire_targets.HandshakeError", KeyError)
    assert is_noticed("handshake")
