"""Algorithms and keys: `-E aes-cbc 0x... -A hmac-sha2-256 0x...`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from culvert.crypto.transforms import (
    ENCRYPTION,
    INTEGRITY,
    REFUSED,
    Encryption,
    Integrity,
    setkey_encryption,
    setkey_integrity,
)
from culvert.ipsec.associations import Protocol
from culvert.setkey.words import Words, Wrong

_HEX = re.compile(r"0[xX][0-9a-fA-F]++")
_TRIPLE = "3des-cbc"
_LEGACY = "RFC 8221 advises against it. Use {instead}, or give --legacy where an old peer has nothing else."


@dataclass(slots=True)
class Algorithms:
    """What `-E` and `-A` of one statement say; `_index` is the number of the word that named it."""

    encryption: Encryption | None = None
    encryption_key: bytes = field(default=b"", repr=False)
    encryption_index: int = 0
    integrity: Integrity | None = None
    integrity_key: bytes = field(default=b"", repr=False)
    integrity_index: int = 0

    @property
    def legacy(self) -> bool:
        return bool((self.encryption and self.encryption.legacy) or (self.integrity and self.integrity.legacy))

    def read_encryption(self, words: Words, legacy: bool) -> None:
        """Read what follows `-E`. Raise Wrong."""
        if self.encryption is not None:
            raise words.wrong("there is a cipher already", "An association has one: leave this out.")
        name = words.next("the name of the cipher")
        self.encryption_index = words.at - 1
        choices = setkey_encryption(name)
        if not choices:
            raise words.wrong(*_unknown(name, "cipher", ENCRYPTION))
        if choices[0].legacy and not legacy:
            raise words.wrong(f"{name} is refused", _LEGACY.format(instead="aes-gcm-16 or aes-cbc"))
        self.encryption, self.encryption_key = _cipher_and_key(words, name, choices)

    def read_integrity(self, words: Words, legacy: bool) -> None:
        """Read what follows `-A`. Raise Wrong."""
        if self.integrity is not None:
            raise words.wrong("there is an integrity algorithm already", "An association has one: leave this out.")
        name = words.next("the name of the integrity algorithm")
        self.integrity_index = words.at - 1
        if name == "null":
            raise words.wrong(*_NO_INTEGRITY)
        integrity = setkey_integrity(name)
        if integrity is None:
            raise words.wrong(*_unknown(name, "integrity algorithm", INTEGRITY))
        if integrity.legacy and not legacy:
            raise words.wrong(f"{name} is refused", _LEGACY.format(instead="hmac-sha2-256"))
        self.integrity, self.integrity_key = integrity, key(words)
        if len(self.integrity_key) != integrity.key_octets:
            raise _length(words, len(self.integrity_key), name, [integrity.key_octets], "")

    def judge(self, words: Words, protocol: Protocol) -> None:
        """Raise Wrong where they do not fit the protocol, or each other."""
        if protocol is Protocol.AH:
            self._judge_ah(words)
        elif self.encryption is None:
            what_to_do = "Write -E, with null where nothing is to be encrypted."
            raise Wrong(self.integrity_index or len(words.all), "ESP needs a cipher", what_to_do)
        elif self.encryption.aead and self.integrity is not None:
            what = f"{self.encryption.setkey_name} protects integrity by itself"
            raise Wrong(self.integrity_index, what, "Leave -A and its key out.")
        elif not self.encryption.aead and self.integrity is None:
            raise Wrong(self.encryption_index, *_NO_INTEGRITY)

    def _judge_ah(self, words: Words) -> None:
        if self.encryption is not None:
            raise Wrong(self.encryption_index, "AH does not encrypt", "Leave -E and its key out, or write esp.")
        if self.integrity is None:
            raise Wrong(len(words.all), "AH needs an integrity algorithm", "Write -A, as in -A hmac-sha2-256 0x...")


_NO_INTEGRITY = (
    "ESP without integrity is refused: whoever is on the way can change what it carries, and read it so",
    "Add an integrity algorithm, as in -A hmac-sha2-256 0x..., or use aes-gcm-16.",
)


def key(words: Words) -> bytes:
    """Read a key: `0x` and hexadecimal digits, or a string in quotes. Raise Wrong; what is told holds nothing of it."""
    word = words.next("the key")
    if word[0] == '"':
        if len(word) < 2 or word[-1] != '"':
            raise words.wrong("the string is not closed on its line", 'Close it with `"`.')
        return word[1:-1].encode(errors="surrogateescape")
    if not _HEX.fullmatch(word):
        raise words.wrong("this is no key", 'A key is 0x and hexadecimal digits, or a string in quotes: "...".')
    if len(word) % 2:
        raise words.wrong(f"the key has {len(word) - 2} hexadecimal digits, an odd number", "Two digits make an octet.")
    return bytes.fromhex(word[2:])


def _cipher_and_key(words: Words, name: str, choices: tuple[Encryption, ...]) -> tuple[Encryption, bytes]:
    """Read the key; its length says which of the ciphers of this name it is. NULL needs no key, and may have one."""
    if choices[0].key_octets == 0:
        if words.peek()[:2].lower() == "0x" or words.peek()[:1] == '"':
            key(words)
        return choices[0], b""
    octets = key(words)
    for choice in choices:
        if choice.key_octets + choice.salt_octets == len(octets):
            if choice.setkey_name == _TRIPLE and _repeats(octets):
                what = "the key of 3des-cbc has two of its three parts the same: that is DES, three times"
                raise words.wrong(what, "Write 24 octets of chance.")
            return choice, octets
    salt = choices[0].salt_octets
    raise _length(words, len(octets), name, [one.key_octets + salt for one in choices], _salt(salt))


def _repeats(octets: bytes) -> bool:
    """Whether neighbouring keys of 3DES are the same but for parity (RFC 2451 section 2.3)."""
    one, two, three = (bytes(octet & 0xFE for octet in octets[at : at + 8]) for at in (0, 8, 16))
    return two in (one, three)


def _salt(octets: int) -> str:
    return f" The last {octets} octets are the salt." if octets else ""


def _length(words: Words, octets: int, name: str, fitting: list[int], more: str) -> Wrong:
    *some, last = [str(one) for one in fitting]
    text = f"{', '.join(some)} or {last}" if some else last
    digits = " or ".join(str(2 * one) for one in fitting)
    return words.wrong(
        f"the key has {octets} octets; {name} takes {text}", f"Write 0x and {digits} hexadecimal digits.{more}"
    )


def _unknown(name: str, kind: str, known: tuple[Encryption | Integrity, ...]) -> tuple[str, str]:
    if name in REFUSED:
        return f"{name} is refused", f"{REFUSED[name][0].upper()}{REFUSED[name][1:]}."
    names = dict.fromkeys(one.setkey_name for one in known if not one.legacy)
    return f"there is no {kind} of this name", f"There are {', '.join(names)}."
