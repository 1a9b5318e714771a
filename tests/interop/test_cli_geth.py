"""The ``devp2p`` command against other clients: our ping of their nodes, go-ethereum's ping of ours."""

import json
import signal
import subprocess
from typing import Any

import pytest
import trio

from devp2p import DisconnectReason, NodeRecord, PrivateKey
from tests.cli.processes import COMMAND, ROOT, running_node
from tests.interop.peers import DEVP2P, PATIENCE, ethereumjs_peer, geth_peer

pytestmark = [pytest.mark.interop, pytest.mark.real_clock, pytest.mark.usefixtures("geth")]


async def ping(enode: str) -> tuple[int, dict[str, Any]]:
    """Call a node; the exit status and what was printed."""
    command = [*COMMAND, "ping", "--json", "--timeout", str(PATIENCE), enode]
    ended = await trio.run_process(command, capture_stdout=True, check=False, cwd=ROOT)
    return ended.returncode, json.loads(ended.stdout)


async def test_go_ethereum_says_what_it_is_though_nothing_is_shared():
    async with geth_peer("--protocols", "echo/1:8,blob/1:4") as go:
        status, shown = await ping(go.enode)
        rejected = await go.event("rejected", stage="checks")
    assert (status, shown["status"], shown["error"]) == (0, "ok", None)
    assert (shown["id"], shown["public_key"]) == (go.id, bytes(go.public_key).hex())
    assert (shown["capabilities"], shown["p2p_version"]) == (["blob/1", "echo/1"], 5)
    assert shown["client"].startswith("testpeer/v1.17.8/")
    assert all(seconds > 0 for seconds in shown["seconds"].values())
    assert rejected["reason"] == DisconnectReason.USELESS_PEER  # what it thinks of a node without capabilities


async def test_go_ethereum_without_a_free_place_refuses():
    async with geth_peer("--max-peers", "1") as go:
        status, shown = await ping(go.enode)
        await go.event("rejected", reason=DisconnectReason.TOO_MANY_PEERS)
    assert (status, shown["status"]) == (3, "refused")
    assert shown["disconnect"] == {"reason": 4, "reason_text": "too many peers (0x04)"}


async def test_go_ethereum_does_not_answer_under_a_wrong_key():
    async with geth_peer() as go:
        wrong = NodeRecord(PrivateKey.generate().public_key, NodeRecord.parse(go.enode).addresses)
        status, shown = await ping(wrong.enode)
    assert (status, shown["status"], shown["client"]) == (1, "unreachable", None)
    assert "another key than the enode says" in shown["error"]


@pytest.mark.usefixtures("ethereumjs")
async def test_ethereumjs_says_what_it_is_though_nothing_is_shared():
    async with ethereumjs_peer() as js:
        status, shown = await ping(js.enode)
        await js.event("end", established=False)
    assert (status, shown["public_key"], shown["capabilities"]) == (0, bytes(js.public_key).hex(), ["echo/1"])


async def test_go_ethereum_pings_our_node():
    async with running_node("--capability", "examples.chat:Chat", "--client-id", "ours") as ours:
        enode = (await ours.event("listening"))["enode"]
        ended = await trio.run_process([str(DEVP2P), "rlpx", "ping", enode], capture_stdout=True, stderr=subprocess.STDOUT, check=False)
        assert ended.returncode == 0, ended.stdout
        assert "Name:ours Caps:[chat/1]" in ended.stdout.decode()
        refused = await ours.event("refused")  # it goes without a word once it has heard the Hello
        assert (refused["reason"], "hung up" in refused["error"]) == (DisconnectReason.NETWORK_ERROR, True)


async def test_a_session_between_our_node_and_go_ethereum_is_told():
    async with geth_peer("--protocols", "chat/1:5") as go, running_node("--capability", "tests.chat:Chat", "--peer", go.enode) as ours:
        connected = await ours.event("connected")
        assert (connected["id"], connected["capabilities"], connected["inbound"]) == (go.id, ["chat/1"], False)
        assert connected["client"].startswith("testpeer/v1.17.8/")
        await ours.event("ready")
        peer = await go.event("peer", protocol="chat")
        await go.command("disconnect", peer=peer["peer"], reason=DisconnectReason.TOO_MANY_PEERS)
        dropped = await ours.event("dropped")
        assert (dropped["reason_text"], dropped["by_remote"]) == ("too many peers (0x04)", True)
        assert await ours.end(signal.SIGTERM) == (0, "")
