"""The base protocol: Hellos of today and tomorrow, every goodbye in use, and strangers' text in our logs."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from devp2p import rlp
from devp2p.errors import DecodingError, DisconnectReason, LocalProtocolError, RemoteProtocolError
from devp2p.keys import PrivateKey
from devp2p.wire import base, compression
from devp2p.wire.base import CapabilityVersion, Hello
from tests.fuzz.session_targets import fuzz_disconnect, fuzz_hello

KEY = PrivateKey.from_bytes(bytes(31) + b"\x01").public_key
ETH = CapabilityVersion("eth", 69)

names = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=8)
offers = st.builds(CapabilityVersion, names, st.integers(0, 2**64 - 1))
hellos = st.builds(
    Hello,
    client_id=st.text(st.characters(codec="utf-8"), max_size=100),
    capabilities=st.lists(offers, max_size=64).map(tuple),
    public_key=st.integers(1, 2**250).map(lambda secret: PrivateKey.from_bytes(secret.to_bytes(32, "big")).public_key),
    version=st.integers(0, 2**64 - 1),
    listen_port=st.integers(0, 2**64 - 1),
)


def hello_bytes(**other: object) -> bytes:
    """A Hello's data, some elements of which are not what they should be."""
    fields = {"version": 5, "client_id": b"Geth/v1", "capabilities": [[b"eth", 69]], "listen_port": 0, "public_key": bytes(KEY)}
    return rlp.encode([*(fields | other).values()])  # type: ignore[list-item]


def offered(*entries: list[object]) -> tuple[CapabilityVersion, ...]:
    return base.decode_hello(hello_bytes(capabilities=list(entries))).capabilities


# Hello


@given(hellos)
def test_a_hello_is_read_back_as_it_was_written(hello):
    assert base.decode_hello(base.encode_hello(hello)) == hello
    assert base.decode_hello(memoryview(base.encode_hello(hello))) == hello


def test_the_layout_of_a_hello_is_the_specified_one():
    hello = Hello("Geth/v1", (ETH,), KEY, 5, 30303)
    assert base.encode_hello(hello) == rlp.encode([5, b"Geth/v1", [[b"eth", 69]], 30303, bytes(KEY)])
    assert str(ETH) == "eth/69"


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=4))
def test_a_later_version_may_say_more_in_hello(more):
    """EIP-8: whoever refuses additional elements cuts himself off from the next version."""
    assert base.decode_hello(hello_bytes(**{f"more{place}": item for place, item in enumerate(more)})) == Hello("Geth/v1", (ETH,), KEY)
    assert base.decode_hello(hello_bytes(more=[more, [[]]])).capabilities == (ETH,)


def test_a_later_version_may_say_more_of_a_capability():
    assert offered([b"eth", 69, b"and", [b"more"]], [b"snap", 1]) == (ETH, CapabilityVersion("snap", 1))


def test_any_protocol_version_is_a_hello():
    for version in (0, 4, 5, 6, 2**64 - 1):
        assert base.decode_hello(hello_bytes(version=version)).version == version


@given(number=st.integers(0, 2**64 - 1), compressed=st.booleans())
def test_the_number_of_a_last_message_comes_back(*, number: int, compressed: bool):
    data = base.encode_last(number)
    assert base.decode_last(compression.compress(data) if compressed else data, compressed=compressed) == number


@given(data=st.binary(max_size=64), compressed=st.booleans())
@example(data=b"", compressed=False)
@example(data=rlp.encode([]), compressed=False)
@example(data=rlp.encode([2**64]), compressed=False)
@example(data=rlp.encode([[1]]), compressed=False)
@example(data=compression.compress(bytes(10_000)).tobytes(), compressed=True)
def test_what_else_a_last_message_may_hold_is_no_fault(*, data: bytes, compressed: bool):
    assert 0 <= base.decode_last(data, compressed=compressed) < 2**64


@pytest.mark.parametrize(
    "entry",
    [[b"", 1], [b"ninebytes", 1], [b"\xc3\xa9th", 1], [b"eth\xff", 1], [b"e h", 1], [b"e\nh", 1], [b"\x1b[31m", 1], [b"eth\x00", 1]],
)
def test_a_capability_with_an_impossible_name_does_not_spoil_the_others(entry):
    assert offered([b"eth", 69], entry, [b"eightlet", 1]) == (ETH, CapabilityVersion("eightlet", 1))


def test_a_capability_version_beyond_64_bits_does_not_spoil_the_others():
    assert offered([b"a", 2**64], [b"a", 2**64 - 1], [b"a", 2**256 - 1]) == (CapabilityVersion("a", 2**64 - 1),)


