"""``devp2p ping`` through a relay."""

import pytest

from devp2p import NodeRecord, PrivateKey
from devp2p.cli.ping import ping
from tests.capabilities.punch.test_punch import behind_a_relay
from tests.chat import Chat

pytestmark = pytest.mark.real_clock


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
async def test_a_node_behind_a_relay_says_what_it_is_and_the_answer_how_it_was_reached(host: str) -> None:
    async with behind_a_relay(host, ([Chat()], [Chat()])) as (_, other, _, address):
        answer = await ping(NodeRecord.parse(address), PrivateKey.generate(), timeout=5)
        assert not answer.error
        assert answer.hello is not None
        assert answer.hello.public_key == other.public_key
        assert answer.link is not None
        assert (answer.link.transport, answer.link.path.partition("://")[0]) == ("relay", "relay enode")
        missing = NodeRecord(PrivateKey.generate().public_key, NodeRecord.parse(address).addresses)
        answer = await ping(missing, PrivateKey.generate(), timeout=5)
        assert answer.hello is None
        assert "no reservation" in answer.error
