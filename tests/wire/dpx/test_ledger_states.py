"""Two sides with real ledgers send messages, chunks and resets in any order: nobody breaks a rule, and nothing is lost or left."""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from devp2p.wire.dpx import LEAST_CHUNK, Ledgers, Params
from devp2p.wire.dpx.control import CONNECTION, Delta, Reset

CAPABILITIES = 2
PARAMS = (Params(4096, 4096, 8192, 2, 1024), Params(6000, 3000, 5000, 3, 600))
"""What each of the two sides takes in."""
LIMITS = ((9000, 400), (9000,))
"""The largest messages, by capability and code; code 1 of the first capability is refused if it comes in chunks."""

sides, capabilities, totals = st.integers(0, 1), st.integers(1, CAPABILITIES), st.integers(1100, 9000)


class Side:
    """One side, and what is under way to it."""

    def __init__(self, number: int) -> None:
        self.ours, self.theirs = PARAMS[number], PARAMS[1 - number]
        self.ledgers = Ledgers(self.ours, self.theirs, LIMITS, compressed=False)
        self.coming: list[Any] = []  # controls, and frames: (capability, context, total, data)
        self.sending: dict[tuple[int, int], tuple[bytes, int]] = {}  # by capability and context: the message, and how much went
        self.expected: list[list[bytes]] = [[], [], []]  # messages that were sent whole to this side, by capability
        self.inbox: list[tuple[int, int, bytes]] = []  # what is not taken: capability, context, message