def test_64_capabilities_are_read_and_more_are_refused():
    """The work that a Hello makes for us is bounded by a number, not by what the peer likes to send."""
    assert len(offered(*([b"a", version] for version in range(64)))) == 64
    with pytest.raises(DecodingError, match="capabilities"):
        offered(*([b"a", version] for version in range(65)))


@pytest.mark.parametrize(
    "key",
    [b"", bytes(64), b"\xff" * 64, bytes(KEY)[:63], bytes(KEY) + b"\x00", b"\x04" + bytes(KEY), KEY.compressed],
    ids=["none", "null", "no point", "short", "long", "prefixed", "compressed"],
)
def test_a_hello_without_a_public_key_is_answered_with_invalid_identity(key):
    with pytest.raises(RemoteProtocolError, match="Hello names no public key") as caught:
        base.decode_hello(hello_bytes(public_key=key))
    assert caught.value.reason is DisconnectReason.INVALID_IDENTITY


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc0",
        b"\x80",
        hello_bytes()[:-1],
        hello_bytes() + b"\x00",
        hello_bytes(version=2**64),
        hello_bytes(version=b"\x00\x05"),
        hello_bytes(version=[]),
        hello_bytes(client_id=[]),
        hello_bytes(capabilities=b"eth"),
        hello_bytes(capabilities=[b"eth", 69]),
        hello_bytes(capabilities=[[b"eth"]]),
        hello_bytes(capabilities=[[b"eth", []]]),
        hello_bytes(capabilities=[[b"eth", 2**256]]),
        hello_bytes(listen_port=2**64),
        hello_bytes(public_key=[]),
    ],
)
def test_a_malformed_hello_is_a_breach_of_protocol(data):
    with pytest.raises(DecodingError) as caught:
        base.decode_hello(data)
    assert caught.value.reason is DisconnectReason.PROTOCOL_BREACH


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (b"x" * 300, "x" * 256),
        ("é".encode() * 300, "é" * 256),
        ("𝄞".encode() * 300, "𝄞" * 256),
        (b"x" + "𝄞".encode() * 300, "x" + "𝄞" * 255),  # the cut in bytes goes through a character, that in characters does not
        (b"caf\xe9", "caf\ufffd"),
        (b"", ""),
    ],
    ids=["ASCII", "two bytes", "four bytes", "cut", "Latin-1", "empty"],
)
def test_a_long_or_broken_client_name_is_kept_short_and_readable(sent, kept):
    assert base.decode_hello(hello_bytes(client_id=sent)).client_id == kept


@pytest.mark.parametrize(
    ("hello", "complaint"),
    [
        (Hello("x" * 2000, (), KEY), "a Hello of 20.. bytes, where 2047 are allowed"),
        (Hello("x", (CapabilityVersion("ninebytes", 1),), KEY), "not 'ninebytes'"),
        (Hello("x", (CapabilityVersion("été", 1),), KEY), "not 'été'"),
        (Hello("x", (CapabilityVersion("eth", -1),), KEY), "version"),
        (Hello("x", (ETH,) * 65, KEY), "capabilities"),
        (Hello("x", (), KEY, version=2**64), "version"),
    ],
    ids=["long name", "long capability", "no ASCII", "negative", "many", "large"],
)
def test_a_hello_that_every_peer_would_refuse_is_our_mistake(hello, complaint):
    with pytest.raises(LocalProtocolError, match=complaint):
        base.encode_hello(hello)


def test_a_client_name_from_a_broken_terminal_can_be_sent():
    assert base.decode_hello(base.encode_hello(Hello("x\udcff", (), KEY))).client_id == "x?"


@given(st.binary(max_size=300) | hellos.map(base.encode_hello) | st.builds(lambda key: hello_bytes(client_id=key), st.binary(max_size=400)))
@example(hello_bytes())
def test_any_bytes_are_a_hello_or_a_fault_of_the_peer(data):
    fuzz_hello(data)


@given(hellos, st.data())
def test_a_damaged_hello_is_a_hello_or_a_fault_of_the_peer(hello, data):
    damaged = bytearray(base.encode_hello(hello))
    at = data.draw(st.integers(0, len(damaged) - 1))
    damaged[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3))
    fuzz_hello(bytes(damaged))


# Disconnect

FORMS = {
    "list, snappy (go-ethereum, reth)": lambda reason: bytes(compression.compress(rlp.encode([reason]))),
    "list, plain (Nethermind)": lambda reason: rlp.encode([reason]),
    "number, plain (ethereumjs)": rlp.encode,
    "number, snappy": lambda reason: bytes(compression.compress(rlp.encode(reason))),
    "list with more, snappy": lambda reason: bytes(compression.compress(rlp.encode([reason, b"why", [1, 2]]))),
    "nested list, plain": lambda reason: rlp.encode([[reason]]),
}


