"""Row D23 of THREATS.md: what strangers send, or who they are, makes a user's own code fail: a handler of TALKREQ, of foreign datagrams, a
filter, a resolver, a source of candidates.
What a capability's `run`, `wants` and `metric` raise is contained where those are called.

Each name begins with its row. A control runs the same with `strict`, which lets the exceptions out.
"""

import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio

import devp2p
from devp2p import NodeRecord
from devp2p.addresses import Endpoint
from devp2p.discovery import Discovery
from devp2p.discovery.dns.source import LookupFailed
from devp2p.discovery.v5.answers import MAX_TALK
from devp2p.keys import PrivateKey
from devp2p.node.discovering import DiscoverySettings
from tests.discovery.services import found, running


def fails(*_: object) -> Any:
    raise KeyError("a bug")


BAD_HANDLERS = {"raises": fails, "gives None": lambda *_: None, "gives too much": lambda *_: bytes(MAX_TALK + 1), "text": lambda *_: "text"}


@pytest.mark.real_clock
@pytest.mark.parametrize("handler", BAD_HANDLERS.values(), ids=BAD_HANDLERS)
async def test_d23_a_talk_handler_that_fails_answers_emptily_and_the_node_goes_on(handler, caplog):
    settings = DiscoverySettings(listen="udp://127.0.0.1:0", talk={b"bad": handler})
    async with devp2p.open_node(PrivateKey.generate(), [], discovery=settings) as node, running() as stranger:
        enr = node.enr
        assert enr is not None
        for _ in range(3):
            assert await stranger.talk(enr, b"bad", b"!") == b""
        assert await stranger.ping(enr) is not None
    (logged,) = caplog.records  # once, however often a stranger brings it about
    assert logged.exc_info is not None
    assert "b'bad'" in logged.getMessage() or "b'bad'" in str(logged.exc_info[1]) or logged.exc_info[0] is KeyError


@pytest.mark.real_clock
async def test_d23_control_with_strict_it_ends_the_node():
    settings = DiscoverySettings(listen="udp://127.0.0.1:0", talk={b"bad": fails})
    with pytest.RaisesGroup(KeyError, flatten_subgroups=True):
        async with running() as stranger, devp2p.open_node(PrivateKey.generate(), [], discovery=settings, strict=True) as node:
            assert node.enr is not None
            await stranger.talk(node.enr, b"bad", b"!")
            await trio.sleep(5)


async def datagrams_of_others(node: Discovery) -> None:
    async with running() as stranger:
        for data in (b"x", b"y", b"z"):
            stranger.send(data, Endpoint(b"\x7f\0\0\1", node.address.port or 0))
        assert await stranger.ping(node.record.text) is not None
    assert node.statistics.unhandled == 3


async def candidates_of_others(node: Discovery) -> None:
    """The filter is called where the stranger is found, in a task of discovery's own."""
    first = node.candidates(fails)
    second = node.candidates()
    async with running(bootnodes=[node.record.text]) as stranger:
        with trio.fail_after(30):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(anext, first)
                assert (await anext(second)).record.id == stranger.record.id
                nursery.cancel_scope.cancel()


class BadResolver:
    def __init__(self) -> None:
        self.asked = 0

    async def txt(self, name: str) -> list[str]:
        await trio.lowlevel.checkpoint()
        self.asked += 1
        if self.asked == 1:
            raise UnicodeError(name)
        if self.asked == 2:
            return name  # type: ignore[return-value]
        raise LookupFailed("no more")


TREE = "enrtree://AKA3AM6LPBYEUDMVNU3BSVQJ5AD45Y7YPOHJLEF6W26QOE4VTUDPE@nodes.example.org"


@pytest.mark.real_clock
@pytest.mark.parametrize(
    ("use", "options"),
    [(datagrams_of_others, {"unhandled": fails}), (candidates_of_others, {})],
    ids=["datagrams", "filter"],
)
async def test_d23_discovery_goes_on_whatever_fails(use, options, caplog):
    async with running(**options) as node:
        await use(node)
    assert [record.exc_info[0] for record in caplog.records if record.levelno == logging.ERROR] == [KeyError]


@pytest.mark.real_clock
@pytest.mark.parametrize(
    ("use", "options"),
    [(datagrams_of_others, {"unhandled": fails}), (candidates_of_others, {})],
    ids=["datagrams", "filter"],
)
async def test_d23_control_with_strict_discovery_ends(use, options):
    with pytest.RaisesGroup(KeyError, flatten_subgroups=True):
        async with running(strict=True, **options) as node:
            await use(node)
            await trio.sleep(5)


async def test_d23_a_resolver_that_fails_is_a_lookup_that_failed(caplog):
    resolver = BadResolver()
    async with running(trees=[TREE], resolver=resolver) as node:
        with trio.move_on_after(120):
            await found(node, 1)
        assert resolver.asked > 2
    (logged,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert logged.exc_info is not None
    assert logged.exc_info[0] is UnicodeError


async def test_d23_control_with_strict_it_ends_discovery():
    with pytest.RaisesGroup(UnicodeError, flatten_subgroups=True):
        async with running(trees=[TREE], resolver=BadResolver(), strict=True) as node:
            await found(node, 1)


async def bad_candidates(bad: object) -> AsyncIterator[NodeRecord]:
    yield NodeRecord.parse(f"enode://{bytes(PrivateKey.generate().public_key).hex()}@127.0.0.1:1")
    if isinstance(bad, Exception):
        raise bad
    yield bad  # type: ignore[misc]


BAD = pytest.mark.parametrize(("bad", "error"), [(KeyError("a bug"), KeyError), ("enode://...", TypeError)], ids=["raises", "gives text"])


async def wait_with_candidates(bad: object, *, strict: bool) -> None:
    async with devp2p.open_node(PrivateKey.generate(), [], candidates=bad_candidates(bad), strict=strict):
        await trio.sleep(30)


@BAD
async def test_d23_a_source_of_candidates_that_fails_gives_no_more_and_the_node_goes_on(bad, error, caplog):
    await wait_with_candidates(bad, strict=False)
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [error]


@BAD
async def test_d23_control_with_strict_a_source_of_candidates_that_fails_ends_the_node(bad, error):
    with pytest.RaisesGroup(error, flatten_subgroups=True):
        await wait_with_candidates(bad, strict=True)
