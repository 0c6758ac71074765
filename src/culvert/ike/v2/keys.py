"""Keys of an IKE SA and of its children, from what the exchanges agreed on (RFC 7296 sections 2.14 to 2.18)."""

from __future__ import annotations

from dataclasses import dataclass

from culvert.crypto.keys import (
    ChildKeys,
    IkeKeys,
    RekeyedFrom,
    derive_child_keys,
    derive_ike_keys,
    signed_octets,
)
from culvert.crypto.transforms import Prf
from culvert.ike.negotiation import Suite
from culvert.ike.v2.sa import IkeSa
from culvert.wire.isakmp.identification import Identification


def prf_of(sa: IkeSa) -> Prf:
    """Give the PRF of an IKE SA whose algorithms are chosen."""
    if sa.suite is None or sa.suite.prf is None:
        raise ValueError("an IKE SA without a PRF")
    return sa.suite.prf


def keys_of(sa: IkeSa) -> IkeKeys:
    if sa.keys is None:
        raise ValueError("an IKE SA without keys")
    return sa.keys


def derive(sa: IkeSa, shared: bytes, predecessor: IkeSa | None = None) -> None:
    """Give `sa` its keys; SPIs, nonces and suite are there already. `predecessor` is the IKE SA that it replaces."""
    suite = sa.suite
    if suite is None:
        raise ValueError("an IKE SA without algorithms")
    rekeyed_from = RekeyedFrom(prf_of(predecessor), keys_of(predecessor).sk_d) if predecessor else None
    sa.keys = derive_ike_keys(
        prf_of(sa),
        suite.cipher,
        suite.integrity,
        shared=shared,
        nonce_i=sa.nonce_i,
        nonce_r=sa.nonce_r,
        spi_i=sa.spi_i,
        spi_r=sa.spi_r,
        rekeyed_from=rekeyed_from,
    )


@dataclass(frozen=True, slots=True)
class Nonces:
    """Those of the initiator and the responder of one exchange."""

    i: bytes
    r: bytes


def child_keys(sa: IkeSa, suite: Suite, nonces: Nonces, shared: bytes = b"") -> ChildKeys:
    """Derive the keys of a child; nonces and `shared` are those of the exchange that makes it."""
    return derive_child_keys(
        prf_of(sa),
        suite.encryption,
        suite.integrity,
        sk_d=keys_of(sa).sk_d,
        nonce_i=nonces.i,
        nonce_r=nonces.r,
        shared=shared,
    )


def octets_to_prove(sa: IkeSa, identification: Identification, *, by_initiator: bool) -> bytes:
    """Give what the AUTH payload of one end covers; `identification` is that end's (RFC 7296 section 2.15)."""
    keys = keys_of(sa)
    message, nonce, sk_p = (
        (sa.init_request, sa.nonce_r, keys.sk_pi) if by_initiator else (sa.init_response, sa.nonce_i, keys.sk_pr)
    )
    return signed_octets(prf_of(sa), message, nonce, sk_p, identification.emit())
