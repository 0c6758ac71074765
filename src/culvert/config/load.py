"""Read the files of a configuration: the only place that opens any. Everything found wrong is said at once."""

from __future__ import annotations

import glob
import io
import os
import shlex
import stat
from dataclasses import dataclass, field, replace
from pathlib import Path

from culvert.config.credentials import Credentials, auths_of
from culvert.config.dialects import psk, toml
from culvert.config.dialects.toml_model import gateway_of, gifs_of, identity_of
from culvert.config.dialects.toml_tables import PeerTable
from culvert.config.findings import Findings, UnusableError
from culvert.config.model import Authentication, Gateway, Origin
from culvert.config.origins import Origins
from culvert.config.values import shown
from culvert.config.verify import verify
from culvert.errors import ConfigurationError, Problem

MAX_FILE_OCTETS = 1024 * 1024
"""A gateway with a thousand peers needs a tenth of it."""
MAX_FILES = 1_024
"""Files that a configuration may include in all."""
MAX_INCLUDE_DEPTH = 8
"""How deep files may include each other."""
MAX_PEERS = 4_096
"""What the engine's tables hold with both directions and a rekey under way."""
DEFAULT_SECRETS = "file:psk.txt"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that can be used, and what a person should know about it all the same."""

    gateway: Gateway
    warnings: tuple[Problem, ...] = ()


def load(path: Path, name: str = "gateway", now_s: int | None = None) -> Loaded:
    """Read the configuration at `path`. `name` is the gateway's where the file gives none.

    With `now_s`, seconds since 1970, certificates and lists that are out of date, or soon will be, are warned of.
    Raise ConfigurationError with every problem of every file, ordered by file and line.
    """
    loading = _Loading()
    tables = loading.main(path)
    if tables is not None:
        secrets = loading.secrets()
        proofs = Credentials(tables.gateway, loading, loading.origins, loading.findings, now_s).all(loading.peers)
        gateway = gateway_of(tables.gateway, loading.peers, secrets, proofs, origins=loading.origins, name=name)
        gateway = replace(gateway, gifs=gifs_of(tables.gifs, loading.origins, loading.findings))
        verify(gateway, loading.origins, loading.findings)
        if not loading.findings.problems:
            return Loaded(gateway, loading.findings.warnings)
    raise ConfigurationError(loading.findings.problems)


@dataclass(slots=True)
class _Contents:
    """An open file's octets, and whether anybody else may read them."""

    data: bytes = field(repr=False)
    mode: int
    owner: int

    @property
    def private(self) -> bool:
        return not self.mode & 0o077 and self.owner in (0, os.geteuid())


