"""The show as text: a few lines for a pipe or a file, JSON for programs."""

from types import TracebackType
from typing import Self

from tools.show.board import Board
from tools.show.plan import Nature
from tools.show.reports import Event, write_line
from tools.show.summary import summary_lines, tables_of

_LINE_EVERY = 2.0
_JSON_EVERY = 1.0
_TOLD = {"listening", "met", "connected", "decided", "dropped", "problem", "complaint"}


class _Lines:
    """What both have in common: they write to stdout, and need no tidying."""

    def __init__(self, every: float) -> None:
        self._every = every
        self._next = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        pass

    def _is_time(self, board: Board, now: float) -> bool:
        """Whether it is time for the next line of progress."""
        if board.show_began is None or board.crawling or board.closing or now < self._next:
            return False
        self._next = now + self._every
        return True


class PlainView(_Lines):
    """A line every two seconds, and one for whatever is worth it."""

    def __init__(self) -> None:
        super().__init__(_LINE_EVERY)
        self._told = 0
        self._begun = False

    def event(self, event: Event, board: Board) -> None:
        """Print what the event has added to the log."""
        del event
        self._begin(board)
        fresh = min(board.logged - self._told, len(board.log))
        for when, _, text in list(board.log)[len(board.log) - fresh :]:
            print(f"{when:6.1f} s  {text}", flush=True)
        self._told = board.logged

    def tick(self, board: Board, now: float) -> None:
        """Print how it goes."""
        self._begin(board)
        if self._is_time(board, now) and board.history:
            last = board.history[-1]
            taken = ", ".join(f"{count} {nature}" for nature, count in last.places.items())
            print(f"{now - board.began:6.1f} s  service {last.share:.0%} of the best; peers of observers: {taken}", flush=True)

    def finish(self, board: Board, summary: Event) -> None:
        """Print the sum."""
        del board
        for line in summary_lines(summary):
            print(line)

    def _begin(self, board: Board) -> None:
        if not self._begun:
            self._begun = True
            print(f"{len(board.nodes)} nodes in {board.workers} processes; --seed {board.seed}, pace {board.pace:g}", flush=True)


class JsonView(_Lines):
    """One JSON object a line: first the plan, last the summary."""

    def __init__(self) -> None:
        super().__init__(_JSON_EVERY)
        self._begun = False

    def event(self, event: Event, board: Board) -> None:
        """Print what matters."""
        self._begin(board)
        if event["event"] in _TOLD:
            named = {f"{who}_name": board.name_of(event[who]) for who in ("peer", "dropped_peer") if who in event}
            print(write_line({**event, **named}), flush=True)

    def tick(self, board: Board, now: float) -> None:
        """Print the figures of the moment."""
        self._begin(board)
        if self._is_time(board, now):
            print(write_line(progress(board, now)), flush=True)

    def finish(self, board: Board, summary: Event) -> None:
        """Print the sum."""
        del board
        print(write_line(summary), flush=True)

    def _begin(self, board: Board) -> None:
        if not self._begun:
            self._begun = True
            print(write_line(plan_event(board)), flush=True)


def plan_event(board: Board) -> Event:
    """Who is what, which nobody in the show is told."""
    return {
        "event": "plan",
        "seed": board.seed,
        "pace": board.pace,
        "nodes": [
            {
                "name": plan.name,
                "nature": str(plan.nature),
                "observer": plan.observer,
                "places": plan.places,
                "external": list(plan.external),
                "offers": dict(plan.qualities),
                "service": {capability: plan.service(capability) for capability in plan.qualities},
            }
            for plan in (node.plan for node in board.nodes.values())
        ],
    }


def progress(board: Board, now: float) -> Event:
    """How it stands."""
    last = board.history[-1] if board.history else None
    return {
        "event": "progress",
        "seconds": round(now - board.began, 1),
        "connected": board.connected,
        "service_share_of_best": round(last.share, 3) if last is not None else None,
        "hostile_in_slots": last.places[Nature.HOSTILE] if last is not None else None,
        "mb_per_s": round(board.bytes.rate / 1e6, 2),
        "tables": tables_of(board),
        "observers": [
            {
                "name": node.plan.name,
                "service_share_of_best": round(board.share(node), 3),
                "peers": [
                    {
                        "name": row.plan.name if row.plan is not None else row.report.peer[:8],
                        "nature": str(row.plan.nature) if row.plan is not None else None,
                        "seconds": row.report.seconds,
                        "rates": {name: round(rate, 2) for name, rate in row.rates.items()},
                        "service": round(sum(row.plan.service(name) for name in row.report.shared), 2) if row.plan is not None else None,
                        "faults": sum(experience.invalid for experience in row.report.shared.values()),
                        "slots": dict(row.report.slots),
                        "ratings": dict(row.report.ratings),
                        "value": row.report.value,
                        "why": row.report.why,
                        "timeouts": sum(experience.timeouts for experience in row.report.shared.values()),
                    }
                    for row in board.rows(node)
                ],
            }
            for node in board.observers
        ],
        "go_ethereum": board.go,
    }
