"""A connection: any cut of the stream, every event in every state, and what a peer who holds the keys can (not) do with them."""

import random
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st

from devp2p import rlp
from devp2p.errors import DecodingError, DisconnectReason, HandshakeError, LocalProtocolError, RemoteProtocolError
from devp2p.keys import PrivateKey
from devp2p.wire import base, compression
from devp2p.wire import connection as module
from devp2p.wire.connection import Connection, DisconnectReceived, Event, HelloReceived, LastReceived, PingReceived, PongReceived, State
from devp2p.wire.framing import MessageReceived
from devp2p.wire.opening import HandshakeCompleted
from devp2p.wire.plain import plain_framing
from devp2p.wire.rlpx.handshake import Initiator, Recipient
from tests.fuzz.adversary import TwoConnections, TwoEnds
from tests.fuzz.session_targets import fuzz_connection
from tests.fuzz.wire_targets import KEY, OTHER, entropy
from tests.wire.forger import END, SPECS, Forger, accepted, connect, events, our_hello, refused, sealed
from tests.wire.handshakes import Constant

CHAT, CHAT_LARGE, ETH = 0x10, 0x12, 0x14
PING = b"\x02\x01\x00\xc0"  # id, snappy of an empty list
ROLES = pytest.mark.parametrize("initiator", [True, False], ids=["initiator", "recipient"])


# Cuts


def conversation(*, initiator: bool, version: int, sizes: list[int]) -> tuple[bytes, list[Event | HandshakeCompleted]]:
    """All bytes that a peer says in a session, from auth or ack to Disconnect, and what they mean."""
    forger = Forger(initiator=initiator, version=version)
    stream, compressed = forger.packet + forger.hello(version=version), version >= 5
    told: list[Event | HandshakeCompleted] = [HandshakeCompleted(OTHER.public_key), HelloReceived(our_hello(OTHER, version=version))]
    for place, size in enumerate(sizes):
        data = random.Random(place).randbytes(size)
        frame = forger.seal(CHAT_LARGE, data, compressed=compressed)
        stream += frame + forger.frame(PING if compressed else b"\x02\xc0")
        body = compression.compress(data) if compressed else data
        told += [MessageReceived(0, 2, body, 5000, compressed, wire_size=len(frame)), PingReceived()]
    stream += forger.seal(base.PONG, base.EMPTY_LIST, compressed=compressed)
    stream += forger.seal(base.DISCONNECT, b"\xc1\x04", compressed=compressed)
    return stream, [*told, PongReceived(), DisconnectReceived(4)]


def replay(stream: bytes, cuts: Sequence[int], *, initiator: bool, version: int) -> list[Event | HandshakeCompleted]:
    connection = connect(KEY, 1, remote=OTHER.public_key if initiator else None, version=version)
    found: list[Event | HandshakeCompleted] = []
    for start, end in pairwise([0, *cuts, len(stream)]):
        connection.receive_data(stream[start:end])
        found += events(connection)
    assert connection.state is State.CLOSED
    return found


@ROLES
@pytest.mark.parametrize("version", [4, 5])
def test_a_stream_means_the_same_byte_by_byte(initiator, version):
    stream, told = conversation(initiator=initiator, version=version, sizes=[10, 3000])
    assert replay(stream, [], initiator=initiator, version=version) == told
    assert replay(stream, range(1, len(stream)), initiator=initiator, version=version) == told


@settings(max_examples=40)
@given(st.booleans(), st.lists(st.integers(0, 5000), max_size=4), st.data())
def test_a_stream_means_the_same_however_the_network_cuts_it(initiator, sizes, data):
    stream, told = conversation(initiator=initiator, version=5, sizes=sizes)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    assert replay(stream, cuts, initiator=initiator, version=5) == told


# The life of a connection


@ROLES
def test_each_side_says_hello_as_soon_as_the_keys_are_agreed(initiator):
    """Waiting for the peer's Hello first would cost a round trip, and with two that wait there would be no session."""
    forger = Forger(initiator=initiator)
    assert forger.first == [b"\x80" + base.encode_hello(our_hello(KEY))]
    assert forger.connection.data_to_send() == b""
    assert events(forger.connection) == [HandshakeCompleted(OTHER.public_key)]
    assert forger.connection.remote == OTHER.public_key


@ROLES
def test_messages_flow_in_both_directions_after_hello(initiator):
    forger = Forger(initiator=initiator)
    assert not forger.connection.space.shared
    assert accepted(forger, forger.hello())[1:] == [HelloReceived(our_hello(OTHER))]
    assert forger.connection.space.shared == SPECS
    (event,) = accepted(forger, forger.seal(ETH, b"\xc1\x05"))
    assert isinstance(event, MessageReceived)
    assert (event.capability, event.code, event.size, event.compressed) == (1, 1, 2**20, True)
    assert event.decompress() == b"\xc1\x05"
    assert forger.read(sealed(forger.connection, CHAT, b"\xc1\x07")) == [b"\x10" + compression.compress(b"\xc1\x07")]


