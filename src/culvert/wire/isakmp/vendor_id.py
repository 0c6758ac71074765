"""The Vendor ID payload (RFC 7296 section 3.12)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from culvert.wire.isakmp.numbers import PayloadType


@dataclass(frozen=True, slots=True)
class VendorId:
    """Octets by which implementations know their own kind."""

    value: bytes
    payload_type: ClassVar[PayloadType] = PayloadType.VENDOR_ID

    @classmethod
    def parse(cls, body: bytes) -> VendorId:
        return cls(body)

    def emit(self) -> bytes:
        return self.value
