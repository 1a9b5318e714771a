"""Transactions: each type and form, signatures, and what is refused."""

from dataclasses import replace
from typing import Any

import pytest
import rlp as ecosystem
from hypothesis import given
from hypothesis import strategies as st

from devp2p import DecodingError, LocalProtocolError, PrivateKey, keccak256, rlp
from devp2p.capabilities.ethereum.blocks import Authorization, Sidecar, Transaction, address_of, blob_hash_of
from tests.capabilities.blocks.shapes import BLOB, FEW, KEY, SIDECARS, transactions

BLOBS = Transaction(type=3, chain_id=1, to=bytes(20), max_fee=1, blob_hashes=(blob_hash_of(b"c" * 48),)).signed(KEY)
SIDECAR = Sidecar(1, (BLOB,), (b"c" * 48,), (b"p" * 48,) * 128)
HALF = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


@given(transactions())
def test_that_transactions_come_back_signed(unsigned: Transaction) -> None:
    transaction = unsigned.signed(KEY)
    again = Transaction.decode(transaction.raw)
    assert again == transaction
    assert again.raw == transaction.raw == again.item
    assert Transaction.from_envelope(transaction.envelope) == transaction
    assert again.hash == keccak256(transaction.envelope)
    assert again.size == len(transaction.envelope)
    assert again.sender == transaction.sender == address_of(KEY) == address_of(KEY.public_key)
    assert again.signing_hash == unsigned.signing_hash


@given(transactions())
def test_that_the_ecosystem_reads_the_same_elements(transaction: Transaction) -> None:
    payload = transaction.envelope[1 if transaction.type else 0 :]
    elements: Any = ecosystem.decode(payload)
    assert ecosystem.encode(elements) == payload
    by_type = [("nonce", 0), ("nonce", 1), ("nonce", 1), ("nonce", 1), ("nonce", 1)]
    name, at = by_type[transaction.type]
    assert int.from_bytes(elements[at], "big") == getattr(transaction, name)
    call = {0: 2, 1: 3}.get(transaction.type, 4)
    assert int.from_bytes(elements[call], "big") == transaction.gas_limit
    assert elements[call + 1] == (transaction.to or b"")
    assert elements[call + 3] == transaction.data
    if transaction.type:
        assert int.from_bytes(elements[0], "big") == transaction.chain_id
        assert tuple((address, tuple(keys)) for address, keys in elements[call + 4]) == transaction.access_list


@FEW
@given(transactions(kind=3), SIDECARS)
def test_that_sidecars_travel_along(unsigned: Transaction, sidecar: Sidecar) -> None:
    transaction = unsigned.signed(KEY)
    with_it = transaction.with_sidecar(sidecar)
    again = Transaction.decode(with_it.raw)
    assert again == with_it
    assert again.sidecar == sidecar
    assert again.raw == with_it.raw
    assert again.size == with_it.size == len(with_it.network_envelope)
    assert (again.hash, again.item) == (transaction.hash, transaction.raw)
    assert again.with_sidecar(None) == transaction


def test_the_form_without_blobs_of_eth_72() -> None:
    whole = BLOBS.with_sidecar(SIDECAR)
    elided = whole.elided()
    # What go-ethereum makes of it (core/txpool/blobpool, txSizeWithoutBlob): [tx, version, [], commitments, proofs].
    assert elided.network_envelope == b"\x03" + rlp.encode_list(
        BLOBS.envelope[1:] + b"\x01\xc0" + rlp.encode([b"c" * 48]) + rlp.encode([b"p" * 48] * 128)
    )
    assert elided.size == len(elided.network_envelope) < whole.size - len(BLOB)
    assert elided.sidecar is not None
    assert elided.sidecar.is_elided
    assert not SIDECAR.is_elided
    assert Transaction.decode(elided.raw) == elided
    nil = b"\x03" + rlp.encode_list(BLOBS.envelope[1:] + b"\x01\x80" + rlp.encode([b"c" * 48]) + rlp.encode([b"p" * 48] * 128))
    assert Transaction.from_envelope(nil) == elided
    assert BLOBS.elided() is BLOBS


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, None),
        ({"blobs": ()}, None),
        ({"blobs": (BLOB, BLOB)}, "2 blobs for 1 blob hashes"),
        ({"commitments": ()}, "0 commitments for 1 blob hashes"),
        ({"commitments": (b"d" * 48,)}, "commitment 0 has another hash than the transaction says"),
        ({"proofs": (b"p" * 48,)}, "1 proofs where 128 belong"),
        ({"version": 0}, "128 proofs where 1 belong"),
    ],
)
def test_sidecars_that_do_not_fit(changes: Any, why: str | None) -> None:
    assert replace(SIDECAR, **changes).fault(BLOBS.blob_hashes) == why


