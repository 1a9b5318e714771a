"""The first inputs of each target: published vectors, what the targets make of them, and one message of each kind.

A target seals what it is given, so beside the packets stand the plaintexts: a fuzzer never finds its way through a MAC.
"""

import json
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from devp2p import rlp
from devp2p.capabilities.ethereum.blocks import AccountChanges, Block, Receipt, Sidecar, Transaction, encode_access_list
from devp2p.capabilities.ethereum.tries.nodes import write_extension, write_leaf
from devp2p.capabilities.snap.messages import AnyRequest, GetAccountRange, GetBlockAccessLists, GetByteCodes, GetStorageRanges, GetTrieNodes
from devp2p.capabilities.snap.serving import answer
from devp2p.errors import DisconnectReason
from devp2p.keys import PrivateKey
from devp2p.records.enr import Record
from devp2p.records.node_record import NodeRecord
from devp2p.rlp import Lazy
from devp2p.rlp.items import encode_list
from devp2p.wire import base, compression
from devp2p.wire.dpx import control, header
from devp2p.wire.rlpx import ecies
from devp2p.wire.rlpx.handshake import Initiator, Recipient
from tests.fuzz import nat_targets, snap_targets, ws_targets
from tests.fuzz.prelude_targets import CLAIM, REQUEST, sealed
from tests.fuzz.rlp_targets import Everything, Inner, Nested
from tests.fuzz.trie_targets import LINK
from tests.fuzz.wire_targets import KEY, OTHER, entropy
from tests.rlp.shapes import BAD_ITEMS
from tests.rlp.test_items import GOOD_ITEMS
from tests.wire.forger import our_hello
from tests.wire.remembering import Remembering

VECTORS: Final = Path(__file__).resolve().parent.parent / "vectors"


def vectors(name: str) -> Any:
    return json.loads((VECTORS / f"{name}.json").read_text("utf-8"))


def of_rlp() -> list[bytes]:
    bad = [bytes.fromhex(item) if isinstance(item, str) else bytes(item) for item in BAD_ITEMS.values()]
    return [data for data in (*bad, *(bytes.fromhex(encoding) for _, encoding in GOOD_ITEMS)) if len(data) <= 300] + of_schemas()


def of_schemas() -> list[bytes]:
    first = Inner(1, "a", flag=True)
    whole = Everything(1, 2, 3, b"", b"four", b"1", (5, b"b"), first, (first,), (b"four",), b"\xc0", rlp.Lazy([first]), 9, (b"\x05",))
    return [rlp.codec(type(value)).encode(value) for value in (first, whole, Nested(1, 2, reverse=False, extra=b"x"))]


def of_handshake() -> list[bytes]:
    given = vectors("rlpx_handshake")
    found = []
    for name, key in (("auth", given["static_key_b"]), ("ack", given["static_key_a"])):
        for packet in (bytes.fromhex(each["packet"]) for each in given[name]):
            found += [packet, ecies.decrypt(PrivateKey.from_bytes(bytes.fromhex(key)), packet[2:], packet[:2])]
    found += [bytes.fromhex(given[name]["packet"]) for name in ("plain_auth", "plain_ack")]
    for extension in (None, Remembering()):
        auth = Initiator(OTHER, KEY.public_key, entropy(2), extension).packet
        recipient = Recipient(OTHER, entropy(2), extension)
        recipient.receive_data(Initiator(KEY, OTHER.public_key, entropy(1), extension).packet)
        found += [part for packet in (auth, recipient.packet) for part in (packet, ecies.decrypt(KEY, packet[2:], packet[:2]))]
    return [*found, *of_prelude()]


def of_prelude() -> list[bytes]:
    return [REQUEST, CLAIM, sealed(CLAIM)]


def of_messages() -> list[bytes]:
    plain = [base.encode_hello(our_hello(OTHER)), *(base.encode_disconnect(reason) for reason in list(DisconnectReason)[:2]), *of_schemas()]
    return [b"", *plain, *(bytes(compression.compress(data)) for data in (*plain, bytes(300)))]


def of_connection() -> list[bytes]:
    """Flags, then for each frame its kind and the size of its content in one byte, then the content."""

    def say(code: bytes, data: bytes) -> bytes:
        return bytes([2 << 5 | 1 + len(data)]) + code + data

    pings = say(b"\x02", b"\x01\x00\xc0") + say(b"\x03", b"\x01\x00\xc0")
    messages = say(b"\x10", b"\x05\x10hello") + say(b"\x12", b"\x01\x00\xc0") + say(b"\x14", b"\x01\x00\xc0")
    return [b"\0\0", b"\1\0", *(bytes([flags]) + pings + messages + say(b"\x01", b"\x01\x00\x04") for flags in (2, 3, 10))]


