"""Making the proof of who we are, and judging the peer's (RFC 7296 sections 2.15 and 3.8, RFC 7427).

A judgement is a value of one of two classes, never a truth value: nothing can be taken for a success that is not
spelled `Proven`, and that is made only where every single finding says yes. What the message shows decides which work
is done, not what we know about its sender, so that an unknown identity, a wrong secret and a bad certificate take the
same time and get the same answer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NoReturn

from culvert.config.model import Authentication as How
from culvert.config.model import Credential, Peer
from culvert.crypto import signatures
from culvert.crypto.certificates.carrying import carries, identities_of
from culvert.crypto.certificates.certificate import Certificate
from culvert.crypto.certificates.judging import judge as judge_certificate
from culvert.crypto.certificates.store import Distrusted, Trusted, TrustStore, Verdict
from culvert.crypto.compare import constant_time_equal
from culvert.crypto.keys import psk_auth
from culvert.identities import Identity
from culvert.ike.records import PeerRecord
from culvert.ike.v2 import certificate_payloads as certificates
from culvert.ike.v2 import keys
from culvert.ike.v2.callers import shortened
from culvert.ike.v2.context import Context
from culvert.ike.v2.reading import Contents
from culvert.ike.v2.sa import IkeSa
from culvert.reasons import Refusal
from culvert.wire.isakmp.auth import Authentication, AuthMethod
from culvert.wire.isakmp.identification import Identification

DECOY_OCTETS = 32
"""A secret that nobody has, for whom we do not know."""
NOBODY = TrustStore(())
MAX_NAMES_SHOWN = 8
"""Names of a certificate that a sentence has room for."""


@dataclass(frozen=True, slots=True)
class Proven:
    """The peer is who it says it is. `how` is for the log; empty where there is nothing to say about it.

    `certificates` are those that proved it, its own first; `until_s` is when the first of the path ends.
    """

    how: str = ""
    certificates: tuple[bytes, ...] = field(default=(), repr=False)
    until_s: int | None = None

    def __bool__(self) -> NoReturn:
        raise TypeError("a judgement is matched, not tested for truth")


@dataclass(frozen=True, slots=True)
class NotProven:
    """It is not, or we cannot tell. `explanation` is for our log and status; nothing of it travels."""

    explanation: str
    reason: Refusal = Refusal.AUTHENTICATION_FAILED

    def __bool__(self) -> NoReturn:
        raise TypeError("a judgement is matched, not tested for truth")


Judgement = Proven | NotProven
SIGNATURES = tuple(int(one) for one in signatures.SignatureMethod)
"""AUTH methods that come with a certificate. NULL, passwords and DSS are none of ours."""
NO_CREDENTIAL = "no certificate with its key, or no authority, is configured for this peer"
UNKNOWN = NotProven("nobody is configured with this identity")


class NoProof(Exception):  # noqa: N818 - the name says what is the case
    """We have nothing by which this peer would believe us; the text says why."""


def make(sa: IkeSa, peer: Peer, identification: Identification) -> Authentication:
    """Prove that we are who `identification` says. Raise NoProof."""
    octets = keys.octets_to_prove(sa, identification, by_initiator=sa.initiator)
    if peer.own_auth is How.CERTIFICATE:
        return _signed(sa, peer, octets)
    secret = peer.secret_at(sa.remote.ip)
    return Authentication(AuthMethod.SHARED_KEY, psk_auth(keys.prf_of(sa), secret.octets if secret else b"", octets))


def _signed(sa: IkeSa, peer: Peer, octets: bytes) -> Authentication:
    if peer.credential is None:
        raise NoProof(NO_CREDENTIAL)
    method = _method(peer, peer.credential, sa.peer_hashes)
    try:
        data = signatures.sign(peer.credential.key, octets, method, sa.peer_hashes, legacy=peer.legacy)
    except signatures.NoSignature as error:
        raise NoProof(str(error)) from error
    return Authentication(AuthMethod(method), data)


def check_means(peer: Peer, hashes: tuple[int, ...]) -> None:
    """See that we have something by which a peer that announced these hashes would believe us. Raise NoProof."""
    if peer.own_auth is How.CERTIFICATE and peer.credential is None:
        raise NoProof(NO_CREDENTIAL)
    if peer.own_auth is How.CERTIFICATE and peer.credential is not None:
        _method(peer, peer.credential, hashes)


def _method(peer: Peer, credential: Credential, hashes: tuple[int, ...]) -> signatures.SignatureMethod:
    chosen = signatures.preferred(credential.key, hashes, legacy=peer.legacy)
    if chosen is None:
        knows = f"takes only the hashes {', '.join(map(str, hashes))}" if hashes else "does not know RFC 7427"
        raise NoProof(f"the peer {knows}: our key ({credential.key.public}) makes no signature for it")
    return chosen.method


def lack(peer: Peer) -> tuple[Refusal, str] | None:
    """Say what is missing to set up a tunnel with this peer at all, or None."""
    if How.SECRET in peer.auths and not peer.secret:
        return Refusal.NO_SECRET, "there is no secret for this peer"
    ours = peer.own_auth is not How.CERTIFICATE or peer.credential is not None
    theirs = peer.auth is not How.CERTIFICATE or peer.trust is not None
    return None if ours and theirs else (Refusal.NO_CERTIFICATE, NO_CREDENTIAL)


@dataclass(frozen=True, slots=True)
class _Claim:
    """Who the peer says it is, by what it shows that, and the octets that its proof covers."""

    identity: Identity | None
    given: Authentication
    shown: certificates.Shown | certificates.NotShown
    octets: bytes = field(repr=False)


def judge(ctx: Context, sa: IkeSa, peer: Peer | None, identification: Identification, contents: Contents) -> Judgement:
    """Judge the peer's proof by what is configured for it; `peer` None is nobody we know, and proves nothing."""
    octets = keys.octets_to_prove(sa, identification, by_initiator=not sa.initiator)
    given = contents.get(Authentication)
    if given.method == AuthMethod.SHARED_KEY:
        return _by_secret(ctx, sa, peer, octets, given)
    if given.method not in SIGNATURES:
        return NotProven(f"it proves itself by authentication method {int(given.method)}, which is none of ours")
    return _by_signature(ctx, sa, peer, _Claim(identification.identity, given, certificates.shown(contents), octets))


