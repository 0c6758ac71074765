"""Why two gateways do not agree on their networks, in one sentence that says what to change."""

from __future__ import annotations

from collections.abc import Sequence

from culvert.config.model import Child
from culvert.ike.narrowing import describe, listed, narrow
from culvert.ipsec.coverage import Selectors
from culvert.ipsec.selectors import ANY_PROTOCOL, TrafficSelector

MAX_SHOWN = 8
"""Children that are written out beside the nearest one."""


def explain(peer: str, children: Sequence[Child], local: Selectors, remote: Selectors) -> str:
    """Say what the peer asked for, our side first, and how the child that comes nearest differs."""
    asked = f"the peer asks for {describe(local, remote)} (our side first)"
    if not children:
        return f"{asked}; [peers.{peer}] has no children"
    if not local or not remote:
        return f"{asked}, which cannot be expressed here"
    nearest = max(children, key=lambda child: _nearness(child, local, remote))
    others = [_shown(one) for one in children[:MAX_SHOWN] if one is not nearest]
    return "; ".join((asked, f"{_shown(nearest)}: {_advice(nearest, local, remote)}", *others))


def _shown(child: Child) -> str:
    return f"{child.name} is {describe(child.local, child.remote)}"


def _nearness(child: Child, local: Selectors, remote: Selectors) -> tuple[int, int]:
    """Count the sides that have traffic in common, and those that have addresses in common."""
    sides = ((local, child.local), (remote, child.remote))
    return sum(bool(narrow(*side)) for side in sides), sum(_meet(*side) for side in sides)


def _meet(one: Selectors, other: Selectors) -> bool:
    """Tell whether there are addresses in both, whatever the protocols and ports."""
    return bool(narrow(_addresses(one), _addresses(other)))


def _addresses(selectors: Selectors) -> Selectors:
    return tuple(TrafficSelector(one.start, one.end) for one in selectors)


def _advice(child: Child, local: Selectors, remote: Selectors) -> str:
    if narrow(remote, child.local) and narrow(local, child.remote):
        return "the two sides are swapped, here or there"
    wrong = [
        _side(child, key, asked, ours)
        for key, asked, ours in (("local", local, child.local), ("remote", remote, child.remote))
        if not narrow(asked, ours)
    ]
    return " and ".join(wrong) or "no protocol is in both sides"


def _side(child: Child, key: str, asked: Selectors, ours: Selectors) -> str:
    side = "our side" if key == "local" else "the peer's side"
    if _meet(asked, ours):
        what = "ports" if _share_protocols(asked, ours) else "protocol"
        return f"{side} differs in {what}: {listed(asked)} there, {listed(ours)} here"
    values = ", ".join(f'"{one}"' for one in asked[:MAX_SHOWN])
    return f"{side} differs: write {_key(child, key)} = [{values}] into {_table(child, key)}, or correct the peer"


def _share_protocols(one: Selectors, other: Selectors) -> bool:
    return any(a.protocol == b.protocol or ANY_PROTOCOL in (a.protocol, b.protocol) for a in one for b in other)


def _key(child: Child, key: str) -> str:
    return "networks" if child.name == child.peer else key


def _table(child: Child, key: str) -> str:
    if child.name != child.peer:
        return f"[peers.{child.peer}.children.{child.name}]"
    return "[gateway]" if key == "local" else f"[peers.{child.peer}]"
