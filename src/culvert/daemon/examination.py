"""What `check` finds: everything wrong with a configuration on this host, and what `up` would do. Changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from culvert.clock import RealClock
from culvert.config.load import load
from culvert.config.model import Gateway
from culvert.daemon.host import find_hindrances
from culvert.daemon.paths import RealHost, Resolver
from culvert.errors import ConfigurationError, CulvertError, Problem
from culvert.ike.events import PathFailed
from culvert.network import probe
from culvert.network.facts import observe_facts
from culvert.plan.conflicts import conflicts
from culvert.plan.desired import HostFacts
from culvert.plan.desired_state import desired
from culvert.plan.explain import explain


@dataclass(frozen=True, slots=True)
class Examination:
    """`problems` keep `up` from starting or a peer from being reached; `steps` are what `up` would do."""

    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...] = ()
    steps: tuple[str, ...] = ()


async def examine(file: Path) -> Examination:
    """Look at a configuration and at this host."""
    try:
        loaded = load(file, now_s=RealClock().utc_s())
    except ConfigurationError as error:
        return Examination(error.problems)
    resolver = Resolver(RealHost(), loaded.gateway.addresses, loaded.gateway.address_names)
    unreached = await _unreached(loaded.gateway, resolver)
    facts = replace(await observe_facts({}), path_mtu=tuple(resolver.path_mtu.items()))
    problems = (*conflicts(loaded.gateway, facts), *unreached)
    hindrances = [*probe.missing(), *await _hindrances(loaded.gateway, facts)]
    steps = () if problems else tuple(explain(desired(loaded.gateway, facts)))
    return Examination(problems, (*loaded.warnings, *hindrances), steps)


async def _unreached(gateway: Gateway, resolver: Resolver) -> list[Problem]:
    peers = [peer for peer in gateway.peers if peer.addresses]
    answers = await asyncio.gather(*(resolver.resolve(peer.name, peer.addresses) for peer in peers))
    return [
        Problem(f"{answer.reason}: {answer.message}", str(peer.origin))
        for peer, answer in zip(peers, answers, strict=True)
        if isinstance(answer, PathFailed)
    ]


async def _hindrances(gateway: Gateway, facts: HostFacts) -> Iterable[Problem]:
    """Other firewalls, as far as we may look."""
    try:
        findings = await find_hindrances(desired(gateway, facts), facts)
    except CulvertError as error:
        return error.problems
    return [Problem(f"{finding.reason}: {finding.what}", finding.where, finding.what_to_do) for finding in findings]
