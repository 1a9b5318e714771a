"""Row H1 of THREATS.md: what is no point of the curve, wherever a public key is read.

With such bytes go-ethereum was made to crash (CVE-2025-24883, CVE-2026-22862, CVE-2026-26314), or could be asked for its static key bit
by bit (its change 33669). Each name begins with its row. A control runs the same attack with the defence disabled: there it must succeed.
"""

import base64
import hashlib
import hmac
import random
from collections.abc import Callable
from typing import Any

import pytest
import trio

from devp2p import NodeRecord, PeerRefused, PrivateKey, rlp
from devp2p.discovery.dns.tree import TreeUrl
from devp2p.errors import DecodingError, HandshakeError, RemoteProtocolError
from devp2p.keys import PublicKey, keccak256, recover
from devp2p.records.enr import Record
from devp2p.wire import base
from devp2p.wire.rlpx import ecies
from tests.fuzz.wire_targets import seal_packet
from tests.network import Network, running
from tests.wire.handshakes import AUTH, KEY_A, KEY_B, initiator, recipient, spy

P = 2**256 - 2**32 - 977
N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
B = 7
REST = random.Random(1).randbytes(250)
ERROR = "handshake packet does not open"


def pack(x: int, y: int, prefix: int = 4) -> bytes:
    return bytes([prefix]) + x.to_bytes(32, "big") + y.to_bytes(32, "big")


