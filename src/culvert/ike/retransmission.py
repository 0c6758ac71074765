"""When a request is sent again, and when the peer counts as dead (RFC 7296 section 2.4)."""

from __future__ import annotations

from dataclasses import dataclass

from culvert.clock import SECOND
from culvert.limits import MAX_PROMPT_REQUESTS

LONGEST_NS = 3_500_000_000
"""No wait is longer: whoever comes back is asked within this time, and with the set-up that follows carries traffic
within five seconds."""
JITTER_PERCENT = 20
"""By how much a wait may be shorter, so that a thousand peers that fell silent together are not asked together."""
SUSPECT_AT = 3
"""The transmission with which a peer is suspected to be gone: nothing came for 1.2 seconds and more."""

AUTH_SUSPECT_AT = 5
"""The same for IKE_AUTH, some six seconds: a responder may have a thousand peers to let in at once."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """`first_ns` doubles with each of `attempts` transmissions, up to LONGEST_NS; after the last the peer is dead."""

    first_ns: int
    attempts: int

    def wait(self, transmissions: int) -> int | None:
        """Give the nanoseconds to wait after the n-th transmission (from 1), or None where it was the last one."""
        if transmissions > self.attempts:
            return None
        return min(self.first_ns << (transmissions - 1), LONGEST_NS)

    @property
    def total(self) -> int:
        """Nanoseconds from the first transmission until the peer counts as dead, at most."""
        return sum(self.wait(number) or 0 for number in range(1, self.attempts + 1))


def stretched(wait_ns: int, under_way: int, prompt: int = MAX_PROMPT_REQUESTS) -> int:
    """Give the wait where so many wait alike: those beyond `prompt` share the rate of so many."""
    return wait_ns * max(under_way, prompt) // prompt


ESTABLISHED = Schedule(SECOND // 2, 24)
"""0.5 s doubling up to 3.5 s: dead after 62 to 77 s, so that a router may restart meanwhile."""
SET_UP = Schedule(SECOND // 2, 10)
"""Begun anew after 22 to 28 s: nothing is lost, and the name may have another address by then."""
