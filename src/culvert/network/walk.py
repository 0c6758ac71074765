"""Renders runs as chains of nftables: each walks its runs in turn, and acts on the first that a packet is in.

Two chains walk the runs of what leaves: `steer_walk` marks what must enter the tunnel device, `fence_walk_out` drops
what would leave by another way. What arrives meets `fence_walk_in` and, to be forwarded, `fence_walk_forward` as well.

A set holds the values under the masks of its shape, so one look-up in a hash finds any of 100,000 policies:

    ip saddr & 255.255.255.0 . ip daddr . meta l4proto . th dport @out0_ip_24_32_protocol_0_ffff

A later fragment shows no ports. It is taken for protected where only its ports could tell that it is not.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from culvert.network.expressions import ADDRESS_TYPE, IP, Json, field, match, meta
from culvert.plan.entries import Verdict
from culvert.plan.runs import MASKS, Key, Run, Shape

OUT, INWARD, FORWARD = "out", "in", "forward"
"""Names of directions, with which those of their sets begin."""
_PORT_BITS = {False: 0xFFFF, True: 0xFF}
_ICMP = {4: "icmp", 6: "icmpv6"}
_FRAGMENT_OFFSET = 0x1FFF

Act = Callable[[Verdict], list[Json]]
"""What a chain does with packets of a verdict: nothing more than statements."""


def sets(direction: str, runs: Sequence[Run]) -> Iterator[Json]:
    """Give the sets of a direction, each as the fields of an nft set."""
    for number, run in enumerate(runs):
        for shape, keys in run.sets:
            if _types(shape):
                yield _set(_name(direction, number, shape), shape, keys)
            if _may_be_fragment(run, shape) and _types(_portless(shape)):
                name = _fragments_name(direction, number, shape)
                yield _set(name, _portless(shape), sorted({(*key[:3], 0, 0) for key in keys}))


def walk(direction: str, runs: Sequence[Run], act: Act) -> Iterator[list[Json]]:
    """Give the rules of a chain that walks the runs of a direction, each as its expressions."""
    for number, run in enumerate(runs):
        for shape, _ in run.sets:
            yield [*_in_set(shape, _name(direction, number, shape)), *act(run.verdict)]
            if _may_be_fragment(run, shape):
                bare, name = _portless(shape), _fragments_name(direction, number, shape)
                yield [_later_fragment(shape.version), *_in_set(bare, name), *act(run.verdict)]


def _in_set(shape: Shape, name: str) -> list[Json]:
    """Match what is in a set. Where no address is looked at, nothing else tells the family."""
    parts = list(_fields(shape))
    family = [] if shape.source_length or shape.destination_length else [_of_family(shape.version)]
    if not parts:
        return family
    return [*family, match({"concat": parts} if len(parts) > 1 else parts[0], f"@{name}")]


def _of_family(version: int) -> Json:
    return match(meta("nfproto"), f"ipv{version}")


def _fields(shape: Shape) -> Iterator[Json]:
    masks = MASKS[shape.version]
    for side, length in (("saddr", shape.source_length), ("daddr", shape.destination_length)):
        if length:
            mask = _address(masks[length], shape.version)
            yield _masked(field(IP[shape.version], side), mask, length == len(masks) - 1)
    if shape.protocol:
        yield meta("l4proto")
    names = ("type", "code") if shape.icmp else ("sport", "dport")
    for name, port_mask in zip(names, (shape.source_mask, shape.destination_mask), strict=True):
        if port_mask:
            part = field(_ICMP[shape.version] if shape.icmp else "th", name)
            yield _masked(part, port_mask, port_mask == _PORT_BITS[shape.icmp])


def _masked(part: Json, mask: Any, whole: bool) -> Json:
    return part if whole else {"&": [part, mask]}


def _types(shape: Shape) -> list[str]:
    types = [ADDRESS_TYPE[shape.version]] * (bool(shape.source_length) + bool(shape.destination_length))
    types += ["inet_proto"] if shape.protocol else []
    icmp = _ICMP[shape.version]
    of_ports = (f"{icmp}_type", f"{icmp}_code") if shape.icmp else ("inet_service", "inet_service")
    masks = (shape.source_mask, shape.destination_mask)
    return types + [kind for kind, mask in zip(of_ports, masks, strict=True) if mask]


def _set(name: str, shape: Shape, keys: Sequence[Key]) -> Json:
    types = _types(shape)
    kind: Any = types if len(types) > 1 else types[0]
    return {"name": name, "type": kind, "elem": list(_elements(shape, keys))}


def _elements(shape: Shape, keys: Sequence[Key]) -> Iterator[Any]:
    """Give the elements. A tight loop: there may be 100,000."""
    present = [bool(part) for part in (*shape[1:3], shape.protocol, *shape[5:])]
    places = [place for place, there in enumerate(present) if there]
    write = _WRITERS[shape.version]
    if len(places) == 1:
        (place,) = places
        yield from (write(key[place]) if place <= 1 else key[place] for key in keys)
        return
    for key in keys:
        yield {"concat": [write(key[place]) if place <= 1 else key[place] for place in places]}


def _ipv4(address: int) -> str:
    return socket.inet_ntoa(address.to_bytes(4, "big"))


def _ipv6(address: int) -> str:
    return socket.inet_ntop(socket.AF_INET6, address.to_bytes(16, "big"))


_WRITERS = {4: _ipv4, 6: _ipv6}


def _address(address: int, version: int) -> str:
    return _WRITERS[version](address)


def _name(direction: str, number: int, shape: Shape) -> str:
    name = f"{direction}{number}_{IP[shape.version]}_{shape.source_length}_{shape.destination_length}"
    name += "_protocol" if shape.protocol else ""
    if shape.source_mask or shape.destination_mask:
        name += f"{'_icmp' if shape.icmp else ''}_{shape.source_mask:x}_{shape.destination_mask:x}"
    return name


def _may_be_fragment(run: Run, shape: Shape) -> bool:
    return run.verdict is Verdict.PROTECT and bool(shape.source_mask or shape.destination_mask)


def _portless(shape: Shape) -> Shape:
    return shape._replace(icmp=False, source_mask=0, destination_mask=0)


def _fragments_name(direction: str, number: int, shape: Shape) -> str:
    return f"{_name(direction, number, shape)}_fragments"


def _later_fragment(version: int) -> Json:
    if version == 4:
        return match({"&": [field("ip", "frag-off"), _FRAGMENT_OFFSET]}, 0, "!=")
    return match({"exthdr": {"name": "frag", "field": "frag-off"}}, 0, ">")
