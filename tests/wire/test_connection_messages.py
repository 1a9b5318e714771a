"""Messages of an open connection: which are accepted and how large, and what we seal."""

import random

import pytest

from devp2p import rlp
from devp2p.errors import DecodingError, DisconnectReason, HandshakeError, LocalProtocolError
from devp2p.limits import MAX_MESSAGE_SIZE
from devp2p.wire import base, compression
from devp2p.wire.connection import DisconnectReceived, PingReceived, PongReceived, State
from devp2p.wire.framing import MessageReceived
from devp2p.wire.messages import CapabilitySpec
from tests.fuzz.wire_targets import KEY, OTHER
from tests.wire.forger import END, SPECS, Forger, accepted, connect, events, refused, sealed

CHAT, CHAT_LARGE, ETH = 0x10, 0x12, 0x14
PING = b"\x02\x01\x00\xc0"  # id, snappy of an empty list
ROLES = pytest.mark.parametrize("initiator", [True, False], ids=["initiator", "recipient"])


# Compression


@pytest.mark.parametrize(("ours", "theirs"), [(5, 4), (4, 5), (4, 4), (5, 0)])
def test_nothing_is_compressed_with_a_peer_before_version_5(ours, theirs):
    forger = Forger(initiator=True, version=ours).open(version=theirs)
    assert forger.read(sealed(forger.connection, CHAT, b"\xc1\x07")) == [b"\x10\xc1\x07"]
    (event,) = accepted(forger, forger.seal(CHAT, b"\xc1\x05", compressed=False))
    assert event == MessageReceived(0, 0, b"\xc1\x05", 100, compressed=False, wire_size=64)
    assert isinstance(event, MessageReceived)
    assert event.decompress() == b"\xc1\x05"
    assert accepted(forger, forger.frame(b"\x01\xc1\x08")) == [DisconnectReceived(DisconnectReason.CLIENT_QUITTING)]


@pytest.mark.parametrize("theirs", [5, 6, 2**64 - 1])
def test_messages_are_compressed_with_every_later_version(theirs):
    forger = Forger(initiator=False).open(version=theirs)
    assert forger.read(sealed(forger.connection, CHAT, b"\xc1\x07")) == [b"\x10" + compression.compress(b"\xc1\x07")]
    assert accepted(forger, forger.frame(PING)) == [PingReceived()]


# Messages


@pytest.mark.parametrize("code", [0x11, 0x13, END, END + 1, 0x7F, 0x80, 0xFF, 2**16, 2**32, 2**63, 2**64 - 1])
def test_an_id_that_no_shared_capability_defines_ends_the_session(code):
    forger = Forger(initiator=False).open()
    assert refused(forger, forger.seal(code, b"\xc0"), "defines no message|lies outside the shared") == DisconnectReason.PROTOCOL_BREACH


def test_ids_of_a_capability_that_the_peer_lacks_are_not_ours_to_guess():
    forger = Forger(initiator=False).open(specs=SPECS[1:])
    (event,) = accepted(forger, forger.seal(0x11, b"\xc0"))
    assert isinstance(event, MessageReceived)
    assert forger.connection.space.shared[event.capability].name == "eth"
    refused(forger, forger.seal(0x12, b"\xc0"), "0x12 lies outside")


@pytest.mark.parametrize("data", [b"\x00", b"\x00\xc0", b"\xc0", b"\x81\x02\xc0", b"\x82\x00\x10", b"\x89" + b"\x01" * 9, b"\x82\x10"])
def test_an_id_that_is_no_canonical_number_ends_the_session(data):
    forger = Forger(initiator=False).open()
    refused(forger, forger.frame(data), ".", DecodingError)


@pytest.mark.parametrize("code", range(0x04, base.LAST))
def test_reserved_ids_of_the_base_protocol_are_ignored(code):
    """Nethermind once sent 0x04; go-ethereum goes on, and so do we."""
    forger = Forger(initiator=False).open()
    stream = forger.seal(code, b"\xc1\x05") + forger.frame(rlp.encode(code) + b"garbage") + forger.frame(PING)
    assert accepted(forger, stream) == [PingReceived()]


