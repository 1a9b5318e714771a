"""KZG proofs of blobs and their cells (EIP-4844, EIP-7594), by the library ckzg in a process of its own, which is the extra ``kzg``.

`trusted_setup.bin` is the result of the KZG ceremony (github.com/ethereum/kzg-ceremony), public data that every client ships.
"""

import atexit
import contextlib
import functools
import importlib.util
import marshal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, cast

import trio

from devp2p import LocalProtocolError

_FOLDER = Path(__file__).resolve().parent
MISSING = "blobs need the library ckzg: pip install 'trio-devp2p[kzg]'"


def is_available() -> bool:
    """Whether ckzg is installed."""
    return importlib.util.find_spec("ckzg") is not None


class _Process:
    """`kzg_worker.py`, running; it ends when its input is closed, so also when this process is killed."""

    def __init__(self) -> None:
        command = [sys.executable, "-P", str(_FOLDER / "kzg_worker.py"), str(_FOLDER / "trusted_setup.bin")]
        # a session of its own: Ctrl-C is for us, and it ends with its input
        self._popen = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)  # noqa: S603
        self.input: IO[bytes] = cast("IO[bytes]", self._popen.stdin)
        self.output: IO[bytes] = cast("IO[bytes]", self._popen.stdout)

    def end(self) -> int:
        """End it, and return its status."""
        status = self._popen.poll()
        self._popen.kill()
        for pipe in (self.input, self.output):
            with contextlib.suppress(OSError):
                pipe.close()
        return self._popen.wait() if status is None else status


class Kzg:
    """The process, which is started when it is first asked for something; that takes up to some seconds.

    All calls wait for one another. Each may be cancelled; it is then computed all the same, and forgotten. LocalProtocolError if the
    process cannot be started or ends.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: _Process | None = None

    async def start(self) -> None:
        """Load the trusted setup, so that the first proof need not wait for it."""
        await self.verify_cells([], [], [], [])

    async def verify_cells(
        self, commitments: Sequence[bytes], columns: Sequence[int], cells: Sequence[bytes], proofs: Sequence[bytes]
    ) -> bool:
        """Whether each cell, in its column, belongs to the blob of its commitment; False also for bytes that are no points."""
        worked, result = await self._call("verify_cells", list(commitments), list(columns), list(cells), list(proofs))
        return worked and bool(result)

    async def verify_blobs(self, blobs: Sequence[bytes], commitments: Sequence[bytes], proofs: Sequence[bytes]) -> bool:
        """Whether blobs are those of their commitments, and all cells those of the proofs, 128 for each blob."""
        worked, result = await self._call("verify_blobs", list(blobs), list(commitments), list(proofs))
        return worked and bool(result)

    async def extend(self, blobs: Sequence[bytes]) -> list[list[bytes]]:
        """All 128 cells of each blob."""
        cells: list[list[bytes]] = self._proved(await self._call("extend", list(blobs)))
        return cells

    async def recover(self, columns: Sequence[int], cells: Sequence[Sequence[bytes]]) -> list[bytes]:
        """Blobs, each of its cells in 64 or more columns, which must have been verified."""
        blobs: list[bytes] = self._proved(await self._call("recover", list(columns), [list(each) for each in cells]))
        return blobs

    async def commitments(self, blobs: Sequence[bytes]) -> list[bytes]:
        """The commitments of blobs; LocalProtocolError for bytes that are no blob."""
        commitments: list[bytes] = self._proved(await self._call("commitments", list(blobs)))
        return commitments

    async def seal(self, blobs: Sequence[bytes]) -> tuple[list[bytes], list[bytes]]:
        """The commitments of blobs, and the proofs of all their cells, 128 for each; half a second for each blob."""
        sealed: tuple[list[bytes], list[bytes]] = self._proved(await self._call("seal", list(blobs)))
        return sealed

    def close(self) -> None:
        """End the process; the next call starts another."""
        process, self._process = self._process, None  # without the lock: a call that is under way ends by this, with an error
        if process is not None:
            process.end()

    async def _call(self, name: str, *arguments: object) -> tuple[bool, Any]:
        if not is_available():
            raise LocalProtocolError(MISSING)
        return await trio.to_thread.run_sync(self._exchange, (name, arguments), abandon_on_cancel=True, limiter=_one_at_a_time())

    def _exchange(self, call: tuple[str, Any]) -> tuple[bool, Any]:
        with self._lock:
            if self._process is None:
                self._process = _Process()
            process = self._process
            try:
                marshal.dump(call, process.input)
                process.input.flush()
                answer: tuple[bool, Any] = marshal.load(process.output)  # noqa: S302  (our own process wrote it)
            except (OSError, EOFError, ValueError) as error:
                self._process = None
                raise LocalProtocolError(f"the process for KZG ended, with status {process.end()}") from error
            return answer

    @staticmethod
    def _proved(answer: tuple[bool, Any]) -> Any:  # noqa: ANN401
        worked, result = answer
        if not worked:
            raise LocalProtocolError(f"ckzg: {result}")
        return result


@functools.cache
def shared() -> Kzg:
    """The one that all pools of this process share; it ends with it."""
    kzg = Kzg()
    atexit.register(kzg.close)
    return kzg


_limiters: trio.lowlevel.RunVar[trio.CapacityLimiter] = trio.lowlevel.RunVar("kzg")


def _one_at_a_time() -> trio.CapacityLimiter:
    try:
        return _limiters.get()
    except LookupError:
        limiter = trio.CapacityLimiter(1)
        _limiters.set(limiter)
        return limiter
