"""Instants of certificates as people read them."""

from __future__ import annotations

from datetime import UTC, datetime

_LAST_S = 253_402_300_799
"""The end of the year 9999, which certificates without an end carry (RFC 5280 section 4.1.2.5)."""


def written_time(instant_s: int) -> str:
    """Write seconds since 1970 as `2027-01-31 12:00 UTC`."""
    return datetime.fromtimestamp(max(-_LAST_S // 8, min(instant_s, _LAST_S)), UTC).strftime("%Y-%m-%d %H:%M UTC")
