"""PCP, the Port Control Protocol (RFC 6887), as bytes (pure): MAP and ANNOUNCE.

It uses NAT-PMP's port. A server of NAT-PMP alone answers in version 0 that it does not know version 2, and is then asked by NAT-PMP
(section 9); a server of other versions names the highest that it knows. A mapping belongs to the nonce with which it was made: an answer
with another one is of somebody who did not see the question (section 11.4).
"""

import struct
from dataclasses import dataclass
from typing import Final

from devp2p.addresses import mapped, unmapped
from devp2p.errors import DecodingError

VERSION: Final = 2
NONCE_SIZE: Final = 12
MAX_SIZE: Final = 1100
ANNOUNCE, MAP = 0, 1
"""Opcodes; an answer has the highest bit set."""
UNSUPPORTED_VERSION: Final = 1
RESULTS: Final = {
    0: "success",
    1: "unsupported version",
    2: "not authorized",
    3: "malformed request",
    4: "unsupported opcode",
    5: "unsupported option",
    6: "malformed option",
    7: "network failure",
    8: "no resources",
    9: "unsupported protocol",
    10: "the user has as many mappings as may be",
    11: "cannot provide the external address",
    12: "our address is not the one that the router sees: there is another NAT before it",
    13: "excessive remote peers",
}
_ANSWER: Final = 128


@dataclass(frozen=True, slots=True)
class Answer:
    """The head of an answer, and of MAP what it says of the mapping."""

    version: int
    opcode: int
    result: int
    lifetime: int
    """Seconds: of the mapping, or of the error."""
    epoch: int
    mapping: "Mapping | None"


@dataclass(frozen=True, slots=True)
class Mapping:
    """What the router says of a mapping."""

    nonce: bytes
    protocol: int
    """As IP has it: 6 is TCP, 17 UDP."""
    internal: int
    external: int
    address: bytes
    """The external address, 4 or 16 bytes."""


def _head(opcode: int, lifetime: int, client: bytes) -> bytes:
    return struct.pack("!BBHI16s", VERSION, opcode, 0, lifetime, mapped(client))


def ask_announce(client: bytes) -> bytes:
    """Ask for nothing but the epoch. `client` is our own address in 4 or 16 bytes."""
    return _head(ANNOUNCE, 0, client)


def ask_mapping(  # noqa: PLR0913, PLR0917  (the fields of the message, in their order)
    client: bytes, nonce: bytes, protocol: int, internal: int, external: int, suggested: bytes, lifetime: int
) -> bytes:
    """A wish for a mapping; a `lifetime` of 0 removes it. `suggested` is an external address in 4 or 16 bytes, all zero for any."""
    body = struct.pack("!12sB3xHH16s", nonce, protocol, internal, external, mapped(suggested))
    return _head(MAP, lifetime, client) + body


def decode(data: bytes) -> Answer:
    """Read an answer of PCP, or the one of NAT-PMP that says that it knows no other version; DecodingError for anything else."""
    if len(data) > MAX_SIZE or len(data) < 4:
        raise DecodingError(f"an answer of PCP with {len(data)} bytes")
    version, opcode = data[0], data[1]
    if version == 0:
        return _of_version_0(data)
    if len(data) < 24 or len(data) % 4:
        raise DecodingError(f"an answer of PCP with {len(data)} bytes")
    if opcode < _ANSWER:
        raise DecodingError("a question of PCP instead of an answer")
    _, _, _, result, lifetime, epoch = struct.unpack_from("!BBBBII", data)
    kind = opcode - _ANSWER
    if version != VERSION:
        if result == UNSUPPORTED_VERSION:
            return Answer(version, kind, result, lifetime, epoch, None)
        raise DecodingError(f"an answer of PCP's version {version}, where {VERSION} was asked")
    if kind == ANNOUNCE:
        return Answer(version, kind, result, lifetime, epoch, None)
    if kind != MAP:
        raise DecodingError(f"PCP's answer to an unknown question, {kind}")
    if len(data) < 60:
        if result == 0:
            raise DecodingError(f"a mapping in {len(data)} bytes")
        return Answer(version, kind, result, lifetime, epoch, None)
    nonce, protocol, internal, external, address = struct.unpack_from("!12sB3xHH16s", data, 24)
    return Answer(version, kind, result, lifetime, epoch, Mapping(nonce, protocol, internal, external, unmapped(address)))


def _of_version_0(data: bytes) -> Answer:
    """A server of NAT-PMP answers what it does not understand with its result 1 (RFC 6886, section 3.5)."""
    (result,) = struct.unpack_from("!H", data, 2)
    if data[1] < _ANSWER or result != UNSUPPORTED_VERSION:
        raise DecodingError("an answer of NAT-PMP, where PCP was asked")
    epoch = struct.unpack_from("!I", data, 4)[0] if len(data) >= 8 else 0
    return Answer(0, data[1] - _ANSWER, result, 0, epoch, None)


def result_text(code: int) -> str:
    """A result for people."""
    return RESULTS.get(code, f"result {code}, which RFC 6887 does not know")
