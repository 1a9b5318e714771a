"""Node identities: secp256k1 keys, node-IDs, signatures, key agreement, and the Keccak-256 hash.

Follows RLPx, section "Node Identity", and the node-ID and signature formats of the Node Discovery Protocol v4.
Curve arithmetic is libsecp256k1's (as coincurve brings it): every public key passes its parser, which rejects points off
the curve, coordinates that are not below the field prime, and the point at infinity, before anything is computed with it.

Keccak-256 comes from safe-pysha3 where it is installed, since its objects are C objects and the frame code calls them
four times a frame, else from pycryptodome. DEVP2P_KECCAK=pycryptodome in the environment forces the latter.
"""

import os
import secrets
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias, cast

from devp2p.arguments import as_bytes, require
from devp2p.errors import DecodingError, LocalProtocolError

if TYPE_CHECKING:
    from typing_extensions import Buffer

    class Keccak256:
        """A running Keccak-256 hash of everything that it was given."""

        def __init__(self, data: Buffer = b"", /) -> None:
            """Start with the hash of ``data``."""

        def update(self, data: Buffer, /) -> object:
            """Append ``data`` to what is hashed."""

        def digest(self) -> bytes:
            """The 32-byte hash of everything so far; more may follow."""
            ...


def _backend() -> tuple[str, type["Keccak256"]]:
    """Choose the library to hash with: its name, and what makes a running hash of it.

    The second is the library's own object, not a class around it: a wrapper's two calls for each of the four hash
    operations of a small frame would cost as much as the encryption.
    """
    forced = os.environ.get("DEVP2P_KECCAK", "")
    if forced not in {"", "pysha3", "pycryptodome"}:
        raise LocalProtocolError(f"DEVP2P_KECCAK is {forced!r}, which is neither 'pysha3' nor 'pycryptodome'")
    if forced != "pycryptodome":
        try:
            # Has no type stubs, and its public wrapper module patches hashlib on import.
            return "pysha3", cast("type[Keccak256]", import_module("_pysha3").keccak_256)
        except ImportError:
            if forced:
                raise
    from Crypto.Hash import keccak  # noqa: PLC0415  (where pysha3 does the work, this need not be loaded)

    def new(data: "Buffer" = b"", /) -> keccak.Keccak_Hash:
        return keccak.new(data=bytes(data), digest_bits=256, update_after_digest=True)

    return "pycryptodome", cast("type[Keccak256]", new)


_chosen = _backend()
keccak_backend: Final[str] = _chosen[0]
"""Which library hashes: ``"pysha3"`` or ``"pycryptodome"``."""
if not TYPE_CHECKING:
    Keccak256 = _chosen[1]


def keccak256(data: "Buffer") -> bytes:
    """The 32-byte Keccak-256 hash of ``data``."""
    return Keccak256(data).digest()


# libsecp256k1 itself, since coincurve's classes do not offer all of it, and take some microseconds around each of its functions. It has no
# type stubs, and trusts its caller: it reads as many bytes as it needs, and ends the process over a recovery id that cannot be.
_library: Any = import_module("coincurve._libsecp256k1")
_ffi, _lib = _library.ffi, _library.lib
_context: Any = import_module("coincurve.context").GLOBAL_CONTEXT.ctx
_Pointer: TypeAlias = Any
"""To something of the library's."""


def _compress(output: _Pointer, x: _Pointer, y: _Pointer, _data: _Pointer) -> int:
    """What the library is to make of a shared point: the protocols want the point itself, not a hash."""
    output[0] = 0x02 | (y[31] & 1)
    _ffi.memmove(output + 1, x, 32)
    return 1


_COMPRESS: Final = _ffi.callback("int(unsigned char *, const unsigned char *, const unsigned char *, void *)", _compress)


class NodeId(bytes):
    """The 32 bytes that name a node: keccak256 of its 64-byte public key. They are a key of any dict as they are: their hash is salted."""

    def __new__(cls, value: "Buffer") -> Self:
        """Take 32 bytes; another length raises LocalProtocolError, what is not bytes TypeError."""
        return super().__new__(cls, as_bytes(value, "a node-ID", 32))

    def __repr__(self) -> str:
        """Show the first 4 bytes, as log lines do."""
        return f"<NodeId {self[:4].hex()}>"

    __str__ = __repr__


