"""Nodes of tries: one encoding each."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devp2p import DecodingError, rlp
from devp2p.capabilities.ethereum.tries.nodes import Branch, Extension, Leaf, read_node, read_path, write_extension, write_leaf

PATHS = st.text("0123456789abcdef", max_size=66)
REFERENCES = st.binary(min_size=32, max_size=32).map(lambda hash_: b"\xa0" + hash_) | st.builds(
    write_leaf, PATHS.map(lambda path: path[:9]), st.binary(max_size=9)
)


@given(PATHS, st.binary(max_size=300))
def test_leaves(path, value):
    assert read_node(write_leaf(path, value)) == Leaf(path, value)


@given(PATHS.filter(bool), REFERENCES)
def test_extensions(path, child):
    assert read_node(write_extension(path, child)) == Extension(path, child)


@given(st.lists(REFERENCES | st.just(b"\x80"), min_size=16, max_size=16), st.binary(max_size=60))
def test_branches(children, value):
    assert read_node(rlp.encode_list(b"".join(children) + rlp.encode(value))) == Branch(tuple(children), value)


def test_paths_as_published():
    """Yellow paper, appendix C; the cases of go-ethereum's TestHexCompact."""
    for compact, is_leaf, nibbles in (
        ("00", False, ""),
        ("20", True, ""),
        ("112345", False, "12345"),
        ("00012345", False, "012345"),
        ("3f1cb8", True, "f1cb8"),
        ("200f1cb8", True, "0f1cb8"),
    ):
        assert read_path(bytes.fromhex(compact)) == (is_leaf, nibbles)


BAD = {
    "nothing": b"",
    "a string": rlp.encode(b"node"),
    "no items": b"\xc0",
    "one item": rlp.encode([b"\x20"]),
    "three items": rlp.encode([b"\x20", b"", b""]),
    "sixteen items": rlp.encode([b""] * 16),
    "eighteen items": rlp.encode([b""] * 18),
    "many items": rlp.encode([b""] * 9999),
    "something behind it": write_leaf("12", b"value") + b"\x80",
    "cut": write_leaf("12", b"value")[:-1],
    "a leaf without a path's head": rlp.encode([b"", b"value"]),
    "a path of an unknown kind": rlp.encode([b"\x40", b"value"]),
    "padding in an even path": rlp.encode([b"\x21\x11", b"value"]),
    "a path that is a list": rlp.encode([[b"\x20"], b"value"]),
    "a value that is a list": rlp.encode([b"\x20", [b"value"]]),
    "an extension without a path": rlp.encode([b"\x00", bytes(32)]),
    "an extension that leads nowhere": rlp.encode([b"\x11", b""]),
    "a reference too short": rlp.encode([b"\x11", bytes(31)]),
    "a reference too long": rlp.encode([b"\x11", bytes(33)]),
    "a reference of one byte": rlp.encode([b"\x11", b"\x01"]),
    "an embedded node of 32 bytes": rlp.encode([b"\x11", [b"\x20", bytes(29)]]),
    "a branch with a short reference": rlp.encode([b"\x01", *[b""] * 16]),
    "a branch whose value is a list": rlp.encode([*[b""] * 16, []]),
    "a length that could be shorter": b"\xf8\x02\x20\x01",
    "a hash past its end": b"\xc2\x11\xa0",
    "a value past its end": b"\xc5\x20\xa0abc",
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_node_is_refused(name):
    with pytest.raises(DecodingError):
        read_node(BAD[name])
