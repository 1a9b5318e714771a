"""What capabilities say in the node's own record, and keep saying as it changes."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from devp2p import DiscoverySettings, LocalProtocolError, Node, PrivateKey, Record, open_node, rlp
from devp2p.node.record_entries import BETWEEN
from tests.chat import Chat

A, B, C = (rlp.encode([text]) for text in ("a", "b", "c"))


class Says(Chat):
    """A chat that says something in the record."""

    def __init__(self, **entries: object) -> None:
        super().__init__()
        self.entries: Any = entries

    def record_entries(self) -> Any:
        if isinstance(self.entries, Exception):
            raise self.entries
        return self.entries


class SaysToo(Says):
    version = 2


@asynccontextmanager
async def running(*capabilities: Says, entries: Any = None, strict: bool = False) -> AsyncIterator[Node]:
    settings = DiscoverySettings(listen="udp://127.0.0.1:0", entries=entries or {})
    async with open_node(PrivateKey.generate(), capabilities, discovery=settings, strict=strict) as node:
        yield node


def record(node: Node) -> Record:
    assert node.enr is not None
    return Record.parse(node.enr)


def said(node: Node) -> dict[str, bytes]:
    return {key.decode(): value for key, value in record(node).entries.items() if key in {b"x", b"y", b"z"}}


async def test_the_record_has_what_a_capability_says_from_the_beginning():
    async with running(Says(x=A, y=5)) as node:
        assert said(node) == {"x": A, "y": rlp.encode(5)}


async def test_it_follows_what_the_capability_says():
    """A new record has a higher number; if nothing is different, none is made."""
    chat = Says(x=A, y=B)
    async with running(chat) as node:
        first = record(node).sequence
        await trio.sleep(3 * BETWEEN)
        assert record(node).sequence == first
        chat.entries = {b"x": C}
        await trio.sleep(BETWEEN + 1)
        assert said(node) == {"x": C}
        assert record(node).sequence == first + 1


async def test_what_the_user_has_set_stays():
    chat = Says(x=A, y=A, z=A)
    async with running(chat, entries={"x": B}) as node:
        assert said(node) == {"x": B, "y": A, "z": A}
        assert node.discovery is not None
        node.discovery.update_record({"y": C, "z": None})
        chat.entries = {"x": C, "y": B, "z": B}
        await trio.sleep(BETWEEN + 1)
        assert said(node) == {"x": B, "y": C}


async def test_of_two_capabilities_the_first_is_believed():
    first, second = Says(x=A), SaysToo(x=B, y=B)
    async with running(first, second) as node:
        assert said(node) == {"x": A, "y": B}
        first.entries = {}
        await trio.sleep(BETWEEN + 1)
        assert said(node) == {"x": B, "y": B}


@pytest.mark.parametrize("wrong", [KeyError("a bug"), [1], None, {5: 1}], ids=repr)
async def test_a_capability_that_fails_says_nothing_and_the_node_goes_on(wrong, caplog):
    """Logged once, however often it is asked; what others say is there."""
    bad = Says()
    bad.entries = wrong
    async with running(bad, SaysToo(y=B)) as node:
        await trio.sleep(10 * BETWEEN)
        assert said(node) == {"y": B}
    assert len([one for one in caplog.records if one.levelno >= logging.ERROR]) == 1


@pytest.mark.parametrize(
    "wrong", [{"x": b"\xc1"}, {"x": 1.5}, {"x": bytes([0xB8, 250]) + bytes(250)}, {"tcp": 5}, {"secp256k1": b"\x80"}], ids=repr
)
async def test_entries_that_do_not_fit_are_left_out(wrong, caplog):
    """No RLP, no value, too long, or not a capability's to say; what others say is there, and stays."""
    bad = Says()
    bad.entries = wrong
    async with running(bad, SaysToo(y=B)) as node:
        await trio.sleep(10 * BETWEEN)
        assert said(node) == {"y": B}
        bad.entries = {"x": A}
        await trio.sleep(BETWEEN + 1)
        assert said(node) == {"x": A, "y": B}
    (logged,) = [one.getMessage() for one in caplog.records if one.levelno >= logging.ERROR]
    assert logged.startswith("our record does not have the entries of <Says chat/1>: ")


@pytest.mark.parametrize("wrong", [KeyError("a bug"), {"x": b"\xc1"}, {"tcp": 5}], ids=repr)
async def test_control_with_strict_it_is_told(wrong):
    bad = Says()
    bad.entries = wrong
    with pytest.raises(ExceptionGroup) as caught:
        async with running(bad, strict=True):
            pass
    assert caught.group_contains((KeyError, LocalProtocolError))
