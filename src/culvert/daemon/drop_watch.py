"""The topic `esp`: packets that were dropped since the last look, by association and reason, while the topic is on."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import aclosing

from culvert.daemon.details import ESP
from culvert.daemon.logging import Journal
from culvert.daemon.seams import CountedAssociation, DataPlane
from culvert.errors import CulvertError
from culvert.ike.status import PeerStatus
from culvert.ipsec.associations import AssociationId
from culvert.reasons import SENTENCES

LOOK_S = 1.0
"""How often the counters are compared."""
Counted = dict[AssociationId | None, Counter[str]]
"""Packets dropped by association and reason; None stands for those of which no association knows."""


class DropWatch:
    """Compares counters while somebody wants to know; asleep otherwise."""

    def __init__(self, plane: DataPlane, peers: Callable[[], tuple[PeerStatus, ...]], journal: Journal) -> None:
        self._plane, self._peers, self._journal = plane, peers, journal
        self._wanted = asyncio.Event()
        journal.topics.watch(self._changed)

    def _changed(self, topics: frozenset[str]) -> None:
        if ESP in topics:
            self._wanted.set()
        else:
            self._wanted.clear()

    async def run(self) -> None:
        """Compare the counters for as long as the gateway lives."""
        while True:
            await self._wanted.wait()
            await self._watch()

    async def show(self) -> None:
        """Tell a few of the packets themselves, for as long as the gateway lives."""
        while True:
            await self._wanted.wait()
            try:
                await self._show()
            except CulvertError as error:
                self._journal.tell(ESP, "The engine does not show what it drops.", error=error)
            await asyncio.sleep(LOOK_S)

    async def _show(self) -> None:
        """Read until the engine is gone, or the first packet comes that nobody wants to see any more."""
        async with aclosing(self._plane.dropped()) as dropped:
            async for packet in dropped:
                if not self._wanted.is_set():
                    return
                spi = None if packet.spi is None else f"0x{packet.spi:08x}"
                ends = f"{packet.source} -> {packet.destination}"
                protocol, way = packet.protocol, packet.direction.value
                self._journal.tell(
                    ESP,
                    "A packet was dropped.",
                    reason=packet.reason,
                    packet=ends,
                    protocol=protocol,
                    octets=packet.octets,
                    spi=spi,
                    way=way,
                )

    async def _watch(self) -> None:
        before = await self._look()
        while self._wanted.is_set():
            await asyncio.sleep(LOOK_S)
            now = await self._look()
            if before is not None and now is not None:
                self._tell(before, now)
            before = now

    async def _look(self) -> Counted | None:
        """Give the counters; None where the engine does not tell."""
        try:
            associations, drops = await self._plane.associations(), await self._plane.drops()
        except CulvertError:
            return None
        return counted(associations, drops)

    def _tell(self, before: Counted, now: Counted) -> None:
        owners = _owners(self._peers())
        for id_, counts in now.items():
            new = counts - before.get(id_, Counter())
            for reason, packets in sorted(new.items()):
                peer, child = owners.get(id_, ("", "")) if id_ else ("", "")
                sentence = SENTENCES.get(reason, "Packets were dropped.")
                self._journal.tell(
                    ESP, sentence, packets=packets, reason=reason, sa=id_ and str(id_), peer=peer, child=child
                )


def counted(associations: tuple[CountedAssociation, ...], drops: Mapping[str, int]) -> Counted:
    """Sort the counters: those of associations, and what is left of the engine's own."""
    found: Counted = {one.id: Counter(one.drops) for one in associations if one.drops}
    known = sum(found.values(), Counter[str]())
    found[None] = Counter(drops) - known
    return found


def _owners(peers: tuple[PeerStatus, ...]) -> dict[AssociationId, tuple[str, str]]:
    return {
        id_: (peer.name, child.name)
        for peer in peers
        for child in peer.children
        for id_ in (child.inbound, child.outbound)
    }
