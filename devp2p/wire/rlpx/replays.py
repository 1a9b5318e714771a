"""Auths that came before (RLPx, section "Initial Handshake").

An auth bears nothing that is fresh, so whoever has seen one can send it again.

Theory of operation. A replayed auth cannot come to a session, since the ack has a nonce of ours. But it opens, and so it costs its
recipient two agreements with the static key, a recovery, an encryption and an answer, and its sender nothing. What an honest initiator
never uses twice is the ephemeral key of the encryption (the point R in front of the ciphertext). So R is remembered, and an auth with an R
that was seen before is refused before anything is computed on the curve: as one that does not open, since a stranger is to learn nothing
from the difference.

Only the x coordinate is kept. The agreement gives no more than the x of the shared point, so R and -R, which have one x, open the same
packet: with the whole of R as the key each auth could be sent twice.

R is remembered when it is first seen in a whole packet, whatever the auth then turns out to be. Three things follow:

- A flood of new points pushes old ones out, after which an old auth costs once more what it cost at first. That is no gain for the
  sender: a new auth costs us as much, and the bounds on links that shake hands, and on how often a network may knock, hold for all.
- An R that comes again is remembered for longer, so an auth that is repeated without end is refused without end.
- Whoever reads the wire, and is faster than it, can deliver a copy of an auth before the auth itself, which then looks like the replay
  and is refused. It costs the caller this one link: its next dial has a new R. One who reads and races a link can reset it, too, so
  nothing is added to its powers; and to take the later of two for the honest one would let every replay through.

The cache is a node's own and in memory: after a restart each old auth costs once more.
"""

from typing import Final

from devp2p.bounded import Recent

POINTS: Final = 4096
"""How many points are remembered; of more, those that came last."""
LIFETIME: Final = 600.0
"""Seconds for which a point is remembered after it last came."""


class SeenAuths:
    """The ephemeral points of the auths that a node has got lately. Pure: times are seconds on any clock that does not go back."""

    __slots__ = ("_seen",)

    def __init__(self) -> None:
        self._seen: Recent[bytes, None] = Recent(POINTS, LIFETIME)

    def __len__(self) -> int:
        """How many points are remembered."""
        return len(self._seen)

    def is_new(self, point: bytes, now: float) -> bool:
        """Remember the ephemeral point of an auth, as 65 bytes of any kind, and return whether it is new."""
        key = point[1:33]
        known = self._seen.has(key, now)
        self._seen.set(key, None, now)
        return not known
