"""Which identities a certificate proves (RFC 4945 section 3.1): those that stand in it, letter by letter."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from culvert.addresses import IPAddress
from culvert.crypto.certificates.certificate import Certificate
from culvert.crypto.certificates.extensions import Name
from culvert.distinguished_names import DistinguishedName
from culvert.identities import Identity, IdentityType


def identities_of(certificate: Certificate) -> tuple[Identity, ...]:
    """Give all identities that its holder may present; the subject's name comes last."""
    found = [identity for name in certificate.extensions.names if (identity := _identity(name)) is not None]
    if certificate.subject.rdns:
        found.append(Identity.of_name(certificate.subject))
    return tuple(found)


def _identity(name: Name) -> Identity | None:
    match name:
        case Name("dns", str(value)):
            return Identity(IdentityType.FQDN, value.encode())
        case Name("email", str(value)):
            return Identity(IdentityType.RFC822_ADDR, value.encode())
        case Name("ip", IPv4Address() | IPv6Address() as value):
            return Identity.of_address(value)
        case Name("dn", DistinguishedName() as value):
            return Identity.of_name(value)
    return None


def carries(certificate: Certificate, identity: Identity) -> bool:
    """Tell whether `identity` stands in the certificate: a name or address among the subject's alternative names, a
    distinguished name there or as the subject, a key id as the subject's key identifier.

    A wildcard in a certificate (`*.example.org` of a web server) stands for nobody here.
    """
    if identity.type is IdentityType.KEY_ID:
        return bool(identity.value) and certificate.extensions.subject_key == identity.value
    return any(identity.matches(one) for one in identities_of(certificate)) and not identity.is_wildcard


def own_identity(certificate: Certificate, address: IPAddress) -> Identity:
    """Choose who we say that we are where nothing is configured.

    That is the address we use where the certificate has it, for that is what a peer expects that is configured no
    further; else a name, else the subject.
    """
    at, found = Identity.of_address(address), identities_of(certificate)
    if at in found:
        return at
    named = (one for one in found if one.type in (IdentityType.FQDN, IdentityType.RFC822_ADDR) and not one.is_wildcard)
    return next(named, found[-1] if found else at)
