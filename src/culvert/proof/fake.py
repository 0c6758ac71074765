"""A host that exists on paper: it captures what it is told, and answers or refuses probes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from culvert.addresses import IPAddress
from culvert.capture.packets import Captured
from culvert.proof.evidence import Fence, Steering
from culvert.proof.host import Listener, Prober
from culvert.proof.protection import Flow


class FakeListener:
    """Gives what it was handed."""

    def __init__(self) -> None:
        self.packets: list[Captured] = []
        self.unseen = 0

    def take(self) -> list[Captured]:
        packets, self.packets = self.packets, []
        return packets

    def lost(self) -> int:
        return self.unseen


class FakeProber:
    """Hands each probe's payload to `outside`, which may show on a wire, and answers all of them or none."""

    def __init__(self, outside: Callable[[int, bytes], None], answers: bool, refusal: str) -> None:
        self._outside, self._answers, self._refusal = outside, answers, refusal
        self._sent: list[int] = []

    def send(self, sequence: int, payload: bytes) -> str:
        if not self._refusal:
            self._sent.append(sequence)
            self._outside(sequence, payload)
        return self._refusal

    async def replies(self, count: int, timeout_s: float) -> dict[int, int]:  # noqa: ARG002
        return {sequence: 1_000_000 * sequence for sequence in self._sent[:count]} if self._answers else {}

    def close(self) -> None:
        self._sent.clear()


class FakeHost:
    """`outside` is called with sequence and payload of each probe; what it should show goes into `listener.packets`."""

    def __init__(
        self,
        fence: Fence | None,
        steering: Steering,
        outside: Callable[[int, bytes], None] = lambda sequence, payload: None,  # noqa: ARG005
        *,
        answers: bool = True,
        refusal: str = "",
    ) -> None:
        self.listener = FakeListener()
        self.outside = outside
        self._fence, self._steering = fence, steering
        self._answers, self._refusal = answers, refusal

    def listen(self, interface: str) -> AbstractContextManager[Listener]:  # noqa: ARG002
        return nullcontext(self.listener)

    def prober(self, flow: Flow) -> Prober:  # noqa: ARG002
        return FakeProber(self.outside, self._answers, self._refusal)

    async def fence(self) -> Fence | None:
        return self._fence

    async def steering(self, source: IPAddress, destination: IPAddress) -> Steering:  # noqa: ARG002
        return self._steering
