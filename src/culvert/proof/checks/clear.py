"""Whether anything that is protected was seen outside in clear."""

from __future__ import annotations

from collections.abc import Iterator

from culvert.addresses import IKE_PORT, NAT_PORT
from culvert.capture.packets import Captured
from culvert.capture.summary import summarise
from culvert.proof.evidence import Evidence
from culvert.proof.protection import Protection, flow_of
from culvert.proof.subject import Check, Subject
from culvert.wire.ip import AH, ESP, IPV4, IPV6, UDP, IpPacket, PacketError, parse_ip
from culvert.wire.udp import parse_udp

NAME = "clear"
MAX_NESTED = 4


def judge(subject: Subject, evidence: Evidence) -> Check:
    """No packet that only the tunnel may carry, whoever sent it, also not inside IP in IP."""
    packets = list(seen(subject, evidence))
    if packets:
        return Check(
            NAME,
            False,
            f"{len(packets)} packets that only the tunnel may carry were seen in clear on {packets[0].interface}, "
            f"first: {summarise(packets[0])}",
            "Traffic goes round the tunnel. See culvert status for the peer, and nft list table inet culvert.",
        )
    return Check(
        NAME, True, f"None of the {len(evidence.packets)} packets seen outside is one that only the tunnel may carry."
    )


def seen(subject: Subject, evidence: Evidence) -> Iterator[Captured]:
    """Give the packets that were captured in clear and should not have been."""
    protection = Protection(subject.protected)
    for captured, packet in evidence.ip_packets():
        if any(_clear(subject, protection, layer) for layer in _layers(packet)):
            yield captured


def _clear(subject: Subject, protection: Protection, packet: IpPacket) -> bool:
    if not subject.between(packet.source, packet.destination) or _ours(subject, packet):
        return False
    flow = flow_of(packet)
    return protection.outgoing(flow) or protection.incoming(flow)


def _ours(subject: Subject, packet: IpPacket) -> bool:
    """Our own ESP and IKE, where a protected network contains the gateways' outer addresses."""
    if not {packet.source, packet.destination} <= set(subject.gateways):
        return False
    return packet.protocol in (ESP, AH) or (packet.protocol == UDP and _ike_or_nat(packet))


def _ike_or_nat(packet: IpPacket) -> bool:
    if packet.fragment_offset:
        return True
    try:
        datagram = parse_udp(packet.payload)
    except PacketError:
        return False
    return bool({IKE_PORT, NAT_PORT} & {datagram.source_port, datagram.destination_port})


def _layers(packet: IpPacket) -> Iterator[IpPacket]:
    yield packet
    for _ in range(MAX_NESTED):
        if packet.protocol not in (IPV4, IPV6) or packet.fragment_offset:
            return
        try:
            packet = parse_ip(packet.payload)
        except PacketError:
            return
        yield packet
