"""For the tests of capabilities: two nodes without sockets, and a peer that does exactly what a test tells it to.

`two_nodes` connects two nodes in memory, both ``strict``, so that an exception in a capability fails the test. `scripted_peer` runs one
such node and gives the other end of the session to the test, which can send it anything: typed messages, raw ones, broken frames, or
nothing at all. Under ``trio.testing.MockClock(autojump_threshold=0)`` neither ever waits in real time.

    async with two_nodes([Chat()], [Chat()]) as (alice, bob):
        time = await alice.connected[0][Chat].request(GetTime("utc"))

    async with scripted_peer([Chat()]) as (node, peer):
        await peer.send_message(Say("hello"))
        assert await peer.receive_message() == Say("hello")
        await peer.send(0x10, b"no RLP")
        assert await peer.receive_disconnect() == DisconnectReason.PROTOCOL_BREACH
"""

from devp2p.testing.nodes import scripted_peer, two_nodes
from devp2p.testing.script import ScriptedPeer
from devp2p.transports import MemoryTransport

__all__ = ["MemoryTransport", "ScriptedPeer", "scripted_peer", "two_nodes"]
