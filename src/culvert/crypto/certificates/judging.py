"""Whether a certificate is to be believed: a way to an anchor is sought and every step of it judged (RFC 5280 6).

The order of checks is that of their cost. A path that fails is not the end: there may be another (authorities sign
each other); the search is bounded, and what it found wrong last on the most promising path is the explanation.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

from culvert.crypto.certificates.certificate import Certificate, shortened
from culvert.crypto.certificates.constraints import violation
from culvert.crypto.certificates.extensions import KeyUsage
from culvert.crypto.certificates.revoked import revocation
from culvert.crypto.certificates.store import Distrusted, Trusted, TrustStore, Verdict
from culvert.crypto.certificates.times import written_time
from culvert.limits import MAX_CERTIFICATE_PATH, MAX_PATH_STEPS, MAX_PRESENTED_CERTIFICATES
from culvert.reasons import Refusal

_ANY, _IPSEC_IKE, _IKE_INTERMEDIATE = "2.5.29.37.0", "1.3.6.1.5.5.7.3.17", "1.3.6.1.5.5.8.2.2"
_SERVER, _CLIENT = "1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"
PURPOSES = (_ANY, _IPSEC_IKE, _IKE_INTERMEDIATE, _SERVER, _CLIENT)
"""Extended key usages that are good for IKE (RFC 4945 section 5.1.3.12); those of TLS because many authorities write
nothing else, and others take them."""


def judge(store: TrustStore, leaf: Certificate, chain: tuple[Certificate, ...], now_s: int) -> Verdict:
    """Judge `leaf`, presented together with `chain` in any order, at an instant in seconds since 1970.

    Whose certificate it is, is another question (`carries`).
    """
    if len(chain) > MAX_PRESENTED_CERTIFICATES:
        what = (
            f"{len(chain)} certificates were presented beside that of {leaf}, and {MAX_PRESENTED_CERTIFICATES} is most"
        )
        return Distrusted(Refusal.CERTIFICATE_UNTRUSTED, what)
    wrong = unfit(leaf, now_s, legacy=store.legacy)
    if wrong is not None:
        return wrong
    return _Search(store, (*store.anchors, *store.intermediates, *chain), now_s).from_leaf(leaf)


def unfit(leaf: Certificate, now_s: int, *, legacy: bool = False) -> Distrusted | None:
    """Say what keeps a gateway's certificate from being believed, whoever issued it; None where all is well."""
    return next(itertools.chain(_leaf(leaf), _sound(leaf, now_s, legacy=legacy)), None)


def _leaf(leaf: Certificate) -> Iterator[Distrusted]:
    """Judge what the certificate of a gateway must allow (RFC 4945 section 5.1.3.2)."""
    usage = leaf.extensions.key_usage
    if usage is not None and not usage & (KeyUsage.DIGITAL_SIGNATURE | KeyUsage.CONTENT_COMMITMENT):
        yield Distrusted(Refusal.CERTIFICATE_USAGE, f"the key of {leaf} is not for signatures, says its key usage")


def _sound(one: Certificate, now_s: int, *, legacy: bool) -> Iterator[Distrusted]:
    """Judge what every certificate of a path must be, whatever its place."""
    extensions = one.extensions
    if one.public_key.hopelessness or (one.public_key.weakness and not legacy):
        what = one.public_key.hopelessness or one.public_key.weakness
        yield Distrusted(Refusal.CERTIFICATE_WEAK, f"{one} has {what}")
    if now_s < one.not_before_s:
        what = f"the certificate of {one} is not valid before {written_time(one.not_before_s)}"
        yield Distrusted(Refusal.CERTIFICATE_NOT_YET_VALID, f"{what}; here it is {written_time(now_s)}")
    if now_s > one.not_after_s:
        what = f"the certificate of {one} expired on {written_time(one.not_after_s)}"
        yield Distrusted(Refusal.CERTIFICATE_EXPIRED, f"{what}; here it is {written_time(now_s)}")
    if extensions.unknown_critical:
        what = f"the certificate of {one} has a critical extension that is not known ({extensions.unknown_critical[0]})"
        yield Distrusted(Refusal.CERTIFICATE_USAGE, what)
    purposes = extensions.extended_key_usage
    if purposes is not None and not any(purpose in PURPOSES for purpose in purposes):
        what = f"the certificate of {one} is not for IKE: its extended key usage has neither ipsecIKE nor serverAuth"
        yield Distrusted(Refusal.CERTIFICATE_USAGE, what)