def sidecar_of(content: bytes) -> bytes:
    return b"\x03" + rlp.encode_list(BLOBS.envelope[1:] + content)


LEGACY = Transaction(type=0, gas_price=1, to=bytes(20)).signed(KEY)
SIMPLE = Transaction(chain_id=1, to=bytes(20)).signed(KEY)


def elements(transaction: Transaction, at: int, value: Any, more: Any = ()) -> bytes:
    """The envelope, with another element at a place."""
    found: list[Any] = list(rlp.decode(transaction.envelope[1 if transaction.type else 0 :]))
    found[at] = value
    return bytes([transaction.type] if transaction.type else []) + rlp.encode([*found, *more])


@pytest.mark.parametrize(
    ("envelope", "why"),
    [
        (b"", "no bytes where a transaction belongs"),
        (b"\x00\xc0", "a transaction of type 0, which is unknown"),
        (b"\x05\xc0", "a transaction of type 5, which is unknown"),
        (b"\x80\xc0", "a transaction of type 128, which is unknown"),
        (b"\x02", "no bytes where a list belongs"),
        (b"\x02\x80", "a byte string where a list belongs"),
        (b"\x02\xc0", "a transaction of type 2, chain_id: missing"),
        (LEGACY.envelope + b"\0", "1 bytes after the list's end"),
        (elements(LEGACY, 3, bytes(19)), "a transaction of type 0, to: an address of 19 bytes"),
        (elements(LEGACY, 0, 2**64), "a transaction of type 0, nonce: an integer of more than 8 bytes"),
        (elements(LEGACY, 8, 5, [1]), "a transaction of type 0, element 10: more elements"),
        (elements(SIMPLE, 8, [[bytes(20), [bytes(31)]]]), "a transaction of type 2, access_list: 31 bytes instead of 32"),
        (elements(SIMPLE, 8, [[bytes(20)]]), "a transaction of type 2, access_list: missing"),
        (elements(SIMPLE, 8, [[bytes(20), [], b""]]), "a transaction of type 2, access_list: more elements"),
        (elements(BLOBS, 5, b""), "a transaction of type 3, to: 0 bytes instead of 20"),
        (elements(BLOBS, 10, [bytes(33)]), "a transaction of type 3, blob_hashes: 33 bytes"),
        (sidecar_of(b""), "a transaction with a sidecar, element 2: missing"),
        (sidecar_of(b"\x80\xc0\xc0\xc0"), "a transaction with a sidecar, element 2: a sidecar of version 0, which is unknown"),
        (sidecar_of(b"\x02\xc0\xc0\xc0"), "a transaction with a sidecar, element 2: a sidecar of version 2, which is unknown"),
        (sidecar_of(b"\xc1\x80\xc0\xc0"), "a transaction with a sidecar, element 2: 0 bytes instead of 131072"),
        (sidecar_of(b"\x01\xc0" + rlp.encode([bytes(48)] * 129) + b"\xc0"), "element 4: a list of more than 128 items"),
        (sidecar_of(b"\xc0\xc0\xc0\xc0"), "a transaction with a sidecar, element 5: more elements"),
    ],
)
def test_that_other_bytes_are_refused(envelope: bytes, why: str) -> None:
    with pytest.raises(DecodingError, match=why):
        Transaction.from_envelope(envelope)


def test_that_an_item_is_a_list_or_a_string_with_an_envelope() -> None:
    for item, why in (
        (b"", "no bytes"),
        (b"\x80", "neither a legacy transaction nor"),
        (b"\x02", "neither a legacy transaction nor"),
        (rlp.encode(LEGACY.envelope), "neither a legacy transaction nor"),
        (SIMPLE.envelope, "bytes after the item's end"),
        (SIMPLE.raw + b"\0", "bytes after the item's end"),
    ):
        with pytest.raises(DecodingError, match=why):
            Transaction.decode(item)


@pytest.mark.parametrize("transaction", [LEGACY, SIMPLE, Transaction(type=0, chain_id=7, gas_price=1).signed(KEY)])
def test_signatures_that_are_not_valid(transaction: Transaction) -> None:
    flipped = transaction.v ^ 1 if transaction.type else {27: 28, 28: 27}.get(transaction.v, 35 + 14 + 1 - transaction.y_parity)
    assert replace(transaction, s=ORDER - transaction.s, v=flipped).signing_hash == transaction.signing_hash
    with pytest.raises(DecodingError, match="upper half"):
        _ = replace(transaction, s=ORDER - transaction.s, v=flipped).sender
    assert replace(transaction, s=ORDER - transaction.s, v=flipped).sender_in_block == transaction.sender  # before Homestead
    bad: list[dict[str, Any]] = [{"r": 0}, {"s": 0}, {"r": ORDER}, {"s": HALF + 1}, {"v": 2 if transaction.type else 34}]
    for changes in bad:
        with pytest.raises(DecodingError):
            _ = replace(transaction, **changes).sender
        encoded = replace(transaction, **changes)
        assert Transaction.decode(encoded.raw).r == encoded.r  # it is read; whoever asks for its sender finds out


