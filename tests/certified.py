"""Two gateways that prove themselves by certificates: what is right about them, and everything that may be wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

from culvert.config.model import Authentication, Credential, Peer
from culvert.crypto.certificates.certificate import Certificate
from culvert.crypto.certificates.store import TrustStore
from culvert.identities import Identity
from culvert.sim.pair import Pair
from tests.unit.crypto.certificates.authorities import (
    CA_USAGE,
    DAY_S,
    LEAF_USAGE,
    NOW_S,
    Authority,
    Extension,
    constraint,
    dns,
    key,
    root,
    usage,
)

SIDES = ("west", "east")


@cache
def authority() -> Authority:
    """Give the one that both ends trust."""
    return root("C=DE, O=Example, CN=Root")


@cache
def intermediate() -> Authority:
    return authority().authority("C=DE, O=Example, CN=Intermediate")


@cache
def stranger() -> Authority:
    """Give one that nobody has heard of."""
    return root("C=DE, O=Elsewhere, CN=Other Root")


def name_of(side: str) -> Identity:
    return Identity.parse(f"{side}.example.org")


def subject_of(side: str) -> str:
    return f"C=DE, O=Example, CN={side}"


def credential(
    side: str,
    *extensions: Extension,
    issuer: Authority | None = None,
    chain: tuple[Certificate, ...] = (),
    kind: str = "ecdsa256",
    from_s: int = NOW_S - DAY_S,
    until_s: int = NOW_S + DAY_S,
) -> Credential:
    """Issue a certificate with the name of a gateway, or with these extensions instead."""
    own = key(kind, SIDES.index(side) + 1)
    issued = (issuer or authority()).issue(
        subject_of(side),
        extensions or (LEAF_USAGE, dns(f"{side}.example.org")),
        holder=own,
        from_s=from_s,
        until_s=until_s,
    )
    return Credential(issued, chain, own)


@cache
def good(side: str) -> Credential:
    """Give the same one each time, so that it can be revoked."""
    return credential(side)


def _by_chain(side: str) -> Credential:
    middle = intermediate()
    return credential(side, issuer=middle, chain=(middle.certificate,))


def _swapped(side: str) -> Credential:
    """Show the authority first, and the own certificate behind it."""
    right = _by_chain(side)
    return replace(right, certificate=right.chain[0], chain=(right.certificate,))


def _leaf_as_authority(side: str) -> Credential:
    """Let somebody who has a certificate issue another one."""
    own = key("ecdsa256", 78)
    gateway = authority().issue("C=DE, O=Example, CN=Greedy", (LEAF_USAGE, dns("greedy.example.org")), holder=own)
    return credential(side, issuer=Authority(gateway, own), chain=(gateway,))


def _constrained(side: str) -> Credential:
    from cryptography import x509

    within = x509.NameConstraints([x509.DNSName("elsewhere.org")], None)
    middle = authority().authority("C=DE, O=Example, CN=Constrained", constraint(), CA_USAGE, (within, True))
    return credential(side, issuer=middle, chain=(middle.certificate,))


def _for_mail(side: str) -> Credential:
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
    return credential(side, LEAF_USAGE, dns(f"{side}.example.org"), (purpose, False))


def _another_key(side: str) -> Credential:
    return replace(credential(side), key=key("ecdsa256", 77))


CREDENTIALS: dict[str, Callable[[str], Credential]] = {
    "good": good,
    "rsa": lambda side: credential(side, kind="rsa2048"),
    "p384": lambda side: credential(side, kind="ecdsa384"),
    "p521": lambda side: credential(side, kind="ecdsa521"),
    "ed25519": lambda side: credential(side, kind="ed25519"),
    "chain": _by_chain,
    "expired": lambda side: credential(side, from_s=NOW_S - 2 * DAY_S, until_s=NOW_S - DAY_S),
    "early": lambda side: credential(side, from_s=NOW_S + DAY_S, until_s=NOW_S + 2 * DAY_S),
    "of a stranger": lambda side: credential(side, issuer=stranger()),
    "without its chain": lambda side: credential(side, issuer=intermediate()),
    "swapped": _swapped,
    "issued by a gateway": _leaf_as_authority,
    "constrained": _constrained,
    "not for signatures": lambda side: credential(side, (usage("key_encipherment"), True), dns(f"{side}.example.org")),
    "for mail": _for_mail,
    "short rsa": lambda side: credential(side, kind="rsa1024"),
    "of another name": lambda side: credential(side, LEAF_USAGE, dns("somebody.example.org")),
    "without a name": lambda side: credential(side, LEAF_USAGE),
    "with another key": _another_key,
}
"""What a gateway may show. All but the first six are refused."""


def trust() -> TrustStore:
    return TrustStore((authority().certificate,))


def certified(peer: Peer, ours: str, theirs: str) -> Peer:
    """Let a peer be met by certificates that are all right."""
    return replace(
        peer,
        auth=Authentication.CERTIFICATE,
        secret=None,
        identity=name_of(theirs),
        local_identity=name_of(ours),
        credential=good(ours),
        trust=trust(),
    )


def certified_pair(*, west: str = "good", east: str = "good", seed: int = 1) -> Pair:
    """Give two gateways with these credentials; they are not configured yet."""
    pair = Pair(seed)
    pair.west_peer = replace(certified(pair.west_peer, "west", "east"), credential=CREDENTIALS[west]("west"))
    pair.east_peer = replace(certified(pair.east_peer, "east", "west"), credential=CREDENTIALS[east]("east"))
    return pair


def revoking(side: str, shown: Credential) -> TrustStore:
    """Trust the authority, and believe its list on which this certificate stands."""
    return TrustStore((authority().certificate,), crls=(authority().crl(shown.certificate.serial),))