@dataclass(slots=True)
class _Search:
    """One search. `failure` is what went wrong on the path that came furthest."""

    store: TrustStore
    known: tuple[Certificate, ...]
    now_s: int
    steps: int = 0
    failure: Distrusted | None = None
    _furthest: tuple[bool, int] = field(default=(False, 0))

    def from_leaf(self, leaf: Certificate) -> Verdict:
        if (found := self._from((leaf,))) is not None:
            return found
        if self.failure is None or self.steps > MAX_PATH_STEPS:
            return _endless(leaf)
        return self.failure

    def _from(self, path: tuple[Certificate, ...]) -> Trusted | None:
        """Go on from a path that is good so far."""
        if path[-1] in self.store.anchors:
            return self._whole(path)
        issuers = self._issuers(path)
        if not issuers:
            self._fail(path, False, _nobody(self.store, path))
        for issuer in issuers:
            self.steps += 1
            if self.steps > MAX_PATH_STEPS or len(path) >= MAX_CERTIFICATE_PATH:
                self._fail(path, True, _endless(path[0]))
                return None
            wrong = next(self._step(path, issuer), None)
            if wrong is not None:
                self._fail(path, True, wrong)
            elif (found := self._from((*path, issuer))) is not None:
                return found
        return None

    def _issuers(self, path: tuple[Certificate, ...]) -> list[Certificate]:
        """Give all of the issuer's name, those first whose key has the identifier that the last of `path` names."""
        one = path[-1]
        alike = [other for other in self.known if other.subject.same(one.issuer) and not _is_in(other, path)]
        wanted = one.extensions.authority_key
        return sorted(dict.fromkeys(alike), key=lambda other: wanted not in (None, other.extensions.subject_key))

    def _step(self, path: tuple[Certificate, ...], issuer: Certificate) -> Iterator[Distrusted]:
        """Judge whether `issuer` may have issued the last of `path`, and has."""
        one = path[-1]
        yield from _sound(issuer, self.now_s, legacy=self.store.legacy)
        yield from _authority(issuer, path)
        yield from self._algorithm(one)
        yield from self._signature(one, issuer)

    def _algorithm(self, one: Certificate) -> Iterator[Distrusted]:
        if one.scheme is None:
            what = f"the certificate of {one} is signed with an algorithm that is not known here"
            yield Distrusted(Refusal.CERTIFICATE_WEAK, what)
        elif one.scheme.weak and not self.store.legacy:
            yield Distrusted(Refusal.CERTIFICATE_WEAK, f"the certificate of {one} is signed with {one.scheme.name}")

    def _signature(self, one: Certificate, issuer: Certificate) -> Iterator[Distrusted]:
        if not one.signed_by(issuer.public_key):
            what = f"the certificate of {one} names {issuer} as its issuer, and is not signed with that one's key"
            yield Distrusted(Refusal.CERTIFICATE_UNTRUSTED, what)

    def _whole(self, path: tuple[Certificate, ...]) -> Trusted | None:
        """Judge what only a whole path shows."""
        wrong = next(itertools.chain(_constraints(path), self._revocations(path)), None)
        if wrong is None:
            return Trusted(path)
        self._fail(path, True, wrong)
        return None

    def _revocations(self, path: tuple[Certificate, ...]) -> Iterator[Distrusted]:
        for one, issuer in itertools.pairwise(path):
            wrong = revocation(self.store, one, issuer, self.now_s)
            if wrong is not None:
                yield wrong

    def _fail(self, path: tuple[Certificate, ...], telling: bool, why: Distrusted) -> None:
        """Remember why; a path that came further tells more, and one that merely ended tells least."""
        rank = (telling, len(path))
        if self.failure is None or rank > self._furthest:
            self.failure, self._furthest = why, rank


def _is_in(one: Certificate, path: tuple[Certificate, ...]) -> bool:
    """Tell whether this authority is on the path already, with this certificate or another one of the same key."""
    return any(one.public_key == other.public_key and one.subject.same(other.subject) for other in path)


def _endless(leaf: Certificate) -> Distrusted:
    what = f"the way from {leaf} to an authority that is trusted here is too long or too winding"
    return Distrusted(Refusal.CERTIFICATE_UNTRUSTED, what)


def _nobody(store: TrustStore, path: tuple[Certificate, ...]) -> Distrusted:
    known = ", ".join(map(str, store.anchors[:4])) or "none"
    issuer = shortened(path[-1].issuer)
    what = f"{path[0]} was issued by {issuer}, which is no authority that is trusted here; trusted: {known}"
    if path[0].self_issued:
        what = f"{path[0]} signed its certificate itself, and it is not among the authorities trusted here"
    return Distrusted(Refusal.CERTIFICATE_UNTRUSTED, what)


def _authority(issuer: Certificate, path: tuple[Certificate, ...]) -> Iterator[Distrusted]:
    """Judge whether `issuer` is an authority that may have `path` below it (RFC 5280 section 6.1.4 k to n)."""
    extensions = issuer.extensions
    if not extensions.ca:
        what = f"{issuer} issued the certificate of {path[-1]}, and is no authority (basic constraints)"
        yield Distrusted(Refusal.CERTIFICATE_CONSTRAINED, what)
    if extensions.key_usage is not None and not extensions.key_usage & KeyUsage.KEY_CERT_SIGN:
        what = f"{issuer} issued the certificate of {path[-1]}, and its key usage does not allow that"
        yield Distrusted(Refusal.CERTIFICATE_CONSTRAINED, what)
    between = sum(not one.self_issued for one in path[1:])
    if extensions.path_length is not None and between > extensions.path_length:
        what = f"{issuer} allows {extensions.path_length} authorities below it, and there are {between}"
        yield Distrusted(Refusal.CERTIFICATE_CONSTRAINED, what)


def _constraints(path: tuple[Certificate, ...]) -> Iterator[Distrusted]:
    """Judge all names against all authorities above them; an authority's certificate for itself is exempt."""
    for at, issuer in enumerate(path[1:], 1):
        for position, below in enumerate(path[:at]):
            if position > 0 and below.self_issued:
                continue
            if name := violation(issuer, below):
                what = f"{issuer} may not vouch for {name} (name constraints)"
                yield Distrusted(Refusal.CERTIFICATE_CONSTRAINED, what)
