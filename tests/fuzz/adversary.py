"""Two honest connections, and an adversary who holds the bytes between them but not the keys.

`TwoEnds` is both ends and the wires. It knows what each end has said and how far its bytes have come through unchanged, and so knows at
each moment, to the message, what the other end must have been told: everything before the first changed byte, and nothing behind it.
`fuzz_session` plays what a string of bytes says (one or two bytes a step), `TwoConnections` what Hypothesis thinks of. Both are there a
second time, for ends that speak dpx/1.
"""

import random
from typing import Any, Final, NamedTuple, cast

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from devp2p.errors import DisconnectReason, HandshakeError, LocalProtocolError
from devp2p.wire import base
from devp2p.wire.connection import DisconnectReceived, Event, HelloReceived, PingReceived, PongReceived, State
from devp2p.wire.dpx import Dpx, DpxFraming
from devp2p.wire.framing import FrameFraming, MessageReceived
from devp2p.wire.opening import HandshakeCompleted
from devp2p.wire.rlpx.packets import MAX_PACKET
from tests.fuzz.wire_targets import KEY, OTHER
from tests.wire.forger import connect, events, our_hello

HELLO: Final = ("hello",)
KINDS: Final = ((0x10, 0, 0, 100), (0x12, 0, 2, 5000), (0x14, 1, 1, 100_000))
"""What capabilities say: the id on the wire, the capability, the id within it, and the most bytes."""
DEEDS: Final = ("drop", "duplicate", "cut", "inject", "flip", "swap", "reflect", "replay")
STEPS: Final = 60
"""How many steps one input may take."""


class Said(NamedTuple):
    """What an end has sealed, and where in its stream it ends, in bytes."""

    what: tuple[object, ...]
    end: int


