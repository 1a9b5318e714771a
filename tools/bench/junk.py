"""Datagrams that a stranger can make for nothing, of every kind that costs a node of discovery something to refuse.

Whoever makes them needs no key: a random signature is that of *some* key about every second time, which a node has to recover to know.
"""

import random
from collections.abc import Iterator
from typing import Final

from devp2p import rlp
from devp2p.discovery.v4 import packets as v4_packets
from devp2p.discovery.v5 import packets as v5_packets
from devp2p.keys import NodeId, keccak256

_NEVER: Final = 2**62  # when they expire
_NEIGHBORS: Final = b"\x04" + rlp.encode([[[b"\x14\0\0\1", 30303, 30303, bytes(64)]] * 12, _NEVER])


class Junk:
    """Makes junk for the node of one ID; an iterator without end, which takes all kinds in turn. The same `seed` gives the same junk."""

    def __init__(self, node_id: NodeId, seed: int = 0) -> None:
        self._node_id = node_id
        self._chance = random.Random(seed)  # noqa: S311  (it is junk)
        self._kinds = (
            self.noise,
            self.unknown,
            self.ping,
            self.find_node,
            self.pong,
            self.neighbors,
            self.ordinary,
            self.handshake,
            self.who_are_you,
        )

    def __iter__(self) -> Iterator[bytes]:
        while True:
            yield from (make() for make in self._kinds)

    def noise(self) -> bytes:
        """Bytes of no protocol, up to the size of the largest packet."""
        return self._chance.randbytes(self._chance.randrange(v4_packets.MAX_PACKET + 1))

    # Discovery v4, with the right hash

    def unknown(self) -> bytes:
        """A type that there is not."""
        return self._v4(b"\x42\xc0")

    def ping(self) -> bytes:
        """A Ping of some key, or of none: it cannot be told without recovering it."""
        where: list[int | bytes] = [b"\0\0\0\0", self._chance.getrandbits(16), 0]
        return self._v4(b"\x01" + rlp.encode([4, where, where, _NEVER]))

    def find_node(self) -> bytes:
        """The same as a FindNode."""
        return self._v4(b"\x03" + rlp.encode([self._chance.randbytes(64), _NEVER]))

    def pong(self) -> bytes:
        """A Pong for a Ping that was never sent."""
        return self._v4(b"\x02" + rlp.encode([[b"\0\0\0\0", 1, 1], self._chance.randbytes(32), _NEVER]))

    def neighbors(self) -> bytes:
        """Twelve neighbours that nobody has asked for."""
        return self._v4(_NEIGHBORS)

    def _v4(self, body: bytes) -> bytes:
        signed = self._chance.randbytes(64) + bytes([self._chance.randrange(2)]) + body
        return keccak256(signed) + signed

    # Discovery v5, with the right mask

    def ordinary(self) -> bytes:
        """A message that does not open."""
        return self._v5(v5_packets.Ordinary(self._chance.randbytes(12), self._id()), 32)

    def handshake(self) -> bytes:
        """A handshake that nobody has asked for."""
        proof = self._chance.randbytes(64), b"\x02" + self._chance.randbytes(32)
        return self._v5(v5_packets.Handshake(self._chance.randbytes(12), self._id(), *proof), 32)

    def who_are_you(self) -> bytes:
        """A question for a packet that was never sent."""
        return self._v5(v5_packets.WhoAreYou(self._chance.randbytes(12), self._chance.randbytes(16), 0), 0)

    def _v5(self, header: v5_packets.Header, size: int) -> bytes:
        data = v5_packets.encode_header(header, self._chance.randbytes(16))
        return v5_packets.encode(data, self._chance.randbytes(size), self._node_id)

    def _id(self) -> NodeId:
        return NodeId(self._chance.randbytes(32))
