"""gif links: how the ends are written, and whether links make sense together. For files and for `ifconfig` alike."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_network

from culvert.addresses import IPAddress
from culvert.config.findings import Findings, UnusableError
from culvert.config.model import Ends, Gateway, Gif
from culvert.config.origins import Origins
from culvert.config.values import shown

MAX_GIFS = 64
"""Each is a device of its own on the host; more sites than that are better joined by policies alone."""
MIN_IPV6_MTU = 1280
"""RFC 8200 section 5."""
_NAME = re.compile(r"gif[0-9]{1,5}")


@dataclass(frozen=True, slots=True)
class Flaw:
    """What is wrong with a link, at which of its keys ("" for the whole of it), and what to do."""

    gif: str
    key: str
    what: str
    what_to_do: str


def gif_name(text: str) -> str:
    """Check the name of a link: `gif` and a number, as gif(4) has it. Raise UnusableError."""
    if not _NAME.fullmatch(text):
        raise UnusableError(f"{shown(text)} is no name of a gif link", "Write gif and a number, such as gif0.")
    return text


def pairs(key: str, addresses: Sequence[IPAddress], most: int) -> tuple[Ends, ...]:
    """Take addresses two by two: ours, theirs. Raise UnusableError where one is left over or there are too many."""
    if len(addresses) % 2:
        raise UnusableError("an end of the link is missing", "Write two addresses: ours, then theirs.")
    if len(addresses) > 2 * most:
        raise UnusableError(f"{key} has {len(addresses)} addresses", f"Write {2 * most} at most: ours, then theirs.")
    return tuple(Ends(*addresses[place : place + 2]) for place in range(0, len(addresses), 2))


def flaws(gifs: Iterable[Gif]) -> Iterator[Flaw]:
    """Give everything that is wrong with the links, each alone and all together."""
    known: dict[tuple[Ends | None, IPAddress | None], str] = {}
    for number, gif in enumerate(gifs):
        if number == MAX_GIFS:
            yield Flaw(gif.name, "", f"more than {MAX_GIFS} gif links", "Join further sites by policies alone.")
        yield from _of_ends(gif)
        yield from _of_routes(gif)
        yield from _of_mtu(gif)
        for key, place in (((gif.outer, None), "outer"), *(((None, ends.local), "inner") for ends in gif.inner)):
            other = known.setdefault(key, gif.name)
            if key != (None, None) and other != gif.name:
                yield Flaw(gif.name, place, f"{gif.name} and {other} have the same {place} ends", "Remove one of them.")


def _of_ends(gif: Gif) -> Iterator[Flaw]:
    for key, ends in (("outer", gif.outer), *(("inner", pair) for pair in gif.inner)):
        if ends is None:
            continue
        if ends.local.version != ends.remote.version:
            what = f"{ends.local} and {ends.remote} are of different families"
            yield Flaw(gif.name, key, what, "Write two addresses of one family.")
        if ends.local == ends.remote:
            yield Flaw(gif.name, key, f"{ends.local} is at both ends", "The second address is the other gateway's.")
    versions = [ends.local.version for ends in gif.inner]
    if len(set(versions)) < len(versions):
        what = f"{gif.name} has two pairs of inner addresses of one family"
        yield Flaw(gif.name, "inner", what, "Write one pair for each family, or a second gif link.")


def _of_routes(gif: Gif) -> Iterator[Flaw]:
    versions = {ends.local.version for ends in gif.inner}
    for network in gif.routes:
        if network.version not in versions:
            what = f"{network} is IPv{network.version}, and {gif.name} has no inner addresses of that family"
            yield Flaw(gif.name, "routes", what, "Add them to `inner`, or remove the route.")
        elif network.is_loopback or network.is_multicast or network.is_link_local:
            yield Flaw(
                gif.name, "routes", f"{network} lies behind no link", "Write a network behind the other gateway."
            )
        elif gif.outer is not None and gif.outer.remote in network:
            what = f"{network} holds {gif.outer.remote}, the outer end of {gif.name} itself"
            yield Flaw(gif.name, "routes", what, "A link cannot lead to its own end: write a narrower network.")


def _of_mtu(gif: Gif) -> Iterator[Flaw]:
    if gif.mtu < MIN_IPV6_MTU and any(ends.local.version == 6 for ends in gif.inner):
        what = f"{gif.name} carries IPv6 and has an MTU of {gif.mtu}"
        yield Flaw(gif.name, "mtu", what, f"Write {MIN_IPV6_MTU} or more (RFC 8200 section 5).")


def verify_gifs(gateway: Gateway, origins: Origins, findings: Findings) -> None:
    """Add what is wrong with the configuration's links to `findings`."""
    for flaw in flaws(gateway.gifs):
        if not origins.is_spoiled("gif", flaw.gif, flaw.key):
            findings.problem(origins.at("gif", flaw.gif, flaw.key), flaw.what, flaw.what_to_do)
    for gif in gateway.gifs:
        _outer_is_ours(gateway, gif, origins, findings)


def _outer_is_ours(gateway: Gateway, gif: Gif, origins: Origins, findings: Findings) -> None:
    if gif.outer is None:
        if not origins.is_spoiled("gif", gif.name):
            findings.problem(
                origins.at("gif", gif.name),
                f"{gif.name} has no outer ends",
                'Write outer = ["203.0.113.1", "198.51.100.1"]: our address, then the other gateway\'s.',
            )
        return
    if gif.outer.remote in gateway.addresses:
        findings.problem(
            origins.at("gif", gif.name, "outer"),
            f"{gif.outer.remote} is the address of this gateway",
            "Write our address first, then the other gateway's.",
        )
    inside = [network for network in gateway.networks if gif.outer.remote in ip_network(network)]
    if inside:
        findings.problem(
            origins.at("gif", gif.name, "outer"),
            f"{gif.outer.remote}, the far end of {gif.name}, lies in {inside[0]}, which is ours",
            "Write the other gateway's public address.",
        )
