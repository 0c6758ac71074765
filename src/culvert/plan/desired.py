"""The desired state of the host: everything of ours that stands on it while the gateway runs.

Drivers observe what is there, apply what is missing and sweep what is not wanted. Nothing here knows how.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from culvert.addresses import IPAddress, IPNetwork
from culvert.config.model import Gif
from culvert.ipsec.policies import Policy
from culvert.plan.runs import Run

MARK = 0x43554C56
"""SO_MARK of every packet that the engine and IKE send, and of what comes in for them ("CULV")."""
STEER = 0x43554C57
"""Mark of a packet that must enter the TUN, where no route can say so: the gateway's own, and what came by the TUN."""
STEER_FORWARDED = 0x43554C58
"""The same for a packet of another host, and for what came by the TUN and goes elsewhere. Reverse path filtering looks
the way back up with the packet's mark; by one of their own, such look-ups are told from those that are to find it."""
TUN = "culvert0"
NFT_TABLE = "culvert"
ROUTING_TABLE = 4500
MARKED_TABLE = 4501
"""Where marked packets look: everything goes into the TUN."""
ROUTE_PROTOCOL = 145
"""Marks routes and rules as ours (RTA_PROTOCOL, FRA_PROTOCOL)."""
RULE_PRIORITY = 4500
"""Before the main table (32766), behind the local one (0)."""
STEERED_METRIC = 100
UNREACHABLE_METRIC = 4_000_000


class RouteKind(StrEnum):
    """What a route of ours does with traffic."""

    TUN = "tun"
    UNREACHABLE = "unreachable"
    THROW = "throw"


@dataclass(frozen=True, slots=True)
class Route:
    """A route in a table of ours. `mtu` None: the device's; `preferred_source`: for the gateway's own traffic."""

    destination: IPNetwork
    kind: RouteKind
    metric: int
    preferred_source: IPAddress | None = None
    mtu: int | None = None
    table: int = ROUTING_TABLE


@dataclass(frozen=True, slots=True)
class Rule:
    """Look into our table unless the packet carries our mark. `own`: only the gateway's own, unbound traffic.

    `destination` None: wherever the packet goes.
    """

    source: IPNetwork
    own: bool = False
    destination: IPNetwork | None = None


@dataclass(frozen=True, slots=True)
class Unbound:
    """The gateway's own traffic of one protocol, while it has no source yet, looks into the table of marked packets.

    Ports are (first, last); None: any.
    """

    destination: IPNetwork
    protocol: int
    source_ports: tuple[int, int] | None = None
    destination_ports: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Marked:
    """What carries STEER or STEER_FORWARDED looks into the table of marked packets, in IP `version`."""

    version: int


@dataclass(frozen=True, slots=True)
class Pair:
    """Traffic between two networks, as the fence knows it: what is ours, what is the peer's."""

    local: IPNetwork
    remote: IPNetwork


@dataclass(frozen=True, slots=True)
class Attached:
    """A network on an interface of this host that lies inside a peer's range and stays local all the same."""

    interface: str
    network: IPNetwork


@dataclass(frozen=True, slots=True)
class Clamp:
    """The largest TCP segment that fits the tunnel, for SYNs between two networks."""

    pair: Pair
    mss: int


@dataclass(frozen=True, slots=True)
class Firewall:
    """The one nftables table of ours.

    `fenced` never crosses the outside in clear. `guarded` are pairs of which a part is protected; the runs say which.
    `peers` may speak IKE and ESP with us; empty means anybody.

    `near` are the networks on the host's own wires, where there are gif links: none brings packets of theirs.

    Runs judge what is not in `fenced`, by direction. What arrives and is forwarded must pass `inward` and `forward`.
    """

    fenced: tuple[Pair, ...]
    attached: tuple[Attached, ...] = ()
    peers: tuple[IPNetwork, ...] = ()
    clamps: tuple[Clamp, ...] = ()
    accept: bool = True
    guarded: tuple[Pair, ...] = ()
    out: tuple[Run, ...] = ()
    inward: tuple[Run, ...] = ()
    forward: tuple[Run, ...] = ()
    gifs: tuple[Gif, ...] = ()
    near: tuple[IPNetwork, ...] = ()

    @property
    def elements(self) -> int:
        """How many elements the sets of the runs have."""
        return sum(len(keys) for runs in (self.out, self.inward, self.forward) for run in runs for _, keys in run.sets)


@dataclass(frozen=True, slots=True)
class Sysctl:
    """A kernel setting: `name` in dots, as sysctl(8) prints it."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class DesiredState:
    """All of it. `tun_sysctls` can be made only once the TUN is there, and go with it."""

    policies: tuple[Policy, ...]
    routes: tuple[Route, ...]
    rules: tuple[Rule | Unbound | Marked, ...]
    firewall: Firewall
    sysctls: tuple[Sysctl, ...]
    tun_sysctls: tuple[Sysctl, ...] = ()
    gifs: tuple[Gif, ...] = ()


@dataclass(frozen=True, slots=True)
class HostInterface:
    """An interface as found: its addresses with their prefixes, and its MTU.

    `router_advertisements`: it takes its IPv6 addresses or routes from them, and would lose them once it forwards.
    """

    name: str
    mtu: int
    addresses: tuple[tuple[IPAddress, int], ...]
    router_advertisements: bool = False


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What the plan must know of the host. `path_mtu` maps a peer's name to the MTU of the route towards it."""

    interfaces: tuple[HostInterface, ...]
    path_mtu: tuple[tuple[str, int], ...] = ()


NOTHING = DesiredState((), (), (), Firewall((), accept=False), ())
"""A host on which nothing of ours stands."""
