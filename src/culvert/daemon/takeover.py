"""Associations that a former daemon left in the data plane: they serve until IKE has made successors."""

from __future__ import annotations

from collections.abc import Iterable

from culvert.daemon.seams import CountedAssociation
from culvert.ipsec.associations import AssociationId, Direction, SecurityAssociation


class Inherited:
    """The inherited associations by reqid. Their keys are not ours to know; only that they go when new ones came.

    IKE's have a direction each. What has none was keyed by hand and is not ours, whatever its reqid.
    """

    def __init__(self, found: Iterable[CountedAssociation] = ()) -> None:
        self._by_reqid: dict[int, list[AssociationId]] = {}
        for association in found:
            if association.direction is None:
                continue
            self._by_reqid.setdefault(association.reqid, []).append(association.id)

    def __len__(self) -> int:
        return sum(len(ids) for ids in self._by_reqid.values())

    @property
    def reqids(self) -> tuple[int, ...]:
        return tuple(self._by_reqid)

    def take(self, reqids: Iterable[int]) -> list[AssociationId]:
        """Take out those of some reqids."""
        return [identity for reqid in reqids for identity in self._by_reqid.pop(reqid, ())]

    def without_policy(self, reqids: Iterable[int]) -> list[AssociationId]:
        """Take out those that no policy wants any more."""
        wanted = frozenset(reqids)
        return self.take([reqid for reqid in self._by_reqid if reqid not in wanted])

    def succeeded_by(self, association: SecurityAssociation) -> bool:
        """Tell whether a new association replaces some: the outbound one does, for it is the last that IKE installs.

        They are to go a while later: the peer may send on the old ones until it sees that we have the new ones.
        """
        return association.direction is Direction.OUT and association.reqid in self._by_reqid

    def clear(self) -> None:
        """Forget them: the data plane lost them."""
        self._by_reqid.clear()