def square_root(value: int) -> int | None:
    root = pow(value, (P + 1) // 4, P)
    return root if root * root % P == value % P else None


def cube_root(value: int) -> int | None:
    root = pow(value, (P + 2) // 9, P)
    return root if pow(root, 3, P) == value % P else None


def low_x() -> tuple[int, int]:
    """A point whose x is so small that x + P has 256 bits, too."""
    return next((x, y) for x in range(1, 100) if (y := square_root(x**3 + B)) is not None)


def low_y() -> tuple[int, int]:
    return next((x, y) for y in range(1, 100) if (x := cube_root(y * y - B)) is not None)


def bad_points() -> dict[str, bytes]:
    """65 bytes each; the point that they are made from is good."""
    good = bytes(KEY_A.public_key)
    x, y = int.from_bytes(good[:32], "big"), int.from_bytes(good[32:], "big")
    (x1, y1), (x2, y2) = low_x(), low_y()
    edges = {"0": 0, "P - 1": P - 1, "P": P, "P + 1": P + 1, "2^256 - 1": 2**256 - 1}
    points = {f"({a}, {b})": pack(edges[a], edges[b]) for a in edges for b in edges}
    points |= {f"x = {a}": pack(value, y) for a, value in edges.items()}
    points |= {f"y = {a}": pack(x, value) for a, value in edges.items()}
    points |= {"x + P": pack(x1 + P, y1), "x + P, -y": pack(x1 + P, P - y1), "y + P": pack(x2, y2 + P)}
    points |= {"swapped": pack(y, x), "y + 1": pack(x, y + 1), "x + 1": pack(x + 1, y)}
    points |= {f"order 2 of another curve, x = {number}": pack(number, 0) for number in range(1, 7)}
    points |= {f"order 3 of another curve, y = {number}": pack(0, number) for number in range(1, 7)}
    twists = [number for number in range(1, 60) if square_root(number**3 + B) is None][:12]
    points |= {f"twist, x = {number}": pack(number, square_root(-(number**3) - B) or 0) for number in twists}
    points |= {f"prefix {prefix:#04x}": pack(x, y, prefix) for prefix in (0, 1, 2, 3, 5, 6, 7, 0x84, 0xFF)}
    points["compressed, and zeros"] = KEY_A.public_key.compressed + bytes(32)
    return points


BAD = bad_points()


def packet(point: bytes, rest: bytes = REST) -> bytes:
    """An auth that begins with a point."""
    return (len(point) + len(rest)).to_bytes(2, "big") + point + rest


def outcome(data: bytes) -> str:
    try:
        return "awaited" if recipient().receive_data(data) is None else "opened"
    except HandshakeError as error:
        return str(error)


def test_h1_more_than_64_points_that_are_none_meet_no_private_key(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(BAD) > 64
    agreements = spy(monkeypatch, PrivateKey, "agree")
    assert {outcome(packet(point)) for point in BAD.values()} == {ERROR}
    assert agreements == []


def test_h1_what_they_are_made_of_is_good_and_meets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    agreements = spy(monkeypatch, PrivateKey, "agree")
    for x, y in (low_x(), low_y()):
        assert b"\x04" + bytes(PublicKey.from_bytes(pack(x, y))) == pack(x, y)
        assert outcome(packet(pack(x, y))) == ERROR
    assert len(agreements) == 2
    assert outcome(AUTH) == "opened"


def test_h1_a_hundred_thousand_random_points_meet_no_private_key(monkeypatch: pytest.MonkeyPatch) -> None:
    source, errors = random.Random(2), set[str]()
    agreements = spy(monkeypatch, PrivateKey, "agree")
    for _ in range(100_000):
        try:
            ecies.decrypt(KEY_B, b"\x04" + source.randbytes(64) + REST)
        except HandshakeError as error:
            errors.add(str(error))
    assert errors == {ERROR}
    assert agreements == []


async def test_h1_a_node_says_nothing_to_any_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network()
    async with running(network) as node:
        agreements = spy(monkeypatch, PrivateKey, "agree")
        events = node.events()
        for point in BAD.values():
            stream = (await network.dial(node.record.addresses[0], expect=None)).stream
            await stream.send_all(packet(point))
            assert await stream.receive_some() == b""
            await trio.aclose_forcefully(stream)
            refused = await anext(events)
            assert isinstance(refused, PeerRefused)
            assert str(refused.error) == ERROR
        assert agreements == []
        assert node.connected == ()


# The control: what a node would tell that computed with any point. The formulas of addition do not contain the constant of the curve, so
# a bad point is one of another curve, on which there are points of order 2; and whether the packet opens says whether the key is odd.

Point = tuple[int, int]


def add(one: Point | None, other: Point | None) -> Point | None:
    if one is None or other is None:
        return one or other
    (x1, y1), (x2, y2) = one, other
    if x1 == x2:
        if (y1 + y2) % P == 0:
            return None
        slope = 3 * x1 * x1 * pow(2 * y1, -1, P)
    else:
        slope = (y2 - y1) * pow(x2 - x1, -1, P)
    x = (slope * slope - x1 - x2) % P
    return x, (slope * (x1 - x) - y1) % P


def multiply(number: int, point: Point) -> Point | None:
    result: Point | None = None
    addend: Point | None = point
    while number:
        if number & 1:
            result = add(result, addend)
        addend = add(addend, addend)
        number >>= 1
    return result


class Gullible:
    """Takes any 65 bytes for a point."""

    def __init__(self, data: bytes) -> None:
        self.point = int.from_bytes(data[1:33], "big"), int.from_bytes(data[33:], "big")

    @classmethod
    def from_bytes(cls, data: bytes) -> "Gullible":
        return cls(data)


def compute_with_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    def ecdh(key: PrivateKey, public: Any, **_: Any) -> bytes:
        shared = multiply(int.from_bytes(bytes(key), "big"), public.point)
        return shared[0].to_bytes(32, "big") if shared else bytes(32)

    monkeypatch.setattr(ecies, "PublicKey", Gullible)
    monkeypatch.setattr(PrivateKey, "ecdh", ecdh)


def question(point: Point) -> bytes:
    """A packet that opens if the key times the point is the point itself."""
    encryption_key, mac_key = ecies._derive_keys(point[0].to_bytes(32, "big"))
    authenticated = bytes(16) + ecies._aes_ctr(encryption_key, bytes(16), b"is it odd?")
    return pack(*point) + authenticated + hmac.digest(mac_key, authenticated, "sha256")


KEYS = [PrivateKey.from_bytes(hashlib.sha256(bytes([number])).digest()) for number in range(16)]
ODD = [bool(bytes(key)[31] & 1) for key in KEYS]


def answers() -> list[bool]:
    opened: list[bool] = []
    for key in KEYS:
        try:
            opened.append(ecies.decrypt(key, question((5, 0))) == b"is it odd?")
        except HandshakeError:
            opened.append(False)
    return opened


def test_h1_no_packet_tells_whether_the_static_key_is_odd() -> None:
    assert answers() == [False] * 16


def test_h1_control_a_node_that_computes_with_any_point_tells_it(monkeypatch: pytest.MonkeyPatch) -> None:
    compute_with_anything(monkeypatch)
    assert len(set(ODD)) == 2
    assert answers() == ODD


def test_h1_control_the_other_arithmetic_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    compute_with_anything(monkeypatch)
    assert ecies.decrypt(KEY_B, AUTH[2:], AUTH[:2])


def test_h1_control_by_the_equation_alone_coordinates_above_the_prime_would_pass() -> None:
    def on_curve(point: bytes) -> bool:
        x, y = int.from_bytes(point[1:33], "big"), int.from_bytes(point[33:], "big")
        return (y * y - x**3 - B) % P == 0

    assert on_curve(BAD["x + P"])
    assert on_curve(BAD["y + P"])
    for name in ("x + P", "y + P"):
        with pytest.raises(DecodingError):
            PublicKey.from_bytes(BAD[name])


# CVE-2026-22862: packets too short to hold a point, an iv and a MAC


def test_h1_bytes_of_each_length_up_to_2048_are_refused_in_one_way() -> None:
    source, errors = random.Random(3), set[tuple[type[Exception], str]]()
    good = b"\x04" + bytes(KEY_A.public_key)
    for length in range(2049):
        for data in (source.randbytes(length), (good + source.randbytes(length))[:length], (AUTH[2:] + bytes(length))[:length]):
            with pytest.raises(HandshakeError) as caught:
                ecies.decrypt(KEY_B, data)
            errors.add((type(caught.value), str(caught.value)))
    assert errors == {(HandshakeError, ERROR)}


def test_h1_control_without_a_look_at_the_length_a_slice_is_read_past_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ecies, "OVERHEAD", 0)
    with pytest.raises(IndexError):
        ecies.decrypt(KEY_B, b"")


# CVE-2025-24883: every place where a public key of a stranger is read. Each gets 64 bytes, or 33 where keys are compressed.


def in_hello(key: bytes) -> object:
    return base.decode_hello(rlp.encode([5, b"x", [], 0, key]))


def in_enode(key: bytes) -> object:
    return NodeRecord.parse(f"enode://{key.hex()}@10.0.0.1:30303")


def in_ack(key: bytes) -> object:
    return initiator().receive_data(seal_packet(KEY_A, rlp.encode([key, bytes(32), 4]) + bytes(100)))


def in_auth(key: bytes) -> object:
    return recipient().receive_data(seal_packet(KEY_B, rlp.encode([KEY_A.sign(bytes(32)), key, bytes(32), 4])))


def in_record(key: bytes) -> object:
    content: list[rlp.Encodable] = [1, b"id", b"v4", b"secp256k1", key]
    signature = KEY_A.sign(keccak256(rlp.encode(content)))[:64]
    return Record.decode(rlp.encode([signature, *content]))


def in_tree_url(key: bytes) -> object:
    return TreeUrl.parse(f"enrtree://{base64.b32encode(key).decode().rstrip('=')}@nodes.example.org")


LONG: dict[Callable[[bytes], object], tuple[type[Exception], ...]] = {
    in_hello: (RemoteProtocolError,),
    in_enode: (ValueError,),
    in_ack: (HandshakeError,),
    in_auth: (HandshakeError,),
}
SHORT: dict[Callable[[bytes], object], tuple[type[Exception], ...]] = {in_record: (DecodingError,), in_tree_url: (DecodingError,)}


@pytest.mark.parametrize("parser", LONG)
def test_h1_no_parser_takes_what_is_no_point(parser: Callable[[bytes], object]) -> None:
    for point in BAD.values():
        if point[0] == 4:
            with pytest.raises(LONG[parser]):
                parser(point[1:])
    for number in range(300):
        with pytest.raises(LONG[parser]):
            parser(random.Random(number).randbytes(64))
    assert parser(bytes(KEY_A.public_key))


@pytest.mark.parametrize("parser", SHORT)
def test_h1_no_parser_of_compressed_keys_takes_what_is_no_point(parser: Callable[[bytes], object]) -> None:
    off = [x for x in range(1, 200) if square_root(x**3 + B) is None]
    bad = [bytes([prefix]) + x.to_bytes(32, "big") for prefix in (2, 3) for x in (*off, 0, P, P + 1, 2**256 - 1)]
    bad += [bytes([prefix]) + KEY_A.public_key.compressed[1:] for prefix in (0, 1, 4, 5, 6, 7, 255)]
    for key in bad:
        with pytest.raises(SHORT[parser]):
            parser(key)
    assert parser(KEY_A.public_key.compressed)


def test_h1_a_key_recovered_from_any_signature_is_a_point_or_none() -> None:
    source, keys = random.Random(4), 0
    edges = [value.to_bytes(32, "big") for value in (0, 1, P - 1, P, 2**256 - 1, N - 1, N)]
    signatures = [r + s + bytes([v]) for r in edges for s in edges for v in (0, 1, 2, 3, 4, 27, 255)]
    signatures += [source.randbytes(64) + bytes([number % 4]) for number in range(2000)]
    for signature in signatures:
        try:
            key = recover(bytes(range(32)), signature)
        except DecodingError:
            continue
        assert PublicKey.from_bytes(bytes(key)) == key
        keys += 1
    assert keys > 100


def test_h1_control_a_parser_that_takes_anything_lets_it_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "PublicKey", Gullible)
    assert all(in_hello(point[1:]) for point in BAD.values())
