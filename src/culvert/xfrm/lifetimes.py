"""Lifetimes: our values to and from `struct xfrm_lifetime_cfg`."""

from __future__ import annotations

from culvert.ipsec.lifetimes import Lifetimes
from culvert.wire.netlink.structures import UNLIMITED, LifetimeWire


def lifetimes_to_wire(value: Lifetimes) -> LifetimeWire:
    """No limit is 0 with us; on the wire that is so for seconds only."""
    return LifetimeWire(
        value.soft_octets or UNLIMITED,
        value.hard_octets or UNLIMITED,
        value.soft_packets or UNLIMITED,
        value.hard_packets or UNLIMITED,
        value.soft_s,
        value.hard_s,
        value.soft_use_s,
        value.hard_use_s,
    )


def lifetimes_from_wire(value: LifetimeWire) -> Lifetimes:
    """The other way round."""
    return Lifetimes(
        value.soft_added_s,
        value.hard_added_s,
        _limit(value.soft_octets),
        _limit(value.hard_octets),
        _limit(value.soft_packets),
        _limit(value.hard_packets),
        value.soft_used_s,
        value.hard_used_s,
    )


def _limit(value: int) -> int:
    return 0 if value == UNLIMITED else value