@pytest.mark.parametrize("initiator", [True, False])
def test_extensions_ride_behind_what_auth_and_ack_specify(initiator):
    extra = (rlp.encode(b"first"), rlp.encode([b"second", 2]))
    connection = connect(KEY, 1, remote=OTHER.public_key if initiator else None, extension=Constant(*extra))
    peer = Recipient(OTHER, entropy(2)) if initiator else Initiator(OTHER, KEY.public_key, entropy(2))
    if not initiator:
        connection.receive_data(peer.packet)
    agreement = peer.receive_data(connection.data_to_send())
    assert agreement is not None
    assert agreement.elements == extra


def test_the_frames_on_the_wire_have_the_one_header_that_all_peers_take():
    """Nethermind refuses any header-data but c2 80 80."""
    forger = Forger(initiator=True).open()
    stream = forger.answer + sealed(forger.connection, CHAT, b"\xc0") + sealed(forger.connection, ETH, random.Random(1).randbytes(200_000))
    decrypt = Cipher(algorithms.AES(forger.secrets.aes), modes.CTR(bytes(16))).decryptor().update
    frames = 0
    while stream:
        header = decrypt(stream[:16])
        size = int.from_bytes(header[:3], "big")
        assert size > 0
        assert header[3:] == bytes.fromhex("c28080") + bytes(10)
        body = size + -size % 16
        assert decrypt(stream[32 : 32 + body])[size:] == bytes(body - size)
        stream, frames = stream[32 + body + 16 :], frames + 1
    assert frames == 3


def reach(state: State | None, *, initiator: bool) -> Forger:
    """A session whose connection has come to a state; with None it still shakes hands, and shares no keys with the forger."""
    forger = Forger(initiator=initiator)
    if state is None:
        forger.connection = connect(KEY, 1, remote=OTHER.public_key if initiator else None)
    if state in {State.OPEN, State.CLOSED}:
        forger.open()
    if state is State.CLOSED:
        forger.connection.receive_data(forger.frame(b"\x01\xc1\x04"))
    events(forger.connection)
    assert forger.connection.state is state
    return forger


STIMULI: dict[str, Callable[[Forger], bytes]] = {
    "handshake": lambda forger: forger.packet,
    "hello": lambda forger: forger.hello(),
    "disconnect": lambda forger: forger.frame(b"\x01\xc1\x04"),
    "ping": lambda forger: forger.frame(PING),
    "pong": lambda forger: forger.frame(b"\x03\x01\x00\xc0"),
    "message": lambda forger: forger.seal(CHAT, b"\xc0"),
    "last": lambda forger: forger.frame(b"\x0f\x01\x00\xc0"),
    "reserved": lambda forger: forger.frame(b"\x04\xc0"),
    "unknown": lambda forger: forger.seal(END, b"\xc0"),
    "noise": lambda _: random.Random(5).randbytes(3000),
}
_BAD = (HandshakeError, DisconnectReason.PROTOCOL_BREACH)
_EARLY = (RemoteProtocolError, DisconnectReason.PROTOCOL_BREACH)
LIFE: Mapping[State | None, Mapping[str, object]] = {
    None: dict.fromkeys(STIMULI, _BAD) | {"handshake": [HandshakeCompleted]},
    State.HELLO: dict.fromkeys(STIMULI, _EARLY)
    | {"handshake": _BAD, "noise": _BAD, "hello": [HelloReceived], "disconnect": [DisconnectReceived]},
    State.OPEN: {
        "handshake": _BAD,
        "hello": _EARLY,
        "disconnect": [DisconnectReceived],
        "ping": [PingReceived],
        "pong": [PongReceived],
        "message": [MessageReceived],
        "last": [LastReceived],
        "reserved": [],
        "unknown": _EARLY,
        "noise": _BAD,
    },
    State.CLOSED: {stimulus: [] for stimulus in STIMULI},
}


def outcome(forger: Forger, stream: bytes) -> object:
    try:
        forger.connection.receive_data(stream)
    except RemoteProtocolError as error:
        assert events(forger.connection) == []
        return type(error), error.reason
    return [type(event) for event in events(forger.connection)]


@ROLES
@pytest.mark.parametrize("state", [None, *State])
@pytest.mark.parametrize("stimulus", STIMULI)
def test_everything_that_a_peer_can_say_has_its_answer_in_every_state(state, stimulus, initiator):
    forger = reach(state, initiator=initiator)
    stream = STIMULI[stimulus](forger)
    if state is None and stimulus != "handshake":
        stream = b"\x01\x90" + stream + bytes(400)  # a size that is possible, so that the rest of it is looked at
    assert outcome(forger, stream) == LIFE[state][stimulus]


def test_the_transition_table_is_what_connections_do():
    """The table says it all only if nothing else happens, and nothing in it is impossible."""
    seen = set()
    for state in State:
        for stimulus in STIMULI.values():
            for initiator in (False, True):
                forger = reach(state, initiator=initiator)
                try:
                    forger.connection.receive_data(stimulus(forger))
                except RemoteProtocolError:
                    assert forger.connection.state is State.CLOSED
                seen |= {(state, type(event), forger.connection.state) for event in events(forger.connection)}
    assert seen == {(state, event, after) for state, row in module._TRANSITIONS.items() for event, after in row.items()}


