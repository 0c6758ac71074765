"""Children in transport mode: they are between the two gateways themselves, so both addresses must be known."""

from __future__ import annotations

from culvert.config.findings import Findings
from culvert.config.model import Child, Gateway, Peer
from culvert.config.origins import Origins
from culvert.config.values import literal
from culvert.ipsec.selectors import TrafficSelector

Selectors = tuple[TrafficSelector, ...]
TUNNEL = 'mode = "tunnel" is for what lies behind them.'


def verify_transport(gateway: Gateway, peer: Peer, child: Child, origins: Origins, findings: Findings) -> None:
    """Add what does not fit together to `findings`: each side has one address, that of its gateway."""
    path = ("peers", peer.name, "children", child.name)
    name = f'child "{child.name}" is in transport mode'
    sides = (("local", child.local, [*gateway.addresses]), ("remote", child.remote, _literals(peer)))
    for side, selectors, known in sides:
        if origins.is_spoiled(*path, side) or origins.is_spoiled("gateway", "address"):
            continue
        for what, what_to_do in _problems(side, selectors, [str(address) for address in known]):
            findings.problem(origins.at(*path, side), f"{name}, {what}", what_to_do)
    if {one.version for one in child.local} != {one.version for one in child.remote} and child.local and child.remote:
        findings.problem(origins.at(*path), f"{name}, and its sides are of two families", "Write both as IPv4 or IPv6.")


def _literals(peer: Peer) -> list[object]:
    return [address for text in peer.addresses if (address := literal(text)) is not None]


def _problems(side: str, selectors: Selectors, known: list[str]) -> list[tuple[str, str]]:
    whose, where = ("our", "[gateway]") if side == "local" else ("the peer's", "the peer")
    if not selectors:
        return [(f"and {whose} address is not known", f'Write it as a number, address = "203.0.113.1", into {where}.')]
    wide = [str(one) for one in selectors if one.start != one.end]
    if wide:
        return [(f"and {wide[0]} is more than one host", f"Write the gateways' own addresses; {TUNNEL}")]
    hosts = list(dict.fromkeys(str(one.start) for one in selectors))
    if len(hosts) > 1:
        return [(f"and has several addresses on one side: {', '.join(hosts)}", "Write one child for each.")]
    if known and hosts[0] not in known:
        return [(f"and {hosts[0]} is not {whose} address", f"Write {known[0]}; {TUNNEL}")]
    return []
