"""Prints the SAD and the SPD in setkey's own layout, field by field: scripts that know it find everything."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from culvert.addresses import IPNetwork
from culvert.ipsec.associations import SecurityAssociation
from culvert.ipsec.policies import Policy, Template
from culvert.ipsec.selectors import ANY_PROTOCOL, ICMP, ICMPV6, Selector
from culvert.setkey.entries import AssociationEntry, PolicyEntry, State
from culvert.setkey.requests import DEFAULT_PRIORITY, PRIORITY_BASES
from culvert.setkey.write import request_text

_NO_TIME = " " * 20
_LINE_OCTETS, _GROUP_OCTETS = 32, 4
_MANUAL_REQIDS = 0x3FFF
"""The highest reqid that setkey takes for one chosen by hand; above it, `#` stands before the number."""
_SAFLAG_NOECN, _SAFLAG_DECAP_DSCP = 0x8000_0000, 0x4000_0000
"""linux/pfkeyv2.h."""
_UPPER = {
    ANY_PROTOCOL: "any",
    ICMP: "icmp",
    2: "igmp",
    4: "ipencap",
    6: "tcp",
    17: "udp",
    33: "dccp",
    41: "ipv6",
    46: "rsvp",
    47: "gre",
    50: "esp",
    51: "ah",
    ICMPV6: "icmp6",
    89: "ospf",
    103: "pim",
    108: "ipcomp",
    112: "vrrp",
    132: "sctp",
    136: "udplite",
}
"""What the language calls protocols; others have numbers."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Who looks, and when. `date` gives local time as ctime does from the month on: `Jan  2 03:04:05 2006`."""

    now_s: int
    pid: int
    date: Callable[[int], str]


def render_sad(entries: Sequence[AssociationEntry], moment: Moment, *, ports: bool = False) -> str:
    """Give what `setkey -D` prints. `ports` adds them to addresses of associations without UDP."""
    return "".join(
        line + "\n"
        for left, entry in zip(range(len(entries) - 1, -1, -1), entries, strict=True)
        for line in _association(entry, moment, left, ports)
    )


def render_spd(entries: Sequence[PolicyEntry], moment: Moment, *, ports: bool = False) -> str:
    """Give what `setkey -DP` prints. `ports` adds them to the addresses of tunnels."""
    return "".join(
        line + "\n"
        for left, entry in zip(range(len(entries) - 1, -1, -1), entries, strict=True)
        for line in _policy(entry, moment, left, ports)
    )


def render_short(entries: Iterable[AssociationEntry], now_s: int) -> str:
    """Give what `setkey -lD` prints once: a line for each association."""
    lines = [f"{'time':<4} {'p':<3} {'s':<1} {'spi':<8} {'ltime':<7} src -> dst"]
    lines += [_short(entry, now_s) for entry in entries]
    return "".join(line + "\n" for line in lines)


def _short(entry: AssociationEntry, now_s: int) -> str:
    association = entry.association
    age_s = max(0, now_s - entry.added_at_s) if entry.added_at_s else 0
    letter = {State.LARVAL: "L", State.MATURE: "M", State.DYING: "D", State.DEAD: "d"}[entry.state(now_s)]
    clock = f"{now_s % 3600 // 60:02}{now_s % 60:02}"
    life = f"{_three(age_s):>4}/{_three(association.lifetimes.hard_s):<3}"
    ends = f"{association.source} -> {association.destination}"
    return f"{clock} {association.protocol:<3} {letter} {association.spi:08x}{life} {ends}"


def _three(seconds: int) -> str:
    return str(seconds) if seconds < 1000 else "big"


