"""Certificates that speak for nodes: libp2p's vectors, ours, and bad ones."""

import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from devp2p import DecodingError, PrivateKey, PublicKey
from devp2p.transports import certificates
from devp2p.transports.certificates import LASTS, MAX_CERTIFICATE, USED, OwnCertificate, certificate_for, key_in, key_in_chain

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "libp2p_tls.json").read_text("utf-8"))["certificates"]
KEY = PrivateKey(bytes(range(1, 33)))
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
OID = x509.ObjectIdentifier("1.3.6.1.4.1.53594.1.1")
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
GOOD = certificate_for(KEY, NOW)
DER = GOOD.der
SIGNED_KEY = next(extension.value.public_bytes() for extension in GOOD.certificate.extensions)
TlsKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


def spki(key: TlsKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def signed_key(key: PrivateKey, tls_key: TlsKey, *, high: bool = False, prefix: bytes = b"libp2p-tls-handshake:") -> bytes:
    signature = key.sign(sha256(prefix + spki(tls_key)).digest())
    r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:64])
    items = bytes.fromhex("08021221") + key.public_key.compressed, encode_dss_signature(r, ORDER - s if high else s)
    body = b"".join(bytes((4, len(item))) + item for item in items)
    return bytes((0x30, len(body))) + body


def made(
    tls_key: TlsKey | None = None,
    *extensions: tuple[x509.ExtensionType, bool],
    value: bytes | None = None,
    signer: TlsKey | None = None,
    digest: hashes.SHA256 | hashes.SHA512 | None = None,
    critical: bool = True,
) -> bytes:
    """A certificate that is as it should be but for what is given; `value` is that of the extension."""
    tls_key = tls_key or ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    value = signed_key(KEY, tls_key) if value is None else value
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(tls_key.public_key()).serial_number(7)
    builder = builder.not_valid_before(NOW - timedelta(hours=1)).not_valid_after(NOW + timedelta(hours=1))
    for extension, is_critical in ((x509.UnrecognizedExtension(OID, value), critical), *extensions):
        if value or extension is not None:
            builder = builder.add_extension(extension, critical=is_critical)
    signer = signer or tls_key
    return builder.sign(signer, None if isinstance(signer, ed25519.Ed25519PrivateKey) else digest or hashes.SHA256()).public_bytes(
        Encoding.DER
    )


def refusal(der: bytes, now: datetime | None = NOW) -> str:
    with pytest.raises(DecodingError) as caught:
        key_in(der, now)
    return str(caught.value)


def test_the_certificate_of_the_specification_for_secp256k1_is_good():
    (vector,) = (vector for vector in VECTORS if "secp256k1" in vector)
    assert key_in(bytes.fromhex(vector["der"])) == PublicKey.from_bytes(bytes.fromhex(vector["secp256k1"]))


def test_those_for_other_keys_and_the_invalid_one_are_refused():
    reasons = [refusal(bytes.fromhex(vector["der"]), None) for vector in VECTORS if "secp256k1" not in vector]
    assert ["Ed25519" in reasons[0], *("ECDSA" in reason for reason in reasons[1:])] == [True] * 3


def test_the_invalid_one_is_refused_too_where_its_key_is_of_our_kind():
    """The specification's invalid certificate has an ECDSA key, so it is made anew: one node's key, and another's signature."""
    tls_key = ec.generate_private_key(ec.SECP256R1())
    forged = signed_key(KEY, tls_key)[:41] + signed_key(PrivateKey.generate(), tls_key)[41:]
    forged = b"0" + bytes((len(forged) - 2,)) + forged[2:]
    assert "has not signed" in refusal(made(tls_key, value=forged))


def test_ours_is_good_and_small_and_another_each_time():
    assert key_in(DER, NOW) == KEY.public_key
    assert len(DER) < 512
    assert certificate_for(KEY, NOW).der != DER
    assert GOOD.certificate.public_key() == GOOD.key.public_key()
    (extension,) = GOOD.certificate.extensions
    assert (extension.oid, extension.critical) == (OID, True)


def test_the_signature_of_the_node_has_a_low_s():
    for _ in range(8):
        (extension,) = certificate_for(KEY, NOW).certificate.extensions
        _, s = decode_dss_signature(extension.value.public_bytes()[43:])
        assert s <= ORDER // 2
    tls_key = ec.generate_private_key(ec.SECP256R1())
    assert "has not signed" in refusal(made(tls_key, value=signed_key(KEY, tls_key, high=True)))


@pytest.mark.parametrize("years", [-30, -1])
def test_a_judge_whose_clock_is_slow_takes_ours(years: int):
    assert key_in(DER, NOW + timedelta(days=365 * years)) == KEY.public_key


def test_it_ends_after_a_year_and_the_refusal_says_what_our_clock_says():
    assert key_in(DER, NOW + LASTS) == KEY.public_key
    assert "our clock says 2027-11-30 12:00:01" in refusal(DER, NOW + LASTS + timedelta(seconds=1))
    good = made()
    assert key_in(good, NOW) == KEY.public_key
    for hours in (-2, 2):
        assert "our clock says" in refusal(good, NOW + timedelta(hours=hours))


def test_another_is_used_after_a_month_or_when_the_clock_was_set_back():
    assert GOOD.is_fresh(NOW)
    assert GOOD.is_fresh(NOW + USED - timedelta(seconds=1))
    assert not GOOD.is_fresh(NOW + USED)
    assert not GOOD.is_fresh(NOW - timedelta(seconds=1))
    own = OwnCertificate(KEY)
    first = own.current
    assert own.current is first
    assert key_in(first.der) == KEY.public_key
    own._current = GOOD if not GOOD.is_fresh() else certificate_for(KEY, datetime.now(UTC) - USED)
    assert own.current.is_fresh()


