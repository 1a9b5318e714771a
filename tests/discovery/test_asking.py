"""What a crawler does with discovery: it asks nodes without being one."""

from typing import Any

import pytest
import trio

from devp2p import Discovery, DiscoveryLimits, Endpoint, LocalProtocolError, NodeRecord, PrivateKey, PublicKey
from tests.discovery.services import network, running, silent


def asking(**options: Any) -> Any:
    return running(asks_only=True, limits=DiscoveryLimits.for_questions(at_once=16), strict=True, **options)


async def knows(node: Discovery, count: int) -> None:
    """Wait until a node's tables have so many nodes that answered."""
    with trio.fail_after(20):
        while any(table.live < count for table in node.statistics.tables.values()):  # noqa: ASYNC110  (no event here)
            await trio.sleep(0.02)


async def test_v4_names_what_it_knows_around_any_target():
    async with network(4, versions={4}) as nodes, asking(versions={4}) as crawler:
        await knows(nodes[0], 3)
        for target in (nodes[0].record.public_key, PrivateKey.generate().public_key, bytes(64)):
            named = await crawler.find_nodes(nodes[0].record.text, target)
            assert named is not None
            assert {node.id for node in named} == {node.record.id for node in nodes[1:]}
            assert all(node.udp_endpoints for node in named)


async def test_v5_names_itself_and_what_it_knows_at_the_distances_asked_for():
    async with network(4, versions={5}) as nodes, asking(versions={5}) as crawler:
        await knows(nodes[0], 3)
        named = await crawler.find_nodes(NodeRecord.parse(nodes[0].record.text), [0, *range(256, 247, -1)])
        assert named is not None
        assert {node.enr for node in named} == {node.record for node in nodes}
        assert await crawler.find_nodes(nodes[0].record.text, (1, 2), version=5) == ()


async def test_who_is_silent_names_nobody():
    async with asking() as crawler:
        assert await crawler.find_nodes(silent(), PrivateKey.generate().public_key) is None
        assert await crawler.find_nodes(silent(), [256]) is None
        assert await crawler.find_nodes(NodeRecord(PrivateKey.generate().public_key), [256]) is None


@pytest.mark.parametrize(
    ("around", "options", "error"),
    [
        (bytes(32), {}, LocalProtocolError),
        (bytes(64), {"version": 5}, LocalProtocolError),
        ([256], {"version": 4}, LocalProtocolError),
        ([257], {}, LocalProtocolError),
        ([], {}, LocalProtocolError),
        (7, {}, TypeError),
    ],
)
async def test_what_cannot_be_asked_is_told(around: PublicKey | bytes | list[int], options: dict[str, int], error: type[Exception]):
    async with asking() as crawler:
        with pytest.raises(error):
            await crawler.find_nodes(silent(), around, **options)


async def test_it_asks_nobody_by_itself_and_keeps_nobody():
    async with network(3) as nodes, asking(bootnodes=[nodes[0].record.text]) as crawler:
        await trio.sleep(0.3)
        assert crawler.statistics.sent == 0
        assert await crawler.ping(nodes[0].record.text, version=4) is not None
        assert await crawler.ping(nodes[0].record.text, version=5) is not None
        assert {version: len(one.protocol.table) for version, one in ((4, crawler.v4), (5, crawler.v5)) if one is not None} == {4: 0, 5: 0}


@pytest.mark.parametrize("version", [4, 5])
async def test_nodes_that_ask_by_themselves_are_heard_of(version: int):
    heard: list[tuple[NodeRecord, int]] = []
    async with asking(versions={version}, heard=lambda *news: heard.append(news)) as crawler, running(versions={version}) as node:
        with trio.fail_after(10):
            while not heard:
                assert await node.ping(crawler.record.text) is not None
        assert {(told.id, told.udp_endpoints[0][1], by) for told, by in heard} == {(node.record.id, node.address.port, version)}


async def test_nothing_is_sent_where_it_may_not_be():
    asked: list[Endpoint] = []

    def refuse(endpoint: Endpoint) -> bool:
        asked.append(endpoint)
        return False

    async with running() as node, asking(may_send=refuse) as crawler:
        assert await crawler.ping(node.record.text, version=4) is None
        assert (crawler.statistics.sent, crawler.statistics.withheld) == (0, 1)
        assert [endpoint.port for endpoint in asked] == [node.address.port]
