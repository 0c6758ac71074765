"""Puts our nftables table in place, whole and at once, and takes it away.

A daemon that dies leaves the table standing on purpose: the fence must outlive it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from culvert.network import nft
from culvert.network.ruleset import COUNTERS, FAMILY, render, render_removal
from culvert.plan.desired import NFT_TABLE
from culvert.plan.desired import Firewall as Wanted

Json = dict[str, Any]

_CHANGING = frozenset({"handle", "packets", "bytes"})
_UNORDERED = frozenset({"elem", "set"})


@dataclass(frozen=True, slots=True)
class Standing:
    """Our table as found: `counts` gives packets and octets by counter name, `content` is what it says."""

    counts: Mapping[str, tuple[int, int]]
    content: str


class Firewall:
    """The driver. It remembers what its own last transaction looked like, to leave alone what has not changed."""

    def __init__(self) -> None:
        self._applied: tuple[Wanted, str] | None = None

    async def observe(self) -> Standing | None:
        """Give our table as it stands, None where there is none."""
        try:
            objects = await nft.list_table(FAMILY, NFT_TABLE)
        except nft.TableNotFoundError:
            return None
        return Standing(_counts(objects), _content(objects))

    async def apply(self, wanted: Wanted) -> bool:
        """Make our table say `wanted`; tell whether anything had to change. Counters keep what they counted."""
        standing = await self.observe()
        if standing is not None and self._applied == (wanted, standing.content):
            return False
        await nft.commit(render(wanted, standing.counts if standing else None))
        applied = await self.observe()
        self._applied = (wanted, applied.content) if applied else None
        return True

    async def sweep(self) -> None:
        """Take our table away, if it is there."""
        self._applied = None
        if await self.observe() is not None:
            await nft.commit(render_removal())


def _counts(objects: Iterable[Json]) -> dict[str, tuple[int, int]]:
    found = (entry["counter"] for entry in objects if "counter" in entry)
    return {entry["name"]: (entry["packets"], entry["bytes"]) for entry in found if entry["name"] in COUNTERS}


def _content(objects: list[Json]) -> str:
    return json.dumps(_lasting(objects), sort_keys=True)


def _lasting(value: Any) -> Any:
    """Leave out what changes from listing to listing: handles and counts. The kernel lists a set in any order."""
    if isinstance(value, dict):
        return {key: _member(key, part) for key, part in value.items() if key not in _CHANGING}
    if isinstance(value, list):
        return [_lasting(part) for part in value]
    return value


def _member(key: str, value: Any) -> Any:
    lasting = _lasting(value)
    if key in _UNORDERED and isinstance(lasting, list):
        return sorted(lasting, key=lambda part: json.dumps(part, sort_keys=True))
    return lasting
