"""Steering, part two: the rules that lead into our table.

`not fwmark M from S` would mean "not (M and S)", which is nearly everything. So what carries our mark jumps over the
others, and continues with the host's own rules:

    4499  fwmark M            goto 4503
    4500  from S              lookup our table      for each source
    4500  from 0.0.0.0 iif lo lookup our table      the gateway's own IPv4 traffic that has no source yet
    4503                      nop

An IPv6 rule with a source never matches a packet that has none yet. There, what has a source jumps as well:

    4501  from ::/1, 8000::/1 goto 4503
    4502  iif lo              lookup our table      the gateway's own IPv6 traffic that has no source yet

What nftables marked as protected looks into a table of its own:

    4499  fwmark STEER_FORWARDED iif culvert0   goto 4503
    4500  fwmark STEER, STEER_FORWARDED         lookup the table of marked packets

Reverse path filtering asks for the way back as if the packet came from where it is to go, with its mark. For a packet
into the TUN the first of the two keeps that question out of a table in which everything goes into the TUN. A packet
from the TUN has the same mark: the first keeps itself out, and the second answers that its way back is the TUN.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from culvert.addresses import IPNetwork
from culvert.network.netlink import ADDRESS_FAMILY, Netlink, attributes, dump, refusals
from culvert.plan.desired import (
    MARK,
    MARKED_TABLE,
    ROUTE_PROTOCOL,
    ROUTING_TABLE,
    RULE_PRIORITY,
    STEER,
    STEER_FORWARDED,
    TUN,
    Marked,
    Rule,
    Unbound,
)

BYPASS_PRIORITY = RULE_PRIORITY - 1
BOUND_PRIORITY = RULE_PRIORITY + 1
OWN_PRIORITY = RULE_PRIORITY + 2
END_PRIORITY = RULE_PRIORITY + 3

_LOOKUP, _GOTO, _NOP = 1, 2, 3
_HALVES = (IPv6Network("::/1"), IPv6Network("8000::/1"))
_UNBOUND = IPv4Network("0.0.0.0/32")
_WHOLE_MARK = 0xFFFFFFFF
_OWN = "lo"
"""By this interface the kernel looks up what the host itself sends."""

Wanted = Rule | Unbound | Marked
Ports = tuple[int, int]


@dataclass(frozen=True, slots=True)
class KernelRule:
    """A rule as the kernel has it. None, and protocol 0: any. Ports are (first, last)."""

    family: int
    priority: int
    action: int
    source: IPNetwork | None = None
    destination: IPNetwork | None = None
    interface: str | None = None
    mark: int | None = None
    target: int | None = None
    table: int | None = None
    protocol: int = 0
    source_ports: Ports | None = None
    destination_ports: Ports | None = None

    @property
    def own(self) -> bool:
        """Whether it is for what the host itself sends."""
        return self.interface == _OWN


async def observe(netlink: Netlink) -> tuple[KernelRule, ...]:
    """Give the rules that carry our protocol number."""
    found: list[KernelRule] = []
    for family in ADDRESS_FAMILY.values():
        for message in await dump(netlink.get_rules(family=family)):
            if attributes(message).get("FRA_PROTOCOL") == ROUTE_PROTOCOL:
                found.append(_parse(message))
    return tuple(found)


async def apply(netlink: Netlink, wanted: Iterable[Wanted]) -> bool:
    """Make our rules lead `wanted` into our tables; tell whether anything changed. Raise HostError."""
    rules = compile_rules(wanted)
    standing = await observe(netlink)
    missing = [rule for rule in rules if rule not in standing]
    unwanted = [rule for rule in standing if rule not in rules]
    for rule in missing:
        await _request(netlink, "add", rule)
    for rule in reversed(unwanted):
        await _request(netlink, "del", rule)
    return bool(missing or unwanted)


async def sweep(netlink: Netlink) -> None:
    """Remove every rule of ours, the jump over the others last."""
    for rule in sorted(await observe(netlink), key=_removal_order):
        await _request(netlink, "del", rule)


def compile_rules(wanted: Iterable[Wanted]) -> tuple[KernelRule, ...]:
    """Turn what we want into the kernel's rules, in the order in which they are added.

    The end of the jump comes first, then the jump: a lookup before it would catch the engine's own packets.
    """
    wanted = tuple(wanted)
    rules: list[KernelRule] = []
    for version, family in ADDRESS_FAMILY.items():
        here = [rule for rule in wanted if _version(rule) == version]
        if here:
            rules += _compile_family(here, family)
    return tuple(dict.fromkeys(rules))


def _version(rule: Wanted) -> int:
    match rule:
        case Rule():
            return rule.source.version
        case Unbound():
            return rule.destination.version
        case Marked():
            return rule.version


def _compile_family(wanted: list[Wanted], family: int) -> list[KernelRule]:
    marked = [rule for rule in wanted if isinstance(rule, Marked)]
    rules = [KernelRule(family, END_PRIORITY, _NOP), _jump(family, MARK)]
    rules += [_jump(family, STEER_FORWARDED, TUN)] if marked else []
    rules += [
        _lookup(family, RULE_PRIORITY, source=_part(rule.source), destination=_part(rule.destination))
        for rule in wanted
        if isinstance(rule, Rule) and not rule.own
    ]
    if marked:
        marks = STEER, STEER_FORWARDED
        rules += [_lookup(family, RULE_PRIORITY, table=MARKED_TABLE, mark=mark) for mark in marks]
    return rules + _own([_own_lookup(rule, family) for rule in wanted if _is_own(rule)], family)


def _jump(family: int, mark: int, interface: str | None = None) -> KernelRule:
    return KernelRule(family, BYPASS_PRIORITY, _GOTO, interface=interface, mark=mark, target=END_PRIORITY)


def _lookup(family: int, priority: int, *, table: int = ROUTING_TABLE, **more: Any) -> KernelRule:
    return KernelRule(family, priority, _LOOKUP, table=table, **more)


def _is_own(rule: Wanted) -> bool:
    return isinstance(rule, Unbound) or (isinstance(rule, Rule) and rule.own)


def _own_lookup(rule: Wanted, family: int) -> KernelRule:
    """Look up the gateway's own traffic that has no source yet."""
    ipv4 = family == ADDRESS_FAMILY[4]
    priority, source = (RULE_PRIORITY, _UNBOUND) if ipv4 else (OWN_PRIORITY, None)
    if isinstance(rule, Unbound):
        return _lookup(
            family,
            priority,
            table=MARKED_TABLE,
            source=source,
            destination=_part(rule.destination),
            interface=_OWN,
            protocol=rule.protocol,
            source_ports=rule.source_ports,
            destination_ports=rule.destination_ports,
        )
    destination = rule.destination if isinstance(rule, Rule) else None
    return _lookup(family, priority, source=source, destination=_part(destination), interface=_OWN)


