"""Faults put into the core on purpose: the simulator finds each of them, and says what is wrong.

A mutant is an endpoint that alters what the real one did, or what it knows; nothing of the product is touched.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from culvert.entropy import Entropy
from culvert.ike.actions import Action, InstallAssociation, RemoveAssociation, Transmit
from culvert.ike.endpoint import Endpoint
from culvert.ike.events import Event
from culvert.ike.timers import Timer
from culvert.ipsec.associations import Direction
from culvert.ipsec.selectors import EVERYTHING
from culvert.sim.play import Played, seeded

MOST_SEEDS = 60
SPI_DRAW_OCTETS = 12
"""What the core asks for where it draws an SPI of a child: 4, and 8 so that the remainder is even."""


class RepliesFirst(Endpoint):
    """Tells the peer of an association before it is installed."""

    def step(self, event: Event, now: int) -> list[Action]:
        return sorted(super().step(event, now), key=lambda action: not isinstance(action, Transmit))


class OutboundFirst(Endpoint):
    """Sends on a child before it can receive on it."""

    def step(self, event: Event, now: int) -> list[Action]:
        actions = super().step(event, now)
        outbound = [one for one in actions if installs(one, Direction.OUT)]
        first = next((at for at, one in enumerate(actions) if installs(one, Direction.IN)), 0)
        others = [one for one in actions if one not in outbound]
        return [*others[:first], *outbound, *others[first:]]


class RepeatsIvs(Endpoint):
    """Counts the IVs of each IKE SA from the beginning again with each event."""

    def step(self, event: Event, now: int) -> list[Action]:
        actions = super().step(event, now)
        for sa in self.state.sas.values():
            sa.ivs_used = 0
        return actions


class AlwaysWins(Endpoint):
    """Believes that its own child wins every collision."""

    def step(self, event: Event, now: int) -> list[Action]:
        for lineage in self.state.lineages.values():
            for child in lineage.children.values():
                child.lowest_nonce = b"\xff" * 32 if child.initiator else b""
            current = self.state.current(lineage)
            offer = current.window.outstanding.offer if current and current.window.outstanding else None
            if offer is not None and lineage.established:
                offer.nonce = b"\xff" * 32
        return super().step(event, now)


class WithoutGrace(Endpoint):
    """Closes inbound at once when a DELETE comes or is answered."""

    def step(self, event: Event, now: int) -> list[Action]:
        actions = super().step(event, now)
        for spi in self.state.leaving:
            self.state.timers.set(Timer.INBOUND_GRACE, spi, now)
        return actions


class SwitchesEarly(Endpoint):
    """Sends on the successor of a child before the peer can have it."""

    def step(self, event: Event, now: int) -> list[Action]:
        actions = super().step(event, now)
        for _, (timer, owner) in self.state.timers.instants():
            if timer is Timer.OUTBOUND_SWITCH:
                self.state.timers.set(timer, owner, now)
        return actions


class KeepsOutbound(Endpoint):
    """Goes on sending on what is gone."""

    def step(self, event: Event, now: int) -> list[Action]:
        return [one for one in super().step(event, now) if not isinstance(one, RemoveAssociation)]


class NeverRepeats(Endpoint):
    """Sends each request once."""

    def step(self, event: Event, now: int) -> list[Action]:
        actions = super().step(event, now)
        for spi in self.state.sas:
            self.state.timers.clear(Timer.RETRANSMIT, spi.hex())
        return actions


class WidensSelectors(Endpoint):
    """Lets everything through each association."""

    def step(self, event: Event, now: int) -> list[Action]:
        return [_widened(one) for one in super().step(event, now)]


class SwapsKeys(Endpoint):
    """Takes another key where it did not begin the exchange."""

    def step(self, event: Event, now: int) -> list[Action]:
        return [_rekeyed(one) if not self.state.sas or _responds(self) else one for one in super().step(event, now)]


class ForgetsAnswers(Endpoint):
    """Does not answer a request that is repeated."""

    def step(self, event: Event, now: int) -> list[Action]:
        actions = super().step(event, now)
        for sa in self.state.sas.values():
            sa.window.last_response = ()
        return actions


class FewSpis:
    """Randomness with three SPIs in it."""

    def __init__(self, inner: Entropy) -> None:
        self._inner, self._count = inner, 0

    def octets(self, count: int) -> bytes:
        self._count += 1
        return (
            (0x1000 + self._count % 3).to_bytes(count, "big") if count == SPI_DRAW_OCTETS else self._inner.octets(count)
        )


class DrawsSpisAgain(Endpoint):
    """Gives an inbound SPI a second time."""

    def __init__(self, entropy: Entropy, now: int) -> None:
        super().__init__(FewSpis(entropy), now)


class KeepsHalfOpen(Endpoint):
    """Waits for ever for peers that began and did not go on."""

    def step(self, event: Event, now: int) -> list[Action]:
        actions = super().step(event, now)
        for spi in self.state.sas:
            self.state.timers.clear(Timer.HALF_OPEN, spi.hex())
        return actions


def installs(action: Action, direction: Direction) -> bool:
    return isinstance(action, InstallAssociation) and action.association.direction is direction


def _widened(action: Action) -> Action:
    if not isinstance(action, InstallAssociation):
        return action
    return replace(action, association=replace(action.association, selectors=(EVERYTHING[4],)))


def _rekeyed(action: Action) -> Action:
    if not isinstance(action, InstallAssociation):
        return action
    key = bytes(octet ^ 1 for octet in action.association.encryption_key)
    return replace(action, association=replace(action.association, encryption_key=key))


def _responds(endpoint: Endpoint) -> bool:
    return any(not lineage.initiator for lineage in endpoint.state.lineages.values())


MUTANTS = {
    RepliesFirst: "replies before",
    OutboundFirst: "before it can receive",
    RepeatsIvs: "uses an IV twice",
    AlwaysWins: "",
    WithoutGrace: "was lost",
    SwitchesEarly: "was lost",
    KeepsOutbound: "nobody owns",
    NeverRepeats: "waits for an answer for ever",
    WidensSelectors: "carries more than",
    SwapsKeys: "do not agree on",
    ForgetsAnswers: "",
    DrawsSpisAgain: "was in use before",
    KeepsHalfOpen: "is half open for ever",
}
"""What is said of each; of some, whatever is found first."""


def first_failure(build: type[Endpoint]) -> Played:
    for seed in range(1, MOST_SEEDS + 1):
        played = seeded(seed, build)
        if played.failure:
            return played
    raise AssertionError(f"{build.__name__} was not found in {MOST_SEEDS} runs")


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_fault_is_found(mutant: type[Endpoint]) -> None:
    assert MUTANTS[mutant] in first_failure(mutant).failure
