"""Proposals in strongSwan's notation, such as `aes256gcm16-prfsha256-x25519` (RFC 7296 section 3.3)."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from culvert.crypto.transforms import (
    ALIASES,
    BY_NAME,
    NO_KEY_EXCHANGE,
    PRF,
    Encryption,
    Esn,
    Integrity,
    KeyExchange,
    Prf,
    transform_named,
)


class ProposalError(ValueError):
    """A proposal that cannot be used; the text says which word and why."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """Alternatives of each kind of transform, the preferred first. AH has no encryption."""

    encryption: tuple[Encryption, ...]
    integrity: tuple[Integrity, ...] = ()
    prf: tuple[Prf, ...] = ()
    key_exchange: tuple[KeyExchange, ...] = ()
    esn: tuple[Esn, ...] = ()

    @property
    def legacy(self) -> tuple[str, ...]:
        """The algorithms that RFC 8221 and RFC 8247 advise against, by name."""
        return tuple(one.name for one in (*_algorithms(self), *self.key_exchange) if one.legacy)

    def __str__(self) -> str:
        names = [encryption.name for encryption in self.encryption]
        names += [integrity.name for integrity in self.integrity]
        names += [prf.name for prf in self.prf]
        names += [method.name for method in self.key_exchange]
        names += ["esn" if esn else "noesn" for esn in self.esn]
        return "-".join(names)


def ike_proposal(text: str, *, legacy: bool = False) -> Proposal:
    """Read a proposal for an IKE SA. Without a PRF, the integrity's hash serves. Raise ProposalError.

    What RFC 8247 advises against is refused unless `legacy`.
    """
    proposal = _read(text)
    _refuse_weak(text, proposal, legacy)
    if not proposal.prf:
        hashes = {integrity.hash_name for integrity in proposal.integrity}
        proposal = _with_prf(proposal, tuple(prf for prf in PRF if prf.hash_name in hashes))
    if not proposal.prf:
        raise ProposalError(f"{text!r} names no PRF: add one, such as prfsha256")
    if not proposal.key_exchange or NO_KEY_EXCHANGE in proposal.key_exchange:
        raise ProposalError(f"{text!r} names no key exchange: add one, such as x25519")
    for transform in _algorithms(proposal):
        if not transform.ike:
            raise ProposalError(f"{text!r}: {transform.name} is for ESP, not for IKE")
    if proposal.esn:
        raise ProposalError(f"{text!r}: extended sequence numbers are for ESP, not for IKE")
    return proposal


def esp_proposal(text: str, *, legacy: bool = False) -> Proposal:
    """Read a proposal for ESP. A key exchange means PFS; `none` makes it optional. Raise ProposalError.

    What RFC 8221 advises against is refused unless `legacy`.
    """
    return _of_child(text, _read(text), legacy, "ESP")


def ah_proposal(text: str, *, legacy: bool = False) -> Proposal:
    """Read a proposal for AH: integrity alone, with a key exchange and `esn` as for ESP. Raise ProposalError."""
    proposal = _split(text)
    if proposal.encryption:
        raise ProposalError(f"{text!r}: AH encrypts nothing, so {proposal.encryption[0].name} belongs in esp_proposals")
    if not proposal.integrity:
        raise ProposalError(f"{text!r} has no integrity: add one, such as sha256")
    return _of_child(text, proposal, legacy, "AH")


def _of_child(text: str, proposal: Proposal, legacy: bool, protocol: str) -> Proposal:
    _refuse_weak(text, proposal, legacy)
    if proposal.prf:
        raise ProposalError(f"{text!r}: {protocol} has no PRF")
    return Proposal(
        proposal.encryption,
        proposal.integrity,
        (),
        proposal.key_exchange or (NO_KEY_EXCHANGE,),
        proposal.esn or (Esn.NO,),
    )


def _refuse_weak(text: str, proposal: Proposal, legacy: bool) -> None:
    if proposal.legacy and not legacy:
        weak, where = proposal.legacy[0], weakness_of(proposal.legacy[0])
        raise ProposalError(f"{text!r}: {weak} is too weak today ({where}); drop it from the proposal")


def weakness_of(name: str) -> str:
    """Tell where it stands that an algorithm of this name is too weak."""
    return "RFC 8247" if isinstance(BY_NAME[name], KeyExchange) else "RFC 8221"


def _algorithms(proposal: Proposal) -> tuple[Encryption | Integrity, ...]:
    return (*proposal.encryption, *proposal.integrity)


def _with_prf(proposal: Proposal, prf: tuple[Prf, ...]) -> Proposal:
    return Proposal(proposal.encryption, proposal.integrity, prf, proposal.key_exchange, proposal.esn)


def _split(text: str) -> Proposal:
    transforms = [_transform(word, text) for word in text.strip().lower().split("-")]
    return Proposal(
        tuple(t for t in transforms if isinstance(t, Encryption)),
        tuple(t for t in transforms if isinstance(t, Integrity)),
        tuple(t for t in transforms if isinstance(t, Prf)),
        tuple(t for t in transforms if isinstance(t, KeyExchange)),
        tuple(t for t in transforms if isinstance(t, Esn)),
    )


def _read(text: str) -> Proposal:
    proposal = _split(text)
    if not proposal.encryption:
        raise ProposalError(f"{text!r} names no encryption")
    if len({encryption.aead for encryption in proposal.encryption}) > 1:
        raise ProposalError(f"{text!r} mixes ciphers with and without integrity: write two proposals")
    if proposal.encryption[0].aead and proposal.integrity:
        raise ProposalError(
            f"{text!r}: {proposal.encryption[0].name} brings its own integrity; "
            f"for the PRF write prf{proposal.integrity[0].name}"
        )
    if not proposal.encryption[0].aead and not proposal.integrity:
        raise ProposalError(f"{text!r} has no integrity: add one, such as sha256")
    return proposal


def _transform(word: str, text: str) -> Encryption | Integrity | Prf | KeyExchange | Esn:
    try:
        return transform_named(word)
    except KeyError:
        near = difflib.get_close_matches(word, [*BY_NAME, *ALIASES], 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ProposalError(f"{text!r}: {word!r} is no algorithm known here{hint}") from None


DEFAULT_IKE: tuple[Proposal, ...] = (
    ike_proposal("aes256gcm16-aes128gcm16-prfsha256-prfsha384-x25519-ecp256-ecp384-modp2048-modp3072-modp4096"),
    ike_proposal("chacha20poly1305-prfsha256-x25519-ecp256-modp2048"),
    ike_proposal("aes128-aes256-sha256-sha384-sha512-x25519-ecp256-ecp384-modp2048-modp3072-modp4096"),
)
"""What we offer and accept for an IKE SA unless told otherwise."""

DEFAULT_ESP: tuple[Proposal, ...] = (
    esp_proposal("aes128gcm16-aes256gcm16-chacha20poly1305-x25519-ecp256-ecp384-modp2048-modp3072-modp4096-none"),
    esp_proposal("aes128-aes256-sha256-x25519-ecp256-ecp384-modp2048-modp3072-modp4096-none"),
)
"""What we offer and accept for ESP unless told otherwise, with PFS and without."""
