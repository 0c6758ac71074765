"""Certificates of simulated gateways: the same in every run, so that every run is the same."""

from __future__ import annotations

from functools import cache

from culvert.config.model import Credential
from culvert.crypto.certificates.issuing import Issuer, Span, authority, gateway
from culvert.crypto.certificates.store import TrustStore, trust_store
from culvert.crypto.public_keys import generate_key
from culvert.distinguished_names import DistinguishedName
from culvert.entropy import SeededEntropy

KIND = "ed25519"
SPAN = Span(1_700_000_000, 2_000_000_000)
"""Worlds begin in 2027, and none lasts for years."""


@cache
def issuer() -> Issuer:
    """Give the authority of the simulated worlds."""
    key = generate_key(KIND, SeededEntropy(0))
    return Issuer(authority(DistinguishedName.parse("O=Simulation, CN=Authority"), key, 1, SPAN), key)


@cache
def credential(name: str, number: int) -> Credential:
    """Give what a gateway proves its name with."""
    key = generate_key(KIND, SeededEntropy(number))
    subject = DistinguishedName.parse(f"O=Simulation, CN={name}")
    certificate = gateway(issuer(), subject, key.public, (name,), serial=number + 1, span=SPAN)
    return Credential(certificate, (), key)


@cache
def trust() -> TrustStore:
    return trust_store((issuer().certificate,))
