"""Asks every firewall of this host about the tunnel's packets, and says which of them would not get through."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from culvert.errors import HostError, Problem
from culvert.network import nft
from culvert.network.foreign.chains import Chains, ForeignChain, Outcome, Verdict, outcomes
from culvert.network.foreign.iptables_reader import read_save
from culvert.network.foreign.nft_reader import read_chains, tables_with_opaque_rules
from culvert.network.foreign.questions import Question, Traffic, questions
from culvert.network.foreign.remedies import owner_of, remedy
from culvert.network.ruleset import FAMILY
from culvert.network.ways import source_for
from culvert.plan.desired import NFT_TABLE, Firewall, HostFacts
from culvert.reasons import Refusal

_SOMEWHERE = ip_network("192.0.2.1/32")
"""An address for documentation (RFC 5737): its route is the default route."""
_COMMANDS = {4: "iptables", 6: "ip6tables"}
_NFT_FAMILIES = {4: "ip", 6: "ip6"}
_LEGACY_NAMES = {4: Path("/proc/thread-self/net/ip_tables_names"), 6: Path("/proc/thread-self/net/ip6_tables_names")}


@dataclass(frozen=True, slots=True)
class Finding:
    """A chain of somebody else's that stops traffic of ours.

    `owner` is the program that made it, empty if unknown; `certain` False where it has matches that we do not know;
    `rule` is what stops it; `remedy` the command that lets it through.
    """

    table: str
    chain: str
    owner: str
    traffic: Traffic
    inbound: bool
    certain: bool
    translates: bool
    rule: str
    remedy: str

    def problem(self) -> Problem:
        """Say it in the form in which errors are shown."""
        verb = "changes the addresses of" if self.translates else "drops"
        sureness = verb if self.certain else f"perhaps {verb}"
        direction = "in" if self.inbound else "out"
        whose = f" of {self.owner}" if self.owner else ""
        return Problem(
            f"{Refusal.FOREIGN_FIREWALL}: {sureness} {self.traffic.value}, {direction}bound ({self.rule})",
            f"table {self.table}, chain {self.chain}{whose}",
            f"Let it through: {self.remedy}",
        )


async def find_conflicts(firewall: Firewall, facts: HostFacts) -> tuple[Finding, ...]:
    """Read this host's firewalls and give what in them stops our traffic. Raise HostError where nft fails."""
    return judge(await read_foreign_chains(), firewall, facts, await _outside(firewall, facts))


async def read_foreign_chains() -> list[ForeignChain]:
    """Give the chains of nftables and of both kinds of iptables, ours left out."""
    objects = await nft.list_others(FAMILY, NFT_TABLE)
    chains = read_chains(objects)
    # What iptables wrote into nftables has matches that only iptables can show.
    for version, table in _opaque(objects):
        saved = await _saved(f"{_COMMANDS[version]}-nft-save", table, version, _COMMANDS[version])
        if saved:
            place = (_NFT_FAMILIES[version], table)
            chains = [chain for chain in chains if (chain.family, chain.table) != place] + saved
    for version, names in _LEGACY_NAMES.items():
        if _text(names).strip():
            tool = f"{_COMMANDS[version]}-legacy"
            chains += await _saved(f"{tool}-save", "", version, tool)
    return chains


def judge(
    chains: Iterable[ForeignChain], firewall: Firewall, facts: HostFacts, outside: str | None = None
) -> tuple[Finding, ...]:
    """Ask all chains all questions: the pure part. One finding for each chain and kind of traffic."""
    foreign = [chain for chain in chains if (chain.family, chain.table) != (FAMILY, NFT_TABLE)]
    by_name = {(*chain.place, chain.name): chain for chain in foreign}
    found: dict[tuple[Any, ...], Finding] = {}
    for question in questions(firewall, facts, outside):
        for chain in foreign:
            if _concerns(chain, question):
                for finding in _ask(question, chain, by_name):
                    found.setdefault((chain.place, chain.name, question.traffic, question.inbound), finding)
    return tuple(sorted(found.values(), key=lambda finding: not finding.certain))


async def _outside(firewall: Firewall, facts: HostFacts) -> str | None:
    """Give the interface towards the first peer that has a route; without peers, towards the world."""
    for peer in (*firewall.peers, _SOMEWHERE):
        try:
            source = await source_for(peer[0])
        except HostError:
            continue
        return next((one.name for one in facts.interfaces if source in dict(one.addresses)), None)
    return None


def _concerns(chain: ForeignChain, question: Question) -> bool:
    family = chain.family in {"inet", _NFT_FAMILIES[question.packet.version]}
    kind = chain.kind == "nat" if question.translation else chain.kind in {"filter", "route"}
    return family and kind and chain.hook == question.hook


def _ask(question: Question, chain: ForeignChain, by_name: Chains) -> Iterator[Finding]:
    possible = outcomes(chain, by_name, question.packet)
    translates = question.translation
    bad = sorted(outcome for outcome in possible if outcome.verdict is (Verdict.NAT if translates else Verdict.DROP))
    if not bad:
        return
    siblings = frozenset(one.name for one in by_name.values() if one.place == chain.place)
    owner = owner_of(chain, siblings)
    yield Finding(
        table=f"{chain.family} {chain.table}",
        chain=chain.name,
        owner=owner,
        traffic=question.traffic,
        inbound=question.inbound,
        certain=len(bad) == len(possible),
        translates=translates,
        rule=_worst(bad).rule,
        remedy=remedy(question, chain, owner),
    )


def _worst(bad: list[Outcome]) -> Outcome:
    """Prefer a rule to the policy: it is the more surprising of the two."""
    return next((outcome for outcome in bad if not outcome.rule.startswith("policy ")), bad[0])


def _opaque(objects: list[dict[str, Any]]) -> Iterator[tuple[int, str]]:
    versions = {family: version for version, family in _NFT_FAMILIES.items()}
    for family, table in sorted(tables_with_opaque_rules(objects)):
        if family in versions:
            yield versions[family], table


async def _saved(command: str, table: str, version: int, tool: str) -> list[ForeignChain]:
    """Run an iptables-save; none where it is not installed or fails."""
    if shutil.which(command) is None:
        return []
    process = await asyncio.create_subprocess_exec(
        command,
        *(["-t", table] if table else []),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    output, _ = await process.communicate()
    return [] if process.returncode else read_save(output.decode(errors="replace"), version, tool)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
