"""A host and a data plane in memory, for tests of the gateway without a host that could break."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping
from dataclasses import replace

from culvert.addresses import IPAddress, SocketAddress
from culvert.config.model import Gateway, Gif
from culvert.daemon.names import Answer
from culvert.daemon.seams import CountedAssociation, DroppedPacket, Finding, HostChange
from culvert.errors import HostError, Problem
from culvert.ike.events import Event
from culvert.ipsec.associations import AssociationId, SecurityAssociation
from culvert.ipsec.policies import Policy
from culvert.network.ways import Way
from culvert.plan.desired import DesiredState, Firewall, HostFacts
from culvert.plan.entries import NOBODY, Others


class Story:
    """What happened, in order; and what is to be refused."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.refused: set[str] = set()

    def step(self, what: str) -> None:
        """Note a step. Raise HostError where it is to be refused."""
        self.steps.append(what)
        if what in self.refused:
            raise HostError(Problem(f"{what} is refused", "the fake"))


class FakeNetwork:
    """The host's network: nothing but what was last applied. `walls` are all firewalls that ever stood, in order."""

    def __init__(self, story: Story, facts: HostFacts | None = None) -> None:
        self.story = story
        self.found = facts or HostFacts(())
        self.findings: tuple[Finding, ...] = ()
        self.dropped: dict[str, int] = {}
        self.firewall: DesiredState | None = None
        self.walls: list[Firewall] = []
        self.steering: DesiredState | None = None
        self.announced: asyncio.Queue[HostChange] = asyncio.Queue()

    async def facts(self, _gateway: Gateway, path_mtu: Mapping[str, int]) -> HostFacts:
        self.story.step("facts")
        return HostFacts(self.found.interfaces, tuple(path_mtu.items()))

    async def warnings(self, wanted: DesiredState, facts: HostFacts) -> tuple[Finding, ...]:
        del wanted, facts
        return self.findings

    async def outside(self, addresses: Iterable[IPAddress]) -> tuple[str, ...]:
        return ("outside",) if list(addresses) else ()

    async def apply_sysctls(self, wanted: DesiredState) -> bool:
        del wanted
        self.story.step("sysctls")
        return False

    async def apply_firewall(self, wanted: DesiredState) -> bool:
        self.story.step("firewall")
        self.walls.append(wanted.firewall)
        changed, self.firewall = self.firewall is None or self.firewall.firewall != wanted.firewall, wanted
        return changed

    async def apply_steering(self, wanted: DesiredState) -> bool:
        self.story.step("steering")
        changed, self.steering = self.steering is None or self.steering.routes != wanted.routes, wanted
        return changed

    async def standing_links(self) -> tuple[Gif, ...]:
        return self.steering.gifs if self.steering else ()

    async def link_packets(self) -> Mapping[str, tuple[int, int]]:
        return {}

    async def remove_steering(self) -> None:
        self.story.step("no steering")
        self.steering = None

    async def remove_link(self) -> None:
        self.story.step("no link")

    async def remove_firewall(self) -> None:
        self.story.step("no firewall")
        self.firewall = None

    async def restore_sysctls(self) -> None:
        self.story.step("no sysctls")

    async def drops(self) -> dict[str, int]:
        return dict(self.dropped)

    async def remains(self) -> bool:
        return self.firewall is not None or self.steering is not None

    async def changes(self) -> AsyncIterator[HostChange]:
        while True:
            yield await self.announced.get()