def _by_secret(ctx: Context, sa: IkeSa, peer: Peer | None, octets: bytes, given: Authentication) -> Judgement:
    secret = peer.secret_at(sa.remote.ip) if peer is not None and peer.auth is How.SECRET else None
    expected = psk_auth(keys.prf_of(sa), secret.octets if secret else ctx.entropy.octets(DECOY_OCTETS), octets)
    same = constant_time_equal(expected, given.data)
    if secret and same is True:
        return Proven()
    if peer is None:
        return UNKNOWN
    if peer.auth is not How.SECRET:
        return NotProven("it proves itself by a shared secret, and a certificate is asked for")
    if not secret:
        return NotProven("there is no secret for this peer", Refusal.NO_SECRET)
    place = f" in {secret.place}" if secret.place else ""
    return NotProven(f"its secret is not the one that we have for this peer{place}")


@dataclass(frozen=True, slots=True)
class _Findings:
    """What was found out about a certificate and its signature, each for itself."""

    leaf: Certificate
    verdict: Verdict
    carried: bool
    signed: bool
    algorithm: str


def _by_signature(ctx: Context, sa: IkeSa, peer: Peer | None, claim: _Claim) -> Judgement:
    """Find out everything, whoever it is; then say yes where all of it is good, or the first thing that is not."""
    if isinstance(claim.shown, certificates.NotShown):
        explanation = claim.shown.explanation
        return NotProven(explanation, Refusal.NO_CERTIFICATE) if _certified(peer) else _not_by_certificate(peer)
    leaf = claim.shown.leaf
    found = _Findings(
        leaf,
        _verdict(ctx, peer, claim.shown),
        claim.identity is not None and carries(leaf, claim.identity),
        _signs(sa, peer, leaf, claim),
        signatures.describe(int(claim.given.method), claim.given.data),
    )
    if not _certified(peer):
        return _not_by_certificate(peer)
    if isinstance(found.verdict, Trusted) and found.carried is True and found.signed is True:
        path = found.verdict.path
        return Proven(
            f'by the certificate {leaf} of "{shortened(str(leaf.issuer))}", with {found.algorithm}',
            (leaf.der, *(one.der for one in path[1:-1])),
            min(one.not_after_s for one in path),
        )
    return _why_not(found)


