"""Receipts: both encodings, bloom filters, and that no others pass for a header's."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trie.hexary import HexaryTrie

from devp2p import DecodingError, keccak256, rlp
from devp2p.capabilities.ethereum.blocks import Log, Receipt, receipts_fault, receipts_root
from devp2p.capabilities.ethereum.blocks.receipt import Masks, consensus_receipt
from tests.capabilities.blocks.shapes import FEW, LOGS, RECEIPTS
from tests.capabilities.blocks.test_header import SOME

LOG = Log(b"a" * 20, (b"t" * 32,), b"data")
RECEIPT = Receipt(2, b"\x01", 21_000, (LOG,))


@given(RECEIPTS)
def test_that_both_encodings_say_the_same(receipt: Receipt) -> None:
    assert Receipt.decode(receipt.raw) == receipt
    assert Receipt.from_consensus(receipt.consensus) == receipt
    assert consensus_receipt(receipt.raw) == receipt.consensus


@given(st.lists(LOGS, max_size=3))
def test_bloom_filters(logs: list[Log]) -> None:
    # As the yellow paper has it, section 4.3.1: of each hash, three pairs of bytes, modulo 2048, from the right.
    wanted = 0
    for value in (value for log in logs for value in (log.address, *log.topics)):
        for pair in (0, 2, 4):
            wanted |= 1 << (int.from_bytes(keccak256(value)[pair : pair + 2], "big") % 2048)
    assert Receipt(0, b"", 0, tuple(logs)).bloom == wanted.to_bytes(256, "big")


def test_that_what_is_remembered_of_blooms_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("devp2p.capabilities.ethereum.blocks.receipt.MAX_MASKS", 1)
    masks: Masks = {}
    assert [consensus_receipt(RECEIPT.raw, masks) for _ in range(2)] == [RECEIPT.consensus] * 2
    assert len(masks) == 1


@FEW
@given(st.lists(RECEIPTS, max_size=4))
def test_roots(receipts: list[Receipt]) -> None:
    trie = HexaryTrie({})
    for index, receipt in enumerate(receipts):
        trie[rlp.encode(index)] = receipt.consensus
    raws = [receipt.raw for receipt in receipts]
    assert receipts_root(raws) == trie.root_hash
    header = replace(SOME, receipts_root=trie.root_hash)
    assert receipts_fault(header, raws) is None
    assert receipts_fault(header, [*raws, RECEIPT.raw]) == "its receipts have another root"
    for index in range(len(raws)):
        assert receipts_fault(header, raws[:index] + raws[index + 1 :]) == "its receipts have another root"


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "no bytes"),
        (b"\x80", "a byte string where a list belongs"),
        (b"\xc0", "a receipt, tx-type: missing"),
        (rlp.encode([128, 1, 1, []]), "a receipt, tx-type: the type 128, which no transaction can have"),
        (rlp.encode([2, 2, 1, []]), "a receipt, post-state-or-status: neither a status of 0 or 1 nor a root"),
        (rlp.encode([2, bytes(31), 1, []]), "a receipt, post-state-or-status: neither"),
        (rlp.encode([2, 1, 2**64, []]), "a receipt, cumulative-gas: an integer of more than 8 bytes"),
        (rlp.encode([2, 1, 1, b""]), "a receipt, logs: a byte string where a list belongs"),
        (rlp.encode([2, 1, 1, [b""]]), "a receipt, logs: a byte string where a list belongs"),
        (rlp.encode([2, 1, 1, [[]]]), "a receipt, logs: "),
        (rlp.encode([2, 1, 1, [[bytes(19), [], b"1234"]]]), "a receipt, logs: "),
        (rlp.encode([2, 1, 1, [[bytes(20), [], b"", b""]]]), "a receipt, logs: "),
        (rlp.encode([2, 1, 1, [[bytes(20), []]]]), "a receipt, logs: "),
        (rlp.encode([2, 1, 1, [[bytes(20), [bytes(32)]]]]), "a receipt, logs: "),
        (rlp.encode([2, 1, 1, [[bytes(20), [bytes(31)], b""]]]), "a receipt, logs: "),
        (rlp.encode([2, 1, 1, [[bytes(20), [[bytes(31)]], b""]]]), "a receipt, logs: "),
        (rlp.encode([2, 1, 1, [[bytes(20), [bytes(32)] * 5, b""]]]), "a receipt, logs: "),
        (rlp.encode([2, 1, 1, [[bytes(20), [], []]]]), "a receipt, logs: "),
        (rlp.encode([2, 1, 1, [], 1]), "a receipt, element 5: more elements"),
    ],
)
def test_that_other_bytes_are_refused_in_both_ways(raw: bytes, why: str) -> None:
    with pytest.raises(DecodingError, match=why):
        Receipt.decode(raw)
    with pytest.raises(DecodingError, match=why):
        consensus_receipt(raw)
    fault = receipts_fault(SOME, [raw])
    assert fault is not None
    assert "another root" not in fault


def test_that_the_type_is_part_of_it() -> None:
    # The root is of the type and the rest, so a receipt that claims another type is another.
    header = replace(SOME, receipts_root=receipts_root([RECEIPT.raw]))
    assert receipts_fault(header, [replace(RECEIPT, type=1).raw]) == "its receipts have another root"


@pytest.mark.parametrize("data", [b"", b"\x80", b"\x02", b"\x02\xc0", b"\xc0", replace(RECEIPT, type=0).consensus[:-1]])
def test_consensus_encodings_that_are_none(data: bytes) -> None:
    with pytest.raises(DecodingError):
        Receipt.from_consensus(data)


def test_a_bloom_filter_that_is_not_that_of_the_logs() -> None:
    forged = RECEIPT.consensus.replace(RECEIPT.bloom, bytes(256))
    with pytest.raises(DecodingError, match="whose bloom filter is not that of its logs"):
        Receipt.from_consensus(forged)
