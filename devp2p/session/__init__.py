"""One session with one peer: `call` dials it, `open_session` shakes hands over a link, `run_session` runs capabilities to the end.

What moves the bytes in between is a `Line`: over one stream, over a stream for each capability, or of another kind (`LINES`).
"""

from devp2p.session.calling import call, dial, listen
from devp2p.session.line import Line, Side
from devp2p.session.lines import LINES
from devp2p.session.local import LocalNode, local_node
from devp2p.session.mux_line import MuxLine
from devp2p.session.opening import (
    CHUNK,
    Farewell,
    Heard,
    Session,
    close_link,
    hear,
    open_session,
    with_time,
)
from devp2p.session.progress import NO_ANSWER, Progress, Step
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
    "Progress",
    "RunningSession",
    "Session",
    "Side",
    "Step",
    "StreamLine",
    "call",
    "close_link",
    "dial",
    "hear",
    "listen",
    "local_node",
    "open_session",
    "run_session",
    "wait_for_choice",
    "with_time",
]