@pytest.mark.parametrize("tls_key", [ec.generate_private_key(ec.SECP384R1()), ed25519.Ed25519PrivateKey.generate()])
def test_other_tls_keys_that_are_cheap_to_check_will_do(tls_key: TlsKey):
    assert key_in(made(tls_key), NOW) == KEY.public_key


@pytest.mark.parametrize("tls_key", [ec.generate_private_key(ec.SECP521R1()), ec.generate_private_key(ec.SECP256K1())])
def test_others_are_refused(tls_key: TlsKey):
    assert "not ECDSA of P-256" in refusal(made(tls_key))


def test_rsa_is_refused():
    assert "not ECDSA of P-256" in refusal(made(rsa.generate_private_key(65537, 2048)))


def test_a_stolen_extension_is_of_no_use():
    """What a node has signed for its own TLS key, in the certificate of somebody else."""
    assert "has not signed for which it claims to speak" in refusal(made(value=SIGNED_KEY))
    tls_key = ec.generate_private_key(ec.SECP256R1())
    assert "has not signed" in refusal(made(tls_key, value=signed_key(KEY, tls_key, prefix=b"")))


def test_it_must_be_signed_by_itself():
    assert "its own key has not signed" in refusal(made(signer=ec.generate_private_key(ec.SECP256R1())))
    assert "not ECDSA" in refusal(made(signer=ed25519.Ed25519PrivateKey.generate()))


def test_critical_extensions_that_are_not_known_are_refused_others_ignored_and_ours_need_not_be_critical():
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.53594.99"), b"\0")
    assert (
        key_in(made(None, (unknown, False), (x509.BasicConstraints(ca=True, path_length=None), False), critical=False), NOW)
        == KEY.public_key
    )
    for extension in (unknown, x509.BasicConstraints(ca=True, path_length=None)):
        assert "critical extension" in refusal(made(None, (extension, True)))


def test_without_the_extension_it_speaks_for_nobody():
    tls_key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(tls_key.public_key()).serial_number(7)
    plain = builder.not_valid_before(NOW).not_valid_after(NOW).sign(tls_key, hashes.SHA256()).public_bytes(Encoding.DER)
    assert "speaks for no node" in refusal(plain)


@pytest.mark.parametrize("cut", range(0, len(SIGNED_KEY), 5))
def test_a_signed_key_that_is_cut_or_continued_is_refused(cut: int):
    tls_key = ec.generate_private_key(ec.SECP256R1())
    value = signed_key(KEY, tls_key)
    refusal(made(tls_key, value=value[:cut]))
    refusal(made(tls_key, value=value + b"\0"))
    refusal(made(tls_key, value=value[:cut] + b"\x80" + value[cut + 1 :]))


def test_lengths_must_be_der():
    value = signed_key(KEY, tls_key := ec.generate_private_key(ec.SECP256R1()))
    assert "not DER" in refusal(made(tls_key, value=b"\x30\x81" + value[1:]))
    assert "not DER" in refusal(made(tls_key, value=b"\x30\x82\0" + value[1:]))
    assert "not DER" in refusal(made(tls_key, value=b"\x30\x80" + value[2:]))
    assert "not DER" in refusal(made(tls_key, value=b"\x30\xff" + value[2:]))


def test_numbers_that_do_not_fit_are_no_signature():
    value = bytes.fromhex("08021221") + KEY.public_key.compressed
    for r, s in ((1 << 256, 1), (1, 1 << 300), (0, 0)):
        signature = encode_dss_signature(r, s)
        body = bytes((4, len(value))) + value + bytes((4, len(signature))) + signature
        refusal(made(value=bytes((0x30, len(body))) + body))


def test_what_nobody_has_signed_is_as_it_should_be():
    """The number of bits that do not count in the signature, which is a string of bits."""
    signature = GOOD.certificate.signature
    assert DER.endswith(b"\0" + signature)
    for unused in (1, 7):
        refusal(DER[: -len(signature) - 1] + bytes((unused,)) + signature)


def test_only_so_much_is_looked_at():
    padding = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.53594.99"), bytes(MAX_CERTIFICATE))
    assert f"where {MAX_CERTIFICATE} are looked at" in refusal(made(None, (padding, False)))


def test_a_chain_has_a_single_certificate():
    assert key_in_chain([DER], NOW) == KEY.public_key
    for chain in ([], [DER, DER]):
        with pytest.raises(DecodingError, match="has to send one"):
            key_in_chain(chain, NOW)


@given(st.binary(max_size=600))
def test_no_bytes_raise_anything_else(data: bytes):
    with pytest.raises(DecodingError):
        key_in(data, NOW)


@given(st.integers(0, len(DER) - 1), st.binary(min_size=1, max_size=8), st.booleans())
def test_no_change_of_a_good_one_is_taken_nor_raises_anything_else(at: int, piece: bytes, inserted: bool):  # noqa: FBT001
    changed = DER[:at] + piece + DER[at if inserted else at + len(piece) :]
    if changed == DER:
        return
    with pytest.raises(DecodingError):
        key_in(changed, NOW)


@given(st.integers(0, len(SIGNED_KEY) - 1), st.binary(min_size=1, max_size=8), st.booleans())
def test_no_change_of_what_the_node_signed_is_taken(at: int, piece: bytes, inserted: bool):  # noqa: FBT001
    value = SIGNED_KEY[:at] + piece + SIGNED_KEY[at if inserted else at + len(piece) :]
    if value == SIGNED_KEY:
        return
    with pytest.raises(DecodingError):
        certificates._key_signed_in(value, GOOD.certificate)
