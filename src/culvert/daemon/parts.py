"""What a gateway is made of, where it is in its life, and how all of it is taken down."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from culvert.clock import Clock
from culvert.config import model
from culvert.daemon.logging import Journal
from culvert.daemon.loop import Core
from culvert.daemon.notify import ServiceManager
from culvert.daemon.paths import Resolver
from culvert.daemon.seams import DataPlane, HostNetwork
from culvert.daemon.tasks import Tasks
from culvert.errors import CulvertError, Problem
from culvert.plan.desired import DesiredState, HostFacts
from culvert.plan.entries import Others
from culvert.plan.mtu import Suites
from culvert.proof.subject import Subject


class Phase(StrEnum):
    """Where the gateway is in its life."""

    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    STOPPED = "stopped"


class Ending(StrEnum):
    """How a gateway ends: everything of ours goes; all but the fence; or the daemon only."""

    OPEN = "open"
    CLOSED = "closed"
    DAEMON = "daemon"


class Loaded(Protocol):
    """A configuration that was read, with what is worth saying about it."""

    @property
    def gateway(self) -> model.Gateway: ...

    @property
    def warnings(self) -> Iterable[Problem]: ...


@dataclass(frozen=True, slots=True)
class Parts:
    """What a gateway is made of; `wiring` alone builds the real ones."""

    load: Callable[[Path], Loaded]
    plan: Callable[[model.Gateway, HostFacts, Suites, Others], DesiredState]
    tunnel_mtu: Callable[[model.Gateway, HostFacts, Suites], dict[str, int]]
    prove: Callable[[Subject], Awaitable[dict[str, Any]]]
    network: HostNetwork
    data_plane: DataPlane
    core: Core
    resolver: Resolver
    clock: Clock
    journal: Journal
    tasks: Tasks
    manager: ServiceManager
    token_secret: Callable[[], bytes] = bytes
    """For quick crash detection; empty: none."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What stands on the host now, and what it was made from."""

    gateway: model.Gateway
    facts: HostFacts
    desired: DesiredState
    others: Others


async def take_down(parts: Parts, ending: Ending) -> None:
    """The reverse of a start. With the steering gone and the fence up, nothing passes while the engine ends."""
    network = parts.network
    steps: list[tuple[str, Callable[[], Awaitable[None]]]] = [
        ("steering", network.remove_steering),
        ("engine", parts.data_plane.shut_down),
        ("tunnel device", network.remove_link),
        ("settings of the kernel", network.restore_sysctls),
    ]
    if ending is Ending.OPEN:
        steps.append(("firewall table", network.remove_firewall))
        steps.append(("policies of others", parts.data_plane.forget))
    for what, act in steps:
        try:
            await act()
        except (CulvertError, OSError) as error:
            parts.journal.error("Something of ours could not be taken away.", what=what, error=error)
