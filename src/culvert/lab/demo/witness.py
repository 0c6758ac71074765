"""Somebody on the Internet who keeps every packet that passes, and what they can make of them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Sequence
from dataclasses import replace
from types import TracebackType

from culvert.addresses import IKE_PORT, NAT_PORT, IPNetwork
from culvert.capture.offload import wire_packets
from culvert.capture.packets import ETHERTYPE_IPV4, ETHERTYPE_IPV6, Captured
from culvert.capture.summary import summarise
from culvert.capture.tap import Tap
from culvert.lab.demo.outcome import Outside
from culvert.lab.host import Host
from culvert.wire.ip import ESP, UDP, IpPacket, PacketError, parse_ip
from culvert.wire.udp import NatTraffic, nat_traffic, parse_udp

EXCERPT_LINES = 8
IKE, OTHER = "ike", "other"


class Witness:
    """Listens on an interface of a host in a thread of its own. Use it as a context."""

    def __init__(self, host: Host, interface: str) -> None:
        self._host, self._interface = host, interface
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()
        self._listening = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._work, name="witness")
        self.packets: list[Captured] = []
        self.lost = 0

    def __enter__(self) -> Witness:
        self._thread.start()
        self._listening.wait()
        if self._failure:
            self._thread.join()
            raise self._failure
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Listen no longer; `packets` and `lost` are complete then. A second call does nothing."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._end.set)
            self._thread.join()

    def _work(self) -> None:
        try:
            with self._host.enter():
                tap = Tap(self._interface)
            self._loop.run_until_complete(self._listen(tap))
        except Exception as error:
            self._failure = error
        finally:
            self._loop.close()
            self._listening.set()

    async def _listen(self, tap: Tap) -> None:
        with tap:
            self._listening.set()
            await self._end.wait()
            captured = tap.take()
            self.packets = [replace(one, octets=octets) for one in captured for octets in wire_packets(one.octets)]
            self.lost = tap.lost()


def judge(
    packets: Sequence[Captured], secrets: Sequence[bytes], networks: Iterable[IPNetwork], lost: int = 0
) -> Outside:
    """Count what was seen and look for what must not be: any of `secrets`, or anything from or to the networks."""
    private = tuple(networks)
    sizes: dict[str, list[int]] = {"esp": [], IKE: [], OTHER: []}
    found = 0
    for packet in packets:
        parsed = _parsed(packet)
        if parsed is not None and not _stays_on_the_link(parsed):
            sizes[_kind(parsed)].append(len(packet.octets))
        found += _readable(packet, parsed, secrets, private)
    return Outside(
        esp_packets=len(sizes["esp"]),
        esp_octets=_range(sizes["esp"]),
        ike_packets=len(sizes[IKE]),
        ike_octets=_range(sizes[IKE]),
        other_packets=len(sizes[OTHER]),
        found=found,
        missed=lost,
        excerpt=_excerpt(packets),
    )


def _parsed(packet: Captured) -> IpPacket | None:
    if packet.ethertype not in (ETHERTYPE_IPV4, ETHERTYPE_IPV6):
        return None
    try:
        return parse_ip(packet.octets)
    except PacketError:
        return None


def _stays_on_the_link(packet: IpPacket) -> bool:
    """Tell what a host says to its cable alone, such as multicast listener reports: nobody on the Internet sees it."""
    source = packet.source
    return source.version == 6 and (source.is_link_local or source.is_unspecified)


def _kind(packet: IpPacket) -> str:
    if packet.protocol == ESP:
        return "esp"
    if packet.protocol != UDP:
        return OTHER
    try:
        datagram = parse_udp(packet.payload)
        ports = (datagram.source_port, datagram.destination_port)
        if NAT_PORT in ports:
            return "esp" if nat_traffic(datagram.payload) is NatTraffic.ESP else IKE
    except PacketError:
        return OTHER
    return IKE if IKE_PORT in ports else OTHER


def _readable(
    packet: Captured, parsed: IpPacket | None, secrets: Sequence[bytes], private: tuple[IPNetwork, ...]
) -> bool:
    if any(secret in packet.octets for secret in secrets):
        return True
    ends = (parsed.source, parsed.destination) if parsed else ()
    return any(end.version == network.version and end in network for end in ends for network in private)


def _range(sizes: list[int]) -> tuple[int, int]:
    return (min(sizes), max(sizes)) if sizes else (0, 0)


def _excerpt(packets: Sequence[Captured]) -> tuple[str, ...]:
    """Give the first lines of IKE, and the first of ESP."""
    shown: dict[str, list[str]] = {"esp": [], IKE: []}
    for packet in packets:
        parsed = _parsed(packet)
        lines = shown.get(_kind(parsed)) if parsed else None
        if lines is not None and len(lines) < EXCERPT_LINES // 2:
            lines.append(summarise(packet))
    return (*shown[IKE], *shown["esp"])