@pytest.mark.parametrize("form", FORMS)
def test_each_form_of_goodbye_gives_its_reason_after_hello(form):
    """A peer's "too many peers" must not be taken for a breach, or we would stop dialling it."""
    for reason in range(0x80):
        assert base.decode_disconnect(FORMS[form](reason), compressed=True) == reason
        assert base.decode_disconnect(memoryview(FORMS[form](reason)), compressed=True) == reason


@pytest.mark.parametrize("form", [form for form in FORMS if "plain" in form])
def test_each_form_of_goodbye_gives_its_reason_before_hello(form):
    for reason in range(0x80):
        assert base.decode_disconnect(FORMS[form](reason), compressed=False) == reason


def test_reasons_above_127_are_read_in_the_forms_that_are_defined():
    for reason in range(0x80, 0x100):
        for form in ("list, snappy (go-ethereum, reth)", "number, snappy", "list with more, snappy"):
            assert base.decode_disconnect(FORMS[form](reason), compressed=True) == reason
        assert base.decode_disconnect(rlp.encode([reason]), compressed=False) == reason


@pytest.mark.parametrize(
    "data",
    [b"", b"\xc0", b"\x80", b"\xc1\x80", b"\xc1\xc0", b"\xc1\x00", b"\x00"],
    ids=["nothing", "empty list", "empty string", "list of zero", "list of empty list", "list of a zero byte", "zero byte"],
)
def test_a_goodbye_without_a_reason_is_requested(data):
    for form in (data, compression.compress(data)):
        assert base.decode_disconnect(form, compressed=True) == DisconnectReason.REQUESTED
    assert base.decode_disconnect(data, compressed=False) == DisconnectReason.REQUESTED


@pytest.mark.parametrize("compressed", [False, True])
def test_each_single_byte_is_a_goodbye(compressed):
    for byte in range(256):
        assert base.decode_disconnect(bytes([byte]), compressed=compressed) == (byte if byte < 0x80 else 0)


@pytest.mark.parametrize(
    "data",
    [
        b"\x82\x01\x02",
        b"\xc3\x82\x01\x02",
        b"\xc2\x04",
        b"\x04\x04",
        b"\xc1" * 5000 + b"\xc0",
        b"\xff" * 9,
        b"too many peers",
        compression.compress(b"\xc1" * 5000),
        compression.compress(bytes(2**24)),
        b"\xff\xff\xff\xff\x0f",
    ],
    ids=["two bytes", "list of two bytes", "cut", "trailing", "deep", "length", "text", "large", "bomb", "4 GiB"],
)
@pytest.mark.parametrize("compressed", [False, True])
def test_a_goodbye_that_cannot_be_read_is_still_a_goodbye(data, compressed):
    assert base.decode_disconnect(data, compressed=compressed) == DisconnectReason.REQUESTED


@given(st.binary(max_size=40))
@example(b"\xc1\x04")
@example(b"\x08")
def test_any_bytes_are_a_goodbye(data):
    fuzz_disconnect(data)


def test_we_say_goodbye_as_the_specification_does():
    assert base.encode_disconnect(DisconnectReason.TOO_MANY_PEERS) == b"\xc1\x04"
    assert base.encode_disconnect(0) == b"\xc1\x80"


# Strangers' text


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("Geth/v1.17.0-stable/linux-amd64/go1.25", "Geth/v1.17.0-stable/linux-amd64/go1.25"),
        ("Ðapp ünïcode 𝄞", "Ðapp ünïcode 𝄞"),
        ("\x1b[2J\x1b[31mred", r"\x1b[2J\x1b[31mred"),
        ("a\r\nERROR forged line", r"a\r\nERROR forged line"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("nul\x00", r"nul\x00"),
        ("\x9b31m", r"\x9b31m"),
        ("zero\u200bwidth\u2028line\u00a0space", r"zero\u200bwidth\u2028line\xa0space"),
        ("\udcff", r"\udcff"),
        ("\U000e0041", r"\U000e0041"),
    ],
    ids=["plain", "letters", "ANSI", "newline", "RTL override", "NUL", "C1", "invisible", "surrogate", "tag"],
)
def test_a_strangers_text_cannot_steer_a_terminal_or_forge_a_log_line(text, safe):
    assert base.printable(text) == safe


@given(st.text())
def test_printable_text_stays_on_one_line_and_keeps_what_was_harmless(text):
    safe = base.printable(text)
    assert safe.isprintable()
    assert base.printable(safe) == safe
    assert (safe == text) == text.isprintable()
