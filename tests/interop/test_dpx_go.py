"""dpx/1 with a second implementation, which was written in Go from the specification (geth/dpxpeer)."""

import json

import pytest
import trio

from devp2p import PeerConnected, PeerDropped, PrivateKey, open_node
from devp2p.node import Subscription
from devp2p.trust import Profile
from tests.interop import peers
from tests.interop.capabilities import Echoing

pytestmark = [pytest.mark.interop, pytest.mark.real_clock, pytest.mark.usefixtures("dpxpeer")]

CHACHA20_POLY1305, RESUME, BOTH = 3, 4, 67
"""What it offers: bits of features."""


async def play(*arguments: str, dpx: bool = True) -> list[peers.Event]:
    """Let it dial a node, and return what it reports."""
    async with open_node(PrivateKey.generate(), [Echoing()], listen=["tcp://127.0.0.1:0"], dpx=dpx, strict=True) as node:
        return await dialled(node.enode, *arguments)


async def dialled(enode: str, *arguments: str) -> list[peers.Event]:
    with trio.fail_after(peers.PATIENCE):
        done = await trio.run_process([peers.DPXPEER, "-dial", enode, *arguments], capture_stdout=True, check=False)
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


async def test_it_resumes_a_session_by_its_secret_and_the_next_by_the_next():
    own, features = bytes(PrivateKey.generate()).hex(), str(BOTH | RESUME)
    async with open_node(PrivateKey.generate(), [Echoing()], listen=["tcp://127.0.0.1:0"], strict=True) as node:
        secret, profiles = "", []
        events = node.events()
        for _ in range(3):
            played = await dialled(node.enode, "-key", own, "-features", features, "-echo", "20", "-secret", secret)
            accepted = the(played, "accepted")
            assert (accepted["mode"], accepted["verdict"]) == ((2, 1) if secret else (0, 0))
            assert the(played, "committed")["same"]
            secret = the(played, "secret")["secret"]
            profiles.append(await profile_of_next(events))
        assert [(profile.mode, profile.generation) for profile in profiles] == [("plain", 0), ("resumed", 2), ("resumed", 3)]
        played = await dialled(node.enode, "-key", own, "-features", features, "-echo", "20", "-secret", "11" * 32)
        assert (the(played, "accepted")["mode"], the(played, "accepted")["verdict"]) == (0, 2)  # nobody knows that one


async def profile_of_next(events: Subscription) -> Profile:
    """What is spoken with the peer that connects next, once it has left."""
    profile = None
    async for event in events:
        if isinstance(event, PeerConnected):
            profile = event.peer.profile
        if isinstance(event, PeerDropped):
            break
    assert profile is not None
    return profile