class PublicKey:
    """A valid point of secp256k1. Equal to, and hashed as, its 64 bytes ``x || y``."""

    __slots__ = ("_node_id", "_point", "_raw")

    def __init__(self, point: _Pointer) -> None:
        """Wrap a point that libsecp256k1 made; for bytes there is ``from_bytes``, and they raise TypeError here."""
        require(point, _ffi.CData, "PublicKey() takes a point of libsecp256k1", "PublicKey.from_bytes(...) takes bytes")
        self._point = point
        self._raw: bytes | None = None
        self._node_id: NodeId | None = None

    @classmethod
    def from_bytes(cls, data: "Buffer") -> Self:
        """Parse 64 bytes ``x || y``, the same after 0x04, or 33 bytes compressed; else DecodingError, or TypeError for no bytes."""
        data = as_bytes(data, "a public key")
        size = len(data)
        if size == 64:
            data = b"\x04" + data
        elif not (size == 65 and data[0] == 0x04) and not (size == 33 and data[0] in (0x02, 0x03)):
            # Without the check of the first byte the parser would take OpenSSL's hybrid format too.
            raise DecodingError(f"not the format of a public key ({size} bytes)")
        point = _ffi.new("secp256k1_pubkey *")
        if not _lib.secp256k1_ec_pubkey_parse(_context, point, data, len(data)):
            raise DecodingError("not a point of secp256k1")
        return cls(point)

    @property
    def node_id(self) -> NodeId:
        """Where the node stands in discovery's key space."""
        if self._node_id is None:
            self._node_id = NodeId(keccak256(bytes(self)))
        return self._node_id

    @property
    def point(self) -> _Pointer:
        """The point as libsecp256k1 holds it."""
        return self._point

    @property
    def compressed(self) -> bytes:
        """33 bytes: 0x02 or 0x03 for the parity of y, then x."""
        return self._serialize(33, _lib.SECP256K1_EC_COMPRESSED)

    def verify(self, digest: bytes, signature: bytes) -> bool:
        """Tell whether ``signature`` (64 bytes r || s, or 65 with a recovery id that is ignored) over the 32-byte ``digest`` is this key's.

        As everywhere in this protocol family, a signature whose s is in the upper half of the group order is not valid.
        """
        digest = as_bytes(digest, "a digest", 32)
        if len(signature := as_bytes(signature, "a signature")) not in (64, 65):
            return False
        parsed = _ffi.new("secp256k1_ecdsa_signature *")
        if not _lib.secp256k1_ecdsa_signature_parse_compact(_context, parsed, signature[:64]):
            return False
        return bool(_lib.secp256k1_ecdsa_verify(_context, parsed, digest, self._point))

    def __bytes__(self) -> bytes:
        """64 bytes: x || y."""
        if self._raw is None:
            self._raw = self._serialize(65, _lib.SECP256K1_EC_UNCOMPRESSED)[1:]
        return self._raw

    def __eq__(self, other: object) -> bool:
        """Whether both are the same point."""
        return bytes(self) == bytes(other) if isinstance(other, PublicKey) else NotImplemented

    def __hash__(self) -> int:
        """The hash of the 64 bytes, which is salted: strangers cannot make keys collide."""
        return hash(bytes(self))

    def __repr__(self) -> str:
        """Show the first 4 bytes, as log lines do."""
        return f"<PublicKey {bytes(self)[:4].hex()}>"

    def _serialize(self, size: int, form: int) -> bytes:
        output, length = _ffi.new("unsigned char[65]"), _ffi.new("size_t *", size)
        _lib.secp256k1_ec_pubkey_serialize(_context, output, length, self._point, form)
        return bytes(_ffi.buffer(output, size))


