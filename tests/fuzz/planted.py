"""A target with a defect, by which the fuzzers are shown to find one; it is in no list."""

import os

from devp2p import rlp
from devp2p.errors import DecodingError


def fuzz_planted(data: bytes) -> None:
    # A decoder that believes in an element without looking: a list that begins with a list is too much for it.
    try:
        value = rlp.decode(data)
    except DecodingError:
        return
    if isinstance(value, tuple) and value and isinstance(value[0], tuple):
        raise IndexError("planted")


def fuzz_endless(data: bytes) -> None:
    while data[:1] == b"\xc0":
        pass


def fuzz_greedy(data: bytes) -> None:
    # It allocates what is announced.
    if len(data) > 2:
        bytearray(int.from_bytes(data[:1]) << 24)


def fuzz_fatal(data: bytes) -> None:
    if data[:1] == b"\xc0":
        os._exit(3)
