"""The demonstration shows what its nodes decide about their peers: told once, in words, and counted."""

import pytest
import trio
import trio.testing

from devp2p import PrivateKey, open_node
from devp2p.peers.slots.values import Admit, Decision, Dial, Drop, Evict, Graft, Refuse, Swap
from devp2p.transports.memory import MemoryTransport
from tests.tools.boards import BAD, GOOD, POOR, small_board
from tools.show import worker
from tools.show.actor import Actor, describe_all
from tools.show.board import Board
from tools.show.changes import event_of
from tools.show.conduct import capabilities_of
from tools.show.plan import Nature, NodePlan
from tools.show.reports import PeerReport
from tools.show.summary import summary_lines, summary_of


def decided(board: Board, what: str, peer: NodePlan, dropped: NodePlan | None = None, why: str = "because") -> None:
    event = {"event": "decided", "node": "dan", "source": "worker 0", "what": what, "peer": f"id of {peer.name}", "why": why}
    board.apply({**event, **({"dropped_peer": f"id of {dropped.name}"} if dropped is not None else {})}, 3.0)


def begins(board: Board, peer: NodePlan) -> None:
    board.apply({"event": "connected", "node": "dan", "peer": f"id of {peer.name}", "inbound": False, "transport": "tcp4"}, 3.1)


def ends(board: Board, peer: NodePlan, reason: int = 4) -> None:
    board.apply({"event": "dropped", "node": "dan", "peer": f"id of {peer.name}", "reason": reason, "why": "", "seconds": 1.0}, 3.2)


def test_decisions_are_told_with_those_whom_they_are_about():
    me, other = b"\x01" * 32, b"\x02" * 32
    swap = event_of(Swap(me, other, "it is better", 0.4236))
    assert swap is not None
    assert (swap["what"], swap["peer"], swap["dropped_peer"], swap["gain"]) == ("swap", me.hex(), other.hex(), 0.424)
    decisions: list[Decision] = [
        Graft(me, None, "echo", "why"),
        Drop(me, "why", 60.0),
        Evict(me, "why"),
        Refuse(me, "why"),
        Admit(me, "why", other),
    ]
    events = [event_of(decision) for decision in decisions]
    assert [event and event["what"] for event in events] == ["graft", "drop", "evict", "refuse", "admit"]
    assert [event is not None and "dropped_peer" in event for event in events] == [False, False, False, False, True]
    assert event_of(Dial(me, "there is a free place")) is None


def test_a_swap_is_told_once_and_when_it_has_come_about():
    board = small_board()
    before = board.logged
    why = "it is expected to be worth 0.42 more (bulk 0.12 -> 0.50)"
    decided(board, "swap", GOOD, POOR, why)
    assert (board.logged - before, board.changes.swaps) == (0, 0)  # its dial may fail
    decided(board, "admit", GOOD, POOR, "it was dialled for another one's place")
    ends(board, POOR)
    begins(board, GOOD)
    assert [text for _, _, text in board.log][before:] == [f"dan: swap bob (slow) for ada (good): {why}"]
    assert (board.changes.swaps, board.changes.made_room, board.nodes["dan"].changes) == (1, 0, 1)
    ends(board, GOOD)  # of itself, later
    begins(board, POOR)
    assert board.logged - before == 3


def test_who_makes_room_for_a_caller_is_told_from_who_is_swapped():
    board = small_board()
    decided(board, "swap", GOOD, POOR)
    decided(board, "admit", GOOD, BAD, "the youngest peer makes room")  # it has dialled us before our dial was there
    assert board.log[-1][2] == "dan: let ada (good) in, and cal (hostile) go for it: the youngest peer makes room"
    assert (board.changes.swaps, board.changes.made_room) == (0, 1)


def test_the_summary_says_who_lost_places_and_who_was_given_them():
    board = small_board()
    for coming, going in ((GOOD, POOR), (GOOD, BAD), (POOR, GOOD)):
        decided(board, "swap", coming, going)
        decided(board, "admit", coming, going)
    decided(board, "swap", BAD, POOR)
    decided(board, "drop", BAD, why="forged news")
    decided(board, "evict", POOR)
    for _ in range(2):
        decided(board, "refuse", GOOD, why="all places are taken")
    board.closing = True
    decided(board, "drop", GOOD)
    summary = summary_of(board, 5.0)
    assert summary["steering"] == {
        "swaps": 3,
        "swaps_tried": 4,
        "grafts": 0,
        "made_room": 0,
        "drops": 1,
        "evictions": 1,
        "refusals": 2,
        "left": {"slow": 2, "hostile": 2, "good": 1},
        "came": {"good": 2, "slow": 1},
    }
    assert "lost by 2 slow, 2 hostile, 1 good; given instead to 2 good, 1 slow" in "\n".join(summary_lines(summary))
    told = [text for _, _, text in board.log]
    assert told.count("dan: refuse ada (good): all places are taken") == 1  # who knocks again and again is told of once
    assert "dan: drop cal (hostile): forged news" in told


def test_a_session_is_reported_with_its_slots():
    async def main() -> tuple[PeerReport, ...]:
        network = MemoryTransport()
        plan = NodePlan("eve", Nature.GOOD, 0, "memory://eve", (), 8, qualities={"echo": 1.0, "bulk": 0.5})
        async with (
            open_node(PrivateKey.generate(), capabilities_of(plan), listen=["memory://eve"], transports=[network]) as far,
            open_node(PrivateKey.generate(), capabilities_of(plan), transports=[network]) as near,
        ):
            await near.connect(far.enode)
            return describe_all(near)

    (one,) = trio.run(main)
    assert one.slots == dict.fromkeys(("bulk", "echo"), "core")
    assert one.ratings == dict.fromkeys(("bulk", "echo"), 0.5)  # it was dialled, and nothing is known of it
    assert one.value == 1.0
    assert "core in bulk (newcomer, taken for 0.50)" in one.why


@pytest.mark.parametrize(("observer", "pace"), [(True, 300.0), (False, 10.0)])
def test_only_observers_live_at_the_whole_pace(observer, pace):
    async def main() -> float:
        plan = NodePlan("ada", Nature.GOOD, 0, "tcp://127.0.0.1:0", ("127.0.0.1",), 8, observer=observer, qualities={"echo": 1.0})
        actors: list[Actor] = []
        async with trio.open_nursery() as nursery:
            await worker._start(plan, [], 300.0, actors, nursery)
            nursery.cancel_scope.cancel()
        return actors[0].node.pace

    assert trio.run(main) == pace