class Exchange(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.sides = Side(0), Side(1)
        self.count = 0
        for number in (0, 1):
            self.tell(number)

    def tell(self, number: int) -> None:
        self.sides[1 - number].coming += self.sides[number].ledgers.controls(0.0)

    def message(self, size: int, code: int = 0) -> bytes:
        """Of which no two are the same."""
        self.count += 1
        return (bytes([code or 0x80]) + self.count.to_bytes(4)).ljust(size, b"%d" % (self.count % 10))

    @rule(number=sides, capability=capabilities, size=st.integers(5, 1024))
    def send_whole(self, number: int, capability: int, size: int) -> None:
        side, other = self.sides[number], self.sides[1 - number]
        size = min(size, side.theirs.max_frame)
        if size <= side.ledgers.sending.room(capability):
            side.ledgers.sending.spend(capability, size)
            message = self.message(size)
            other.coming.append((capability, 0, 0, message))
            other.expected[capability].append(message)

    @rule(number=sides, capability=capabilities, total=totals, too_big=st.booleans())
    def begin(self, number: int, capability: int, total: int, *, too_big: bool) -> None:
        side = self.sides[number]
        credit, size = side.ledgers.sending, LEAST_CHUNK
        if credit.may_open(capability, total) and credit.room(capability) >= size:
            context = credit.open(capability, total)
            side.sending[capability, context] = self.message(total, int(too_big and capability == 1)), 0
            self.chunk(number, (capability, context), size)

    @precondition(lambda self: any(side.sending for side in self.sides))
    @rule(data=st.data(), size=st.integers(LEAST_CHUNK, 1024))
    def go_on(self, data: st.DataObject, size: int) -> None:
        number, key = data.draw(st.sampled_from([(number, key) for number, side in enumerate(self.sides) for key in side.sending]))
        self.chunk(number, key, size)

    def chunk(self, number: int, key: tuple[int, int], size: int) -> None:
        side, other = self.sides[number], self.sides[1 - number]
        message, at = side.sending[key]
        size = min(size, side.theirs.max_frame, len(message) - at)
        if side.ledgers.sending.room(key[0]) < size:
            return
        side.ledgers.sending.spend(key[0], size, key[1])
        other.coming.append((*key, 0 if at else len(message), message[at : at + size]))
        side.sending[key] = message, at + size
        if at + size == len(message):
            del side.sending[key]
            assert not side.ledgers.sending.is_open(*key)
            known = other.ledgers.receiving._contexts.get(key)
            if message[0] == 0x80 and (known is None or known.state.name != "REFUSED"):
                other.expected[key[0]].append(message)

    @precondition(lambda self: any(side.sending for side in self.sides))
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        number, key = data.draw(st.sampled_from([(number, key) for number, side in enumerate(self.sides) for key in side.sending]))
        reset = self.sides[number].ledgers.sending.abandon(*key)
        assert isinstance(reset, Reset)
        self.sides[1 - number].coming.append(reset)
        del self.sides[number].sending[key]

    @rule(number=sides, count=st.integers(1, 8))
    def deliver(self, number: int, count: int) -> None:
        side = self.sides[number]
        for _ in range(min(count, len(side.coming))):
            frame = side.coming.pop(0)
            if not isinstance(frame, tuple):
                side.ledgers.received(frame, 0.0)
                side.sending = {key: each for key, each in side.sending.items() if side.ledgers.sending.is_open(*key)}
                continue
            capability, context, total, data = frame
            if not context:
                side.ledgers.receiving.normal(capability, len(data))
                side.inbox.append((capability, 0, data))
            elif total:
                assert side.ledgers.receiving.first(capability, context, total, data, 0.0) is (data[0] == 0x80)
            elif (whole := side.ledgers.receiving.more(capability, context, data, 0.0)) is not None:
                side.inbox.append((capability, context, b"\x80" + whole.data))

    @precondition(lambda self: any(side.inbox for side in self.sides))
    @rule(number=sides)
    def take(self, number: int) -> None:
        side = self.sides[number]
        if side.inbox:
            capability, context, message = side.inbox.pop(0)
            side.expected[capability].remove(message)
            if context:
                side.ledgers.receiving.release(capability, context)
            else:
                side.ledgers.receiving.taken(capability, len(message))

    @rule(number=sides)
    def say(self, number: int) -> None:
        self.tell(number)

    @precondition(lambda self: any(side.ledgers.receiving.held for side in self.sides))
    @rule(number=sides, data=st.data())
    def refuse(self, number: int, data: st.DataObject) -> None:
        side = self.sides[number]
        held = [key for key, each in side.ledgers.receiving._contexts.items() if each.buffer]
        if held:
            key = data.draw(st.sampled_from(held))
            assert side.ledgers.receiving.refuse(*key)
            self.forget(number, key)

    def forget(self, number: int, key: tuple[int, int]) -> None:
        """What was sent whole, and is refused before all of it has come, is not expected any more."""
        side = self.sides[number]
        first = side.ledgers.receiving._contexts[key]
        missing = b"".join(frame[3] for frame in side.coming if isinstance(frame, tuple) and frame[:2] == key)[: first.left]
        if len(missing) == first.left:
            lost = [message for message in side.expected[key[0]] if len(message) == first.total and message.endswith(missing)]
            side.expected[key[0]].remove(lost[0])

    @invariant()
    def memory_is_bounded(self) -> None:
        for side in self.sides:
            for capability in range(1, CAPABILITIES + 1):
                partial = sum(len(each.buffer) for (its, _), each in side.ledgers.receiving._contexts.items() if its == capability)
                untaken = sum(len(message) for its, _, message in side.inbox if its == capability)
                assert partial + untaken <= side.ours.reassembly + side.ours.capability_window

    @invariant()
    def credit_is_kept(self) -> None:
        for number, side in enumerate(self.sides):
            other = self.sides[1 - number]
            for place in range(CAPABILITIES + 1):
                coming = [frame for frame in side.coming if isinstance(frame, tuple) and (not place or frame[0] == place)]
                given = [said.credit for said in other.coming if isinstance(said, Delta) and said.capability == (place or CONNECTION)]
                window = other.ledgers.sending._windows[place]
                assert side.ledgers.receiving._windows[place] == window + sum(len(frame[3]) for frame in coming) + sum(given)

    def teardown(self) -> None:
        """All that was begun comes to its end, and all credit and room is free again."""
        for _ in range(200):
            for number, side in enumerate(self.sides):
                for key in list(side.sending):
                    self.chunk(number, key, 1024)
                self.deliver(number, len(side.coming))
                while side.inbox:
                    self.take(number)
                self.tell(number)
        for side in self.sides:
            assert [*side.sending, *side.coming, *side.inbox] == []
            assert not side.ledgers.has_controls
            assert side.expected == [[], [], []], "a message was lost"
            assert not any(side.ledgers.sending._reserved)
            assert not side.ledgers.receiving._contexts
            assert not side.ledgers.receiving.held
            windows = zip(side.ledgers.receiving._windows, side.ledgers.receiving._owed, strict=True)
            full = max(side.ours.connection_window, CAPABILITIES * side.ours.capability_window)
            assert [sum(each) for each in windows] == [full, *[side.ours.capability_window] * CAPABILITIES]


TestExchange = Exchange.TestCase
TestExchange.settings = settings(max_examples=40, stateful_step_count=40)