@pytest.mark.parametrize("code", [base.DISCONNECT, base.PING, base.PONG, 0x04, 0x0F])
def test_a_message_of_the_base_protocol_has_2048_bytes_at_most(code):
    forger = Forger(initiator=False).open()
    refused(forger, forger.frame(rlp.encode(code) + bytes(2049)), f"message {code:#x} has 2049 bytes where 2048 are allowed", DecodingError)


@pytest.mark.parametrize("content", [b"", b"\xc0", b"\x01\x00\xc0", b"\xff", bytes(2048)], ids=["none", "plain", "snappy", "junk", "large"])
def test_pings_and_pongs_count_whatever_they_carry(content):
    """What other clients put in is not worth a session."""
    forger = Forger(initiator=False).open()
    assert accepted(forger, forger.frame(b"\x02" + content) + forger.frame(b"\x03" + content)) == [PingReceived(), PongReceived()]


@pytest.mark.parametrize(
    ("form", "reason"),
    [(b"\x02\x04\xc1\x04", 4), (b"\xc1\x04", 4), (b"\x08", 8), (b"\x80", 0), (b"\xc0", 0), (b"", 0), (b"\x01\x00\xc0", 0), (b"goodbye", 0)],
)
def test_a_goodbye_is_understood_in_every_form_that_is_in_use(form, reason):
    forger = Forger(initiator=False).open()
    assert accepted(forger, forger.frame(b"\x01" + form)) == [DisconnectReceived(reason)]
    assert (forger.connection.farewell, forger.connection.state) == (reason, State.CLOSED)


def test_nothing_behind_a_goodbye_is_looked_at():
    """A Disconnect is the last word; what a peer sends behind it must neither count nor turn it into a fault."""
    forger = Forger(initiator=False).open()
    stream = forger.frame(b"\x01\xc1\x04") + forger.seal(CHAT, b"\xc0") + forger.frame(b"\x01\xc1\x08") + b"noise" * 99
    assert accepted(forger, stream) == [DisconnectReceived(4)]
    assert accepted(forger, b"more noise" * 99) == []
    assert forger.connection.farewell == 4


@pytest.mark.parametrize(("code", "size"), [(CHAT, 100), (CHAT_LARGE, 5000), (ETH, 2**20)])
@pytest.mark.parametrize("version", [4, 5])
def test_a_message_may_be_as_large_as_its_id_allows_and_no_larger(code, size, version):
    """Incompressible data grows under snappy; that must not cost an honest peer the session."""
    for length in (size, size + 1):
        forger = Forger(initiator=False).open(version=version)
        data = random.Random(size).randbytes(length)
        stream = forger.seal(code, data, compressed=version == 5)
        if length == size:
            (event,) = accepted(forger, stream)
            assert isinstance(event, MessageReceived)
            assert event.decompress() == data
        else:
            refused(forger, stream, f"/.* message 0x. has {length} bytes where {size} are allowed", DecodingError)


def test_a_declared_size_is_judged_before_anything_is_inflated(monkeypatch):
    monkeypatch.setattr(compression, "decompress", lambda *_: pytest.fail("inflated"))
    forger = Forger(initiator=False).open()
    refused(forger, forger.frame(b"\x10\x65" + b"\x00a"), "chat/1 message 0x0 has 101 bytes where 100 are allowed", DecodingError)
    forger = Forger(initiator=False).open()
    refused(forger, forger.frame(b"\x10\xff\xff\xff\xff\x0f\x00a"), "has 4294967295 bytes", DecodingError)


@pytest.mark.parametrize("content", [b"", b"\x80", b"\xff\xff\xff\xff\xff\x01"])
def test_a_message_that_declares_no_size_ends_the_session(content):
    forger = Forger(initiator=False).open()
    refused(forger, forger.frame(b"\x10" + content), "does not declare its size", DecodingError)


