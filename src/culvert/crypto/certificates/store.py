"""What is trusted, and the verdict about what is presented: values that cannot be mistaken for one another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

from culvert.crypto.certificates.certificate import Certificate
from culvert.crypto.certificates.revocation import RevocationList
from culvert.reasons import Refusal


@dataclass(frozen=True, slots=True)
class TrustStore:
    """Whom we believe. `anchors` are trusted as they are; `intermediates` only help to find a way to them.

    An issuer of whom `crls` holds a list is believed as far as that list says; with `require_crl` every issuer needs
    one. `legacy`: SHA-1 and short RSA keys are good enough.
    """

    anchors: tuple[Certificate, ...]
    intermediates: tuple[Certificate, ...] = ()
    crls: tuple[RevocationList, ...] = ()
    require_crl: bool = False
    legacy: bool = False


@dataclass(frozen=True, slots=True)
class Trusted:
    """The certificate is believed. `path` leads from it to the anchor."""

    path: tuple[Certificate, ...]

    def __bool__(self) -> NoReturn:
        """Both verdicts would be true."""
        raise TypeError("a verdict is matched, not tested for truth")


@dataclass(frozen=True, slots=True)
class Distrusted:
    """The certificate is not believed; `explanation` is a sentence for our own side, never for the peer."""

    reason: Refusal
    explanation: str

    def __bool__(self) -> NoReturn:
        raise TypeError("a verdict is matched, not tested for truth")


Verdict = Trusted | Distrusted


def trust_store(
    certificates: tuple[Certificate, ...],
    crls: tuple[RevocationList, ...] = (),
    *,
    require_crl: bool = False,
    legacy: bool = False,
) -> TrustStore:
    """Sort what was configured as `ca`: a certificate whose issuer is among the others is no anchor.

    So a root and the authority below it may stand in one file, and the root can revoke that authority.
    """
    anchors = tuple(one for one in certificates if not any(_issued(other, one) for other in certificates))
    others = tuple(one for one in certificates if one not in anchors)
    return TrustStore(anchors or certificates, others if anchors else (), crls, require_crl, legacy)


def _issued(issuer: Certificate, one: Certificate) -> bool:
    return (
        issuer != one and not one.self_issued and issuer.subject.same(one.issuer) and one.signed_by(issuer.public_key)
    )
