"""Transport mode: between the ends of the IKE SA themselves, also where a NAT hides them (RFC 7296 section 2.23.1).

Each end writes the addresses that it has and knows. Whoever sits behind a NAT is seen at another address: what the peer
wrote is read with the addresses of the IKE SA, and answered with those that the peer wrote.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from culvert.addresses import IPAddress
from culvert.ike.parts import Sides
from culvert.ike.v2.sa import IkeSa
from culvert.ipsec.coverage import Selectors
from culvert.ipsec.selectors import TrafficSelector


def as_seen(sa: IkeSa, sides: Sides) -> Sides:
    """Read what the peer wrote, ours first: in place of an address behind a NAT stands that of the IKE SA."""
    local, remote = sides
    return (
        _at(sa.local.ip, local) if sa.nat_local else local,
        _at(sa.remote.ip, remote) if sa.nat_remote else remote,
    )


def as_written(sides: Sides, asked: Sides) -> Sides:
    """Write an answer with the addresses that the peer asked for."""
    hosts = [_host(side) for side in asked]
    local, remote = (_at(host, side) if host else side for side, host in zip(sides, hosts, strict=True))
    return local, remote


def is_between_ends(sa: IkeSa, sides: Sides) -> bool:
    """Tell whether selectors are of the two ends of the IKE SA, and nothing else."""
    return [_host(side) for side in sides] == [sa.local.ip, sa.remote.ip]


def _host(selectors: Sequence[TrafficSelector]) -> IPAddress | None:
    """Give the one address that selectors are about; None where there are several."""
    found = dict.fromkeys(address for one in selectors for address in (one.start, one.end))
    return next(iter(found)) if len(found) == 1 else None


def _at(address: IPAddress, selectors: Selectors) -> Selectors:
    """Move selectors of one address to another one of its family; others stay as they are."""
    host = _host(selectors)
    if host is None or host.version != address.version:
        return selectors
    return tuple(replace(one, start=address, end=address) for one in selectors)
