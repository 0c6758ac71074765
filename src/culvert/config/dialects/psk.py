"""psk.txt, as racoon has it: a line for each peer, its identifier, blanks, and the secret.

`#` begins a comment line. The secret is the rest of the line, so it may hold blanks (those at its end do not count).
One that begins with `0x` is hexadecimal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from culvert.addresses import IPAddress
from culvert.config.findings import Findings, UnusableError
from culvert.config.model import Origin
from culvert.config.values import literal, shown
from culvert.identities import Identity, IdentityType

MAX_SECRET_OCTETS = 4096
"""Far more than anybody types; a PRF hashes longer keys anyway (RFC 7296 section 2.15)."""
MIN_GOOD_OCTETS = 8
"""Below this a secret is guessed off line in no time (RFC 7296 section 5 on pre-shared keys)."""
_KNOWN = (b"secret", b"password", b"changeme", b"12345678", b"123456789", b"0123456789")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line."""

    identifier: str
    secret: bytes = field(repr=False)
    origin: Origin = Origin()

    @property
    def place(self) -> str:
        """Name the line for people."""
        return f"{self.origin} ({shown(self.identifier)})" if self.identifier else str(self.origin)


@dataclass(frozen=True, slots=True)
class Found:
    """The line that a peer has, and those at some of its addresses that are others."""

    entry: Entry
    at: Mapping[IPAddress, Entry] = field(default_factory=dict)


def read(data: bytes, file: str, findings: Findings) -> tuple[Entry, ...]:
    """Read a psk.txt; lines that cannot be used become problems, and no message repeats a secret."""
    entries: dict[str, Entry] = {}
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        words = line.strip().split(maxsplit=1)
        if not words or words[0].startswith(b"#"):
            continue
        origin = Origin(file, number)
        try:
            entry = _entry(words, origin)
        except UnusableError as failure:
            findings.problem(origin, failure.what, failure.what_to_do)
            continue
        if entry.identifier in entries:
            first = entries[entry.identifier].origin.line
            findings.warning(
                origin, f"{entry.identifier} was given a secret in line {first} already", "Remove one line."
            )
        entries.setdefault(entry.identifier, entry)
    return tuple(entries.values())


def _entry(words: list[bytes], origin: Origin) -> Entry:
    try:
        identifier = words[0].decode()
    except UnicodeDecodeError as error:
        raise UnusableError(
            "the identifier is not text in UTF-8", "Write the peer's address, identity or name."
        ) from error
    if len(words) < 2:
        raise UnusableError(
            f"{shown(identifier)} stands alone in this line", "Write the identifier, a blank, and then the secret."
        )
    return Entry(identifier, octets_of(words[1]), origin)


def octets_of(text: bytes) -> bytes:
    """Give the octets of a secret as written. Raise UnusableError."""
    octets = text
    if text.startswith(b"0x"):
        try:
            octets = bytes.fromhex(text[2:].decode("ascii"))
        except ValueError as error:
            raise UnusableError(
                "the secret begins with 0x and is not hexadecimal", "Write pairs of 0-9 and a-f behind 0x."
            ) from error
    if not 0 < len(octets) <= MAX_SECRET_OCTETS:
        raise UnusableError("the secret is empty or too long", f"Write 1 to {MAX_SECRET_OCTETS} octets.")
    return octets


def weakness(secret: bytes) -> str:
    """Say why a secret is weak, or nothing."""
    if secret.lower() in _KNOWN:
        return "the secret is one that everybody tries first"
    return f"the secret has fewer than {MIN_GOOD_OCTETS} octets" if len(secret) < MIN_GOOD_OCTETS else ""


class Secrets:
    """The entries of a file, to be searched. Two ways to write one identity are the same."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._entries: dict[object, Entry] = {}
        for entry in entries:
            self._entries.setdefault(_key(entry.identifier), entry)

    def find(self, identity: str | None, addresses: Iterable[str], name: str) -> Found | None:
        """Give a peer's entry: by its identity, where one is written, then by its addresses, then by its name.

        Where no identity is written, its addresses say who it is, and each may have an entry of its own. A written one
        has its secret wherever it is: at the same address there may be others, behind one NAT.
        """
        written = [] if identity is None else [identity]
        at = {} if written else {literal(text): entry for text in addresses if (entry := self._of(text))}
        first = next((entry for text in (*written, *addresses, name) if (entry := self._of(text))), None)
        if first is None:
            return None
        return Found(first, {address: entry for address, entry in at.items() if address and entry is not first})

    def _of(self, text: str) -> Entry | None:
        return self._entries.get(_key(text))


def _key(text: str) -> object:
    """What is equal for equal identities (see `Identity.matches`)."""
    try:
        identity = Identity.parse(text)
    except ValueError:
        return text
    named = identity.type in (IdentityType.FQDN, IdentityType.RFC822_ADDR)
    return identity.type, identity.value.lower() if named else identity.value
