"""The Security Association payload: proposals and their transforms (RFC 7296 section 3.3)."""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import ClassVar

from culvert.wire.isakmp.errors import require
from culvert.wire.isakmp.limits import MAX_ATTRIBUTES, MAX_PROPOSALS, MAX_TRANSFORMS
from culvert.wire.isakmp.numbers import PayloadType, ProtocolId, known
from culvert.wire.isakmp.reader import Reader, octets_of, packed

_LAST, _MORE_PROPOSALS, _MORE_TRANSFORMS = 0, 2, 3
_SUBSTRUCTURE = Struct("!BBH")
_PROPOSAL, _TRANSFORM = Struct("!BBHBBBB"), Struct("!BBHBBH")
_TRANSFORM_BODY, _ATTRIBUTE = Struct("!BBH"), Struct("!HH")
_SHORT_FORM = 0x8000
_KEY_LENGTH = _SHORT_FORM | 14
_SPI_OCTETS: dict[int, tuple[int, ...]] = {ProtocolId.IKE: (0, 8), ProtocolId.AH: (4,), ProtocolId.ESP: (4,)}


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute that is not known here. `type` has its highest bit set where the value is two octets long."""

    type: int
    value: bytes

    def __post_init__(self) -> None:
        require(self.type != _KEY_LENGTH, "the key length has a field of its own")
        require(not self.type & _SHORT_FORM or len(self.value) == 2, "a short attribute has a value of 2 octets")

    def emit(self) -> bytes:
        length = b"" if self.type & _SHORT_FORM else octets_of(len(self.value), 2)
        return octets_of(self.type, 2) + length + self.value


@dataclass(frozen=True, slots=True)
class TransformSubstructure:
    """One algorithm on offer, by IANA's numbers. `key_length` is in bits, None where it is not given.

    A transform with unknown attributes must not be chosen (RFC 7296 section 3.3.6).
    """

    type: int
    id: int
    key_length: int | None = None
    unknown_attributes: tuple[Attribute, ...] = ()

    def __post_init__(self) -> None:
        require(len(self.unknown_attributes) <= MAX_ATTRIBUTES, "too many transform attributes")

    def emit(self, last: bool) -> bytes:
        key_length = b"" if self.key_length is None else packed(_ATTRIBUTE, _KEY_LENGTH, self.key_length)
        attributes = key_length + b"".join(attribute.emit() for attribute in self.unknown_attributes)
        mark, length = _LAST if last else _MORE_TRANSFORMS, _TRANSFORM.size + len(attributes)
        return packed(_TRANSFORM, mark, 0, length, self.type, 0, self.id) + attributes


@dataclass(frozen=True, slots=True)
class Proposal:
    """Transforms to choose one of each type from. `spi` is the sender's: 4 octets for ESP and AH, 8 or 0 for IKE."""

    number: int
    protocol: ProtocolId | int
    spi: bytes
    transforms: tuple[TransformSubstructure, ...]

    def __post_init__(self) -> None:
        require(len(self.spi) in _SPI_OCTETS.get(self.protocol, (len(self.spi),)), "an SPI of a wrong length")

    def emit(self, last: bool) -> bytes:
        count = len(self.transforms)
        transforms = b"".join(one.emit(at == count) for at, one in enumerate(self.transforms, 1))
        rest = self.spi + transforms
        mark, length = _LAST if last else _MORE_PROPOSALS, _PROPOSAL.size + len(rest)
        return packed(_PROPOSAL, mark, 0, length, self.number, self.protocol, len(self.spi), count) + rest


@dataclass(frozen=True, slots=True)
class SecurityAssociation:
    """The sender's proposals, the preferred first; in an answer, the one chosen."""

    proposals: tuple[Proposal, ...]
    payload_type: ClassVar[PayloadType] = PayloadType.SA

    def __post_init__(self) -> None:
        require(1 <= len(self.proposals) <= MAX_PROPOSALS, "no proposal, or too many")
        transforms = sum(len(proposal.transforms) for proposal in self.proposals)
        require(transforms <= MAX_TRANSFORMS, "too many transforms")

    @classmethod
    def parse(cls, body: bytes) -> SecurityAssociation:
        reader, proposals, transforms, more = Reader(body, "the SA payload"), list[Proposal](), 0, True
        while more:
            require(len(proposals) < MAX_PROPOSALS, "too many proposals")
            require(transforms <= MAX_TRANSFORMS, "too many transforms")
            more, substructure = _substructure(reader, _MORE_PROPOSALS)
            proposals.append(_parse_proposal(substructure))
            transforms += len(proposals[-1].transforms)
        reader.end()
        return cls(tuple(proposals))

    def emit(self) -> bytes:
        count = len(self.proposals)
        return b"".join(proposal.emit(at == count) for at, proposal in enumerate(self.proposals, 1))


def _substructure(reader: Reader, more: int) -> tuple[bool, bytes]:
    """Cut out the next proposal or transform; tell also whether another one follows."""
    mark, _reserved, length = reader.fields(_SUBSTRUCTURE)
    require(mark in (_LAST, more), "a substructure that is marked neither as the last nor as followed by its like")
    return mark == more, reader.octets(length - 4)


def _parse_proposal(substructure: bytes) -> Proposal:
    reader = Reader(substructure, "a proposal")
    number, protocol, spi_octets, count = reader.octets(4)
    spi = reader.octets(spi_octets)
    transforms = tuple(_parse_transform(reader, at == count) for at in range(1, count + 1))
    reader.end()
    return Proposal(number, known(ProtocolId, protocol), spi, transforms)


def _parse_transform(reader: Reader, last: bool) -> TransformSubstructure:
    more, substructure = _substructure(reader, _MORE_TRANSFORMS)
    require(more != last, "the number of transforms is not what the proposal says")
    reader = Reader(substructure, "a transform")
    kind, _reserved, number = reader.fields(_TRANSFORM_BODY)
    return TransformSubstructure(kind, number, *_parse_attributes(reader))


def _parse_attributes(reader: Reader) -> tuple[int | None, tuple[Attribute, ...]]:
    key_length: int | None = None
    unknown: list[Attribute] = []
    while reader.left:
        require(len(unknown) <= MAX_ATTRIBUTES, "too many transform attributes")
        kind, value_or_length = reader.fields(_ATTRIBUTE)
        if kind == _KEY_LENGTH:
            require(key_length is None, "a transform with two key lengths")
            key_length = value_or_length
        elif kind & _SHORT_FORM:
            unknown.append(Attribute(kind, octets_of(value_or_length, 2)))
        else:
            unknown.append(Attribute(kind, reader.octets(value_or_length)))
    return key_length, tuple(unknown)
