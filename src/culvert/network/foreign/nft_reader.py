"""Reads `nft -j list ruleset` into chains. An expression that is not known here matches "perhaps"."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from ipaddress import ip_address, ip_network, summarize_address_range
from typing import Any

from culvert.network.foreign.chains import TARGETS, ForeignChain, ForeignRule, Verdict
from culvert.network.foreign.packets import (
    Answer,
    Condition,
    Packet,
    address_in,
    answer,
    every,
    interface_is,
    known,
    negate,
    perhaps,
    some,
)

Json = dict[str, Any]
Sets = Mapping[tuple[str, str, str], list[Any]]
"""Elements by family, table and name of the set."""

PROTOCOLS = {
    "icmp": 1, "igmp": 2, "ipencap": 4, "tcp": 6, "udp": 17, "dccp": 33, "ipv6": 41, "gre": 47, "esp": 50, "ah": 51,
    "ipv6-icmp": 58, "icmpv6": 58, "ipcomp": 108, "comp": 108, "sctp": 132, "udplite": 136,
}  # fmt: skip
_FAMILIES = {"ip": 4, "ipv4": 4, "ip6": 6, "ipv6": 6}
_PORTS = {"dport": "destination_port", "sport": "source_port"}
_INTERFACES = {"iifname": "in_interface", "iif": "in_interface", "oifname": "out_interface", "oif": "out_interface"}
_ADDRESSES = {"saddr": "source", "daddr": "destination"}

_HARMLESS = frozenset(
    {"counter", "log", "mangle", "notrack", "comment", "ct helper", "ct timeout", "flow", "set", "map"}
)
_TERMINAL = {
    "accept": Verdict.ACCEPT,
    "drop": Verdict.DROP,
    "reject": Verdict.DROP,
    "return": Verdict.RETURN,
    "continue": Verdict.CONTINUE,
    "masquerade": Verdict.NAT,
    "snat": Verdict.NAT,
    "dnat": Verdict.NAT,
    "redirect": Verdict.NAT,
    "queue": Verdict.UNKNOWN,
    "tproxy": Verdict.UNKNOWN,
    "synproxy": Verdict.UNKNOWN,
}


def read_chains(objects: Iterable[Json]) -> list[ForeignChain]:
    """Give all chains of a ruleset, with their rules in order."""
    objects = list(objects)
    sets = dict(_named_sets(objects))
    rules: dict[tuple[str, str, str], list[ForeignRule]] = {}
    for entry in (entry["rule"] for entry in objects if "rule" in entry):
        place = entry["family"], entry["table"], entry["chain"]
        rules.setdefault(place, []).extend(_read(entry, sets))
    return [_chain(entry["chain"], rules) for entry in objects if "chain" in entry]


def _read(entry: Json, sets: Sets) -> list[ForeignRule]:
    """Read a rule; one of a shape that no nft here has shown stands for anything."""
    try:
        return list(_Reader(entry, sets).rules())
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, StopIteration):
        return [ForeignRule(perhaps, Verdict.UNKNOWN, f"rule with handle {entry.get('handle', '?')}")]


def tables_with_opaque_rules(objects: Iterable[Json]) -> set[tuple[str, str]]:
    """Give family and name of the tables in which iptables-nft wrote matches that nft cannot show."""
    found = (entry["rule"] for entry in objects if "rule" in entry)
    return {(rule["family"], rule["table"]) for rule in found if any("xt" in part for part in rule.get("expr", []))}


def _named_sets(objects: Iterable[Json]) -> Iterator[tuple[tuple[str, str, str], list[Any]]]:
    for entry in objects:
        for kind in ("set", "map"):
            if kind in entry:
                found = entry[kind]
                yield (found["family"], found["table"], found["name"]), found.get("elem", [])


def _chain(entry: Json, rules: Mapping[tuple[str, str, str], list[ForeignRule]]) -> ForeignChain:
    family, table, name = entry["family"], entry["table"], entry["name"]
    return ForeignChain(
        family,
        table,
        name,
        rules=tuple(rules.get((family, table, name), ())),
        hook=entry.get("hook", ""),
        kind=entry.get("type", ""),
        policy="drop" if entry.get("policy") == "drop" else "accept",
    )


class _Reader:
    """Reads one rule."""

    def __init__(self, entry: Json, sets: Sets) -> None:
        self._expressions: list[Any] = entry.get("expr", [])
        self._place = entry["family"], entry["table"]
        self._sets = sets
        self._text = f"rule with handle {entry.get('handle', '?')}: {_shown(self._expressions)}"

    def rules(self) -> Iterator[ForeignRule]:
        """Give the rule; one with a verdict map gives a rule for each of its elements."""
        conditions: list[Condition] = []
        for expression in self._expressions:
            kind, value = _kind(expression)
            if kind == "vmap":
                yield from self._verdict_map(value, conditions)
            elif kind in {"jump", "goto"}:
                yield self._rule(conditions, Verdict(kind), str(value["target"]))
            elif verdict := _TERMINAL.get(kind) or _target(kind, value):
                yield self._rule(conditions, verdict)
            elif kind not in _HARMLESS and not _is_target(kind, value):
                conditions.append(self._match(value) if kind == "match" else perhaps)

    def _rule(self, conditions: list[Condition], verdict: Verdict, target: str = "") -> ForeignRule:
        return ForeignRule(every(conditions), verdict, self._text, target)

    def _verdict_map(self, value: Json, conditions: list[Condition]) -> Iterator[ForeignRule]:
        elements = self._elements(value.get("data"))
        if elements is None:
            yield self._rule([*conditions, perhaps], Verdict.UNKNOWN)
            return
        for key, action in elements:
            kind, detail = next(iter(action.items()))
            target = str(detail["target"]) if isinstance(detail, dict) else ""
            verdict = Verdict(kind) if kind in {"jump", "goto"} else _TERMINAL.get(kind, Verdict.UNKNOWN)
            yield self._rule([*conditions, self._compare(value["key"], key)], verdict, target)

    def _match(self, value: Json) -> Condition:
        condition = self._compare(value["left"], value["right"])
        operator = value.get("op", "==")
        if operator in {"==", "in"}:
            return condition
        return negate(condition) if operator == "!=" else perhaps

    def _compare(self, left: Any, right: Any) -> Condition:
        elements = self._elements(right)
        if elements is None:
            return perhaps
        if isinstance(left, dict) and "concat" in left:
            return some(self._concatenation(left["concat"], element) for element in elements)
        need, one = _field(left)
        return every([need, some(one(_bare(element)) for element in elements)])

    def _concatenation(self, fields: list[Any], element: Any) -> Condition:
        element = _bare(element)
        parts = element.get("concat") if isinstance(element, dict) else None
        if parts is None or len(parts) != len(fields):
            return perhaps
        return every(self._compare(field, part) for field, part in zip(fields, parts, strict=True))

    def _elements(self, right: Any) -> list[Any] | None:
        """Give the values that the right side stands for, None where it is a set that is not there."""
        if isinstance(right, str) and right.startswith("@"):
            return self._sets.get((*self._place, right[1:]))
        if isinstance(right, dict) and isinstance(right.get("set"), list):
            return list(right["set"])
        return right if isinstance(right, list) else [right]


_One = Callable[[Any], Condition]


def _always(packet: Packet) -> Answer:  # noqa: ARG001
    return Answer.YES


def _unknown(_: Any) -> Condition:
    return perhaps


def _field(left: Any) -> tuple[Condition, _One]:
    """Give what the left side of a match needs of the packet to exist at all, and how one value is compared."""
    kind, value = _kind(left)
    match kind:
        case "payload":
            return _payload(value.get("protocol", ""), value.get("field", ""))
        case "meta":
            one = _meta(value.get("key", ""))
        case "ct":
            one = _conntrack(value.get("key", ""))
        case "fib":
            local = value.get("result") == "type" and value.get("flags") == ["daddr"]
            one = _destination_type if local else _way_back if value.get("result") == "oif" else _unknown
        case "&":
            one = _masked(value)
        case _:
            one = _unknown
    return _always, one


def _meta(key: str) -> _One:
    if key == "l4proto":
        return _protocol
    if key in {"nfproto", "protocol"}:
        return lambda value: known("version", lambda version: version == _FAMILIES.get(value))
    if key in _INTERFACES:
        return lambda value: interface_is(_INTERFACES[key], str(value), "*")
    if key == "mark":
        return lambda value: known("mark", lambda mark: mark == value)
    return _unknown


def _payload(protocol: str, field: str) -> tuple[Condition, _One]:
    if protocol in _FAMILIES:
        version = _FAMILIES[protocol]
        need = known("version", lambda found: found == version)
        if field in _ADDRESSES:
            return need, lambda value: _address(_ADDRESSES[field], value)
        return need, _protocol if field in {"protocol", "nexthdr"} else _unknown
    if protocol == "th":
        return _always, _port(field)
    number = PROTOCOLS.get(protocol)
    need = known("protocol", lambda found: found == number) if number else perhaps
    return need, _port(field)


def _protocol(value: Any) -> Condition:
    return known("protocol", lambda found: found == (value if isinstance(value, int) else PROTOCOLS.get(value)))


def _port(field: str) -> _One:
    if field not in _PORTS:
        return _unknown

    def one(value: Any) -> Condition:
        if isinstance(value, int):
            return known(_PORTS[field], lambda port: port == value)
        if isinstance(value, dict) and "range" in value:
            first, last = value["range"]
            return known(_PORTS[field], lambda port: first <= port <= last)
        return perhaps

    return one


def _address(field: str, value: Any) -> Condition:
    try:
        if isinstance(value, dict) and "prefix" in value:
            return address_in(field, ip_network((value["prefix"]["addr"], value["prefix"]["len"]), strict=False))
        if isinstance(value, dict) and "range" in value:
            first, last = (ip_address(end) for end in value["range"])
            return some(address_in(field, network) for network in summarize_address_range(first, last))
        return address_in(field, ip_network(value))
    except (ValueError, TypeError, KeyError):
        return perhaps


def _conntrack(key: str) -> _One:
    if key == "state":
        return lambda value: lambda _: answer(value == "new")
    if key == "status":
        return lambda _: lambda _: Answer.NO  # a flow that begins has been neither seen nor translated
    return _unknown


def _destination_type(value: Any) -> Condition:
    return known("for_this_host", lambda found: found if value == "local" else False)


def _way_back(value: Any) -> Condition:
    """There is a route to our peers: a check of the reverse path finds one."""
    return lambda _: answer(value is not False)


def _masked(parts: Any) -> _One:
    if not isinstance(parts, list) or parts[0] != {"meta": {"key": "mark"}} or not isinstance(parts[1], int):
        return _unknown
    return lambda value: known("mark", lambda mark: mark & parts[1] == value)


def _kind(expression: Any) -> tuple[str, Any]:
    return next(iter(expression.items()), ("", None)) if isinstance(expression, dict) else ("", None)


def _bare(element: Any) -> Any:
    """Take a set element out of its wrapping of timeouts, counters and comments."""
    if isinstance(element, dict) and "elem" in element:
        return element["elem"].get("val")
    return element


def _is_target(kind: str, value: Any) -> bool:
    return kind == "xt" and isinstance(value, dict) and value.get("type") == "target"


def _target(kind: str, value: Any) -> Verdict | None:
    return TARGETS.get(str(value.get("name", ""))) if _is_target(kind, value) else None


def _shown(expressions: list[Any]) -> str:
    text = json.dumps([part for part in expressions if not (isinstance(part, dict) and "counter" in part)])
    return text if len(text) <= 200 else f"{text[:197]}..."
