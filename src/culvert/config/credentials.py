"""Certificates, keys, authorities and revocation lists of a configuration: octets of files -> values of the model.

Every file is read and judged once, however many peers name it. What is wrong is said where the file was named.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path
from typing import Protocol

from culvert.config.dialects.toml_tables import GatewayTable, PeerTable
from culvert.config.findings import Findings
from culvert.config.model import Authentication, Credential, Origin
from culvert.config.origins import Origins
from culvert.config.values import literal, shown
from culvert.crypto.certificates.carrying import carries, identities_of, own_identity
from culvert.crypto.certificates.certificate import Certificate, MalformedCertificate, parse_pem
from culvert.crypto.certificates.judging import unfit
from culvert.crypto.certificates.revocation import MAX_CRL_OCTETS, MalformedList, RevocationList, parse_crls
from culvert.crypto.certificates.store import TrustStore, trust_store
from culvert.crypto.certificates.times import written_time
from culvert.crypto.public_keys import KeyRefused, PrivateKey, load_private_key
from culvert.identities import Identity, IdentityType

Key = tuple[str | int, ...]

OURS, THEIRS = ("certificate", "key"), ("ca", "crl", "require_crl")
"""Keys of a peer that serve our proof, and its."""
SOON_S = 30 * 86_400
"""So long before the end of a certificate a warning begins."""
LIST_SOON_S = 2 * 86_400
"""The same for a revocation list; many are made anew every week."""


class Files(Protocol):
    """What reads files: None where one cannot be used, which was said by then."""

    def public(self, path: Path, origin: Origin, what_to_do: str, most_octets: int = ...) -> bytes | None: ...

    def private(self, path: Path, origin: Origin, what_to_do: str) -> bytes | None: ...


@dataclass(frozen=True, slots=True)
class Proof:
    """What a peer's `auth = "certificate"` comes to. None: there was a problem with it."""

    credential: Credential | None = None
    trust: TrustStore | None = None
    local_identity: Identity | None = None


def auths_of(table: PeerTable) -> tuple[Authentication, Authentication]:
    """Give how we prove who we are, and how the peer does."""
    theirs = table.auth or Authentication.SECRET
    return table.local_auth or theirs, theirs


