"""Sessions that last: pings both ways, and silence longer than any read deadline. All wait at once, since they do nothing but wait."""

from functools import partial

import pytest
import trio

from devp2p import Limits
from tests.interop.capabilities import Echoing
from tests.interop.meeting import HANDSHAKES, NodeMaker, meet
from tests.interop.peers import PATIENCE, EthereumJsPeer, GethPeer, ethereumjs_peer, geth_peer

pytestmark = [pytest.mark.interop, pytest.mark.usefixtures("geth", "ethereumjs")]

# Both clients ping every 15 seconds. go-ethereum ends a session in which nothing came for 30 seconds, ethereumjs one in which a Ping was
# not answered within 10.
LONG = 36.0
NEVER = 3600.0


async def last(our_node: NodeMaker, other: GethPeer | EthereumJsPeer, *, ping_interval: float) -> None:
    """Have a session without any message for a while, and use it then."""
    async with our_node(Echoing(), limits=Limits(ping_interval=ping_interval)) as node:
        peer, talk = await meet(node, other)
        with trio.move_on_after(LONG):
            raise AssertionError(f"a session with {peer} ended: {await peer.wait_ended()}")
        if ping_interval == NEVER:
            assert peer.latency is None  # nothing but their pings and our pongs kept it alive
        else:
            assert peer.latency is not None
            assert 0 < peer.latency < PATIENCE
        assert await talk.echo(b"still here") == b"still here"


def test_sessions_of_36_seconds_with_our_pings_and_without() -> None:
    async def main() -> None:
        with trio.fail_after(LONG + PATIENCE):
            async with geth_peer() as go, ethereumjs_peer() as js, trio.open_nursery() as nursery:
                for handshake in HANDSHAKES.values():
                    for other in (go, js):
                        for ping_interval in (0.5, NEVER):
                            nursery.start_soon(partial(last, NodeMaker(**handshake), other, ping_interval=ping_interval))

    trio.run(main)
