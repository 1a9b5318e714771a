"""Rows F8 and F13 of THREATS.md: Hellos and Disconnects of any form, against a node that listens.

Each name begins with its row. A control runs the same attack with the defence disabled, and there it must succeed.
"""

from collections.abc import Sequence
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from devp2p import DisconnectReason, PeerDisconnected, PrivateKey, PublicKey, rlp
from devp2p.errors import DecodingError, RemoteProtocolError
from devp2p.wire import base, compression
from devp2p.wire.base import CapabilityVersion, Hello
from devp2p.wire.messages import CapabilitySpec, MessageSpace
from tests.chat import Chat, GetTime, Time
from tests.wires import Wire, only

KEY = PrivateKey.generate()
pytestmark = only("attacked", because="Hellos are the same everywhere")
ID = bytes(KEY.public_key)


async def greet(wire: Wire, body: bytes) -> tuple[int | None, int]:
    """Say anything as a Hello: with which reason one is sent away, if one is, and how many peers the node has then."""
    network = wire.network()
    async with network.running() as node:
        honest = await network.peer(node, [Chat()])
        await honest.begin()
        bad = await network.peer(node, [Chat()], key=KEY)
        await bad.shake_hands()
        await bad.send(base.HELLO, body, compress=False)
        told: int | None = None
        with trio.move_on_after(20 if "one stream" in wire.traits else 4):  # it opens no others, which is a fault of its own
            told = await bad.receive_disconnect()
        left = len(node.connected)
        await bad.stream.aclose()
        await honest.send_message(GetTime("abc", request_id=1))
        assert await honest.receive_message() == Time(1, 3)
        return told, left


# F8: offers without number


def hello(offers: Sequence[Any], **changes: Any) -> bytes:
    fields: dict[str, Any] = {"version": 5, "client": b"x", "offers": list(offers), "port": 0, "id": ID, **changes}
    return rlp.encode(list(fields.values()))


CHAT: list[Any] = [b"chat", 1]
MANY = {
    "ten thousand of two bytes": hello([[b"a", 1]] * 10_000),
    "as many as 2 KiB hold": hello([CHAT, *[[b"a", 1]] * 480]),
    "sixty-five": hello([CHAT] * 65),
    "numbers in place of offers": hello([1, 2, 3]),
    "offers of one": hello([[b"chat"]]),
    "lists as names": hello([[[b"chat"], 1]]),
    "lists as versions": hello([[b"chat", [1]]]),
    "a number as offers": rlp.encode([5, b"x", 7, 0, ID]),
    "a version of 300 bits": hello([[b"chat", 2**300]]),
    "a protocol version of 300 bits": hello([CHAT], version=2**300),
    "a port of 300 bits": hello([CHAT], port=2**300),
    "a list as a port": hello([CHAT], port=[1]),
    "a list as a name": hello([CHAT], client=[b"x"]),
    "no key": hello([CHAT], id=b""),
    "a list as a key": hello([CHAT], id=[ID]),
    "a key that is no point": hello([CHAT], id=b"\x01" * 64),
    "three elements": rlp.encode([5, b"x", [CHAT]]),
    "no element": b"\xc0",
    "no list": b"\x80",
    "nothing": b"",
    "a list that is cut off": hello([CHAT])[:-1],
    "a size of 2**64 - 1": b"\xff" + b"\xff" * 8,
    "lists in lists": b"\xf9\x05\xdc" + b"\xc1" * 1499 + b"\xc0",
}
ODD = {
    "sixty-four of one": hello([CHAT] * 64),
    "impossible names beside a good one": hello([CHAT, [b"", 1], [b"a" * 500, 1], [b"\xff\xfe", 1], [b"\x1b[2J", 1], [b"chat", 2**64]]),
    "all versions": hello([[b"chat", version] for version in range(64)]),
}


@pytest.mark.parametrize("name", MANY)
async def test_f8_a_hello_that_is_none_is_refused_and_nobody_else_notices(wire: Wire, name):
    told, left = await greet(wire, MANY[name])
    assert left == 1
    assert told in {DisconnectReason.PROTOCOL_BREACH, DisconnectReason.INVALID_IDENTITY}


@pytest.mark.parametrize("name", ODD)
async def test_f8_a_strange_hello_is_a_hello(wire: Wire, name):
    assert await greet(wire, ODD[name]) == (None, 2)


def trusting(data: bytes | memoryview) -> Hello:
    """Takes the elements for what they should be."""
    elements: Any = rlp.decode(data, max_depth=10**6)
    version, client, offers, port, key, *_ = elements
    capabilities = tuple(CapabilityVersion(name.decode(), version[0]) for name, version in offers)
    return Hello(client.decode(), capabilities, PublicKey.from_bytes(key), version[0], len(port))


