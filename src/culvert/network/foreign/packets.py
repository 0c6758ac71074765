"""A packet that we ask about, with what is known of it, and answers that may be "perhaps"."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from culvert.addresses import IPNetwork
from culvert.plan.pairs import contains


class Answer(IntEnum):
    """Whether something holds. The smallest of several is their conjunction, the largest their disjunction."""

    NO = 0
    PERHAPS = 1
    YES = 2

    def negated(self) -> Answer:
        return Answer(2 - self)


@dataclass(frozen=True, slots=True)
class Packet:
    """What is known of the packets in question; None is unknown. All of them begin a flow: their state is "new"."""

    version: int
    protocol: int | None = None
    source: IPNetwork | None = None
    destination: IPNetwork | None = None
    source_port: int | None = None
    destination_port: int | None = None
    in_interface: str | None = None
    out_interface: str | None = None
    mark: int = 0
    for_this_host: bool | None = None


Condition = Callable[[Packet], Answer]


def perhaps(packet: Packet) -> Answer:  # noqa: ARG001
    """Answer for an expression that we do not know."""
    return Answer.PERHAPS


def negate(condition: Condition) -> Condition:
    return lambda packet: condition(packet).negated()


def every(conditions: Iterable[Condition]) -> Condition:
    together = tuple(conditions)
    return lambda packet: min((condition(packet) for condition in together), default=Answer.YES)


def some(conditions: Iterable[Condition]) -> Condition:
    together = tuple(conditions)
    return lambda packet: max((condition(packet) for condition in together), default=Answer.NO)


def answer(value: bool) -> Answer:
    return Answer.YES if value else Answer.NO


def known(field: str, judge: Callable[[Any], bool]) -> Condition:
    """Judge a field of the packet, where it is known."""

    def condition(packet: Packet) -> Answer:
        value = getattr(packet, field)
        return Answer.PERHAPS if value is None else answer(judge(value))

    return condition


def interface_is(field: str, pattern: str, wildcard: str) -> Condition:
    """Compare an interface's name; a pattern that ends in `wildcard` stands for all that begin like it.

    None of the packets that we ask about crosses the loopback.
    """
    if pattern == "lo":
        return lambda _: Answer.NO
    if pattern.endswith(wildcard):
        return known(field, lambda name: name.startswith(pattern[:-1]))
    return known(field, lambda name: name == pattern)


def address_in(field: str, network: IPNetwork) -> Condition:
    """Tell whether all, some or none of the packet's addresses lie in a network."""

    def condition(packet: Packet) -> Answer:
        if packet.version != network.version:
            return Answer.NO
        mine = getattr(packet, field)
        if network.prefixlen == 0:
            return Answer.YES
        if mine is None:
            return Answer.PERHAPS
        return _overlap(mine, network)

    return condition


def _overlap(mine: IPNetwork, other: IPNetwork) -> Answer:
    if contains(other, mine):
        return Answer.YES
    return Answer.PERHAPS if contains(mine, other) else Answer.NO
