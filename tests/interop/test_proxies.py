"""Sessions by way of proxies that are not ours, and what leaves a node that has one."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest

from devp2p import Address, DialError, NodeRecord, PrivateKey, open_node
from tests.chat import Chat, ChatMessage, collect, echo, exchange
from tests.interop import daemons, proxies

pytestmark = [pytest.mark.interop, pytest.mark.real_clock]

KEY, OTHER = PrivateKey.generate(), PrivateKey.generate()
SIZES = (1, 2, 31, 1000, 32 * 1024, 300_000, 2**20)
SCHEMES = ("tcp", "tls", "ws", "ssh")
Proxies = Callable[[Path, str], AbstractContextManager[str]]
KINDS: dict[str, Proxies] = {
    "dante": proxies.dante,
    "ssh -D": proxies.ssh,
    "tinyproxy": proxies.tinyproxy,
    "tinyproxy with a password": partial(proxies.tinyproxy, user="me", password="battery"),
}


@pytest.fixture(scope="module", autouse=True)
def _programs() -> None:
    daemons.need("dante", "tinyproxy", "ssh", "sshd")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("kind", KINDS)
async def test_messages_of_all_sizes_go_there_and_back(kind: str, host: str, tmp_path: Path) -> None:
    listen = [Address(scheme, host, 0) for scheme in SCHEMES]
    with KINDS[kind](tmp_path, host) as proxy:
        async with open_node(KEY, [Chat(echo)], listen=listen, strict=True) as node:
            for address in node.addresses:
                came: list[ChatMessage] = []
                async with open_node(OTHER, [Chat(collect(came))], proxy=proxy, strict=True) as caller:
                    peer = await caller.connect(NodeRecord(KEY.public_key, (address,)))
                    await exchange(peer, came, SIZES)
                    assert peer.link.transport == address.scheme
                    assert peer.link.path == f"proxy {proxy.replace('me:battery@', '')}"
                    assert node.connected[0].public_key == OTHER.public_key


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("dante", "the node refuses connections"),
        ("ssh -D", "as ssh -D does where the node cannot be reached"),
        ("tinyproxy", "has refused: 50"),
    ],
)
async def test_what_a_proxy_says_of_a_fault_is_told(kind: str, expected: str, tmp_path: Path) -> None:
    there = NodeRecord(KEY.public_key, (Address("tcp", "127.0.0.1", daemons.free_port("127.0.0.1")),))
    with KINDS[kind](tmp_path, "127.0.0.1") as proxy:
        async with open_node(OTHER, [Chat()], proxy=proxy, strict=True) as caller:
            with pytest.raises(DialError, match=expected):
                await caller.connect(there)


async def test_tinyproxy_wants_the_password(tmp_path: Path) -> None:
    there = NodeRecord(KEY.public_key, (Address("tcp", "127.0.0.1", 1),))
    with proxies.tinyproxy(tmp_path, "127.0.0.1", "me", "battery") as proxy:
        for written, expected in (("", "it wants a user and a password"), ("me:horse@", "does not take this user and password")):
            async with open_node(OTHER, [Chat()], proxy=proxy.replace("me:battery@", written), strict=True) as caller:
                with pytest.raises(DialError, match=expected):
                    await caller.connect(there)
