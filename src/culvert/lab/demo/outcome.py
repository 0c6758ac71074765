"""What a demonstration found, as plain values that become one document."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was done. Seconds since the beginning, and how long it took; `detail` is for people."""

    title: str
    ok: bool
    at_s: float
    took_s: float
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Outside:
    """What somebody on the Internet saw of it. Sizes are octets of IP packets, smallest and largest.

    `found` counts the packets in which the marked payload, or anything between the private networks, could be read.
    `missed` counts the packets that the listener lost.
    """

    esp_packets: int = 0
    esp_octets: tuple[int, int] = (0, 0)
    ike_packets: int = 0
    ike_octets: tuple[int, int] = (0, 0)
    other_packets: int = 0
    found: int = 0
    missed: int = 0
    excerpt: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return self.esp_packets > 0 and self.found == 0


@dataclass(slots=True)
class Outcome:
    """All of it. It is good only if every step was, nothing could be read outside, and both gateways prove it.

    `wants_proof`: the gateways are asked to; they can where they have peers.
    """

    scenario: str
    wants_proof: bool = True
    steps: list[Step] = field(default_factory=list)
    outside: Outside = Outside()
    verdicts: dict[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        proven = not self.wants_proof or bool(self.verdicts)
        proven = proven and all(verdict.get("ok") is True for verdict in self.verdicts.values())
        return bool(self.steps) and all(step.ok for step in self.steps) and self.outside.ok and proven

    def document(self, next_step: str) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "scenario": self.scenario,
            "steps": [asdict(step) for step in self.steps],
            "outside": asdict(self.outside),
            "proof": self.verdicts,
            "next": next_step,
        }
