"""aioquic's connection, with what it lacks: the only module that knows its inner names (tests/transports/test_quic_core.py holds them).

What is added, each by a name that aioquic keeps to itself:

* A server asks for the client's certificate, and both sides can read the peer's.
* Windows. aioquic lets a peer send twice as much whenever half of a window has come, whether or not anybody has read it. Here a stream's
  window moves as it is read (`credit`), so what a peer can make us keep is bounded. There is no window for the connection as a whole,
  since that of each stream, and their number, are bounds already, and it would let one stream hold up the others.
* Streams. aioquic lets a peer open one more for each that is over, whether or not anybody has seen it. Here it has to be accepted as well.
* Bounds on what comes in pieces: how far ahead of the first missing byte of a handshake, and in how many pieces, since aioquic makes room
  for all that is missing, and looks for the place of a piece from the first one on.
* How much waits to be sent, whether a stream can be opened, whether the connection ends.
"""

# pyright: reportPrivateUsage=false

import logging
import ssl
from typing import Final

from aioquic._buffer import Buffer
from aioquic.quic.configuration import SMALLEST_MAX_DATAGRAM_SIZE, QuicConfiguration
from aioquic.quic.connection import END_STATES, Limit, QuicConnection, QuicConnectionError, QuicConnectionState, QuicReceiveContext
from aioquic.quic.packet import QuicErrorCode, QuicFrameType, QuicProtocolVersion, pull_quic_transport_parameters
from aioquic.quic.packet_builder import QuicPacketBuilder
from aioquic.quic.recovery import QuicPacketSpace
from aioquic.quic.stream import QuicStream
from cryptography.hazmat.primitives.serialization import Encoding

from devp2p.transports.certificates import NodeCertificate

ALPN: Final = "devp2p/1"
LEAST_INITIAL: Final = SMALLEST_MAX_DATAGRAM_SIZE
"""Bytes of a datagram that may begin a connection (RFC 9000, section 14.1)."""
CID: Final = 8
"""Bytes of our connection ids."""
STREAMS: Final = 64
"""Streams that a peer may have open at once."""
UNACCEPTED: Final = 64 * 1024
"""Bytes that a peer may send on a stream which nobody has accepted."""
WINDOW: Final = 1 << 20
"""Bytes that it may send on any other before somebody reads them."""
IDLE: Final = 30.0
"""Seconds of silence after which a peer is gone."""
_PIECES: Final = 512  # of one stream that are here while something before them is missing
_AHEAD: Final = 32 * 1024  # bytes of a handshake that may come before others that are missing
_FOR_EVER: Final = 1 << 60
_MOST_UDP: Final = 65527  # bytes, if the peer says nothing
_MAX_STREAM_DATA: Final = 1 + 8 + 8  # bytes of the frame
VERSIONS: Final = (int(QuicProtocolVersion.VERSION_1),)
"""What is spoken; each further one would cost keys of its own for every stranger that begins."""
_BAD_CERTIFICATE: Final = QuicErrorCode.CRYPTO_ERROR + 42  # the alert of TLS

logging.getLogger("quic").setLevel(logging.CRITICAL)  # it warns of whatever a stranger does

INNER: Final = (
    "_close_event",
    "_crypto_buffers",
    "_crypto_streams",
    "_get_or_create_stream_for_send",
    "_handle_crypto_frame",
    "_initialize",
    "_local_max_stream_data_bidi_remote",
    "_local_max_streams_bidi",
    "_local_max_streams_uni",
    "_local_next_stream_id_bidi",
    "_loss",
    "_max_datagram_size",
    "_on_max_stream_data_delivery",
    "_parse_transport_parameters",
    "_remote_max_streams_bidi",
    "_state",
    "_streams",
    "_write_stream_limits",
)
"""What is used of aioquic's connections beside what is public."""


