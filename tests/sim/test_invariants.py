"""Each thing that must hold after every event is really looked at: a core in which it does not hold is found by it.

A mutant alters what the real core did, or what it knows. Faults that a core could have are in test_mutations.py; these
here go against one invariant each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address

import pytest

from culvert import limits
from culvert.crypto.transforms import BY_NAME, Encryption
from culvert.entropy import Entropy
from culvert.ike.actions import Action, InstallAssociation, Transmit
from culvert.ike.endpoint import Endpoint
from culvert.ike.events import Acquired, EngineRestarted, Event, RekeyRequested
from culvert.ike.timers import Timer
from culvert.ike.v2 import keeping, lineages
from culvert.ike.v2.context import Context
from culvert.ike.v2.reassembly import Incomplete
from culvert.ike.v2.sa import DeleteChild, IkeState, Lineage, Liveness
from culvert.ipsec.associations import Direction
from culvert.reasons import Refusal
from culvert.sim import bounds
from culvert.sim.pair import Pair
from culvert.sim.play import seeded
from culvert.wire.isakmp.header import HEADER_OCTETS, read_header
from culvert.wire.isakmp.message import Message, emit_message
from culvert.wire.isakmp.nonce import Nonce
from culvert.wire.isakmp.numbers import ExchangeType
from tests.sim.test_mutations import MOST_SEEDS, installs


def _kept(endpoint: Endpoint, actions: list[Action]) -> list[Action]:
    """Write checkpoints of what a mutant did, so that nothing else gives it away."""
    endpoint.state.touched.update(dict.fromkeys(keeping.behind(endpoint.state)))
    return keeping.ahead(endpoint.state, actions)


def _established(endpoint: Endpoint) -> list[Lineage]:
    return [one for one in endpoint.state.lineages.values() if one.established]


class OneSpiForTwo(Endpoint):
    """Enters a child in a lineage that it does not belong to."""

    def step(self, event: Event, now: int) -> list[Action]:
        actions = super().step(event, now)
        for spi in list(self.state.child_owners)[1:]:
            self.state.child_owners[spi] = 0
        return actions


class ForgetsWhatLeft(Endpoint):
    """Keeps the index of a child that is gone."""

    def step(self, event: Event, now: int) -> list[Action]:
        actions = super().step(event, now)
        self.state.leaving.clear()
        return actions


class LeavesOut(Endpoint):
    """Believes in an outbound association that it never installed."""

    def step(self, event: Event, now: int) -> list[Action]:
        return [one for one in super().step(event, now) if not installs(one, Direction.OUT)]


class NeverEndsTheOld(Endpoint):
    """Rekeys a child and keeps the old one, which nobody deletes."""

    def step(self, event: Event, now: int) -> list[Action]:
        actions = super().step(event, now)
        for lineage in self.state.lineages.values():
            lineage.queue = [one for one in lineage.queue if not isinstance(one, DeleteChild)]
            for spi in lineage.children:
                self.state.timers.clear(Timer.CHILD_HARD, spi)
        return _kept(self, actions)


class SelectorsOfAnother(Endpoint):
    """Where it answers, takes other traffic than was agreed, though no more than its policy allows."""

    def step(self, event: Event, now: int) -> list[Action]:
        return [_halved(one) if installs(one, Direction.IN) else one for one in super().step(event, now)]


def _halved(action: Action) -> Action:
    if not isinstance(action, InstallAssociation):
        return action
    half = tuple(replace(one, protocol=6) for one in action.association.selectors)
    return replace(action, association=replace(action.association, selectors=half))


class OldKeysAnew(Endpoint):
    """Gives a fresh data plane the keys of the lost one, so that its sequence numbers and IVs begin again."""

    def step(self, event: Event, now: int) -> list[Action]:
        children = [child for lineage in _established(self) for child in lineage.children.values()]
        actions = super().step(event, now)
        if isinstance(event, EngineRestarted):
            again = [InstallAssociation(one, "", "") for child in children for one in (child.inbound, child.outbound)]
            return [one for one in again if one.association.direction is Direction.OUT] and [*again[1:2], *actions]
        return actions


class AsksWithoutWaiting(Endpoint):
    """Begins an exchange while another one waits for its answer."""

    def step(self, event: Event, now: int) -> list[Action]:
        actions = super().step(event, now)
        for lineage in _established(self):
            current = self.state.current(lineage)
            if current is not None and current.state is IkeState.ESTABLISHED and current.window.outstanding:
                current.window.outstanding = None
                self.state.timers.clear(Timer.RETRANSMIT, current.spi.hex())
        return actions


class SkipsAMessageId(Endpoint):
    """Leaves a message ID out."""

    def step(self, event: Event, now: int) -> list[Action]:
        if isinstance(event, RekeyRequested):
            for sa in self.state.sas.values():
                sa.window.next_request += sa.window.outstanding is None
        return super().step(event, now)


class SaysItOtherwise(Endpoint):
    """Repeats a request with other octets."""

    def step(self, event: Event, now: int) -> list[Action]:
        actions = super().step(event, now)
        for sa in self.state.sas.values():
            under_way = sa.window.outstanding
            if under_way is not None and sa.state is not IkeState.INIT_SENT:
                under_way.datagrams = tuple(one[:-1] + bytes([one[-1] ^ 1]) for one in under_way.datagrams)
        return _kept(self, actions)


class SpeaksInClear(Endpoint):
    """Asks without protection where it should ask under it."""

    def step(self, event: Event, now: int) -> list[Action]:
        return [_opened(one) for one in super().step(event, now)]


def _opened(action: Action) -> Action:
    if not isinstance(action, Transmit) or len(action.data) < HEADER_OCTETS:
        return action
    header = read_header(action.data)
    if header.exchange != ExchangeType.INFORMATIONAL or header.response:
        return action
    spis = header.spi_i, header.spi_r
    nonce = (Nonce(bytes(32)),)
    clear = Message(*spis, header.exchange, header.initiator, False, header.message_id, nonce)
    return replace(action, data=emit_message(clear))


class WithoutACipher(Endpoint):
    """Installs associations that encrypt nothing."""

    def step(self, event: Event, now: int) -> list[Action]:
        return [_without_cipher(one) for one in super().step(event, now)]


def _without_cipher(action: Action) -> Action:
    null = BY_NAME["null"]
    if not isinstance(action, InstallAssociation) or not isinstance(null, Encryption):
        return action
    return replace(action, association=replace(action.association, encryption=null, encryption_key=b""))


def _lineages_too_many(ctx: Context) -> None:
    for lineage in [one for one in ctx.lineages.values() if one.established]:
        for number in range(limits.MAX_IKE_SAS_PER_PEER):
            more = replace(lineage, number=1_000 + number, members=[], children={})
            ctx.lineages[more.number] = more
            ctx.by_peer[lineage.peer.name if lineage.peer else ""][more.number] = None


def _children_too_many(ctx: Context) -> None:
    for lineage in ctx.lineages.values():
        for child in list(lineage.children.values()):
            lineage.children.update(dict.fromkeys(range(limits.MAX_CHILDREN), child))


def _selectors_too_many(ctx: Context) -> None:
    for lineage in ctx.lineages.values():
        for child in lineage.children.values():
            many = child.inbound.selectors * (limits.MAX_SELECTORS_HELD + 1)
            child.inbound = replace(child.inbound, selectors=many)


def _half_open_too_many(ctx: Context) -> None:
    for number in range(limits.MAX_HALF_OPEN + 1):
        ctx.half_open.enter(number.to_bytes(8, "big"), ip_address("192.0.2.1"))


def _leaving_too_many(ctx: Context) -> None:
    for inbound in list(ctx.leaving.values())[:1]:
        ctx.leaving.update(dict.fromkeys(range(limits.MAX_LEAVING + 1), inbound))


def _incomplete_too_many(ctx: Context) -> None:
    for number in range(2 * len(ctx.sas) + 1):
        ctx.fragments._held[number.to_bytes(8, "big"), True] = Incomplete(1, 35, 2)


def _octets_too_many(ctx: Context) -> None:
    for spi in ctx.sas:
        ctx.fragments._held[spi, True] = Incomplete(1, 35, 2, octets=3 * limits.MAX_FRAGMENTED_OCTETS)


def _in_each(change: Callable[[Lineage], None]) -> Callable[[Context], None]:
    def inflate(ctx: Context) -> None:
        for lineage in ctx.lineages.values():
            change(lineage)

    return inflate


def _restarts_too_many(ctx: Context) -> None:
    for sa in ctx.sas.values():
        sa.restarts = limits.MAX_SET_UP_RESTARTS + 1


TOO_MANY: dict[str, Callable[[Context], None]] = {
    "half-open IKE SAs": _half_open_too_many,
    "inbound associations that are leaving": _leaving_too_many,
    "incomplete messages": _incomplete_too_many,
    "octets of incomplete messages": _octets_too_many,
    "lineages of": _lineages_too_many,
    "first messages sent anew": _restarts_too_many,
    "children of a lineage": _children_too_many,
    "selectors of a lineage": _selectors_too_many,
    "waiting exchanges of a lineage": _in_each(
        lambda one: one.queue.extend([Liveness()] * (limits.MAX_QUEUED_TASKS + 1))
    ),
    "IKE SAs of a lineage": _in_each(lambda one: one.members.extend([b""] * (limits.MAX_IKE_SAS_PER_PEER + 2))),
    "closed IKE SAs of a lineage": _in_each(lambda one: one.lingering.extend([b""] * (limits.MAX_LINGERING + 1))),
}
"""How a core comes to hold more of something than its bound says, by what is said of it."""


class Inflated(Endpoint):
    """Holds more of something than it may, after some events."""

    def __init__(self, entropy: Entropy, now: int, inflate: Callable[[Context], None]) -> None:
        super().__init__(entropy, now)
        self._inflate = inflate

    def step(self, event: Event, now: int) -> list[Action]:
        actions = super().step(event, now)
        self._inflate(self.state)
        return actions


class HasABug(Endpoint):
    """Raises in the middle of an event; the core says so as an error."""

    def _told(self, event: object) -> None:  # noqa: ARG002 - in place of what takes it
        raise RuntimeError("a bug")


class ForgetsCheckpoints(Endpoint):
    """Writes the first checkpoint of a lineage, and then none that follows."""

    def step(self, event: Event, now: int) -> list[Action]:
        before = dict(self.state.kept)
        actions = super().step(event, now)
        self.state.kept.update({number: kept for number, kept in before.items() if number in self.state.kept})
        return actions


class TimersOfNobody(Endpoint):
    """Sets a timer for somebody who is not there."""

    def step(self, event: Event, now: int) -> list[Action]:
        actions = super().step(event, now)
        self.state.timers.set(Timer.LIVENESS, "00" * 8, now + 10**12)
        return actions


class LeavesSomethingToDo(Endpoint):
    """Ends an event before all of its consequences."""

    def step(self, event: Event, now: int) -> list[Action]:
        actions = super().step(event, now)
        self.state.dirty.update(dict.fromkeys(self.state.lineages))
        return actions


class KeepsClosed(Endpoint):
    """Keeps closed IKE SAs for ever."""

    def step(self, event: Event, now: int) -> list[Action]:
        actions = super().step(event, now)
        for spi, sa in self.state.sas.items():
            if sa.state is IkeState.CLOSED:
                self.state.timers.clear(Timer.IKE_LINGER, spi.hex())
        return actions


class GivesUpForNothing(Endpoint):
    """Believes that a peer is dead while everything is well."""

    def _handle(self, event: Event) -> None:
        super()._handle(event)
        if isinstance(event, RekeyRequested):
            for lineage in _established(self):
                lineages.drop(self.state, lineage, Refusal.PEER_DEAD, "given up")


class CallsOnce(Endpoint):
    """Does not call again whom it could not reach, not even for traffic."""

    def step(self, event: Event, now: int) -> list[Action]:
        actions = [] if isinstance(event, Acquired) else super().step(event, now)
        for name in self.state.peers:
            self.state.timers.clear(Timer.RECONNECT, name)
        return actions


MUTANTS: dict[type[Endpoint], str] = {
    OneSpiForTwo: "has another owner",
    ForgetsWhatLeft: "belongs to a child that is gone",
    LeavesOut: "which is not installed",
    NeverEndsTheOld: "has two outbound associations for",
    SelectorsOfAnother: "do not agree on",
    OldKeysAnew: "so its IVs would repeat",
    AsksWithoutWaiting: "is not answered",
    SkipsAMessageId: "is not answered",
    SaysItOtherwise: "in two ways",
    SpeaksInClear: "in clear",
    WithoutACipher: "would send in clear",
    HasABug: "a bug of ours",
    ForgetsCheckpoints: "no longer as its checkpoint has it",
    TimersOfNobody: "has outlived its owner",
    LeavesSomethingToDo: "left something to do",
    KeepsClosed: "is closed and stays for ever",
    GivesUpForNothing: "given up",
    CallsOnce: "no rest",
}
"""What is said of each."""


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_what_does_not_hold_is_found(mutant: type[Endpoint]) -> None:
    assert any(MUTANTS[mutant] in seeded(seed, mutant).failure for seed in range(1, MOST_SEEDS + 1))


@pytest.mark.parametrize("what", TOO_MANY)
def test_a_bound_that_is_not_kept_is_found(what: str) -> None:
    def build(entropy: Entropy, now: int) -> Endpoint:
        return Inflated(entropy, now, TOO_MANY[what])

    assert any(f" {what}" in seeded(seed, build).failure for seed in range(1, MOST_SEEDS + 1))


def test_every_bound_has_its_fault() -> None:
    """What `bounds` counts is what is inflated above."""
    counted = {what for what, _, _ in bounds._counts(_some_context())}
    assert {what if not what.startswith("lineages of") else "lineages of" for what in counted} == set(TOO_MANY)


def _some_context() -> Context:
    pair = Pair().connect()
    return pair.west.endpoint.state
