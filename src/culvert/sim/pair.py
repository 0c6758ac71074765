"""Two gateways in one world with a perfect link between them: where a test or a dialogue begins."""

from __future__ import annotations

import random
from dataclasses import replace

from culvert.clock import SECOND
from culvert.config.model import Child, Peer, Start
from culvert.ike.events import Configured, Connect, Event
from culvert.ipsec.proposals import Proposal, esp_proposal, ike_proposal
from culvert.ipsec.selectors import traffic_selector
from culvert.sim.link import MILLISECOND, Conditions, Link
from culvert.sim.world import Node, World

SECRET = b"only for tests, never for a gateway"
STEADY = Conditions(shortest=10 * MILLISECOND, longest=10 * MILLISECOND)
IKE: tuple[Proposal, ...] = (ike_proposal("aes128gcm16-prfsha256-x25519"),)
ESP: tuple[Proposal, ...] = (esp_proposal("aes128gcm16-x25519-none"),)


class Pair:
    """`west` with 10.1.0.0/16 and `east` with 10.2.0.0/16. `west_peer` is what west has configured, and so on."""

    def __init__(self, seed: int = 1, *, start: Start = Start.PASSIVE) -> None:
        link = Link(random.Random(seed), STEADY, 1 << 62)
        self.world = World(link)
        self.west: Node = self.world.add("west", "203.0.113.1", seed * 2)
        self.east: Node = self.world.add("east", "198.51.100.1", seed * 2 + 1)
        self.west_peer = peer("east", "198.51.100.1", "10.1.0.0/16", "10.2.0.0/16", start)
        self.east_peer = peer("west", "203.0.113.1", "10.2.0.0/16", "10.1.0.0/16", start)

    def configure(self) -> Pair:
        """Hand both their configurations."""
        self.tell("west", Configured((self.west_peer,)))
        self.tell("east", Configured((self.east_peer,)))
        return self

    def connect(self) -> Pair:
        """Configure both, and let west set the tunnel up."""
        self.configure()
        self.tell("west", Connect("east"))
        return self

    def tell(self, name: str, event: Event, seconds: float = 1.0) -> list[str]:
        """Let an event happen, then time pass; give the lines that the world's trace gained."""
        before = len(self.world.trace)
        self.world.at(self.world.now, name, event)
        return self.wait(seconds, before)

    def wait(self, seconds: float, since: int | None = None) -> list[str]:
        before = len(self.world.trace) if since is None else since
        self.world.run(self.world.now + int(seconds * SECOND))
        return self.world.trace[before:]


def peer(name: str, address: str, local: str, remote: str, start: Start) -> Peer:
    """Describe a peer with one child, `net`."""
    child = Child(name, "net", (traffic_selector(local),), (traffic_selector(remote),), ESP)
    return Peer(name, (address,), None, None, (child,), secret=SECRET, proposals=IKE, start=start)


def with_child(of: Peer, local: str, remote: str, name: str = "net") -> Peer:
    """Give the peer with another selector pair for one child, or with one more."""
    new = Child(of.name, name, (traffic_selector(local),), (traffic_selector(remote),), ESP)
    return replace(of, children=(*(one for one in of.children if one.name != name), new))
