"""What must hold for the readers of certificates, whatever octets come.

The first octet says who reads the rest. The corpus beside it holds one thing of each kind, made once by
`tests/unit/crypto/certificates/authorities.py`; their keys are gone, so that nothing new is ever signed by them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from culvert.crypto.certificates.carrying import carries, identities_of
from culvert.crypto.certificates.certificate import Certificate, MalformedCertificate, parse_certificate, parse_pem
from culvert.crypto.certificates.judging import judge as judge_certificate
from culvert.crypto.certificates.revocation import MalformedList, parse_crl, parse_crls
from culvert.crypto.certificates.store import Trusted, TrustStore
from culvert.crypto.public_keys import KeyRefused, load_private_key, public_key
from culvert.distinguished_names import DistinguishedName, DistinguishedNameError
from culvert.identities import Identity, IdentityType

CORPUS = Path(__file__).parent / "corpus/certificate"
NOW_S = 1_800_000_000
MOST_S = 2.0
"""A thousand times what it takes."""


def seed(name: str) -> bytes:
    return (CORPUS / name).read_bytes()


ANCHOR, MIDDLE, LEAF, LIST = (seed(name)[1:] for name in ("anchor", "middle", "leaf", "list"))
SIGNED = tuple(parse_certificate(data).tbs for data in (ANCHOR, MIDDLE, LEAF))
STORE = TrustStore((parse_certificate(ANCHOR),))


def _certificate(octets: bytes) -> None:
    _look(parse_certificate(octets))


def _certificates(octets: bytes) -> None:
    for one in parse_pem(octets):
        _look(one)


def _look(one: Certificate) -> None:
    assert str(one).isprintable()
    for identity in identities_of(one):
        assert str(identity).isprintable()
        assert identity.is_wildcard or carries(one, identity)
    verdict = judge_certificate(STORE, one, (parse_certificate(MIDDLE),), NOW_S)
    if isinstance(verdict, Trusted):
        assert one.tbs in SIGNED
    else:
        assert verdict.explanation.isprintable()


def _list(octets: bytes) -> None:
    crl = parse_crl(octets)
    store = TrustStore(STORE.anchors, crls=(crl,), require_crl=True)
    if isinstance(judge_certificate(store, parse_certificate(MIDDLE), (), NOW_S), Trusted):
        assert crl.tbs == parse_crl(LIST).tbs


def _name(octets: bytes) -> None:
    name = DistinguishedName.of_der(octets)
    assert str(name).isprintable()
    assert name.same(name)
    assert name.nearly_within(name)
    identity = Identity(IdentityType.DER_ASN1_DN, octets)
    assert identity.is_wildcard or identity.matches(identity)


def _private_key(octets: bytes) -> None:
    load_private_key(octets)


READERS: tuple[Callable[[bytes], object], ...] = (
    _certificate,
    _list,
    _name,
    _certificates,
    parse_crls,
    public_key,
    _private_key,
)
REFUSALS = (MalformedCertificate, MalformedList, DistinguishedNameError, KeyRefused)


def judge(octets: bytes) -> None:
    """Read octets as one of the readers does, and raise AssertionError where something does not hold."""
    began = time.process_time()
    try:
        READERS[octets[0] % len(READERS) if octets else 0](octets[1:])
    except REFUSALS as refusal:
        _told(refusal)
    assert time.process_time() - began < MOST_S


def _told(refusal: ValueError) -> None:
    assert str(refusal)
    assert str(refusal).isprintable(), str(refusal)