def of_streams() -> list[bytes]:
    """Flags and frames of a capability's stream, the names of such streams; and WebSocket."""

    def frame(data: bytes) -> bytes:
        return len(data).to_bytes(3) + data

    last = frame(b"\x04\x01\x00\xc0")
    messages = frame(b"\x10\x05\x10hello") + frame(b"\x12\x01\x00\xc0") + frame(b"\x11\x01\x00\xc0") + last
    names: list[rlp.Encodable] = [[b"chat", 1], [b"eth", 69], [b"12345678", 2**64 - 1], b"chat"]
    streams = [bytes([flags]) + messages for flags in (0, 2, 3, 0x1E, 0xFF)]
    return [
        *streams,
        *(frame(rlp.encode(name)) for name in names),
        b"\x02" + bytes(3),
        b"\x03\xff\xff\xff\x10",
        frame(bytes(65)),
        *ws_targets.SEEDS,
    ]


def of_dpx() -> list[bytes]:
    """Elements, header-data, control messages; flags and steps."""
    elements = [bytes.fromhex(each["element"]) for each in vectors("dpx1")["elements"]]
    headers = [header.encode(header.Header(*numbers)) for numbers in ((0,), (127,), (1, 2), (126, 65535, 2**24))]
    controls: list[control.Control] = [
        control.Delta(127, 2**20),
        control.Reset(1, 2, control.CANCEL),
        control.Weight(3, 200),
        control.Pad(20),
        control.Shape(2, 1024, 0, 10**6, 100, 50 * 2**20),
        control.Committed(b"generation"),
        control.IntroductionRequest(1, 4),
        control.Introduction(rlp.encode([b"enr"]), rlp.encode([b"record"])),
        control.IntroductionConsent(b"\2" * 33, 1),
        control.IntroductionNote(b"a" * 32, b"n" * 16, 2**31),
        control.GoAway(8),
        control.Release(1, 2),
    ]
    sealed = [bytes(2) + bytes([size]) + b"\xc1\x01" + bytes(11) + bytes(b"\x05" * size) + bytes(-size % 16) for size in (0, 5, 32)]
    return [*elements, *headers, *map(control.encode, controls), *sealed, b"\x1f" + bytes(range(255)), *steps_of_dpx()]


def steps_of_dpx() -> list[bytes]:
    """Steps of `fuzz_dpx_frames`: the kind and the size of the content in one byte, then the content."""

    def say(kind: int, content: bytes) -> bytes:
        return bytes([kind << 5 | len(content)]) + content

    whole = [say(3, b"\x01\x00\x05\x10hello"), say(3, b"\x02\x01\x01\x00\xc0"), say(3, b"\x00\x02\xc0")]
    chunks = [say(1, b"\x31\x02\x90\x03" + bytes(2)), say(2, b"\x31" + bytes(20)), say(2, b"\x01" + bytes(1))]
    answers = [say(7, b""), say(5, b""), say(5, b""), say(7, b""), say(6, b"\xff"), say(7, b"")]
    resets = [control.Reset(1, 1, control.CANCEL), control.Reset(1, 1, control.BUSY)]
    controls: list[control.Control] = [control.Delta(1, 2048), *resets, control.Weight(1, 9)]
    told = [say(4, control.encode(each)) for each in controls]
    return [b"".join(part) for part in (whole, chunks, whole + chunks + answers, chunks[:2] + told[1:2], told[:1] + told[3:], told)]


def of_session() -> list[bytes]:
    """Flags, then two bytes a step: see `fuzz_session`."""
    talk = bytes([0x00, 9, 0x11, 99, 0x20, 200, 0x30, 0, 0x33, 0])
    deliver = bytes([0x5E, 255, 0x5F, 255])
    deeds = [bytes([(8 + deed) << 4 | 4, 100]) for deed in range(8)]
    return [b"\1" + talk + deliver + talk + deed + deliver for deed in deeds] + [
        b"\0" + deliver * 3 + talk * 2 + b"\x40\x01" + talk + deliver
    ]


def of_records() -> list[bytes]:
    record = Record.parse(vectors("enr")["enr"])
    given = vectors("dns_tree")
    texts = [record.text, NodeRecord.from_enr(record).enode, given["root_valid"], given["root_syntax_error"], *given["link_errors"]]
    texts += [each["txt"] for each in given["zone"]]
    texts += ["@127.0.0.1:30303?discport=30301", "@[::1]:30303", "@example.org:1"]
    entries = rlp.encode(b"tcp") + rlp.encode(30303) + rlp.encode(b"udp") + rlp.encode(30303)
    introductions = [bytes.fromhex(each["record"]) for each in vectors("dpx1_introduction")["records"][1:3]]
    return [record.encode(), entries, *introductions, *(text.encode() for text in texts)]


def of_blocks() -> list[bytes]:
    """Whole blocks of three forks, and of each type a transaction; a receipt in both encodings, an access list."""
    given = vectors("ethereum_blocks")
    blocks = [Block.decode(bytes.fromhex(each["rlp"])) for each in given["chain"]]
    by_type = {Transaction.decode(item).type: item for block in blocks for item in block.body.transactions}
    envelopes = [Transaction.decode(item).envelope for _, item in sorted(by_type.items())]
    elided = Transaction.decode(by_type[3]).with_sidecar(Sidecar(1, (), (bytes(48),), (bytes(48),) * 2)).network_envelope
    receipt = Receipt.from_consensus(bytes.fromhex(given["receipts"][2]))
    changes = AccountChanges(b"a" * 20, ((bytes(32), ((1, b"v" * 32),)),), (b"r" * 32,), ((0, 1),), ((2, 1),), ((3, b"code"),))
    body = rlp.encode([[], [], [[1, 2, b"a" * 20, 3]]])
    return [*(block.raw for block in blocks[:2]), body, *envelopes, elided, receipt.raw, receipt.consensus, encode_access_list([changes])]


