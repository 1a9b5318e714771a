"""Fuzz targets for what routers and STUN servers answer: whatever it is, it is understood or refused as DecodingError."""

from typing import Final

from aioice import stun as codec

from devp2p.errors import DecodingError
from devp2p.nat import pcp, pmp, ssdp, stun
from devp2p.nat.leases import NatError

TRANSACTION: Final = bytes(range(12))


def stun_answer(transaction: bytes, host: str = "45.67.0.10") -> bytes:
    message = codec.Message(codec.Method.BINDING, codec.Class.RESPONSE, transaction)
    message.attributes["XOR-MAPPED-ADDRESS"] = (host, 40000)
    return bytes(message)


def stun_error(transaction: bytes) -> bytes:
    message = codec.Message(codec.Method.BINDING, codec.Class.ERROR, transaction)
    message.attributes["ERROR-CODE"] = (420, "no")
    return bytes(message)


SEEDS: Final = (
    bytes.fromhex("00800000000003e82d43000a"),
    bytes.fromhex("00820000000003e8765f9dd400001c20"),
    bytes.fromhex("00820002000003e8"),
    bytes.fromhex("00810001000003e8"),
    bytes.fromhex("0281000000001c20000003e8" + "00" * 12 + "000102030405060708090a0b" + "11000000765f9dd4" + "00" * 10 + "ffff2d43000a"),
    bytes.fromhex("028000010000000a000003e8" + "00" * 12),
    b"HTTP/1.1 200 OK\r\nLOCATION: http://192.168.1.1:5000/rootDesc.xml\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nLOCATION: http://[fe80::1%eth0]:5/\r\n\r\n",
    stun_answer(TRANSACTION),
    stun_answer(TRANSACTION, "2a01::5"),
    stun_error(TRANSACTION),
)


def _refused(error: DecodingError) -> None:
    assert str(error).isprintable()
    assert len(str(error)) < 250


def fuzz_nat_pmp(data: bytes) -> None:
    try:
        answer = pmp.decode(data)
    except DecodingError as error:
        _refused(error)
        return
    assert pmp.result_text(answer.result)
    assert not isinstance(answer, pmp.External) or len(answer.address) in {0, 4}


def fuzz_pcp(data: bytes) -> None:
    try:
        answer = pcp.decode(data)
    except DecodingError as error:
        _refused(error)
        return
    assert pcp.result_text(answer.result)
    assert answer.mapping is None or len(answer.mapping.address) in {4, 16}


def fuzz_ssdp(data: bytes) -> None:
    try:
        url = ssdp.location(data, "192.168.1.1")
    except DecodingError as error:
        _refused(error)
        return
    assert ssdp.host_of(url) == "192.168.1.1"


def fuzz_stun(data: bytes) -> None:
    for encoded in (data, data[:4] + b"\x21\x12\xa4\x42" + TRANSACTION + data[20:]):
        try:
            endpoint = stun.decode(encoded, TRANSACTION)
        except DecodingError as error:
            _refused(error)
        except NatError:  # the server refuses
            continue
        else:
            assert len(endpoint.ip) in {4, 16}
            assert 0 <= endpoint.port < 2**16
