"""The gateway's life: what is built up in which order, and taken down in reverse.

The order of a start is the fence, the kernel's settings (forwarding among them), the engine with its policies, the
steering, and IKE last. So at no moment does anything stand that would let protected traffic leave in clear.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from culvert.addresses import IPAddress
from culvert.config import model
from culvert.daemon import status
from culvert.daemon.loop import Shell
from culvert.daemon.pacing import Paced
from culvert.daemon.parts import Applied, Ending, Parts, Phase, take_down
from culvert.daemon.proving import subject_of
from culvert.daemon.runtime_links import RuntimeLinks
from culvert.daemon.seams import CountedAssociation, Finding
from culvert.daemon.status import LinkStatus
from culvert.daemon.suites import Known, learned, still_true
from culvert.errors import CulvertError, Problem
from culvert.ike.events import CheckpointsLost, Configured, EngineRestarted, Event, Held, PathsChanged
from culvert.ike.status import PeerState, PeerStatus
from culvert.plan.desired import HostFacts
from culvert.plan.links import is_protected

COUNT_S = 2.0
"""How long the engine may take to say what it counted; a status is not to hang with it."""
MANY_POLICIES = 2_000
"""Policies of others from which on the plan is computed beside the event loop: a hundredth of a second."""
FAREWELL_S = 1.0
"""How long peers may keep us when we end."""


class Gateway:
    """One gateway, from `start` to `stop`."""

    def __init__(self, parts: Parts, file: Path) -> None:
        self._parts, self._file = parts, file
        self.journal = self._journal = parts.journal
        self._tasks = parts.tasks
        self._applied: Applied | None = None
        self._left: tuple[tuple[Held, ...], tuple[bytes, ...]] = (), ()
        self._suites: Known = {}
        self._taken_over = False
        self._present: tuple[IPAddress, ...] = ()
        self._links = RuntimeLinks()
        self._lost: tuple[Finding, ...] = ()
        self._shell_task: asyncio.Task[None] | None = None
        self._change = asyncio.Event()
        self.applying = asyncio.Lock()
        self._fitting = Paced("replan", self._fit_quietly, self.applying, clock=parts.clock, tasks=parts.tasks)
        self.policies_changed, self.paths_changed = asyncio.Event(), asyncio.Event()
        self.phase = Phase.STARTING
        self.engine_up = False
        self.count_s = COUNT_S
        self.findings: tuple[Finding, ...] = ()
        self.shell = Shell(
            parts.core,
            parts.clock,
            mover=parts.data_plane,
            resolver=parts.resolver,
            tasks=parts.tasks,
            journal=parts.journal,
            on_change=self._peer_changed,
            on_path=self._path_found,
        )

    # --- up ---

    async def start(self) -> None:
        """Build everything up and talk to the peers. Raise CulvertError; then nothing of this start is left."""
        gateway = self._load()
        async with self.applying:
            self._links.adopt(gateway, await self._parts.network.standing_links())
            applied = await self._prepared(gateway)
            stood = await self._parts.network.remains()
            try:
                await self._build(applied)
            except (CulvertError, asyncio.CancelledError):
                await self._undo(stood)
                raise
            self._applied = applied
        if self._parts.data_plane.restored:
            self._say_what_is_lost()
        self.phase = Phase.READY
        self._shell_task = self._tasks.spawn("ike", self.shell.run())
        self._configure(gateway)

    def _configure(self, gateway: model.Gateway) -> None:
        """Tell the core of its peers, and at the start of what a former daemon left."""
        held, checkpoints, self._left = *self._left, ((), ())
        taken_up, secret = asyncio.Event(), self._parts.token_secret()
        self.shell.post(Configured(gateway.peers, gateway.identity, held, checkpoints, secret), taken_up)
        if checkpoints:
            self._tasks.spawn("forget old checkpoints", self._forget_old_checkpoints(taken_up))

    async def _forget_old_checkpoints(self, taken_up: asyncio.Event) -> None:
        """What a former daemon kept, and this one could not take up, nobody needs any more."""
        await taken_up.wait()
        await self._parts.data_plane.forget_old_checkpoints()

    def _load(self) -> model.Gateway:
        loaded = self._parts.load(self._file)
        for problem in loaded.warnings:
            self._journal.warning(problem.what, where=problem.where, what_to_do=problem.what_to_do)
        return loaded.gateway

    async def _prepared(self, gateway: model.Gateway) -> Applied:
        """Plan with what others wrote into an engine that runs already, or has gone: the fence must not open."""
        try:
            if await self._parts.data_plane.runs():
                self._taken_over = await self._start_data_plane()
                await self._parts.data_plane.look()
                self._parts.resolver.learnt = await self._parts.data_plane.path_mtus()
            else:
                await self._parts.data_plane.recall()
            applied = await self._planned(gateway)
            await self._name_hindrances(applied)
        except (CulvertError, asyncio.CancelledError):
            if self._taken_over:
                await self._parts.data_plane.detach()
            raise
        return applied

    async def _planned(self, gateway: model.Gateway) -> Applied:
        gateway = self._links.over(gateway)
        self._parts.resolver.ours = gateway.addresses
        self._parts.resolver.our_names = gateway.address_names
        await self._measure(gateway)
        facts = await self._parts.network.facts(gateway, self._parts.resolver.path_mtu)
        return await self._plan(gateway, facts)

    async def _plan(self, gateway: model.Gateway, facts: HostFacts) -> Applied:
        """Compute the desired state, beside the event loop where others wrote very many policies."""
        others, asked = self._parts.data_plane.others, (gateway, facts, self._suites)
        if others.count < MANY_POLICIES:
            return Applied(gateway, facts, self._parts.plan(*asked, others), others)
        return Applied(gateway, facts, await asyncio.to_thread(self._parts.plan, *asked, others), others)

    async def _measure(self, gateway: model.Gateway) -> None:
        """Look up the ways to peers that are given as addresses; names are looked up when IKE wants them."""
        for peer in gateway.peers:
            literal = [address for address in peer.addresses if _is_address(address)]
            if literal and peer.name not in self._parts.resolver.path_mtu:
                await self._parts.resolver.resolve(peer.name, literal)

    async def _name_hindrances(self, planned: Applied) -> None:
        self.findings = await self._parts.network.warnings(planned.desired, planned.facts)
        for finding in self.findings:
            what_to_do = finding.what_to_do
            self._journal.warning(finding.what, where=finding.where, reason=finding.reason, what_to_do=what_to_do)

    async def _build(self, applied: Applied) -> None:
        network, desired = self._parts.network, applied.desired
        await network.apply_firewall(desired)
        await network.apply_sysctls(desired)
        if not self._taken_over:
            self._taken_over = await self._start_data_plane()
        await self._parts.data_plane.apply(desired.policies)
        if self._taken_over:
            await self._inherit()
        await self._parts.data_plane.apply_links(desired.gifs)
        await network.apply_steering(desired)
        self.engine_up = True

    async def _start_data_plane(self) -> bool:
        """Start the data plane, or take it over. Tell whether it ran already."""
        plane = self._parts.data_plane
        return await plane.start(self.shell.post, self.policies_changed.set, self.paths_changed.set)

    async def _inherit(self) -> None:
        """See what a former daemon left. What has no direction was keyed by hand, and is nobody's to take."""
        found = await self._parts.data_plane.associations()
        held = tuple(Held(one.id, one.reqid, one.direction) for one in found if one.direction is not None)
        self._left = held, tuple(await self._parts.data_plane.checkpoints())
        ike_sas = len(self._left[1])
        self._journal.info("The engine runs already and is taken over.", associations=len(held), ike_sas=ike_sas)

    async def _undo(self, stood: bool) -> None:
        """Take back a start that failed. An engine taken over goes on, and a fence that stood before stands."""
        if self._taken_over:
            await self._parts.data_plane.detach()
        else:
            await take_down(self._parts, Ending.CLOSED if stood else Ending.OPEN)
        self.phase = Phase.STOPPED

    # --- while it runs ---

    @property
    def applied(self) -> Applied:
        """What stands. Raise CulvertError before the gateway is ready."""
        if self._applied is None:
            raise CulvertError(Problem("the gateway is still starting", what_to_do="Try again in a moment."))
        return self._applied

    async def reload(self) -> None:
        """Read the file again and make it so, touching only what changed. Raise CulvertError, changing nothing."""
        async with self.applying:
            before = self.applied
            gateway = self._load()
            self._links.reread(gateway)
            self._suites = still_true(self._suites, before.gateway, gateway)
            after = await self._planned(gateway)
            await self._name_hindrances(after)
            await self._change_to(before, after)
            self._journal.info("The configuration was read again.", gateway=gateway.name, peers=len(gateway.peers))
        self._configure(gateway)

    async def replan(self) -> None:
        """Compute the desired state anew, for the host is another than it was, and apply the difference."""
        async with self.applying:
            await self._fit()

    async def _fit(self) -> None:
        before = self.applied
        await self._change_to(before, await self._planned(before.gateway))

    async def set_link(self, gif: model.Gif) -> None:
        """Make a gif link, or change the one of its name. Raise CulvertError, changing nothing."""
        async with self.applying:
            await self._with_links(lambda gateway: self._links.put(gateway, gif))

    async def delete_link(self, name: str) -> None:
        """Take a gif link away. Raise CulvertError where there is none."""
        async with self.applying:
            await self._with_links(lambda gateway: self._links.remove(gateway, name))

    async def _with_links(self, change: Callable[[model.Gateway], None]) -> None:
        before, known = self.applied, self._links.snapshot()
        change(before.gateway)
        try:
            await self._change_to(before, await self._planned(before.gateway))
        except CulvertError:
            self._links.restore(known)
            raise

    async def reassert(self) -> bool:
        """Put back what others took away from the host or the engine. Tell whether anything was missing."""
        async with self.applying:
            if self.phase is not Phase.READY:
                return False
            desired = self.applied.desired
            changed = await self._parts.network.apply_firewall(desired)
            if self.engine_up:
                changed |= await self._parts.data_plane.apply_links(desired.gifs)
            changed |= await self._parts.network.apply_steering(desired)
            if self.engine_up:
                changed |= await self._parts.data_plane.apply(desired.policies)
                await self._follow()
            return changed

    async def settle(self) -> None:
        """Return when every policy that the data plane holds now is steered and fenced. Raise CulvertError."""
        async with self.applying:
            applied = self.applied
            if self.phase is not Phase.READY or not self.engine_up:
                raise CulvertError(Problem("the packet engine is not running", what_to_do="Try again in a moment."))
            await self._parts.data_plane.apply(applied.desired.policies)
            self._lost = ()  # who has written policies has seen to the associations, too
            await self._follow()

    async def _follow(self) -> None:
        """Steer and fence what others wrote, where it is not what it was."""
        before = self.applied
        if self._parts.data_plane.others == before.others:
            return
        self._lost = ()
        await self._change_to(before, await self._plan(before.gateway, before.facts))
        self._journal.info("The policies that others wrote are steered and fenced.", policies=self.applied.others.count)

    async def restart_engine(self) -> bool:
        """Put an engine in the place of the one that was lost. Tell whether it is a fresh one. Raise CulvertError."""
        async with self.applying:
            if self.phase is not Phase.READY:
                return False
            ran = await self._start_data_plane()
            await self._parts.data_plane.apply(self.applied.desired.policies)
            await self._parts.data_plane.apply_links(self.applied.desired.gifs)
            await self._parts.network.apply_steering(self.applied.desired)
            if not ran:
                self._say_what_is_lost()
            await self.shell.perform(CheckpointsLost() if ran else EngineRestarted())
            self.engine_up = True
            self._peer_changed("")
            return not ran

    def _say_what_is_lost(self) -> None:
        """Associations of others had keys that we do not know. Their policies stand, so nothing passes in clear."""
        if count := self._parts.data_plane.others.count:
            what = (
                f"the engine was started anew and lost the associations of others; their {count} policies stand again"
            )
            finding = Finding(what, "the packet engine", "Load them again: culvert setkey -f FILE.")
            self._journal.warning(f"{what[0].upper()}{what[1:]}.", what_to_do=finding.what_to_do)
            self._lost = (finding,)

    async def _change_to(self, before: Applied, after: Applied) -> None:
        """Fence what was and what will be, then policies, then steering; only then let go of the old fence."""
        network, old, new = self._parts.network, before.desired.firewall, after.desired.firewall
        if before.desired == after.desired:
            self._applied = after
            return
        both = replace(new, fenced=tuple(dict.fromkeys((*old.fenced, *new.fenced))))
        await network.apply_firewall(replace(after.desired, firewall=both))
        await network.apply_sysctls(after.desired)
        if self.engine_up and before.desired.policies != after.desired.policies:
            await self._parts.data_plane.apply(after.desired.policies)
        if self.engine_up and before.desired.gifs != after.desired.gifs:
            await self._parts.data_plane.apply_links(after.desired.gifs)
        await network.apply_steering(after.desired)
        await network.apply_firewall(after.desired)
        self._applied = after

    def _peer_changed(self, peer: str) -> None:
        self._change.set()
        self._change = asyncio.Event()
        self._meet(peer)
        self._learn_suites(peer)

    def _meet(self, peer: str) -> None:
        """Remember where a peer is: who has no address written, or moved, is on a path as well."""
        met = self._parts.resolver.met
        for known in self.shell.status_of(peer):
            if known.ike is not None and met.get(peer) != known.ike.remote.ip:
                met[peer] = known.ike.remote.ip
                self.paths_changed.set()

    def _learn_suites(self, peer: str) -> None:
        """Fit the plan to what was negotiated."""
        suites = learned(self._suites, self.shell.status_of(peer))
        if suites == self._suites or self.phase is not Phase.READY:
            return
        self._suites = suites
        self._fitting.ask()

    async def changed(self) -> None:
        """Return when the state of any peer changed."""
        await self._change.wait()

    def _path_found(self, peer: str) -> None:
        applied = self._applied
        known = dict(applied.facts.path_mtu).get(peer) if applied else None
        if self.phase is Phase.READY and known != self._parts.resolver.path_mtu.get(peer):
            self._fitting.ask()

    async def measure(self) -> None:
        """Ask host and engine again for the ways to the peers and what fits on them. The plan is fitted to that, and
        IKE told of other ways and addresses.
        """
        resolver = self._parts.resolver
        try:
            resolver.learnt = await self._parts.data_plane.path_mtus() if self.engine_up else {}
            present, measured = resolver.host.addresses(), await resolver.measure()
        except CulvertError as error:
            self._journal.debug("The paths could not be measured.", error=error)
            return
        if present != self._present or measured.rerouted:
            self._present = present
            self.shell.post(PathsChanged(present, tuple(measured.rerouted)))
        for peer in measured.resized:
            mtu = resolver.path_mtu[peer]
            self._journal.info("The path to the peer takes packets of another size.", peer=peer, mtu=mtu)
        if measured.resized:
            await self.replan_quietly()

    async def replan_quietly(self) -> None:
        """The same, where nobody waits for it: what goes wrong is logged."""
        async with self.applying:
            await self._fit_quietly()

    async def _fit_quietly(self) -> None:
        try:
            await self._fit()
        except CulvertError as error:
            self._journal.error("The host could not be fitted to what the tunnels carry now.", error=error)

    def engine_lost(self) -> None:
        """The data plane is gone, and all associations with it. The fence stands."""
        self.engine_up = False
        self.paths_changed.set()
        self._peer_changed("")

    def post(self, event: Event) -> None:
        self.shell.post(event)

    async def perform(self, event: Event) -> None:
        """Have the core handle an event, and return when all that it led to is done."""
        await self.shell.perform(event)

    # --- what it is like ---

    def peers(self) -> tuple[PeerStatus, ...]:
        return self.shell.status()

    async def status(self) -> dict[str, Any]:
        """Give the whole status as a document."""
        applied = self.applied
        associations, drops, trouble = await self._counted()
        drops = status.added(drops, self.shell.refused(), await self._seen_by_the_host())
        return status.document(
            status.Picture(
                gateway=applied.gateway,
                phase=self.phase.value,
                backend=self._parts.data_plane.name,
                peers=self.shell.status(),
                associations=associations,
                drops=drops,
                warnings=(*self.findings, *self._lost),
                addresses=self._addresses(applied.gateway),
                mtu=self._parts.tunnel_mtu(applied.gateway, applied.facts, self._suites),
                now=self._parts.clock.now(),
                engine_trouble=trouble,
                links=await self._link_statuses(applied),
                policies=self.policies(),
            )
        )

    async def _link_statuses(self, applied: Applied) -> tuple[LinkStatus, ...]:
        gifs, firewall = applied.gateway.gifs, applied.desired.firewall
        packets = await self._parts.network.link_packets() if gifs else {}
        return tuple(LinkStatus(gif, is_protected(gif, firewall), *packets.get(gif.name, (0, 0))) for gif in gifs)

    def policies(self) -> dict[str, int]:
        """Count the policies that are steered and fenced, by who wrote them."""
        return {"configuration": len(self.applied.desired.policies), "others": self.applied.others.count}

    async def prove(self, peer: model.Peer) -> dict[str, Any]:
        """Show that nothing between the networks of a peer can be read outside, and give the verdict."""
        known = {status.name: status for status in self.peers()}
        status = known.get(peer.name, PeerStatus(peer.name, PeerState.DOWN))
        resolver = self._parts.resolver
        addresses = [status.ike.remote.ip] if status.ike else resolver.reached.get(peer.name, ())
        outside = await self._parts.network.outside(addresses)
        return await self._parts.prove(subject_of(peer, status, self.applied.facts, outside))

    async def _seen_by_the_host(self) -> dict[str, int]:
        """Give what our firewall dropped, and look anew for other firewalls: they come and go while we run."""
        applied, network = self.applied, self._parts.network
        try:
            self.findings = await network.warnings(applied.desired, applied.facts)
            return await network.drops()
        except CulvertError as error:
            self._journal.debug("The host's firewalls could not be read.", error=error)
            return {}

    async def _counted(self) -> tuple[tuple[CountedAssociation, ...], dict[str, int], str]:
        """Ask the engine what it counted; the third is what is wrong with it."""
        if not self.engine_up:
            return (), {}, "the packet engine is being started anew"
        try:
            async with asyncio.timeout(self.count_s):
                associations, drops = await self._parts.data_plane.associations(), await self._parts.data_plane.drops()
        except (CulvertError, TimeoutError):
            return (), {}, "the packet engine does not answer; if that lasts: culvert down, then culvert up"
        return associations, drops, ""

    def _addresses(self, gateway: model.Gateway) -> tuple[str, ...]:
        """Ours: as configured, else those that the IKE SAs use."""
        used = [str(peer.ike.local.ip) for peer in self.shell.status() if peer.ike]
        return tuple(str(address) for address in gateway.addresses) or tuple(dict.fromkeys(used))

    # --- down ---

    async def stop(self, ending: Ending) -> None:
        """End as asked and return when it is so. What cannot be taken away is said, and the rest goes all the same."""
        if self.phase in (Phase.STOPPING, Phase.STOPPED):
            return
        self.phase = Phase.STOPPING
        self._peer_changed("")
        self._parts.manager.stopping()
        if ending is not Ending.DAEMON and self._shell_task and not await self.shell.stop(FAREWELL_S):
            self._journal.warning("Not every peer could be told that we end.")
        async with self.applying:
            await self._tasks.cancel_all()
            if ending is Ending.DAEMON:
                await self._parts.data_plane.detach()
            else:
                await take_down(self._parts, ending)
        self.phase = Phase.STOPPED
        self._journal.info("The gateway has ended.", ending=ending.value)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
