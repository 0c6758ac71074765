"""The commands about policies: spdadd, spdupdate, spddelete, spdflush, spddump."""

from __future__ import annotations

import re
from collections.abc import Iterator

from culvert.ipsec.policies import Policy
from culvert.ipsec.selectors import ANY_PROTOCOL, ICMP, ICMPV6, Selector
from culvert.setkey.associations import refuse_context
from culvert.setkey.context import Context
from culvert.setkey.endpoints import ANY_PORT, Range, lookup
from culvert.setkey.requests import request
from culvert.setkey.statements import AddPolicy, DeletePolicy, DumpPolicies, FlushPolicies, Statement
from culvert.setkey.words import Words, Wrong

_ANY = 255
"""What PF_KEY has for any protocol, and old dumps print."""
_TCP, _UDP, _DCCP, _SCTP, _UDPLITE = 6, 17, 33, 132, 136
_WITH_PORTS = {ANY_PROTOCOL: "", _TCP: "tcp", _UDP: "udp", _DCCP: "", _SCTP: "", _UDPLITE: ""}
"""Protocols that have ports, and which services are theirs."""
_TYPE_AND_CODE = re.compile(r"([0-9]{1,3}+)(?:,([0-9]{1,3}+))?", re.ASCII)
_Masked = tuple[int, int]
_WILD: _Masked = (0, 0)


def spdadd(words: Words, context: Context, *, replacing: bool = False) -> Iterator[Statement]:
    """Read what follows `spdadd` or `spdupdate`; a statement for each pair of addresses. Raise Wrong."""
    selectors = _selectors(words, context)
    asked = request(words, context, selectors[0].version)
    if asked.action is None:
        raise Wrong(words.at, "what is to be done is missing", "Write discard, none or ipsec behind the direction.")
    for selector in selectors:
        policy = Policy(selector, asked.direction, asked.action, asked.priority, asked.templates)
        yield AddPolicy(policy, asked.unique, replacing, context.at)


def spdupdate(words: Words, context: Context) -> Iterator[Statement]:
    """Read what follows `spdupdate`. Raise Wrong."""
    return spdadd(words, context, replacing=True)


def spddelete(words: Words, context: Context) -> Iterator[Statement]:
    """Read what follows `spddelete`; what stands behind the direction is read and not needed. Raise Wrong."""
    selectors = _selectors(words, context)
    asked = request(words, context, selectors[0].version)
    for selector in selectors:
        yield DeletePolicy(selector, asked.direction, context.at)


def spdflush(words: Words, context: Context) -> Iterator[Statement]:
    """Read what follows `spdflush`. Raise Wrong."""
    words.end()
    yield FlushPolicies(context.at)


def spddump(words: Words, context: Context) -> Iterator[Statement]:
    """Read what follows `spddump`. Raise Wrong."""
    words.end()
    yield DumpPolicies(context.at)


def _selectors(words: Words, context: Context) -> list[Selector]:
    """Read source, destination and upper-layer protocol. Give at least one. Raise Wrong."""
    if words.peek() == "tagged":
        words.at += 1
        raise words.wrong("tags of pf are not known here", "Write source, destination and protocol instead.")
    flags = lookup(words)
    source = context.endpoints.range(words, flags, "the source")
    destination = context.endpoints.range(words, flags, "the destination")
    protocol = _upper(words, context)
    ports = _ports(words, context, source, destination, protocol)
    if words.peek() == "-ctx":
        words.at += 1
        raise refuse_context(words)
    selectors = [
        Selector(one, other, protocol, *ports)
        for one in source.networks
        for other in destination.networks
        if one.version == other.version
    ]
    if not selectors:
        what = "source and destination are of different families"
        raise Wrong(source.index, what, "Write both of IPv4, or both of IPv6.")
    return selectors


def _upper(words: Words, context: Context) -> int:
    """Read the upper-layer protocol: a name, a number, or `any`."""
    word = words.next("the upper-layer protocol")
    if word.isascii() and word.isdecimal():
        if len(word) > 3 or int(word) > _ANY:
            raise words.wrong("a protocol is at most 255")
        return ANY_PROTOCOL if int(word) == _ANY else int(word)
    protocol = context.endpoints.names.protocol(word)
    if protocol is None:
        if word == "-P":
            raise words.wrong("the upper-layer protocol is missing before this", "Write any for all of them.")
        raise words.wrong("there is no protocol of this name", "Write its number, or any for all of them.")
    return protocol


def _ports(words: Words, context: Context, source: Range, destination: Range, protocol: int) -> tuple[_Masked, _Masked]:
    if protocol in (ICMP, ICMPV6):
        for side in (source, destination):
            if side.port != ANY_PORT:
                raise Wrong(side.index, "ICMP has no ports", "Write type and code behind the protocol: icmp6 135,0.")
        return _type_and_code(words)
    if (word := words.peek()) and word[0] != "-":
        raise Wrong(words.at, "only icmp and icmp6 have something behind them here", "Leave this out.")
    return _port(context, source, protocol), _port(context, destination, protocol)


def _type_and_code(words: Words) -> tuple[_Masked, _Masked]:
    """Read `135,0` where it is there. As with every setkey, 0 stands for any, of types and of codes."""
    if words.peek()[:1] in ("-", ""):
        return _WILD, _WILD
    match = _TYPE_AND_CODE.fullmatch(words.next(""))
    numbers = [int(group or 0) for group in match.groups()] if match else [_ANY + 1]
    if max(numbers) > _ANY:
        raise words.wrong("this is no type and code of ICMP", "Write two numbers from 0 to 255, as in 135,0.")
    return _masked(numbers[0]), _masked(numbers[1])


def _port(context: Context, side: Range, protocol: int) -> _Masked:
    if side.port == ANY_PORT:
        return _WILD
    if protocol not in _WITH_PORTS:
        raise Wrong(side.index, "this protocol has no ports", "Leave the port out, with its brackets.")
    return _masked(context.endpoints.port_number(side.port, _WITH_PORTS[protocol], side.index))


def _masked(value: int) -> _Masked:
    return (value, 0xFFFF) if value else _WILD