def test_a_message_is_inflated_by_whoever_reads_it():
    """What waits in a queue costs what it weighed on the wire; a lie comes out when it is read."""
    forger = Forger(initiator=False).open()
    large, lie = accepted(forger, forger.seal(ETH, bytes(2**20)) + forger.frame(b"\x10\x64\x00a"))
    assert isinstance(large, MessageReceived)
    assert isinstance(lie, MessageReceived)
    assert len(large.data) < 2**16
    assert large.decompress() == bytes(2**20)
    with pytest.raises(DecodingError):
        lie.decompress()


def test_a_frame_larger_than_any_message_is_refused_by_its_header():
    forger = Forger(initiator=False).open()
    limit = 2**20 + 2**20 // 6 + 41
    header = forger.frame(bytes(limit + 1))[:32]
    refused(forger, header, f"1 to {limit} are allowed", DecodingError)


def test_a_capability_of_the_largest_messages_makes_no_larger_frames():
    specs = (CapabilitySpec("huge", 1, (MAX_MESSAGE_SIZE,)),)
    forger = Forger(initiator=False, specs=specs).open(specs)
    assert accepted(forger, forger.frame(bytes(MAX_MESSAGE_SIZE))[:32]) == []
    assert forger.connection.in_frame


def test_with_nothing_shared_only_the_base_protocol_is_heard():
    forger = Forger(initiator=False).open(specs=())
    assert accepted(forger, forger.frame(b"\x02" + bytes(2048))) == [PingReceived()]
    refused(forger, forger.seal(CHAT, b"\xc0"), "0x10 lies outside")


def test_what_was_complete_before_a_fault_can_still_be_taken():
    """The message before a forged one was good, and an answer may be waiting for it."""
    forger = Forger(initiator=False).open()
    refused(forger, forger.seal(CHAT, b"\xc0") + forger.frame(PING) + forger.seal(END, b"\xc0"), "lies outside")
    assert [type(event) for event in events(forger.connection)] == [MessageReceived, PingReceived]


@ROLES
@pytest.mark.parametrize("place", [0, 5, 17, 31, 33, -17, -1])
def test_a_flipped_bit_anywhere_in_a_frame_ends_the_connection(place, initiator):
    forger = Forger(initiator=initiator).open()
    stream = bytearray(forger.seal(CHAT, b"\xc1\x05"))
    stream[place] ^= 0x10
    refused(forger, bytes(stream), "MAC is wrong", HandshakeError)
    assert events(forger.connection) == []


def test_a_replayed_frame_ends_the_connection():
    forger = Forger(initiator=False).open()
    stream = forger.seal(CHAT, b"\xc0")
    assert len(accepted(forger, stream)) == 1
    refused(forger, stream, "MAC is wrong", HandshakeError)


