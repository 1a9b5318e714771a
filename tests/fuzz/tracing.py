"""Which steps from line to line of `devp2p` a call takes: the coverage that guides the fallback engine and chooses the corpus."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

LIBRARY: Final = str(Path(__file__).resolve().parents[2] / "devp2p")

Step = tuple[CodeType, int, int]
Arc = tuple[Step, int]
"""A step, and how often it was taken: once, up to 3 times, up to 7, or more."""


class Tracer:
    """Traces calls one at a time; in a process whose coverage nobody else measures."""

    def __init__(self) -> None:
        self._ours: dict[CodeType, bool] = {}
        self._steps: dict[Step, int] = {}

    def arcs(self, call: Callable[[], None]) -> frozenset[Arc]:
        """Call, and give the steps taken; what it raises goes on."""
        self._steps = {}
        before = sys.gettrace()
        sys.settrace(self._enter)
        try:
            call()
        finally:
            sys.settrace(before)
        return frozenset((step, min(count.bit_length(), 4)) for step, count in self._steps.items())

    def _enter(self, frame: FrameType, event: str, _argument: object) -> Any:
        code = frame.f_code
        ours = self._ours.get(code)
        if ours is None:
            ours = self._ours[code] = code.co_filename.startswith(LIBRARY)
        if not ours or event != "call":
            return None
        steps = self._steps
        last = 0

        def step(frame: FrameType, event: str, _argument: object) -> Any:
            nonlocal last
            if event == "line":
                taken = (code, last, frame.f_lineno)
                steps[taken] = steps.get(taken, 0) + 1
                last = frame.f_lineno
            return step

        return step
