"""How often something is done for whoever asks: a bucket for each known address, one for all strangers together.

Strangers choose their addresses, so they share a bucket; and they do not take from those who are known.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from culvert.addresses import IPAddress
from culvert.clock import SECOND
from culvert.ike.logs import Limiter
from culvert.limits import (
    MAX_KNOWN_RATES,
    UNPROTECTED_KNOWN_BURST,
    UNPROTECTED_KNOWN_PER_S,
    UNPROTECTED_STRANGERS_BURST,
    UNPROTECTED_STRANGERS_PER_S,
)


def _strangers() -> Limiter:
    return Limiter(UNPROTECTED_STRANGERS_BURST, UNPROTECTED_STRANGERS_BURST, SECOND // UNPROTECTED_STRANGERS_PER_S)


@dataclass(slots=True)
class Rates:
    """Buckets of messages that nothing protects."""

    _strangers: Limiter = field(default_factory=_strangers)
    _known: dict[IPAddress, Limiter] = field(default_factory=dict)

    def allow(self, now: int, address: IPAddress, *, known: bool) -> bool:
        """Take one out of the bucket of an address; False where it is empty. `known`: a configured peer is there."""
        if not known:
            return self._strangers.allow(now)
        bucket = self._known.get(address)
        if bucket is None:
            if len(self._known) >= MAX_KNOWN_RATES:
                self._known.clear()
            interval = SECOND // UNPROTECTED_KNOWN_PER_S
            bucket = self._known[address] = Limiter(UNPROTECTED_KNOWN_BURST, UNPROTECTED_KNOWN_BURST, interval, now)
        return bucket.allow(now)
