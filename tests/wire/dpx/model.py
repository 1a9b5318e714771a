"""A model of one direction of dpx/1's flow control, run by the real ledgers: a sender, a receiver, its application, two ordered channels.

`explore` visits every state that any order of steps leads to. Sizes are in units of 512 bytes, the smallest frame that can be announced.
A step takes one frame or batch at a time, and consumes something that never comes back, so every way ends: in a state from which no step
leads on. Either all is sent, taken and released there, or the two are *stuck*.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from devp2p.wire.dpx import Contexts, Params, SendCredit
from devp2p.wire.dpx.contexts import _Incoming
from devp2p.wire.dpx.control import BUSY, CANCEL, CONNECTION, Control, Delta, Release, Reset
from devp2p.wire.dpx.credit import _Outgoing

UNIT = 512
_CHUNK = b"\x01" * UNIT  # begins with a message's code


class Mix(NamedTuple):
    """What is sent, and within which bounds, all in units."""

    messages: tuple[tuple[int, int, int], ...]
    """(capability, lane, size) of each; size 1 is a whole message in a frame. Those of one lane keep their order."""
    window: int
    reassembly: int
    contexts: int
    refusals: int = 0
    """How many messages the receiver may refuse, whenever it wants."""
    abandons: int = 0
    """How many the sender may give up."""
    taking: tuple[int, ...] = (1,)
    """The capabilities whose application takes what has come."""

    @property
    def capabilities(self) -> int:
        return max(capability for capability, _, _ in self.messages)

    @property
    def params(self) -> Params:
        window = self.window * UNIT
        return Params(window, window, self.reassembly * UNIT, self.contexts, UNIT)


@dataclass
class State:
    """All of both sides."""

    sending: SendCredit
    receiving: Contexts
    lanes: dict[int, list[tuple[int, int]]]
    """By lane, what waits: (capability, units)."""
    begun: dict[int, tuple[int, int]] = field(default_factory=dict)
    """By lane, (capability, context) of the message that is on its way in part."""
    wire: list[tuple[int, int, int, int] | Reset] = field(default_factory=list)
    """Frames under way, as (capability, context, total, bytes), and what the sender says."""
    back: list[Control] = field(default_factory=list)
    """What the receiver says, under way."""
    inbox: list[tuple[int, int, int]] = field(default_factory=list)
    """What the application has not taken: (capability, context, bytes)."""
    refusals: int = 0
    abandons: int = 0

    def copy(self) -> "State":
        new: State = _copy(self)
        return new

    def key(self) -> object:
        """Equal for states that lead to the same."""
        sending, receiving = self.sending, self.receiving
        return (
            tuple(sending._windows),
            tuple(tuple((context, each.left, each.refused) for context, each in contexts.items()) for contexts in sending._contexts),
            tuple(sending._last),
            tuple(receiving._windows),
            tuple(receiving._owed),
            tuple(sorted((key, each.left, each.state.name) for key, each in receiving._contexts.items())),
            tuple(sorted(receiving.__dict__.get("withheld", {}).items())),
            (*map(tuple, self.lanes.values()),),
            tuple(sorted(self.begun.items())),
            tuple(self.wire),
            tuple(self.back),
            tuple(self.inbox),
            (self.refusals, self.abandons),
        )


def _copy(value: Any) -> Any:
    match value:
        case list():
            return [_copy(each) for each in value]
        case dict():
            return {key: _copy(each) for key, each in value.items()}
        case bytearray():
            return value[:]
        case State() | SendCredit() | Contexts():
            new = object.__new__(type(value))
            new.__dict__.update((name, _copy(each)) for name, each in value.__dict__.items())
            return new
        case _Outgoing() | _Incoming():
            twin = object.__new__(type(value))
            for name in type(value).__slots__:
                setattr(twin, name, _copy(getattr(value, name)))
            return twin
        case _:
            return value


def first_state(mix: Mix, receiver: type[Contexts] = Contexts) -> State:
    lanes: dict[int, list[tuple[int, int]]] = {}
    for capability, lane, size in mix.messages:
        lanes.setdefault(lane, []).append((capability, size))
    receiving = receiver(mix.params, ((2**24,) * 2,) * mix.capabilities, compressed=False)
    state = State(SendCredit(mix.params, mix.capabilities), receiving, lanes, refusals=mix.refusals, abandons=mix.abandons)
    state.back += receiving.controls(0.0)
    return state


Step = Callable[[State], None]


def steps(state: State, mix: Mix) -> Iterator[tuple[str, Step]]:
    """What may happen next. Names of those that need not happen begin with "?"."""
    for lane in state.lanes:
        if _may_send(state, lane):
            yield f"send {lane}", lambda state, lane=lane: _send(state, lane)  # type: ignore[misc]
        if state.abandons and lane in state.begun:
            yield f"?abandon {lane}", lambda state, lane=lane: _abandon(state, lane)  # type: ignore[misc]
    if state.wire:
        yield "deliver", _deliver
    if state.back:
        yield "hear", _hear
    for capability in mix.taking:
        if any(each[0] == capability for each in state.inbox):
            yield f"take {capability}", lambda state, capability=capability: _take(state, capability)  # type: ignore[misc]
    if state.refusals:
        for key, incoming in state.receiving._contexts.items():
            if incoming.state.name == "OPEN":
                yield f"?refuse {key}", lambda state, key=key: _refuse(state, *key)  # type: ignore[misc]


def _may_send(state: State, lane: int) -> bool:
    sending = state.sending
    if lane in state.begun:
        return sending.room(state.begun[lane][0]) >= UNIT
    if not state.lanes[lane]:
        return False
    capability, size = state.lanes[lane][0]
    return sending.room(capability) >= UNIT and (size == 1 or sending.may_open(capability, size * UNIT))


def _send(state: State, lane: int) -> None:
    if lane in state.begun:
        capability, context = state.begun[lane]
        total = 0
    else:
        capability, size = state.lanes[lane].pop(0)
        total = size * UNIT if size > 1 else 0
        context = state.sending.open(capability, total) if total else 0
        if context:
            state.begun[lane] = capability, context
    state.sending.spend(capability, UNIT, context)
    state.wire.append((capability, context, total, UNIT))
    if context and not state.sending.is_open(capability, context):
        del state.begun[lane]


def _abandon(state: State, lane: int) -> None:
    reset = state.sending.abandon(*state.begun.pop(lane))
    assert reset is not None
    state.wire.append(reset)
    state.abandons -= 1


def _deliver(state: State) -> None:
    receiving, frame = state.receiving, state.wire.pop(0)
    if isinstance(frame, Reset):
        assert frame.code == CANCEL
        receiving.cancelled(frame)
    else:
        capability, context, total, size = frame
        if not context:
            receiving.normal(capability, size)
            state.inbox.append((capability, 0, size))
        elif total:
            assert receiving.first(capability, context, total, _CHUNK, 0.0)
        elif (whole := receiving.more(capability, context, _CHUNK, 0.0)) is not None:
            state.inbox.append((capability, context, whole.total))
    state.back += receiving.controls(0.0)


def _hear(state: State) -> None:
    match said := state.back.pop(0):
        case Delta():
            state.sending.credited(said)
        case Release():
            state.sending.released(said)
        case Reset():
            answer, _ = state.sending.refused(said)
            if answer is not None:
                state.wire.append(answer)
                state.begun = {lane: each for lane, each in state.begun.items() if each != (said.capability, said.context)}


def _take(state: State, capability: int) -> None:
    place = next(place for place, each in enumerate(state.inbox) if each[0] == capability)
    _, context, size = state.inbox.pop(place)
    if context:
        state.receiving.release(capability, context)
    else:
        state.receiving.taken(capability, size)
    state.back += state.receiving.controls(0.0)


def _refuse(state: State, capability: int, context: int) -> None:
    assert state.receiving.refuse(capability, context, BUSY)
    state.refusals -= 1
    state.back += state.receiving.controls(0.0)


class Found(NamedTuple):
    """What `explore` has seen."""

    states: int
    stuck: int
    most_held: int
    """Bytes of one capability that the receiver held at most, in messages that are whole, or not."""


def explore(mix: Mix, receiver: type[Contexts] = Contexts, *, checked: bool = True) -> Found:
    """Visit every state; `checked`: in each of them, whether credit is neither lost nor made."""
    first = first_state(mix, receiver)
    seen = {first.key()}
    waiting = [first]
    stuck = most_held = 0
    while waiting:
        state = waiting.pop()
        most_held = max(most_held, *(held(state, capability) for capability in range(1, mix.capabilities + 1)))
        if checked:
            check_credit(state, mix)
        goes_on = False
        for name, step in steps(state, mix):
            goes_on |= not name.startswith("?")
            after = state.copy()
            step(after)
            if (key := after.key()) not in seen:
                seen.add(key)
                waiting.append(after)
        if not goes_on:
            if is_done(state, mix):
                check_end(state, mix)
            else:
                stuck += 1
    return Found(len(seen), stuck, most_held)


def is_done(state: State, mix: Mix) -> bool:
    """Whether all is sent, taken and released, of the capabilities whose application takes anything."""
    left = [capability for lane in state.lanes.values() for capability, _ in lane] + [capability for capability, _ in state.begun.values()]
    left += [capability for capability, _, _ in state.inbox]
    return not set(left) & set(mix.taking)


def held(state: State, capability: int) -> int:
    """Bytes that the receiver holds for a capability."""
    partial = sum(len(each.buffer) for (its, _), each in state.receiving._contexts.items() if its == capability)
    return partial + sum(size for its, _, size in state.inbox if its == capability)


def check_credit(state: State, mix: Mix) -> None:
    """Every byte of each window is in exactly one place."""
    frames = [frame for frame in state.wire if not isinstance(frame, Reset)]
    for place in range(mix.capabilities + 1):
        under_way = sum(size for capability, _, _, size in frames if not place or capability == place)
        given = sum(said.credit for said in state.back if isinstance(said, Delta) and said.capability == (place or CONNECTION))
        untaken = sum(size for capability, context, size in state.inbox if not context and (not place or capability == place))
        sending, receiving = state.sending._windows[place], state.receiving._windows[place]
        assert receiving == sending + under_way + given
        assert receiving + state.receiving._owed[place] + untaken == mix.window * UNIT * (1 if place else mix.capabilities)
    for capability in range(1, mix.capabilities + 1):
        assert held(state, capability) <= (mix.reassembly + mix.window) * UNIT
    assert state.receiving.held == sum(len(each.buffer) for each in state.receiving._contexts.values())


def check_end(state: State, mix: Mix) -> None:
    """Nothing is left behind, but of capabilities whose application takes nothing."""
    assert not state.wire
    assert not state.back
    assert not state.receiving.has_controls
    for capability in mix.taking:
        if capability <= mix.capabilities:
            assert not state.sending._contexts[capability]
            assert not state.sending._reserved[capability]
            assert not state.receiving._reserved[capability]
            assert not [key for key in state.receiving._contexts if key[0] == capability]
