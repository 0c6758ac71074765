"""What handling a request yields."""

from __future__ import annotations

from dataclasses import dataclass

from culvert.ike.v2.sealing import Payloads
from culvert.reasons import Refusal


@dataclass(frozen=True, slots=True)
class Answer:
    """The payloads of a response; `ends`: why the IKE SA ends once it is sent, if it does."""

    payloads: Payloads = ()
    ends: tuple[Refusal, str] | None = None
