"""What the gateway needs of the host and of the data plane: the seams that fakes fill in tests."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from culvert.addresses import IPAddress
from culvert.config.model import Gateway, Gif
from culvert.daemon.loop import PacketMover
from culvert.ike.events import Event
from culvert.ipsec.associations import AssociationId, Direction
from culvert.ipsec.policies import Policy
from culvert.plan.desired import DesiredState, HostFacts
from culvert.plan.entries import Others


@dataclass(frozen=True, slots=True)
class Finding:
    """Something on this host that hinders the tunnel, and the line that lets it through."""

    what: str
    where: str = ""
    what_to_do: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class HostChange:
    """What somebody changed on the host: something of ours; an address, so that the plan may be another; or a route,
    rule or link of the host, by which packets may take another way.
    """

    ours: bool = False
    addresses: bool = False
    ways: bool = False


@dataclass(frozen=True, slots=True)
class CountedAssociation:
    """An association as the data plane holds it. `drops` counts packets by reason.

    `direction` is None where it serves both: one that was made by hand. IKE's always have one.
    """

    id: AssociationId
    reqid: int
    octets: int = 0
    packets: int = 0
    drops: Mapping[str, int] = field(default_factory=dict)
    direction: Direction | None = None


@dataclass(frozen=True, slots=True)
class DroppedPacket:
    """A packet that the data plane dropped. `source` and `destination` are its outermost header's, with ports."""

    reason: str
    direction: Direction
    source: str
    destination: str
    protocol: int
    octets: int
    spi: int | None = None


class DataPlane(PacketMover, Protocol):
    """Who moves the packets. Every method raises CulvertError where it refuses or is gone, HostError at `start`."""

    name: str
    others: Others
    """The policies that others wrote, as they were at the last look. The same object while they are the same."""

    restored: bool
    """A start put the policies of others back into one that had none; their associations are gone."""

    async def runs(self) -> bool:
        """Tell whether one runs here, ours or a former daemon's."""
        ...

    async def recall(self) -> Others:
        """Give the policies of others that were in one that is gone; `start` puts them into the next one."""
        ...

    async def forget(self) -> None:
        """Have nothing to recall: no fence is left that they are needed for."""
        ...

    async def start(
        self, on_event: Callable[[Event], None], on_change: Callable[[], None], on_path: Callable[[], None]
    ) -> bool:
        """Start it, or take over the one that runs. Tell whether one ran.

        One that has none gets the policies of others back that were last seen; associations it does not get.
        Its events go to `on_event`; `on_change` is called when somebody changed its policies, `on_path` when it learnt
        or forgot what fits on a path.
        """
        ...

    async def apply(self, policies: tuple[Policy, ...]) -> bool:
        """Make the configuration's policies exactly this, without a gap, and leave those of others as they are.

        Return when every packet meets it. Tell whether it was another. Those of others are looked at as well.
        """
        ...

    async def look(self) -> Others:
        """Look at the policies of others."""
        ...

    async def apply_links(self, gifs: tuple[Gif, ...]) -> bool:
        """Make the gif links exactly these, each with a device of its name. Tell whether they were others."""
        ...

    async def associations(self) -> tuple[CountedAssociation, ...]: ...

    async def checkpoints(self) -> list[bytes]:
        """Give what `keep` kept, of a former daemon too."""
        ...

    async def forget_old_checkpoints(self) -> None:
        """Forget what a former daemon kept and this one did not keep again."""
        ...

    async def path_mtus(self) -> dict[IPAddress, int]:
        """Give what it learnt to fit on paths, by the peer's address: octets of an outer packet, IP header included."""
        ...

    async def drops(self) -> dict[str, int]: ...

    def dropped(self) -> AsyncGenerator[DroppedPacket, None]:
        """Give a few of the packets that it drops from now on, until it is gone. Raise CulvertError."""
        ...

    async def lost(self) -> None:
        """Return when the data plane is gone."""
        ...

    async def detach(self) -> None:
        """Let go of it; it goes on."""
        ...

    async def shut_down(self) -> None:
        """End it and return when its process and its device are gone. Not an error where it is gone already."""
        ...


class HostNetwork(Protocol):
    """The drivers of links, routes, rules, nftables and sysctls.

    Every method raises HostError. What applies tells whether anything was not so already.
    """

    async def facts(self, gateway: Gateway, path_mtu: Mapping[str, int]) -> HostFacts: ...

    async def warnings(self, wanted: DesiredState, facts: HostFacts) -> tuple[Finding, ...]: ...

    async def outside(self, addresses: Iterable[IPAddress]) -> tuple[str, ...]:
        """Give the interfaces by which packets of the engine's own leave for these."""
        ...

    async def apply_sysctls(self, wanted: DesiredState) -> bool: ...

    async def apply_firewall(self, wanted: DesiredState) -> bool: ...

    async def apply_steering(self, wanted: DesiredState) -> bool:
        """Bring the TUN and the gif links up; then make routes and rules exactly these."""
        ...

    async def standing_links(self) -> tuple[Gif, ...]:
        """Give the gif links of ours on the host, whoever asked for them."""
        ...

    async def link_packets(self) -> Mapping[str, tuple[int, int]]:
        """Give the packets that came in by a gif link and went out by it, by name."""
        ...

    async def remove_steering(self) -> None: ...

    async def remove_link(self) -> None: ...

    async def remove_firewall(self) -> None: ...

    async def restore_sysctls(self) -> None: ...

    async def drops(self) -> dict[str, int]:
        """Count the packets that our own firewall dropped, by reason."""
        ...

    async def remains(self) -> bool:
        """Tell whether anything of ours is on this host."""
        ...

    def changes(self) -> AsyncIterator[HostChange]:
        """Tell each time that something of ours, an address or a route of the host changed, whoever did it."""
        ...