class TwoEnds:
    """A, the initiator, and B; ``wires[n]`` lies between end n and the other, in the adversary's hands."""

    def __init__(self, *, dpx: bool = False) -> None:
        self.dpx = dpx
        one, other = (Dpx(random.Random(number).randbytes) if dpx else None for number in (1, 2))
        self.ends = (connect(KEY, 1, remote=OTHER.public_key, extension=one), connect(OTHER, 2, extension=other))
        self.keys = (KEY, OTHER)
        self.wires = (bytearray(), bytearray())
        self.honest = (bytearray(), bytearray())  # all that end n has sent
        self.passed = [0, 0]  # how much of it has come to the other end, unchanged and in order
        self.touched = [False, False]  # whether anything else has come there
        self.said: tuple[list[Said], ...] = ([], [])
        self.told: tuple[list[tuple[object, ...]], ...] = ([], [])  # told[n]: what end n heard of the other
        self.dead = [False, False]
        self.counter = 0
        self.flush()

    def is_open(self, side: int) -> bool:
        return self.ends[side].state is State.OPEN

    # What the honest ends do

    def put(self, side: int, data: bytes) -> None:
        self.wires[side].extend(data)
        self.honest[side].extend(data)

    def flush(self) -> None:
        """Send the packets of the handshake, and Hello, which stands behind the last of them."""
        for side, end in enumerate(self.ends):
            self.put(side, end.data_to_send())
            if not self.said[side] and end.opening.connection is not None:
                self.said[side].append(Said(HELLO, len(self.honest[side])))

    def say(self, side: int, code: int, data: bytes, what: tuple[object, ...]) -> None:
        if self.is_open(side):
            try:
                sealed = b"".join(self.ends[side].seal(code, data))
            except LocalProtocolError:  # it has no credit left, and nobody here gives more
                if not self.dpx:
                    raise
                return
            self.put(side, sealed)
            self.said[side].append(Said(what, len(self.honest[side])))

    def talk(self, side: int, kind: int, size: float) -> None:
        """Say a message of `size` (0 to 1) of what its kind may have; no two are the same."""
        code, capability, relative, most = KINDS[kind]
        self.counter += 1
        data = self.counter.to_bytes(4, "big") * max(1, int(most * size) // 4)
        self.say(side, code, data, (capability, relative, data))

    def keep_alive(self, side: int, *, ping: bool) -> None:
        self.say(side, base.PING if ping else base.PONG, base.EMPTY_LIST, (PingReceived if ping else PongReceived,))

    def say_goodbye(self, side: int, reason: DisconnectReason) -> None:
        self.say(side, base.DISCONNECT, base.encode_disconnect(reason), ("goodbye", reason))

    def deliver(self, side: int, size: int) -> None:
        """Give the other end the next bytes of `side`."""
        wire, to = self.wires[side], 1 - side
        data = bytes(wire[:size])
        del wire[:size]
        if self.dead[to] or not data:
            return
        self.compare(side, data)
        try:
            self.ends[to].receive_data(data)
        except HandshakeError as error:  # nothing else: forged bytes get no further than the MAC
            if not self.touched[side]:
                raise AssertionError("honest bytes were refused") from error
            self.dead[to] = True
        self.flush()
        for event in events(self.ends[to]):
            self.note(to, event)
        self.check_memory(to, len(data))
        self.check_what_was_told(to)

    def compare(self, side: int, data: bytes) -> None:
        """See how far what the other end is given is what `side` sent."""
        if self.touched[side]:
            return
        at = self.passed[side]
        true = self.honest[side][at : at + len(data)]
        if true == data:
            self.passed[side] += len(data)
        else:
            self.touched[side] = True
            self.passed[side] += next((n for n, (a, b) in enumerate(zip(true, data, strict=False)) if a != b), len(true))

    def note(self, to: int, event: Event | HandshakeCompleted) -> None:
        told = self.told[to]
        match event:
            case HandshakeCompleted(remote):
                assert remote == self.keys[1 - to].public_key
            case HelloReceived(hello):
                assert hello == our_hello(self.keys[1 - to])
                told.append(HELLO)
            case MessageReceived(capability, code):
                told.append((capability, code, event.decompress()))
            case PingReceived() | PongReceived():
                told.append((type(event),))
            case DisconnectReceived(reason):
                told.append(("goodbye", reason))

    # What must hold, whatever happens between them

    def check_what_was_told(self, to: int) -> None:
        """Exactly what came whole before the first changed byte, up to the first goodbye."""
        expected = [said.what for said in self.said[1 - to] if said.end <= self.passed[1 - to]]
        goodbyes = [place for place, what in enumerate(expected) if what[0] == "goodbye"]
        assert self.told[to] == (expected[: goodbyes[0] + 1] if goodbyes else expected)

    def check_memory(self, to: int, given: int) -> None:
        """An end holds one frame that it accepts, or one packet, beside what it was just given."""
        end = self.ends[to]
        connection, handshake = end.opening.connection, end.handshake
        assert self.dead[to] or len(handshake._side._reader._received) < 2 + MAX_PACKET
        if connection is not None:
            assert not connection._events
            assert isinstance(connection.framing, DpxFraming) == self.dpx
            framing = connection.framing
            opener: Any = framing._opener if isinstance(framing, DpxFraming) else cast("FrameFraming", framing).opener
            assert len(opener._data) <= opener.max_size + 32
            assert end.state is State.CLOSED or len(opener._received) < 32 + given

    def finish(self) -> None:
        """Let through what still lies on the wires, as it is."""
        for side in (0, 1, 0, 1):
            self.deliver(side, 10**9)
        for to in (0, 1):
            self.check_what_was_told(to)

    # What the adversary does

    def tamper(self, side: int, deed: str, where: float, data: bytes) -> None:
        """Do a deed to what lies on a wire: at `where` (0 to 1), with `data`, or as much as that."""
        side = side if self.wires[side] else 1 - side
        wire = self.wires[side]
        at, size = int(len(wire) * where), len(data)
        if deed == "drop":
            del wire[at : at + size]
        elif deed == "duplicate":
            wire[at:at] = wire[at : at + 16 * size]
        elif deed == "cut":
            del wire[at:]
        elif deed == "inject":
            wire[at:at] = data
        elif deed == "flip":
            wire[at : at + 1] = bytes(byte ^ (data[0] or 1) for byte in wire[at : at + 1])
        elif deed == "swap":
            wire[at : at + 2 * size] = wire[at + size : at + 2 * size] + wire[at : at + size]
        elif deed == "reflect":
            wire[at:at] = self.wires[1 - side][: 16 * size]
        else:  # replay: what was said long ago
            begin = int(len(self.honest[side]) * where)
            wire[0:0] = self.honest[side][begin : begin + 16 * size]


def fuzz_session(data: bytes) -> None:
    # Invariant: whatever lies between two honest ends, each is told what the other said before the first changed byte, and no more.
    play(TwoEnds(), data)


def fuzz_dpx_session(data: bytes) -> None:
    # Invariant: the same, where both speak dpx/1; and neither can be made to believe that the other does not.
    play(TwoEnds(dpx=True), data)


def play(two: TwoEnds, data: bytes) -> None:
    flags, rest = (data[0], data[1:]) if data else (1, b"")
    for side in (0, 1, 0) if flags & 1 else ():
        two.deliver(side, 10_000)
    steps = 0
    while rest and steps < STEPS:
        steps += 1
        kind, side, amount = rest[0] >> 4, rest[0] & 1, rest[0] >> 1 & 7
        extra, rest = rest[1:2] or b"\0", rest[2:]
        if kind < 3:
            two.talk(side, kind, extra[0] / 255 if kind < 2 else extra[0] / 2550)
        elif kind == 3:
            two.keep_alive(side, ping=bool(amount & 1))
        elif kind == 4 and two.counter > 3:
            two.say_goodbye(side, list(DisconnectReason)[extra[0] % len(DisconnectReason)])
        elif kind < 8:
            two.deliver(side, 1 + extra[0] << amount)
        else:
            two.tamper(side, DEEDS[kind - 8], extra[0] / 255, bytes([1 + extra[0] % 255]) * (1 + 4 * amount))
    two.finish()


class TwoConnections(RuleBasedStateMachine):
    """The same, step by step as Hypothesis likes."""

    dpx = False

    def __init__(self) -> None:
        super().__init__()
        self.two = TwoEnds(dpx=self.dpx)
        self.patience = 0

    @initialize(patience=st.sampled_from([0, 1, 3, 6, 10, 1000]), open_first=st.booleans())
    def begin(self, *, patience: int, open_first: bool) -> None:
        """`patience` is how many messages the adversary lets pass at least."""
        self.patience = patience
        if open_first or patience:
            for side in (0, 1, 0):
                self.two.deliver(side, 10_000)

    @rule(side=st.integers(0, 1), size=st.integers(1, 2000) | st.just(10**6))
    def deliver(self, side: int, size: int) -> None:
        self.two.deliver(side, size)

    @precondition(lambda self: self.two.is_open(0) or self.two.is_open(1))
    @rule(side=st.integers(0, 1), kinds=st.lists(st.integers(0, 2), min_size=1, max_size=5), size=st.floats(0, 1))
    def talk(self, side: int, kinds: list[int], size: float) -> None:
        for kind in kinds:
            self.two.talk(side, kind, size)

    @precondition(lambda self: self.two.is_open(0) or self.two.is_open(1))
    @rule(side=st.integers(0, 1), ping=st.booleans())
    def keep_alive(self, side: int, *, ping: bool) -> None:
        self.two.keep_alive(side, ping=ping)

    @precondition(lambda self: self.two.counter > 15)
    @rule(side=st.integers(0, 1), reason=st.sampled_from(DisconnectReason))
    def say_goodbye(self, side: int, reason: DisconnectReason) -> None:
        self.two.say_goodbye(side, reason)

    @precondition(lambda self: self.two.counter >= self.patience and any(self.two.wires))
    @rule(side=st.integers(0, 1), deed=st.sampled_from(DEEDS), where=st.floats(0, 1), data=st.binary(min_size=1, max_size=40))
    def tamper(self, side: int, deed: str, where: float, data: bytes) -> None:
        self.two.tamper(side, deed, where, data)

    @invariant()
    def each_was_told_what_came_through_and_no_more(self) -> None:
        for to in (0, 1):
            self.two.check_what_was_told(to)

    def teardown(self) -> None:
        self.two.finish()


class TwoDpxConnections(TwoConnections):
    """The same between two that speak dpx/1."""

    dpx = True
