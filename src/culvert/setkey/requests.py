"""What stands behind `-P`: direction, priority, and what is to be done with the packets."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address

from culvert.addresses import IPAddress
from culvert.ipsec.associations import Direction, Mode, Protocol
from culvert.ipsec.policies import MAX_TEMPLATES, Action, Level, Template
from culvert.setkey.associations import number
from culvert.setkey.context import Context, Request
from culvert.setkey.endpoints import literal
from culvert.setkey.words import Words, Wrong

PRIORITY_BASES = {"high": 0x4000_0000, "def": 0x8000_0000, "low": 0xC000_0000}
"""ipsec-tools' three. A policy with a lower number is looked at first; `def` is that of one without a priority."""
DEFAULT_PRIORITY = PRIORITY_BASES["def"]
_OFFSET = re.compile(r"(?:(low|def|high)(?:([+-])([0-9]{1,10}+))?|(-?)([0-9]{1,10}+))", re.ASCII)
_OFFSETS = {"+": 0x4000_0000, "-": 0x3FFF_FFFF}
_ACTIONS = {action.value: action for action in Action}
_DIRECTIONS = {direction.value: direction for direction in Direction}
_PROTOCOLS = {protocol.value: protocol for protocol in Protocol}
_MODES = {"transport": Mode.TRANSPORT, "tunnel": Mode.TUNNEL}
_ANYBODY: dict[int, IPAddress] = {4: IPv4Address(0), 6: IPv6Address(0)}
_LEVELS = {"default": Level.REQUIRE, "use": Level.USE, "require": Level.REQUIRE, "unique": Level.REQUIRE}
_SHAPE = "Write protocol/mode/source-destination/level, as in esp/tunnel/192.0.2.1-198.51.100.1/require."


def direction(words: Words) -> Direction:
    """Read `-P` and the direction. Raise Wrong."""
    if not words.take("-P"):
        words.next("-P with a direction")
        raise words.wrong("-P with a direction should stand here", "Write -P in, -P out or -P fwd.")
    found = _DIRECTIONS.get(words.next("the direction"))
    if found is None:
        raise words.wrong("there is no direction of this name", "Write in, out or fwd.")
    return found


def request(words: Words, context: Context, version: int) -> Request:
    """Read it all, to the statement's end. `version` is that of the packets. Raise Wrong.

    What was read is remembered: 100,000 policies often share a few.
    """
    known = version, tuple(words.all[words.at :])
    found = context.requests.get(known)
    if found is None:
        found = context.requests[known] = _request(words, version)
    words.at = len(words.all)
    return found


def _request(words: Words, version: int) -> Request:
    way = direction(words)
    priority = _priority(words) if words.peek() in ("prio", "priority") else DEFAULT_PRIORITY
    if not words.peek():
        return Request(way, priority, None)
    action = _ACTIONS.get(words.next("what is to be done"))
    if action is None:
        raise words.wrong("this is nothing that can be done with packets", "Write discard, none or ipsec.")
    if action is not Action.PROTECT:
        words.end()
        return Request(way, priority, action)
    return Request(way, priority, action, *_templates(words, version))


def _priority(words: Words) -> int:
    """Read `prio 10`, `prio -10`, `prio low`, `prio high + 10`, however it is spaced. Give the number of XFRM."""
    words.at += 1
    first, text = words.at, ""
    while words.peek() and words.peek() not in _ACTIONS:
        text += words.next("")
    match = _OFFSET.fullmatch(text)
    if match is None:
        raise Wrong(first, "this is no priority", "Write prio 10, or low, def or high with + or - and a number.")
    base, sign, offset, minus, plain = match.groups()
    value = int(offset or plain or 0)
    if base and value > _OFFSETS[sign or "+"]:
        raise Wrong(first, f"behind {base} {sign} a number is at most {_OFFSETS[sign or '+']}")
    value = PRIORITY_BASES[base or "def"] + (value if (sign or minus) == "-" else -value)
    if not 0 <= value < 2**32:
        raise Wrong(first, "a priority lies between -2147483647 and 2147483648")
    return value


def _templates(words: Words, version: int) -> tuple[tuple[Template, ...], tuple[int, ...]]:
    templates: list[Template] = []
    unique: list[int] = []
    if not words.peek():
        raise Wrong(words.at, "`ipsec` needs to be told how", _SHAPE)
    while words.peek():
        if len(templates) == MAX_TEMPLATES:
            raise Wrong(words.at, f"a policy applies at most {MAX_TEMPLATES} associations", "Leave some out.")
        template, alone = _template(words, version)
        if alone:
            unique.append(len(templates))
        templates.append(template)
    return tuple(templates), tuple(unique)


