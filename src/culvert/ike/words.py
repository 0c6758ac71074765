"""Transforms on the wire in the words of gateway.toml: `aes256gcm16-prfsha256-x25519`."""

from __future__ import annotations

from collections.abc import Iterable

from culvert.crypto import foreign
from culvert.crypto.transforms import (
    BY_NAME,
    Encryption,
    Esn,
    Integrity,
    KeyExchange,
    Prf,
    Transform,
    TransformType,
)
from culvert.wire.isakmp.sa import Proposal, TransformSubstructure

Number = tuple[int, int | None]
"""A transform's number and the length of its key in bits, where the wire has one."""
MAX_WORDS = 24
"""Transforms of one proposal that are written; the widest default of a real peer has some thirty."""
_ORDER: dict[int, int] = {TransformType.INTEG: TransformType.PRF, TransformType.PRF: TransformType.INTEG}
"""Integrity is written in front of the PRF."""
_TYPES: tuple[tuple[TransformType, type], ...] = (
    (TransformType.ENCR, Encryption),
    (TransformType.PRF, Prf),
    (TransformType.INTEG, Integrity),
    (TransformType.KE, KeyExchange),
    (TransformType.ESN, Esn),
)
_FOREIGN: dict[int, dict[int, str]] = {
    TransformType.PRF: foreign.PRF,
    TransformType.INTEG: foreign.INTEGRITY,
    TransformType.KE: foreign.KEY_EXCHANGE,
}
_PREFIXES: dict[int, str] = {
    TransformType.PRF: "prf",
    TransformType.INTEG: "integrity",
    TransformType.KE: "ke",
    TransformType.ESN: "esn",
}


def number(transform: Transform) -> Number:
    """Give the number of a transform and the length of its key, as an SA payload has them."""
    if isinstance(transform, Esn):
        return int(transform), None
    if isinstance(transform, Encryption) and transform.key_length_attribute:
        return transform.id, transform.key_octets * 8
    return transform.id, None


def transform_type(transform: Transform) -> TransformType:
    return next(kind for kind, cls in _TYPES if isinstance(transform, cls))


KNOWN: dict[tuple[int, Number], str] = {(transform_type(one), number(one)): name for name, one in BY_NAME.items()}
"""The words for what is done here, by type and number."""


def word(kind: int, id_: int, key_length: int | None = None) -> str:
    """Give the word for a transform, known here or not."""
    known = KNOWN.get((kind, (id_, key_length)))
    if known is not None:
        return known
    if kind == TransformType.ENCR:
        name = foreign.ENCRYPTION.get(id_, f"encryption{id_}")
        return name if key_length is None else f"{name}:{key_length}"
    return _FOREIGN.get(kind, {}).get(id_) or f"{_kind(kind)}{id_}"


def _kind(kind: int) -> str:
    return _PREFIXES.get(kind, f"type{kind}:")


def group(method: int) -> str:
    """Give the word for a key exchange method."""
    return word(TransformType.KE, method)


def of(transform: TransformSubstructure) -> str:
    mark = "?" if transform.unknown_attributes else ""
    return word(transform.type, transform.id, transform.key_length) + mark


def joined(transforms: Iterable[TransformSubstructure]) -> str:
    """Write transforms as one proposal, in its usual order; bounded, for it may be a peer who wrote them."""
    words = [of(one) for one in sorted(transforms, key=lambda one: _ORDER.get(one.type, one.type))]
    more = f"-and-{len(words) - MAX_WORDS}-more" if len(words) > MAX_WORDS else ""
    return "-".join(words[:MAX_WORDS]) + more or "nothing"


def proposal(offered: Proposal) -> str:
    """Write one proposal of a peer."""
    return joined(offered.transforms)