@pytest.mark.parametrize("name", ["numbers in place of offers", "lists as names", "three elements", "a list as a name"])
async def test_f8_control_who_takes_a_hello_for_what_it_should_be_falls(wire: Wire, name, monkeypatch):
    monkeypatch.setattr(base, "decode_hello", trusting)
    with pytest.raises(BaseExceptionGroup) as caught:
        await greet(wire, MANY[name])
    assert not caught.group_contains(RemoteProtocolError)


names = st.sampled_from(["eth", "snap", "chat", "les", "bulk", "z"])
offers_of = st.lists(st.tuples(names, st.integers(0, 5), st.integers(1, 20)), unique_by=lambda one: one[:2], max_size=20)


def specs(offers: list[tuple[str, int, int]]) -> list[CapabilitySpec]:
    """What a side runs; how many ids a capability has depends on its name and version only."""
    return [CapabilitySpec(name, version, (100,) * (1 + len(name) + version)) for name, version, _ in offers]


@given(offers_of, offers_of, st.randoms(use_true_random=False))
def test_f8_both_sides_find_the_same_ids_in_whatever_order_things_are_offered(ours, theirs, shuffler):
    mine, yours = specs(ours), specs(theirs)
    offered = [spec.offer for spec in mine], [spec.offer for spec in yours]
    for offers in offered:
        shuffler.shuffle(offers)
    one, other = MessageSpace(mine, [*offered[1]] * 3), MessageSpace(yours, [*offered[0]] * 2)
    assert [spec.offer for spec in one.shared] == [spec.offer for spec in other.shared]
    assert (one.offsets, one.end) == (other.offsets, other.end)


def test_f8_control_in_the_order_of_offers_the_two_sides_differ():
    ours, theirs = ["eth", "snap"], ["snap", "eth"]
    assert [name for name in ours if name in theirs] != [name for name in theirs if name in ours]


# F13: goodbyes of any form


def forms(reason: int) -> list[bytes]:
    """How peers are known to write a reason, and how they might."""
    item = rlp.encode(reason)
    plain = [rlp.encode([reason]), item, bytes([reason]), rlp.encode([[reason]]), rlp.encode([reason, b"why"]), b"\x81" + bytes([reason])]
    return [*plain, *(bytes(compression.compress(form)) for form in plain)]


NONE = [b"", b"\xc0", b"\x80", b"\xff" * 300, b"\xc1" * 1900 + b"\xc0", bytes(2000)]
ANY = [form for reason in range(256) for form in forms(reason)] + NONE


def test_f13_three_thousand_forms_are_goodbyes():
    assert len(ANY) > 3000
    for form in ANY:
        for compressed in (True, False):
            assert base.decode_disconnect(form, compressed=compressed) in range(256)
    for reason in DisconnectReason:
        known = [form for form in forms(reason)[:2] + forms(reason)[6:8] if base.decode_disconnect(form, compressed=True) != reason]
        assert not known


async def leave(wire: Wire, body: bytes) -> tuple[PeerDisconnected, int]:
    """Say goodbye in some form; how the session ended, and how many peers are left."""
    network = wire.network()
    async with network.running() as node:
        honest, bad = [await network.peer(node, [Chat()]) for _ in range(2)]
        for peer in (honest, bad):
            await peer.begin()
        await honest.send_message(GetTime("abc", request_id=1))
        assert await honest.receive_message() == Time(1, 3)
        remote = node.roster.get(bad.key.public_key)
        assert remote is not None
        await bad.send(base.DISCONNECT, body, compress=False)
        end = await remote.wait_ended()
        await honest.send_message(GetTime("abcd", request_id=2))
        assert await honest.receive_message() == Time(2, 4)
        return end, len(node.connected)


@pytest.mark.parametrize("form", [*ANY[:: len(ANY) // 20], *NONE], ids=lambda form: form[:8].hex())
async def test_f13_a_node_takes_each_for_a_goodbye_and_goes_on(wire: Wire, form):
    end, left = await leave(wire, form)
    assert (end.by_remote, left) == (True, 1)


def strict(data: bytes | memoryview, *, compressed: bool) -> int:
    """Takes the one form of the specification, and whatever is in it."""
    item: Any = rlp.decode(compression.decompress(data, 2048) if compressed else data)
    reason: int = item[0][0]
    return reason


async def test_f13_control_who_knows_one_form_refuses_most_and_falls_over_some(wire: Wire, monkeypatch):
    refused = fallen = 0
    for form in ANY:
        try:
            strict(form, compressed=True)
        except DecodingError:
            refused += 1
        except (IndexError, TypeError):
            fallen += 1
    assert refused > len(ANY) / 3
    assert fallen > 0
    monkeypatch.setattr(base, "decode_disconnect", strict)
    with pytest.raises(BaseExceptionGroup) as caught:
        await leave(wire, bytes(compression.compress(b"\xc0")))
    assert caught.group_contains(IndexError)
