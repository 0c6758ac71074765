"""What travels about certificates: CERT, CERTREQ and the hashes that signatures may use (RFC 7296 3.6, 3.7, RFC 7427).

Nothing is fetched from anywhere, and what the peer sends is bounded before it is read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from culvert.config.model import Authentication as How
from culvert.config.model import Peer
from culvert.crypto.certificates.certificate import Certificate, MalformedCertificate, parse_certificate
from culvert.crypto.digests import authority_hash
from culvert.crypto.signatures import ALLOWED_HASHES
from culvert.ike.v2.reading import Contents
from culvert.limits import MAX_AUTHORITIES_ASKED, MAX_PRESENTED_CERTIFICATES, MAX_SIGNATURE_HASHES
from culvert.wire.isakmp.cert import Certificate as CertificatePayload
from culvert.wire.isakmp.cert import CertificateEncoding
from culvert.wire.isakmp.certreq import CertificateRequest
from culvert.wire.isakmp.notify import Notify, NotifyType

AUTHORITY_OCTETS = 20
"""One authority in a CERTREQ payload: SHA-1 of its SubjectPublicKeyInfo (RFC 7296 section 3.7)."""
X509 = CertificateEncoding.X509_SIGNATURE
URLS = (CertificateEncoding.HASH_AND_URL, CertificateEncoding.HASH_AND_URL_BUNDLE)


def announced() -> Notify:
    """Announce the hashes that the peer may sign with, and so that we know RFC 7427 (section 4)."""
    data = b"".join(int(one).to_bytes(2, "big") for one in ALLOWED_HASHES)
    return Notify(NotifyType.SIGNATURE_HASH_ALGORITHMS, data)


def hashes_of(contents: Contents) -> tuple[int, ...]:
    """Give the hashes that the peer announces, known or not; none where it does not know RFC 7427."""
    data = b"".join(contents.notified(NotifyType.SIGNATURE_HASH_ALGORITHMS))[: 2 * MAX_SIGNATURE_HASHES]
    return tuple(int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data) - 1, 2))


def own_chain(peer: Peer) -> tuple[CertificatePayload, ...]:
    """Show our certificate, the leaf first, for that is the one whose key signs (RFC 7296 section 3.6)."""
    if peer.own_auth is not How.CERTIFICATE or peer.credential is None:
        return ()
    chain = (peer.credential.certificate, *peer.credential.chain)
    return tuple(CertificatePayload(X509, one.der) for one in chain)


def asking(peers: Iterable[Peer], most: int = MAX_AUTHORITIES_ASKED) -> tuple[CertificateRequest, ...]:
    """Ask for certificates of the authorities that we trust for these peers; of the first ones, where they are many."""
    stores = [peer.trust for peer in peers if peer.auth is How.CERTIFICATE and peer.trust is not None]
    anchors = [one for store in stores for one in store.anchors]
    hashes = list(dict.fromkeys(authority_hash(one.public_key.spki) for one in anchors))[:most]
    return (CertificateRequest(X509, b"".join(hashes)),) if hashes else ()


def asks_for_others(contents: Contents, peer: Peer) -> bool:
    """Tell whether the peer names authorities, and none of those that our certificate comes from, which we all know.

    That is no reason not to show it (RFC 7296 section 3.7), but it explains what follows.
    """
    asked = [one.authorities for one in contents.all(CertificateRequest) if one.encoding == X509]
    if peer.own_auth is not How.CERTIFICATE or peer.credential is None or not any(asked):
        return False
    hashes = {row[at : at + AUTHORITY_OCTETS] for row in asked for at in range(0, len(row), AUTHORITY_OCTETS)}
    issuers = _issuers(peer)
    return None not in issuers and not any(authority_hash(one.public_key.spki) in hashes for one in issuers if one)


def _issuers(peer: Peer) -> list[Certificate | None]:
    """Give the authorities above our certificate, one for each that we show; None for those that we do not know."""
    own = (peer.credential.certificate, *peer.credential.chain) if peer.credential is not None else ()
    known = (*own[1:], *(peer.trust.anchors if peer.trust is not None else ()))
    return [next((one for one in known if one.subject.same(shown.issuer)), None) for shown in own]


@dataclass(frozen=True, slots=True)
class Shown:
    """The certificates that a peer sent: the one that it says is its own, and those that may lead to an authority."""

    leaf: Certificate
    others: tuple[Certificate, ...]


@dataclass(frozen=True, slots=True)
class NotShown:
    """There is none that we could judge; the sentence says why."""

    explanation: str


def shown(contents: Contents) -> Shown | NotShown:
    """Read the certificates of a message. The first is the leaf; others that cannot be read lead nowhere."""
    payloads = contents.all(CertificatePayload)
    if any(one.encoding in URLS for one in payloads):
        return NotShown("it sends the URL of its certificate, and nothing is fetched for somebody who is not known yet")
    if len(payloads) > MAX_PRESENTED_CERTIFICATES:
        return NotShown(f"it sends {len(payloads)} certificates, and {MAX_PRESENTED_CERTIFICATES} are the most")
    found = [one.data for one in payloads if one.encoding == X509]
    if not found:
        return NotShown(_without(payloads))
    try:
        return Shown(parse_certificate(found[0]), tuple(_readable(found[1:])))
    except MalformedCertificate as error:
        return NotShown(f"its certificate cannot be read: {error}")


def _readable(octets: Iterable[bytes]) -> Iterable[Certificate]:
    for data in octets:
        try:
            yield parse_certificate(data)
        except MalformedCertificate:
            continue


def _without(payloads: list[CertificatePayload]) -> str:
    if not payloads:
        return "it sends no certificate"
    return f"it sends its certificate in encoding {int(payloads[0].encoding)}, and X.509 (4) is the one that is read"
