"""The composition root: the only place that builds the gateway's concrete parts."""

from __future__ import annotations

import socket
from typing import Any

from culvert.clock import RealClock
from culvert.config.load import load
from culvert.config.model import Gateway
from culvert.daemon.host import LinuxNetwork
from culvert.daemon.logging import Journal
from culvert.daemon.notify import ServiceManager
from culvert.daemon.parts import Parts
from culvert.daemon.paths import RealHost, Resolver
from culvert.daemon.plane import EnginePlane
from culvert.daemon.program import Options
from culvert.daemon.tasks import Tasks
from culvert.daemon.telling import TellingNetwork
from culvert.daemon.token_secret import token_secret
from culvert.entropy import RealEntropy
from culvert.errors import ConfigurationError
from culvert.ike.endpoint import Endpoint
from culvert.plan.conflicts import conflicts
from culvert.plan.desired import DesiredState, HostFacts
from culvert.plan.desired_state import desired
from culvert.plan.entries import Others
from culvert.plan.mtu import Sizes, Suites
from culvert.plan.pairs import protected
from culvert.proof.prove import as_json, prove
from culvert.proof.subject import Subject

ENGINE_SOCKET = "engine.sock"
"""Name of the engine's control socket inside the run directory."""
ENGINE_LEVELS = {"warning": "warn"}
"""Levels of the log that the engine calls otherwise."""


def build(options: Options, journal: Journal) -> Parts:
    """Build the parts of a real gateway; nothing is started or changed yet."""
    clock, tasks = RealClock(), Tasks(journal)
    return Parts(
        load=lambda file: load(file, _host_name(), clock.utc_s()),
        plan=plan,
        tunnel_mtu=tunnel_mtu,
        prove=proof,
        network=TellingNetwork(LinuxNetwork(options.run_dir), journal),
        data_plane=_engine(options, tasks, journal),
        core=Endpoint(RealEntropy(), clock.now()),
        resolver=Resolver(RealHost()),
        clock=clock,
        journal=journal,
        tasks=tasks,
        manager=ServiceManager.of_environment(),
        token_secret=lambda: token_secret(options.state_dir, journal),
    )


def _engine(options: Options, tasks: Tasks, journal: Journal) -> EnginePlane:
    level = ENGINE_LEVELS.get(options.log_level, options.log_level)
    return EnginePlane(options.run_dir / ENGINE_SOCKET, tasks, journal, log_level=level, log_json=options.log_json)


def plan(gateway: Gateway, facts: HostFacts, suites: Suites, others: Others) -> DesiredState:
    """Give what is to stand on this host. Raise ConfigurationError where it contradicts the configuration."""
    if problems := conflicts(gateway, facts):
        raise ConfigurationError(problems)
    return desired(gateway, facts, suites, others)


def _host_name() -> str:
    """What a gateway is called that has no name of its own."""
    return socket.gethostname().partition(".")[0] or "gateway"


async def proof(subject: Subject) -> dict[str, Any]:
    """Give the verdict about a tunnel as values that JSON has. Raise HostError where this host lets nobody listen."""
    return as_json(await prove(subject))


def tunnel_mtu(gateway: Gateway, facts: HostFacts, suites: Suites) -> dict[str, int]:
    """By peer: the longest packet that fits all of its tunnels."""
    sizes = Sizes(gateway, facts, suites)
    mtus: dict[str, int] = {}
    for pair in protected(gateway):
        mtus[pair.peer.name] = min(sizes.mtu(pair), mtus.get(pair.peer.name, sizes.mtu(pair)))
    return mtus