@pytest.mark.parametrize("v", [0, 1, 26, 29, 34])
def test_that_no_other_v_is_a_parity(v: int) -> None:
    assert replace(LEGACY, v=v).y_parity not in {0, 1}
    assert Transaction.decode(replace(LEGACY, v=v).raw).chain_id is None


@given(st.integers(0, 2**200), st.integers(0, 1))
def test_what_eip_155_makes_of_a_parity(chain_id: int, parity: int) -> None:
    transaction = Transaction.decode(replace(LEGACY, chain_id=chain_id, v=35 + 2 * chain_id + parity).raw)
    assert (transaction.chain_id, transaction.y_parity) == (chain_id, parity)


def test_authorizations() -> None:
    other = PrivateKey(b"\2" * 32)
    authorization = Authorization(chain_id=0, address=b"a" * 20, nonce=5).signed(other)
    assert authorization.authority == address_of(other)
    transaction = Transaction(type=4, chain_id=1, to=b"t" * 20, authorizations=(authorization,)).signed(KEY)
    assert Transaction.decode(transaction.raw).authorizations[0].authority == address_of(other)
    with pytest.raises(DecodingError, match="a parity of 2"):
        _ = replace(authorization, y_parity=2).authority
    with pytest.raises(DecodingError):
        _ = replace(authorization, s=ORDER - authorization.s).authority
    with pytest.raises(LocalProtocolError, match="20 bytes, not 19"):
        replace(authorization, address=bytes(19)).signed(other)
    # The digest is 0x05 before the list of chain, address and nonce (EIP-7702).
    assert authorization.signing_hash == keccak256(b"\x05" + rlp.encode([0, b"a" * 20, 5]))


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"type": 5, "chain_id": 1}, "there is no transaction of type 5"),
        ({"type": 1}, "is for one chain; give its chain_id"),
        ({"chain_id": 1, "to": b"x"}, "`to` is an address of 20 bytes, or None, not 1 bytes"),
        ({"type": 3, "chain_id": 1}, "creates no contract; give `to`"),
        ({"chain_id": 1, "sidecar": SIDECAR}, "a transaction of type 2 has no sidecar"),
        ({"type": 0, "max_fee": 1}, "has no max_fee; give its gas_price"),
    ],
)
def test_that_mistakes_are_told(fields: Any, why: str) -> None:
    with pytest.raises(LocalProtocolError, match=why):
        Transaction(**fields)


def test_that_sidecars_have_parts_of_the_right_sizes() -> None:
    for name, size in (("blobs", 131_072), ("commitments", 48), ("proofs", 48)):
        with pytest.raises(LocalProtocolError, match=f"each of `{name}` in a Sidecar has {size} bytes"):
            replace(SIDECAR, **{name: (b"x",)})  # type: ignore[arg-type]


def test_that_lists_in_transactions_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("devp2p.capabilities.ethereum.blocks.transaction.MAX_ENTRIES", 3)
    delegating = Transaction(type=4, chain_id=1, to=bytes(20)).signed(KEY)
    for count in (3, 4):
        bounded = [
            elements(SIMPLE, 8, [[bytes(20), []]] * count),
            elements(SIMPLE, 8, [[bytes(20), [bytes(32)] * count]]),
            elements(BLOBS, 10, [bytes(32)] * count),
            elements(delegating, 9, [[0, bytes(20), 0, 0, 0, 0]] * count),
        ]
        for envelope in bounded:
            if count == 3:
                assert Transaction.from_envelope(envelope).envelope == envelope
            else:
                with pytest.raises(DecodingError, match=r"(access_list|blob_hashes|authorizations): a list of more than 3 items"):
                    Transaction.from_envelope(envelope)


def test_what_people_see() -> None:
    assert repr(SIMPLE) == f"<Transaction 0x{SIMPLE.hash.hex()}: type 2, nonce 0, to 0x{bytes(20).hex()}>"
    assert repr(Transaction(chain_id=1, nonce=3)).endswith(": type 2, nonce 3, to a new contract>")
    assert repr(SIDECAR) == "<Sidecar version 1: 1 blobs, 1 commitments, 128 proofs>"


def test_fees_and_costs() -> None:
    assert (LEGACY.max_fee, LEGACY.max_priority_fee) == (1, 1)
    assert Transaction(chain_id=1, max_fee=9, max_priority_fee=2).gas_price == 9
    blobs = replace(BLOBS, max_blob_fee=3, value=5, gas_limit=10, max_fee=2)
    assert blobs.blob_gas == 131_072
    assert blobs.max_cost == 10 * 2 + 131_072 * 3 + 5
