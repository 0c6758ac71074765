"""Reads our nftables table as nft lists it, in numbers. What cannot be understood covers nothing."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator
from typing import Any

from culvert.addresses import IPAddress
from culvert.plan.desired import STEER
from culvert.proof.evidence import Box, Fence
from culvert.proof.walks import SetRule

Json = dict[str, Any]

_VERSIONS = (4, 6)
_WHOLE = {
    "ip saddr": (1 << 32) - 1,
    "ip daddr": (1 << 32) - 1,
    "ip6 saddr": (1 << 128) - 1,
    "ip6 daddr": (1 << 128) - 1,
    "meta nfproto": 0xFF,
    "meta l4proto": 0xFF,
    "th sport": 0xFFFF,
    "th dport": 0xFFFF,
    "icmp type": 0xFF,
    "icmp code": 0xFF,
    "icmpv6 type": 0xFF,
    "icmpv6 code": 0xFF,
}
"""The masks of fields that are looked at as a whole."""
_STEERS = {"mangle": {"key": {"meta": {"key": "mark"}}, "value": STEER}}


def read_fence(objects: list[Json]) -> Fence:
    """Read what drops and what marks, and what it takes hold of."""
    table = _Table(objects)
    tables = [entry["table"] for entry in objects if "table" in entry]
    return Fence(
        dropping=frozenset.intersection(*(table.dropping(version) for version in _VERSIONS)),
        boxes=tuple(
            box for version in _VERSIONS for one in table.sets.get(f"fenced{version}", ()) for box in _boxes(one)
        ),
        dormant=any("dormant" in str(one.get("flags", "")) for one in tables),
        drops=tuple(table.rules({"drop": None})),
        marks=tuple(table.rules(_STEERS)),
    )


class _Table:
    """Chains, rules and the elements of sets, by name."""

    def __init__(self, objects: list[Json]) -> None:
        self._chains = {entry["chain"]["name"]: entry["chain"] for entry in objects if "chain" in entry}
        self._rules = [entry["rule"] for entry in objects if "rule" in entry]
        self.sets = {entry["set"]["name"]: entry["set"].get("elem", ()) for entry in objects if "set" in entry}
        self._jumps = [
            (rule["chain"], expression["jump"]["target"], _versions(rule))
            for rule in self._rules
            for expression in rule["expr"]
            if "jump" in expression
        ]
        self._values: dict[tuple[str, int], frozenset[tuple[int, ...]]] = {}

    def dropping(self, version: int) -> frozenset[str]:
        """Give the hooks that lead to a rule that drops what is in a fenced pair."""
        name = f"@fenced{version}"
        chains = {rule["chain"] for rule in self._rules if _drops_all_in(rule, name)}
        return frozenset(hook for chain in chains for hook in self._hooks(chain, version))

    def rules(self, act: Json) -> Iterator[SetRule]:
        """Give the rules that do `act` with what is in a set."""
        for rule in self._rules:
            matches = _matches(rule)
            later = [one for one in matches if "frag-off" in str(one["left"])]
            others = [one for one in matches if one not in later]
            if act not in rule["expr"] or len(others) != 1 or len(later) > 1 or others[0].get("op") != "==":
                continue
            try:
                fields = tuple(_field(part) for part in _parts(others[0]["left"]))
                values = self._values_of(others[0]["right"], len(fields))
            except (TypeError, KeyError, ValueError, OSError):
                continue
            hooks = frozenset((v, hook) for v in _VERSIONS for hook in self._hooks(rule["chain"], v))
            yield SetRule(hooks, fields, values, bool(later))

    def _hooks(self, chain: str, version: int, above: tuple[str, ...] = ()) -> Iterator[str]:
        """Give the hooks from which packets of a version come to a chain."""
        if "hook" in self._chains.get(chain, {}):
            yield self._chains[chain]["hook"]
        for source, target, versions in self._jumps:
            if target == chain and version in versions and source not in above:
                yield from self._hooks(source, version, (*above, chain))

    def _values_of(self, right: Any, width: int) -> frozenset[tuple[int, ...]]:
        if not isinstance(right, str) or not right.startswith("@"):
            return frozenset({(_number(right),)})
        key = right[1:], width
        if key not in self._values:
            parts = (_parts(_bare(element)) for element in self.sets[right[1:]])
            self._values[key] = frozenset(tuple(map(_number, one)) for one in parts if len(one) == width)
        return self._values[key]


def _matches(rule: Json) -> list[Json]:
    return [expression["match"] for expression in rule["expr"] if "match" in expression]


def _drops_all_in(rule: Json, name: str) -> bool:
    """Whether a rule drops what is in a set, on no other condition."""
    matches = _matches(rule)
    alone = len(matches) == 1 and matches[0].get("op") == "==" and matches[0]["right"] == name
    return alone and {"drop": None} in rule["expr"]


def _versions(rule: Json) -> tuple[int, ...]:
    """Give the IP versions of which a rule takes all packets, those of the fenced pairs aside."""
    matches = _matches(rule)
    if not matches:
        return _VERSIONS
    if len(matches) > 1 or matches[0].get("op") != "!=":
        return ()
    return tuple(version for version in _VERSIONS if matches[0]["right"] == f"@fenced{version}")


def _parts(value: Any) -> list[Any]:
    return list(value["concat"]) if isinstance(value, dict) and "concat" in value else [value]


def _field(part: Json) -> tuple[str, int]:
    """Read a field, and the mask under which it is looked at. Raise KeyError, TypeError or ValueError."""
    if "&" in part:
        inner, mask = part["&"]
        return _field(inner)[0], _number(mask)
    name = (
        f"meta {part['meta']['key']}" if "meta" in part else f"{part['payload']['protocol']} {part['payload']['field']}"
    )
    return name, _WHOLE[name]


def _number(value: Any) -> int:
    """Read a number or an address. Raise TypeError, ValueError or OSError."""
    if isinstance(value, int):
        return value
    family = socket.AF_INET6 if ":" in value else socket.AF_INET
    return int.from_bytes(socket.inet_pton(family, value), "big")


def _bare(element: Any) -> Any:
    return element.get("elem", element) if isinstance(element, dict) else element


def _boxes(element: Any) -> list[Box]:
    """Read `{"concat": [local, remote]}`."""
    try:
        local, remote = _bare(element)["concat"]
        return [Box(_ends(local), _ends(remote))]
    except (TypeError, KeyError, ValueError):
        return []


def _ends(value: Any) -> tuple[IPAddress, IPAddress]:
    """Read an address, a prefix or a range."""
    if isinstance(value, str):
        return ipaddress.ip_address(value), ipaddress.ip_address(value)
    if "prefix" in value:
        network = ipaddress.ip_network((value["prefix"]["addr"], value["prefix"]["len"]))
        return network[0], network[-1]
    first, last = value["range"]
    return ipaddress.ip_address(first), ipaddress.ip_address(last)
