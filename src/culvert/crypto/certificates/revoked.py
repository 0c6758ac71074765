"""Whether an issuer has taken a certificate back, as far as its lists tell (RFC 5280 section 6.3).

A list that is there counts: where the issuer's lists are too old, or not signed by it, nobody knows whether the
certificate still holds, and it is refused. Whoever wants lists to be optional leaves them out of the configuration.
"""

from __future__ import annotations

from functools import lru_cache

from culvert.crypto.certificates.certificate import Certificate
from culvert.crypto.certificates.extensions import KeyUsage
from culvert.crypto.certificates.revocation import RevocationList
from culvert.crypto.certificates.store import Distrusted, TrustStore
from culvert.crypto.certificates.times import written_time
from culvert.crypto.public_keys import PublicKey
from culvert.reasons import Refusal


def revocation(store: TrustStore, one: Certificate, issuer: Certificate, now_s: int) -> Distrusted | None:
    """Judge one certificate by the lists of its issuer."""
    named = [crl for crl in store.crls if crl.issuer.same(one.issuer) and crl.speaks_of(authority=one.extensions.ca)]
    if not named:
        if store.require_crl:
            return _unknown(f"there is no revocation list of {issuer}, and one is required for {one}")
        return None
    genuine = [crl for crl in named if not _flaw(store, crl, issuer)]
    if not genuine:
        return _unknown(f"the revocation list of {issuer} cannot be used: {_flaw(store, named[0], issuer)}")
    if any(one.serial in crl.serials for crl in _newest(genuine)):
        return Distrusted(Refusal.CERTIFICATE_REVOKED, f"{issuer} revoked the certificate of {one}")
    whole = [crl for crl in genuine if not crl.partial]
    if not any(crl.current_at(now_s) for crl in whole):
        return _unknown(_too_old(whole, issuer, now_s)) if whole or store.require_crl else None
    return None


def _flaw(store: TrustStore, crl: RevocationList, issuer: Certificate) -> str:
    """Say why a list is not the issuer's word; empty where it is."""
    usage = issuer.extensions.key_usage
    if crl.unusable:
        return crl.unusable
    if crl.scheme is None or (crl.scheme.weak and not store.legacy):
        return "it is signed with an algorithm that is not known here, or too weak"
    if usage is not None and not usage & KeyUsage.CRL_SIGN:
        return "its issuer's key usage does not allow to sign lists"
    return "" if _signed(crl, issuer.public_key) else "it is not signed with its issuer's key"


@lru_cache(maxsize=16)
def _signed(crl: RevocationList, issuer: PublicKey) -> bool:
    """A list may have megabytes, and every set-up asks anew."""
    return crl.signed_by(issuer)


def _newest(lists: list[RevocationList]) -> list[RevocationList]:
    """Give the newest whole list, and all partial ones, which do not replace each other."""
    whole = sorted((crl for crl in lists if not crl.partial), key=lambda crl: crl.age)
    return [*whole[-1:], *(crl for crl in lists if crl.partial)]


def _too_old(lists: list[RevocationList], issuer: Certificate, now_s: int) -> str:
    if not lists:
        return f"the revocation lists of {issuer} tell of some of its certificates only"
    newest = max(lists, key=lambda crl: crl.age)
    if newest.this_update_s > now_s:
        return f"the revocation list of {issuer} counts from {written_time(newest.this_update_s)} only"
    return f"the revocation list of {issuer} is out of date since {written_time(newest.next_update_s or 0)}"


def _unknown(explanation: str) -> Distrusted:
    return Distrusted(Refusal.REVOCATION_UNKNOWN, explanation)
