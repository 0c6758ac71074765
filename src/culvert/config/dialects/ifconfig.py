"""ifconfig(8)'s words for a gif link, as FreeBSD writes them on a command line and in rc.conf.

A W                       the outer ends, ours first (what gifconfig(8) took; `tunnel A W` says the same)
inet L R netmask M        the inner addresses; netmask and prefixlen only repeat that the link has two ends
inet6 L R prefixlen 128
mtu N, up, link1, -link1, deletetunnel
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from culvert.addresses import IPAddress
from culvert.config.dialects.toml_tables import MAX_GIF_MTU, MIN_MTU
from culvert.config.findings import UnusableError
from culvert.config.model import Ends, Gif
from culvert.config.values import address, shown

_FAMILIES = {"inet": 4, "inet6": 6}
_MASKS = {"netmask", "prefixlen", "broadcast", "metric"}
_SAID = {"up", "create", "plumb"}
_REFUSED = {
    "down": "A link that is there is up; take it away with `destroy`.",
    "link0": "Routes are not cached here; leave it out.",
    "link2": "Packets that claim to come from elsewhere are always refused; leave it out.",
    "alias": "A gif link has one pair of addresses for each family; make a second link.",
    "-alias": "Take the link away with `destroy`, or write another pair with inet.",
    "delete": "Take the link away with `destroy`, or write another pair with inet.",
    "fib": "There is one table for the packets between the outer ends.",
    "tunnelfib": "There is one table for the packets between the outer ends.",
}
_KNOWN = "Known here: A W, inet L R, inet6 L R, tunnel A W, deletetunnel, mtu N, up, link1, -link1, destroy."


def changed(gif: Gif, words: Sequence[str]) -> Gif:
    """Give the link as `words` make it. Raise UnusableError at the first word that says nothing of a gif link."""
    rest = iter(words)
    for word in rest:
        gif = _change(gif, word, rest)
    return gif


def _change(gif: Gif, word: str, rest: Iterator[str]) -> Gif:
    if word in _REFUSED:
        raise UnusableError(f"{shown(word)} is nothing that a gif link here has", _REFUSED[word])
    if word in _FAMILIES:
        return _of_family(gif, word, rest)
    if word in _MASKS:
        _next(rest, word)
        return gif
    if word in _SAID:
        return gif
    return replace(gif, **_setting(word, rest))


def _setting(word: str, rest: Iterator[str]) -> dict[str, Any]:
    match word:
        case "mtu":
            return {"mtu": _mtu(_next(rest, word))}
        case "link1" | "-link1":
            return {"ecn": word == "link1"}
        case "deletetunnel":
            return {"outer": None}
        case "tunnel":
            return {"outer": _ends(_next(rest, word), _next(rest, word))}
        case _:
            return {"outer": _ends(word, _next(rest, word))}


def _of_family(gif: Gif, family: str, rest: Iterator[str]) -> Gif:
    first = _next(rest, family)
    if first == "tunnel":
        return replace(gif, outer=_of(family, _ends(_next(rest, first), _next(rest, first))))
    inner = _of(family, _ends(first, _next(rest, first)))
    others = (ends for ends in gif.inner if ends.local.version != inner.local.version)
    return replace(gif, inner=tuple(sorted((*others, inner), key=lambda ends: ends.local.version)))


def _of(family: str, ends: Ends) -> Ends:
    if ends.local.version != _FAMILIES[family]:
        other = "inet6" if family == "inet" else "inet"
        raise UnusableError(f"{ends.local} is no address of {family}", f"Write {other} in its place.")
    return ends


def _ends(local: str, remote: str) -> Ends:
    found = Ends(_address(local), _address(remote))
    if found.local.version != found.remote.version:
        raise UnusableError(f"{found.local} and {found.remote} are of different families", "Write two of one family.")
    return found


def _address(word: str) -> IPAddress:
    """An address; a prefix length behind it says nothing, for the link has two ends and no network."""
    try:
        return address(word.partition("/")[0])
    except UnusableError as failure:
        raise UnusableError(failure.what, f"{failure.what_to_do} {_KNOWN}") from failure


def _mtu(word: str) -> int:
    if not word.isdecimal() or not MIN_MTU <= int(word) <= MAX_GIF_MTU:
        raise UnusableError(f"{shown(word)} is no MTU of a gif link", f"Write {MIN_MTU} to {MAX_GIF_MTU}.")
    return int(word)


def _next(rest: Iterator[str], word: str) -> str:
    following = next(rest, None)
    if following is None:
        raise UnusableError(f"something is missing behind {shown(word)}", _KNOWN)
    return following
