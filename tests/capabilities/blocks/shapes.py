"""Hypothesis strategies for all that a block is made of, and what bytes they come from."""

from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st

from devp2p import PrivateKey
from devp2p.capabilities.ethereum.blocks import AccountChanges, Authorization, Header, Log, Receipt, Sidecar, Transaction

T = TypeVar("T")
FEW = settings(max_examples=30)
"""For what is large to draw."""
KEY = PrivateKey(bytes(31) + b"\x01")
BLOB = bytes(131_072)


def uints(bits: int) -> st.SearchStrategy[int]:
    """Small ones, great ones, and those around the edges of what takes another byte."""
    return st.integers(0, 2**bits - 1) | st.sampled_from([0, 127, 128, 255, 256, 2**bits - 1])


def sized(size: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=size, max_size=size)


HASHES, ADDRESSES, U64, U256 = sized(32), sized(20), uints(64), uints(256)
LATER: dict[str, st.SearchStrategy[Any]] = {
    "base_fee": U256,
    "withdrawals_root": HASHES,
    "blob_gas_used": U64,
    "excess_blob_gas": U64,
    "parent_beacon_root": HASHES,
    "requests_hash": HASHES,
    "access_list_hash": HASHES,
    "slot_number": U64,
}


@st.composite
def headers(draw: st.DrawFn) -> Header:
    count = draw(st.integers(0, len(LATER)))
    rest = draw(st.lists(st.sampled_from([b"\x80", b"\x07", b"\xc1\x01"]), max_size=2)) if count == len(LATER) else ()
    hashes = ("parent_hash", "ommers_hash", "state_root", "transactions_root", "receipts_root", "mix_digest")
    values: dict[str, Any] = {name: draw(HASHES) for name in hashes}
    values |= {name: draw(U64) for name in ("number", "gas_limit", "gas_used", "timestamp")}
    values |= {name: draw(LATER[name]) for name in [*LATER][:count]}
    return Header(
        coinbase=draw(ADDRESSES),
        bloom=draw(st.just(bytes(256)) | st.just(b"\xff" * 256)),
        difficulty=draw(U256),
        extra_data=draw(st.binary(max_size=60)),
        nonce=draw(sized(8)),
        rest=tuple(rest),
        **values,
    )


ACCESS_LISTS = st.lists(st.tuples(ADDRESSES, st.lists(HASHES, max_size=2).map(tuple)), max_size=2).map(tuple)
AUTHORIZATIONS = st.builds(Authorization, chain_id=U256, address=ADDRESSES, nonce=U64, y_parity=st.integers(0, 255), r=U256, s=U256)
SIDECARS = st.builds(
    Sidecar,
    st.integers(0, 1),
    st.lists(st.just(BLOB), max_size=1).map(tuple),
    st.lists(sized(48), max_size=2).map(tuple),
    st.lists(sized(48), max_size=3).map(tuple),
)


@st.composite
def transactions(draw: st.DrawFn, *, kind: int | None = None) -> Transaction:
    """Unsigned; of all types, unless one is asked for."""
    kind = draw(st.integers(0, 4)) if kind is None else kind
    fees: dict[str, Any] = {"gas_price": draw(U256)} if kind < 2 else {"max_fee": draw(U256), "max_priority_fee": draw(U256)}
    return Transaction(
        type=kind,
        chain_id=draw(uints(250)) if kind else draw(st.none() | uints(250)),
        nonce=draw(U64),
        gas_limit=draw(U64),
        to=draw(ADDRESSES if kind >= 3 else ADDRESSES | st.none()),
        value=draw(U256),
        data=draw(st.binary(max_size=100)),
        access_list=draw(ACCESS_LISTS) if kind else (),
        max_blob_fee=draw(U256) if kind == 3 else 0,
        blob_hashes=tuple(draw(st.lists(HASHES, max_size=2))) if kind == 3 else (),
        authorizations=tuple(draw(st.lists(AUTHORIZATIONS, max_size=2))) if kind == 4 else (),
        **fees,
    )


LOGS = st.builds(Log, ADDRESSES, st.lists(HASHES, max_size=4).map(tuple), st.binary(max_size=70))
RECEIPTS = st.builds(Receipt, st.integers(0, 127), st.sampled_from([b"", b"\x01"]) | HASHES, U64, st.lists(LOGS, max_size=3).map(tuple))


def changes(values: st.SearchStrategy[T]) -> st.SearchStrategy[tuple[tuple[int, T], ...]]:
    """Pairs of an index and a value, in the order of the indices."""
    return st.dictionaries(st.integers(0, 9), values, max_size=2).map(lambda found: tuple(sorted(found.items())))


@st.composite
def access_lists(draw: st.DrawFn) -> list[AccountChanges]:
    found: list[AccountChanges] = []
    for address in sorted(draw(st.sets(ADDRESSES, max_size=2))):
        slots = sorted(draw(st.sets(HASHES, max_size=4)))
        written = slots[: draw(st.integers(0, len(slots)))]
        storage = tuple((slot, draw(changes(HASHES).filter(len))) for slot in written)
        reads = tuple(slots[len(written) :])
        found.append(AccountChanges(address, storage, reads, draw(changes(U256)), draw(changes(U64)), draw(changes(st.binary(max_size=5)))))
    return found
