"""docs/transports.md: the transport that it writes is as short as it says, and keeps strangers out. The conformance suite runs over it."""

import logging

import pytest

from devp2p import DialError, PrivateKey, open_node
from tests.chat import Chat, GetTime
from tests.transports.page import code, private


def test_it_is_fifty_lines() -> None:
    assert len([line for line in code().splitlines() if line.strip()]) <= 50


@pytest.mark.real_clock
@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
async def test_it_keeps_out_who_does_not_know_the_word(host: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "devp2p")
    at = [f"private://{host}:0"]
    async with (
        open_node(PrivateKey.generate(), [Chat()], listen=at, transports=[private()("swordfish")], strict=True) as node,
        open_node(PrivateKey.generate(), [Chat()], transports=[private()("swordfish")], strict=True) as friend,
        open_node(PrivateKey.generate(), [Chat()], transports=[private()("guess")], strict=True) as stranger,
    ):
        peer = await friend.connect(node.enode)
        assert (await peer[Chat].request(GetTime("abc"))).seconds == 3
        with pytest.raises(DialError, match=r"hung up|broke|reset"):
            await stranger.connect(node.enode)
        assert [one.public_key for one in node.connected] == [friend.public_key]
    assert "the caller does not know the word" in caplog.text
