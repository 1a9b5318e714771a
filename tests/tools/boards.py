"""What the parent of the demonstration knows, made up: a board with four nodes, one of which observes."""

import json
from collections.abc import Mapping

from tools.show.board import Board
from tools.show.plan import Nature, NodePlan
from tools.show.reports import Experience, NodeReport, PeerReport, write_line

GOOD = NodePlan("ada", Nature.GOOD, 0, "", (), 20, qualities={"bulk": 0.75, "echo": 0.5})
POOR = NodePlan("bob", Nature.SLOW, 0, "", (), 20, qualities={"bulk": 0.05})
BAD = NodePlan("cal", Nature.HOSTILE, 0, "", (), 20, qualities={"bulk": 1.0, "echo": 1.0}, turns=5.0)
WATCHED = NodePlan("dan", Nature.GOOD, 0, "", (), 2, observer=True)


def session(plan: NodePlan, shared: Mapping[str, Experience] | None = None, seconds: float = 3.0) -> PeerReport:
    return PeerReport(f"id of {plan.name}", "c", inbound=True, transport="tcp6", seconds=seconds, shared=shared or {})


def small_board() -> Board:
    board = Board([GOOD, POOR, BAD, WATCHED], seed=7, pace=60.0)
    for name in board.nodes:
        board.apply({"event": "listening", "node": name, "id": f"id of {name}", "client": "c", "enr": "enr:", "enode": "enode://"}, 0.0)
        board.apply({"event": "met", "node": name, "peer": "id of ada"}, 0.5)
    board.show_began, board.show_ends = 1.0, 11.0
    return board


def report(board: Board, report: NodeReport, now: float, name: str = "dan") -> None:
    board.apply(json.loads(write_line({"node": name, "source": "worker 0", **report.to_event()})), now)
