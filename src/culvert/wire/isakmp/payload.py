"""What all payloads have in common, and the payloads that are not known here (RFC 7296 section 3.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from culvert.wire.isakmp.errors import require


class Payload(Protocol):
    """One payload. `parse` and `emit` treat its body: what follows the generic header."""

    @property
    def payload_type(self) -> int: ...

    def emit(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Unknown:
    """A payload of a type that is not known here. Where it is critical, the whole message must be refused."""

    type: int
    critical: bool
    body: bytes

    def __post_init__(self) -> None:
        require(0 < self.type <= 255, f"{self.type} is no payload type")

    @property
    def payload_type(self) -> int:
        return self.type

    def emit(self) -> bytes:
        return self.body
