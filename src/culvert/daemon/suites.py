"""How the packets of established children travel, in the plan's words: what fits into a tunnel follows from it."""

from __future__ import annotations

from collections.abc import Iterable

from culvert.config.model import Gateway
from culvert.crypto.transforms import Encryption, Integrity, transform_named
from culvert.ike.status import ChildStatus, PeerStatus
from culvert.plan.mtu import Suite

Known = dict[tuple[str, str], Suite]
"""By the names of peer and child."""


def learned(known: Known, peers: Iterable[PeerStatus]) -> Known:
    """Give what is known now. A child that is not there at the moment keeps the suite that it had last."""
    new = {(peer.name, child.name): _suite(child) for peer in peers for child in peer.children}
    changed = {key: suite for key, suite in new.items() if suite is not None and known.get(key) != suite}
    return known | changed if changed else known


def still_true(known: Known, before: Gateway, after: Gateway) -> Known:
    """Give what another configuration leaves of it: a peer that changed negotiates anew."""
    same = {peer.name: None for peer in after.peers if peer in before.peers}
    return {key: suite for key, suite in known.items() if key[0] in same}


def _suite(child: ChildStatus) -> Suite | None:
    """Read what the core shows to people; None where it is nothing that we know."""
    transforms = [transform_named(word) for word in child.cipher.split("-")]
    encryption = next((one for one in transforms if isinstance(one, Encryption)), None)
    integrity = next((one for one in transforms if isinstance(one, Integrity)), None)
    if len(transforms) != (encryption is not None) + (integrity is not None):
        return None
    udp, version = child.encapsulation == "udp", child.outbound.destination.version
    return Suite(encryption, integrity, udp, version, child.mode)