@dataclass(slots=True)
class _Loading:
    """One run: what was found, what was read already."""

    findings: Findings = field(default_factory=Findings)
    origins: Origins = field(default_factory=Origins)
    peers: dict[str, PeerTable] = field(default_factory=dict)
    _read: dict[str, _Contents] = field(default_factory=dict)
    _seen: set[str] = field(default_factory=set)
    _secrets: dict[str, psk.Secrets | None] = field(default_factory=dict)

    def main(self, path: Path) -> toml.Tables | None:
        self.origins.default = Origin(str(path))
        text = self._text(path, Origin(str(path)), "Name another file, or write one with [gateway] in it.")
        tables = toml.read(text, str(path), self.findings) if text is not None else None
        if tables is not None:
            self._take(tables, path, 0)
        return tables

    def _take(self, tables: toml.Tables, path: Path, depth: int) -> None:
        """Add what one file says, and the files that it includes."""
        for name, peer in tables.peers.items():
            if name in self.peers:
                first = self.origins.at("peers", name)
                self.findings.problem(
                    tables.origins.at("peers", name), f"peer {shown(name)} is written in {first} already", "Rename one."
                )
            elif len(self.peers) >= MAX_PEERS:
                self.findings.problem(Origin(str(path)), f"more than {MAX_PEERS} peers", "Use a second gateway.")
                return
            self.peers.setdefault(name, peer)
        for key, origin in tables.origins.lines.items():
            self.origins.lines.setdefault(key, origin)
        self.origins.spoiled |= tables.origins.spoiled
        for index, pattern in enumerate(tables.includes):
            self._include(path, pattern, tables.origins.at("gateway", "include", index), depth + 1)

    def _include(self, path: Path, pattern: str, origin: Origin, depth: int) -> None:
        if depth > MAX_INCLUDE_DEPTH:
            self.findings.problem(
                origin, f"files include each other more than {MAX_INCLUDE_DEPTH} deep", "Include from the main file."
            )
            return
        whole = os.path.join(path.parent, pattern)  # noqa: PTH118 - a pattern is no path
        files = sorted(glob.glob(whole)) if glob.has_magic(whole) else [whole]  # noqa: PTH207 - the same
        for file in files:
            self._included(Path(file), origin, depth)

    def _included(self, path: Path, origin: Origin, depth: int) -> None:
        real = os.path.realpath(path)
        if real in self._seen:
            self.findings.problem(origin, f"{path} is included twice", "Include each file once.")
        elif len(self._seen) >= MAX_FILES:
            self.findings.problem(origin, f"more than {MAX_FILES} files", "Put several peers into one file.")
        elif (text := self._text(path, origin, "Correct the path, or remove it from include.")) is not None:
            tables = toml.read_included(text, str(path), self.findings)
            if tables is not None:
                self._take(tables, path, depth)

    def _text(self, path: Path, origin: Origin, what_to_do: str) -> str | None:
        """Read a TOML file as text; its problems are those of `origin`, where its name was written."""
        self._seen.add(os.path.realpath(path))
        contents = self._contents(path, origin, what_to_do)
        if contents is None:
            return None
        self._read[str(path)] = contents
        try:
            return contents.data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = contents.data.count(b"\n", 0, error.start) + 1
            self.findings.problem(Origin(str(path), line), "this line is not UTF-8", "Save the file as UTF-8.")
            return None

    def _contents(
        self, path: Path, origin: Origin, what_to_do: str, most_octets: int = MAX_FILE_OCTETS
    ) -> _Contents | None:
        try:
            return _open(path, most_octets)
        except OSError as error:
            self.findings.problem(origin, f"{path} cannot be read: {_because(error)}", what_to_do)
        except UnusableError as failure:
            self.findings.problem(origin, f"{path} {failure.what}", failure.what_to_do)
        except ValueError:
            self.findings.problem(origin, f"{shown(str(path))} cannot be the name of a file", what_to_do)
        return None

    def public(self, path: Path, origin: Origin, what_to_do: str, most_octets: int = MAX_FILE_OCTETS) -> bytes | None:
        """Read a file that everybody may see."""
        contents = self._contents(path, origin, what_to_do, most_octets)
        return None if contents is None else contents.data

    def private(self, path: Path, origin: Origin, what_to_do: str) -> bytes | None:
        """Read a file that holds something secret; where others can read it, it is not used."""
        contents = self._contents(path, origin, what_to_do)
        if contents is not None and not contents.private:
            self._refuse(path, contents)
            return None
        return None if contents is None else contents.data

    def secrets(self) -> dict[str, psk.Found]:
        """Find the secret of every peer that proves itself with one, and where it stands."""
        found = {}
        for name, peer in self.peers.items():
            if Authentication.SECRET not in auths_of(peer) or self._unclear(name):
                continue
            source = peer.secret if peer.secret is not None else DEFAULT_SECRETS
            secret = (
                self._from_file(name, peer, source[5:]) if source.startswith("file:") else self._literal(name, source)
            )
            if secret is not None:
                found[name] = secret
        return found

    def _unclear(self, name: str) -> bool:
        return any(self.origins.is_spoiled("peers", name, key) for key in ("secret", "auth", "local_auth"))

    def _literal(self, name: str, text: str) -> psk.Found | None:
        """A secret that stands in the configuration itself."""
        origin = self.origins.at("peers", name, "secret")
        if not self._read[origin.file].private:
            self.findings.problem(
                origin,
                f"the secret of peer {shown(name)} stands in a file that others can read",
                f"Run: chmod 600 {shlex.quote(origin.file)} (or put the secret into psk.txt beside it).",
            )
            return None
        try:
            secret = psk.octets_of(text.encode())
        except UnusableError as failure:
            self.findings.problem(origin, failure.what, failure.what_to_do)
            return None
        self._weigh(secret, origin)
        return psk.Found(psk.Entry("", secret, origin))

    def _from_file(self, name: str, peer: PeerTable, file: str) -> psk.Found | None:
        """Search a psk.txt: by the peer's identity, then its addresses, then its name."""
        origin = self.origins.at("peers", name, "secret")
        path = Path(origin.file).parent / file
        identity = identity_of(peer)
        written, addresses = str(identity) if identity else None, peer.address or []
        wanted = list(dict.fromkeys([*([written] if written else []), *addresses, name]))
        if _is_missing(path):
            self.findings.problem(
                origin, f"no secret for peer {shown(name)}: {path} is not there", _how_to_write(path, wanted[0], True)
            )
            return None
        secrets = self._psk(path, origin)
        if secrets is None:
            return None
        found = secrets.find(written, addresses, name)
        if found is None and any(self.origins.is_spoiled("peers", name, key) for key in ("address", "identity")):
            return None
        if found is None:
            what = f"no secret for peer {shown(name)}: looked in {path} for {', '.join(wanted)}"
            self.findings.problem(origin, what, _how_to_write(path, wanted[0], False))
            return None
        for entry in (found.entry, *found.at.values()):
            self._weigh(entry.secret, entry.origin)
        return found

    def _psk(self, path: Path, origin: Origin) -> psk.Secrets | None:
        """Read a psk.txt once. None where it may not be used."""
        key = str(path)
        if key not in self._secrets:
            data = self.private(path, origin, "Correct the path behind file: in secret.")
            self._secrets[key] = None if data is None else psk.Secrets(psk.read(data, key, self.findings))
        return self._secrets[key]

    def _refuse(self, path: Path, contents: _Contents) -> None:
        quoted = shlex.quote(str(path))
        if contents.mode & 0o077:
            what, command = f"others can read this file (mode {contents.mode:04o})", f"chmod 600 {quoted}"
        else:
            what, command = f"this file belongs to somebody else (user {contents.owner})", f"chown root {quoted}"
        self.findings.problem(Origin(str(path)), what, f"Run: {command}")

    def _weigh(self, secret: bytes, origin: Origin) -> None:
        if weakness := psk.weakness(secret):
            self.findings.warning(origin, weakness, "Make a strong one with: openssl rand -base64 32")


