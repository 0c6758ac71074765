"""From what stands to what is wanted, in an order in which protected traffic never leaves in clear.

Up: fence, policies, steering. Down: steering, policies, fence. A change does both, and in between the fence covers
what was protected before as well as what will be.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

from culvert.ipsec.policies import Policy
from culvert.plan.desired import DesiredState, Firewall, Route, Rule, Sysctl

T = TypeVar("T", bound=Hashable)

NOTHING = DesiredState((), (), (), Firewall((), accept=False), ())
"""A host on which nothing of ours stands."""


@dataclass(frozen=True, slots=True)
class SetSysctls:
    """Make these settings."""

    sysctls: tuple[Sysctl, ...]


@dataclass(frozen=True, slots=True)
class SetFirewall:
    """Replace our table by this, in one transaction."""

    firewall: Firewall


@dataclass(frozen=True, slots=True)
class AddPolicies:
    """Write these, each in place of the one with the same selector and direction, in one batch."""

    policies: tuple[Policy, ...]


@dataclass(frozen=True, slots=True)
class RemovePolicies:
    policies: tuple[Policy, ...]


@dataclass(frozen=True, slots=True)
class AddSteering:
    """Routes first, then the rules that lead to them."""

    routes: tuple[Route, ...]
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class RemoveSteering:
    """Rules first, then the routes that they led to."""

    rules: tuple[Rule, ...]
    routes: tuple[Route, ...]


Step = SetSysctls | SetFirewall | AddPolicies | RemovePolicies | AddSteering | RemoveSteering


def difference(desired: DesiredState, observed: DesiredState) -> tuple[Step, ...]:
    """Give the steps from `observed` to `desired`; none where they are equal. What did not change is not touched."""
    return tuple(_steps(desired, observed))


def _steps(desired: DesiredState, observed: DesiredState) -> Iterator[Step]:
    both = _union(desired.firewall, observed.firewall)
    if sysctls := _without(desired.sysctls, observed.sysctls):
        yield SetSysctls(sysctls)
    if both != observed.firewall:
        yield SetFirewall(both)
    if policies := _without(desired.policies, observed.policies):
        yield AddPolicies(policies)
    yield from _steering(desired, observed)
    if policies := _gone(desired.policies, observed.policies):
        yield RemovePolicies(policies)
    if both != desired.firewall:
        yield SetFirewall(desired.firewall)


def _steering(desired: DesiredState, observed: DesiredState) -> Iterator[Step]:
    routes, rules = _without(desired.routes, observed.routes), _without(desired.rules, observed.rules)
    if sysctls := _without(desired.tun_sysctls, observed.tun_sysctls):
        yield SetSysctls(sysctls)
    if routes or rules:
        yield AddSteering(routes, rules)
    rules = _without(observed.rules, desired.rules)
    routes = tuple(route for route in _without(observed.routes, desired.routes) if not _replaced(route, desired.routes))
    if routes or rules:
        yield RemoveSteering(rules, routes)


def _replaced(route: Route, routes: Iterable[Route]) -> bool:
    """Tell whether a route with the same destination and metric takes its place: the kernel has only one."""
    return any((one.destination, one.metric) == (route.destination, route.metric) for one in routes)


def _gone(desired: Iterable[Policy], observed: Iterable[Policy]) -> tuple[Policy, ...]:
    kept = {(policy.selector, policy.direction) for policy in desired}
    return tuple(policy for policy in observed if (policy.selector, policy.direction) not in kept)


def _without(these: Iterable[T], those: Iterable[T]) -> tuple[T, ...]:
    known = set(those)
    return tuple(one for one in these if one not in known)


def _joined(one: Iterable[T], other: Iterable[T]) -> tuple[T, ...]:
    return tuple(dict.fromkeys([*one, *other]))


def _union(desired: Firewall, observed: Firewall) -> Firewall:
    """A fence around all that was or will be protected. One of the two as it is where that does."""
    if set(desired.fenced) >= set(observed.fenced):
        return desired
    if set(observed.fenced) >= set(desired.fenced):
        return observed
    peers = _joined(desired.peers, observed.peers) if desired.peers and observed.peers else ()
    return replace(
        desired,
        fenced=_joined(desired.fenced, observed.fenced),
        attached=_joined(desired.attached, observed.attached),
        peers=peers,
    )
