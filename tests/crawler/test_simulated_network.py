"""The simulated network, asked by this library's own discovery: endpoints are proved, answers follow the rules, questions are counted."""

import pytest

from devp2p import NodeRecord, PrivateKey, open_discovery
from devp2p.discovery.table import distance
from tools.crawler.simulated import running

pytestmark = pytest.mark.real_clock


@pytest.mark.parametrize("version", [4, 5])
async def test_nodes_answer_as_nodes_do(version):
    async with running(nodes=150, seed=7, fakes=50) as network:
        bootnode = NodeRecord.parse(network.enr)
        async with open_discovery(PrivateKey.generate(), listen="udp://127.0.0.1:0", bootnodes=[bootnode], versions=[version]) as discovery:
            assert await discovery.ping(bootnode) is not None
            record = await discovery.request_enr(bootnode)
            found = await discovery.lookup(bytes(bootnode.public_key) if version == 4 else bootnode.public_key)
        summary = await network.end()
    assert record is not None
    assert record.enr == bootnode.enr is not None
    assert len(found) > 8
    assert summary["questions"][f"v{version} FindNode"]["count"] > 3
    assert summary["recall"][f"v{version}"] > 0
    assert summary["packets_received"] >= sum(one["sum"] for one in summary["questions"].values())
    assert distance(found[0].id, bootnode.id) < 256
