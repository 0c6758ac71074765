"""Any octets where a certificate, a list, a key, a name or a signature belongs: read, or refused by name."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from culvert import der
from culvert.crypto import pem
from culvert.crypto.certificates.carrying import carries, identities_of
from culvert.crypto.certificates.certificate import Certificate, MalformedCertificate, parse_certificate, parse_pem
from culvert.crypto.certificates.judging import judge
from culvert.crypto.certificates.revocation import MalformedList, parse_crl, parse_crls
from culvert.crypto.certificates.store import Distrusted, Trusted, TrustStore
from culvert.crypto.public_keys import KeyRefused, load_private_key, public_key
from culvert.crypto.signatures import describe, verify
from culvert.distinguished_names import DistinguishedName, DistinguishedNameError
from culvert.identities import Identity, IdentityType
from tests.property.bending import bent
from tests.unit.crypto.certificates.authorities import LEAF_USAGE, NOW_S, dns, key, root

ROOT = root()
MIDDLE = ROOT.authority("O=Example, CN=Middle")
LEAF = MIDDLE.issue("C=DE, O=Example, CN=gw1", (LEAF_USAGE, dns("gw1.example.org")))
LIST = ROOT.crl(1, 2, 3)
STORE = TrustStore((ROOT.certificate,), crls=(LIST,))


def told(refusal: ValueError) -> None:
    """A refusal is a sentence that can go into a log."""
    assert str(refusal)
    assert str(refusal).isprintable()


def look_at(one: Certificate) -> None:
    """Do with a certificate all that is done with one of a peer."""
    assert str(one).isprintable()
    for identity in identities_of(one):
        assert str(identity).isprintable()
        assert carries(one, identity) or identity.is_wildcard
    verdict = judge(STORE, one, (MIDDLE.certificate,), NOW_S)
    if isinstance(verdict, Distrusted):
        assert verdict.explanation.isprintable()
    else:
        assert one.tbs in (LEAF.tbs, MIDDLE.certificate.tbs, ROOT.certificate.tbs)


@given(st.binary(max_size=400))
@example(b"")
def test_any_octets_as_a_certificate(data: bytes) -> None:
    for read in (parse_certificate, parse_pem):
        try:
            read(data)
        except MalformedCertificate as error:
            told(error)


@settings(max_examples=400)
@given(st.sampled_from([LEAF, MIDDLE.certificate, ROOT.certificate]).flatmap(lambda one: bent(one.der)))
def test_a_bent_certificate_is_refused_or_never_trusted(data: bytes) -> None:
    try:
        one = parse_certificate(data)
    except MalformedCertificate as error:
        told(error)
        return
    look_at(one)


@settings(max_examples=200)
@given(bent(LIST.der))
def test_a_bent_list_never_clears_anybody(data: bytes) -> None:
    try:
        crl = parse_crl(data)
    except MalformedList as error:
        told(error)
        return
    store = TrustStore((ROOT.certificate,), crls=(crl,), require_crl=True)
    if isinstance(judge(store, ROOT.issue("CN=x"), (), NOW_S), Trusted):
        assert crl.tbs == LIST.tbs


@given(st.binary(max_size=300))
def test_any_octets_as_a_list(data: bytes) -> None:
    for read in (parse_crl, parse_crls):
        try:
            read(data)
        except MalformedList as error:
            told(error)


@given(st.binary(max_size=300) | bent(key().public.spki) | bent(key("rsa2048").public.spki))
def test_any_octets_as_a_public_key(data: bytes) -> None:
    try:
        found = public_key(data)
    except KeyRefused as error:
        told(error)
        return
    assert found.spki == data


@settings(max_examples=50)
@given(st.binary(max_size=300) | bent(key().pem()) | bent(key("ed25519").pem()))
def test_any_octets_as_a_private_key(data: bytes) -> None:
    try:
        load_private_key(data)
    except KeyRefused as error:
        told(error)


@given(st.integers(0, 255), st.binary(max_size=200), st.booleans())
def test_any_octets_as_a_signature(method: int, signature: bytes, legacy: bool) -> None:
    assert describe(method, signature).isprintable()
    for kind in ("rsa2048", "ecdsa256", "ed25519"):
        assert not verify(key(kind).public, b"data", method, signature, legacy=legacy)


@given(st.binary(max_size=200))
def test_any_octets_as_der_are_taken_apart_whole_or_refused(data: bytes) -> None:
    try:
        found = der.elements(data)
    except der.DerError:
        return
    assert b"".join(one.whole for one in found) == data
    assert all(der.encode(one.tag, one.content) == one.whole for one in found)


@given(st.binary(max_size=200) | bent(LEAF.subject.der))
def test_any_octets_as_a_distinguished_name(data: bytes) -> None:
    try:
        name = DistinguishedName.of_der(data)
    except DistinguishedNameError:
        return
    assert str(name).isprintable()
    assert name.same(name)
    assert name.within(name)
    assert name.has_wildcard or Identity(IdentityType.DER_ASN1_DN, data).matches(Identity.of_name(name))


values = st.text(st.characters(exclude_categories=["C", "Z"]) | st.just(" "), min_size=1, max_size=20).filter(str.strip)


@given(st.lists(st.tuples(st.sampled_from(["C", "O", "OU", "CN", "DC", "UID", "E"]), values), min_size=1, max_size=5))
def test_a_name_that_is_shown_can_be_read_again(parts: list[tuple[str, str]]) -> None:
    quoted = ", ".join(f'{kind}="{value}"' for kind, value in parts if "\\" not in value and '"' not in value)
    if not quoted:
        return
    name = DistinguishedName.parse(quoted)
    assert DistinguishedName.parse(str(name)).der == name.der


@given(st.text(max_size=60))
def test_any_text_as_a_distinguished_name(text: str) -> None:
    try:
        name = DistinguishedName.parse(text)
    except ValueError:
        return
    assert DistinguishedName.of_der(name.der) == name


@given(st.lists(st.tuples(st.sampled_from(["CERTIFICATE", "X509 CRL", "KEY"]), st.binary(max_size=100)), max_size=4))
def test_pem_comes_back(blocks: list[tuple[str, bytes]]) -> None:
    text = b"\n".join(b"words" + b"\n" + pem.write(*block) for block in blocks)
    assert [(one.label, one.data) for one in pem.read(text)] == blocks