def test_progress_within_a_frame_and_between_frames_can_be_told_apart():
    """The deadline for slow frames starts anew with each frame, and none runs while the line is quiet."""
    forger = Forger(initiator=False)
    connection = forger.connection
    assert (connection.in_frame, connection.frames) == (False, 0)
    stream = forger.hello()
    connection.receive_data(stream[:1])
    assert (connection.in_frame, connection.frames) == (True, 0)
    connection.receive_data(stream[1:])
    assert (connection.in_frame, connection.frames) == (False, 1)
    stream = forger.frame(PING) + forger.frame(PING)
    connection.receive_data(stream[: len(stream) // 2 + 1])
    assert (connection.in_frame, connection.frames) == (True, 2)
    connection.receive_data(stream[len(stream) // 2 + 1 :])
    assert (connection.in_frame, connection.frames) == (False, 3)
    assert not connect(KEY, 1).in_frame


# Sending


def test_nothing_can_be_sealed_before_the_keys_are_agreed():
    with pytest.raises(LocalProtocolError, match="not ready to send"):
        connect(KEY, 1, remote=OTHER.public_key).seal(base.DISCONNECT, b"\xc1\x04")


def test_before_the_peers_hello_only_a_goodbye_can_be_sealed():
    """RLPx: "No other messages may be sent until a Hello is received"; whether to compress is not known either."""
    forger = Forger(initiator=False)
    for code in (base.HELLO, base.PING, CHAT):
        with pytest.raises(LocalProtocolError, match="not ready to send"):
            forger.connection.seal(code, b"\xc0")
    assert forger.read(sealed(forger.connection, base.DISCONNECT, b"\xc1\x04")) == [b"\x01\xc1\x04"]


def test_a_goodbye_can_be_sealed_after_a_fault_of_the_peer():
    for forger, stream, plain in [(Forger(initiator=False), b"\x02\xc0", True), (Forger(initiator=False).open(), rlp.encode(END), False)]:
        refused(forger, forger.frame(stream), "came before Hello|lies outside")
        told = b"\xc1\x02" if plain else compression.compress(b"\xc1\x02")
        assert forger.read(sealed(forger.connection, base.DISCONNECT, b"\xc1\x02")) == [b"\x01" + told]


def test_a_message_must_be_sealed_to_its_end_before_the_next():
    """Two that are half sealed would break the MAC state, and the peer would hang up for a reason that nobody finds."""
    forger = Forger(initiator=False).open()
    connection, data = forger.connection, random.Random(7).randbytes(200_000)
    pieces = iter(connection.seal(ETH, data))
    with pytest.raises(LocalProtocolError, match="is not sealed to its end"):
        connection.seal(base.PING, b"\xc0")
    begun = next(pieces)
    with pytest.raises(LocalProtocolError, match="is not sealed to its end"):
        connection.seal(base.PING, b"\xc0")
    assert forger.read(begun + b"".join(pieces)) == [b"\x14" + compression.compress(data)]
    assert forger.read(sealed(connection, base.PING, b"\xc0")) == [PING]


def test_large_messages_come_in_pieces_so_that_others_can_run_in_between():
    forger = Forger(initiator=False).open()
    data = random.Random(8).randbytes(500_000)
    pieces = list(forger.connection.seal(ETH, data))
    assert len(pieces) > 7
    assert max(map(len, pieces)) < 70_000
    assert forger.read(b"".join(pieces)) == [b"\x14" + compression.compress(data)]


def test_a_message_that_fits_no_frame_is_our_mistake_and_does_no_harm(monkeypatch):
    forger = Forger(initiator=False).open()
    incompressible = random.Random(9).randbytes(MAX_MESSAGE_SIZE)
    with pytest.raises(LocalProtocolError, match=r"a message of 16777215 bytes \(1677.... compressed\) does not fit into a frame"):
        forger.connection.seal(ETH, incompressible)
    assert forger.read(sealed(forger.connection, ETH, bytes(MAX_MESSAGE_SIZE))) == [b"\x14" + compression.compress(bytes(MAX_MESSAGE_SIZE))]
    monkeypatch.setattr(compression, "compress", lambda _: pytest.fail("compressed for nothing"))
    with pytest.raises(LocalProtocolError, match="a message of 16777216 bytes does not fit into a frame"):
        forger.connection.seal(ETH, bytes(MAX_MESSAGE_SIZE + 1))


def test_the_id_counts_in_the_size_of_a_frame():
    """Without compression the largest message that peers may be told is one byte smaller than the largest frame."""
    forger = Forger(initiator=False, version=4).open(version=4)
    with pytest.raises(LocalProtocolError, match="does not fit into a frame"):
        forger.connection.seal(ETH, bytes(MAX_MESSAGE_SIZE))
    assert forger.read(sealed(forger.connection, ETH, bytes(MAX_MESSAGE_SIZE - 1))) == [b"\x14" + bytes(MAX_MESSAGE_SIZE - 1)]


def test_an_id_below_zero_is_our_mistake_and_does_no_harm():
    forger = Forger(initiator=False).open()
    with pytest.raises(LocalProtocolError):
        forger.connection.seal(-1, b"\xc0")
    assert forger.read(sealed(forger.connection, base.PING, b"\xc0")) == [PING]