def _how_to_write(path: Path, identifier: str, new: bool) -> str:
    line = f'Write a line "{identifier} THE-SECRET" into it, the same secret as at the peer'
    return f"{line}, and run: chmod 600 {shlex.quote(str(path))}" if new else f"{line}."


def _open(path: Path, most_octets: int) -> _Contents:
    """Read a regular file of bounded size; one that is a pipe or a device is not waited for."""
    with open(path, "rb", buffering=0, opener=_without_waiting) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise UnusableError("is no regular file", "Name a file.")
        data = _read(file, most_octets + 1)
    if len(data) > most_octets:
        raise UnusableError(f"is larger than {most_octets} octets", "Is it the right file?")
    return _Contents(data, stat.S_IMODE(status.st_mode), status.st_uid)


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)


def _read(file: io.FileIO, most: int) -> bytes:
    """Read to the end, or `most` octets; a single read may give less."""
    data = b""
    while len(data) < most and (more := file.read(most - len(data))):
        data += more
    return data


def _is_missing(path: Path) -> bool:
    """Tell whether there is nothing at `path`; what cannot be known is found out by opening it."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        return False
    return False


def _because(error: OSError) -> str:
    return {FileNotFoundError: "there is no such file", PermissionError: "permission denied"}.get(
        type(error), error.strerror or str(error)
    )
