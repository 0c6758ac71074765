"""The messages of a run as a capture that Wireshark opens, with the keys that it needs to look inside."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

from culvert.addresses import NAT_PORT, IPAddress, SocketAddress
from culvert.capture.packets import ETHERTYPE_IPV4, ETHERTYPE_IPV6, OUTGOING, Captured
from culvert.capture.pcapng import PcapngWriter
from culvert.ike.v2.sa import IkeSa
from culvert.sim.recording import Record, Sent
from culvert.wire.ip import UDP, checksum
from culvert.wire.udp import NON_ESP_MARKER

EPOCH_NS = 1_800_000_000 * 10**9
"""When simulated worlds begin: 15 January 2027."""
KEYS_FILE = "ikev2_decryption_table"
"""Where Wireshark looks for keys, in its profile's directory."""
CIPHERS = {
    "aes128gcm16": "AES-GCM-128 with 16 octet ICV [RFC5282]",
    "aes256gcm16": "AES-GCM-256 with 16 octet ICV [RFC5282]",
}
NO_INTEGRITY = "NONE [RFC4306]"
TTL = 64


def write(directory: Path, records: Sequence[Record], keys: Iterable[IkeSa]) -> None:
    """Write `run.pcapng`, and beside it the table of keys in Wireshark's notation."""
    sent = [record for record in records if isinstance(record, Sent)]
    with (directory / "run.pcapng").open("wb") as stream:
        writer = PcapngWriter(stream, list(dict.fromkeys(record.node for record in sent)))
        for record in sent:
            writer.write(_captured(record))
    (directory / KEYS_FILE).write_text("".join(filter(None, map(_key, keys))))


def _captured(record: Sent) -> Captured:
    version = record.remote.ip.version
    ethertype = ETHERTYPE_IPV4 if version == 4 else ETHERTYPE_IPV6
    return Captured(EPOCH_NS + record.at, record.node, ethertype, OUTGOING, packet(record))


def packet(record: Sent) -> bytes:
    """Write IP and UDP in front of a message, and the marker on port 4500."""
    marker = NON_ESP_MARKER if record.remote.port == NAT_PORT else b""
    payload = marker + record.data
    udp = struct.pack("!4H", record.local.port, record.remote.port, 8 + len(payload), 0) + payload
    return _ip(record.local, record.remote, len(udp)) + udp


def _ip(local: SocketAddress, remote: SocketAddress, octets: int) -> bytes:
    ends: tuple[IPAddress, IPAddress] = (local.ip, remote.ip)
    if remote.ip.version == 6:
        return struct.pack("!IHBB", 6 << 28, octets, UDP, TTL) + ends[0].packed + ends[1].packed
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + octets, 0, 0, TTL, UDP, 0) + ends[0].packed + ends[1].packed
    return header[:10] + checksum(header).to_bytes(2, "big") + header[12:]


def _key(sa: IkeSa) -> str:
    """Write the line of one IKE SA; nothing where Wireshark has no name for its algorithms here."""
    cipher = CIPHERS.get(sa.suite.cipher.name) if sa.suite else None
    if cipher is None or sa.keys is None:
        return ""
    spis = f"{sa.spi_i.hex()},{sa.spi_r.hex()}"
    return f'{spis},{sa.keys.sk_ei.hex()},{sa.keys.sk_er.hex()},"{cipher}",,,"{NO_INTEGRITY}"\n'
