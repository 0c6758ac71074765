"""Whether a configuration makes sense as a whole. Every check looks at everything, so all problems are said at once.

Two things that look odd are right and pass: a peer's address inside its own networks (host to host; our own ESP and IKE
carry a mark and stay outside of the tunnel), and a peer's range that is wider than our network and holds it (what is
attached here stays local).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from culvert.config.findings import Findings
from culvert.config.gifs import verify_gifs
from culvert.config.model import Child, EncapsulationChoice, Gateway, Peer, Start
from culvert.config.origins import Origins
from culvert.config.values import literal
from culvert.config.verify_transport import verify_transport
from culvert.ipsec.associations import Mode, Protocol
from culvert.ipsec.coverage import pairs
from culvert.ipsec.proposals import weakness_of
from culvert.ipsec.selectors import SelectorError, TrafficSelector, decompose
from culvert.limits import MAX_CARRIERS, MAX_CHILDREN, MAX_TRAFFIC_SELECTORS

MAX_SELECTORS = 8_000
"""Pairs of prefixes in all: twice as many policies is what the engine's table holds, with some room."""
MIN_MTU_IPV6 = 1280
"""RFC 8200 section 5."""


def verify(gateway: Gateway, origins: Origins, findings: Findings) -> None:
    """Add what does not fit together to `findings`. Secrets are looked for where files are read."""
    check = _Verify(gateway, origins, findings)
    check.own_networks()
    check.own_addresses()
    for peer in gateway.peers:
        check.peer(peer)
    check.same_identities()
    check.same_traffic()
    check.reqids()
    verify_gifs(gateway, origins, findings)