class PrivateKey:
    """A secp256k1 private key. Its text form never shows the secret."""

    __slots__ = ("_public_key", "_secret")

    def __init__(self, secret: "Buffer") -> None:
        """Take 32 bytes; those that are no key (0, or not below the group order) raise LocalProtocolError, what is not bytes TypeError."""
        self._secret: bytes = as_bytes(secret, "a private key", 32)
        if not _lib.secp256k1_ec_seckey_verify(_context, self._secret):
            raise LocalProtocolError("a private key is a number from 1 to below the order of secp256k1")
        self._public_key: PublicKey | None = None

    @classmethod
    def generate(cls) -> Self:
        """Draw a new key from the operating system's randomness."""
        return cls(secrets.token_bytes(32))

    @classmethod
    def from_bytes(cls, secret: "Buffer") -> Self:
        """The same as the constructor, by the name that `PublicKey` has for it."""
        return cls(secret)

    @property
    def public_key(self) -> PublicKey:
        """The public half. It is computed when it is first wanted: the keys that are drawn for a handshake with a stranger seldom are."""
        if self._public_key is None:
            point = _ffi.new("secp256k1_pubkey *")
            _lib.secp256k1_ec_pubkey_create(_context, point, self._secret)
            self._public_key = PublicKey(point)
        return self._public_key

    def sign(self, digest: bytes) -> bytes:
        """Sign a 32-byte digest: 65 bytes r || s || v, v being the recovery id 0 or 1. Deterministic (RFC 6979)."""
        digest = as_bytes(digest, "a digest", 32)
        signature, number = _ffi.new("secp256k1_ecdsa_recoverable_signature *"), _ffi.new("int *")
        compact = _ffi.new("unsigned char[64]")
        _lib.secp256k1_ecdsa_sign_recoverable(_context, signature, digest, self._secret, _ffi.NULL, _ffi.NULL)
        _lib.secp256k1_ecdsa_recoverable_signature_serialize_compact(_context, compact, number, signature)
        return bytes(_ffi.buffer(compact)) + bytes((number[0],))

    def agree(self, public: PublicKey, *, once: bool = False) -> bytes:
        """Multiply ``public`` by this key, which its holder can do the other way round: the point, compressed to 33 bytes.

        How long it takes does not depend on the key, which others could find out otherwise as they choose the points. With ``once`` it
        does, and is a fifth faster: for keys that are used for a single agreement.
        """
        require(public, PublicKey, "the other key is a PublicKey", "PublicKey.from_bytes(...) makes one")
        if once:
            point = _ffi.new("secp256k1_pubkey *", public.point[0])
            _lib.secp256k1_ec_pubkey_tweak_mul(_context, point, self._secret)
            return PublicKey(point).compressed
        output = _ffi.new("unsigned char[33]")
        _lib.secp256k1_ecdh(_context, output, public.point, self._secret, _COMPRESS, _ffi.NULL)
        return bytes(_ffi.buffer(output))

    def ecdh(self, public: PublicKey, *, once: bool = False) -> bytes:
        """Agree on a secret with the holder of ``public``: the 32-byte x coordinate of what `agree` gives."""
        return self.agree(public, once=once)[1:]

    def __bytes__(self) -> bytes:
        """The 32-byte secret."""
        return self._secret

    def __repr__(self) -> str:
        """Name the public half only."""
        return f"<PrivateKey of {self.public_key!r}>"


def recover(digest: bytes, signature: bytes) -> PublicKey:
    """Find the key that made ``signature`` (65 bytes r || s || v) over the 32-byte ``digest``; DecodingError if none could have."""
    digest, signature = as_bytes(digest, "a digest", 32), as_bytes(signature, "a signature")
    if len(signature) == 65 and signature[64] <= 3:
        parsed, point = _ffi.new("secp256k1_ecdsa_recoverable_signature *"), _ffi.new("secp256k1_pubkey *")
        if _lib.secp256k1_ecdsa_recoverable_signature_parse_compact(_context, parsed, signature[:64], signature[64]) and (
            _lib.secp256k1_ecdsa_recover(_context, point, parsed, digest)
        ):
            return PublicKey(point)
    raise DecodingError("not a recoverable signature")
