"""Certificates by which a node proves its key within TLS: those of libp2p's TLS specification, its extension included.

Theory of operation. TLS knows no secp256k1. So a node draws a P-256 key, makes a certificate for it that this same key signs, and puts an
extension in that says: this TLS key speaks for this node, signed by the node's key. Whoever does a handshake with such a certificate has
the TLS key, and so speaks for the node, whoever has handed the certificate around before.

Clocks. A certificate must be valid when it is judged, by the judge's clock, and nothing is forgiven: the specification does not allow it.
So that clocks which are off do no harm, ours begin long ago, and last a year, of which they are used for the first month. A TLS key that
is stolen, without the key of the node, is of use for a year at most.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from devp2p.errors import DecodingError
from devp2p.keys import PrivateKey, PublicKey

MAX_CERTIFICATE: Final = 4096
"""Bytes of a certificate that are looked at; ours and libp2p's have 350 to 550."""
LASTS: Final = timedelta(days=365)
"""For how long a certificate of ours is valid."""
USED: Final = timedelta(days=30)
"""For how long of that we use it."""

_EXTENSION: Final = x509.ObjectIdentifier("1.3.6.1.4.1.53594.1.1")
_SIGNED: Final = b"libp2p-tls-handshake:"
_KEY: Final = bytes.fromhex("08021221")  # protobuf: the key's type is 2, secp256k1, and it has 33 bytes
_KEY_TYPES: Final = {0: "RSA", 1: "Ed25519", 3: "ECDSA"}
_BEGINS: Final = datetime(1975, 1, 1, tzinfo=UTC)
_SEQUENCE, _OCTETS = 0x30, 0x04
_CURVES = ec.SECP256R1, ec.SECP384R1
_HASHES = hashes.SHA256, hashes.SHA384, hashes.SHA512
_UNREADABLE = (
    *(ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType),
    Warning,  # of things that are not allowed, but were not refused yet, where Python is told to raise them
)
_SCALAR: Final = 32  # bytes of r and s


@dataclass(frozen=True, slots=True)
class NodeCertificate:
    """A certificate that speaks for a node, and the TLS key that goes with it."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    made: datetime

    @property
    def der(self) -> bytes:
        """The certificate's bytes."""
        return self.certificate.public_bytes(Encoding.DER)

    def is_fresh(self, now: datetime | None = None) -> bool:
        """Whether it may go on being used: not for more than a month, nor if the clock was set back meanwhile. `now`: the time in UTC."""
        return timedelta(0) <= (now or datetime.now(UTC)) - self.made < USED


def certificate_for(key: PrivateKey, now: datetime | None = None) -> NodeCertificate:
    """Make a certificate for a new P-256 key, which `key` declares its own. `now`: the time in UTC, else the machine's."""
    now = now or datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "devp2p")])
    private = ec.generate_private_key(ec.SECP256R1())
    unsigned = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_BEGINS)
        .not_valid_after(now + LASTS)
        .add_extension(x509.UnrecognizedExtension(_EXTENSION, _signed_key(key, private.public_key())), critical=True)
    )
    return NodeCertificate(unsigned.sign(private, hashes.SHA256()), private, now)


class OwnCertificate:
    """The certificate of our node, which is made when it is wanted, and another one once it has been used for a month."""

    def __init__(self, key: PrivateKey) -> None:
        self._key = key
        self._current: NodeCertificate | None = None

    @property
    def current(self) -> NodeCertificate:
        """The one to use for the next connection."""
        if self._current is None or not self._current.is_fresh():
            self._current = certificate_for(self._key)
        return self._current


def key_in(der: bytes, now: datetime | None = None) -> PublicKey:
    """Judge a certificate, and give the key of the node that it speaks for; DecodingError says what is wrong with it.

    That its sender has the TLS key in it is for TLS to see. `now`: the time in UTC, else the machine's.
    """
    if len(der) > MAX_CERTIFICATE:
        raise DecodingError(f"a certificate of {len(der)} bytes, where {MAX_CERTIFICATE} are looked at")
    try:
        certificate = x509.load_der_x509_certificate(der)
        extensions = list(certificate.extensions)
        public = certificate.public_key()
        begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        hashed_by = certificate.signature_hash_algorithm
    except _UNREADABLE as error:
        raise DecodingError(f"a certificate that cannot be read: {error}") from None
    if not der.endswith(b"\0" + certificate.signature):  # nobody signs how many bits of the last byte count, so it must be all
        raise DecodingError("a certificate whose signature is not one of whole bytes")
    now = now or datetime.now(UTC)
    if not begins <= now <= ends:
        raise DecodingError(f"a certificate that is valid from {begins:%F %T} to {ends:%F %T}, but our clock says {now:%F %T} (UTC)")
    _check_self_signature(certificate, public, hashed_by)
    found: bytes | None = None
    for extension in extensions:
        if extension.oid == _EXTENSION and isinstance(extension.value, x509.UnrecognizedExtension):
            found = extension.value.value
        elif extension.critical:
            raise DecodingError(f"a certificate with the critical extension {extension.oid.dotted_string}, which is not known here")
    if found is None:
        raise DecodingError(f"a certificate without the extension {_EXTENSION.dotted_string}, so it speaks for no node")
    return _key_signed_in(found, certificate)