def _own(lookups: list[KernelRule], family: int) -> list[KernelRule]:
    if family == ADDRESS_FAMILY[4] or not lookups:
        return lookups
    bound = [KernelRule(family, BOUND_PRIORITY, _GOTO, half, target=END_PRIORITY) for half in _HALVES]
    return [*bound, *lookups]


def _part(network: IPNetwork | None) -> IPNetwork | None:
    """Give the network where it is a part of all addresses: the kernel has no rule from 0.0.0.0/0."""
    return network if network is not None and network.prefixlen else None


def _removal_order(rule: KernelRule) -> tuple[bool, bool]:
    return rule.priority == END_PRIORITY, rule.priority == BYPASS_PRIORITY


def _parse(message: Any) -> KernelRule:
    values = attributes(message)
    return KernelRule(
        family=message["family"],
        priority=values.get("FRA_PRIORITY", 0),
        action=message["action"],
        source=ip_network((values["FRA_SRC"], message["src_len"])) if message["src_len"] else None,
        destination=ip_network((values["FRA_DST"], message["dst_len"])) if message["dst_len"] else None,
        interface=values.get("FRA_IIFNAME"),
        mark=values.get("FRA_FWMARK") or None,
        target=values.get("FRA_GOTO"),
        table=values.get("FRA_TABLE") if message["action"] == _LOOKUP else None,
        protocol=values.get("FRA_IP_PROTO", 0),
        source_ports=_ports(values.get("FRA_SPORT_RANGE")),
        destination_ports=_ports(values.get("FRA_DPORT_RANGE")),
    )


def _ports(value: Any) -> Ports | None:
    """pyroute2 writes a range as text: first:last."""
    if not value:
        return None
    first, _, last = str(value).partition(":")
    return int(first), int(last)


async def _request(netlink: Netlink, command: str, rule: KernelRule) -> None:
    request: dict[str, Any] = {
        "family": rule.family,
        "priority": rule.priority,
        "action": rule.action,
        "protocol": ROUTE_PROTOCOL,
    }
    if rule.table is not None:
        request["table"] = rule.table
    if rule.source is not None:
        request |= {"src": str(rule.source.network_address), "src_len": rule.source.prefixlen}
    if rule.destination is not None:
        request |= {"dst": str(rule.destination.network_address), "dst_len": rule.destination.prefixlen}
    if rule.interface is not None:
        request["iifname"] = rule.interface
    if rule.protocol:
        request["ip_proto"] = rule.protocol
    for name, ports in (("sport_range", rule.source_ports), ("dport_range", rule.destination_ports)):
        if ports is not None:
            request[name] = f"{ports[0]}:{ports[1]}"
    if rule.mark is not None:
        request |= {"fwmark": rule.mark, "fwmask": _WHOLE_MARK}
    if rule.target is not None:
        request["goto"] = rule.target
    gone = errno.ENOENT if command == "del" else 0
    async with refusals(f"ip rule {rule.priority}", but=gone):
        await netlink.rule(command, **request)
