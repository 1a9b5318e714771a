"""Nodes that find each other by discovery call by the transports that their records name."""

import pytest
import trio

from devp2p import Address, DiscoverySettings, Limits, Node, NodeRecord, PeerDisconnected, PrivateKey, open_node
from devp2p.records import Record
from devp2p.session import call, local_node
from tests.chat import Chat, GetTime

pytestmark = pytest.mark.real_clock
SOON = 30


@pytest.fixture(autouse=True)
def quick_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("devp2p.discovery.table.kademlia._FAST", 0.3)


async def first_peer(node: Node) -> str:
    """The transport of the first peer, with which a request works."""
    with trio.fail_after(SOON):
        peer = await anext(aiter(node.peers(Chat)))
        assert (await peer[Chat].request(GetTime("abc"))).seconds == 3
        return peer.link.transport


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
@pytest.mark.parametrize("scheme", ["quic", "tls", "ws"])
async def test_a_node_that_listens_by_one_transport_alone_is_found_and_dialled_there(scheme: str, host: str) -> None:
    at, udp = [f"{scheme}://{host}:0"], DiscoverySettings(listen=f"udp://{host}:0")
    async with open_node(PrivateKey.generate(), [Chat()], listen=at, discovery=udp, strict=True) as called:
        record = called.discovery.record if called.discovery is not None else None
        assert isinstance(record, Record)
        bound = called.addresses[0]
        assert record.get_as(scheme if host == "127.0.0.1" else f"{scheme}6", int) == bound.port
        assert record.tcp is None
        async with open_node(PrivateKey.generate(), [Chat()], bootnodes=[record.text], discovery=udp, strict=True) as caller:
            assert await first_peer(caller) == scheme
            assert caller.connected[0].address == bound


async def test_of_several_the_one_that_proves_the_peer_is_dialled() -> None:
    at = ["tcp://127.0.0.1:0", "tls://127.0.0.1:0", "ws://127.0.0.1:0"]
    async with open_node(PrivateKey.generate(), [Chat()], listen=at, discovery=True, strict=True) as called:
        assert called.record.enr is not None
        assert len({address.port for address in called.addresses}) == 1, "they share a port"
        async with open_node(PrivateKey.generate(), [Chat()], bootnodes=[called.record], strict=True) as caller:
            assert await first_peer(caller) == "tls"


async def test_what_a_node_listens_on_later_is_in_its_record() -> None:
    async with open_node(PrivateKey.generate(), [Chat()], listen=["tcp://127.0.0.1:0"], discovery=True, strict=True) as node:
        assert node.discovery is not None
        before = node.discovery.record
        (bound,) = await node.listen("tls://127.0.0.1:0")
        after = node.discovery.record
        assert (before.get_as("tls", int), after.get_as("tls", int)) == (None, bound.port)
        assert after.sequence > before.sequence
        assert after.tcp == before.tcp
        assert bound in node.record.addresses
        assert node.record.addresses[0] == Address("tcp", "127.0.0.1", before.tcp)


async def test_dials_that_race_from_one_host_do_not_keep_each_other_out() -> None:
    limits, caller = Limits(limit_local_addresses=True), local_node(PrivateKey.generate(), [Chat()])
    at = ["tcp://127.0.0.1:0", "tls://127.0.0.1:0"]
    async with open_node(PrivateKey.generate(), [Chat()], listen=at, limits=limits, strict=True) as called:
        tcp, tls = (NodeRecord(called.public_key, (address,)) for address in sorted(called.addresses, key=str))
        with trio.fail_after(SOON):
            slow = await call(tls, caller)  # one that is given up as soon as another stands
            await slow.close()
            session = await call(tcp, caller)
            await session.close()
            with pytest.raises(PeerDisconnected):
                await call(tcp, caller)
