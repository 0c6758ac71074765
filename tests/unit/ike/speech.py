"""Letting one end write its protected messages otherwise than we do."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from culvert.ike.v2 import requests
from culvert.ike.v2.sealing import Payloads, seal_within
from culvert.wire.isakmp.numbers import ExchangeType

Change = Callable[[Payloads], Payloads]


def change(
    monkeypatch: pytest.MonkeyPatch, exchange: ExchangeType, changed: Change, *, initiator: bool, response: bool
) -> None:
    """Change the requests or responses of an exchange by the end that began the IKE SA, or by the other one."""

    def seal(sa, entropy, written, payloads, **more):  # type: ignore[no-untyped-def]
        theirs = written == exchange and sa.initiator == initiator and more["response"] == response
        return seal_within(sa, entropy, written, changed(payloads) if theirs else payloads, **more)

    monkeypatch.setattr(requests, "seal_within", seal)
