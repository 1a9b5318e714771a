"""Which line a session gets: what its framing wants, or what its link can do."""

from typing import Any, Final

from devp2p.session.credit_line import CreditLine
from devp2p.session.line import Line, LineMaker, Side
from devp2p.session.mux_line import MuxLine
from devp2p.session.opening import Session
from devp2p.session.stream_line import StreamLine
from devp2p.transports import MuxLink
from devp2p.wire.dpx import DpxFraming

LINES: Final[dict[type[Any], LineMaker]] = {DpxFraming: CreditLine}
"""The lines of framings that want one of their own, by the framing's class or one that it is derived from."""


def line_of(session: Session, side: Side) -> Line:
    """Choose what drives the bytes of a session."""
    for kind in type(session.connection.framing).__mro__:
        if kind in LINES:
            return LINES[kind](session, side)
    if isinstance(session.link, MuxLink):
        return MuxLine(session, session.link, side)
    return StreamLine(session, side)
