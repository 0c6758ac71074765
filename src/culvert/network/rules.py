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
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from culvert.addresses import IPNetwork
from culvert.network.netlink import ADDRESS_FAMILY, Netlink, attributes, dump, refusals
from culvert.plan.desired import MARK, ROUTE_PROTOCOL, ROUTING_TABLE, RULE_PRIORITY, Rule

BYPASS_PRIORITY = RULE_PRIORITY - 1
BOUND_PRIORITY = RULE_PRIORITY + 1
OWN_PRIORITY = RULE_PRIORITY + 2
END_PRIORITY = RULE_PRIORITY + 3

_LOOKUP, _GOTO, _NOP = 1, 2, 3
_HALVES = (IPv6Network("::/1"), IPv6Network("8000::/1"))
_UNBOUND = IPv4Network("0.0.0.0/32")
_WHOLE_MARK = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class KernelRule:
    """A rule as the kernel has it. `source` and `destination` None: any; `own`: `iif lo`."""

    family: int
    priority: int
    action: int
    source: IPNetwork | None = None
    destination: IPNetwork | None = None
    own: bool = False
    mark: int | None = None
    target: int | None = None


async def observe(netlink: Netlink) -> tuple[KernelRule, ...]:
    """Give the rules that carry our protocol number."""
    found: list[KernelRule] = []
    for family in ADDRESS_FAMILY.values():
        for message in await dump(netlink.get_rules(family=family)):
            if attributes(message).get("FRA_PROTOCOL") == ROUTE_PROTOCOL:
                found.append(_parse(message))
    return tuple(found)


async def apply(netlink: Netlink, wanted: Iterable[Rule]) -> bool:
    """Make our rules lead `wanted` into our table; tell whether anything changed. Raise HostError."""
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


def compile_rules(wanted: Iterable[Rule]) -> tuple[KernelRule, ...]:
    """Turn what we want into the kernel's rules, in the order in which they are added.

    The end of the jump comes first, then the jump: a lookup before it would catch the engine's own packets.
    """
    wanted = tuple(wanted)
    rules: list[KernelRule] = []
    for version, family in ADDRESS_FAMILY.items():
        here = [rule for rule in wanted if rule.source.version == version]
        if here:
            rules += _compile_family(here, family)
    return tuple(dict.fromkeys(rules))


def _compile_family(wanted: list[Rule], family: int) -> list[KernelRule]:
    rules = [
        KernelRule(family, END_PRIORITY, _NOP),
        KernelRule(family, BYPASS_PRIORITY, _GOTO, mark=MARK, target=END_PRIORITY),
    ]
    rules += [
        KernelRule(family, RULE_PRIORITY, _LOOKUP, _part(rule.source), _part(rule.destination))
        for rule in wanted
        if not rule.own
    ]
    return rules + _own([_part(rule.destination) for rule in wanted if rule.own], family)


def _own(destinations: list[IPNetwork | None], family: int) -> list[KernelRule]:
    if family == ADDRESS_FAMILY[4]:
        return [KernelRule(family, RULE_PRIORITY, _LOOKUP, _UNBOUND, to, own=True) for to in destinations]
    bound = [KernelRule(family, BOUND_PRIORITY, _GOTO, half, target=END_PRIORITY) for half in _HALVES]
    lookups = [KernelRule(family, OWN_PRIORITY, _LOOKUP, None, to, own=True) for to in destinations]
    return [*bound, *lookups] if lookups else []


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
        own=values.get("FRA_IIFNAME") == "lo",
        mark=values.get("FRA_FWMARK"),
        target=values.get("FRA_GOTO"),
    )


async def _request(netlink: Netlink, command: str, rule: KernelRule) -> None:
    request: dict[str, Any] = {
        "family": rule.family,
        "priority": rule.priority,
        "action": rule.action,
        "protocol": ROUTE_PROTOCOL,
    }
    if rule.action == _LOOKUP:
        request["table"] = ROUTING_TABLE
    if rule.source is not None:
        request |= {"src": str(rule.source.network_address), "src_len": rule.source.prefixlen}
    if rule.destination is not None:
        request |= {"dst": str(rule.destination.network_address), "dst_len": rule.destination.prefixlen}
    if rule.own:
        request["iifname"] = "lo"
    if rule.mark is not None:
        request |= {"fwmark": rule.mark, "fwmask": _WHOLE_MARK}
    if rule.target is not None:
        request["goto"] = rule.target
    gone = errno.ENOENT if command == "del" else 0
    async with refusals(f"ip rule {rule.priority}", but=gone):
        await netlink.rule(command, **request)
