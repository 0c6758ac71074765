"""Associations that a former daemon left in the data plane: they serve until IKE has made successors."""

from __future__ import annotations

from collections.abc import Iterable

from culvert.daemon.seams import CountedAssociation
from culvert.ipsec.associations import AssociationId, Direction, SecurityAssociation


class Inherited:
    """The inherited associations by reqid. Their keys are not ours to know; only that they go when new ones came."""

    def __init__(self, found: Iterable[CountedAssociation] = ()) -> None:
        self._by_reqid: dict[int, list[AssociationId]] = {}
        for association in found:
            self._by_reqid.setdefault(association.reqid, []).append(association.id)

    def __len__(self) -> int:
        return sum(len(ids) for ids in self._by_reqid.values())

    def without_policy(self, reqids: Iterable[int]) -> list[AssociationId]:
        """Take out those that no policy wants any more."""
        wanted = set(reqids)
        gone = [reqid for reqid in self._by_reqid if reqid not in wanted]
        return [identity for reqid in gone for identity in self._by_reqid.pop(reqid)]

    def succeeded_by(self, association: SecurityAssociation) -> list[AssociationId]:
        """Take out those that a new association replaces: at the outbound one, for it is the last that IKE installs."""
        if association.direction is not Direction.OUT:
            return []
        return self._by_reqid.pop(association.reqid, [])

    def clear(self) -> None:
        """Forget them: the data plane lost them."""
        self._by_reqid.clear()
