"""The packets of Node Discovery Protocol v5.1: headers, their masking, and the three kinds (discv5-wire.md, "Packet Encoding").

    packet        = masking-iv (16) || masked header || message                     63 to 1280 bytes, one UDP datagram
    header        = "discv5" || version (2) || flag (1) || nonce (12) || authdata-size (2) || authdata
    masked header = AES-128-CTR(key = first 16 bytes of the recipient's node-ID, masking-iv, header)
    message       = sealed by the session's key, the nonce, and masking-iv || header, unmasked, as associated data

The mask hides the protocol from whoever looks for it, and nothing more: it can be taken off by all who know for whom the packet is. So
until the message has been opened, everything in a header is a stranger's word. Nothing here is random: nonces and masking-ivs, which must
be new for each packet, are given by the caller.
"""

import struct
import threading
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from devp2p.discovery.v5 import crypto as v5_crypto
from devp2p.errors import DecodingError, LocalProtocolError
from devp2p.keys import NodeId
from devp2p.records import enr

if TYPE_CHECKING:
    from typing_extensions import Buffer

MIN_PACKET: Final = 63
"""The smallest packet, in bytes: a WHOAREYOU."""
MAX_PACKET: Final = 1280
"""The largest packet, in bytes."""
_PROTOCOL: Final = b"discv5\x00\x01"  # with its version
_IV: Final = 16
_STATIC_HEADER: Final = struct.Struct(">8sB12sH")
_AUTHDATA: Final = _IV + _STATIC_HEADER.size
_HANDSHAKE_HEAD: Final = 34
_SIGNATURE: Final = 64
_EPHEMERAL_KEY: Final = 33
_MIN_HANDSHAKE: Final = _HANDSHAKE_HEAD + _SIGNATURE + _EPHEMERAL_KEY
_MASKS: Final = 1024  # ciphers that are kept, of a kilobyte each
MAX_MESSAGE: Final = MAX_PACKET - _AUTHDATA - 32 - v5_crypto.TAG
"""The longest plaintext that fits into an ordinary packet."""
MAX_HANDSHAKE_MESSAGE: Final = MAX_PACKET - _AUTHDATA - _MIN_HANDSHAKE - v5_crypto.TAG
"""The longest plaintext that fits, together with a record, into a handshake packet."""


class Ordinary(NamedTuple):
    """The header of a message within a session; or of random bytes, to provoke a WHOAREYOU."""

    nonce: bytes
    """12 bytes, which the message is sealed with."""
    source: NodeId
    """Who claims to have sent it."""


class WhoAreYou(NamedTuple):
    """A packet that asks the sender of one that did not open to prove who it is. Anyone who saw that packet can forge it."""

    nonce: bytes
    """12 bytes: those of the packet that did not open."""
    id_nonce: bytes
    """16 random bytes."""
    enr_sequence: int
    """Of the record that the asker has of the asked, 64 bits; 0 if none."""


class Handshake(NamedTuple):
    """The header of the message that answers a WHOAREYOU, and opens a session."""

    nonce: bytes
    """12 bytes, which the message is sealed with."""
    source: NodeId
    """Who claims to have sent it."""
    id_signature: bytes
    """64 bytes, by `v5_crypto.sign_id`."""
    ephemeral_key: bytes
    """33 bytes: a compressed public key, if the sender is honest; `PublicKey.from_bytes` tells."""
    record: bytes = b""
    """The sender's record for `Record.decode`, or nothing if the recipient has the newest."""


Header: TypeAlias = Ordinary | WhoAreYou | Handshake
_ORDINARY, _WHOAREYOU, _HANDSHAKE = range(3)


class Packet(NamedTuple):
    """A packet whose mask is off and whose message is still sealed."""

    header: Header
    header_data: bytes
    """masking-iv || header: the associated data of the message; of a WHOAREYOU, the challenge-data."""
    message: bytes
    """Sealed; empty in a WHOAREYOU."""

    def open(self, key: bytes) -> bytes:
        """Open the message with the session's key; DecodingError if it is not the right one, or anything was changed."""
        return v5_crypto.unseal(key, self.header.nonce, self.message, self.header_data)


def encode_header(header: Header, masking_iv: bytes) -> bytes:
    """Write masking-iv || header, without mask: what a message is sealed with, and the challenge-data of a WHOAREYOU."""
    if isinstance(header, Ordinary):
        flag, authdata = _ORDINARY, bytes(header.source)
    elif isinstance(header, WhoAreYou):
        _require_size("the id-nonce", header.id_nonce, 16)
        if not 0 <= header.enr_sequence < 2**64:
            raise LocalProtocolError(f"{header.enr_sequence} is not an integer of 64 bits")
        flag, authdata = _WHOAREYOU, header.id_nonce + header.enr_sequence.to_bytes(8, "big")
    else:
        _require_size("the id-signature", header.id_signature, _SIGNATURE)
        _require_size("the ephemeral key", header.ephemeral_key, _EPHEMERAL_KEY)
        if len(header.record) > enr.MAX_SIZE:
            raise LocalProtocolError(f"a record of {len(header.record)} bytes, where {enr.MAX_SIZE} are allowed")
        sizes = bytes([_SIGNATURE, _EPHEMERAL_KEY])
        flag, authdata = _HANDSHAKE, header.source + sizes + header.id_signature + header.ephemeral_key + header.record
    _require_size("the nonce", header.nonce, 12)
    _require_size("the masking-iv", masking_iv, _IV)
    return masking_iv + _STATIC_HEADER.pack(_PROTOCOL, flag, header.nonce, len(authdata)) + authdata


