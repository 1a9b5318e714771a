"""The engine for where atheris has no wheels: seeded mutations of a corpus, guided by the steps from line to line that they reach."""

import random
import time
from collections.abc import Callable
from typing import Final

from tests.fuzz.tracing import Arc, Tracer

TOKENS: Final = (
    b"\x80",
    b"\xc0",
    b"\xb8\x38",
    b"\xf8\x38",
    b"\x00",
    b"\xff",
    b"\x04",
    b"enr:",
    b"id\x82v4",
    b"enrtree-root:v1 ",
    b"enode://",
)


class Mutator:
    """Makes inputs of a corpus; the same from the same seed."""

    def __init__(self, seed: int, max_size: int) -> None:
        self._random = random.Random(seed)
        self._max_size = max_size

    def next_input(self, corpus: list[bytes]) -> bytes:
        # Short inputs and few changes are the ones that come through most often.
        data = bytearray(min(self._random.choice(corpus), self._random.choice(corpus), key=len))
        for _ in range(self._random.choice((1, 1, 1, 2, 2, 4, 8))):
            self._change(data, corpus)
        return bytes(data[: self._max_size])

    def _change(self, data: bytearray, corpus: list[bytes]) -> None:
        chance = self._random
        at = chance.randrange(len(data) + 1)
        end = min(len(data), at + chance.choice((1, 1, 2, 4, 8, 32)))
        match chance.randrange(8):
            case 0 if at < len(data):
                data[at] ^= 1 << chance.randrange(8)
            case 1 if at < len(data):  # such as the size in a head
                data[at] = (data[at] + chance.choice((-4, -3, -2, -1, 1, 2, 3, 4))) % 256
            case 2:
                data[at:end] = chance.randbytes(end - at)
            case 3:
                data[at:at] = chance.randbytes(chance.choice((1, 2, 4, 32)))
            case 4:
                del data[at:end]
            case 5:
                data[at:at] = data[at:end]
            case 6:
                data[at:at] = chance.choice(TOKENS)
            case _:
                other = chance.choice(corpus)
                begin = chance.randrange(len(other) + 1)
                data[at:end] = other[begin : begin + chance.choice((4, 16, 64, 256))]


class Search:
    """One run: the corpus as it grows, and what it reaches."""

    def __init__(self, run: Callable[[bytes], None], corpus: list[bytes], keep: Callable[[bytes], object]) -> None:
        self.corpus: list[bytes] = []
        self.executions = 0
        self.arcs = set[Arc]()
        self._run = run
        self._keep = keep
        self._tracer = Tracer()
        for data in corpus or [b""]:
            self.attempt(data)

    def attempt(self, data: bytes) -> None:
        """Run an input; what reaches anything new joins the corpus."""
        self.executions += 1
        reached = self._tracer.arcs(lambda: self._run(data))
        if not reached <= self.arcs:
            self.arcs |= reached
            self.corpus.append(data)
            self._keep(data)

    def go_on(self, mutator: Mutator, seconds: float) -> str:
        """Search until the time is over; what was done, in the words of libFuzzer."""
        begin = time.monotonic()
        while time.monotonic() - begin < seconds:
            self.attempt(mutator.next_input(self.corpus))
        size = sum(map(len, self.corpus))
        speed = int(self.executions / max(seconds, 0.001))
        steps = len({step for step, _ in self.arcs})
        return f"#{self.executions} DONE cov: {steps} ft: {len(self.arcs)} corp: {len(self.corpus)}/{size}b exec/s: {speed}"
