"""How long an association may live (RFC 4301 section 4.4.2.1)."""

from __future__ import annotations

from dataclasses import dataclass

UNLIMITED = 0


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """Soft limits ask for a successor, hard limits end. 0 is no limit.

    `_s`: seconds since it was added; `_use_s`: since its first packet.
    """

    soft_s: int = UNLIMITED
    hard_s: int = UNLIMITED
    soft_octets: int = UNLIMITED
    hard_octets: int = UNLIMITED
    soft_packets: int = UNLIMITED
    hard_packets: int = UNLIMITED
    soft_use_s: int = UNLIMITED
    hard_use_s: int = UNLIMITED
