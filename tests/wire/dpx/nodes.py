"""Nodes that speak dpx/1 with resumption, and their sessions with each other, without a network: real handshakes, records and secrets."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from devp2p.errors import HandshakeError
from devp2p.keys import PrivateKey
from devp2p.trust import Profile
from devp2p.wire import base
from devp2p.wire.dpx import Dpx, DpxFraming, Resumption, TrustLost
from devp2p.wire.dpx.acquaintance import Acquaintance, encode
from devp2p.wire.rlpx import Entropy, Extension, Handshake

NUMBERS = iter(range(10**9))
DAY = 86400.0


@dataclass
class Clock:
    """Seconds since 1970, or so."""

    now: float = 1e9

    def __call__(self) -> float:
        return self.now


@dataclass
class Node:
    """One node, or what is left of it."""

    number: int
    clock: Clock
    lost: list[TrustLost] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.key = PrivateKey.from_bytes(bytes(31) + bytes([self.number]))
        self.dpx = Dpx(random.Random(next(NUMBERS)).randbytes)
        self.extension: Extension = self.dpx
        self.restore()

    @property
    def resumption(self) -> Resumption:
        """What it keeps."""
        assert self.dpx.resumption is not None
        return self.dpx.resumption

    def of(self, other: "Node") -> Acquaintance:
        """What it keeps of another."""
        return self.resumption.of(other.key.public_key.node_id)

    def backup(self, other: "Node") -> dict[bytes, bytes]:
        """What it would find again of another after a start."""
        return {other.key.public_key.node_id: encode(self.of(other))}

    def restore(self, kept: dict[bytes, bytes] | None = None) -> None:
        """Start anew, with what was kept, or nothing."""
        self.dpx.resumption = Resumption(self.clock)
        self.dpx.resumption.on_loss = self.lost.append
        assert not self.resumption.load(kept or {})

    def twin(self) -> "Node":
        """Who has stolen its key, and nothing else."""
        return Node(self.number, self.clock)


class Session:
    """A handshake of two nodes, as far as it is taken."""

    def __init__(self, caller: Node, called: Node) -> None:
        self.one = Handshake(caller.key, self._entropy(), remote=called.key.public_key, extension=caller.extension)
        self.other = Handshake(called.key, self._entropy(), extension=called.extension)
        self.auth = self.one.data_to_send()
        self.framings: list[DpxFraming | None] = [None, None]

    @staticmethod
    def _entropy() -> Entropy:
        return Entropy.draw(random.Random(next(NUMBERS)).randbytes)

    def agree(self) -> "Session":
        """Auth and ack go through."""
        self.other.receive_data(self.auth)
        self.one.receive_data(self.other.data_to_send())
        for place, side in enumerate((self.other, self.one)):
            framing = side.framing()
            self.framings[1 - place] = framing if isinstance(framing, DpxFraming) else None
        return self

    def record(self, to: int, change: Callable[[bytes], bytes] = bytes) -> None:
        """The first record of one side comes to the other: 0 is the caller."""
        sender, receiver = self.framings[1 - to], self.framings[to]
        side = (self.one, self.other)[to]
        if sender is None or receiver is None:
            side.proved()
            return
        receiver.receive_data(change(b"".join(sender.seal(None, base.PING, b"\xc0"))))
        try:
            receiver.next_message()
        except HandshakeError:
            side.failed()
            raise
        side.proved()

    def committed(self, to: int) -> None:
        """What one side has to say comes to the other."""
        sender, receiver = self.framings[1 - to], self.framings[to]
        if sender is not None and receiver is not None:
            said, sender.pact.to_send = sender.pact.to_send, []
            for told in said:
                receiver.pact.heard(told)

    def profiles(self) -> tuple[Profile, Profile]:
        """How each side sees the session."""
        one, other = self.framings
        assert one is not None
        assert other is not None
        return one.profile, other.profile

    def lose(self) -> None:
        """Both sides give up."""
        self.one.failed()
        self.other.failed()


def session(caller: Node, called: Node) -> Session:
    """A whole one."""
    found = Session(caller, called).agree()
    for to in (1, 0):
        found.record(to)
    for to in (0, 1):
        found.committed(to)
    return found


def acquainted() -> tuple[Node, Node, Clock]:
    """Two nodes that are known to each other."""
    clock = Clock()
    one, other = Node(1, clock), Node(2, clock)
    session(one, other)
    clock.now += DAY
    session(one, other)
    clock.now += DAY / 2
    return one, other, clock
