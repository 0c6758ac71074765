"""Responder IKE SAs whose peer has proven nothing yet, indexed so that a flood of them is quick to count."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv6Address

from culvert.addresses import IPAddress

HOST_BITS = 64
"""Of an IPv6 address, these are its owner's to choose (RFC 4291 section 2.5.4): whoever has one has them all."""
Source = tuple[int, int]
"""IP version, and the address or what of it one owner cannot choose."""


def source_of(address: IPAddress) -> Source:
    """Give what counts as one source."""
    return address.version, int(address) >> (HOST_BITS if isinstance(address, IPv6Address) else 0)


@dataclass(slots=True)
class HalfOpen:
    """Our SPIs of such IKE SAs with the source that each came from; those that were refused and linger included."""

    _sources: dict[bytes, Source] = field(default_factory=dict)
    _counts: dict[Source, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._sources)

    def enter(self, spi: bytes, address: IPAddress) -> None:
        source = self._sources[spi] = source_of(address)
        self._counts[source] = self._counts.get(source, 0) + 1

    def leave(self, spi: bytes) -> None:
        """Forget one; not an error where it is none."""
        source = self._sources.pop(spi, None)
        if source is None:
            return
        self._counts[source] -= 1
        if not self._counts[source]:
            del self._counts[source]

    def of(self, address: IPAddress) -> int:
        """Count those of the source of an address."""
        return self._counts.get(source_of(address), 0)