class FakePlane:
    """A data plane that moves no packets. `held` are its associations, also those of a former daemon."""

    name = "fake"

    def __init__(self, story: Story) -> None:
        self.story = story
        self.running = False
        self.policies: tuple[Policy, ...] = ()
        self.gifs: tuple[Gif, ...] = ()
        self.held: dict[AssociationId, CountedAssociation] = {}
        self.kept_checkpoints: dict[bytes, bytes] = {}
        self.kept_again: dict[bytes, None] = {}
        self.learnt: dict[IPAddress, int] = {}
        self.on_path: Callable[[], None] = lambda: None
        self.sent: list[tuple[SocketAddress, SocketAddress, bytes]] = []
        self.on_event: Callable[[Event], None] = lambda _event: None
        self._gone = asyncio.Event()
        self.started = 0
        self.others = NOBODY
        self.shown: asyncio.Queue[DroppedPacket] = asyncio.Queue()
        self.written = self.kept = NOBODY
        self.restored = False
        self.on_change: Callable[[], None] = lambda: None

    def write(self, others: Others) -> None:
        """Have somebody else write these policies."""
        self.written = others
        self.on_change()

    async def runs(self) -> bool:
        return self.running

    async def recall(self) -> Others:
        self.others = self.kept
        return self.others

    async def forget(self) -> None:
        self.kept = NOBODY

    async def start(
        self, on_event: Callable[[Event], None], on_change: Callable[[], None], on_path: Callable[[], None]
    ) -> bool:
        self.story.step("engine")
        ran, self.running = self.running, True
        self.on_event, self.on_change, self.on_path = on_event, on_change, on_path
        self.written = self.written if ran else self.others
        self.restored = not ran and bool(self.others.count)
        self.started += 1
        self._gone = asyncio.Event()
        return ran

    async def apply(self, policies: tuple[Policy, ...]) -> bool:
        self._must_run()
        self.story.step("policies")
        changed, self.policies = self.policies != policies, policies
        self.others = self.written
        return changed

    async def apply_links(self, gifs: tuple[Gif, ...]) -> bool:
        self._must_run()
        changed, self.gifs = self.gifs != gifs, gifs
        if changed:
            self.story.step("links")
        return changed

    async def look(self) -> Others:
        self._must_run()
        self.others = self.written
        return self.others

    async def associations(self) -> tuple[CountedAssociation, ...]:
        self._must_run()
        return tuple(self.held.values())

    def keep(self, key: bytes, data: bytes | None) -> None:
        self._must_run()
        self.story.step("keep" if data is not None else "keep no more")
        self.kept_checkpoints.pop(key, None)
        self.kept_again[key] = None
        if data is not None:
            self.kept_checkpoints[key] = data

    async def checkpoints(self) -> list[bytes]:
        self._must_run()
        return list(self.kept_checkpoints.values())

    async def forget_old_checkpoints(self) -> None:
        for key in [key for key in self.kept_checkpoints if key not in self.kept_again]:
            del self.kept_checkpoints[key]

    async def path_mtus(self) -> dict[IPAddress, int]:
        self._must_run()
        return dict(self.learnt)

    def learn(self, remote: IPAddress, mtu: int) -> None:
        """Have a router say what fits on the way to `remote`; 0 is forgetting."""
        self.learnt[remote] = mtu
        if not mtu:
            del self.learnt[remote]
        self.on_path()

    async def drops(self) -> dict[str, int]:
        self._must_run()
        return {"NO_SA": 3}

    async def dropped(self) -> AsyncGenerator[DroppedPacket, None]:
        self._must_run()
        while True:
            yield await self.shown.get()

    async def install(self, association: SecurityAssociation) -> None:
        self._must_run()
        self.story.step(f"install {association.direction}")
        self.held[association.id] = CountedAssociation(
            association.id, association.reqid, direction=association.direction
        )

    async def remove(self, association: AssociationId) -> None:
        self._must_run()
        self.story.step("remove")
        self.held.pop(association, None)

    async def move(self, before: SecurityAssociation, association: SecurityAssociation) -> None:
        self._must_run()
        self.story.step(f"move {association.direction} to {association.destination}")
        held = self.held.pop(before.id, None)
        if held is not None:
            self.held[association.id] = replace(held, id=association.id)

    async def transmit(self, local: SocketAddress, remote: SocketAddress, data: bytes) -> None:
        self._must_run()
        self.story.step("transmit")
        self.sent.append((local, remote, data))

    async def lost(self) -> None:
        await self._gone.wait()

    def die(self) -> None:
        """Be killed: everything held is lost."""
        self.running, self.policies, self.written, self.gifs = False, (), NOBODY, ()
        self.held.clear()
        self.kept_checkpoints.clear()
        self.learnt.clear()
        self._gone.set()

    async def detach(self) -> None:
        self.story.step("detach")

    async def shut_down(self) -> None:
        self.story.step("no engine")
        self.running = False

    def _must_run(self) -> None:
        if not self.running:
            raise HostError(Problem("the engine is not running", "the fake"))


class FakeHost:
    """Names, and the ways to addresses, as a test writes them down. `silent` are names for which nobody answers."""

    def __init__(self, names: Mapping[str, list[IPAddress]], ways: Mapping[IPAddress, Way]) -> None:
        self.names, self.found = dict(names), dict(ways)
        self.present = tuple(dict.fromkeys(way.source for way in ways.values()))
        self.asked: list[str] = []
        self.silent: dict[str, Answer | None] = {}

    def lookup(self, name: str) -> Answer:
        self.asked.append(name)
        answer: Answer = asyncio.get_running_loop().create_future()
        if name in self.silent:
            self.silent[name] = answer
        elif name in self.names:
            answer.set_result(self.names[name])
        else:
            answer.set_exception(OSError(socket.EAI_NONAME, "Name or service not known"))
        return answer

    async def ways(self, destinations: Iterable[IPAddress]) -> Mapping[IPAddress, Way | None]:
        return {one: self.found.get(one) for one in destinations}

    def addresses(self) -> tuple[IPAddress, ...]:
        return self.present
