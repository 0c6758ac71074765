"""The folder in which a small authority lives.

It holds ca.pem, ca.key, crl.pem, NAME.pem and NAME.key of every gateway, and in issued/ every certificate ever made.
What is written stands whole or not at all, and keys are never readable for others, not even for a moment.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from culvert.crypto import pem
from culvert.crypto.certificates.certificate import Certificate, MalformedCertificate, parse_pem
from culvert.crypto.certificates.issuing import Issuer
from culvert.crypto.certificates.revocation import MalformedList, RevocationList, parse_crls
from culvert.crypto.public_keys import KeyRefused, PrivateKey, load_private_key
from culvert.errors import CulvertError, HostError, Problem
from culvert.pki.failures import PkiError

CERTIFICATE, KEY, LIST = "ca.pem", "ca.key", "crl.pem"
ISSUED = "issued"
RESERVED = ("ca", "crl")
"""Names that no gateway can have: its files would be the authority's."""
MAX_FILE_OCTETS = 4 * 1024 * 1024
PUBLIC, PRIVATE = 0o644, 0o600


@dataclass(frozen=True, slots=True)
class Directory:
    """A folder; it need not be there yet."""

    path: Path

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Make the folder where it is missing, and keep other commands out of it meanwhile."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise _unusable(self.path, error) from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def has_authority(self) -> bool:
        return any((self.path / name).exists() for name in (CERTIFICATE, KEY))

    def issuer(self) -> Issuer:
        """Read the authority. Raise PkiError where there is none, or its files do not belong together."""
        if not self.has_authority():
            raise PkiError(
                Problem("there is no authority here", str(self.path), "Make one with: culvert pki ca (--dir DIR).")
            )
        certificate, key = self.certificate(self.path / CERTIFICATE), self.key(self.path / KEY)
        if certificate.public_key != key.public:
            what = f"{KEY} is not the key of {CERTIFICATE}"
            raise PkiError(Problem(what, str(self.path), "Bring back both files from one copy."))
        return Issuer(certificate, key)

    def certificate(self, path: Path) -> Certificate:
        try:
            found = parse_pem(read(path))
        except MalformedCertificate as error:
            raise PkiError(Problem(f"no certificate that can be read: {error}", str(path))) from None
        if not found:
            raise PkiError(Problem("it holds no certificate", str(path), "Name a file of a certificate, in PEM."))
        return found[0]

    def key(self, path: Path) -> PrivateKey:
        """Read a private key that nobody else can read."""
        _refuse_open_key(path)
        try:
            return load_private_key(read(path))
        except KeyRefused as error:
            raise PkiError(Problem(str(error), str(path))) from None

    def issued(self) -> Iterator[Certificate]:
        """Read all certificates that were ever made here; what cannot be read is passed over."""
        for path in sorted((self.path / ISSUED).glob("[!.]*.pem")):
            with contextlib.suppress(CulvertError):
                yield self.certificate(path)

    def remember(self, certificate: Certificate) -> None:
        """Keep a copy by serial number, so that it can be revoked when its file has gone or was replaced."""
        try:
            (self.path / ISSUED).mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise _unusable(self.path / ISSUED, error) from None
        self.write_certificate(f"{ISSUED}/{certificate.serial:x}.pem", certificate)

    def revoked(self, issuer: Issuer) -> RevocationList | None:
        """Read the authority's list; None where there is none yet. Raise PkiError for one that it did not sign."""
        path = self.path / LIST
        if not path.exists():
            return None
        try:
            found = parse_crls(read(path))
        except MalformedList as error:
            raise PkiError(Problem(str(error), str(path), "Bring it back from a copy.")) from None
        if not found or not found[0].signed_by(issuer.key.public):
            raise PkiError(
                Problem("this list is not the authority's: who was revoked would be lost", str(path), _BRING_BACK)
            )
        return found[0]

    def write_certificate(self, name: str, certificate: Certificate) -> Path:
        return self._write(name, pem.write("CERTIFICATE", certificate.der), PUBLIC)

    def write_key(self, name: str, key: PrivateKey) -> Path:
        return self._write(name, key.pem(), PRIVATE)

    def write_list(self, crl: RevocationList) -> Path:
        return self._write(LIST, pem.write("X509 CRL", crl.der), PUBLIC)

    def _write(self, name: str, data: bytes, mode: int) -> Path:
        """Write beside it and move it there, so that nobody ever finds half of it."""
        path = self.path / name
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            beside.unlink(missing_ok=True)
            with open(beside, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
            _settle(path.parent)
        except OSError as error:
            with contextlib.suppress(OSError):
                beside.unlink()
            raise _unusable(path, error) from None
        return path


_BRING_BACK = "Bring it back from a copy; to begin a new list, with nobody revoked, remove the file."


def read(path: Path) -> bytes:
    """Read a file of bounded size. Raise HostError."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_OCTETS + 1)
    except OSError as error:
        raise _unusable(path, error) from None
    if len(data) > MAX_FILE_OCTETS:
        raise HostError(Problem(f"larger than {MAX_FILE_OCTETS} octets", str(path), "Is it the right file?"))
    return data


def _refuse_open_key(path: Path) -> None:
    try:
        mode = path.stat().st_mode & 0o777
    except OSError as error:
        raise _unusable(path, error) from None
    if mode & 0o077:
        what = f"others can read this key (mode {mode:04o})"
        raise PkiError(Problem(what, str(path), f"Run: chmod 600 {shlex.quote(str(path))}"))


def _settle(folder: Path) -> None:
    """Have the new name on the disk, not only in memory."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _unusable(path: Path, error: OSError) -> HostError:
    return HostError(Problem(f"it cannot be used: {(error.strerror or str(error)).lower()}", str(path)))
