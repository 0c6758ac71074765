"""The drivers of this host's network, in the order and with the memory that the gateway wants."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from culvert.addresses import IPAddress
from culvert.config.model import Gateway, Gif
from culvert.daemon.seams import Finding, HostChange
from culvert.errors import HostError
from culvert.network import dead_ends, gifs, links, probe, routes, rules, sysctls
from culvert.network.facts import observe_facts
from culvert.network.firewall import Firewall
from culvert.network.foreign.findings import find_conflicts
from culvert.network.netlink import open_netlink
from culvert.network.watch import Changed, watch
from culvert.network.ways import NoRouteError, way_to
from culvert.plan.desired import DesiredState, HostFacts, RouteKind, Sysctl
from culvert.reasons import Drop, Refusal

DEFAULT_MTU = 1500
"""Of the TUN where no route says less: what enters is cut to the route's MTU, not to the device's."""


_DROPPING = {
    Drop.STRANGER: ("strangers",),
    Drop.FENCED_IN: ("fenced_in",),
    Drop.FENCED_OUT: ("fenced_out",),
    Drop.POLICY_DISCARD: ("discarded_in", "discarded_out"),
}
"""Counters of our table by reason."""


class LinuxNetwork:
    """What the gateway changes on the host. `memory` is where sysctls found are kept until they are put back."""

    def __init__(self, memory: Path) -> None:
        self._memory = memory
        self._firewall = Firewall()

    async def facts(self, _gateway: Gateway, path_mtu: Mapping[str, int]) -> HostFacts:
        """Look at the host. Raise HostError with all that it lacks for a gateway."""
        if problems := probe.missing():
            raise HostError(problems)
        found = await observe_facts({})
        return replace(found, path_mtu=tuple(path_mtu.items()))

    async def warnings(self, wanted: DesiredState, facts: HostFacts) -> tuple[Finding, ...]:
        return await find_hindrances(wanted, facts)

    async def outside(self, addresses: Iterable[IPAddress]) -> tuple[str, ...]:
        found: list[str] = []
        for address in addresses:
            with contextlib.suppress(NoRouteError, OSError):
                found.append(socket.if_indextoname((await way_to(address)).interface))
        return tuple(dict.fromkeys(found))

    async def apply_sysctls(self, wanted: DesiredState) -> bool:
        return sysctls.apply(_settings(wanted), self._memory)

    async def apply_firewall(self, wanted: DesiredState) -> bool:
        return await self._firewall.apply(wanted.firewall)

    async def apply_steering(self, wanted: DesiredState) -> bool:
        """Routes before rules: nobody is led into a table that does not yet say where to go."""
        async with open_netlink() as netlink:
            changed = await links.apply(netlink, _mtu(wanted))
            changed |= sysctls.apply(_settings(wanted), self._memory)
            changed |= await dead_ends.apply(netlink, wanted.gifs)
            changed |= await gifs.apply(netlink, wanted.gifs)
            changed |= await routes.apply(wanted.routes)
            return changed | await rules.apply(netlink, wanted.rules)

    async def standing_links(self) -> tuple[Gif, ...]:
        async with open_netlink() as netlink:
            standing = await gifs.observe(netlink)
        return tuple(one.gif() for one in standing)

    async def link_packets(self) -> Mapping[str, tuple[int, int]]:
        async with open_netlink() as netlink:
            return await gifs.packets(netlink)

    async def remove_steering(self) -> None:
        async with open_netlink() as netlink:
            await rules.sweep(netlink)
            await routes.sweep()

    async def remove_link(self) -> None:
        async with open_netlink() as netlink:
            await gifs.sweep(netlink)
            await links.sweep(netlink)

    async def remove_firewall(self) -> None:
        await self._firewall.sweep()
        async with open_netlink() as netlink:
            await dead_ends.sweep(netlink)

    async def restore_sysctls(self) -> None:
        sysctls.sweep(self._memory)

    async def drops(self) -> dict[str, int]:
        standing = await self._firewall.observe()
        counts = standing.counts if standing else {}
        dropped = {drop.name: sum(counts.get(name, (0, 0))[0] for name in names) for drop, names in _DROPPING.items()}
        return {name: packets for name, packets in dropped.items() if packets}

    async def remains(self) -> bool:
        """Look for our table, our TUN, our routes and rules."""
        if await self._firewall.observe() is not None:
            return True
        async with open_netlink() as netlink:
            found = (
                await links.observe(netlink),
                await gifs.observe(netlink),
                await routes.observe(),
                await rules.observe(netlink),
            )
            return any(found)

    async def changes(self) -> AsyncIterator[HostChange]:
        async for changed in watch():
            yield HostChange(bool(changed - {Changed.WAYS}), Changed.ADDRESSES in changed, Changed.WAYS in changed)


async def find_hindrances(wanted: DesiredState, facts: HostFacts) -> tuple[Finding, ...]:
    """Name the firewalls of others that drop, or would change, what the tunnel needs."""
    reason = Refusal.FOREIGN_FIREWALL
    problems = [finding.problem() for finding in await find_conflicts(wanted.firewall, facts)]
    return tuple(
        Finding(problem.what.removeprefix(f"{reason}: "), problem.where, problem.what_to_do, reason.value)
        for problem in problems
    )


def _settings(wanted: DesiredState) -> tuple[Sysctl, ...]:
    """Those of the host, and those of the TUN once it is there: what is not named is put back."""
    present = (setting for setting in wanted.tun_sysctls if sysctls.observe(setting.name) is not None)
    return (*wanted.sysctls, *present)


def _mtu(wanted: DesiredState) -> int:
    known = [route.mtu for route in wanted.routes if route.kind is RouteKind.TUN and route.mtu]
    return max(known, default=DEFAULT_MTU)
