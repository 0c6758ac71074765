"""Responder IKE SAs whose peer has proven nothing yet, indexed so that a flood of them is quick to count."""

from __future__ import annotations

from dataclasses import dataclass, field

from culvert.addresses import IPAddress


@dataclass(slots=True)
class HalfOpen:
    """Our SPIs of such IKE SAs with the address that each came from; those that were refused and linger included."""

    _sources: dict[bytes, IPAddress] = field(default_factory=dict)
    _counts: dict[IPAddress, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._sources)

    def enter(self, spi: bytes, source: IPAddress) -> None:
        self._sources[spi] = source
        self._counts[source] = self.of(source) + 1

    def leave(self, spi: bytes) -> None:
        """Forget one; not an error where it is none."""
        source = self._sources.pop(spi, None)
        if source is None:
            return
        self._counts[source] -= 1
        if not self._counts[source]:
            del self._counts[source]

    def of(self, source: IPAddress) -> int:
        """Count those of one address."""
        return self._counts.get(source, 0)
