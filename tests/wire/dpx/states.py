"""The parts of docs/spec/dpx1.md that are about states: the tables of the code, and what the receiver's ledger does in experiments."""

from collections.abc import Callable, Sequence
from math import inf

from devp2p.errors import LocalProtocolError, RemoteProtocolError
from devp2p.wire.connection import _TRANSITIONS, State
from devp2p.wire.dpx import element
from devp2p.wire.dpx.contexts import Contexts
from devp2p.wire.dpx.control import CANCEL, Release, Reset
from devp2p.wire.dpx.failures import FAILURES, Row
from tests.wire.dpx.markdown import Lines, diagram, table


def connection_states() -> Lines:
    """The life of a connection."""
    return diagram(
        {state: {event.__name__: target for event, target in leads.items()} for state, leads in _TRANSITIONS.items()}, State.HELLO
    )


SIZE, CHUNK = 70_000, 1000  # bytes of the messages in the experiments, and of their chunks
FIRST = b"\x80".ljust(CHUNK, b"\0")  # code 0
FREE, OPEN, WHOLE, REFUSED = CONTEXT_STATES = ("free", "open", "whole", "refused")


def in_state(state: str) -> Contexts:
    """A receiver with one context in a state."""
    receiver = Contexts(element.Params(), [(SIZE,)], compressed=False)
    if state != FREE:
        receiver.first(1, 1, SIZE, FIRST, 0.0)
    if state == WHOLE:
        last_chunk(receiver)
    if state == REFUSED:
        receiver.refuse(1, 1)
    receiver.controls(0.0)
    return receiver


def last_chunk(receiver: Contexts) -> None:
    left = SIZE - CHUNK
    while left:
        receiver.more(1, 1, bytes(min(CHUNK, left)), 0.0)
        left -= min(CHUNK, left)


CONTEXT_EVENTS: dict[str, Callable[[Contexts], object]] = {
    "first chunk": lambda receiver: receiver.first(1, 1, SIZE, FIRST, 0.0),
    "first chunk of too much": lambda receiver: receiver.first(1, 1, 2 * SIZE, FIRST, 0.0),
    "further chunk": lambda receiver: receiver.more(1, 1, bytes(CHUNK), 0.0),
    "last chunk": last_chunk,
    "CANCEL": lambda receiver: receiver.cancelled(Reset(1, 1, CANCEL)),
    "we refuse it": lambda receiver: receiver.refuse(1, 1),
    "application takes it": lambda receiver: receiver.release(1, 1),
}


def context_after(state: str, event: str) -> tuple[str, str]:
    """What an event makes of a context, and what the sender is told; errors, and what cannot happen, are no states."""
    receiver = in_state(state)
    try:
        CONTEXT_EVENTS[event](receiver)
    except RemoteProtocolError:
        return "error", ""
    except LocalProtocolError:
        return "–", ""  # noqa: RUF001
    told = ", ".join(type(one).__name__ for one in receiver.controls(0.0) if isinstance(one, Reset | Release))
    found = receiver._contexts.get((1, 1))
    return (FREE if found is None else found.state.name.lower()), told


def context_table() -> Lines:
    """All of it, as the receiver's ledger does it."""

    def cells(state: str) -> Sequence[str]:
        found = (context_after(state, event) for event in CONTEXT_EVENTS)
        return [f"**{state}**", *(f"{after}, {told}" if told else after for after, told in found)]

    return table(("state", *CONTEXT_EVENTS), map(cells, CONTEXT_STATES))


def context_states() -> Lines:
    """The same as a diagram, of what changes something."""
    yield from ("```mermaid", "stateDiagram-v2", f"    [*] --> {FREE}")
    for state in CONTEXT_STATES:
        for event in CONTEXT_EVENTS:
            after, told = context_after(state, event)
            if after in CONTEXT_STATES and after != state:
                yield f"    {state} --> {after}: {event}{f' / {told}' if told else ''}"
    yield "```"


def failures() -> Lines:
    """The table by which resumption acts."""

    def done(row: Row) -> str:
        text = row.first.value
        if row.again is not None:
            often = "in a row" if row.within == inf else f"in {row.within / 3600:g} hours"
            text += f"; {row.times} times {often}: {row.again.value}"
        return text + (f", every {row.limit / 3600:g} hours at most, of all peers" if row.limit else "")

    rows = ((side, failure.name, failure.value, done(row)) for side, found in FAILURES.items() for failure, row in found.items())
    return table(("we", "name", "the peer, as we see it", "what is done"), rows)
