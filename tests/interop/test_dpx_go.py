"""dpx/1 with a second implementation, which was written in Go from the specification (geth/dpxpeer)."""

import json

import pytest
import trio

from devp2p import PrivateKey, open_node
from tests.interop import peers
from tests.interop.capabilities import Echoing

pytestmark = [pytest.mark.interop, pytest.mark.real_clock, pytest.mark.usefixtures("dpxpeer")]

CHACHA20_POLY1305, BOTH = 3, 67
"""What it offers: bits of features."""


async def play(*arguments: str, dpx: bool = True) -> list[peers.Event]:
    """Let it dial a node, and return what it reports."""
    async with open_node(PrivateKey.generate(), [Echoing()], listen=["tcp://127.0.0.1:0"], dpx=dpx, strict=True) as node:
        with trio.fail_after(peers.PATIENCE):
            done = await trio.run_process([peers.DPXPEER, "-dial", node.enode, *arguments], capture_stdout=True, check=False)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, events[-1]) == (0, {"event": "done"}), events
    return events


def the(events: list[peers.Event], name: str) -> peers.Event:
    (found,) = (event for event in events if event["event"] == name)
    return found


@pytest.mark.parametrize("features", [CHACHA20_POLY1305, BOTH])
async def test_messages_of_all_sizes_come_back(features):
    sizes = [0, 16, 16_000, 17_000, 300_000, 5_000_000]
    events = await play("-features", str(features), "-echo", ",".join(map(str, sizes)))
    assert the(events, "accepted")["features"] == features
    echoed = [event for event in events if event["event"] == "echoed"]
    assert [(event["size"], event["same"]) for event in echoed] == [(size, True) for size in sizes]
    assert [event["frames"] == 1 for event in echoed] == [True] * 3 + [False] * 3
    assert the(events, "state")["unreleased"] == 0
    assert the(events, "state")["released"] == 3


async def test_a_small_message_passes_between_the_chunks_of_a_large_one():
    assert the(await play("-overtake", "1000000"), "overtaken")


@pytest.mark.parametrize("features", [CHACHA20_POLY1305, BOTH])
async def test_both_go_over_to_new_keys_after_4096_records(features):
    events = await play("-features", str(features), "-asks", "4200")
    assert the(events, "asked")["count"] == 4200
    assert 0 < the(events, "state")["records"] < 4096


async def test_a_stock_node_passes_over_its_offer():
    assert the(await play(dpx=False), "stock")
