"""Decoding in steps: it gives what decoding at once gives, and however many items there are, none of its steps is long."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import pytest
import rlp as package
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rlp import sedes

from devp2p import rlp
from devp2p.errors import DecodingError
from devp2p.rlp.items import encode_list
from devp2p.rlp.steps import Steps, run
from tests.rlp.shapes import almost_rlp


@dataclass(frozen=True)
class Leaf:
    number: rlp.U64
    text: str = ""


@dataclass(frozen=True)
class Branch:
    leaves: tuple[Leaf, ...]
    numbers: rlp.Lazy[int] = rlp.Lazy()  # noqa: RUF009  (frozen)


@dataclass(frozen=True)
class Nested:
    rlp_nested: ClassVar[bool] = True
    request_id: rlp.U64
    branches: tuple[Branch, ...]
    hashes: tuple[rlp.Bytes32, ...] = ()


@dataclass(frozen=True)
class WithRest:
    first: tuple[int, tuple[bytes, ...]]
    rest: rlp.Rest = ()


@dataclass(frozen=True)
class Strict:
    rlp_strict: ClassVar[bool] = True
    lists: tuple[tuple[int, ...], ...]
    raw: rlp.Raw = b"\x80"


class Account(package.Serializable):  # type: ignore[misc] # the package has no types
    fields = (("nonce", sedes.big_endian_int), ("name", sedes.text))


class Group(package.Serializable):  # type: ignore[misc] # the package has no types
    fields = (("accounts", sedes.CountableList(Account)), ("pair", sedes.List([sedes.binary, sedes.raw])))


SCHEMAS: list[Any] = [
    Leaf,
    Branch,
    Nested,
    WithRest,
    Strict,
    Group,
    tuple[Group, ...],
    rlp.Lazy[Leaf],
    tuple[rlp.Lazy[bytes], ...],
    tuple[int, ...],
    Annotated[tuple[rlp.Bytes32, ...], rlp.MaxItems(3)],
    tuple[int, rlp.Lazy[int]],
    bytes,
]


def outcome(decode: Callable[[], Any]) -> tuple[Any, bool]:
    """The value, or that it was refused."""
    try:
        return decode(), True
    except DecodingError:
        return None, False


def count(tree: object) -> int:
    """How many items a tree has."""
    return 1 + sum(map(count, tree)) if isinstance(tree, list) else 1


def repeated(pair: tuple[Any, int]) -> list[Any]:
    """One tree many times, but no more than some thousands of items: repeated in one another they would be millions."""
    return [pair[0]] * min(pair[1], 1 + 3000 // count(pair[0]))


trees = st.recursive(
    st.binary(max_size=3) | st.integers(0, 300) | st.binary(min_size=32, max_size=32),
    lambda inner: st.lists(inner, max_size=5) | st.tuples(inner, st.integers(1, 300)).map(repeated),
    max_leaves=12,
)


@pytest.mark.parametrize("schema", SCHEMAS, ids=str)
@settings(max_examples=20)
@given(data=trees.map(rlp.encode) | almost_rlp)
@example(rlp.encode([[[1, "a"]] * 600, [5] * 1000]))
@example(rlp.encode([7, [[[[[1, "a"]] * 300, [5] * 700]] * 3, [b"h" * 32] * 1100]]))
@example(rlp.encode([[7, [b"b"] * 2000], *[b"rest"] * 2000]))
@example(rlp.encode([[[1] * 1000, [2] * 10, []], [b"raw"]]))
@example(rlp.encode([[[1, "a"]] * 700, [b"binary", [b"raw"]]]))
@example(rlp.encode([[1] * 1000] * 3))
@example(rlp.encode([5] * 70_000))
def test_it_gives_what_decoding_at_once_gives(schema, data):
    codec = rlp.codec(schema)
    assert outcome(lambda: run(codec.decode_in_steps(data))) == outcome(lambda: codec.decode(data))


def busiest_step(steps: Steps[Any]) -> tuple[int, int]:
    """How many calls the busiest step makes, and how many steps there are: a measure of work that no busy machine changes."""
    calls, most, count = [0], 0, 0

    def trace(_: object, event: str, __: object) -> None:
        calls[0] += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(trace)
    try:
        while True:
            calls[0] = 0
            next(steps)
            most, count = max(most, calls[0]), count + 1
    except (StopIteration, DecodingError):
        return max(most, calls[0]), count + 1
    finally:
        sys.setprofile(before)


LONG = b"\xb9\x01\x00" + bytes(256)
BOMBS: dict[str, tuple[Any, bytes]] = {
    "integers": (tuple[int, ...], encode_list(b"\x05" * 65_000)),
    "large integers": (tuple[int, ...], encode_list((b"\xa0" + b"\xff" * 32) * 20_000)),
    "too many integers": (tuple[int, ...], encode_list(b"\x05" * 1_000_000)),
    "hashes": (tuple[rlp.Bytes32, ...], encode_list((b"\xa0" + b"\xff" * 32) * 20_000)),
    "structs": (Branch, encode_list(encode_list(b"\xc2\x05\x05" * 13_000))),
    "structs in a nested list": (
        Nested,
        encode_list(b"\x05" + encode_list(encode_list(encode_list(encode_list(b"\xc2\x05\x05" * 13_000))))),
    ),
    "small lists of integers": (Strict, encode_list(encode_list(b"\xc5\x01\x02\x03\x04\x05" * 9_000))),
    "long lists of integers": (Strict, encode_list(encode_list(encode_list(b"\x05" * 6_000) * 9))),
    "a rest": (WithRest, encode_list(b"\xc2\x05\xc0" + b"\x05" * 65_000)),
    "ignored elements": (tuple[Leaf, ...], encode_list(encode_list(b"\x05" * 60) * 1000)),
    "a lazy list": (rlp.Lazy[int], encode_list(b"\x05" * 65_000)),
    "a lazy list of pairs": (rlp.Lazy[int], encode_list(b"\x82\xff\xff" * 65_000)),
    "a lazy list of long items": (rlp.Lazy[bytes], encode_list(LONG * 10_000)),
    "lazy lists": (tuple[rlp.Lazy[int], ...], encode_list(encode_list(b"\x82\xff\xff" * 10_000) * 10)),
    "many small lazy lists": (tuple[rlp.Lazy[bytes], ...], encode_list(encode_list(b"\xc1\x05" * 100) * 5_000)),
    "the rlp package": (Group, encode_list(encode_list(b"\xc2\x05\x05" * 5_000) + b"\xc2\x05\x05")),
    "an item of any kind in the rlp package": (Group, encode_list(b"\xc0" + encode_list(b"\x05" + encode_list(b"\x05" * 50_000)))),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_f15_no_step_is_long_whatever_the_bytes_are(bomb):
    schema, data = BOMBS[bomb]
    most, steps = busiest_step(rlp.codec(schema).decode_in_steps(data))
    assert most <= 4000, f"in one of {steps} steps"


def test_f15_control_decoding_at_once_is_one_long_step():
    def at_once() -> Steps[object]:
        yield
        return rlp.codec(tuple[int, ...]).decode(BOMBS["integers"][1])

    assert busiest_step(at_once())[0] > 100_000
