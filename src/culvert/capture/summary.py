"""One line of text for a packet, as people know it from tcpdump(8)."""

from __future__ import annotations

import struct
from datetime import datetime

from culvert.addresses import IKE_PORT, NAT_PORT
from culvert.capture.packets import ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, Captured
from culvert.wire.esp import parse_esp
from culvert.wire.icmp import ECHO_REQUEST, parse_echo
from culvert.wire.ip import ESP, ICMP, ICMPV6, IPV4, IPV6, TCP, UDP, IpPacket, PacketError, parse_ip
from culvert.wire.isakmp.errors import ParseError
from culvert.wire.isakmp.header import read_header
from culvert.wire.isakmp.numbers import ExchangeType
from culvert.wire.udp import NON_ESP_MARKER, NatTraffic, UdpDatagram, nat_traffic, parse_udp

_TCP = struct.Struct("!HHIIBB")
_FLAGS = ((0x02, "S"), (0x01, "F"), (0x04, "R"), (0x08, "P"), (0x10, "."))


def summarise(captured: Captured) -> str:
    """Give time of day, addresses, what it is and how long; any octets have a line."""
    moment = datetime.fromtimestamp(captured.time_ns / 1e9).astimezone()
    return f"{moment:%H:%M:%S.%f} {describe(captured)}"


def describe(captured: Captured) -> str:
    """Give the same without the time."""
    if captured.ethertype in (ETHERTYPE_IPV4, ETHERTYPE_IPV6):
        try:
            return describe_ip(captured.octets)
        except PacketError as error:
            return f"IP malformed: {error}"
    name = "ARP" if captured.ethertype == ETHERTYPE_ARP else f"ethertype 0x{captured.ethertype:04x}"
    return f"{name}, length {len(captured.octets)}"


def describe_ip(octets: bytes) -> str:
    """Describe a packet that begins with an IP header. Raise PacketError."""
    packet = parse_ip(octets)
    name = "IP" if packet.version == 4 else "IP6"
    source, destination, what = _upper(packet)
    return f"{name} {source} > {destination}: {what}"


def _upper(packet: IpPacket) -> tuple[str, str, str]:
    """Give both ends, with ports where there are some, and what it is."""
    ends = (str(packet.source), str(packet.destination))
    if packet.fragment_offset:
        return (*ends, f"fragment of protocol {packet.protocol} at {packet.fragment_offset}, {_length(packet.payload)}")
    try:
        if packet.protocol == UDP:
            return _udp(packet, parse_udp(packet.payload))
        if packet.protocol == TCP:
            return _tcp(packet)
        return (*ends, _other(packet))
    except PacketError as error:
        return (*ends, f"malformed: {error}")


def _other(packet: IpPacket) -> str:
    if packet.protocol == ESP:
        return _esp(packet.payload)
    if packet.protocol in (ICMP, ICMPV6):
        return _icmp(packet)
    if packet.protocol in (IPV4, IPV6):
        return describe_ip(packet.payload)
    return f"protocol {packet.protocol}, {_length(packet.payload)}"


def _esp(octets: bytes) -> str:
    esp = parse_esp(octets)
    return f"ESP(spi=0x{esp.spi:08x},seq=0x{esp.sequence:x}), {_length(octets)}"


def _icmp(packet: IpPacket) -> str:
    name = "ICMP" if packet.version == 4 else "ICMP6"
    try:
        echo = parse_echo(packet.payload)
    except PacketError:
        kind = packet.payload[0] if packet.payload else "?"
        return f"{name} type {kind}, {_length(packet.payload)}"
    what = "request" if echo.type == ECHO_REQUEST[packet.version] else "reply"
    return f"{name} echo {what}, id {echo.identifier}, seq {echo.sequence}, {_length(packet.payload)}"


def _udp(packet: IpPacket, datagram: UdpDatagram) -> tuple[str, str, str]:
    ports = (datagram.source_port, datagram.destination_port)
    source, destination = f"{packet.source}.{ports[0]}", f"{packet.destination}.{ports[1]}"
    if NAT_PORT in ports:
        return source, destination, _nat(datagram.payload)
    if IKE_PORT in ports:
        return source, destination, _isakmp(datagram.payload)
    return source, destination, f"UDP, {_length(datagram.payload)}"


def _nat(payload: bytes) -> str:
    traffic = nat_traffic(payload)
    if traffic is NatTraffic.KEEPALIVE:
        return "isakmp-nat-keep-alive"
    if traffic is NatTraffic.IKE:
        return f"NONESP-encap: {_isakmp(payload[len(NON_ESP_MARKER) :])}"
    return f"UDP-encap: {_esp(payload)}"


def _isakmp(payload: bytes) -> str:
    try:
        header = read_header(payload)
    except ParseError:
        return f"isakmp, {_length(payload)}"
    exchange = header.exchange
    name = exchange.name if isinstance(exchange, ExchangeType) else f"exchange {exchange}"
    side = "response" if header.response else "request"
    return f"isakmp: {name} {side} {header.message_id}, spi 0x{header.spi_i.hex()}, {_length(payload)}"


def _tcp(packet: IpPacket) -> tuple[str, str, str]:
    if len(packet.payload) < _TCP.size:
        raise PacketError(f"{len(packet.payload)} octets are too few for TCP")
    source, destination, _, _, offset, bits = _TCP.unpack_from(packet.payload)
    flags = "".join(letter for bit, letter in _FLAGS if bits & bit) or "none"
    length = max(len(packet.payload) - (offset >> 4) * 4, 0)
    return f"{packet.source}.{source}", f"{packet.destination}.{destination}", f"TCP [{flags}], length {length}"


def _length(octets: bytes) -> str:
    return f"length {len(octets)}"
