"""Instants of certificates as people read them."""

from __future__ import annotations

from datetime import UTC, datetime

_FIRST_S = -62_135_596_800
"""The beginning of the year 1."""
_LAST_S = 253_402_300_799
"""The end of the year 9999, which certificates without an end carry (RFC 5280 section 4.1.2.5)."""


def written_time(instant_s: int) -> str:
    """Write seconds since 1970 as `2027-01-31 12:00 UTC`."""
    return _moment(instant_s).isoformat(" ", "minutes").removesuffix("+00:00") + " UTC"


def iso_time(instant_s: int) -> str:
    """Write them as `2027-01-31T12:00:00Z`."""
    return _moment(instant_s).isoformat().removesuffix("+00:00") + "Z"


def _moment(instant_s: int) -> datetime:
    return datetime.fromtimestamp(max(_FIRST_S, min(instant_s, _LAST_S)), UTC)
