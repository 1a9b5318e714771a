"""What other clients do when they are asked for their key by the prelude of dpx/1, of which they know nothing.

Its first two bytes are to them the size of a packet, 65281 bytes. go-ethereum judges that at once, ethereumjs waits for so many. Either
serves the next call.
"""

import pytest
import trio

from devp2p import Limits, NodeRecord, PeerDisconnected, PrivateKey, Progress, call, local_node
from tests.interop.peers import ethereumjs_peer, geth_peer

pytestmark = [pytest.mark.interop, pytest.mark.real_clock]

PATIENT, HASTY = Limits(), Limits(handshake_timeout=1)


async def ask(peer, limits, outcome):
    """Ask a client for its key, which it does not tell, and then call it by its key."""
    local = local_node(PrivateKey.generate(), limits=limits)
    record = NodeRecord.parse(peer.enode)
    for _ in range(3):
        progress = Progress()
        with outcome:
            await call(record.addresses[0], local, progress=progress)
        assert progress.remote is None
        assert "it speaks no dpx/1 prelude" in progress.why_silent
    session = await call(record, local_node(PrivateKey.generate()))
    assert session.public_key == peer.public_key
    await session.close()


@pytest.mark.usefixtures("geth")
async def test_go_ethereum_hangs_up_long_before_a_handshake_would_be_over():
    async with geth_peer() as peer:
        await ask(peer, PATIENT, pytest.raises(PeerDisconnected, match="hung up during the handshake: it speaks no dpx/1 prelude"))


@pytest.mark.usefixtures("ethereumjs")
async def test_ethereumjs_waits_for_more():
    async with ethereumjs_peer() as peer:
        await ask(peer, HASTY, pytest.raises(trio.TooSlowError))
