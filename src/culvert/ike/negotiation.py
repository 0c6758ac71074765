"""Choosing algorithms: configured proposals against those on the wire (RFC 7296 sections 2.7 and 3.3)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from culvert.crypto.transforms import (
    NO_KEY_EXCHANGE,
    Encryption,
    Esn,
    Integrity,
    KeyExchange,
    Prf,
    Transform,
    TransformType,
)
from culvert.ike import words
from culvert.ipsec.proposals import Proposal
from culvert.limits import MAX_PROPOSALS_JUDGED
from culvert.wire.isakmp.numbers import ProtocolId
from culvert.wire.isakmp.sa import Proposal as WireProposal
from culvert.wire.isakmp.sa import SecurityAssociation, TransformSubstructure

NONE_ID = 0
"""NONE of transform types 3 and 4, and "no" of type 5."""
_KINDS = tuple(int(kind) for kind in TransformType)


@dataclass(frozen=True, slots=True)
class Suite:
    """One transform of each kind. `prf` is an IKE SA's alone, `esn` ESP's: sequence numbers of 64 bits.

    `key_exchange` is None where there is none.
    """

    encryption: Encryption | None
    integrity: Integrity | None = None
    prf: Prf | None = None
    key_exchange: KeyExchange | None = None
    esn: bool = False

    @property
    def cipher(self) -> Encryption:
        """The encryption of an IKE SA, which is never without. Raise ValueError."""
        if self.encryption is None:
            raise ValueError("a suite without encryption")
        return self.encryption

    @property
    def protection(self) -> str:
        """What protects packets, in words of proposals: `aes128gcm16`, `aes128-sha256`; `sha256` with AH."""
        return "-".join(part.name for part in (self.encryption, self.integrity) if part is not None)

    def __str__(self) -> str:
        parts = (self.encryption, self.integrity, self.prf, self.key_exchange)
        return "-".join(part.name for part in parts if part is not None)


@dataclass(frozen=True, slots=True)
class Chosen:
    """A proposal that suits both: what to answer with, and the peer's SPI in it."""

    suite: Suite
    spi: bytes
    number: int
    transforms: tuple[TransformSubstructure, ...]

    def answer(self, protocol: ProtocolId, spi: bytes) -> SecurityAssociation:
        """Write the SA payload of the response; `spi` is ours."""
        return SecurityAssociation((WireProposal(self.number, protocol, spi, self.transforms),))


def offer(proposals: Sequence[Proposal], protocol: ProtocolId, spi: bytes, key_exchange: bool) -> SecurityAssociation:
    """Write the SA payload of a request. Without `key_exchange` no groups are named (RFC 7296 section 1.2)."""
    return SecurityAssociation(
        tuple(
            WireProposal(number, protocol, spi, tuple(_substructures(proposal, key_exchange)))
            for number, proposal in enumerate(proposals, 1)
        )
    )


def choose(
    offered: SecurityAssociation,
    configured: Sequence[Proposal],
    protocol: ProtocolId,
    *,
    key_exchange: bool = True,
    method: int | None = None,
) -> Chosen | None:
    """Find the first of our proposals that one of the peer's meets, or None.

    `method` is that of the peer's KE payload: taken where it is acceptable, to save a round trip.
    """
    for ours in configured:
        for theirs in offered.proposals[:MAX_PROPOSALS_JUDGED]:
            chosen = _match(ours, theirs, protocol, key_exchange, method)
            if chosen is not None:
                return chosen
    return None


def accept(
    answer: SecurityAssociation, configured: Sequence[Proposal], protocol: ProtocolId, *, key_exchange: bool = True
) -> Chosen | None:
    """Judge a response: exactly one proposal, of those that we made, with one transform of each type. Else None.

    It is to have our number (RFC 7296 section 3.3.1); where a peer counts in another way, the algorithms decide.
    """
    if len(answer.proposals) != 1:
        return None
    theirs = answer.proposals[0]
    types = [transform.type for transform in theirs.transforms]
    if len(types) != len(dict.fromkeys(types)):
        return None
    numbered = configured[theirs.number - 1 : theirs.number] if theirs.number else ()
    judged = (_match(ours, theirs, protocol, key_exchange, None) for ours in (*numbered, *configured))
    return next((one for one in judged if one is not None and _nothing_else(one, theirs)), None)


def _nothing_else(chosen: Chosen, theirs: WireProposal) -> bool:
    """Tell whether an answer names no algorithm besides those that were asked for, such as a group in IKE_AUTH."""
    return all(one in chosen.transforms or one.id == NONE_ID for one in theirs.transforms)


