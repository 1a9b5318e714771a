"""STUN (RFC 8489): which address a server sees us at. The codec is aioice's; sending, and what is believed, is ours."""

import secrets
import socket
import struct
from collections import Counter
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Final

import trio

from devp2p.addresses import Endpoint, pack_ip
from devp2p.errors import DecodingError
from devp2p.nat.asking import Questions
from devp2p.nat.leases import NatError

SERVERS: Final = (
    ("stun.l.google.com", 19302),
    ("stun.cloudflare.com", 3478),
    ("stun.nextcloud.com", 3478),
    ("global.stun.twilio.com", 3478),
)
"""Servers that anybody may ask, of different owners. A server sees our address, as any web page does."""
AGREEING: Final = 2
"""So many of several servers have to say the same."""
WAITS: Final = (0.5, 1.0, 2.0, 4.0)
"""Seconds to wait after each question: the beginning of RFC 8489, section 6.2.1, which goes on to 39.5 s."""
_RESOLVE_SECONDS: Final = 5.0
_ID_SIZE: Final = 12


def is_installed() -> bool:
    """Whether aioice is there."""
    return find_spec("aioice") is not None


def ask_binding(transaction: bytes) -> bytes:
    """A Binding request with a transaction id of 12 bytes."""
    from aioice import stun  # noqa: PLC0415  (an extra)

    return bytes(stun.Message(stun.Method.BINDING, stun.Class.REQUEST, transaction))


def decode(data: bytes, transaction: bytes) -> Endpoint:
    """Where the server saw us, by its answer to one request; DecodingError for anything else, NatError for its refusal."""
    from aioice import stun  # noqa: PLC0415  (an extra)

    try:
        message = stun.parse_message(data)
        if message.transaction_id != transaction or message.message_method != stun.Method.BINDING:
            raise DecodingError("an answer to another question")
        if message.message_class == stun.Class.ERROR:
            raise NatError(f"STUN: the server refuses, with error {message.attributes.get('ERROR-CODE', (0,))[0]}")
        if message.message_class != stun.Class.RESPONSE:
            raise DecodingError("no answer of STUN")
        found = message.attributes.get("XOR-MAPPED-ADDRESS") or message.attributes.get("MAPPED-ADDRESS")
    except (ValueError, KeyError, IndexError, struct.error, TypeError) as error:
        raise DecodingError(f"no message of STUN: {type(error).__name__}") from None
    if found is None:
        raise DecodingError("an answer of STUN without an address")
    host, port = found
    return Endpoint(pack_ip(host), int(port))


async def ask(host: str, port: int, *, waits: Sequence[float] = WAITS) -> Endpoint:
    """Ask one server, given by IP address or name, where it sees us; NatError if it does not say."""
    if not is_installed():
        raise NatError("STUN needs a package that is not installed: pip install 'trio-devp2p[nat]'")
    try:
        with trio.fail_after(_RESOLVE_SECONDS):
            found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except trio.TooSlowError:
        raise NatError(f"STUN: {host} has no address within {_RESOLVE_SECONDS:g} s") from None
    except (OSError, UnicodeError) as error:
        raise NatError(f"STUN: {host}: {getattr(error, 'strerror', None) or 'no such name'}") from None
    # The external address of IPv4 is what a NAT hides; that of IPv6 we mostly know ourselves.
    where = min(found, key=lambda each: each[0] != socket.AF_INET)[4]
    transaction = secrets.token_bytes(_ID_SIZE)
    with await Questions.open(str(where[0]), port, f"STUN at {host}:{port}") as questions:
        return await questions.ask(ask_binding(transaction), lambda data: decode(data, transaction), waits)


async def ask_several(servers: Sequence[tuple[str, int]] = ()) -> bytes:
    """The external address, packed, on which servers agree: two of several, or the one that the user has named; NatError if none do."""
    asked = [*servers] or [*SERVERS]
    needed = min(AGREEING, len(asked))
    votes: Counter[bytes] = Counter()
    problems: list[str] = []
    async with trio.open_nursery() as nursery:

        async def ask_one(host: str, port: int) -> None:
            try:
                seen = await ask(host, port)
            except NatError as error:
                problems.append(str(error))
                return
            votes[seen.ip] += 1
            if votes[seen.ip] >= needed:
                nursery.cancel_scope.cancel()

        for host, port in asked:
            nursery.start_soon(ask_one, host, port)
    for ip, count in votes.most_common(1):
        if count >= needed:
            return ip
    raise NatError("; ".join(problems) or "STUN: the servers do not agree")
