"""Chains of any firewall as plain values, and what they may do to a packet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from culvert.network.foreign.packets import Answer, Condition, Packet

MOST_DEPTH = 32
"""Chains that call each other. The kernel's own limit is 16."""
MOST_STEPS = 50_000
"""Rules looked at for one packet: what a large host has, and a second of our time."""


class Verdict(StrEnum):
    """What a rule does with a packet that it matches."""

    ACCEPT = "accept"
    DROP = "drop"
    NAT = "nat"
    RETURN = "return"
    JUMP = "jump"
    GOTO = "goto"
    CONTINUE = "continue"
    UNKNOWN = "unknown"


TARGETS = {
    "REJECT": Verdict.DROP,
    "MASQUERADE": Verdict.NAT,
    "SNAT": Verdict.NAT,
    "NETMAP": Verdict.NAT,
    "DNAT": Verdict.NAT,
    "REDIRECT": Verdict.NAT,
    "NFQUEUE": Verdict.UNKNOWN,
}
"""Extensions of iptables that end a chain; the others (LOG, MARK, TCPMSS) let the packet go on."""


@dataclass(frozen=True, slots=True)
class ForeignRule:
    """A rule of somebody else's. `target` is the chain of a jump; `text` is shown to people."""

    condition: Condition
    verdict: Verdict
    text: str
    target: str = ""


@dataclass(frozen=True, slots=True)
class ForeignChain:
    """A chain of somebody else's. `hook` is empty for one that is only jumped to; `tool` is nft or an iptables."""

    family: str
    table: str
    name: str
    rules: tuple[ForeignRule, ...] = ()
    hook: str = ""
    kind: str = ""
    policy: str = "accept"
    tool: str = "nft"

    @property
    def place(self) -> tuple[str, str, str]:
        return self.tool, self.family, self.table


@dataclass(frozen=True, slots=True, order=True)
class Outcome:
    """One thing that may happen: accept, drop or nat, or "return" where nothing decided; and the rule that did it."""

    verdict: Verdict
    rule: str = ""


Chains = Mapping[tuple[str, str, str, str], ForeignChain]
"""By tool, family, table and name."""


def outcomes(base: ForeignChain, chains: Chains, packet: Packet) -> frozenset[Outcome]:
    """Give all that may happen to `packet` in a base chain, its policy included."""
    walk = _Walk(chains, packet)
    found = walk.through(base, 0)
    undecided = Outcome(Verdict.RETURN)
    if undecided in found:
        found.discard(undecided)
        found.add(Outcome(Verdict(base.policy), f"policy {base.policy}"))
    return frozenset(found)


class _Walk:
    def __init__(self, chains: Chains, packet: Packet) -> None:
        self._chains = chains
        self._packet = packet
        self._steps = 0

    def through(self, chain: ForeignChain, depth: int) -> set[Outcome]:
        """Give how the packet may leave a chain; RETURN stands for its end."""
        found: set[Outcome] = set()
        for rule in chain.rules:
            self._steps += 1
            if depth > MOST_DEPTH or self._steps > MOST_STEPS:
                return found | {Outcome(Verdict.DROP, "more rules than we look at")}
            matches = rule.condition(self._packet)
            if matches is Answer.NO:
                continue
            happens, goes_on = self._apply(rule, chain, depth)
            found |= happens
            if matches is Answer.YES and not goes_on:
                return found
        found.add(Outcome(Verdict.RETURN))
        return found

    def _apply(self, rule: ForeignRule, chain: ForeignChain, depth: int) -> tuple[set[Outcome], bool]:
        """Give what a matching rule may do, and whether the next rule may be reached."""
        match rule.verdict:
            case Verdict.CONTINUE:
                return set(), True
            case Verdict.RETURN:
                return {Outcome(Verdict.RETURN)}, False
            case Verdict.UNKNOWN:
                return {Outcome(Verdict.DROP, rule.text)}, True
            case Verdict.JUMP | Verdict.GOTO:
                return self._call(rule, chain, depth)
            case _:
                return {Outcome(rule.verdict, rule.text)}, False

    def _call(self, rule: ForeignRule, chain: ForeignChain, depth: int) -> tuple[set[Outcome], bool]:
        called = self._chains.get((*chain.place, rule.target))
        if called is None:
            return {Outcome(Verdict.DROP, rule.text)}, True
        found = self.through(called, depth + 1)
        undecided = Outcome(Verdict.RETURN)
        if rule.verdict is Verdict.GOTO or undecided not in found:
            return found, False
        return found - {undecided}, True
