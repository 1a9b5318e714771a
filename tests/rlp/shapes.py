"""What the tests of RLP share: values, bytes that are nearly right, and bytes that are wrong in known ways."""

from hypothesis import strategies as st

trees = st.recursive(st.binary(max_size=70) | st.integers(0, 2**256 - 1), lambda inner: st.lists(inner, max_size=6), max_leaves=30)
"""Values that encode without a schema."""

_bytes_of_interest = st.sampled_from(
    [0x00, 0x01, 0x37, 0x38, 0x7F, 0x80, 0x81, 0x82, 0xB7, 0xB8, 0xB9, 0xBF, 0xC0, 0xC1, 0xC2, 0xC3, 0xF7, 0xF8, 0xF9, 0xFF]
)
almost_rlp = st.lists(_bytes_of_interest, max_size=24).map(bytes) | st.binary(max_size=80)
"""Bytes that are RLP often enough, and wrong in all ways."""

_BAD_HEADS = {
    "zero byte with a head": "8100",
    "small byte with a head": "817f",
    "string head alone": "81",
    "string past the end": "83aabb",
    "55 bytes missing": "b7",
    "long string head alone": "b8",
    "long head of an empty string": "b800",
    "long head of 55 bytes": "b837" + "61" * 55,
    "length with a leading zero": "b90038" + "61" * 56,
    "length of nothing but zeros": "b90000",
    "long string past the end": "b838" + "61" * 55,
    "length cut off": "b901",
    "string of 2**64 - 1 bytes": "bf" + "ff" * 8,
    "string of 2**63 bytes": "bf80" + "00" * 7,
    "string whose end wraps around 2**64": "bf" + "ff" * 7 + "f7" + "61" * 60,
    "string of 2**32 bytes": "bb" + "ff" * 4,
    "list head alone": "c1",
    "list past the end": "c3aabb",
    "long list head alone": "f8",
    "long head of an empty list": "f800",
    "long head of a list of 55 bytes": "f837" + "61" * 55,
    "list length with a leading zero": "f90038" + "61" * 56,
    "long list past the end": "f838" + "61" * 55,
    "list length cut off": "f901",
    "list of 2**64 - 1 bytes": "ff" + "ff" * 8,
    "list of 2**63 bytes": "ff80" + "00" * 7,
    "list whose end wraps around 2**64": "ff" + "ff" * 7 + "f7" + "61" * 60,
}
_BAD_WITHIN = {
    "nothing": "",
    "small byte with a head, in a list": "c28105",
    "string beyond its list": "c28380",
    "list beyond its list": "c2c280",
    "long string beyond its list": "c4b838" + "61" * 56,
    "long list beyond its list": "c4f838" + "61" * 56,
    "huge string in a list": "cabf" + "ff" * 8 + "80",
    "list that ends inside a head": "c1b8" + "38" + "61" * 56,
    "bytes after a byte": "0001",
    "bytes after a string": "8080",
    "bytes after a list": "c000",
    "two lists": "c0c0",
}
BAD_HEADS = {name: bytes.fromhex(encoding) for name, encoding in _BAD_HEADS.items()}
"""Items that are wrong by their own head, wherever they stand."""
BAD_ITEMS = BAD_HEADS | {name: bytes.fromhex(encoding) for name, encoding in _BAD_WITHIN.items()}
"""The ways in which encodings are wrong; `ethereum/tests` has the same in `invalidRLPTest.json`."""