def of_v4() -> list[bytes]:
    packets = [bytes.fromhex(each["packet"]) for each in vectors("discv4_packets")["packets"]]
    return [*packets, *(packet[98:] for packet in packets)]


def of_v5() -> list[bytes]:
    given = vectors("discv5_wire")
    found = []
    for each in given["packets"]:
        packet = bytes.fromhex(each["packet"])
        node_id = bytes.fromhex(each["fields"]["dest-node-id"].removeprefix("0x"))
        header = Cipher(algorithms.AES(node_id[:16]), modes.CTR(packet[:16])).decryptor().update(packet[16:])
        size = int.from_bytes(header[21:23])
        found += [packet, header[8 : 23 + size], header[8:9] + header[23 : 23 + size]]
    key, signature = given["key_derivation"]["dest_pubkey"], given["id_signature"]
    found.append(bytes.fromhex(key.removeprefix("0x") + signature["signature"].removeprefix("0x")) + b"challenge")
    record = Record.parse(vectors("enr")["enr"]).encode()
    bodies: list[rlp.Encodable] = [[b"1", 2], [b"1", 2, bytes(4), 30303], [b"1", [256, 255]], [b"1", b"talk", b"x"], [b"1", b"answer"]]
    nodes = encode_list(rlp.encode(b"1") + rlp.encode(1) + encode_list(record))
    return [*found, *(rlp.encode(body) for body in bodies), nodes]


def of_snap() -> list[bytes]:
    """Requests of each kind, and the answers to them, each behind its version and id."""
    state, (key, *_) = snap_targets.STATE, snap_targets.STORED
    requests: list[AnyRequest] = [
        GetAccountRange(state.root, bytes(32), b"\xff" * 32, 2**20, request_id=1),
        GetAccountRange(state.root, bytes(32), b"\xff" * 32, 0, request_id=1),
        GetStorageRanges(state.root, Lazy([*snap_targets.STORED]), b"", b"", 40, request_id=1),
        GetStorageRanges(state.root, Lazy([key]), b"\1", b"\xf0" + bytes(31), 100, request_id=1),
        GetByteCodes(Lazy([*state.code]), 100, request_id=1),
        GetTrieNodes(state.root, Lazy([(b"\0",), (key, b"\0", b"\x11")]), 2000, request_id=1),
        GetBlockAccessLists(Lazy([bytes(32)]), 1, request_id=1),
    ]
    found: list[bytes] = []
    for request in requests:
        version = 1 if isinstance(request, GetBlockAccessLists) else 0
        for message in (request, snap_targets.returned(answer(state, request))):
            code, _, data = snap_targets.TABLES[version].encode(message)
            found.append(bytes([code << 1 | version]) + data)
    return [data for data in found if len(data) <= 1400]


def of_tries() -> list[bytes]:
    """Nodes, accounts; leaves and which of them are given; leaves and linked nodes."""
    branch = rlp.encode([b"", LINK[1:], [b"\x20\x56", b"small"], *[b""] * 14])
    nodes = [write_leaf("123", b"value"), write_leaf("", b"1"), write_extension("12", LINK), branch]
    accounts = [rlp.encode([1, 10**18, b"", b""]), rlp.encode([1, 2, bytes(32), b""])]
    leaves = b"".join(bytes([number >> 2, number << 6 & 0xFF, number]) for number in range(1, 9))
    true = [bytes([8, cut, 9, 0, start]) + leaves for cut, start in ((9, 0), (3, 65), (0, 200))]
    lie = bytes([8, 4, 1, 0, 0]) + leaves + b"\1\1\1"
    linked = [write_extension("1", LINK), branch, write_leaf("34", b"v" * 40)]
    forged = b"\1\x11\x34\x28" + b"v" * 40 + b"\0\0" + b"".join(bytes([len(node)]) + node for node in linked)
    return [*nodes, *accounts, *true, lie, forged]


def of_nat() -> list[bytes]:
    return [*nat_targets.SEEDS]


OF: Final = {
    "rlp": of_rlp,
    "handshake": of_handshake,
    "messages": of_messages,
    "connection": of_connection,
    "streams": of_streams,
    "dpx": of_dpx,
    "session": of_session,
    "records": of_records,
    "blocks": of_blocks,
    "v4": of_v4,
    "v5": of_v5,
    "nat": of_nat,
    "snap": of_snap,
    "tries": of_tries,
}


def seeds(name: str) -> list[bytes]:
    """The first inputs of a target."""
    return OF[name]()