def _template(words: Words, version: int) -> tuple[Template, bool]:
    """Read one `protocol/mode/source-destination/level`; what is behind the mode may be missing."""
    protocol = _protocol(words)
    if not words.take("/"):
        raise Wrong(words.at, "the mode is missing", _SHAPE)
    index = words.at
    mode = _mode(words)
    ends = None
    level, reqid, alone = Level.REQUIRE, 0, False
    if words.take("/"):
        ends = _ends(words)
        if words.take("/") and not _begins(words):
            level, reqid, alone = _level(words)
    if mode is Mode.TRANSPORT:  # the packet's own addresses, whatever was written; so do KAME and Linux
        ends = None
    elif ends is None:
        raise Wrong(index, "tunnel mode needs the addresses of both ends", _SHAPE)
    source, destination = ends or (_ANYBODY[version],) * 2
    return Template(source, destination, reqid, protocol, mode, level), alone


def _protocol(words: Words) -> Protocol:
    word = words.next("the protocol")
    if word == "ipcomp":
        raise words.wrong("IPComp is not done here", "Leave this request out, at both ends.")
    if word not in _PROTOCOLS:
        raise words.wrong("there is no protocol of this name", f"{_SHAPE[:-1]}; the protocol is esp or ah.")
    return _PROTOCOLS[word]


def _mode(words: Words) -> Mode:
    mode = _MODES.get(words.next("the mode"))
    if mode is None:
        raise words.wrong("there is no mode of this name", f"{_SHAPE[:-1]}; the mode is tunnel or transport.")
    return mode


def _begins(words: Words) -> bool:
    """Whether the next request begins here, or nothing follows: then the level was left out."""
    return not words.peek() or (words.peek() in ("esp", "ah", "ipcomp") and words.peek(1) == "/")


def _ends(words: Words) -> tuple[IPAddress, IPAddress] | None:
    """Read `A-B` or `A[port]-B[port]`; None where nothing stands between the slashes. Ports tell nothing apart here."""
    if words.peek() == "/" or _begins(words):
        return None
    first, index = words.next("the addresses"), words.at - 1
    if words.take("["):
        _port(words)
        second = words.next("`-` and the other address")
        if second[0] != "-":
            raise words.wrong("`-` and the other address should stand here", _SHAPE)
        second = words.next("the other address") if second == "-" else second[1:]
    else:
        first, dash, second = first.partition("-")
        if not dash and words.peek() == "-":
            words.at += 1
            dash = "-"
        if not dash:
            raise words.wrong("two addresses with `-` between them should stand here", _between(first))
        second = second or words.next("the other address")
    if words.take("["):
        _port(words)
    return _addresses(index, first, second)


def _between(word: str) -> str:
    return f"Write two slashes before {word}." if word in _LEVELS else _SHAPE


def _port(words: Words) -> None:
    word = words.next("the port")
    if word != "any" and not (word.isascii() and word.isdecimal() and len(word) <= 5 and int(word) < 2**16):
        raise words.wrong("this is no port", "Write a number from 0 to 65535, or leave it out with its brackets.")
    if not words.take("]"):
        raise Wrong(words.at, "the port lacks its closing bracket", "Write it as in 192.0.2.1[4500].")


def _addresses(index: int, first: str, second: str) -> tuple[IPAddress, IPAddress]:
    source, destination = literal(first), literal(second)
    if source is None or destination is None:
        what = "both ends of a tunnel are addresses; names do not stand here"
        raise Wrong(index, what, _SHAPE)
    if source.version != destination.version:
        raise Wrong(index, "the ends of the tunnel are of different families", "Both are of IPv4, or both of IPv6.")
    return source, destination


def _level(words: Words) -> tuple[Level, int, bool]:
    """Give the level, its reqid, and whether one is to be chosen."""
    name, colon, rest = words.next("the level").partition(":")
    if name not in _LEVELS or (colon and name != "unique"):
        raise words.wrong("there is no level of this name", "Write use, require, default, unique or unique:1.")
    if not colon:
        return _LEVELS[name], 0, name == "unique"
    reqid = number(Words([rest]), "the reqid", 2**32 - 1) if rest.isascii() and rest.isdecimal() else 0
    if not reqid:
        raise words.wrong("behind unique: a number from 1 on should stand", "It is that of -u at the association.")
    return Level.REQUIRE, reqid, False