def key_in_chain(ders: Sequence[bytes], now: datetime | None = None) -> PublicKey:
    """The same for all that the peer has sent, which must be a single certificate."""
    if len(ders) != 1:
        raise DecodingError(f"{len(ders) or 'no'} certificates, where the peer has to send one")
    return key_in(ders[0], now)


def _check_self_signature(certificate: x509.Certificate, public: object, hashed_by: hashes.HashAlgorithm | None) -> None:
    """RSA and other curves are left out: they are slow to check, and nobody needs them."""
    try:
        if isinstance(public, ec.EllipticCurvePublicKey) and isinstance(public.curve, _CURVES) and isinstance(hashed_by, _HASHES):
            if certificate.signature_algorithm_oid.dotted_string.startswith("1.2.840.10045.4.3."):  # ECDSA with SHA-2
                return public.verify(certificate.signature, certificate.tbs_certificate_bytes, ec.ECDSA(hashed_by))
        elif isinstance(public, ed25519.Ed25519PublicKey) and hashed_by is None:
            return public.verify(certificate.signature, certificate.tbs_certificate_bytes)
    except InvalidSignature:
        raise DecodingError("a certificate that its own key has not signed") from None
    raise DecodingError("a certificate whose TLS key or signature is not ECDSA of P-256 or P-384 with SHA-2, nor Ed25519")


def _signed_key(key: PrivateKey, tls_key: ec.EllipticCurvePublicKey) -> bytes:
    """What is in the extension: the node's key, and its signature for the TLS key."""
    signature = key.sign(_digest(tls_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)))  # its s is low
    r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:64])
    items = _KEY + key.public_key.compressed, encode_dss_signature(r, s)
    body = b"".join(bytes((_OCTETS, len(item))) + item for item in items)
    return bytes((_SEQUENCE, len(body))) + body  # all are shorter than 128 bytes, so lengths have one


def _key_signed_in(value: bytes, certificate: x509.Certificate) -> PublicKey:
    whole, rest = _element(value, _SEQUENCE)
    encoded, after = _element(whole, _OCTETS)
    signature, end = _element(after, _OCTETS)
    if rest or end:
        raise DecodingError("bytes after the end of a signed key")
    if not encoded.startswith(_KEY) or len(encoded) != len(_KEY) + 33:
        kind = _KEY_TYPES.get(encoded[1]) if len(encoded) > 1 and encoded[0] == _KEY[0] else None
        raise DecodingError(
            f"a node's key of the type {kind}, not secp256k1" if kind else "a node's key that is not encoded as secp256k1's are"
        )
    public = PublicKey.from_bytes(encoded[len(_KEY) :])
    try:
        r, s = decode_dss_signature(signature)
        compact = r.to_bytes(_SCALAR) + s.to_bytes(_SCALAR)
    except (ValueError, OverflowError):
        raise DecodingError("a node's signature that is not one of ECDSA") from None
    tls_key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if not public.verify(_digest(tls_key), compact):
        raise DecodingError("a certificate that the node has not signed for which it claims to speak")
    return public


def _digest(tls_key: bytes) -> bytes:
    return sha256(_SIGNED + tls_key).digest()


def _element(data: bytes, tag: int) -> tuple[bytes, bytes]:
    """Split off the contents of a DER element with a certain tag, of less than 64 KiB."""
    if len(data) < 2 or data[0] != tag:
        raise DecodingError(f"a signed key is not what it should be where the tag {tag:#04x} is due")
    size, begin = data[1], 2
    if size >= 0x80:
        begin += size - 0x80
        size = int.from_bytes(data[2:begin])
        if begin not in (3, 4) or size < 0x80 or data[2] == 0:
            raise DecodingError("a length in a signed key that is not DER")
    if len(data) < begin + size:
        raise DecodingError("a signed key that ends too early")
    return data[begin : begin + size], data[begin + size :]