@dataclass(slots=True)
class Credentials:
    """Reads what tables name. `now_s` (seconds since 1970) None: nothing is said about what expires."""

    gateway: GatewayTable
    files: Files
    origins: Origins
    findings: Findings
    now_s: int | None = None
    _certificates: dict[Path, tuple[Certificate, ...] | None] = field(default_factory=dict)
    _lists: dict[Path, tuple[RevocationList, ...] | None] = field(default_factory=dict)
    _keys: dict[Path, PrivateKey | None] = field(default_factory=dict)
    _credentials: dict[tuple[Path, Path], Credential | None] = field(default_factory=dict)
    _stores: dict[object, TrustStore | None] = field(default_factory=dict)

    def all(self, peers: Mapping[str, PeerTable]) -> dict[str, Proof]:
        """Read those of the gateway, and of every peer that is to prove itself by a certificate."""
        found = {}
        self._own(("gateway",), self.gateway)
        for name, peer in peers.items():
            ours, theirs = auths_of(peer)
            if Authentication.CERTIFICATE in (ours, theirs):
                found[name] = self._peer(name, peer)
            if not any(self.origins.is_spoiled("peers", name, key) for key in ("auth", "local_auth")):
                self._unused(name, peer)
        return found

    def _unused(self, name: str, peer: PeerTable) -> None:
        """Say what is written for a way of proving that is not taken."""
        ours, theirs = auths_of(peer)
        for whose, auth, keys in (("we prove ourselves", ours, OURS), ("it proves itself", theirs, THEIRS)):
            key = next((key for key in keys if getattr(peer, key) is not None), None)
            if auth is Authentication.SECRET and key is not None:
                what = f"peer {shown(name)} has {key}, and {whose} with a secret"
                self.findings.problem(
                    self.origins.at("peers", name, key), what, f'Write auth = "certificate", or remove {key}.'
                )
                return

    def _peer(self, name: str, peer: PeerTable) -> Proof:
        at: Key = ("peers", name)
        ours, theirs = auths_of(peer)
        if peer.secret is not None and Authentication.SECRET not in (ours, theirs):
            what = f"the secret of peer {shown(name)} is not used: it proves itself with a certificate"
            self.findings.warning(self.origins.at(*at, "secret"), what, "Remove secret.")
        self._missing(at, peer)
        credential = self._ours(at, peer) if ours is Authentication.CERTIFICATE else None
        trust = self._trust(at, peer) if theirs is Authentication.CERTIFICATE else None
        return Proof(credential, trust, self._identity(at, peer, credential))

    def _ours(self, at: Key, peer: PeerTable) -> Credential | None:
        return self._own(at, peer) if peer.certificate or peer.key else self._own(("gateway",), self.gateway)

    def _missing(self, at: Key, peer: PeerTable) -> None:
        """Say what is not written at all."""
        ours, theirs = auths_of(peer)
        for key, sample, auth in (("certificate", '"gw.pem"', ours), ("ca", '"ca.pem"', theirs)):
            if auth is Authentication.SECRET or getattr(peer, key) or getattr(self.gateway, key):
                continue
            if not any(self.origins.is_spoiled(*where, key) for where in (at, ("gateway",))):
                self.findings.problem(
                    self.origins.at(*at, "auth"),
                    f"peer {shown(str(at[-1]))} proves itself with a certificate, and there is no {key}",
                    f"Write {key} = {sample} into [gateway]; `culvert pki` makes such files.",
                )

    # Ours

    def _own(self, at: Key, table: GatewayTable | PeerTable) -> Credential | None:
        """Read certificate and key of a table. None where there are none, or where something is wrong with them."""
        if table.certificate is None or table.key is None:
            self._alone(at, table)
            return None
        certificate, key = self._path(table.certificate, *at, "certificate"), self._path(table.key, *at, "key")
        if (certificate, key) not in self._credentials:
            self._credentials[certificate, key] = self._credential(at, certificate, key)
        return self._credentials[certificate, key]

    def _alone(self, at: Key, table: GatewayTable | PeerTable) -> None:
        for key, other in (("certificate", "key"), ("key", "certificate")):
            if getattr(table, key) is not None and not self.origins.is_spoiled(*at, other):
                what = f"there is a {key}, and no {other} that belongs to it"
                self.findings.problem(self.origins.at(*at, key), what, f'Write {other} = "gw.{other[:3]}" beside it.')

    def _credential(self, at: Key, certificate_path: Path, key_path: Path) -> Credential | None:
        origin = self.origins.at(*at, "certificate")
        certificates = self._read_certificates(certificate_path, origin)
        key = self._read_key(key_path, self.origins.at(*at, "key"))
        if not certificates or key is None:
            return None
        own = next((one for one in certificates if one.public_key == key.public), None)
        if own is None:
            what = f"{key_path} is not the key of {certificates[0]} in {certificate_path}"
            self.findings.problem(
                self.origins.at(*at, "key"), what, "Name the key that this certificate was made for, or make both anew."
            )
            return None
        self._weigh(own, origin)
        chain = tuple(one for one in certificates if one != own and not one.self_issued)
        return Credential(own, chain, key)

    def _weigh(self, own: Certificate, origin: Origin) -> None:
        """Warn of what makes peers refuse our certificate, now or soon."""
        if self.now_s is None:
            return
        wrong = unfit(own, self.now_s)
        if wrong is not None:
            self.findings.warning(origin, f"peers will refuse us: {wrong.explanation}", "Have a new one made.")
        elif own.not_after_s - self.now_s < SOON_S:
            what = f"the certificate of {own} expires on {written_time(own.not_after_s)}"
            self.findings.warning(origin, what, "Have a new one made before then.")

    def _identity(self, at: Key, peer: PeerTable, credential: Credential | None) -> Identity | None:
        """Choose who we are towards this peer, as far as that does not depend on the address that will be used."""
        written = peer.local_identity or self.gateway.identity
        if credential is None:
            return written
        own = credential.certificate
        if written is not None:
            return self._checked(at, peer, written, own)
        names = [Identity.parse(host) for host in self.gateway.address or [] if literal(host) is None]
        if not names:
            return None
        return next((one for one in names if carries(own, one)), own_identity(own, IPv4Address(0)))

    def _checked(self, at: Key, peer: PeerTable, written: Identity, own: Certificate) -> Identity:
        """An identity that is not in our certificate is refused by every peer (RFC 4945 section 3.1)."""
        if written.type is IdentityType.DER_ASN1_DN and Identity.of_name(own.subject).matches(written):
            return Identity.of_name(own.subject)
        if not carries(own, written):
            where = (*at, "local_identity") if peer.local_identity is not None else ("gateway", "identity")
            there = ", ".join(f'"{one}"' for one in identities_of(own)[:6]) or "none"
            self.findings.problem(
                self.origins.at(*where),
                f"our identity {shown(str(written))} does not stand in the certificate of {own}",
                f"Write one that does ({there}), or leave the key out.",
            )
        return written

    # Theirs

    def _trust(self, at: Key, peer: PeerTable) -> TrustStore | None:
        """Read the authorities and lists for a peer; those of the gateway where it has none of its own."""
        cas, crls = self._paths(at, peer, "ca"), self._paths(at, peer, "crl")
        require = peer.require_crl if peer.require_crl is not None else self.gateway.require_crl
        chosen = (tuple(cas), tuple(crls), bool(require), bool(peer.legacy))
        if chosen not in self._stores:
            self._stores[chosen] = self._store(cas, crls, require=bool(require), legacy=bool(peer.legacy))
        return self._stores[chosen]

    def _paths(self, at: Key, peer: PeerTable, key: str) -> dict[Path, Origin]:
        """Give the files that a list names, and where each was named."""
        own = getattr(peer, key)
        where, written = (at, own) if own is not None else (("gateway",), getattr(self.gateway, key) or [])
        return {
            self._path(name, *where, key, index): self.origins.at(*where, key, index)
            for index, name in enumerate(written)
        }

    def _store(
        self, cas: Mapping[Path, Origin], crls: Mapping[Path, Origin], *, require: bool, legacy: bool
    ) -> TrustStore | None:
        authorities = [self._read_certificates(path, origin) for path, origin in cas.items()]
        lists = [self._read_lists(path, origin) for path, origin in crls.items()]
        if not cas or None in authorities or None in lists:
            return None
        known = tuple(dict.fromkeys(one for found in authorities for one in found or ()))
        for one in known:
            self._warn_of_authority(one, cas)
        for (path, origin), found in zip(crls.items(), lists, strict=True):
            for crl in found or ():
                self._weigh_list(crl, known, path, origin)
        return trust_store(
            known, tuple(crl for found in lists for crl in found or ()), require_crl=require, legacy=legacy
        )

    def _warn_of_authority(self, one: Certificate, cas: Mapping[Path, Origin]) -> None:
        if self.now_s is None or one.valid_at(self.now_s):
            return
        origin = next(origin for path, origin in cas.items() if one in (self._certificates[path] or ()))
        span = f"{written_time(one.not_before_s)} to {written_time(one.not_after_s)}"
        what = f"the authority {one} vouches for nobody now: its certificate is valid from {span}"
        self.findings.warning(origin, what, "Have it renewed, and look at this machine's clock.")

    def _weigh_list(self, crl: RevocationList, known: tuple[Certificate, ...], path: Path, origin: Origin) -> None:
        """Find out before any peer calls whether a list can be used."""
        issuers = [one for one in known if one.subject.same(crl.issuer)]
        if crl.unusable:
            self.findings.problem(
                origin, f"{path} cannot be used: {crl.unusable}", "Name a whole list of the authority."
            )
        elif issuers and not any(crl.signed_by(one.public_key) for one in issuers):
            what = f"{path} says that it is of {issuers[0]}, and is not signed with that one's key"
            self.findings.problem(origin, what, "Fetch it anew from the authority.")
        elif not issuers:
            what = f'{path} is a list of "{crl.issuer}", which is not among the authorities named in ca'
            self.findings.warning(origin, what, "It counts only if a peer sends that authority's certificate along.")
        if self.now_s is not None and not crl.unusable:
            self._warn_of_age(crl, self.now_s, path, origin)

    def _warn_of_age(self, crl: RevocationList, now_s: int, path: Path, origin: Origin) -> None:
        fetch = "Fetch a new one from the authority and run `culvert reload`."
        if crl.this_update_s > now_s:
            what = f"{path} counts from {written_time(crl.this_update_s)} only: until then its peers are refused"
            self.findings.warning(origin, what, "Look at this machine's clock.")
        elif crl.next_update_s is not None and now_s > crl.next_update_s:
            what = f"{path} is out of date since {written_time(crl.next_update_s)}: its peers are refused"
            self.findings.warning(origin, what, fetch)
        elif crl.next_update_s is not None and crl.next_update_s - now_s < LIST_SOON_S:
            self.findings.warning(origin, f"{path} is out of date from {written_time(crl.next_update_s)} on", fetch)

    # Files

    def _path(self, written: str, *key: str | int) -> Path:
        return Path(self.origins.at(*key).file).parent / written

    def _read_certificates(self, path: Path, origin: Origin) -> tuple[Certificate, ...] | None:
        if path not in self._certificates:
            self._certificates[path] = self._parsed_certificates(path, origin)
        return self._certificates[path]

    def _parsed_certificates(self, path: Path, origin: Origin) -> tuple[Certificate, ...] | None:
        data = self.files.public(path, origin, "Correct the name, or have the certificate made: `culvert pki` does.")
        if data is None:
            return None
        try:
            found = parse_pem(data)
        except MalformedCertificate as error:
            self.findings.problem(origin, f"{path} holds no usable certificate: {error}", "Write it anew, in PEM.")
            return None
        if not found:
            self.findings.problem(
                origin, f"{path} holds no certificate", "Name a file with -----BEGIN CERTIFICATE----- in it."
            )
        return found or None

    def _read_lists(self, path: Path, origin: Origin) -> tuple[RevocationList, ...] | None:
        if path not in self._lists:
            self._lists[path] = self._parsed_lists(path, origin)
        return self._lists[path]

    def _parsed_lists(self, path: Path, origin: Origin) -> tuple[RevocationList, ...] | None:
        data = self.files.public(path, origin, "Correct the name, or fetch the list from it.", MAX_CRL_OCTETS)
        if data is None:
            return None
        try:
            found = parse_crls(data)
        except MalformedList as error:
            self.findings.problem(origin, f"{path} holds no usable revocation list: {error}", "Fetch it anew.")
            return None
        if not found:
            self.findings.problem(
                origin, f"{path} holds no revocation list", "Name a file with -----BEGIN X509 CRL----- in it."
            )
        return found or None

    def _read_key(self, path: Path, origin: Origin) -> PrivateKey | None:
        if path not in self._keys:
            data = self.files.private(path, origin, "Correct the name; the key is made together with the certificate.")
            self._keys[path] = None if data is None else self._parsed_key(data, path, origin)
        return self._keys[path]

    def _parsed_key(self, data: bytes, path: Path, origin: Origin) -> PrivateKey | None:
        try:
            return load_private_key(data)
        except KeyRefused as error:
            self.findings.problem(
                origin, f"{path}: {error}", "Name the key's file; one with a password: openssl pkey -in OLD -out NEW."
            )
            return None
