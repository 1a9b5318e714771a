"""What type checkers know about codecs; run, these lines hold as well."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import assert_type

from devp2p import rlp


@dataclass(frozen=True)
class Header:
    number: rlp.U64


@dataclass(frozen=True)
class Headers:
    request_id: rlp.U64
    headers: rlp.Lazy[Header]


def test_types_follow_the_schema() -> None:
    codec = assert_type(rlp.codec(Headers), rlp.Codec[Headers])
    sent = Headers(1, rlp.Lazy([Header(5)]))
    received = assert_type(codec.decode(codec.encode(sent)), Headers)
    assert_type(received.headers[0], Header)
    assert_type(received.headers[:1], tuple[Header, ...])
    assert_type(received.headers.encodings(), Iterator[bytes])
    headers: Sequence[Header] = received.headers
    assert [header.number for header in headers] == [5]
