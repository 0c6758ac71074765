"""Associations of a data plane by what else they are looked for: their SPI, and their policy."""

from __future__ import annotations

from collections.abc import ValuesView
from dataclasses import dataclass, field

from culvert.ipsec.associations import AssociationId, Direction, SecurityAssociation

Side = tuple[Direction | None, int]
"""A direction, and an SPI or a reqid."""
Found = dict[AssociationId, SecurityAssociation]


@dataclass(slots=True)
class Index:
    """Follows what is installed, so that a gateway with very many is as quick as one with few."""

    _by_spi: dict[Side, Found] = field(default_factory=dict)
    _by_reqid: dict[Side, Found] = field(default_factory=dict)

    def enter(self, association: SecurityAssociation) -> None:
        for index, key in self._places(association):
            index.setdefault(key, {})[association.id] = association

    def leave(self, association: SecurityAssociation) -> None:
        for index, key in self._places(association):
            del index[key][association.id]
            if not index[key]:
                del index[key]

    def _places(self, one: SecurityAssociation) -> tuple[tuple[dict[Side, Found], Side], ...]:
        return (self._by_spi, (one.direction, one.spi)), (self._by_reqid, (one.direction, one.reqid))

    def with_spi(self, direction: Direction, spi: int) -> ValuesView[SecurityAssociation]:
        return self._by_spi.get((direction, spi), {}).values()

    def of_policy(self, direction: Direction, reqid: int) -> ValuesView[SecurityAssociation]:
        return self._by_reqid.get((direction, reqid), {}).values()
