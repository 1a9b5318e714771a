"""NAT-PMP (RFC 6886), as bytes (pure): what is asked of a router, and what it answers.

Every message goes to UDP port 5351 of the default gateway. A router that has started again, or has another external address, tells
everybody who listens at port 5350 (section 3.2.1).
"""

import struct
from dataclasses import dataclass
from typing import Final

from devp2p.errors import DecodingError

VERSION: Final = 0
PORT: Final = 5351
ANNOUNCED_TO: Final = "224.0.0.1"
ANNOUNCED_AT: Final = 5350
EXTERNAL, MAP_UDP, MAP_TCP = 0, 1, 2
"""Opcodes; an answer has 128 more."""
UNSUPPORTED_VERSION: Final = 1
RESULTS: Final = {
    0: "success",
    1: "unsupported version",
    2: "refused by the router's owner (not authorized)",
    3: "the router has no external address (network failure)",
    4: "out of resources",
    5: "unsupported opcode",
}
_ANSWER: Final = 128


@dataclass(frozen=True, slots=True)
class External:
    """The router's external address; `address` has 4 bytes, and is empty where `result` is not 0."""

    result: int
    epoch: int
    """Seconds since the router's table of mappings was empty."""
    address: bytes


@dataclass(frozen=True, slots=True)
class Mapped:
    """A mapping that was made, or removed; the ports are 0 where `result` is not 0 and the router did not name them."""

    opcode: int
    result: int
    epoch: int
    internal: int
    external: int
    lifetime: int


def ask_external() -> bytes:
    """The question for the external address."""
    return bytes((VERSION, EXTERNAL))


def ask_mapping(opcode: int, internal: int, external: int, lifetime: int) -> bytes:
    """A wish for a mapping: ports, of which `external` is a suggestion, and seconds. A lifetime of 0 removes it."""
    return struct.pack("!BBHHHI", VERSION, opcode, 0, internal, external, lifetime)


def decode(data: bytes) -> External | Mapped:
    """Read an answer; DecodingError for anything else, an answer of PCP included."""
    if len(data) < 8:
        raise DecodingError(f"an answer of NAT-PMP with {len(data)} bytes")
    version, opcode, result, epoch = struct.unpack_from("!BBHI", data)
    if version != VERSION:
        raise DecodingError(f"an answer of version {version}, which is not NAT-PMP")
    if opcode < _ANSWER:
        raise DecodingError(f"NAT-PMP's question {opcode} instead of an answer")
    kind = opcode - _ANSWER
    if kind == EXTERNAL:
        if result == 0 and len(data) < 12:
            raise DecodingError(f"an external address in {len(data)} bytes")
        return External(result, epoch, data[8:12] if result == 0 else b"")
    if kind not in {MAP_UDP, MAP_TCP}:
        raise DecodingError(f"NAT-PMP's answer to an unknown question, {kind}")
    if len(data) < 16:
        if result == 0:
            raise DecodingError(f"a mapping in {len(data)} bytes")
        return Mapped(kind, result, epoch, 0, 0, 0)
    return Mapped(kind, result, epoch, *struct.unpack_from("!HHI", data, 8))


def result_text(code: int) -> str:
    """A result for people."""
    return RESULTS.get(code, f"result {code}, which RFC 6886 does not know")
