from __future__ import annotations

from culvert.clock import SECOND
from culvert.ike.logs import Limiter
from culvert.limits import LOG_BURST, LOG_INTERVAL_S


def test_a_flood_is_written_at_a_bounded_rate() -> None:
    limiter = Limiter()
    assert sum(limiter.allow(0) for _ in range(1_000)) == LOG_BURST
    assert limiter.suppressed == 1_000 - LOG_BURST
    later = 10 * LOG_INTERVAL_S * SECOND
    assert sum(limiter.allow(later) for _ in range(1_000)) == 10