def _certified(peer: Peer | None) -> bool:
    """Tell whether a certificate is what this peer proves itself with, and by whose word."""
    return peer is not None and peer.auth is How.CERTIFICATE and peer.trust is not None


def _not_by_certificate(peer: Peer | None) -> NotProven:
    if peer is None:
        return UNKNOWN
    if peer.auth is not How.CERTIFICATE:
        return NotProven("it proves itself by a certificate, and a shared secret is asked for")
    return NotProven("no authority is configured for this peer's certificates")


def _verdict(ctx: Context, peer: Peer | None, shown: certificates.Shown) -> Verdict:
    """Judge the certificate; for whom we do not know by another's authorities, for the same work's sake."""
    if ctx.utc_s is None:
        return Distrusted(Refusal.CALENDAR_UNKNOWN, "its certificate cannot be judged: nobody told us the time of day")
    store = peer.trust if peer is not None and peer.trust is not None else ctx.peers.any_trust or NOBODY
    return judge_certificate(store, shown.leaf, shown.others, ctx.utc_s)


def _signs(sa: IkeSa, peer: Peer | None, leaf: Certificate, claim: _Claim) -> bool:
    """Tell whether the key of the certificate made this signature, in a way that we said we take."""
    given = claim.given
    if given.method == AuthMethod.DIGITAL_SIGNATURE and not (sa.initiator or sa.peer_hashes):
        return False  # we announced nothing, since it did not (RFC 7427 section 4)
    legacy = peer is not None and peer.legacy
    return signatures.verify(leaf.public_key, claim.octets, int(given.method), given.data, legacy=legacy)


def _why_not(found: _Findings) -> NotProven:
    """Name the first thing that is wrong."""
    if isinstance(found.verdict, Distrusted):
        return NotProven(found.verdict.explanation, found.verdict.reason)
    if not found.carried:
        names = ", ".join(str(one) for one in identities_of(found.leaf)[:MAX_NAMES_SHOWN]) or "nobody"
        names = shortened(names)
        return NotProven(f"that does not stand in its certificate, which is for {names}")
    if not found.signed:
        return NotProven(
            f"its signature ({shortened(found.algorithm)}) does not show that it has the key of its certificate"
        )
    raise TypeError("nothing is wrong with this proof")


def not_accepted(ctx: Context, sa: IkeSa, record: PeerRecord) -> str:
    """Say what it means that the peer does not accept our proof; it does not say which part of it."""
    said, peer = f"we say that we are {record.local_identity(sa.local.ip)}", record.peer
    if peer.own_auth is How.SECRET:
        secret = peer.secret_at(sa.remote.ip)
        place = f"; our secret is that in {secret.place}" if secret and secret.place else ""
        return f"our secret or our identity is not the one that it has for us; {said}{place}"
    said += "; it asks for certificates of other authorities than ours" if sa.other_authorities else ""
    own = peer.credential.certificate if peer.credential else None
    late = own is not None and ctx.utc_s is not None and not own.valid_at(ctx.utc_s)
    return f"it does not accept our certificate or our identity; {said}{'; ours is not valid now' if late else ''}"
