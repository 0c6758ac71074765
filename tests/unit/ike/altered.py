"""What one side writes, altered on its way: a peer that does otherwise."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from culvert.ike.v2 import child_negotiation
from culvert.ike.v2.sealing import Payloads


def alter_child(monkeypatch: pytest.MonkeyPatch, side: str, alter: Callable[[Payloads], Payloads]) -> None:
    """Alter what one side writes about a child."""
    request, respond = child_negotiation.request, child_negotiation.respond

    def changed(*arguments: object, **more: object) -> object:
        if side == "request":
            return alter(request(*arguments, **more))  # type: ignore[arg-type]
        child, payloads = respond(*arguments, **more)  # type: ignore[arg-type]
        return child, alter(payloads)

    monkeypatch.setattr(child_negotiation, side, changed)
