"""The one way in which reading a message fails."""

from __future__ import annotations

from culvert.reasons import Refusal


class ParseError(ValueError):
    """Octets, or values, that make no IKE message. `text` says what is wrong, never in the peer's words."""

    def __init__(self, reason: Refusal, text: str) -> None:
        self.reason = reason
        self.text = text
        super().__init__(f"{reason}: {text}")


def require(condition: bool, text: str) -> None:
    """Raise ParseError with INVALID_SYNTAX unless `condition` holds."""
    if not condition:
        raise ParseError(Refusal.INVALID_SYNTAX, text)
