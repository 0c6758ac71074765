"""The files of two gateways that prove themselves by certificates, issued for the time of the test."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from culvert.config.model import Credential
from culvert.crypto import pem
from culvert.crypto.certificates.certificate import Certificate
from culvert.crypto.public_keys import PrivateKey
from tests.unit.crypto.certificates.authorities import (
    CA_USAGE,
    DAY_S,
    LEAF_USAGE,
    Authority,
    Extension,
    _hash_for,
    certificate,
    constraint,
    dns,
    key,
)

ROOT = "C=DE, O=Example, CN=Root"


def _validity() -> tuple[int, int]:
    now_s = int(time.time())
    return now_s - DAY_S, now_s + DAY_S


def _keys(own: PrivateKey, issuer: PrivateKey) -> list[Extension]:
    """Name both keys, by which strongSwan finds lists and issuers."""
    return [
        (x509.SubjectKeyIdentifier.from_public_key(own.public.key), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public.key), False),
    ]


def root(kind: str = "ecdsa256") -> Authority:
    own = key(kind, 500)
    made = certificate(
        ROOT, ROOT, own, own, (constraint(), CA_USAGE, *_keys(own, own)), hash_=_hash_for(own), validity=_validity()
    )
    return Authority(made, own, _hash_for(own))


def below(issuer: Authority, name: str, kind: str) -> Authority:
    """Issue to an authority below."""
    own = key(kind, 501 + sum(name.encode()))
    issuer.serial += 1
    made = certificate(
        name,
        str(issuer.certificate.subject),
        own,
        issuer.key,
        (constraint(), CA_USAGE, *_keys(own, issuer.key)),
        serial=issuer.serial,
        hash_=issuer.hash,
        validity=_validity(),
    )
    return Authority(made, own, _hash_for(own))


@dataclass(frozen=True)
class Paper:
    """What one gateway has."""

    name: str
    credential: Credential

    @property
    def chain(self) -> bytes:
        """Certificate and authorities below the root, as one file."""
        return text(self.credential.certificate, *self.credential.chain)

    @property
    def key(self) -> bytes:
        return self.credential.key.pem()


def text(*certificates: Certificate) -> bytes:
    return b"".join(pem.write("CERTIFICATE", one.der) for one in certificates)


def paper(name: str, kind: str, authorities: tuple[Authority, ...], holder: PrivateKey | None = None) -> Paper:
    """Issue to a gateway; `authorities` from the root down, the last of them issues."""
    own, issuer = holder or key(kind, 600 + len(name)), authorities[-1]
    issuer.serial += 1
    made = certificate(
        f"C=DE, O=Example, CN={name}",
        str(issuer.certificate.subject),
        own,
        issuer.key,
        (LEAF_USAGE, dns(name), *_keys(own, issuer.key)),
        serial=issuer.serial,
        hash_=issuer.hash,
        validity=_validity(),
    )
    return Paper(name, Credential(made, tuple(one.certificate for one in reversed(authorities[1:])), own))


def revoking(issuer: Authority, *revoked: Paper) -> bytes:
    """Write the list of an authority."""
    serials = [one.credential.certificate.serial for one in revoked]
    from_s, until_s = _validity()
    return pem.write(
        "X509 CRL",
        issuer.crl(*serials, from_s=from_s, until_s=until_s, extensions=_keys(issuer.key, issuer.key)[1:]).der,
    )


def write(directory: Path, files: dict[str, bytes]) -> None:
    """Write files that are read by a gateway of ours; keys for their owner alone."""
    for name, data in files.items():
        path = directory / name
        path.touch(mode=0o600)
        path.write_bytes(data)
