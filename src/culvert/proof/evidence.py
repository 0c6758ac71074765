"""What the checks judge: probes, what was captured outside meanwhile, and what stands on the host."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from culvert.addresses import IPAddress
from culvert.capture.packets import ETHERTYPE_IPV4, ETHERTYPE_IPV6, Captured
from culvert.plan.desired import Route
from culvert.proof.protection import Flow
from culvert.proof.subject import Probe
from culvert.proof.walks import SetRule
from culvert.wire.esp import EspPacket, esp_of
from culvert.wire.ip import IpPacket, PacketError, parse_ip


@dataclass(frozen=True, slots=True)
class Box:
    """A range of local and one of remote addresses that the fence covers; the ends are included."""

    local: tuple[IPAddress, IPAddress]
    remote: tuple[IPAddress, IPAddress]


@dataclass(frozen=True, slots=True)
class Fence:
    """Our nftables table as it stands. `dropping` are the base chains' hooks at which what is in `boxes` is dropped.

    `drops` and `marks` are the rules for what boxes cannot say: they drop it, or mark it for the tunnel.
    """

    dropping: frozenset[str]
    boxes: tuple[Box, ...]
    dormant: bool = False
    drops: tuple[SetRule, ...] = ()
    marks: tuple[SetRule, ...] = ()


@dataclass(frozen=True, slots=True)
class Steering:
    """Our routes, and the interface that the kernel would send the probe to; empty where it would send it nowhere.

    `marked` is the same for a probe that carries the mark of what must enter the tunnel.
    """

    routes: tuple[Route, ...]
    interface: str
    marked: str = ""


@dataclass(frozen=True, slots=True)
class SeenEsp:
    """An ESP packet and how it was captured."""

    captured: Captured
    packet: IpPacket
    esp: EspPacket


@dataclass(frozen=True, slots=True)
class Evidence:
    """`fence` None: there is no table of ours. `lost`: packets that the capture had to let go.

    `flow` is what the probes are; None: there is nothing that could be sent.
    """

    probes: tuple[Probe, ...]
    packets: tuple[Captured, ...]
    lost: int
    fence: Fence | None
    steering: Steering
    flow: Flow | None = None

    def ip_packets(self) -> Iterator[tuple[Captured, IpPacket]]:
        """Give those that are IP and can be read."""
        for captured in self.packets:
            if captured.ethertype in (ETHERTYPE_IPV4, ETHERTYPE_IPV6):
                try:
                    yield captured, parse_ip(captured.octets)
                except PacketError:
                    continue

    def esp(self, spis: Iterable[int], *, outgoing: bool | None = None) -> list[SeenEsp]:
        """Give the ESP packets with these SPIs that left (`outgoing`), arrived, or either."""
        wanted = frozenset(spis)
        found = []
        for captured, packet in self.ip_packets():
            esp = esp_of(packet)
            if esp is not None and esp.spi in wanted and outgoing in (None, captured.outgoing):
                found.append(SeenEsp(captured, packet, esp))
        return found
