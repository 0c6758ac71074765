"""Reads what iptables-save prints into chains. An option that is not known here matches "perhaps"."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from ipaddress import ip_network

from culvert.network.foreign.chains import TARGETS, ForeignChain, ForeignRule, Verdict
from culvert.network.foreign.nft_reader import PROTOCOLS
from culvert.network.foreign.packets import (
    Condition,
    address_in,
    answer,
    every,
    interface_is,
    known,
    negate,
    perhaps,
    some,
)

_VERDICTS = TARGETS | {
    "ACCEPT": Verdict.ACCEPT,
    "DROP": Verdict.DROP,
    "RETURN": Verdict.RETURN,
    "QUEUE": Verdict.UNKNOWN,
}
_FLAGS_WITHOUT_MEANING = frozenset({"-m", "--match", "--comment"})


def read_save(text: str, version: int, tool: str) -> list[ForeignChain]:
    """Give the chains of an iptables-save output, which `tool` edits. A line that is none is left out."""
    chains: dict[tuple[str, str], ForeignChain] = {}
    rules: dict[tuple[str, str], list[ForeignRule]] = {}
    table = ""
    for line in text.splitlines():
        if line.startswith("*"):
            table = line[1:].strip()
        elif line.startswith(":") and line[1:].strip():
            name, policy, *_ = [*line[1:].split(), "-"]
            chains[table, name] = _chain(version, table, name, policy, tool)
        elif line.startswith("-A "):
            name, rule = _rule(line, version)
            rules.setdefault((table, name), []).append(rule)
    own = {name for _, name in chains}
    return [_with_rules(chain, rules.get(place, []), own) for place, chain in chains.items()]


def _chain(version: int, table: str, name: str, policy: str, tool: str) -> ForeignChain:
    base = policy in {"ACCEPT", "DROP"}
    return ForeignChain(
        family="ip" if version == 4 else "ip6",
        table=table,
        name=name,
        hook=name.lower() if base else "",
        kind=("nat" if table == "nat" else "filter") if base else "",
        policy="drop" if policy == "DROP" else "accept",
        tool=tool,
    )


def _with_rules(chain: ForeignChain, rules: list[ForeignRule], own: set[str]) -> ForeignChain:
    known_rules = tuple(rule if not rule.target or rule.target in own else _passing(rule) for rule in rules)
    return ForeignChain(
        chain.family, chain.table, chain.name, known_rules, chain.hook, chain.kind, chain.policy, chain.tool
    )


def _passing(rule: ForeignRule) -> ForeignRule:
    """A target that is no chain (LOG, MARK, TCPMSS) lets the packet go on."""
    return ForeignRule(rule.condition, Verdict.CONTINUE, rule.text)


def _rule(line: str, version: int) -> tuple[str, ForeignRule]:
    try:
        words = shlex.split(line)
    except ValueError:
        words = line.split()
    conditions: list[Condition] = [known("version", lambda found: found == version)]
    verdict, target = Verdict.CONTINUE, ""
    for negated, option, values in _options(words[2:]):
        if option in {"-j", "--jump", "-g", "--goto"}:
            name = values[0] if values else ""
            verdict = _VERDICTS.get(name, Verdict.GOTO if option in {"-g", "--goto"} else Verdict.JUMP)
            target = "" if name in _VERDICTS else name
            break
        if option not in _FLAGS_WITHOUT_MEANING:
            condition = _condition(option, values)
            conditions.append(negate(condition) if negated else condition)
    return words[1], ForeignRule(every(conditions), verdict, line, target)


def _options(words: list[str]) -> list[tuple[bool, str, list[str]]]:
    found: list[tuple[bool, str, list[str]]] = []
    negated = False
    for word in words:
        if word == "!":
            negated = True
        elif word.startswith("-") and not word.lstrip("-").isdigit():
            found.append((negated, word, []))
            negated = False
        elif found:
            found[-1][2].append(word)
    return found


def _condition(option: str, values: list[str]) -> Condition:
    if option == "--invert" and not values:
        return lambda _: answer(False)  # rpfilter: for a packet without a way back; there is a route to our peers
    reader = _READERS.get(option)
    if reader is None or len(values) != 1:
        return perhaps
    try:
        return reader(values[0])
    except (ValueError, TypeError):
        return perhaps


def _protocol(value: str) -> Condition:
    if value == "all":
        return every(())
    number = int(value) if value.isdigit() else PROTOCOLS.get(value)
    return perhaps if number is None else known("protocol", lambda found: found == number)


def _ports(field: str) -> Callable[[str], Condition]:
    def read(value: str) -> Condition:
        return some(_port_range(field, part) for part in value.split(","))

    return read


def _port_range(field: str, part: str) -> Condition:
    first, colon, last = part.partition(":")
    low = int(first or 0)
    high = int(last or 65535) if colon else low
    return known(field, lambda port: low <= port <= high)


def _states(value: str) -> Condition:
    new = "NEW" in value.split(",")
    return lambda _: answer(new)


def _mark(value: str) -> Condition:
    wanted, _, mask = value.partition("/")
    number, bits = int(wanted, 0), int(mask, 0) if mask else 0xFFFFFFFF
    return known("mark", lambda mark: mark & bits == number)


_READERS: dict[str, Callable[[str], Condition]] = {
    "-s": lambda value: address_in("source", ip_network(value, strict=False)),
    "-d": lambda value: address_in("destination", ip_network(value, strict=False)),
    "-i": lambda value: interface_is("in_interface", value, "+"),
    "-o": lambda value: interface_is("out_interface", value, "+"),
    "-p": _protocol,
    "--dport": _ports("destination_port"),
    "--dports": _ports("destination_port"),
    "--sport": _ports("source_port"),
    "--sports": _ports("source_port"),
    "--ctstate": _states,
    "--state": _states,
    "--mark": _mark,
    "--dst-type": lambda value: known("for_this_host", lambda found: found if value == "LOCAL" else False),
}
