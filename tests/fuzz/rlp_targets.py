"""Fuzz targets for RLP: with a schema, without one, and lazy."""

import contextlib
from dataclasses import dataclass
from typing import Annotated, ClassVar

from devp2p import rlp
from devp2p.errors import DecodingError
from devp2p.rlp.steps import run


@dataclass(frozen=True)
class Inner:
    """A strict list inside of others."""

    rlp_strict: ClassVar[bool] = True
    number: rlp.U64
    name: str
    flag: bool
    late: rlp.Bytes4 | None = None


@dataclass(frozen=True)
class Everything:
    """One field of each kind, all strict, so that every value has one encoding."""

    rlp_strict: ClassVar[bool] = True
    number: int
    small: rlp.U8
    odd: Annotated[int, rlp.Bits(12)]
    some: Annotated[bytes, rlp.MaxLength(40)]
    four: rlp.Bytes4
    one: Annotated[bytes, rlp.Length(1)]
    pair: tuple[int, bytes]
    inner: Inner
    many: tuple[Inner, ...]
    hashes: tuple[rlp.Bytes4, ...]
    raw: rlp.Raw
    lazy: rlp.Lazy[Inner]
    optional: rlp.U64 | None = None
    rest: rlp.Rest = ()


@dataclass(frozen=True)
class Nested:
    """The shape of eth's requests."""

    rlp_strict: ClassVar[bool] = True
    rlp_nested: ClassVar[bool] = True
    request_id: rlp.U64
    start: rlp.U64
    reverse: bool
    extra: bytes | None = None


def fuzz_rlp_decode(data: bytes) -> None:
    # What decodes encodes to the same bytes; all else is a DecodingError; splitting agrees with decoding.
    for split in (rlp.split_uint, rlp.first_uint, rlp.split_item):
        with contextlib.suppress(DecodingError):
            split(data)
    try:
        value = rlp.decode(data)
    except DecodingError:
        return
    assert rlp.encode(value) == data
    assert rlp.split_item(data) == (data, len(data))
    if isinstance(value, tuple) and value and isinstance(value[0], bytes) and len(value[0]) <= 8 and value[0][:1] != b"\x00":
        assert rlp.first_uint(data) == int.from_bytes(value[0])


def fuzz_rlp_typed(data: bytes) -> None:
    # What a strict class decodes encodes to the same bytes, and decodes from those to an equal value; so it does in steps.
    for cls in (Everything, Inner, Nested):
        codec = rlp.codec(cls)
        in_steps: object = None
        with contextlib.suppress(DecodingError):
            in_steps = run(codec.decode_in_steps(data))
        try:
            value = codec.decode(data)
        except DecodingError:
            assert in_steps is None
            continue
        assert in_steps == value
        assert codec.encode(value) == data
        assert codec.decode(memoryview(data)) == value


def fuzz_rlp_lazy(data: bytes) -> None:
    # A lazy list is accepted if its items' heads tile it; it counts them right, finds each, and writes the same bytes back.
    codec = rlp.codec(rlp.Lazy[bytes])
    try:
        lazy = codec.decode(data)
    except DecodingError:
        return
    assert codec.encode(lazy) == data
    encodings = list(lazy.encodings())
    assert len(encodings) == len(lazy)
    try:
        values = list(lazy)
    except DecodingError:
        return
    assert [lazy[index] for index in range(len(lazy))] == values
    assert codec.encode(rlp.Lazy(values)) == data
    assert lazy == values
