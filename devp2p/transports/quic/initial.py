"""What is done with the first datagram of a connection before there is one: it is read, and perhaps answered, without keeping anything."""

import os
from dataclasses import dataclass
from typing import Final

from aioquic._buffer import Buffer
from aioquic.quic.crypto import CryptoPair
from aioquic.quic.packet import (
    QuicErrorCode,
    QuicFrameType,
    QuicPacketType,
    encode_quic_retry,
    encode_quic_version_negotiation,
    pull_quic_header,
)
from aioquic.quic.packet_builder import QuicPacketBuilder
from aioquic.quic.retry import QuicRetryTokenHandler

from devp2p.transports.quic.core import CID, LEAST_INITIAL, VERSIONS
from devp2p.transports.sockets import Name

_LONG: Final = 0x80  # the bit of the first byte that marks a packet of a handshake
_LEAST_CID: Final = 8  # bytes of the destination that a client draws (RFC 9000, section 7.2)


@dataclass(frozen=True, slots=True)
class Initial:
    """The first packet of a client, of which nothing is proved."""

    version: int
    destination: bytes
    source: bytes
    token: bytes

    @property
    def is_known(self) -> bool:
        """Whether we speak its version."""
        return self.version in VERSIONS


def destination_of(data: bytes) -> bytes | None:
    """The connection id that a datagram is for, as far as one can see; None for what is no packet of QUIC."""
    if not data:
        return None
    if not data[0] & _LONG:
        return data[1 : 1 + CID] if len(data) > 1 + CID else None
    if len(data) < 7 or len(data) < 6 + data[5]:
        return None
    return data[6 : 6 + data[5]]


def read_initial(data: bytes) -> Initial | None:
    """The Initial that a datagram begins with, of any version that is no answer; None if it is not one that may begin a connection."""
    if len(data) < LEAST_INITIAL or not data[0] & _LONG:
        return None
    version = int.from_bytes(data[1:5])
    try:
        if version and version not in VERSIONS:  # only what no version changes is looked at (RFC 8999)
            buf = Buffer(data=data[5:])
            destination, source = buf.pull_bytes(buf.pull_uint8()), buf.pull_bytes(buf.pull_uint8())
            return Initial(version, destination, source, b"")
        header = pull_quic_header(Buffer(data=data), host_cid_length=CID)
    except ValueError:
        return None
    if header.packet_type is not QuicPacketType.INITIAL or header.version is None or len(header.destination_cid) < _LEAST_CID:
        return None
    return Initial(header.version, header.destination_cid, header.source_cid, header.token)


def other_versions(initial: Initial) -> bytes:
    """The answer to one of a version that we do not speak: a fraction of what came."""
    return encode_quic_version_negotiation(initial.destination, initial.source, list(VERSIONS))


class Tokens:
    """Retries, and the tokens in them, by which clients prove that they are where they say; nothing is kept of them here."""

    def __init__(self) -> None:
        self._handler = QuicRetryTokenHandler()

    def retry(self, initial: Initial, name: Name, now: float) -> bytes:
        """The answer that asks a client to come again with a token: a fraction of what came."""
        source = os.urandom(CID)
        token = self._handler.create_token(
            address=name, original_destination_connection_id=initial.destination, retry_source_connection_id=source, now=now
        )
        return encode_quic_retry(
            version=initial.version,
            source_cid=source,
            destination_cid=initial.source,
            original_destination_cid=initial.destination,
            retry_token=token,
        )

    def original(self, initial: Initial, name: Name, now: float) -> bytes | None:
        """The destination of the client's first Initial, if it has come again with a token of ours for its address; else None."""
        if not initial.token:
            return None
        try:
            return self._handler.validate_token(address=name, destination_cid=initial.destination, token=initial.token, now=now)
        except ValueError:
            return None


def refusal(initial: Initial) -> bytes:
    """A close that tells a client that it will not be served, so that it need not wait; it costs keys, but none on a curve."""
    pair = CryptoPair()
    pair.setup_initial(cid=initial.destination, is_client=False, version=initial.version)
    builder = QuicPacketBuilder(
        host_cid=os.urandom(CID), peer_cid=initial.source, version=initial.version, is_client=False, max_datagram_size=LEAST_INITIAL
    )
    builder.start_packet(QuicPacketType.INITIAL, pair)
    buf = builder.start_frame(QuicFrameType.TRANSPORT_CLOSE, capacity=4)
    buf.push_uint_var(QuicErrorCode.CONNECTION_REFUSED)
    buf.push_uint_var(QuicFrameType.PADDING)
    buf.push_uint_var(0)
    datagrams, _ = builder.flush()
    return datagrams[0]
