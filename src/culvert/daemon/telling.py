"""The host's network, with a voice: around the drivers, it tells what they change while somebody wants to know."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping

from culvert.addresses import IPAddress
from culvert.config.model import Gateway, Gif
from culvert.daemon.details import NET, SPD, tell_changes
from culvert.daemon.logging import Journal
from culvert.daemon.seams import Finding, HostChange, HostNetwork
from culvert.plan.desired import DesiredState, HostFacts
from culvert.plan.explain import explain

FENCE, SYSCTL = "table inet ", "set "
STEERING = ("route ", "rule: ")
"""How the lines of a plan begin that are about each."""


class TellingNetwork:
    """Does what `network` does. Lines of the plan that was applied last are kept while a topic is on."""

    def __init__(self, network: HostNetwork, journal: Journal) -> None:
        self._network, self._journal = network, journal
        self._lines: dict[str, list[str]] = {}

    async def facts(self, gateway: Gateway, path_mtu: Mapping[str, int]) -> HostFacts:
        return await self._network.facts(gateway, path_mtu)

    async def warnings(self, wanted: DesiredState, facts: HostFacts) -> tuple[Finding, ...]:
        return await self._network.warnings(wanted, facts)

    async def outside(self, addresses: Iterable[IPAddress]) -> tuple[str, ...]:
        return await self._network.outside(addresses)

    async def apply_sysctls(self, wanted: DesiredState) -> bool:
        changed = await self._network.apply_sysctls(wanted)
        self._tell(NET, "sysctls", wanted, (SYSCTL,), changed)
        return changed

    async def apply_firewall(self, wanted: DesiredState) -> bool:
        changed = await self._network.apply_firewall(wanted)
        self._tell(SPD, "fence", wanted, (FENCE,), changed)
        return changed

    async def apply_steering(self, wanted: DesiredState) -> bool:
        changed = await self._network.apply_steering(wanted)
        self._tell(NET, "routes and rules", wanted, STEERING, changed)
        return changed

    async def standing_links(self) -> tuple[Gif, ...]:
        return await self._network.standing_links()

    async def link_packets(self) -> Mapping[str, tuple[int, int]]:
        return await self._network.link_packets()

    async def remove_steering(self) -> None:
        await self._network.remove_steering()
        self._gone(NET, "routes and rules")

    async def remove_link(self) -> None:
        await self._network.remove_link()
        self._gone(NET, "tunnel device")

    async def remove_firewall(self) -> None:
        await self._network.remove_firewall()
        self._gone(SPD, "fence")

    async def restore_sysctls(self) -> None:
        await self._network.restore_sysctls()
        self._gone(NET, "sysctls")

    async def drops(self) -> dict[str, int]:
        return await self._network.drops()

    async def remains(self) -> bool:
        return await self._network.remains()

    async def changes(self) -> AsyncIterator[HostChange]:
        async for change in self._network.changes():
            if change.addresses:
                self._journal.tell(NET, "An address of this host changed.")
            elif change.ours:
                self._journal.tell(NET, "Something of ours on this host was touched.")
            if change.ways:
                self._journal.tell(NET, "A route, rule or link of this host changed.")
            yield change

    def _tell(self, topic: str, what: str, wanted: DesiredState, heads: tuple[str, ...], changed: bool) -> None:
        """Tell how the plan differs from the one before; of the first one that is seen, all of it where it was new."""
        if topic not in self._journal.topics.on:
            self._lines.pop(what, None)
            return
        lines = [line for line in explain(wanted) if line.startswith(heads)]
        before = self._lines.get(what, [] if changed else lines)
        self._lines[what] = lines
        if before == lines and changed:
            self._journal.tell(topic, f"The {what} of ours were not as they should be, and are again.")
        tell_changes(self._journal, topic, before, lines)

    def _gone(self, topic: str, what: str) -> None:
        self._lines.pop(what, None)
        self._journal.tell(topic, f"The {what} of ours are taken away.")