def encode(header_data: bytes, message: bytes, destination: NodeId) -> bytes:
    """Put the mask on and ``message``, sealed already, behind: the datagram. LocalProtocolError if it is too long or too short."""
    size = len(header_data) + len(message)
    if not MIN_PACKET <= size <= MAX_PACKET:
        raise LocalProtocolError(f"a packet of {size} bytes, where {MIN_PACKET} to {MAX_PACKET} are allowed")
    masking_iv = header_data[:_IV]
    return masking_iv + _mask(destination, masking_iv).update(header_data[_IV:]) + message


def seal(header: Ordinary | Handshake, plaintext: bytes, *, key: bytes, masking_iv: bytes, destination: NodeId) -> bytes:
    """Seal a message and make its packet: the datagram. LocalProtocolError if it is too long."""
    header_data = encode_header(header, masking_iv)
    return encode(header_data, v5_crypto.seal(key, header.nonce, plaintext, header_data), destination)


def decode(data: "Buffer", own_id: NodeId) -> Packet:
    """Take the mask off a datagram and read its header; DecodingError for anything that is not a packet to ``own_id``."""
    data = bytes(data)
    size = len(data)
    if not MIN_PACKET <= size <= MAX_PACKET:
        raise DecodingError(f"a packet of {size} bytes, where {MIN_PACKET} to {MAX_PACKET} are allowed")
    masking_iv = data[:_IV]
    plain = masking_iv + _mask(own_id, masking_iv).update(data[_IV:])  # what is behind the header means nothing
    protocol, flag, nonce, authdata_size = _STATIC_HEADER.unpack_from(plain, _IV)
    if protocol != _PROTOCOL:
        raise DecodingError("not a packet of discovery v5.1, or to another node")
    end: int = _AUTHDATA + authdata_size
    if end > size:
        raise DecodingError(f"authdata that ends {end - size} bytes after the packet")
    message = data[end:]
    header = _read_header(flag, nonce, plain[_AUTHDATA:end])
    if isinstance(header, WhoAreYou):
        if message:
            raise DecodingError("a WHOAREYOU with a message")
    elif len(message) < v5_crypto.TAG:
        raise DecodingError(f"a sealed message of {len(message)} bytes")
    return Packet(header, plain[:end], message)


def _read_header(flag: int, nonce: bytes, authdata: bytes) -> Header:
    size = len(authdata)
    if flag == _ORDINARY:
        if size != 32:
            raise DecodingError(f"an ordinary packet with {size} bytes of authdata, where 32 belong")
        return Ordinary(nonce, bytes.__new__(NodeId, authdata))  # of the right size, as NodeId() would see to
    if flag == _WHOAREYOU:
        if size != 24:
            raise DecodingError(f"a WHOAREYOU with {size} bytes of authdata, where 24 belong")
        return WhoAreYou(nonce, authdata[:16], int.from_bytes(authdata[16:], "big"))
    if flag == _HANDSHAKE:
        return _read_handshake(nonce, authdata)
    raise DecodingError(f"the unknown packet flag {flag}")


def _read_handshake(nonce: bytes, authdata: bytes) -> Handshake:
    size = len(authdata)
    if not _MIN_HANDSHAKE <= size <= _MIN_HANDSHAKE + enr.MAX_SIZE:
        raise DecodingError(
            f"a handshake with {size} bytes of authdata, where {_MIN_HANDSHAKE} and a record of up to {enr.MAX_SIZE} belong"
        )
    signature_size, key_size = authdata[32], authdata[33]
    if (signature_size, key_size) != (_SIGNATURE, _EPHEMERAL_KEY):
        raise DecodingError(f"a signature of {signature_size} and a key of {key_size} bytes, which the identity scheme v4 does not have")
    signature_end = _HANDSHAKE_HEAD + _SIGNATURE
    return Handshake(
        nonce,
        source=NodeId(authdata[:32]),
        id_signature=authdata[_HANDSHAKE_HEAD:signature_end],
        ephemeral_key=authdata[signature_end:_MIN_HANDSHAKE],
        record=authdata[_MIN_HANDSHAKE:],
    )


class _Masks(threading.local):
    """The ciphers of the masks, by the node that they are for: to make one takes longer than all the rest of a header.

    Each packet starts its cipher anew, so two threads must not share one.
    """

    def __init__(self) -> None:
        self.of = lru_cache(maxsize=_MASKS)(_make_mask)


def _make_mask(node_id: NodeId) -> CipherContext:
    return Cipher(AES(node_id[:16]), CTR(bytes(_IV))).encryptor()


_masks = _Masks()


def _mask(node_id: NodeId, masking_iv: bytes) -> CipherContext:
    """The key stream over headers, which goes on and comes off in the same way."""
    mask = _masks.of(node_id)
    mask.reset_nonce(masking_iv)
    return mask


def _require_size(name: str, value: bytes, size: int) -> None:
    if len(value) != size:
        raise LocalProtocolError(f"{name} has {size} bytes, not {len(value)}")
