"""Looks every few seconds for messages that make no progress. They take up room, and nobody waits for them who would notice."""

from collections.abc import Callable
from functools import partial
from typing import Final

import trio

from devp2p.capability import HeldUp
from devp2p.session.line import Side
from devp2p.wire import MessageReceived
from devp2p.wire.dpx import DpxFraming

_LEAST_PATIENCE: Final = 1.0  # seconds between two looks


class Watch:
    """Over one session: messages that the peer has begun and does not finish, and those that a capability does not take."""

    def __init__(self, side: Side, framing: DpxFraming, wake: Callable[[], None]) -> None:
        """`wake` is called when the peer is to be told something."""
        self._side = side
        self._framing = framing
        self._wake = wake
        self._indexes = range(len(side.outbox.weights))
        self._unread: dict[int, tuple[MessageReceived, HeldUp | None]] = {}
        self._idle = trio.lowlevel.ParkingLot()

    async def run(self) -> None:
        """Look while there is something to look at."""
        framing, every = self._framing, max(_LEAST_PATIENCE, self._side.limits.inbox_patience)
        try:
            while True:
                if not self._has_to_look:
                    await self._idle.park()
                await trio.sleep(every)
                framing.now = trio.current_time()
                for index in framing.expire():
                    self._side.channel(index).conduct.timed_out()
                for index in self._indexes:
                    self._look_at(index)
                if framing.ledgers.has_controls:
                    self._wake()
        finally:
            for index in list(self._unread):
                self._forget(index)

    def glance(self) -> None:
        """Something has come: perhaps there is something to look at."""
        if self._idle and self._has_to_look:
            self._idle.unpark_all()

    @property
    def _has_to_look(self) -> bool:
        channel = self._side.channel
        return self._framing.ledgers.receiving.held > 0 or any(channel(index).oldest for index in self._indexes)

    def _look_at(self, index: int) -> None:
        """If a capability has taken nothing since the last look, its session is ended before others when room is short."""
        oldest, budget = self._side.channel(index).oldest, self._side.budget
        before, held_up = self._unread.get(index, (None, None))
        if oldest is None or oldest is not before:
            self._forget(index)
            if oldest is not None:
                self._unread[index] = oldest, None
        elif held_up is None:
            held_up = HeldUp(0, trio.current_time(), partial(self._give_up, index, oldest))
            self._unread[index] = oldest, held_up
            budget.may_end(held_up)

    def _forget(self, index: int) -> None:
        _, held_up = self._unread.pop(index, (None, None))
        if held_up is not None:
            self._side.budget.keep(held_up)

    def _give_up(self, index: int, oldest: MessageReceived) -> None:
        if self._side.channel(index).oldest is oldest:
            self._side.give_up(index)
