"""Making the proof of who we are, and judging the peer's (RFC 7296 sections 2.15 and 3.8).

A judgement is a value of one of two classes, never a truth value: nothing can be taken for a success that is not
spelled `Proven`. What the message shows decides which work is done, not what we know about its sender, so that an
unknown identity, a wrong secret and a bad certificate take the same time and get the same answer.
"""

from __future__ import annotations

from dataclasses import dataclass

from culvert.config.model import Peer
from culvert.crypto.compare import constant_time_equal
from culvert.crypto.keys import psk_auth
from culvert.entropy import Entropy
from culvert.ike.v2 import keys
from culvert.ike.v2.sa import IkeSa
from culvert.reasons import Refusal
from culvert.wire.isakmp.auth import Authentication, AuthMethod
from culvert.wire.isakmp.identification import Identification

DECOY_OCTETS = 32
"""A secret that nobody has, for whom we do not know."""


@dataclass(frozen=True, slots=True)
class Proven:
    """The peer is who it says it is. `how` is for the log."""

    how: str


@dataclass(frozen=True, slots=True)
class NotProven:
    """It is not, or we cannot tell. `explanation` is for our log and status; nothing of it travels."""

    explanation: str
    reason: Refusal = Refusal.AUTHENTICATION_FAILED


Judgement = Proven | NotProven


def make(sa: IkeSa, peer: Peer, identification: Identification) -> Authentication:
    """Prove that we are who `identification` says."""
    octets = keys.octets_to_prove(sa, identification, by_initiator=sa.initiator)
    return Authentication(AuthMethod.SHARED_KEY, psk_auth(keys.prf_of(sa), peer.secret or b"", octets))


def judge(
    sa: IkeSa, peer: Peer | None, identification: Identification, given: Authentication, entropy: Entropy
) -> Judgement:
    """Judge the peer's proof by what is configured for it; `peer` None is nobody we know, and proves nothing."""
    octets = keys.octets_to_prove(sa, identification, by_initiator=not sa.initiator)
    if given.method != AuthMethod.SHARED_KEY:
        return NotProven(f"it proves itself by {_named(given.method)}, and a shared secret is asked for")
    return _by_secret(sa, peer, octets, given, entropy)


def _by_secret(sa: IkeSa, peer: Peer | None, octets: bytes, given: Authentication, entropy: Entropy) -> Judgement:
    secret = peer.secret if peer else None
    expected = psk_auth(keys.prf_of(sa), secret or entropy.octets(DECOY_OCTETS), octets)
    same = constant_time_equal(expected, given.data)
    if peer is None:
        return NotProven("nobody is configured with this identity")
    if not secret:
        return NotProven("there is no secret for this peer", Refusal.NO_SECRET)
    return Proven("by the shared secret") if same else NotProven("its secret is not the one that we have for this peer")


def _named(method: AuthMethod | int) -> str:
    return f"authentication method {int(method)}"
