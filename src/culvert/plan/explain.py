"""What a desired state means, in lines for people: what `up` would do."""

from __future__ import annotations

from collections.abc import Iterator

from culvert.ipsec.associations import Direction
from culvert.ipsec.selectors import Selector
from culvert.plan.desired import (
    MARKED_TABLE,
    NFT_TABLE,
    ROUTING_TABLE,
    TUN,
    DesiredState,
    Firewall,
    Marked,
    Route,
    RouteKind,
    Rule,
    Unbound,
)


def explain(desired: DesiredState) -> list[str]:
    """Give one line for each thing that would stand on this host, in the order in which it is made."""
    lines = [f"set {sysctl.name} = {sysctl.value}" for sysctl in (*desired.sysctls, *desired.tun_sysctls)]
    lines += _firewall(desired.firewall)
    for policy in desired.policies:
        if policy.direction is Direction.OUT:
            what = "protect" if policy.templates else str(policy.action)
            lines.append(f"{what} {policy.selector.source} <-> {policy.selector.destination}{_only(policy.selector)}")
    lines += [_route(route) for route in desired.routes]
    lines += [_rule(rule) for rule in desired.rules]
    return lines


def _only(selector: Selector) -> str:
    """Say of which protocol and ports, where not all of it is meant. Ports are written with their masks."""
    if not selector.protocol:
        return ""
    named = (("from port", selector.source_port), ("to port", selector.destination_port))
    ports = (f" {name} {value}" + (f"/0x{mask:04x}" if mask != 0xFFFF else "") for name, (value, mask) in named if mask)
    return f", protocol {selector.protocol}{''.join(ports)}"


def _firewall(firewall: Firewall) -> Iterator[str]:
    table = f"table inet {NFT_TABLE}"
    for pair in firewall.fenced:
        yield f"{table}: {pair.local} <-> {pair.remote} never in clear, only through {TUN}"
    for pair in firewall.guarded:
        yield f"{table}: {pair.local} <-> {pair.remote} what is protected never in clear, only through {TUN}"
    for attached in firewall.attached:
        yield f"{table}: {attached.network} stays on {attached.interface}"
    if firewall.accept:
        peers = ", ".join(str(peer.network_address) for peer in firewall.peers) or "anybody"
        yield f"{table}: accept IKE and ESP from {peers}, and what goes through {TUN}"
    for mss in sorted({clamp.mss for clamp in firewall.clamps}):
        remotes = dict.fromkeys(str(clamp.pair.remote) for clamp in firewall.clamps if clamp.mss == mss)
        yield f"{table}: TCP segments of at most {mss} octets from and to {', '.join(remotes)}"


def _route(route: Route) -> str:
    target = {RouteKind.TUN: f"dev {TUN}", RouteKind.UNREACHABLE: "unreachable", RouteKind.THROW: "to the main table"}
    words = [f"route {route.destination} {target[route.kind]} metric {route.metric} table {route.table}"]
    if route.preferred_source is not None:
        words.append(f"src {route.preferred_source}")
    if route.mtu is not None:
        words.append(f"mtu {route.mtu}")
    return " ".join(words)


def _rule(rule: Rule | Unbound | Marked) -> str:
    if isinstance(rule, Marked):
        return f"rule: what is marked as protected (IPv{rule.version}) looks into table {MARKED_TABLE}"
    if isinstance(rule, Unbound):
        who = f"the gateway's own traffic of protocol {rule.protocol} to {rule.destination}"
        return f"rule: {who} looks into table {MARKED_TABLE} first"
    who = "the gateway's own traffic" if rule.own else str(rule.source)
    where = f" to {rule.destination}" if rule.destination else ""
    family = f" (IPv{rule.source.version})" if rule.own else ""
    return f"rule: {who}{family}{where} looks into table {ROUTING_TABLE} first"