def _association(entry: AssociationEntry, moment: Moment, left: int, ports: bool) -> Iterator[str]:
    association, lifetimes = entry.association, entry.association.lifetimes
    yield _ends(association, ports)
    protocol = "esp-udp" if association.encapsulation else association.protocol
    spi, reqid = (f"{number}(0x{number:08x})" for number in (association.spi, association.reqid))
    yield f"\t{protocol} mode={association.mode} spi={spi} reqid={reqid}"
    if association.encryption is not None:
        yield f"\tE: {association.encryption.setkey_name} {_hexadecimal(association.encryption_key)}".rstrip()
    if association.integrity is not None:
        yield f"\tA: {association.integrity.setkey_name} {_hexadecimal(association.integrity_key)}".rstrip()
    window = association.replay_window_packets >> 3
    sequence = entry.sequence & 0xFFFF_FFFF
    flags = _SAFLAG_NOECN * association.noecn | _SAFLAG_DECAP_DSCP * association.decap_dscp
    yield f"\tseq=0x{sequence:08x} replay={window} flags=0x{flags:08x} state={entry.state(moment.now_s)}"
    age_s = max(0, moment.now_s - entry.added_at_s) if entry.added_at_s else 0
    yield f"\tcreated: {_date(entry.added_at_s, moment)}\tcurrent: {_date(moment.now_s, moment)}"
    yield f"\tdiff: {age_s}(s)\thard: {lifetimes.hard_s}(s)\tsoft: {lifetimes.soft_s}(s)"
    used = _date(entry.used_at_s, moment)
    yield f"\tlast: {used}\thard: {lifetimes.hard_use_s}(s)\tsoft: {lifetimes.soft_use_s}(s)"
    hard, soft = lifetimes.hard_octets, lifetimes.soft_octets
    yield f"\tcurrent: {entry.octets}(bytes)\thard: {hard}(bytes)\tsoft: {soft}(bytes)"
    yield f"\tallocated: {entry.packets}\thard: {lifetimes.hard_packets}\tsoft: {lifetimes.soft_packets}"
    yield f"\tsadb_seq={left} pid={moment.pid} refcnt=1"


def _ends(association: SecurityAssociation, ports: bool) -> str:
    udp = association.encapsulation
    if udp is None:
        none = "[0]" if ports else ""
        return f"{association.source}{none} {association.destination}{none}"
    return f"{association.source}[{udp.source_port}] {association.destination}[{udp.destination_port}]"


def _hexadecimal(octets: bytes) -> str:
    """Give groups of eight digits, each behind a blank, eight of them a line."""
    lines = [octets[at : at + _LINE_OCTETS] for at in range(0, len(octets), _LINE_OCTETS)]
    return "\n".join(
        "".join(f" {line[at : at + _GROUP_OCTETS].hex()}" for at in range(0, len(line), _GROUP_OCTETS))
        for line in lines
    )


def _date(time_s: int, moment: Moment) -> str:
    return moment.date(time_s) if time_s else _NO_TIME


def _policy(entry: PolicyEntry, moment: Moment, left: int, ports: bool) -> Iterator[str]:
    policy = entry.policy
    yield selector_text(policy.selector)
    yield f"\t{policy.direction}{_priority(policy)} {policy.action}"
    for template in policy.templates:
        yield f"\t{_template(template, ports)}"
    yield f"\tcreated: {_date(entry.added_at_s, moment)}  lastused: {_date(entry.used_at_s, moment)}"
    yield "\tlifetime: 0(s) validtime: 0(s)"
    yield f"\tspid={policy.index} seq={left} pid={moment.pid} scope=global"
    yield "\trefcnt=1"


def selector_text(selector: Selector) -> str:
    """Give source, destination and upper-layer protocol as the dump of the SPD has them."""
    icmp = selector.protocol in (ICMP, ICMPV6)
    source = _side(selector.source, None if icmp else selector.source_port)
    destination = _side(selector.destination, None if icmp else selector.destination_port)
    upper = _UPPER.get(selector.protocol, str(selector.protocol))
    if icmp and (selector.source_port[1] or selector.destination_port[1]):
        upper += f" {selector.source_port[0]},{selector.destination_port[0]}"
    return f"{source} {destination} {upper}"


def _side(network: IPNetwork, port: tuple[int, int] | None) -> str:
    """Give the address, its length where it is not the whole, and the port; no port with ICMP."""
    text = str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)
    if port is None:
        return text
    value, mask = port
    if mask == 0:
        return f"{text}[any]"
    return f"{text}[{value}]" if mask == 0xFFFF else f"{text}[{value}/0x{mask:04x}]"


def _priority(policy: Policy) -> str:
    """Give nothing for the usual one, else ipsec-tools' words: the nearest of its three, and how far away."""
    if policy.priority == DEFAULT_PRIORITY:
        return ""
    quarter = DEFAULT_PRIORITY // 4
    base = "high" if policy.priority < 3 * quarter else "def" if policy.priority < 5 * quarter else "low"
    offset = PRIORITY_BASES[base] - policy.priority
    return f" prio {base}" + (f" {'+' if offset > 0 else '-'} {abs(offset)}" if offset else "")


def _template(template: Template, ports: bool) -> str:
    text = request_text(template)
    if template.reqid > _MANUAL_REQIDS:
        text = text.replace("unique:", "unique#")
    ends = f"{template.source}-{template.destination}"
    return text.replace(ends, f"{template.source}[0]-{template.destination}[0]", 1) if ports else text
