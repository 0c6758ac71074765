"""What `status` tells: the core's view of its peers joined with what the data plane counted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from culvert import __version__
from culvert.clock import SECOND
from culvert.config.model import Gateway, Gif, Peer
from culvert.control.links import to_document
from culvert.daemon.seams import CountedAssociation, Finding
from culvert.ike.status import ChildStatus, IkeStatus, PeerState, PeerStatus
from culvert.ipsec.associations import AssociationId
from culvert.reasons import Refusal

TOLD_WHILE_UP = (Refusal.PARTIAL, Refusal.PFS_MISMATCH, Refusal.REKEY_REFUSED)
"""What is not as it should be, though packets pass."""


@dataclass(frozen=True, slots=True)
class LinkStatus:
    """A gif link, what went through it, and whether policies protect what it sends."""

    gif: Gif
    protected: bool
    packets_in: int = 0
    packets_out: int = 0


@dataclass(frozen=True, slots=True)
class Picture:
    """All that a status is made of, at the instant `now` in nanoseconds.

    `engine_trouble` says what is wrong with the engine; then no peer is up, whatever the core believes. `policies`
    counts them by who wrote them.
    """

    gateway: Gateway
    phase: str
    backend: str
    peers: tuple[PeerStatus, ...]
    associations: tuple[CountedAssociation, ...]
    drops: Mapping[str, int]
    warnings: tuple[Finding, ...]
    addresses: tuple[str, ...]
    mtu: Mapping[str, int]
    now: int
    engine_trouble: str = ""
    links: tuple[LinkStatus, ...] = ()
    policies: Mapping[str, int] = field(default_factory=lambda: {"configuration": 0, "others": 0})


def document(picture: Picture) -> dict[str, Any]:
    """Give the whole status, as `culvert status --json` prints it."""
    known = {peer.name: peer for peer in picture.peers}
    return {
        "gateway": _gateway(picture),
        "policies": dict(picture.policies),
        "peers": {peer.name: _peer(picture, peer, known.get(peer.name)) for peer in picture.gateway.peers},
        "gifs": [_link(link) for link in picture.links],
    }


def good(status: Mapping[str, Any], peer: str | None = None) -> bool:
    """Tell whether no peer, or not this one, is down or connecting."""
    peers = status["peers"]
    chosen = peers.values() if peer is None else [peers[peer]]
    return all(entry["state"] in (PeerState.UP, PeerState.IDLE) for entry in chosen)


def _gateway(picture: Picture) -> dict[str, Any]:
    return {
        "name": picture.gateway.name,
        "version": __version__,
        "state": picture.phase,
        "backend": picture.backend,
        "addresses": list(picture.addresses),
        "drops": dict(picture.drops),
        "warnings": [
            {
                "reason": warning.reason,
                "message": warning.what,
                "where": warning.where,
                "what_to_do": warning.what_to_do,
            }
            for warning in picture.warnings
        ],
    }


def _peer(picture: Picture, peer: Peer, status: PeerStatus | None) -> dict[str, Any]:
    status = status or PeerStatus(peer.name, PeerState.CONNECTING)
    ike = status.ike
    state, reason, message = status.state, status.reason, _message(status, picture.now)
    if picture.engine_trouble:
        state, reason, message = PeerState.DOWN, Refusal.ENGINE_LOST, picture.engine_trouble
    if state is PeerState.UP and reason not in TOLD_WHILE_UP:
        reason, message = None, ""
    counted = {association.id: association for association in picture.associations}
    return {
        "state": state.value,
        "reason": reason.value if reason else None,
        "message": message,
        "address": str(ike.remote.ip) if ike else next(iter(peer.addresses), None),
        "nat": ike.nat if ike else None,
        "mtu": picture.mtu.get(peer.name),
        "ike": _ike(ike, picture.now) if ike else None,
        "children": [_child(child, counted, picture.now) for child in status.children],
    }


def _message(status: PeerStatus, now: int) -> str:
    if status.silent_since is None:
        return status.message
    return f"nothing was heard for {_seconds(now - status.silent_since)} s; {status.message}"


def _link(link: LinkStatus) -> dict[str, Any]:
    counted = {"packets_in": link.packets_in, "packets_out": link.packets_out}
    return to_document(link.gif) | {"protected": link.protected} | counted


def _ike(ike: IkeStatus, now: int) -> dict[str, Any]:
    return {
        "version": ike.version,
        "spi_i": ike.spi_i.hex(),
        "spi_r": ike.spi_r.hex(),
        "age_s": _seconds(now - ike.established_at),
        "rekey_in_s": _until(ike.rekey_at, now),
        "suite": ike.suite,
        "identity": ike.identity,
        "proven_by": ike.proven_by,
        "certificate_ends_in_s": _until(ike.certificate_ends_at, now),
        "local": str(ike.local),
        "remote": str(ike.remote),
    }


def _child(child: ChildStatus, counted: Mapping[AssociationId, CountedAssociation], now: int) -> dict[str, Any]:
    inbound = counted.get(child.inbound, CountedAssociation(child.inbound, 0))
    outbound = counted.get(child.outbound, CountedAssociation(child.outbound, 0))
    return {
        "name": child.name,
        "spi_in": f"0x{child.inbound.spi:08x}",
        "spi_out": f"0x{child.outbound.spi:08x}",
        "local": list(child.local),
        "remote": list(child.remote),
        "cipher": child.cipher,
        "encapsulation": child.encapsulation,
        "mode": child.mode.value,
        "bytes_in": inbound.octets,
        "bytes_out": outbound.octets,
        "packets_in": inbound.packets,
        "packets_out": outbound.packets,
        "age_s": _seconds(now - child.established_at),
        "rekey_in_s": _until(child.rekey_at, now),
        "drops": added(inbound.drops, outbound.drops),
    }


def added(*counts: Mapping[str, int]) -> dict[str, int]:
    """Add counts by name."""
    names: Iterable[str] = sorted({name for count in counts for name in count})
    return {name: sum(count.get(name, 0) for count in counts) for name in names}


def _seconds(nanoseconds: int) -> int:
    return max(nanoseconds, 0) // SECOND


def _until(instant: int | None, now: int) -> int | None:
    return None if instant is None else _seconds(instant - now)
