"""A dump of the SPD, parted by who wrote its policies, and those of others as steering and fence need them.

Those of others may be 100,000, and `policies.from_wire` takes seconds for so many. So they stay octets: what the plan
wants to know is read from them in one look, and they can be written back as they were.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network

from culvert.addresses import IPNetwork
from culvert.ipsec.policies import OWN_INDEX, Policy
from culvert.plan.entries import PORTED, Entry, Others, Verdict, normal
from culvert.plan.runs import MASKS
from culvert.wire.netlink.framing import ParseError, parse_attributes
from culvert.wire.netlink.numbers import PADDING, XfrmAttribute
from culvert.wire.netlink.policy import BLOCK, POLICY_FORWARD, POLICY_OCTETS, POLICY_OUT, TEMPLATE_OCTETS, parse_policy
from culvert.wire.netlink.structures import AF_INET, AF_INET6, SELECTOR_OCTETS, emit_selector
from culvert.xfrm import policies

MAX_ENDS = 1_024
"""Most outer addresses of others that the firewall keeps apart; behind that, anybody may send ESP and AH."""

_IPV4 = struct.Struct(">I12xI12xHHHH")
_IPV6 = struct.Struct(">16s16sHHHH")
_REST = struct.Struct("=HBBB3xiI")
_REST_PLACE = 40
_TAIL = struct.Struct("=IIBB")
_TAIL_PLACE = 152
_USED = slice(120, 152)
"""`struct xfrm_lifetime_cur`: it counts on as the policy is used."""
_TEMPLATE_DESTINATION, _TEMPLATE_FAMILY = slice(0, 16), slice(24, 26)
_TEMPLATE_SOURCE, _TEMPLATE_OPTIONAL = slice(28, 44), 50
_UNSPECIFIED = bytes(16)
_End = tuple[int, bytes]
"""Family and 16 octets of an outer address."""


@dataclass(frozen=True, slots=True)
class Dumped:
    """The bodies of a dump: `own` are the configuration's."""

    own: tuple[bytes, ...]
    others: tuple[bytes, ...]

    @property
    def unused(self) -> list[bytes]:
        """Those of others without what changes by use: two dumps with the same are of the same policies."""
        return [body[: _USED.start] + body[_USED.stop :] for body in self.others]

    def present(self, wanted: Iterable[Policy]) -> list[Policy]:
        """Give the policies that stand and that making `wanted` so has to do with: our own, and others in their place.

        Raise ParseError.
        """
        places = {(emit_selector(policies.selector_to_wire(one.selector)), one.direction) for one in wanted}
        selectors = {selector for selector, _ in places}
        in_the_way = (body for body in self.others if body[:SELECTOR_OCTETS] in selectors)
        return [policies.from_wire(parse_policy(body)) for body in (*self.own, *in_the_way)]


def part(bodies: Iterable[bytes]) -> Dumped:
    """Part the bodies of a dump. Raise ParseError where one is too short."""
    own: list[bytes] = []
    others: list[bytes] = []
    for body in bodies:
        if len(body) < POLICY_OCTETS:
            raise ParseError(f"a policy has {len(body)} octets")
        (own if _TAIL.unpack_from(body, _TAIL_PLACE)[1] >= OWN_INDEX else others).append(body)
    return Dumped(tuple(own), tuple(others))


def read_others(bodies: Iterable[bytes]) -> Others:
    """Read the policies of others. Raise ParseError where one is none."""
    found: tuple[list[Entry], list[Entry], list[Entry]] = ([], [], [])
    ends: set[_End] = set()
    count = 0
    for body in bodies:
        count += 1
        _, _, direction, action = _TAIL.unpack_from(body, _TAIL_PLACE)
        if direction > POLICY_FORWARD or action > BLOCK:
            raise ParseError(f"direction {direction} with action {action} is no policy")
        protects, its_ends = _protection(body[POLICY_OCTETS:], direction == POLICY_OUT)
        ends |= its_ends
        verdict = Verdict.PROTECT if protects else Verdict.PASS
        found[direction].extend(_entries(body, Verdict.DISCARD if action == BLOCK else verdict))
    inward, out, forward = (tuple(sorted(entries)) for entries in found)
    return Others(out, inward, forward, _networks(ends), count)


@lru_cache(maxsize=4096)
def _protection(attributes: bytes, outbound: bool) -> tuple[bool, frozenset[_End]]:
    """Tell whether a packet in clear is judged as protected, and give the outer addresses. Policies repeat them."""
    protects, ends = False, set[_End]()
    for template in _templates(attributes):
        family = int.from_bytes(template[_TEMPLATE_FAMILY], sys.byteorder)
        ends |= {(family, template[_TEMPLATE_SOURCE]), (family, template[_TEMPLATE_DESTINATION])}
        protects |= outbound or not template[_TEMPLATE_OPTIONAL]
    return protects, frozenset(ends)


def _templates(attributes: bytes) -> Iterator[bytes]:
    octets = parse_attributes(attributes, PADDING).get(XfrmAttribute.TMPL, b"")
    for start in range(0, len(octets) - TEMPLATE_OCTETS + 1, TEMPLATE_OCTETS):
        yield octets[start : start + TEMPLATE_OCTETS]


def _entries(body: bytes, verdict: Verdict) -> Iterable[Entry]:
    family, to_length, from_length, protocol, *bound = _REST.unpack_from(body, _REST_PLACE)
    if any(bound):
        raise ParseError("a selector is bound to an interface or a user")
    if family == AF_INET:
        version, (to, source, *ports) = 4, _IPV4.unpack_from(body)
    elif family == AF_INET6:
        octets = _IPV6.unpack_from(body)
        version, to, source = 6, int.from_bytes(octets[0], "big"), int.from_bytes(octets[1], "big")
        ports = list(octets[2:])
    else:
        raise ParseError("a policy's selector has no address family")
    masks = MASKS[version]
    if to_length >= len(masks) or from_length >= len(masks):
        raise ParseError(f"/{max(to_length, from_length)} is no prefix")
    priority, number, *_ = _TAIL.unpack_from(body, _TAIL_PLACE)
    to_port, to_mask, from_port, from_mask = ports
    entry = Entry(
        priority,
        number,
        version,
        source & masks[from_length],
        from_length,
        to & masks[to_length],
        to_length,
        protocol,
        from_port & from_mask,
        from_mask,
        to_port & to_mask,
        to_mask,
        verdict,
    )
    return (entry,) if protocol in PORTED or not (from_mask or to_mask) else normal(entry)


def _networks(ends: set[_End]) -> tuple[IPNetwork, ...] | None:
    """Give the outer addresses. None, anybody, where one is open: then it is the selector's, or whoever has the SA."""
    if len(ends) > MAX_ENDS or any(octets == _UNSPECIFIED for _, octets in ends):
        return None
    ordered = sorted(ends)
    return tuple(IPv4Network(octets[:4]) if family == AF_INET else IPv6Network(octets) for family, octets in ordered)
