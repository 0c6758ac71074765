"""Whether what ESP carries looks like ciphertext: no header inside, no block twice, no octet more often than others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from culvert.capture.summary import describe_ip
from culvert.proof.evidence import Evidence, SeenEsp
from culvert.proof.subject import Check, Subject
from culvert.wire.ip import ICMP, ICMPV6, TCP, UDP, IpPacket, PacketError, checksum, parse_ip

NAME = "texture"
MAX_JUDGED_OCTETS = 256 * 1024
IV_OCTETS = 8
"""A counter at the beginning of AES-GCM and ChaCha20-Poly1305 is no secret and not random."""
BLOCK_OCTETS = 16
LEAST_OCTETS = 1024
MAX_CHI_SQUARE = 255 + 10 * 22.6
"""Ciphertext gives 255 with a deviation of 22.6 for the 256 octets; text and headers give thousands."""
UPPER_LAYERS = frozenset({ICMP, TCP, UDP, ICMPV6})
NARROW_BITS = 24
"""Prefixes of both networks together; wider ones fit too many random octets to look at every offset."""
WIDE_OFFSETS = 40


def judge(subject: Subject, evidence: Evidence) -> Check:
    """Look into every sealed part of this peer's ESP, up to a quarter of a MiB."""
    parts = list(_parts(evidence.esp((*subject.spis_in, *subject.spis_out))))
    inside = next((packet for part in parts if (packet := _packet_inside(subject, part))), None)
    if inside is not None:
        return _failed(f"A packet between the networks is readable inside ESP: {inside}.")
    sealed = [part[IV_OCTETS:] for part in parts]
    if _repeats(sealed):
        return _failed("The same block of 16 octets occurs twice: the cipher or its IV repeats.")
    octets = b"".join(sealed)
    if len(octets) < LEAST_OCTETS:
        return Check(NAME, None, f"Only {len(octets)} octets of ESP were seen, too few to judge.")
    if (deviation := chi_square(octets)) > MAX_CHI_SQUARE:
        return _failed(f"ESP's content is not evenly distributed (chi-square {deviation:.0f} instead of about 255).")
    return Check(
        NAME, True, f"{len(octets)} octets of ESP look random (chi-square {deviation:.0f}, about 255 is ideal)."
    )


def _failed(message: str) -> Check:
    return Check(NAME, False, message, "Look at the association's cipher: culvert status --json")


def _parts(seen: Iterable[SeenEsp]) -> Iterator[bytes]:
    """Give what each packet seals, once."""
    judged, known = 0, set()
    for one in seen:
        key = (one.esp.spi, one.esp.sequence)
        if key in known or judged > MAX_JUDGED_OCTETS:
            continue
        known.add(key)
        judged += len(one.esp.sealed)
        yield one.esp.sealed


def _repeats(parts: Iterable[bytes]) -> bool:
    blocks: set[bytes] = set()
    for part in parts:
        for start in range(0, len(part) - BLOCK_OCTETS + 1, BLOCK_OCTETS):
            block = part[start : start + BLOCK_OCTETS]
            if block in blocks:
                return True
            blocks.add(block)
    return False


def chi_square(octets: bytes) -> float:
    """Give Pearson's statistic of the octets against an even distribution: 255 degrees of freedom."""
    expected = len(octets) / 256
    counts = Counter(octets)
    return sum((counts[octet] - expected) ** 2 for octet in range(256)) / expected


def _packet_inside(subject: Subject, part: bytes) -> str:
    """Look for an IP header between the networks at any offset; empty where there is none."""
    for version, first in ((4, b"\x45"), (6, b"\x60")):
        limit = len(part) if _narrow(subject, version) else WIDE_OFFSETS
        offset = part.find(first, 0, limit)
        while offset >= 0:
            if _is_packet(subject, part[offset:]):
                return describe_ip(part[offset:])
            offset = part.find(first, offset + 1, limit)
    return ""


def _narrow(subject: Subject, version: int) -> bool:
    sides = (subject.local_networks, subject.remote_networks)
    shortest = [[one.prefixlen for one in side if one.version == version] for side in sides]
    return all(shortest) and sum(min(side) for side in shortest) >= NARROW_BITS


def _is_packet(subject: Subject, octets: bytes) -> bool:
    try:
        packet = parse_ip(octets)
    except PacketError:
        return False
    plausible = packet.protocol in UPPER_LAYERS and 20 <= packet.length <= len(octets)
    return plausible and _whole(packet, octets) and subject.between(packet.source, packet.destination)


def _whole(packet: IpPacket, octets: bytes) -> bool:
    return packet.version == 6 or checksum(octets[:20]) == 0
