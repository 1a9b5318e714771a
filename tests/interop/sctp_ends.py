"""Two ends of SCTP that hear each other without sockets, and packets that no honest end sends.

It imports aiortc, which `make test` need not have: tests that need it import this file when they run, by the fixture `sctp`.
"""

from collections import deque
from struct import pack

from aiortc.rtcsctptransport import Chunk, RTCSctpTransport, SackChunk, decode_params, serialize_packet

from devp2p.transports.sctp import association, link, transport
from devp2p.transports.sctp.association import PORT, Association
from devp2p.transports.sctp.datagrams import connection_in, context_for

__all__ = [
    "Association",
    "Pair",
    "RTCSctpTransport",
    "SackChunk",
    "association",
    "connection_in",
    "context_for",
    "decode_params",
    "link",
    "transport",
]


class Pair:
    """Two associations that hear each other, as far as they are let; their clock is moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0
        self.got = [list[tuple[int, bytes]](), list[tuple[int, bytes]]()]
        self.ends = [
            Association(is_client=not way, on_message=lambda *what, way=way: self.got[way].append(what), clock=lambda: self.now)
            for way in (0, 1)
        ]
        for end in self.ends:
            end.start()

    def carry(self, lose: int = 0) -> None:
        """Carry all packets until there are none, but each `lose`th."""
        count = 0
        while any(end.packets for end in self.ends):
            for way, end in enumerate(self.ends):
                packets, end.packets = deque(end.packets), end.packets
                end.packets.clear()
                for packet in packets:
                    count += 1
                    if not lose or count % lose:
                        self.ends[1 - way].feed(packet)

    def wait(self, seconds: float) -> None:
        until = self.now + seconds
        while (deadline := min((end.deadline or until for end in self.ends), default=until)) < until:
            self.now = max(self.now, deadline)
            for end in self.ends:
                end.tick()
            self.carry()
        self.now = until

    def craft(self, way: int, kind: int, body: bytes, flags: int = 0) -> bytes:
        """A packet with one chunk, as the end `way` might send it to the other: with the right tag and checksum."""
        chunk = Chunk(flags, body)
        chunk.type = kind
        return serialize_packet(PORT, PORT, 0 if kind == 1 else self.ends[1 - way]._sctp._local_verification_tag, chunk)

    def data(self, way: int, ahead: int, text: bytes, *, stream: int = 0, flags: int = 3) -> bytes:
        """Data whose TSN is so many ahead of what the other end has."""
        tsn = ((self.ends[1 - way]._sctp._last_received_tsn or 0) + ahead) % 2**32
        return self.craft(way, 0, pack("!LHHL", tsn, stream, 0, 0) + text, flags)