def with_prf(configured: Sequence[Proposal], prf: Prf | None) -> tuple[Proposal, ...]:
    """Give the proposals that allow this PRF, with no other; all of them where none does."""
    narrowed = tuple(replace(one, prf=(prf,)) for one in configured if prf is not None and prf in one.prf)
    return narrowed or tuple(configured)


def permits(configured: Sequence[Proposal], suite: Suite) -> bool:
    """Tell whether an IKE SA may use these algorithms by one of our proposals."""
    return any(
        suite.encryption in one.encryption
        and suite.prf in one.prf
        and suite.key_exchange in one.key_exchange
        and (suite.integrity is None or suite.integrity in one.integrity)
        for one in configured
    )


def acceptable_method(configured: Sequence[Proposal], method: int) -> KeyExchange | None:
    """Give the key exchange with this number where we allow it, else None."""
    return next((one for proposal in configured for one in proposal.key_exchange if one.id == method and method), None)


def preferred_method(configured: Sequence[Proposal]) -> KeyExchange | None:
    """Give the key exchange to begin with, or None where we would rather have none."""
    first = next((one for proposal in configured for one in proposal.key_exchange), NO_KEY_EXCHANGE)
    return first if first.id else None


def _match(
    ours: Proposal, theirs: WireProposal, protocol: ProtocolId, key_exchange: bool, method: int | None
) -> Chosen | None:
    if theirs.protocol != protocol or any(one.type not in _KINDS for one in theirs.transforms):
        return None
    picked: dict[TransformType, Transform | None] = {}
    transforms: list[TransformSubstructure] = []
    for kind in TransformType:
        if kind is TransformType.KE and not key_exchange:
            continue
        wanted = transforms_of(ours, kind, key_exchange)
        common = pick(wanted, theirs, kind, method if kind is TransformType.KE else None)
        if common is None:
            return None
        picked[kind] = common[0]
        transforms += [common[1]] if common[1] else []
    return Chosen(_suite(picked), theirs.spi, theirs.number, tuple(transforms))


def pick(
    ours: Sequence[Transform], theirs: WireProposal, kind: TransformType, method: int | None = None
) -> tuple[Transform | None, TransformSubstructure | None] | None:
    """Give our transform and theirs, both None where this kind is absent on both sides; None where nothing suits."""
    offered = {
        (one.id, one.key_length): one for one in theirs.transforms if one.type == kind and not one.unknown_attributes
    }
    for one in sorted(ours, key=lambda one: _is_beside(one, method)) if method else ours:
        if words.number(one) in offered:
            return one, offered[words.number(one)]
    named = any(one.type == kind for one in theirs.transforms)
    if not named and (not ours or any(words.number(one)[0] == NONE_ID for one in ours)):
        return None, None
    if not ours and (NONE_ID, None) in offered:
        return None, offered[NONE_ID, None]
    return None


def _is_beside(transform: Transform, method: int) -> bool:
    """Sort the method that the request has a share for first: it saves a round trip. A weak one does not go first, for
    anybody can make an initiator begin with it by a forged INVALID_KE_PAYLOAD.
    """
    weak = isinstance(transform, KeyExchange) and transform.legacy
    return weak or words.number(transform)[0] != method


def _suite(picked: dict[TransformType, Transform | None]) -> Suite:
    encryption, integrity = picked[TransformType.ENCR], picked[TransformType.INTEG]
    prf, method = picked[TransformType.PRF], picked.get(TransformType.KE)
    return Suite(
        encryption if isinstance(encryption, Encryption) else None,
        integrity if isinstance(integrity, Integrity) else None,
        prf if isinstance(prf, Prf) else None,
        method if isinstance(method, KeyExchange) and method.id else None,
        picked[TransformType.ESN] is Esn.YES,
    )


def transforms_of(proposal: Proposal, kind: TransformType, key_exchange: bool) -> Sequence[Transform]:
    """Give our transforms of a kind; without `key_exchange` there are none of that."""
    if kind is TransformType.ENCR:
        return proposal.encryption
    if kind is TransformType.INTEG:
        return proposal.integrity
    if kind is TransformType.PRF:
        return proposal.prf
    if kind is TransformType.KE:
        return proposal.key_exchange if key_exchange else ()
    return proposal.esn


def _substructures(proposal: Proposal, key_exchange: bool) -> Iterable[TransformSubstructure]:
    for kind in TransformType:
        for one in transforms_of(proposal, kind, key_exchange):
            number, key_length = words.number(one)
            yield TransformSubstructure(kind, number, key_length)
