"""Puts our nftables table in place, whole and at once, and takes it away.

A daemon that dies leaves the table standing on purpose: the fence must outlive it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from culvert.network import nfnetlink, nft
from culvert.network.ruleset import COUNTERS, FAMILY, render, render_removal
from culvert.plan.desired import NFT_TABLE
from culvert.plan.desired import Firewall as Wanted

MOST_LISTED = 2_000
"""Elements of runs up to which our table is compared element by element."""
_CHANGING = frozenset({"handle", "packets", "bytes"})
_UNORDERED = frozenset({"elem", "set"})


@dataclass(frozen=True, slots=True)
class Standing:
    """Our table as found: `counts` gives packets and octets by counter name."""

    counts: Mapping[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class _Applied:
    """Our last transaction, what the table said after it, and how often anybody had changed any ruleset by then."""

    wanted: Wanted
    content: str
    generation: int | None


class Firewall:
    """The driver. It remembers what its own last transaction looked like, to leave alone what has not changed."""

    def __init__(self) -> None:
        self._applied: _Applied | None = None

    async def observe(self) -> Standing | None:
        """Give our table as it stands, None where there is none."""
        counts = nfnetlink.counters(FAMILY, NFT_TABLE)
        if counts is None:
            return None
        return Standing({name: count for name, count in counts.items() if name in COUNTERS})

    async def apply(self, wanted: Wanted) -> bool:
        """Make our table say `wanted`; tell whether anything had to change. Counters keep what they counted.

        Nothing is looked at while nobody changed any ruleset. Many elements would take seconds to compare: they are
        written again instead, and that tells of a change only where the whole table was gone.
        """
        applied = self._applied
        if applied is None or applied.wanted != wanted:
            return await self._put(wanted, await self.observe())
        if applied.generation is not None and applied.generation == nfnetlink.generation():
            return False
        standing = await self.observe()
        if wanted.elements > MOST_LISTED:
            await self._put(wanted, standing)
            return standing is None
        generation = nfnetlink.generation()
        if standing is not None and await _content() == applied.content:
            self._applied = replace(applied, generation=generation)
            return False
        return await self._put(wanted, standing)

    async def _put(self, wanted: Wanted, standing: Standing | None) -> bool:
        await nft.commit(await _rendered(wanted, standing.counts if standing else {}))
        generation = nfnetlink.generation()
        content = await _content() if wanted.elements <= MOST_LISTED else ""
        self._applied = _Applied(wanted, content, generation)
        return True

    async def sweep(self) -> None:
        """Take our table away, if it is there."""
        self._applied = None
        if await self.observe() is not None:
            await nft.commit(json.dumps(render_removal()))


async def _rendered(wanted: Wanted, counts: Mapping[str, tuple[int, int]]) -> str:
    """Write the transaction; beside the event loop where it is long."""
    if wanted.elements <= MOST_LISTED:
        return json.dumps(render(wanted, counts))
    return await asyncio.to_thread(lambda: json.dumps(render(wanted, counts)))


async def _content() -> str:
    """Give what our table says, element by element; nothing where there is none."""
    try:
        objects = await nft.list_table(FAMILY, NFT_TABLE)
    except nft.TableNotFoundError:
        return ""
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
