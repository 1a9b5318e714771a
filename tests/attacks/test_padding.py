"""A peer that sends padding and nothing else, as fast as it can."""

from contextlib import suppress

import pytest
import trio

from devp2p import Limits
from devp2p.conduct import Conduct
from devp2p.wire.dpx import PadAllowance, control
from tests.chat import Chat
from tests.dpx_scripts import DpxScript
from tests.wires import WIRES

PADDING = 16_000
LIMITS = Limits(max_download=1_000_000, ping_interval=10**6)


async def conduct_after(flood: float, *, seconds: int) -> Conduct:
    """What stands against a peer that has sent so many bytes of padding a second."""
    async with WIRES["dpx"].scripted_peer([Chat()], limits=LIMITS) as (node, peer):
        assert isinstance(peer, DpxScript)
        (remote,) = node.connected
        with suppress(trio.BrokenResourceError):  # a peer of bad conduct has to go
            for _ in range(int(flood * seconds / PADDING)):
                await peer.send_control(control.Pad(PADDING))
                await trio.sleep(PADDING / flood)
        assert remote.traffic(Chat).bytes_in == 0
        return remote.conduct(Chat)


async def test_x20_padding_beyond_a_tenth_of_the_line_counts_against_a_peer() -> None:
    assert (await conduct_after(500_000, seconds=30)).invalid >= 1
    assert (await conduct_after(90_000, seconds=30)).invalid == 0, "within a tenth"


async def test_x20_control_without_an_allowance_it_costs_a_peer_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PadAllowance, "came", lambda *_: 0)
    assert (await conduct_after(500_000, seconds=30)).invalid == 0


async def test_a_peer_that_would_always_send_more_than_the_line_takes_is_told_so() -> None:
    async with WIRES["dpx"].scripted_peer([Chat()], limits=LIMITS) as (node, peer):
        assert isinstance(peer, DpxScript)
        (remote,) = node.connected
        await peer.send_control(control.Shape(4, 1024, 2_000_000, 2_000_000, 0, 0))
        end = await remote.wait_ended()
    assert end.detail == "the peer would always send 2000000 bytes a second, more than the 1000000 that we take"
