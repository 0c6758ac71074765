"""Chains by chance: good ones, and ones in which a thing or two is wrong."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

from cryptography import x509

from culvert.crypto.certificates.certificate import Certificate
from culvert.crypto.certificates.revocation import RevocationList
from tests.unit.crypto.certificates.authorities import (
    DAY_S,
    LEAF_USAGE,
    NOW_S,
    Authority,
    Extension,
    constraint,
    key,
    root,
    subject,
    usage,
)

KINDS = ("ecdsa256", "ecdsa384", "rsa2048", "ed25519")
DOMAINS = ("example.org", "gw.example.org", "example.com")
NETWORKS = ("10.0.0.0/8", "10.1.0.0/16", "2001:db8::/32")
MAILS = ("example.org", ".example.org", "admin@example.org")
NAMES = ("C=DE", "C=DE, O=Example", "C=FR")


@dataclass
class Case:
    """A leaf, what comes with it, whom we trust, and what was done to it (for the reader of a failure)."""

    leaf: Certificate
    chain: list[Certificate]
    anchor: Certificate
    crls: list[RevocationList] = field(default_factory=list)
    done: list[str] = field(default_factory=list)


class Chance:
    """Draws a case from a seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._done: list[str] = []

    def case(self, *, lists: bool) -> Case:
        random_ = self._random
        anchor = root("C=DE, O=Example, CN=Root", *self._authority(anchor=True), kind=random_.choice(KINDS))
        authorities = [anchor]
        for level in range(random_.randrange(4)):
            authorities.append(self._below(authorities[-1], level))
        leaf = self._leaf(authorities[-1])
        chain = [one.certificate for one in authorities[1:]]
        if chain and self._rarely("a missing link"):
            chain.pop(random_.randrange(len(chain)))
        random_.shuffle(chain)
        case = Case(leaf, chain, anchor.certificate, done=self._done)
        if lists:
            case.crls = self._lists(authorities, [*(one.certificate for one in authorities[1:]), leaf])
        return case

    def _rarely(self, what: str, chance: float = 0.06) -> bool:
        if self._random.random() >= chance:
            return False
        self._done.append(what)
        return True

    def _authority(self, *, anchor: bool = False) -> list[Extension]:
        """OpenSSL takes an anchor without basic constraints for an authority where its key usage says so; we do not."""
        length = self._random.choice([None, None, None, 3, 2, 1, 0])
        extensions = [] if not anchor and self._rarely("no basic constraints", 0.03) else [constraint(length)]
        if self._rarely("CA is false", 0.03):
            extensions = [constraint(ca=False)]
        signing = (
            ("digital_signature", "crl_sign") if self._rarely("no keyCertSign", 0.03) else ("key_cert_sign", "crl_sign")
        )
        if not self._rarely("no key usage"):
            extensions.append((usage(*signing), True))
        if self._random.random() < 0.3:
            extensions.append(self._limits())
        return self._strange(extensions)

    def _strange(self, extensions: list[Extension]) -> list[Extension]:
        if self._rarely("an unknown critical extension", 0.03):
            extensions.append((x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True))
        return extensions

    def _limits(self) -> Extension:
        def some(most: int) -> list[x509.GeneralName] | None:
            return [self._limit() for _ in range(self._random.randrange(most))] or None

        permitted, excluded = some(4), some(2)
        if permitted is None and excluded is None:
            permitted = [x509.DNSName("example.org")]
        self._done.append(f"limits {permitted} {excluded}")
        return x509.NameConstraints(permitted, excluded), True

    def _limit(self) -> x509.GeneralName:
        choose = self._random.choice
        kind = self._random.randrange(4)
        if kind == 0:
            return x509.DNSName(choose(DOMAINS))
        if kind == 1:
            return x509.IPAddress(ip_network(choose(NETWORKS)))
        if kind == 2:
            return x509.RFC822Name(choose(MAILS))
        return x509.DirectoryName(subject(choose(NAMES)))

    def _validity(self) -> tuple[int, int]:
        if self._rarely("expired", 0.03):
            return NOW_S - 9 * DAY_S, NOW_S - 1
        if self._rarely("not yet valid", 0.03):
            return NOW_S + 1, NOW_S + 9 * DAY_S
        return NOW_S - DAY_S, NOW_S + DAY_S

    def _below(self, above: Authority, level: int) -> Authority:
        kind = self._random.choice(KINDS)
        own = key(kind, 100 + level)
        name = self._random.choice(["C=DE, O=Example", "C=DE, O=Example", "C=FR, O=Autre"]) + f", CN=Level {level}"
        begin, end = self._validity()
        signer = self._signer(above)
        certificate = signer.issue(name, self._authority(), holder=own, from_s=begin, until_s=end)
        made = Authority(certificate, own)
        made.hash = None if kind == "ed25519" else made.hash
        return made

    def _signer(self, above: Authority) -> Authority:
        """The authority itself; or somebody who merely writes its name."""
        if not self._rarely("another key signs", 0.03):
            return above
        return Authority(above.certificate, key("ecdsa256", 666), serial=above.serial)

    def _leaf(self, above: Authority) -> Certificate:
        choose, count = self._random.choice, self._random.randrange
        names: list[x509.GeneralName] = [x509.DNSName(choose(DOMAINS)) for _ in range(count(2))]
        names += [x509.IPAddress(ip_address(choose(["10.1.2.3", "10.9.2.3", "11.0.0.1", "2001:db8::1"])))] * count(2)
        names += [x509.RFC822Name(choose(["admin@example.org", "x@example.org", "x@gw.example.org"]))] * count(2)
        extensions = [LEAF_USAGE, *([(x509.SubjectAlternativeName(names), False)] if names else [])]
        begin, end = self._validity()
        name = choose(["C=DE, O=Example, CN=leaf", "C=DE, CN=leaf", "C=FR, O=Autre, CN=leaf"])
        return self._signer(above).issue(name, self._strange(extensions), from_s=begin, until_s=end)

    def _lists(self, authorities: list[Authority], issued: list[Certificate]) -> list[RevocationList]:
        found = []
        for authority, below in zip(authorities, issued, strict=True):
            if self._rarely("no list"):
                continue
            revoked = [below.serial] if self._rarely("revoked") else [4711]
            begin, end = NOW_S - DAY_S, NOW_S + DAY_S
            if self._rarely("a list out of date"):
                begin, end = NOW_S - 9 * DAY_S, NOW_S - 1
            elif self._rarely("a list of tomorrow"):
                begin, end = NOW_S + 1, NOW_S + 9 * DAY_S
            signer = key("ecdsa256", 666) if self._rarely("a forged list", 0.03) else None
            by = authority if signer is None else Authority(authority.certificate, signer)
            found.append(by.crl(*revoked, from_s=begin, until_s=end))
        return found
