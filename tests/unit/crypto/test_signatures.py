"""The AUTH payload's signatures: what is signed verifies, and nothing else does."""

from __future__ import annotations

import hashlib

import gmpy2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from culvert import der
from culvert.crypto.public_keys import KeyRefused, PrivateKey, load_private_key, private_key, public_key
from culvert.crypto.signature_schemes import SCHEMES, SignatureHash, scheme_of
from culvert.crypto.signatures import (
    ALLOWED_HASHES,
    Choice,
    NoSignature,
    SignatureMethod,
    describe,
    preferred,
    sign,
    verify,
)
from tests.unit.crypto.certificates.authorities import key

DATA = b"octets that both sides know"
DIGITAL = SignatureMethod.DIGITAL_SIGNATURE
KINDS = ["rsa2048", "rsa3072", "ecdsa256", "ecdsa384", "ecdsa521", "ed25519"]
EVERY_HASH = (1, 2, 3, 4, 5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_digital_signature_verifies_with_its_key_and_data_alone(kind: str) -> None:
    signature = sign(key(kind), DATA, DIGITAL)
    assert verify(key(kind).public, DATA, DIGITAL, signature)
    assert not verify(key(kind).public, DATA + b".", DIGITAL, signature)
    assert not verify(key(kind, 1).public, DATA, DIGITAL, signature)


@pytest.mark.parametrize("kind", KINDS)
def test_every_flipped_bit_of_a_digital_signature_is_noticed(kind: str) -> None:
    signature = sign(key(kind), DATA, DIGITAL)
    for position in range(len(signature)):
        bent = bytearray(signature)
        bent[position] ^= 1 << position % 8
        assert not verify(key(kind).public, DATA, DIGITAL, bytes(bent)), f"octet {position}"


@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_or_prolonged_signature_is_none(kind: str) -> None:
    signature = sign(key(kind), DATA, DIGITAL)
    for length in range(len(signature)):
        assert not verify(key(kind).public, DATA, DIGITAL, signature[:length])
    assert not verify(key(kind).public, DATA, DIGITAL, signature + b"\0")


@pytest.mark.parametrize(("kind", "method"), [("ecdsa256", 9), ("ecdsa384", 10), ("ecdsa521", 11)])
def test_rfc_4754_fixes_curve_hash_and_width(kind: str, method: int) -> None:
    signature = sign(key(kind), DATA, method)
    assert len(signature) == {9: 64, 10: 96, 11: 132}[method]
    assert verify(key(kind).public, DATA, method, signature)
    for other in (1, 2, 9, 10, 11, 14, 0, 255):
        assert verify(key(kind).public, DATA, other, signature) == (other == method)
    assert not verify(key(kind).public, DATA, method, b"\0" + signature)
    assert not verify(key(kind).public, DATA, method, signature[:-1])


@pytest.mark.parametrize("kind", ["ecdsa256", "ecdsa384", "ecdsa521"])
def test_r_and_s_at_their_edges_are_no_signature(kind: str) -> None:
    owner = key(kind)
    assert isinstance(owner.key, ec.EllipticCurvePrivateKey)
    order, half = owner.key.curve.group_order, (owner.public.bits + 7) // 8
    method = {256: 9, 384: 10, 521: 11}[owner.public.bits]
    edges = [0, 1, order - 1, order, order + 1, 2 ** (8 * half) - 1]
    for r in edges:
        for s in edges:
            assert not verify(owner.public, DATA, method, r.to_bytes(half, "big") + s.to_bytes(half, "big"))


def test_an_s_or_r_larger_than_the_order_is_not_reduced() -> None:
    owner = key("ecdsa521")
    assert isinstance(owner.key, ec.EllipticCurvePrivateKey)
    signature = sign(owner, DATA, 11)
    r, s = int.from_bytes(signature[:66], "big"), int.from_bytes(signature[66:], "big")
    order = owner.key.curve.group_order
    for bent in ((r + order, s), (r, s + order)):
        assert not verify(owner.public, DATA, 11, b"".join(one.to_bytes(66, "big") for one in bent))


def test_rsa_of_old_is_sha_1_and_for_legacy_peers_alone() -> None:
    owner = key("rsa2048")
    with pytest.raises(NoSignature):
        sign(owner, DATA, SignatureMethod.RSA)
    signature = sign(owner, DATA, SignatureMethod.RSA, legacy=True)
    assert verify(owner.public, DATA, SignatureMethod.RSA, signature, legacy=True)
    assert not verify(owner.public, DATA, SignatureMethod.RSA, signature)
    for other in (0, 2, 3, 9, 10, 11, 12, 13, 14, 255):
        assert not verify(owner.public, DATA, other, signature, legacy=True)


def test_a_short_rsa_key_is_for_legacy_peers_alone() -> None:
    owner = key("rsa1024")
    signature = sign(owner, DATA, DIGITAL)
    assert not verify(owner.public, DATA, DIGITAL, signature)
    assert verify(owner.public, DATA, DIGITAL, signature, legacy=True)


def test_a_very_short_rsa_key_is_for_nobody() -> None:
    """The signature is right in every bit, so that nothing but the key's length speaks against it."""
    p, q = int(gmpy2.next_prime(3 << 502)), int(gmpy2.next_prime(3 << 501 | 1 << 490))
    modulus, size = p * q, ((p * q).bit_length() + 7) // 8
    block = b"\0\1" + b"\xff" * (size - 3 - len(digest_info())) + b"\0" + digest_info()
    number = pow(int.from_bytes(block, "big"), pow(65_537, -1, (p - 1) * (q - 1)), modulus)
    short = rsa.RSAPublicNumbers(65_537, modulus).public_key()
    signature = number.to_bytes(size, "big")
    short.verify(signature, DATA, PKCS1v15(), SHA256())
    public = public_key(private_key_spki(short))
    assert public.hopelessness
    identifier = next(one.identifier for one in SCHEMES if one.name == "sha256WithRSAEncryption")
    assert not verify(public, DATA, DIGITAL, bytes((len(identifier),)) + identifier + signature, legacy=True)


def private_key_spki(public: rsa.RSAPublicKey) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def exponent_three() -> PrivateKey:
    return private_key(rsa.generate_private_key(3, 2048))


@pytest.mark.parametrize("exponent", [2**32 + 1, 2**64 - 1])
def test_an_exponent_that_costs_more_than_it_is_worth_is_refused(exponent: int) -> None:
    """With 8192 bits and an exponent of 64, one check takes a millisecond; strangers present keys, dozens of them."""
    numbers = rsa.RSAPublicNumbers(exponent, rsa_modulus())
    with pytest.raises(KeyRefused, match="exponent"):
        public_key(private_key_spki(numbers.public_key()))


def rsa_modulus() -> int:
    found = key("rsa2048").public.key
    assert isinstance(found, rsa.RSAPublicKey)
    return found.public_numbers().n


def test_a_small_exponent_is_for_legacy_peers_alone() -> None:
    owner = exponent_three()
    signature = sign(owner, DATA, DIGITAL)
    assert "exponent 3" in owner.public.weakness
    assert not verify(owner.public, DATA, DIGITAL, signature)
    assert verify(owner.public, DATA, DIGITAL, signature, legacy=True)


def forged_with_exponent_three(owner: PrivateKey, block: bytes, size: int) -> bytes:
    """Find a number whose cube begins with `block`: what lenient checks of the padding let through."""
    wanted = int.from_bytes(block + b"\0" * (size - len(block)), "big")
    low, high = 0, 1 << (size * 8 // 3 + 2)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if middle**3 < wanted else (low, middle)
    assert (low**3).to_bytes(size, "big").startswith(block)
    return low.to_bytes(size, "big")


@pytest.mark.parametrize("parameters", [der.encode(der.NULL), b"", der.encode(der.OCTET_STRING, b"\0" * 16)])
def test_forgeries_that_rest_on_lenient_padding_fail(parameters: bytes) -> None:
    """CVE-2006-4339, CVE-2018-16151 and -16152: octets behind the digest, or hidden in the algorithm's parameters."""
    owner = exponent_three()
    algorithm = der.encode(der.SEQUENCE, der.encode_oid("2.16.840.1.101.3.4.2.1"), parameters)
    info = der.encode(der.SEQUENCE, algorithm, der.encode(der.OCTET_STRING, hashlib.sha256(DATA).digest()))
    forged = forged_with_exponent_three(owner, b"\0\1" + b"\xff" * 8 + b"\0" + info, 256)
    identifier = next(one.identifier for one in SCHEMES if one.name == "sha256WithRSAEncryption")
    assert not verify(owner.public, DATA, DIGITAL, bytes((len(identifier),)) + identifier + forged, legacy=True)


def raw_rsa(owner: PrivateKey, block: bytes) -> bytes:
    assert isinstance(owner.key, rsa.RSAPrivateKey)
    numbers = owner.key.private_numbers()
    return pow(int.from_bytes(block, "big"), numbers.d, numbers.public_numbers.n).to_bytes(256, "big")


def padded(info: bytes, *, first: bytes = b"\0\1", filler: bytes = b"\xff", end: bytes = b"\0") -> bytes:
    return first + filler * (256 - len(first) - len(end) - len(info)) + end + info


def digest_info(parameters: bytes = der.encode(der.NULL), digest: bytes = hashlib.sha256(DATA).digest()) -> bytes:
    algorithm = der.encode(der.SEQUENCE, der.encode_oid("2.16.840.1.101.3.4.2.1"), parameters)
    return der.encode(der.SEQUENCE, algorithm, der.encode(der.OCTET_STRING, digest))


LONG_FORM = b"\x30\x81" + digest_info()[1:2] + digest_info()[2:]
SIGNED_BY_THE_KEY_ITSELF = {
    "block type 0": padded(digest_info(), first=b"\0\0", filler=b"\0"),
    "block type 2": padded(digest_info(), first=b"\0\2", filler=b"\x55"),
    "another filler": padded(digest_info(), filler=b"\xfe"),
    "no parameters": padded(digest_info(b"")),
    "other parameters": padded(digest_info(der.encode(der.OCTET_STRING, b""))),
    "a length in long form": padded(LONG_FORM),
    "octets behind": b"\0\1" + b"\xff" * 100 + b"\0" + digest_info() + b"\0" * (256 - 103 - len(digest_info())),
    "no digest info": padded(hashlib.sha256(DATA).digest()),
    "another hash": padded(digest_info(digest=hashlib.sha256(b"").digest())),
}


@pytest.mark.parametrize("name", SIGNED_BY_THE_KEY_ITSELF)
def test_a_block_that_pkcs_1_does_not_make_is_no_signature(name: str) -> None:
    owner = key("rsa2048")
    scheme = next(one for one in SCHEMES if one.name == "sha256WithRSAEncryption")
    prefix = bytes((len(scheme.identifier),)) + scheme.identifier
    assert verify(owner.public, DATA, DIGITAL, prefix + raw_rsa(owner, padded(digest_info())))
    assert not verify(owner.public, DATA, DIGITAL, prefix + raw_rsa(owner, SIGNED_BY_THE_KEY_ITSELF[name]))


def test_a_signature_of_another_length_than_the_modulus_is_none() -> None:
    owner = key("rsa2048")
    scheme = next(one for one in SCHEMES if one.name == "sha256WithRSAEncryption")
    prefix = bytes((len(scheme.identifier),)) + scheme.identifier
    good = raw_rsa(owner, padded(digest_info()))
    for bad in (b"\0" + good, good[1:], b"", good + b"\0"):
        assert not verify(owner.public, DATA, DIGITAL, prefix + bad)
    modulus = owner.key.public_key().public_numbers().n  # type: ignore[union-attr]
    larger = int.from_bytes(good, "big") + modulus
    if larger < 1 << 2048:
        assert not verify(owner.public, DATA, DIGITAL, prefix + larger.to_bytes(256, "big"))


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.name)
def test_an_algorithm_identifier_counts_as_written_and_no_other_way(scheme: object) -> None:
    for identifier in scheme.identifiers:  # type: ignore[attr-defined]
        assert scheme_of(identifier) is scheme
        for position in range(len(identifier)):
            bent = bytearray(identifier)
            bent[position] ^= 0x80
            found = scheme_of(bytes(bent))
            assert found is None or found is not scheme
        assert scheme_of(identifier + b"\0") is None
        assert scheme_of(b"\x30\x81" + identifier[1:]) is None, "a length in long form"


def test_the_identifiers_of_rfc_7427_appendix_a_are_known() -> None:
    known = {
        "300d06092a864886f70d01010b0500": "sha256WithRSAEncryption",
        "300d06092a864886f70d01010c0500": "sha384WithRSAEncryption",
        "300d06092a864886f70d01010d0500": "sha512WithRSAEncryption",
        "300a06082a8648ce3d040302": "ecdsa-with-SHA256",
        "300a06082a8648ce3d040303": "ecdsa-with-SHA384",
        "300a06082a8648ce3d040304": "ecdsa-with-SHA512",
        "304606092a864886f70d01010a3039a00f300d06096086480165030402010500"
        "a11c301a06092a864886f70d010108300d06096086480165030402010500a203020120a303020101": "RSASSA-PSS-SHA256",
        "300506032b6570": "Ed25519",
    }
    for text, name in known.items():
        scheme = scheme_of(bytes.fromhex(text))
        assert scheme is not None
        assert scheme.name == name


@pytest.mark.parametrize(
    "text",
    ["300d06092a864886f70d01010a3000", "300b06092a864886f70d01010a", "300d06092a864886f70d0101040500", "3000", ""],
    ids=["PSS with empty parameters", "PSS without parameters", "MD5", "empty", "nothing"],
)
def test_what_rfc_8247_forbids_is_not_known(text: str) -> None:
    assert scheme_of(bytes.fromhex(text)) is None


def test_sha_1_does_not_come_in_through_method_14() -> None:
    owner = key("rsa2048")
    identifier = next(one.identifier for one in SCHEMES if one.name == "sha1WithRSAEncryption")
    old = sign(owner, DATA, SignatureMethod.RSA, legacy=True)
    data = bytes((len(identifier),)) + identifier + old
    assert not verify(owner.public, DATA, DIGITAL, data)
    assert not verify(owner.public, DATA, DIGITAL, data, EVERY_HASH), "not even where somebody allows the hash"
    assert verify(owner.public, DATA, DIGITAL, data, EVERY_HASH, legacy=True)


@pytest.mark.parametrize("kind", KINDS)
def test_a_hash_that_was_not_announced_is_refused(kind: str) -> None:
    choice = preferred(key(kind), ALLOWED_HASHES)
    assert choice is not None
    others = [one for one in EVERY_HASH if one != choice.hash]
    signature = sign(key(kind), DATA, DIGITAL, [choice.hash])
    assert verify(key(kind).public, DATA, DIGITAL, signature, [choice.hash])
    assert not verify(key(kind).public, DATA, DIGITAL, signature, others)


def test_a_signature_of_one_kind_of_key_is_not_taken_for_anothers() -> None:
    for one in KINDS:
        for other in KINDS:
            if one != other:
                assert not verify(key(other).public, DATA, DIGITAL, sign(key(one), DATA, DIGITAL))


@pytest.mark.parametrize("kind", KINDS)
def test_a_good_signature_under_the_identifier_of_another_kind_is_none(kind: str) -> None:
    """The library goes by the key; that the identifier tells of the same kind is ours to see."""
    good = sign(key(kind), DATA, DIGITAL)
    own = scheme_of(good[1 : 1 + good[0]])
    assert own is not None
    for scheme in SCHEMES:
        named = bytes([len(scheme.identifier)]) + scheme.identifier + good[1 + good[0] :]
        assert verify(key(kind).public, DATA, DIGITAL, named, EVERY_HASH) == (scheme == own)


@pytest.mark.parametrize(
    ("kind", "hashes", "legacy", "choice"),
    [
        ("rsa2048", (1, 2, 3, 4), False, Choice(SignatureMethod.DIGITAL_SIGNATURE, SignatureHash.SHA2_256)),
        ("rsa2048", (4,), False, Choice(SignatureMethod.DIGITAL_SIGNATURE, SignatureHash.SHA2_512)),
        ("rsa2048", (1,), False, None),
        ("rsa2048", (), False, None),
        ("rsa2048", (), True, Choice(SignatureMethod.RSA, SignatureHash.SHA1)),
        ("ecdsa256", (2, 3), False, Choice(SignatureMethod.DIGITAL_SIGNATURE, SignatureHash.SHA2_256)),
        ("ecdsa384", (2, 3, 4), False, Choice(SignatureMethod.DIGITAL_SIGNATURE, SignatureHash.SHA2_384)),
        ("ecdsa521", (2, 3), False, Choice(SignatureMethod.DIGITAL_SIGNATURE, SignatureHash.SHA2_384)),
        ("ecdsa256", (), False, Choice(SignatureMethod.ECDSA_P256, SignatureHash.SHA2_256)),
        ("ecdsa521", (1,), False, Choice(SignatureMethod.ECDSA_P521, SignatureHash.SHA2_512)),
        ("ed25519", (2, 5), False, Choice(SignatureMethod.DIGITAL_SIGNATURE, SignatureHash.IDENTITY)),
        ("ed25519", (2, 3, 4), False, None),
    ],
)
def test_how_we_sign_depends_on_the_key_and_on_what_the_peer_takes(
    kind: str, hashes: tuple[int, ...], legacy: bool, choice: Choice | None
) -> None:
    assert preferred(key(kind), hashes, legacy=legacy) == choice
    if choice is not None:
        signature = sign(key(kind), DATA, choice.method, hashes, legacy=legacy)
        assert verify(key(kind).public, DATA, choice.method, signature, hashes, legacy=legacy)


def test_rsa_signs_by_pss_and_for_legacy_peers_as_of_old() -> None:
    assert describe(14, sign(key("rsa2048"), DATA, DIGITAL)) == "RSASSA-PSS-SHA256"
    assert describe(14, sign(key("rsa2048"), DATA, DIGITAL, legacy=True)) == "sha256WithRSAEncryption"


def test_an_unknown_algorithm_is_described_by_its_octets() -> None:
    assert describe(14, b"\x02\x30\x00rest") == "an unknown algorithm (3000)"
    assert describe(14, b"") == "an unknown algorithm ()"
    assert describe(9, b"") == "ECDSA P-256"
    assert describe(77, b"") == "method 77"


def test_signing_what_does_not_go_together_is_refused() -> None:
    for owner, method, hashes in [("ed25519", 14, (2,)), ("ecdsa256", 10, ()), ("rsa2048", 9, ()), ("rsa2048", 2, ())]:
        with pytest.raises(NoSignature):
            sign(key(owner), DATA, method, hashes)


# Keys


@pytest.mark.parametrize("kind", KINDS)
def test_a_private_key_is_read_back_from_its_file(kind: str) -> None:
    assert load_private_key(key(kind).pem()) == key(kind)


@pytest.mark.parametrize("kind", KINDS)
def test_a_private_key_never_shows_itself(kind: str) -> None:
    secret = key(kind).pem().split(b"\n")[1].decode()
    assert secret not in repr(key(kind))
    assert "PRIVATE" not in repr(key(kind))


@pytest.mark.parametrize("data", [b"", b"\x30\x00", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_what_is_no_key_is_refused(data: bytes) -> None:
    with pytest.raises(KeyRefused):
        load_private_key(data)


def test_a_key_of_a_wrong_length_is_refused_and_not_the_librarys_fault() -> None:
    """The library calls this an error of its own, and asks to be told of it."""
    inner = der.encode(der.OCTET_STRING, der.encode(der.OCTET_STRING, bytes(31)))
    algorithm = der.encode(der.SEQUENCE, der.encode_oid("1.3.101.112"))
    with pytest.raises(KeyRefused):
        load_private_key(der.encode(der.SEQUENCE, der.encode_integer(0), algorithm, inner))


def test_an_encrypted_key_is_refused_by_name() -> None:
    from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

    text = key().key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"word"))
    with pytest.raises(KeyRefused, match="encrypted"):
        load_private_key(text)
    assert load_private_key(text, b"word") == key()
    with pytest.raises(KeyRefused):
        load_private_key(text, b"another")


def test_curves_that_ike_does_not_know_are_refused() -> None:
    with pytest.raises(KeyRefused, match="secp256k1"):
        private_key(ec.generate_private_key(ec.SECP256K1()))


def test_a_public_key_written_in_an_unusual_way_is_refused() -> None:
    good = key("rsa2048").public.spki
    assert public_key(good) == key("rsa2048").public
    for bad in (b"", good[:-1], good + b"\0", b"\x30\x84\0\0" + good[2:4] + good[4:]):
        with pytest.raises(KeyRefused):
            public_key(bad)
