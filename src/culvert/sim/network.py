"""Where everybody is: from an outer address to the gateway behind it, through translators, cuts and narrow paths."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address

from culvert.addresses import NAT_PORT, IPAddress, SocketAddress
from culvert.sim.node import Node

UDP_OVERHEAD_OCTETS = 28
NON_ESP_MARKER_OCTETS = 4
ETHERNET_MTU = 1500
EAVESDROPPER = ip_address("198.18.0.66")
"""From where datagrams come that somebody overheard and sends again."""


@dataclass(slots=True)
class Network:
    """`cut` are pairs of sender and receiver between which nothing passes; `mtu` is what fits, header included."""

    nodes: dict[str, Node]
    cut: dict[tuple[str, str], None] = field(default_factory=dict)
    mtu: int = ETHERNET_MTU
    _at: dict[IPAddress, tuple[Node, ...]] = field(default_factory=dict)

    def receivers(
        self, sender: str, origin: SocketAddress, remote: SocketAddress, now: int
    ) -> list[tuple[Node, SocketAddress]]:
        """Find who gets a datagram that `origin` sent to `remote`, and at which of its own ends; mostly it is one."""
        found = []
        for node in self.candidates(remote.ip):
            inner = node.nat.inward(origin, remote.port, now) if node.nat else remote
            if inner is not None and inner.ip == node.address and (sender, node.name) not in self.cut:
                found.append((node, inner))
        return found

    def fits(self, remote: SocketAddress, octets: int) -> bool:
        marker = NON_ESP_MARKER_OCTETS if remote.port == NAT_PORT else 0
        return octets + marker + UDP_OVERHEAD_OCTETS <= self.mtu

    def candidates(self, address: IPAddress) -> tuple[Node, ...]:
        """Give the gateways that have this outer address."""
        known = self._at.get(address, ())
        if not known or any(_outer(node) != address for node in known):
            self._look()
        return self._at.get(address, ())

    def moved(self) -> None:
        """Somebody has another address or another translator."""
        self._at.clear()

    def _look(self) -> None:
        self._at.clear()
        for node in self.nodes.values():
            self._at[_outer(node)] = (*self._at.get(_outer(node), ()), node)


def _outer(node: Node) -> IPAddress:
    return node.nat.public if node.nat else node.address
