"""gif links as they are to stand on the host, and whether what they send is protected."""

from __future__ import annotations

from ipaddress import ip_network

from culvert.config.model import Ends, Gateway, Gif
from culvert.plan.desired import Firewall
from culvert.plan.entries import Verdict
from culvert.plan.pairs import contains
from culvert.plan.runs import MASKS, Key, Run, Shape


def made(gateway: Gateway) -> tuple[Gif, ...]:
    """Give the links that can be made: those whose outer ends are known, by name."""
    return tuple(sorted((gif for gif in gateway.gifs if gif.outer is not None), key=lambda gif: gif.name))


def is_protected(gif: Gif, firewall: Firewall) -> bool:
    """Tell whether policies protect all that the link sends, whatever it carries."""
    if gif.outer is None:
        return False
    ends = gif.outer
    return _in_a_pair(ends, firewall) or all(_is_protected(ends, number, firewall.out) for number in gif.protocols)


def _in_a_pair(ends: Ends, firewall: Firewall) -> bool:
    local, remote = ip_network(str(ends.local)), ip_network(str(ends.remote))
    return any(contains(pair.local, local) and contains(pair.remote, remote) for pair in firewall.fenced)


def _is_protected(ends: Ends, protocol: int, runs: tuple[Run, ...]) -> bool:
    for run in runs:
        if any(_key(shape, ends, protocol) in keys for shape, keys in run.sets):
            return run.verdict is Verdict.PROTECT
    return False


def _key(shape: Shape, ends: Ends, protocol: int) -> Key | None:
    """What a shape sees of a packet between the ends: it has a protocol and no ports."""
    if shape.version != ends.local.version or shape.source_mask or shape.destination_mask:
        return None
    masks = MASKS[shape.version]
    source = int(ends.local) & masks[shape.source_length]
    return source, int(ends.remote) & masks[shape.destination_length], protocol * shape.protocol, 0, 0
