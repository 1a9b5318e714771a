"""Both ledgers of a session, the control messages that change them, and how many of these a peer may send (dpx/1, sections 5 and 6).

Control messages cost their sender nothing, as HTTP/2 has found (CVE-2019-9511 to 9518, CVE-2023-44487), so they are counted. But those that
only follow from what we have sent cannot be a flood, and a fast link needs thousands of them a second: credit that was spent, half a window
at a time, the one RELEASE of a context, the answer to a RESET of ours. The one RESET of a context has a bound of its own, on either side,
since what it makes vain costs much more than itself. Padding is counted where traffic is shaped.
"""

from collections.abc import Sequence
from typing import Final

from devp2p.bounded import Throttle
from devp2p.errors import RemoteProtocolError
from devp2p.wire.dpx.contexts import Contexts
from devp2p.wire.dpx.control import CANCEL, Control, Delta, Pad, Release, Reset, Unknown
from devp2p.wire.dpx.credit import SendCredit
from devp2p.wire.dpx.element import Params

CONTROLS_PER_SECOND: Final = 100
CONTROLS_AT_ONCE: Final = 200
CANCELS_PER_MINUTE: Final = 50
"""Messages that a peer may begin and give up."""
REFUSALS_PER_MINUTE: Final = 50
"""Messages of ours that it may refuse: we have made them, and it has taken a chunk."""
_ONE = b""  # the only key of a throttle that one peer has for itself


class Ledgers:
    """What one session may send, and what it holds. A line reports each frame to one of the two, and each control message to `received`."""

    def __init__(self, ours: Params, theirs: Params, sizes: Sequence[Sequence[int]], *, compressed: bool) -> None:
        """What each side takes in; for the rest see `Contexts`."""
        self.sending: Final = SendCredit(theirs, len(sizes))
        self.receiving: Final = Contexts(ours, sizes, compressed=compressed)
        self._answers: list[Reset] = []
        self._controls = Throttle(CONTROLS_PER_SECOND, CONTROLS_AT_ONCE)
        self._cancels = Throttle(CANCELS_PER_MINUTE / 60, CANCELS_PER_MINUTE)
        self._refusals = Throttle(REFUSALS_PER_MINUTE / 60, REFUSALS_PER_MINUTE)

    def received(self, control: Control | Unknown, now: float) -> None:
        """Act on a control message; of those that are not about credit and contexts only the number matters here.

        Messages whose context is no longer open (`SendCredit.is_open`) are not sent on. RemoteProtocolError for what breaks a rule.
        """
        follows = isinstance(control, Pad)
        match control:
            case Delta():
                follows = self.sending.credited(control)
            case Release():
                self.sending.released(control)
                follows = True
            case Reset(code=code) if code == CANCEL:
                follows = not self.receiving.cancelled(control)
                if not follows and not self._cancels.allows(_ONE, now):
                    raise RemoteProtocolError(f"more than {CANCELS_PER_MINUTE} messages a minute were begun and given up")
            case Reset():
                answer, follows = self.sending.refused(control)
                if answer is not None:
                    self._answers.append(answer)
                if follows and not self._refusals.allows(_ONE, now):
                    raise RemoteProtocolError(f"more than {REFUSALS_PER_MINUTE} messages a minute were refused")
            case _:
                pass
        if not follows and not self._controls.allows(_ONE, now):
            raise RemoteProtocolError(f"more than {CONTROLS_PER_SECOND} control messages a second")

    @property
    def has_controls(self) -> bool:
        """Whether the peer is to be told something."""
        return bool(self._answers) or self.receiving.has_controls

    def controls(self, now: float) -> list[Control]:
        """What the peer is to be told: behind all chunks that were cut before, and before any that is cut later."""
        told: list[Control] = [*self._answers, *self.receiving.controls(now)]
        self._answers.clear()
        return told
