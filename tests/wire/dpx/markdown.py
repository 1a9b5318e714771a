"""Pieces of Markdown, as lines."""

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum

Lines = Iterable[str]


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> Lines:
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(str(cell) for cell in row)} |"


def block(lines: Lines) -> Lines:
    """Lines as they are, to be shown in letters of one width."""
    return [f"    {line}".rstrip() for line in lines]


def diagram(transitions: Mapping[Enum, Mapping[str, Enum]], first: Enum) -> Lines:
    """A state diagram, as GitHub draws it from text; `transitions` is a table of the code, by state and event."""
    yield "```mermaid"
    yield "stateDiagram-v2"
    yield f"    [*] --> {first.name}"
    for state, leads in transitions.items():
        by_target: dict[Enum, list[str]] = {}
        for event, target in leads.items():
            by_target.setdefault(target, []).append(event)
        for target, events in by_target.items():
            yield f"    {state.name} --> {target.name}: {', '.join(events)}"
        if not leads:
            yield f"    {state.name} --> [*]"
    yield "```"
