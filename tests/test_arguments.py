"""What a user gets wrong is said at once, in a message that names the argument, what is wrong with it, and what to write instead."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from devp2p import Address, Capability, Limits, LocalProtocolError, NodeId, NodeRecord, PrivateKey, PublicKey, rlp
from devp2p.discovery import DiscoveryLimits
from devp2p.discovery.dns.events import DnsLimits
from devp2p.discovery.dns.tree import parse_tree
from devp2p.discovery.settings import parse_external
from devp2p.discovery.table.shares import TableLimits
from devp2p.discovery.v4.bonds import Discv4Limits
from devp2p.discovery.v5.answers import Discv5Limits
from devp2p.keys import recover
from devp2p.records.enr import LocalRecord, Record

KEY = PrivateKey(bytes(31) + b"\x01")
ALL_LIMITS = (Limits, DiscoveryLimits, Discv4Limits, Discv5Limits, TableLimits, DnsLimits)
MADE = (Address, LocalRecord, NodeId, NodeRecord, PublicKey, Record, recover, *ALL_LIMITS)
SCHEMAS = (rlp.Bits, rlp.Length, rlp.MaxLength, rlp.MaxItems, rlp.Lazy, rlp.codec, rlp.decode)
AN = SimpleNamespace(**{made.__name__: made for made in (*MADE, *SCHEMAS)}, KEY=KEY)
"""What type checkers let be called with anything: most of these slips they would find, as tests/typing shows."""


@dataclass(frozen=True)
class Say:
    text: str


@dataclass(frozen=True)
class Shout:
    text: str


@dataclass(frozen=True)
class Many:
    count: int
    rlp_max_items: ClassVar[Any] = "many"


def refuses(call: Any, error: type[Exception], *parts: str) -> None:
    """A call raises just that error, and its message has all parts."""
    with pytest.raises(error) as caught:
        call()
    assert caught.type is error
    for part in parts:
        assert part in str(caught.value)


# Keys


@pytest.mark.parametrize("make", [PrivateKey, PrivateKey.from_bytes])
@pytest.mark.parametrize(
    ("secret", "error", "message"),
    [
        (b"abc", LocalProtocolError, "a private key has 32 bytes, not 3"),
        (bytes(32), LocalProtocolError, "a private key is a number from 1 to below the order of secp256k1"),
        (b"\xff" * 32, LocalProtocolError, "a private key is a number from 1 to below the order of secp256k1"),
        ("ab" * 32, TypeError, "a private key is 32 bytes, not a str: bytes.fromhex(...) makes them of hex digits"),
        (32, TypeError, "a private key is 32 bytes, not an int"),
        (None, TypeError, "a private key is 32 bytes, not None"),
    ],
)
def test_what_is_no_private_key_makes_none(make, secret, error, message):
    refuses(lambda: make(secret), error, message)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_a_private_key_is_made_of_any_bytes(kind):
    assert bytes(PrivateKey(kind(bytes(KEY)))) == bytes(KEY)


def test_a_secret_is_in_no_message():
    with pytest.raises(LocalProtocolError) as caught:
        PrivateKey(b"secret")
    assert "secret" not in str(caught.value).replace("secp256k1", "")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: AN.PublicKey(bytes(64)),
            TypeError,
            "PublicKey() takes a point of libsecp256k1, not bytes: PublicKey.from_bytes",
        ),
        (lambda: AN.PublicKey.from_bytes(64), TypeError, "a public key is bytes, not an int"),
        (lambda: AN.PublicKey.from_bytes("04" * 64), TypeError, "a public key is bytes, not a str: bytes.fromhex(...)"),
        (lambda: AN.NodeId(b"abc"), LocalProtocolError, "a node-ID has 32 bytes, not 3"),
        (lambda: AN.NodeId(32), TypeError, "a node-ID is 32 bytes, not an int"),
        (lambda: AN.NodeId("ab" * 32), TypeError, "a node-ID is 32 bytes, not a str: bytes.fromhex(...)"),
        (
            lambda: AN.Record.sign(bytes(KEY), 1, {}),
            TypeError,
            "the key that signs a record is a PrivateKey, not bytes: Priv",
        ),
        (
            lambda: AN.LocalRecord(bytes(KEY)),
            TypeError,
            "the key that signs a record is a PrivateKey, not bytes: PrivateKey.from",
        ),
    ],
)
def test_other_keys_and_ids_are_not_made_of_anything_else(call, error, message):
    refuses(call, error, message)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: AN.Record.sign(KEY, 1, [1]), TypeError, "entries of a record is a dict, such as {'tcp': 30303}, not a list"),
        (lambda: AN.Record.sign(KEY, 1, {5: 1}), TypeError, "a key of a record is text or bytes, not an int"),
        (lambda: AN.Record.decode("enr:"), TypeError, "a record is bytes, not a str"),
        (lambda: AN.LocalRecord(KEY, last_sequence="1"), TypeError, "last_sequence is a whole number from 0 up, not '1'"),
        (lambda: AN.NodeRecord.from_enr("enr:"), TypeError, "an ENR is a Record, not a str: NodeRecord.parse(...) reads its text"),
        (lambda: AN.KEY.sign("x" * 32), TypeError, "a digest is 32 bytes, not a str"),
        (lambda: AN.KEY.sign(b"x"), LocalProtocolError, "a digest has 32 bytes, not 1"),
        (lambda: AN.KEY.public_key.verify(bytes(32), "x" * 64), TypeError, "a signature is bytes, not a str"),
        (lambda: AN.KEY.agree(bytes(64)), TypeError, "the other key is a PublicKey, not bytes: PublicKey.from_bytes(...) makes one"),
        (lambda: AN.recover(bytes(32), "x" * 65), TypeError, "a signature is bytes, not a str"),
    ],
)
def test_keys_and_records_work_on_what_they_are_for(call, error, message):
    refuses(call, error, message)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: AN.Bits(0), LocalProtocolError, "Bits is a whole number from 1 to 256, not 0"),
        (lambda: AN.Bits(257), LocalProtocolError, "Bits is a whole number from 1 to 256, not 257"),
        (lambda: AN.Bits("8"), TypeError, "Bits is a whole number from 1 to 256, not '8'"),
        (lambda: AN.Length(-1), LocalProtocolError, "Length is a whole number from 0 up, not -1"),
        (lambda: AN.MaxLength(1.5), LocalProtocolError, "MaxLength is a whole number from 0 up, not 1.5"),
        (lambda: AN.MaxItems("3"), TypeError, "MaxItems is a whole number from 0 up, not '3'"),
        (lambda: AN.codec([int]), LocalProtocolError, "[<class 'int'>] cannot be a schema: it has no RLP form"),
        (lambda: AN.codec(int).decode("05"), TypeError, "what is decoded is bytes, not a str: bytes.fromhex(...) makes them of hex digits"),
        (lambda: AN.codec(int).decode(5), TypeError, "what is decoded is bytes, not an int"),
        (lambda: AN.decode(5), TypeError, "what is decoded is bytes, not an int"),
        (lambda: AN.Lazy("ab"), TypeError, "Lazy is a list, not one text"),
        (lambda: AN.Lazy(5), TypeError, "Lazy is a list, not an int"),
        (lambda: AN.codec(Many), TypeError, "rlp_max_items of Many is a whole number from 0 up, not 'many'"),
    ],
)
def test_a_schema_has_sizes_that_can_be(call, error, message):
    refuses(call, error, message)


# Texts and addresses


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("enr:-abc", ["'enr:-abc' is no node's record: ", "the text is mistyped or cut short"]),
        ("enr:abc", ["'enr:abc' is no node's record: ", "the text is mistyped or cut short"]),
        ("enr:-IS4QHCYrYZbAKWC", ["'enr:-IS4QHCYrYZbAKWC' is no node's record: the text is cut short, 12 of its 134 bytes are there"]),
        ("foo", ["a node is written enode://<public key>@<host>:<port> or enr:..., not 'foo'"]),
        ("enode://abc", ["a node's public key is 128 hex digits, not 3 characters: 'abc'"]),
        (f"enode://{bytes(KEY.public_key).hex()}@host", ["the port is missing in 'host': write <host>:<port>"]),
    ],
)
def test_a_text_that_is_no_node_is_quoted_with_what_is_wrong(text, parts):
    refuses(lambda: AN.NodeRecord.parse(text), ValueError, *parts)


@pytest.mark.parametrize("text", ["enrtree://abc", "foo", "enrtree://abc@example.org", f"enrtree://{'A' * 53}@no domain"])
def test_a_text_that_is_no_node_list_is_quoted_with_what_it_looks_like(text):
    refuses(lambda: parse_tree(text), ValueError, "a node list in DNS is written enrtree://<key>@<domain>, not ", repr(text))


@pytest.mark.parametrize("text", ["foo", "foo:30303", "1.2.3.4:99999", "", "1.2.3", "[::1]"])
def test_what_is_no_external_address_is_told_what_one_looks_like(text):
    refuses(lambda: parse_external(text), ValueError, "such as 203.0.113.5 or 203.0.113.5:30303, not ", repr(text))


@pytest.mark.parametrize("read", [NodeRecord.parse, Address.parse, Record.parse, parse_tree, parse_external])
@pytest.mark.parametrize("thing", [None, 5, b"enr:", KEY])
def test_what_is_no_text_is_not_read(read, thing):
    refuses(lambda: read(thing), TypeError, " is ", ", not ")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: AN.Address("tcp", "a", 65536), ValueError, "a port is a number from 0 to 65535, not 65536"),
        (lambda: AN.Address("tcp", "a", -1), ValueError, "a port is a number from 0 to 65535, not -1"),
        (lambda: AN.Address("tcp", "a", "80"), TypeError, "the port of an address is a number, or None, not a str"),
        (lambda: AN.Address("tcp", ""), ValueError, "an address needs a host, or '*' for every interface"),
        (lambda: AN.Address("tcp", None), TypeError, "the host of an address is text, not None"),
        (
            lambda: AN.Address("tcp://a", "b", 1),
            ValueError,
            "a scheme is a word such as 'tcp', not 'tcp://a'; Address.parse(",
        ),
        (lambda: AN.Address(4, "b", 1), TypeError, "the scheme of an address is text such as 'tcp', not an int"),
        (
            lambda: AN.NodeRecord(bytes(64)),
            TypeError,
            "public_key of a NodeRecord is a PublicKey, not bytes: PublicKey.from_bytes(...)",
        ),
        (lambda: AN.NodeRecord(KEY.public_key, "tcp://a:1"), TypeError, "addresses of a NodeRecord is a tuple of Address, not a str"),
        (
            lambda: AN.NodeRecord(KEY.public_key, ("tcp://a:1",)),
            TypeError,
            "holds Address objects, not a str: Address.parse(...) makes one",
        ),
    ],
)
def test_a_record_or_address_is_not_made_of_anything(call, error, message):
    refuses(call, error, message)


# Bounds


@pytest.mark.parametrize("limits", ALL_LIMITS)
def test_the_usual_bounds_can_be(limits):
    assert limits() == limits()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: AN.Limits(ping_interval=-1), LocalProtocolError, "Limits.ping_interval is a number above 0, not -1"),
        (lambda: AN.Limits(ping_interval=0), LocalProtocolError, "Limits.ping_interval is a number above 0, not 0"),
        (lambda: AN.Limits(inbound_retry=-0.5), LocalProtocolError, "Limits.inbound_retry is a number from 0 up, not -0.5"),
        (
            lambda: AN.Limits(handshake_timeout=float("nan")),
            LocalProtocolError,
            "Limits.handshake_timeout is a number above 0, not nan",
        ),
        (lambda: AN.Limits(handshake_timeout="5"), TypeError, "Limits.handshake_timeout is a number above 0, not '5'"),
        (lambda: AN.Limits(dial_timeout=None), TypeError, "Limits.dial_timeout is a number above 0, not None"),
        (lambda: AN.Limits(pending_inbound=0), LocalProtocolError, "Limits.pending_inbound is a whole number from 1 up, not 0"),
        (lambda: AN.Limits(inbox_bytes=1.5), LocalProtocolError, "Limits.inbox_bytes is a whole number from 1 up, not 1.5"),
        (lambda: AN.Limits(inbox_bytes=True), TypeError, "Limits.inbox_bytes is a whole number from 1 up, not True"),
        (lambda: AN.Limits(limit_local_addresses="no"), TypeError, "Limits.limit_local_addresses is True or False, not a str"),
        (lambda: AN.DiscoveryLimits(v4=Limits()), TypeError, "DiscoveryLimits.v4 is a Discv4Limits, not a Limits"),
        (
            lambda: AN.Discv4Limits(packets_per_minute=-1),
            LocalProtocolError,
            "Discv4Limits.packets_per_minute is a whole number from 1 up",
        ),
        (lambda: AN.Discv5Limits(sessions=0), LocalProtocolError, "Discv5Limits.sessions is a whole number from 1 up, not 0"),
        (lambda: AN.TableLimits(per_bucket="2"), TypeError, "TableLimits.per_bucket is a whole number from 1 up, not '2'"),
        (lambda: AN.DnsLimits(rate=0), LocalProtocolError, "DnsLimits.rate is a number above 0, not 0"),
    ],
)
def test_a_bound_that_cannot_be_is_named(call, error, message):
    refuses(call, error, message)


# A capability's class


def declare(**attributes: Any) -> type[Capability[Say]]:
    async def run(self: Any, peer: Any, channel: Any) -> None:
        pass

    return type("Chat", (Capability,), {"name": "chat", "version": 1, "messages": {0: Say}, "run": run, **attributes})


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"version": "1"}, "version is a whole number from 0 to 18446744073709551615, not '1'"),
        ({"version": 1.0}, "version is a whole number from 0 to 18446744073709551615, not 1.0"),
        ({"name": "muchtoolong"}, "a capability's name is 1 to 8 ASCII characters without spaces, not 'muchtoolong'"),
        ({"name": b"chat"}, "a capability's name is text, not bytes"),
        ({"messages": {-1: Say}}, "message ids run from 0 to 0xffff, and -1 is none of them"),
        ({"messages": {"0": Say}}, "message ids run from 0 to 0xffff, and '0' is none of them"),
        ({"messages": {3: Say}, "length": 3}, "message ids run from 0 to 0x2, and 3 is none of them"),
        ({"messages": {0: Say("x")}}, "what stands for message id 0x0 is a dataclass, not a Say"),
        ({"messages": [Say]}, "messages is a dict of ids and dataclasses, such as {0x00: Say}, not a list"),
        ({"messages": {}}, "defines no messages"),
        ({"messages": {0: Say, 1: Say}}, "one type has two message ids"),
        ({"urgent": Say}, "urgent is a set of message classes, not the class Say: write {Say}"),
        ({"bulk": Say}, "bulk is a set of message classes, not the class Say: write {Say}"),
        ({"urgent": "Say"}, "urgent is a list, not one text"),
        ({"urgent": {Shout}}, "urgent names Shout, which is not one of its messages"),
        ({"urgent": {"Say"}}, "urgent names 'Say', which is not one of its messages"),
        ({"urgent": {Say}, "bulk": {Say}}, "Say is both urgent and bulk"),
        ({"slots": -1}, "slots is a whole number from 1 up, not -1"),
        ({"slots": "8"}, "slots is a whole number from 1 up, not '8'"),
        ({"weight": 1.5}, "weight is a whole number from 1 up, not 1.5"),
        ({"weight": 0}, "weight is a whole number from 1 up, not 0"),
        ({"weight": 0.5}, "weight is a whole number from 1 up, not 0.5"),
        ({"minimum": -1}, "minimum is a whole number from 0 up, not -1"),
        ({"minimum": 9}, "minimum is 9, more than slots, which is 8: lower it, or raise slots"),
        ({"rating_floor": "low"}, "rating_floor is a number, not a str"),
        ({"latency_target": 0}, "latency_target is a number above 0, not 0"),
        ({"request_timeout": -1}, "request_timeout is a number above 0, not -1"),
        ({"ready_within": 0}, "ready_within is a number above 0, not 0"),
        ({"max_message_size": 2**24}, "max_message_size is a whole number from 1 to 16777215, not 16777216"),
        ({"inbox_bytes": 0}, "inbox_bytes is a whole number from 1 up, not 0"),
        ({"inbox_messages": "many"}, "inbox_messages is a whole number from 1 up, not 'many'"),
        ({"length": 0}, "length is a whole number from 1 to 65536, not 0"),
    ],
)
def test_a_class_that_cannot_be_right_is_refused_where_it_is_written(attributes, message):
    refuses(lambda: declare(**attributes), LocalProtocolError, "Chat", message)


def test_what_is_set_later_is_looked_at_when_the_node_opens():
    late = declare()
    late.weight = 1.5  # type: ignore[assignment]
    refuses(late.table, LocalProtocolError, "Chat: weight is a whole number from 1 up, not 1.5")


def test_a_base_for_other_classes_needs_no_messages_yet():
    class Base(Capability[Say]):
        slots = 3

    class Chat(Base):
        name, version, messages = "chat", 1, {0: Say}

        async def run(self, peer: Any, channel: Any) -> None:
            pass

    assert Chat().table().spec.name == "chat"