class _Verify:
    def __init__(self, gateway: Gateway, origins: Origins, findings: Findings) -> None:
        self._gateway = gateway
        self._origins = origins
        self._findings = findings
        self._selectors = 0

    def _problem(self, path: tuple[str | int, ...], what: str, what_to_do: str) -> None:
        self._findings.problem(self._origins.at(*path), what, what_to_do)

    # What is ours

    def own_networks(self) -> None:
        seen = set()
        for index, network in enumerate(self._gateway.networks):
            if network in seen:
                self._problem(("gateway", "networks", index), f"{network} is written twice", "Remove one.")
            seen.add(network)
        needy = [peer.name for peer in self._gateway.peers if any(_lacks_networks(child) for child in peer.children)]
        if needy and not self._gateway.networks and not self._origins.is_spoiled("gateway", "networks"):
            self._problem(
                ("gateway", "networks"),
                f"no networks are ours, and {_names(needy)} is to reach them",
                'Write networks = ["192.168.1.0/24"], with what lies behind this gateway, into [gateway].',
            )

    def own_addresses(self) -> None:
        for peer in self._gateway.peers:
            for index, theirs in enumerate(peer.addresses):
                if theirs in [*map(str, self._gateway.addresses), *self._gateway.address_names]:
                    self._problem(
                        ("peers", peer.name, "address", index),
                        f"{theirs} is the address of this gateway and of peer {_quoted(peer.name)}",
                        "Write the other gateway's address here; every gateway's file begins with its own.",
                    )

    # One peer

    def peer(self, peer: Peer) -> None:
        self._reachable(peer)
        self._families_of_addresses(peer)
        self._own_identity(peer)
        if not peer.children and not self._spoiled(peer, "networks") and not self._spoiled(peer, "children"):
            self._problem(
                ("peers", peer.name, "networks"),
                f"peer {_quoted(peer.name)} has no networks",
                'Write networks = ["192.168.2.0/24"], with what lies behind it.',
            )
        self._children_in_all(peer)
        self._same_names(peer)
        self._weak_algorithms(peer)
        for child in peer.children:
            self._child(peer, child)

    def _children_in_all(self, peer: Peer) -> None:
        """Each pair of networks of a split child is one: all of them need room for a successor."""
        most = MAX_CHILDREN // 2
        if sum(len(pairs(one.local, one.remote)) if peer.split else 1 for one in peer.children) > most:
            counted = ", each pair of networks being one with split = true" if peer.split else ""
            what = f"peer {_quoted(peer.name)} has more than {most} children{counted}"
            self._problem(("peers", peer.name, "children"), what, "Put several networks into one child.")

    def _spoiled(self, peer: Peer, *path: str) -> bool:
        return self._origins.is_spoiled("peers", peer.name, *path)

    def _written(self, peer: Peer, key: str) -> bool:
        return self._origins.has("peers", peer.name, key)

    def _reachable(self, peer: Peer) -> None:
        if peer.addresses or self._spoiled(peer, "address"):
            return
        if peer.identity is None and not self._spoiled(peer, "identity"):
            self._problem(
                ("peers", peer.name),
                f"peer {_quoted(peer.name)} has neither address nor identity",
                "Write its address; where it has no fixed one and calls us, write its identity.",
            )
        starts = [peer.start, *(child.start for child in peer.children)]
        if (active := next((start for start in starts if start is not Start.PASSIVE), None)) is not None:
            self._problem(
                ("peers", peer.name, "start"),
                f'peer {_quoted(peer.name)} has no address, so start = "{active}" cannot work',
                'Write its address, or start = "passive": it calls us.',
            )

    def _families_of_addresses(self, peer: Peer) -> None:
        ours = {address.version for address in self._gateway.addresses}
        theirs = [literal(text) for text in peer.addresses]
        versions = {address.version for address in theirs if address is not None}
        if None in theirs or self._gateway.address_names or not ours or not versions or ours & versions:
            return
        self._problem(
            ("peers", peer.name, "address"),
            f"peer {_quoted(peer.name)} is reached by IPv{min(versions)}, and the gateway's address is IPv{min(ours)}",
            f"Add an IPv{min(versions)} address to address in [gateway], or leave that key out.",
        )

    def _own_identity(self, peer: Peer) -> None:
        ours = peer.local_identity or self._gateway.identity
        if ours is not None and peer.identity is not None and ours.matches(peer.identity):
            self._problem(
                ("peers", peer.name, "identity"),
                f"both gateways have the identity {ours}",
                "Give each gateway an identity of its own.",
            )

    def _same_names(self, peer: Peer) -> None:
        names = [child.name for child in peer.children]
        for name in sorted({name for name in names if names.count(name) > 1}):
            self._problem(
                ("peers", peer.name, "children", name),
                f"two children of peer {_quoted(peer.name)} are named {_quoted(name)}: networks makes one of that name",
                "Rename this one, or remove networks from the peer.",
            )

    def _weak_algorithms(self, peer: Peer) -> None:
        """What RFC 8221 and RFC 8247 advise against is named where it is written, once, unless the peer is `legacy`."""
        if peer.legacy or self._spoiled(peer, "legacy"):
            return
        weak: dict[tuple[str, ...], str] = {}
        for name in [name for proposal in peer.proposals for name in proposal.legacy][:1]:
            weak["peers", peer.name, "proposals"] = name
        for child in peer.children:
            names = [name for proposal in child.proposals for name in proposal.legacy]
            key = f"{child.protocol}_proposals"
            own = ("peers", peer.name, "children", child.name, key)
            if names:
                weak[own if self._origins.has(*own) else ("peers", peer.name, key)] = names[0]
        for path, name in weak.items():
            self._problem(
                path,
                f"{name} is too weak today ({weakness_of(name)})",
                f"Drop it; where peer {_quoted(peer.name)} has nothing better, write legacy = true for that peer.",
            )

    # One child

    def _child(self, peer: Peer, child: Child) -> None:
        path = ("peers", peer.name, "children", child.name)
        if child.mode is Mode.TRANSPORT:
            verify_transport(self._gateway, peer, child, self._origins, self._findings)
        else:
            self._sides(peer, child, path)
        self._protection(peer, child, path)
        for side, networks in (("local", child.local), ("remote", child.remote)):
            if len(networks) > MAX_TRAFFIC_SELECTORS:
                what = f"child {_quoted(child.name)} has more than {MAX_TRAFFIC_SELECTORS} {side} networks"
                self._problem((*path, side), what, "Use wider networks, or several children.")
        for index, remote in enumerate(child.remote):
            self._against_ours(peer, child, remote, (*path, "remote", index))
        if peer.mtu is not None and peer.mtu < MIN_MTU_IPV6 and any(side.version == 6 for side in child.remote):
            self._problem(
                ("peers", peer.name, "mtu"), f"mtu = {peer.mtu} is too small for IPv6", f"Write {MIN_MTU_IPV6} or more."
            )
        self._size(peer, child, path)

    def _protection(self, peer: Peer, child: Child, path: tuple[str | int, ...]) -> None:
        """One of AH and ESP; padding where there is something to hide it in."""
        for table in (path, path[:2]):
            if self._origins.has(*table, "ah_proposals") and self._origins.has(*table, "esp_proposals"):
                what = "a child has AH or ESP, and both are written here"
                self._problem(
                    (*table, "ah_proposals"), what, "Remove ah_proposals: ESP encrypts, and authenticates as well."
                )
        if child.protocol is Protocol.AH and peer.encapsulation is EncapsulationChoice.UDP:
            what = f"AH does not go in UDP, and child {_quoted(child.name)} has it"
            self._problem((*path[:2], "encapsulation"), what, "Remove encapsulation, or take esp_proposals.")
        if child.tfc_octets and (child.mode is not Mode.TUNNEL or child.protocol is not Protocol.ESP):
            own = (*path, "tfc") if self._origins.has(*path, "tfc") else (*path[:2], "tfc")
            what = f"tfc pads what ESP carries in tunnel mode, and child {_quoted(child.name)} is something else"
            self._problem(own, what, "Remove tfc.")

    def _sides(self, peer: Peer, child: Child, path: tuple[str | int, ...]) -> None:
        if not child.remote and not self._spoiled(peer, *map(str, path[2:]), "remote"):
            self._problem(
                path, f"child {_quoted(child.name)} has no remote networks", 'Write remote = ["192.168.2.0/24"].'
            )
        if self._origins.is_spoiled("gateway", "networks") or self._origins.is_spoiled(*path, "local"):
            return
        ours = {selector.version for selector in child.local}
        if not ours and (not self._gateway.networks or not child.remote):
            return
        for index, remote in enumerate(child.remote):
            if remote.version not in ours:
                self._problem(
                    (*path, "remote", index),
                    f"{remote} is IPv{remote.version}, and no network of ours is",
                    f"Add an IPv{remote.version} network on our side, or remove this one.",
                )

    def _against_ours(self, peer: Peer, child: Child, remote: TrafficSelector, path: tuple[str | int, ...]) -> None:
        """Compare one network of the peer with each of ours, whatever protocols and ports are chosen of them."""
        remote = _alone(remote)
        for local in map(_alone, child.local):
            if local.intersect(remote) is None or (remote.covers(local) and remote != local):
                continue
            if remote == local:
                what = f"{remote} is on both sides: ours, and peer {_quoted(peer.name)}'s"
            elif local.covers(remote):
                self._within_ours(peer, local, remote, path)
                continue
            else:
                what = f"{remote} of peer {_quoted(peer.name)} overlaps our {local}"
            self._problem(
                path,
                what,
                "Networks with the same addresses cannot be joined: renumber one of the two, on all of its machines.",
            )

    def _within_ours(
        self, peer: Peer, local: TrafficSelector, remote: TrafficSelector, path: tuple[str | int, ...]
    ) -> None:
        self._findings.warning(
            self._origins.at(*path),
            f"{remote} of peer {_quoted(peer.name)} lies inside our {local}",
            "That is right where our range only sums up several sites. "
            "If machines here have such addresses, renumber one of the two networks.",
        )

    def _size(self, peer: Peer, child: Child, path: tuple[str | int, ...]) -> None:
        try:
            selectors = decompose(child.local, child.remote)
            before, self._selectors = self._selectors, self._selectors + len(selectors)
        except SelectorError as error:
            self._problem(path, str(error), "Or split the networks over several children.")
            return
        if not selectors and {one.version for one in child.local} & {one.version for one in child.remote}:
            self._problem(
                path,
                f"child {_quoted(child.name)} has one protocol on our side and another on the peer's",
                "Write the same one on both sides, or on one side only.",
            )
        if peer.split and len(pairs(child.local, child.remote)) > MAX_CARRIERS:
            what = (
                f"child {_quoted(child.name)} falls into more than {MAX_CARRIERS} pairs of networks with split = true"
            )
            self._problem(path, what, "Use wider networks, or several children.")
        if before <= MAX_SELECTORS < self._selectors:
            self._problem(path, f"more than {MAX_SELECTORS} pairs of networks in all", "Use wider networks.")

    # Between peers

    def same_identities(self) -> None:
        """Two peers with one identity cannot be told apart when they call."""
        seen: dict[tuple[object, ...], str] = {}
        for peer in self._gateway.peers:
            for key in _known_by(peer):
                other = seen.setdefault(key, peer.name)
                if other != peer.name:
                    self._problem(
                        ("peers", peer.name, "identity" if self._written(peer, "identity") else "address"),
                        f"peers {_quoted(other)} and {_quoted(peer.name)} are both {key[-1]}",
                        "Make them one peer with several networks or children, or give each its own identity.",
                    )

    def same_traffic(self) -> None:
        """The same networks behind two peers, or in two children: nobody could say where a packet goes."""
        by_remote: dict[TrafficSelector, list[tuple[Child, int]]] = defaultdict(list)
        for child in self._children():
            for index, remote in enumerate(child.remote):
                by_remote[remote].append((child, index))
        for remote, owners in by_remote.items():
            for position, (other, index) in enumerate(owners):
                earlier = (one for one, _ in owners[:position] if _overlap(one.local, other.local))
                if (one := next(earlier, None)) is not None:
                    self._twice(remote, one, other, index)

    def _twice(self, remote: TrafficSelector, one: Child, other: Child, index: int) -> None:
        path = ("peers", other.peer, "children", other.name, "remote", index)
        if (one.peer, one.name) == (other.peer, other.name):
            self._problem(path, f"{remote} is written twice", "Remove one.")
        elif one.peer == other.peer:
            children = f"{_quoted(one.name)} and {_quoted(other.name)}"
            what = f"{remote} is in two children of peer {_quoted(one.peer)}: {children}"
            self._problem(path, what, "Leave it in one of them.")
        else:
            what = f"{remote} is behind two peers: {_quoted(one.peer)} and {_quoted(other.peer)}"
            self._problem(path, what, "Leave it with the peer that has it; where both have it, renumber one.")

    def reqids(self) -> None:
        seen: dict[int, Child] = {}
        for child in self._children():
            other = seen.setdefault(child.reqid, child)
            if (other.peer, other.name) != (child.peer, child.name):
                self._problem(
                    ("peers", child.peer, "children", child.name),
                    f"{child.peer}/{child.name} and {other.peer}/{other.name} have the same number by chance",
                    "Rename one of the two.",
                )

    def _children(self) -> Iterator[Child]:
        return (child for peer in self._gateway.peers for child in peer.children)


def _lacks_networks(child: Child) -> bool:
    return not child.local and child.mode is not Mode.TRANSPORT


def _alone(selector: TrafficSelector) -> TrafficSelector:
    """Its addresses, without protocol and ports."""
    return TrafficSelector(selector.start, selector.end)


def _known_by(peer: Peer) -> list[tuple[object, ...]]:
    """What a peer is recognised by when it calls."""
    if peer.identity is not None:
        return [(peer.identity.type, str(peer.identity).lower())]
    return [("address", address.lower()) for address in peer.addresses]


def _overlap(one: tuple[TrafficSelector, ...], other: tuple[TrafficSelector, ...]) -> bool:
    return any(a.intersect(b) is not None for a in one for b in other)


def _quoted(name: str) -> str:
    return f'"{name}"'


def _names(names: list[str]) -> str:
    quoted = [_quoted(name) for name in names[:3]]
    return (
        f"peer {quoted[0]}" if len(names) == 1 else f"each of {', '.join(quoted)}" + (", ..." if len(names) > 3 else "")
    )