def configuration_for(own: NodeCertificate, *, is_client: bool) -> QuicConfiguration:
    """How connections are to be, with our certificate; what the peer's is worth is judged by `Core.certificates`."""
    return QuicConfiguration(
        alpn_protocols=[ALPN],
        is_client=is_client,
        certificate=own.certificate,
        private_key=own.key,
        verify_mode=ssl.CERT_NONE,
        connection_id_length=CID,
        idle_timeout=IDLE,
        max_data=_FOR_EVER,
        max_stream_data=WINDOW,
        supported_versions=list(VERSIONS),
    )


class _PeersStreams(Limit):
    """How many streams a peer may have opened so far: `STREAMS` beside those that are over, and beside those that were accepted."""

    def __init__(self) -> None:
        self.accepted = 0
        self._beside_ended = STREAMS
        super().__init__(QuicFrameType.MAX_STREAMS_BIDI, "max_streams_bidi", STREAMS)

    @property
    def value(self) -> int:
        """As aioquic reads it; what it adds to it is the number of those that are over."""
        return min(self._beside_ended, self.accepted + STREAMS)

    @value.setter
    def value(self, value: int) -> None:
        self._beside_ended += value - self.value


class Core(QuicConnection):
    """One connection, without a socket or a clock."""

    def __init__(self, configuration: QuicConfiguration, *, original: bytes | None = None, retried: bytes | None = None) -> None:
        """A server gives the destination id of the client's first Initial as `original`, and that of its own Retry if it sent one."""
        super().__init__(configuration=configuration, original_destination_connection_id=original, retry_source_connection_id=retried)
        self._local_max_stream_data_bidi_remote = UNACCEPTED
        self._local_max_streams_bidi = self._peers_streams = _PeersStreams()
        self._local_max_streams_uni.value = self._local_max_streams_uni.sent = 0

    # What it says of itself

    @property
    def has_begun(self) -> bool:
        """Whether anything that the peer sent could be read."""
        return self._state is not QuicConnectionState.FIRSTFLIGHT

    @property
    def certificates(self) -> list[bytes]:
        """What the peer has sent to prove itself, as DER: all certificates, of which the first has signed the handshake."""
        first = self.tls._peer_certificate  # noqa: SLF001  (see above)
        chain = self.tls._peer_certificate_chain  # noqa: SLF001
        return [] if first is None else [one.public_bytes(Encoding.DER) for one in (first, *chain)]

    @property
    def alpn(self) -> str | None:
        """The protocol that the two sides agreed on."""
        return self.tls.alpn_negotiated

    @property
    def end(self) -> tuple[int, str] | None:
        """Once it ends, by whichever side: the error code and the reason; None before."""
        event = self._close_event
        return None if event is None else (event.error_code, event.reason_phrase)

    @property
    def is_dead(self) -> bool:
        """Whether nothing more will be sent."""
        return self._state in END_STATES

    # Streams

    @property
    def may_open(self) -> bool:
        """Whether the peer allows one more stream."""
        return self._local_next_stream_id_bidi // 4 < self._remote_max_streams_bidi

    def accepted(self) -> None:
        """A stream that the peer has opened is in somebody's hands."""
        self._peers_streams.accepted += 1

    def begin_stream(self) -> int:
        """Open a stream, which `may_open` allows, and give its number."""
        number = self.get_next_available_stream_id()
        self._get_or_create_stream_for_send(number)
        return number

    def has(self, number: int) -> bool:
        """Whether a stream is not over on both sides."""
        return number in self._streams

    def unsent(self, number: int) -> tuple[int, int]:
        """Bytes of a stream that were never sent, and all that the peer has not confirmed, these among them."""
        stream = self._streams.get(number)
        if stream is None:
            return 0, 0
        held = len(stream.sender._buffer)  # noqa: SLF001
        return max(0, stream.sender._buffer_stop - stream.sender.highest_offset), held  # noqa: SLF001

    def may_send(self, number: int) -> bool:
        """Whether anything can be sent on a stream of ours or the peer's still: neither side has reset that direction."""
        stream = self._streams.get(number)
        return stream is not None and stream.sender._reset_error_code is None and not stream.sender.is_finished  # noqa: SLF001

    def credit(self, number: int, upto: int) -> bool:
        """Let the peer send the bytes of a stream up to an offset; tells whether that is more than before."""
        stream = self._streams.get(number)
        if stream is None or stream.receiver.is_finished or upto <= stream.max_stream_data_local:
            return False
        stream.max_stream_data_local = upto
        return True

    def stop(self, number: int) -> None:
        """Want nothing more of a stream."""
        stream = self._streams.get(number)
        if stream is not None and not stream.receiver.is_finished:
            self.stop_stream(number, 0)

    @property
    def is_in_pieces(self) -> bool:
        """Whether a peer sends so that it costs much to put it together."""
        return any(len(stream.receiver._ranges) > _PIECES for stream in self._streams.values())  # noqa: SLF001

    # Datagrams

    def enlarge_datagrams(self, size: int) -> None:
        """Send datagrams of up to `size` bytes, where the way carries them."""
        wanted = min(size, self.most_taken)
        if wanted > self._max_datagram_size:
            self._max_datagram_size = wanted
            control = self._loss._cc  # noqa: SLF001
            control._max_datagram_size = self._loss._pacer._max_datagram_size = wanted  # type: ignore[attr-defined]  # noqa: SLF001
            control.congestion_window = max(control.congestion_window, 10 * wanted)

    most_taken: int = SMALLEST_MAX_DATAGRAM_SIZE
    """Bytes of a datagram that the peer takes."""

    def settle(self) -> None:
        """The handshake is over: give back the room for its messages, half of what a connection takes."""
        self._crypto_buffers = {epoch: Buffer(capacity=1) for epoch in self._crypto_buffers}

    def bad_certificate(self, reason: str) -> None:
        """End it, since the peer proves nobody, or another one than it should."""
        self.close(error_code=_BAD_CERTIFICATE, frame_type=QuicFrameType.CRYPTO, reason_phrase=reason)

    # What aioquic does otherwise

    def _initialize(self, peer_cid: bytes) -> None:
        super()._initialize(peer_cid)
        self.tls._request_client_certificate = True  # noqa: SLF001

    def _parse_transport_parameters(self, data: bytes, from_session_ticket: bool = False) -> None:  # noqa: FBT001, FBT002  (aioquic's)
        super()._parse_transport_parameters(data, from_session_ticket)
        self.most_taken = _most_taken(data)

    def _handle_crypto_frame(self, context: QuicReceiveContext, frame_type: int, buf: Buffer) -> None:
        begin = buf.tell()
        offset, length = buf.pull_uint_var(), buf.pull_uint_var()
        buf.seek(begin)
        receiver = self._crypto_streams[context.epoch].receiver
        if offset + length - receiver.starting_offset() > _AHEAD or len(receiver._ranges) > _PIECES:  # noqa: SLF001
            raise QuicConnectionError(QuicErrorCode.CRYPTO_BUFFER_EXCEEDED, frame_type, "too much of the handshake before what is missing")
        super()._handle_crypto_frame(context, frame_type, buf)

    def _write_stream_limits(self, builder: QuicPacketBuilder, space: QuicPacketSpace, stream: QuicStream) -> None:  # noqa: ARG002
        if stream.max_stream_data_local_sent == stream.max_stream_data_local or stream.receiver.is_finished:
            return
        buf = builder.start_frame(
            QuicFrameType.MAX_STREAM_DATA,
            capacity=_MAX_STREAM_DATA,
            handler=self._on_max_stream_data_delivery,
            handler_args=(stream,),
        )
        assert stream.stream_id is not None  # noqa: S101  (only those of handshakes have none)
        buf.push_uint_var(stream.stream_id)
        buf.push_uint_var(stream.max_stream_data_local)
        stream.max_stream_data_local_sent = stream.max_stream_data_local


def _most_taken(parameters: bytes) -> int:
    """The max_udp_payload_size in transport parameters that were found good."""
    return pull_quic_transport_parameters(Buffer(data=parameters)).max_udp_payload_size or _MOST_UDP
