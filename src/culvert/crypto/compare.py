"""Comparing secrets."""

from __future__ import annotations

import hmac


def constant_time_equal(one: bytes, other: bytes) -> bool:
    """Tell whether both are the same, in a time that does not depend on where they differ."""
    return hmac.compare_digest(one, other)
