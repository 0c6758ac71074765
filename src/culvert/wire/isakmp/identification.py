"""The Identification payloads IDi and IDr (RFC 7296 section 3.5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from culvert.identities import MAX_IDENTITY_OCTETS, Identity, IdentityType
from culvert.wire.isakmp.errors import require
from culvert.wire.isakmp.numbers import PayloadType, known
from culvert.wire.isakmp.reader import Reader, octets_of

_ADDRESS_OCTETS: dict[int, int] = {IdentityType.IPV4_ADDR: 4, IdentityType.IPV6_ADDR: 16}


@dataclass(frozen=True, slots=True)
class Identification:
    """Who the sender is. `emit()` is RestOfIDPayload of RFC 7296 section 2.15, with the octets that were reserved."""

    type: IdentityType | int
    value: bytes
    reserved: bytes = bytes(3)

    def __post_init__(self) -> None:
        require(len(self.reserved) == 3, "an identification has 3 reserved octets")
        require(len(self.value) <= MAX_IDENTITY_OCTETS, f"an identity of {len(self.value)} octets")
        expected = _ADDRESS_OCTETS.get(self.type, len(self.value))
        require(len(self.value) == expected, f"an address of {len(self.value)} octets as identity")

    @classmethod
    def parse(cls, body: bytes) -> Self:
        reader = Reader(body, "an identification payload")
        kind, reserved = reader.number(1), reader.octets(3)
        return cls(known(IdentityType, kind), reader.rest(), reserved)

    @classmethod
    def of(cls, identity: Identity) -> Self:
        return cls(identity.type, identity.value)

    @property
    def identity(self) -> Identity | None:
        """The identity; None where its type is not known here."""
        return Identity(self.type, self.value) if isinstance(self.type, IdentityType) else None

    def emit(self) -> bytes:
        return octets_of(self.type, 1) + self.reserved + self.value


@dataclass(frozen=True, slots=True)
class IDi(Identification):
    """The initiator's."""

    payload_type: ClassVar[PayloadType] = PayloadType.IDI


@dataclass(frozen=True, slots=True)
class IDr(Identification):
    """The responder's; from the initiator, the one that it wishes to talk to."""

    payload_type: ClassVar[PayloadType] = PayloadType.IDR
