"""Protecting IKE messages: the Encrypted payload (RFC 7296 section 3.14, RFC 5282, RFC 7634)."""

from __future__ import annotations

import hmac
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from culvert.crypto.compare import constant_time_equal
from culvert.crypto.errors import NotAuthentic
from culvert.crypto.transforms import Encryption, Integrity


class _Suite(Protocol):
    """What seals: `seal` gives ciphertext and ICV, `open` takes them apart."""

    def seal(self, iv: bytes, associated: bytes, plaintext: bytes) -> bytes: ...

    def open(self, iv: bytes, associated: bytes, sealed: bytes) -> bytes: ...


class IkeCipher:
    """One direction of an IKE SA: SK_ei with SK_ai, or SK_er with SK_ar.

    `encryption_key` ends with the salt where the transform has one. An AEAD goes without `integrity` and its key.
    Raise ValueError where the keys do not fit the transforms.
    """

    def __init__(
        self, encryption: Encryption, integrity: Integrity | None, encryption_key: bytes, integrity_key: bytes = b""
    ) -> None:
        if len(encryption_key) != encryption.key_octets + encryption.salt_octets:
            raise ValueError(f"a key of {len(encryption_key)} octets for {encryption.name}")
        if encryption.aead != (integrity is None):
            raise ValueError(f"{encryption.name} with {integrity.name if integrity else 'no integrity'}")
        if len(integrity_key) != (integrity.key_octets if integrity else 0):
            raise ValueError(f"an integrity key of {len(integrity_key)} octets")
        self.iv_octets = encryption.iv_octets
        self.block_octets = encryption.block_octets
        self.icv_octets = integrity.icv_octets if integrity else encryption.icv_octets
        self._suite: _Suite = (
            _EncryptThenMac(encryption_key, integrity, integrity_key)
            if integrity
            else _Aead(encryption, encryption_key)
        )

    def seal(self, iv: bytes, associated: bytes, plaintext: bytes) -> bytes:
        """Give ciphertext and ICV. `plaintext` is a whole number of blocks.

        `iv` has `iv_octets`: with an AEAD one that was never used with this key, else one that nobody can predict.
        """
        if len(iv) != self.iv_octets or len(plaintext) % self.block_octets:
            raise ValueError("the IV or the plaintext has the wrong length")
        return self._suite.seal(iv, associated, plaintext)

    def open(self, iv: bytes, associated: bytes, sealed: bytes) -> bytes:
        """Give the plaintext of ciphertext and ICV. Raise NotAuthentic."""
        ciphertext_octets = len(sealed) - self.icv_octets
        if len(iv) != self.iv_octets or ciphertext_octets < 1 or ciphertext_octets % self.block_octets:
            raise NotAuthentic("a protected message of an impossible length")
        return self._suite.open(iv, associated, sealed)


def protected_length(cipher: IkeCipher, payloads_octets: int) -> int:
    """Give the octets of an Encrypted payload's body, IV to ICV, for payloads of so many octets.

    With the header and generic headers in front (32 octets) this makes the message's length.
    """
    return cipher.iv_octets + payloads_octets + _padding_octets(cipher, payloads_octets) + cipher.icv_octets


def protect(cipher: IkeCipher, prefix: bytes, iv: bytes, payloads: bytes) -> bytes:
    """Give the whole message: `prefix` (IKE header to generic header of SK, lengths filled in), IV, ciphertext, ICV.

    `iv` as in `IkeCipher.seal`. Padding is the least that fills the block (RFC 7296 section 3.14).
    """
    padding = _padding_octets(cipher, len(payloads)) - 1
    plaintext = payloads + bytes(padding) + bytes((padding,))
    return prefix + iv + cipher.seal(iv, prefix, plaintext)


def unprotect(cipher: IkeCipher, message: bytes, offset_of_iv: int) -> bytes:
    """Give the payloads inside of a whole message whose Encrypted payload's body begins at `offset_of_iv`.

    Raise NotAuthentic, whatever is wrong.
    """
    end_of_iv = offset_of_iv + cipher.iv_octets
    iv, sealed = message[offset_of_iv:end_of_iv], message[end_of_iv:]
    plaintext = cipher.open(iv, message[:offset_of_iv], sealed)
    payloads_octets = len(plaintext) - 1 - plaintext[-1]
    if payloads_octets < 0:
        raise NotAuthentic("padding longer than the message")
    return plaintext[:payloads_octets]


def _padding_octets(cipher: IkeCipher, payloads_octets: int) -> int:
    """Count the padding and the octet that holds its length."""
    return cipher.block_octets - payloads_octets % cipher.block_octets


class _Aead:
    """AES-GCM (RFC 5282) and ChaCha20-Poly1305 (RFC 7634): the nonce is the salt, then the IV."""

    def __init__(self, encryption: Encryption, key_and_salt: bytes) -> None:
        key, self._salt = key_and_salt[: encryption.key_octets], key_and_salt[encryption.key_octets :]
        self._aead = ChaCha20Poly1305(key) if encryption.name == "chacha20poly1305" else AESGCM(key)

    def seal(self, iv: bytes, associated: bytes, plaintext: bytes) -> bytes:
        return self._aead.encrypt(self._salt + iv, plaintext, associated)

    def open(self, iv: bytes, associated: bytes, sealed: bytes) -> bytes:
        try:
            return self._aead.decrypt(self._salt + iv, sealed, associated)
        except InvalidTag:
            raise NotAuthentic("the integrity check value is wrong") from None


class _EncryptThenMac:
    """AES-CBC, and HMAC over the whole message from the IKE header on (RFC 7296 section 3.14)."""

    def __init__(self, key: bytes, integrity: Integrity, integrity_key: bytes) -> None:
        self._algorithm, self._integrity, self._integrity_key = AES(key), integrity, integrity_key

    def seal(self, iv: bytes, associated: bytes, plaintext: bytes) -> bytes:
        encryptor = Cipher(self._algorithm, CBC(iv)).encryptor()
        ciphertext = encryptor.update(plaintext) + encryptor.finalize()
        return ciphertext + self._icv(associated + iv + ciphertext)

    def open(self, iv: bytes, associated: bytes, sealed: bytes) -> bytes:
        ciphertext, icv = sealed[: -self._integrity.icv_octets], sealed[-self._integrity.icv_octets :]
        if not constant_time_equal(icv, self._icv(associated + iv + ciphertext)):
            raise NotAuthentic("the integrity check value is wrong")
        decryptor = Cipher(self._algorithm, CBC(iv)).decryptor()
        return decryptor.update(ciphertext) + decryptor.finalize()

    def _icv(self, data: bytes) -> bytes:
        return hmac.digest(self._integrity_key, data, self._integrity.hash_name)[: self._integrity.icv_octets]
