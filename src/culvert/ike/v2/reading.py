"""Payloads of one message, found by what they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from culvert.ipsec.associations import Protocol
from culvert.ipsec.selectors import PortRange, SelectorError, TrafficSelector
from culvert.limits import MAX_SELECTORS_READ
from culvert.reasons import Refusal
from culvert.wire.isakmp.notify import Notify, NotifyType
from culvert.wire.isakmp.numbers import ProtocolId
from culvert.wire.isakmp.payload import Payload, Unknown
from culvert.wire.isakmp.ts import TrafficSelector as WireSelector
from culvert.wire.isakmp.ts import TrafficSelectors

P = TypeVar("P")


class Refused(Exception):  # noqa: N818 - the peer is refused with a notification; this is no failure of ours
    """Ends the handling of a request with an error notification, or of a response with the exchange's failure.

    `explanation` is for our log and status; nothing of it travels. One that takes time is given as a way to make it:
    whoever floods us with what we refuse is not told of each time. `fatal`: the IKE SA ends too.
    """

    def __init__(
        self, notify: Notify, reason: Refusal, explanation: str | Callable[[], str], fatal: bool = False
    ) -> None:
        super().__init__()
        self.notify = notify
        self.reason = reason
        self.fatal = fatal
        self._explanation = explanation

    @property
    def explanation(self) -> str:
        if not isinstance(self._explanation, str):
            self._explanation = self._explanation()
        return self._explanation


def refused(
    type_: NotifyType, explanation: str | Callable[[], str], data: bytes = b"", *, fatal: bool = False
) -> Refused:
    """Make a Refused whose reason has the notification's name."""
    return Refused(Notify(type_, data), reason_of(type_), explanation, fatal)


def reason_of(type_: NotifyType | int) -> Refusal:
    """Give the reason with the name of an error notification; UNEXPECTED_MESSAGE for those without one."""
    name = type_.name if isinstance(type_, NotifyType) else ""
    return Refusal(name) if name in Refusal.__members__ else Refusal.UNEXPECTED_MESSAGE


@dataclass(frozen=True, slots=True)
class Contents:
    """The payloads of a message, in their order."""

    payloads: tuple[Payload, ...]

    def find(self, kind: type[P]) -> P | None:
        return next((one for one in self.payloads if isinstance(one, kind)), None)

    def get(self, kind: type[P]) -> P:
        """Give the payload of this class; `table` has made sure that it is there."""
        found = self.find(kind)
        if found is None:
            raise refused(NotifyType.INVALID_SYNTAX, f"a message without {kind.__name__}")
        return found

    def all(self, kind: type[P]) -> list[P]:
        return [one for one in self.payloads if isinstance(one, kind)]

    def notify(self, type_: NotifyType) -> Notify | None:
        return next((one for one in self.all(Notify) if one.type == type_), None)

    def notified(self, type_: NotifyType) -> tuple[bytes, ...]:
        """Give the data of every notification of a type."""
        return tuple(one.data for one in self.all(Notify) if one.type == type_)

    @property
    def error(self) -> Notify | None:
        """The first error notification."""
        return next((one for one in self.all(Notify) if one.is_error), None)

    @property
    def unknown_error(self) -> Notify | None:
        """The first error that is not known here: a request that is answered with it failed (section 3.10.1)."""
        errors = (one for one in self.all(Notify) if one.is_error)
        return next((one for one in errors if not isinstance(one.type, NotifyType)), None)

    @property
    def critical(self) -> Unknown | None:
        """The first payload that is not known here and must be."""
        return next((one for one in self.all(Unknown) if one.critical), None)


def selectors_of(payload: TrafficSelectors) -> tuple[TrafficSelector, ...]:
    """Give the traffic selectors that we can express, at most MAX_SELECTORS_READ."""
    found = [_selector(one) for one in payload.selectors if isinstance(one, WireSelector) and not one.opaque]
    return tuple(one for one in found if one is not None)[:MAX_SELECTORS_READ]


def _selector(one: WireSelector) -> TrafficSelector | None:
    try:
        return TrafficSelector(one.start, one.end, one.protocol, PortRange(one.start_port, one.end_port))
    except SelectorError:
        return None


def wire_selectors(selectors: Iterable[TrafficSelector]) -> tuple[WireSelector, ...]:
    return tuple(WireSelector(one.protocol, one.ports.start, one.ports.end, one.start, one.end) for one in selectors)


PROTOCOL_IDS = {Protocol.ESP: ProtocolId.ESP, Protocol.AH: ProtocolId.AH}


def protocol_of(number: ProtocolId | int) -> Protocol | None:
    """Give the protocol of child SAs with this number, or None."""
    return next((protocol for protocol, known in PROTOCOL_IDS.items() if known == number), None)


def child_notify(type_: NotifyType, spi: int, protocol: ProtocolId | int) -> Notify:
    """Write a notification about the child SA with this SPI."""
    return Notify(type_, b"", protocol, spi.to_bytes(4, "big"))


def name_of(notify: Notify) -> str:
    """Give the notification's name for people."""
    return notify.type.name if isinstance(notify.type, NotifyType) else f"notification {notify.type}"


def names(payloads: Sequence[Payload]) -> str:
    """Name payloads for a trace."""
    return " ".join(name_of(one) if isinstance(one, Notify) else type(one).__name__ for one in payloads)