# Before and at Hello


@pytest.mark.parametrize("code", [base.PING, base.PONG, 0x04, 0x0F, CHAT, ETH, END, 2**64 - 1])
def test_nothing_but_hello_and_disconnect_is_taken_before_hello(code):
    forger = Forger(initiator=False)
    assert refused(forger, forger.seal(code, b"\xc0", compressed=False), f"message {code:#x} came before Hello") == 2


def test_a_peer_may_say_goodbye_instead_of_hello():
    """go-ethereum does so with too many peers; it must not look like a fault."""
    forger = Forger(initiator=True)
    assert accepted(forger, forger.frame(b"\x01\xc1\x04"))[1:] == [DisconnectReceived(DisconnectReason.TOO_MANY_PEERS)]
    assert forger.connection.farewell == 4


def test_a_second_hello_is_a_breach_of_protocol():
    forger = Forger(initiator=True).open()
    assert refused(forger, forger.hello(), "a second Hello came") == DisconnectReason.PROTOCOL_BREACH
    assert forger.connection.space.shared == SPECS


@ROLES
def test_a_hello_of_another_node_is_told_unexpected_identity(initiator):
    """The key in Hello is only a claim; the one that shook hands counts."""
    forger = Forger(initiator=initiator)
    stranger = PrivateKey.from_bytes(bytes(31) + b"\x09")
    reason = refused(forger, forger.hello(key=stranger), "Hello names another node than the handshake")
    assert reason is DisconnectReason.UNEXPECTED_IDENTITY
    told = forger.read(sealed(forger.connection, base.DISCONNECT, b"\xc1\x09"))
    assert told == [b"\x01" + compression.compress(b"\xc1\x09")], "the peer has our Hello, so it reads only compressed messages"


def test_a_hello_with_no_key_is_told_invalid_identity():
    forger = Forger(initiator=False)
    hello = rlp.encode([5, b"", [], 0, bytes(64)])
    assert refused(forger, forger.seal(base.HELLO, hello, compressed=False), "no public key") is DisconnectReason.INVALID_IDENTITY


def test_a_compressed_hello_is_not_understood():
    forger = Forger(initiator=False)
    refused(forger, forger.seal(base.HELLO, base.encode_hello(our_hello(OTHER))), "a byte string where a list belongs", DecodingError)


def test_the_first_frame_may_have_2048_bytes_and_no_more():
    around = len(base.HELLO.to_bytes() + rlp.encode([5, bytes(1900), [], 0, bytes(OTHER.public_key)])) - 1900
    for length in (2048, 2049):
        forger = Forger(initiator=False)
        hello = rlp.encode([5, bytes(length - around), [], 0, bytes(OTHER.public_key)])
        stream = forger.seal(base.HELLO, hello, compressed=False)
        if length == 2048:
            assert len(accepted(forger, stream)) == 2
        else:
            refused(forger, stream, "a frame of 2049 bytes, where 1 to 2048 are allowed", DecodingError)


def test_a_hello_that_no_peer_would_take_is_refused_when_the_connection_is_made():
    """Found out by the peer it would be a session that never comes about, with anybody."""
    with pytest.raises(LocalProtocolError, match="a Hello of"):
        Connection(plain_framing(), base.Hello("x" * 2048, (), KEY.public_key), (), remote=OTHER.public_key)


# Everything at once


@settings(max_examples=150)
@given(st.binary(max_size=200))
def test_a_peer_that_holds_the_keys_gets_no_further_than_a_breach_of_protocol(data):
    fuzz_connection(data)


spoken = st.tuples(st.sampled_from([b"\x10", b"\x12", b"\x14", b"\x01", b"\x02"]), st.binary(max_size=30))


@settings(max_examples=150)
@given(st.sampled_from([2, 3, 10, 11]), st.lists(spoken, min_size=1, max_size=8))
def test_the_contents_of_known_messages_get_no_further_either(flags, said):
    """The same, aimed: nearly all frames have an id that is accepted."""
    fuzz_connection(bytes([flags]) + b"".join(bytes([2 << 5 | 1 + len(data)]) + code + data for code, data in said))


TestTwoConnections = TwoConnections.TestCase
TestTwoConnections.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_control_without_macs_the_adversary_gets_through(monkeypatch):
    """What he changed is noticed by a decoder at best, which is not what stands between two honest ends."""
    monkeypatch.setattr("devp2p.wire.rlpx.frames.compare_digest", lambda *_: True)
    two = TwoEnds()
    for side in (0, 1, 0, 1):
        two.deliver(side, 10_000)
    two.talk(0, 0, 1.0)
    two.tamper(0, "flip", 0.5, b"\x55")
    with pytest.raises((AssertionError, RemoteProtocolError)):
        two.finish()
