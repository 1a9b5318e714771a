"""What the streams of all transports hold against a second task that would do the same at the same time."""

import trio


class Alone:
    """Lets one task at a time do something; trio.BusyResourceError for another."""

    __slots__ = ("_is_taken", "_what")

    def __init__(self, what: str) -> None:
        self._what = what
        self._is_taken = False

    def __enter__(self) -> None:
        if self._is_taken:
            raise trio.BusyResourceError(f"another task is {self._what}")
        self._is_taken = True

    def __exit__(self, *_: object) -> None:
        self._is_taken = False
