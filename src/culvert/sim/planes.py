"""A model of a data plane: its associations, what may be sent on them, and what waits where there is none."""

from __future__ import annotations

from dataclasses import dataclass, field

from culvert.addresses import IPAddress
from culvert.clock import SECOND
from culvert.config.model import Child
from culvert.ike.events import Acquired, Held
from culvert.ipsec.associations import AssociationId, Direction, Protocol, SecurityAssociation
from culvert.ipsec.selectors import Selector
from culvert.sim.broken import Broken
from culvert.sim.index import Index

ACQUIRE_NS = SECOND
"""A policy without an association asks for one this often at most, however many packets it holds."""


TOLD_NS = 4 * SECOND
"""How often the engine tells that packets come for an SPI that it does not have, or that none come for a child."""
Ends = tuple[IPAddress, IPAddress]
"""Source and destination of a packet."""


def _carries(association: SecurityAssociation, pair: Ends) -> bool:
    return any(pair[0] in one.source and pair[1] in one.destination for one in association.selectors)


@dataclass(slots=True)
class DataPlane:
    """One endpoint's SAD. `used` are inbound SPIs that there were, `keys` those that were sent with.

    By reqid: `asked` is when an association was asked for, `unanswered` since when packets leave and none come, `told`
    when that was told.
    """

    name: str
    associations: dict[AssociationId, SecurityAssociation] = field(default_factory=dict)
    used: dict[AssociationId, None] = field(default_factory=dict)
    keys: dict[bytes, AssociationId] = field(default_factory=dict)
    asked: dict[int, int] = field(default_factory=dict)
    unanswered: dict[int, int] = field(default_factory=dict)
    told: dict[int | None, int] = field(default_factory=dict)
    index: Index = field(default_factory=Index)

    def install(self, association: SecurityAssociation) -> None:
        """Take an association. No inbound SPI and no outbound key comes twice, even where the first one is gone."""
        self._not_in_clear(association)
        if association.direction is Direction.IN:
            if association.id in self.used:
                raise Broken(f"{self.name}: {association.id} was in use before")
            self.used[association.id] = None
        elif association.direction is Direction.OUT:
            self._fresh_key(association)
        self.remove(association.id)
        self.associations[association.id] = association
        self.index.enter(association)

    def _not_in_clear(self, association: SecurityAssociation) -> None:
        cipher = association.encryption
        readable = cipher is None or cipher.name == "null" or not any(association.encryption_key)
        if readable and not association.legacy and association.protocol is Protocol.ESP:
            raise Broken(f"{self.name}: {association.id} would send in clear")

    def _fresh_key(self, association: SecurityAssociation) -> None:
        key = association.encryption_key or association.integrity_key
        if key in self.keys:
            raise Broken(f"{self.name}: {association.id} has the key of {self.keys[key]}, so its IVs would repeat")
        self.keys[key] = association.id

    def remove(self, id_: AssociationId) -> None:
        removed = self.associations.pop(id_, None)
        if removed is not None:
            self.index.leave(removed)

    def move(self, id_: AssociationId, association: SecurityAssociation) -> bool:
        """Give an association other outer addresses; it stays as new as it was. False where it is not there."""
        found = self.associations.get(id_)
        if found is None:
            return False
        kept = self.associations.items()
        self.associations = dict((association.id, association) if one == id_ else (one, held) for one, held in kept)
        self.index.leave(found)
        self.index.enter(association)
        return True

    def flush(self) -> None:
        self.associations.clear()
        self.index = Index()

    def held(self) -> tuple[Held, ...]:
        """Give what is there as another process finds it."""
        known = self.associations.values()
        return tuple(Held(one.id, one.reqid, one.direction) for one in known if one.direction is not None)

    def side(self, direction: Direction) -> list[SecurityAssociation]:
        return [one for one in self.associations.values() if one.direction is direction]

    def sends_on(self) -> dict[tuple[int, Selector], int]:
        """Give the SPI on which packets leave, by reqid and selector: the newest outbound association's."""
        return {(one.reqid, selector): one.spi for one in self.side(Direction.OUT) for selector in one.selectors}

    def outbound(self, reqid: int, pair: Ends) -> SecurityAssociation | None:
        """Give the association for packets of a policy between two addresses: the newest one that may carry them."""
        return next(
            (one for one in reversed(self.side(Direction.OUT)) if one.reqid == reqid and _carries(one, pair)), None
        )

    def inbound(self, spi: int) -> SecurityAssociation | None:
        """Give the association that opens a packet."""
        return next(iter(self.index.with_spi(Direction.IN, spi)), None)

    def takes(self, spi: int) -> bool:
        return self.inbound(spi) is not None

    def tells(self, reqid: int | None, now: int) -> bool:
        """Bound how often something is told about a child, or about nobody's packets."""
        if now - self.told.get(reqid, -TOLD_NS) < TOLD_NS:
            return False
        self.told[reqid] = now
        return True

    def acquire(self, child: Child, pair: Ends, now: int) -> Acquired | None:
        """Hold a packet of a policy without an association; give what is asked for, where it is time to ask."""
        if now - self.asked.get(child.reqid, -ACQUIRE_NS) < ACQUIRE_NS:
            return None
        self.asked[child.reqid] = now
        return Acquired(child.reqid, *pair)
