"""The tables of gateway.toml -> the model. What is not written gets its default here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

from culvert.config.credentials import Proof
from culvert.config.dialects.psk import Found
from culvert.config.dialects.toml_children import Site, children_of
from culvert.config.dialects.toml_tables import GatewayTable, GifTable, PeerTable
from culvert.config.findings import Findings, UnusableError
from culvert.config.gifs import pairs
from culvert.config.model import Backend, EncapsulationChoice, Ends, Gateway, Gif, Peer, Rekey, Secret, Start
from culvert.config.origins import Origins
from culvert.config.values import literal
from culvert.identities import Identity
from culvert.ipsec.proposals import DEFAULT_IKE

T = TypeVar("T")

_GIF = Gif("")
_PEER = Peer("", (), None, None, ())


def gateway_of(
    table: GatewayTable,
    peers: Mapping[str, PeerTable],
    secrets: Mapping[str, Found],
    proofs: Mapping[str, Proof],
    *,
    origins: Origins,
    name: str,
) -> Gateway:
    """Build the model. `secrets` and `proofs` are by peer; `name` is the gateway's where none is written.

    Where inherited values were written is added to `origins`.
    """
    hosts = table.address or []
    names = tuple(host for host in hosts if literal(host) is None)
    addresses = tuple(address for host in hosts if (address := literal(host)) is not None)
    site = Site(addresses, tuple(table.networks or ()))
    return Gateway(
        name=table.name or name,
        addresses=addresses,
        networks=site.networks,
        peers=tuple(
            replace(_peer(key, peer, site, origins), **_shared(secrets.get(key)), **_proven(proofs.get(key)))
            for key, peer in peers.items()
        ),
        identity=table.identity or (Identity.parse(names[0]) if names and not addresses else None),
        backend=_or(table.backend, Backend.AUTO),
        firewall=_or(table.firewall, True),
        origin=origins.at("gateway"),
        address_names=names,
    )


def _shared(found: Found | None) -> dict[str, Any]:
    """What a peer has that proves itself with a secret."""
    if found is None:
        return {}
    own = tuple((address, Secret(entry.secret, entry.place)) for address, entry in found.at.items())
    return {"secret": found.entry.secret, "secret_from": found.entry.place, "secrets": own}


def _proven(proof: Proof | None) -> dict[str, Any]:
    """What a peer with `auth = "certificate"` has besides."""
    if proof is None:
        return {}
    return {"credential": proof.credential, "trust": proof.trust, "local_identity": proof.local_identity}


def identity_of(table: PeerTable) -> Identity | None:
    """Give the peer's identity: as written, else its address where it has a single one."""
    if table.identity is not None or not table.address or len(table.address) != 1:
        return table.identity
    address = literal(table.address[0])
    return Identity.of_address(address) if address else None


def gifs_of(tables: Mapping[str, GifTable], origins: Origins, findings: Findings) -> tuple[Gif, ...]:
    """Build the gif links; ends that do not come in pairs are added to `findings`, and left out."""
    return tuple(_gif(name, table, origins, findings) for name, table in tables.items())


def _gif(name: str, table: GifTable, origins: Origins, findings: Findings) -> Gif:
    ends: dict[str, tuple[Ends, ...]] = {}
    for key, addresses, most in (("outer", table.outer, 1), ("inner", table.inner, 2)):
        try:
            ends[key] = pairs(key, addresses or [], most)
        except UnusableError as failure:
            origins.spoil(("gif", name, key))
            findings.problem(origins.at("gif", name, key), failure.what, failure.what_to_do)
    return Gif(
        name=name,
        outer=next(iter(ends.get("outer", ())), None),
        inner=ends.get("inner", ()),
        mtu=_or(table.mtu, _GIF.mtu),
        routes=tuple(table.routes or ()),
        ecn=_or(table.ecn, _GIF.ecn),
        origin=origins.at("gif", name),
    )


def _or(written: T | None, default: T) -> T:
    return default if written is None else written


def _peer(name: str, table: PeerTable, site: Site, origins: Origins) -> Peer:
    start = _or(table.start, Start.ALWAYS if table.address or origins.has("peers", name, "address") else Start.PASSIVE)
    return Peer(
        name=name,
        addresses=tuple(table.address or ()),
        identity=identity_of(table),
        local_identity=table.local_identity,
        children=children_of(name, table, site, start, origins),
        ike=_or(table.ike, 2),
        proposals=tuple(table.proposals or DEFAULT_IKE),
        rekey=_PEER.rekey if table.rekey is None else Rekey(table.rekey),
        dpd_s=_or(table.dpd, _PEER.dpd_s),
        start=start,
        encapsulation=_or(table.encapsulation, EncapsulationChoice.AUTO),
        replay_window_packets=_or(table.replay_window, _PEER.replay_window_packets),
        mtu=table.mtu,
        mss=table.mss,
        metric=table.metric,
        origin=origins.at("peers", name),
        legacy=_or(table.legacy, _PEER.legacy),
        auth=_or(table.auth, _PEER.auth),
        local_auth=table.local_auth,
        split=_or(table.split, _PEER.split),
    )
