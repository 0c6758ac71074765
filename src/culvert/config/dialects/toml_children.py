"""The children of a peer: its tables -> the model. What is not written is the peer's, or follows from the mode."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from culvert.addresses import IPAddress, IPNetwork
from culvert.config.dialects.toml_tables import ChildTable, PeerTable
from culvert.config.model import Child, Rekey, Start
from culvert.config.origins import Origins
from culvert.config.values import literal
from culvert.ipsec.associations import Mode, Protocol
from culvert.ipsec.proposals import DEFAULT_ESP, Proposal
from culvert.ipsec.selectors import TrafficSelector

T = TypeVar("T")
Selectors = tuple[TrafficSelector, ...]
_CHILD = Child("", "", (), ())


@dataclass(frozen=True, slots=True)
class Site:
    """What is ours: the gateway's own addresses and the networks behind it."""

    addresses: tuple[IPAddress, ...]
    networks: tuple[IPNetwork, ...]


def children_of(peer: str, table: PeerTable, site: Site, start: Start, origins: Origins) -> tuple[Child, ...]:
    """Give a peer's children. Where inherited values were written is added to `origins`.

    `networks` on the peer is one child, named as the peer; the others follow. In transport mode it is there without.
    """
    tables = list((table.children or {}).items())
    if table.networks:
        origins.inherited["peers", peer, "children", peer, "remote"] = ("peers", peer, "networks")
        tables.insert(0, (peer, ChildTable.model_construct(remote=table.networks)))
    elif not tables and table.mode is Mode.TRANSPORT:
        tables = [(peer, ChildTable.model_construct())]
    parent = _Parent(peer, table, site, start, origins)
    return tuple(parent.child(name, child) for name, child in tables)


@dataclass(frozen=True, slots=True)
class _Parent:
    """What a child takes from its peer and from the gateway."""

    name: str
    table: PeerTable
    site: Site
    start: Start
    origins: Origins

    def child(self, name: str, table: ChildTable) -> Child:
        mode = table.mode or self.table.mode or _CHILD.mode
        protocol, proposals = _proposals(table, self.table)
        local, remote = self._sides(name, table, mode)
        return Child(
            peer=self.name,
            name=name,
            local=local,
            remote=remote,
            proposals=proposals,
            mode=mode,
            rekey=Rekey(_or(table.rekey, _or(self.table.rekey, _CHILD.rekey.after_s))),
            start=_or(table.start, self.start),
            protocol=protocol,
            tfc_octets=_or(table.tfc, _or(self.table.tfc, _CHILD.tfc_octets)),
        )

    def _sides(self, name: str, table: ChildTable, mode: Mode) -> tuple[Selectors, Selectors]:
        """Give the selectors of both sides: the networks of a tunnel, or the two gateways themselves."""
        path = ("peers", self.name, "children", name)
        remote = tuple(table.remote or ())
        if mode is Mode.TRANSPORT and table.remote is None:
            self.origins.inherited[*path, "remote"] = ("peers", self.name, "address")
            remote = _hosts(literal(text) for text in self.table.address or ())
        if table.local is not None:
            return tuple(table.local), remote
        self.origins.inherited[*path, "local"] = ("gateway", "address" if mode is Mode.TRANSPORT else "networks")
        ours = _hosts(self.site.addresses) if mode is Mode.TRANSPORT else _networks(self.site.networks)
        if mode is Mode.TRANSPORT and not remote:
            return ours, remote
        versions = {selector.version for selector in remote}
        # An IPv6 network says nothing to an IPv4 one.
        return tuple(one for one in ours if one.version in versions), remote


def _or(written: T | None, default: T) -> T:
    return default if written is None else written


def _proposals(table: ChildTable, parent: PeerTable) -> tuple[Protocol, tuple[Proposal, ...]]:
    """Give what the child itself says, else the peer; AH only where it is written."""
    for one in (table, parent):
        if one.ah_proposals:
            return Protocol.AH, tuple(one.ah_proposals)
        if one.esp_proposals:
            return Protocol.ESP, tuple(one.esp_proposals)
    return Protocol.ESP, DEFAULT_ESP


def _hosts(addresses: Iterable[IPAddress | None]) -> Selectors:
    return tuple(TrafficSelector(one, one) for one in addresses if one is not None)


def _networks(networks: Iterable[IPNetwork]) -> Selectors:
    return tuple(TrafficSelector.of_network(network) for network in networks)
