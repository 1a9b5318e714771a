"""One session with one peer: `open_session` shakes hands over a link, `run_session` runs capabilities until it ends and says how.

What moves the bytes in between is a `Line`: over one stream, over a stream for each capability, or of another kind (`LINES`).
"""

from devp2p.session.line import Line, Side
from devp2p.session.lines import LINES
from devp2p.session.mux_line import MuxLine
from devp2p.session.opening import (
    CHUNK,
    NO_ANSWER,
    Farewell,
    Heard,
    LocalNode,
    Session,
    close_link,
    hear,
    local_node,
    open_session,
    with_time,
)
from devp2p.session.rivals import wait_for_choice
from devp2p.session.running import RunningSession, run_session
from devp2p.session.stream_line import StreamLine

__all__ = [
    "CHUNK",
    "LINES",
    "NO_ANSWER",
    "Farewell",
    "Heard",
    "Line",
    "LocalNode",
    "MuxLine",
    "RunningSession",
    "Session",
    "Side",
    "StreamLine",
    "close_link",
    "hear",
    "local_node",
    "open_session",
    "run_session",
    "wait_for_choice",
    "with_time",
]
