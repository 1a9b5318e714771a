"""One session with one peer: `open_session` shakes hands over a link, `run_session` moves messages until it ends and says how."""

from devp2p.session.opening import (
    CHUNK,
    NO_ANSWER,
    Farewell,
    Heard,
    LocalNode,
    Session,
    close_link,
    hear_auth,
    local_node,
    open_session,
    stream_of,
    with_time,
)
from devp2p.session.rivals import wait_for_choice
from devp2p.session.running import run_session

__all__ = [
    "CHUNK",
    "NO_ANSWER",
    "Farewell",
    "Heard",
    "LocalNode",
    "Session",
    "close_link",
    "hear_auth",
    "local_node",
    "open_session",
    "run_session",
    "stream_of",
    "wait_for_choice",
    "with_time",
]
