"""Security associations: `struct xfrm_usersa_info`, its attributes, and the messages made of them."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from culvert.addresses import IPAddress
from culvert.wire.netlink import algorithms
from culvert.wire.netlink.algorithms import Algorithm
from culvert.wire.netlink.framing import ParseError, emit_attribute, parse_attributes, split
from culvert.wire.netlink.numbers import PADDING, XfrmAttribute
from culvert.wire.netlink.replay import (
    ReplayWire,
    emit_plain_replay,
    emit_replay,
    parse_plain_replay,
    parse_replay,
)
from culvert.wire.netlink.structures import (
    ADDRESS_OCTETS,
    SELECTOR_OCTETS,
    CurrentWire,
    IdWire,
    LifetimeWire,
    SelectorWire,
    emit_address,
    emit_current,
    emit_id,
    emit_lifetime,
    emit_selector,
    family_of,
    parse_address,
    parse_current,
    parse_id,
    parse_lifetime,
    parse_selector,
)

SA_OCTETS = 224
SA_ID_OCTETS = 24
UDP_ENCAP_ESPINUDP = 2
STATE_NOECN, STATE_DECAP_DSCP, STATE_AF_UNSPEC, STATE_ALIGN4, STATE_ESN = 1, 2, 32, 64, 128
"""XFRM_STATE_*. AF_UNSPEC: the inner traffic may be of another family than the tunnel. ALIGN4: AH fills words of 4."""
EXTRA_DONT_ENCAP_DSCP = 1
"""XFRM_SA_XFLAG_*."""

_STATS = struct.Struct("=3I")
_TAIL = struct.Struct("=IIHBBB7x")
_SA_ID = struct.Struct("=16s4sHBx")
_ENCAP = struct.Struct("=H2s2s2x16s")
_DROP = struct.Struct("=IIQ")
_RANGE = struct.Struct("=II")
_U32 = struct.Struct("=I")
_U64 = struct.Struct("=Q")


@dataclass(frozen=True, slots=True)
class EncapsulationWire:
    """`struct xfrm_encap_tmpl` without its address, which nobody uses."""

    source_port: int
    destination_port: int
    type: int = UDP_ENCAP_ESPINUDP


@dataclass(frozen=True, slots=True)
class StatsWire:
    """`struct xfrm_stats`, in packets."""

    replay_window: int = 0
    replay: int = 0
    integrity_failed: int = 0


@dataclass(frozen=True, slots=True)
class SaWire:
    """A security association as it travels. `selector` None: empty, as where `selectors` says more.

    `direction` is 1 in, 2 out, None where nothing was said. `drops` are pairs of reason and packets.
    """

    id: IdWire
    source: IPAddress
    reqid: int = 0
    mode: int = 0
    selector: SelectorWire | None = None
    lifetime: LifetimeWire = LifetimeWire()
    current: CurrentWire = CurrentWire()
    stats: StatsWire = StatsWire()
    sequence: int = 0
    replay_window: int = 0
    flags: int = 0
    aead: Algorithm | None = None
    crypt: Algorithm | None = None
    auth: Algorithm | None = None
    auth_truncated: Algorithm | None = None
    encapsulation: EncapsulationWire | None = None
    replay: ReplayWire | None = None
    plain_replay: ReplayWire | None = None
    tfc_padding_octets: int = 0
    extra_flags: int = 0
    last_used_at_s: int = 0
    mode_any: bool = False
    legacy: bool = False
    direction: int | None = None
    selectors: tuple[SelectorWire, ...] = ()
    drops: tuple[tuple[int, int], ...] = field(default=())


def emit_sa(sa: SaWire) -> bytes:
    """Give the body of NEWSA and UPDSA."""
    return _emit_info(sa) + _emit_attributes(sa)


def parse_sa(body: bytes) -> SaWire:
    """Read the body of NEWSA and UPDSA. Raise ParseError."""
    info, attributes = split(body, SA_OCTETS, "an association")
    return _parse(info, parse_attributes(attributes, PADDING))


def emit_spi_request(sa: SaWire, minimum: int, maximum: int) -> bytes:
    """Give the body of ALLOCSPI: an SPI from `minimum` to `maximum`, both included."""
    return _emit_info(sa) + _RANGE.pack(minimum, maximum) + _emit_attributes(sa)


def parse_spi_request(body: bytes) -> tuple[SaWire, int, int]:
    """Read the body of ALLOCSPI. Raise ParseError."""
    structure, attributes = split(body, SA_OCTETS + _RANGE.size, "a request for an SPI")
    minimum, maximum = _RANGE.unpack(structure[SA_OCTETS:])
    if minimum > maximum:
        raise ParseError(f"{minimum} to {maximum} is no range of SPIs")
    return _parse(structure[:SA_OCTETS], parse_attributes(attributes, PADDING)), minimum, maximum


def emit_sa_id(value: IdWire) -> bytes:
    """Give the body of DELSA and GETSA."""
    spi = value.spi.to_bytes(4, "big")
    return _SA_ID.pack(emit_address(value.destination), spi, family_of(value.destination), value.protocol)


def parse_sa_id(body: bytes) -> IdWire:
    """Read the body of DELSA and GETSA; attributes behind it are not needed. Raise ParseError."""
    structure, _ = split(body, SA_ID_OCTETS, "an association's identity")
    return parse_sa_id_structure(structure)


def parse_sa_id_structure(structure: bytes) -> IdWire:
    """Read `struct xfrm_usersa_id` alone: 24 octets. Raise ParseError."""
    address, spi, family, protocol = _SA_ID.unpack(structure)
    return IdWire(parse_address(address, family), int.from_bytes(spi, "big"), protocol)


def _emit_info(sa: SaWire) -> bytes:
    return (
        emit_selector(sa.selector)
        + emit_id(sa.id)
        + emit_address(sa.source)
        + emit_lifetime(sa.lifetime)
        + emit_current(sa.current)
        + _STATS.pack(sa.stats.replay_window, sa.stats.replay, sa.stats.integrity_failed)
        + _TAIL.pack(sa.sequence, sa.reqid, family_of(sa.source), sa.mode, sa.replay_window, sa.flags)
    )


def _parse(info: bytes, attributes: dict[int, bytes]) -> SaWire:
    sequence, reqid, family, mode, replay_window, flags = _TAIL.unpack(info[204:])
    return SaWire(
        id=parse_id(info[56:80], family),
        source=parse_address(info[80 : 80 + ADDRESS_OCTETS], family),
        reqid=reqid,
        mode=mode,
        selector=parse_selector(info[:SELECTOR_OCTETS]),
        lifetime=parse_lifetime(info[96:160]),
        current=_current(info[160:192], attributes),
        stats=StatsWire(*_STATS.unpack(info[192:204])),
        sequence=sequence,
        replay_window=replay_window,
        flags=flags,
        aead=algorithms.parse_optional(attributes.get(XfrmAttribute.ALG_AEAD), True),
        crypt=algorithms.parse_optional(attributes.get(XfrmAttribute.ALG_CRYPT), False),
        auth=algorithms.parse_optional(attributes.get(XfrmAttribute.ALG_AUTH), False),
        auth_truncated=algorithms.parse_optional(attributes.get(XfrmAttribute.ALG_AUTH_TRUNC), True),
        encapsulation=parse_encapsulation(attributes.get(XfrmAttribute.ENCAP)),
        replay=parse_replay(attributes.get(XfrmAttribute.REPLAY_ESN_VAL)),
        plain_replay=parse_plain_replay(attributes.get(XfrmAttribute.REPLAY_VAL), replay_window),
        tfc_padding_octets=parse_number(attributes.get(XfrmAttribute.TFCPAD), _U32),
        extra_flags=parse_number(attributes.get(XfrmAttribute.SA_EXTRA_FLAGS), _U32),
        last_used_at_s=parse_number(attributes.get(XfrmAttribute.LASTUSED), _U64),
        mode_any=XfrmAttribute.MODE_ANY in attributes,
        legacy=XfrmAttribute.LEGACY in attributes,
        direction=_parse_direction(attributes.get(XfrmAttribute.SA_DIR)),
        selectors=_parse_selectors(attributes.get(XfrmAttribute.SELECTORS, b"")),
        drops=parse_counters(attributes.get(XfrmAttribute.DROPS, b"")),
    )


def _current(octets: bytes, attributes: dict[int, bytes]) -> CurrentWire:
    """The attribute says the same as the structure, and is the fresher of the two."""
    return parse_current(attributes.get(XfrmAttribute.LTIME_VAL, octets))


def _emit_attributes(sa: SaWire) -> bytes:
    parts: list[tuple[XfrmAttribute, bytes]] = []
    if sa.aead is not None:
        parts.append((XfrmAttribute.ALG_AEAD, algorithms.emit(sa.aead, True)))
    if sa.crypt is not None:
        parts.append((XfrmAttribute.ALG_CRYPT, algorithms.emit(sa.crypt, False)))
    if sa.auth is not None:
        parts.append((XfrmAttribute.ALG_AUTH, algorithms.emit(sa.auth, False)))
    if sa.auth_truncated is not None:
        parts.append((XfrmAttribute.ALG_AUTH_TRUNC, algorithms.emit(sa.auth_truncated, True)))
    parts += _emit_options(sa) + _emit_ours(sa)
    return b"".join(emit_attribute(kind, value) for kind, value in parts)


def _emit_options(sa: SaWire) -> list[tuple[XfrmAttribute, bytes]]:
    parts: list[tuple[XfrmAttribute, bytes]] = []
    if sa.encapsulation is not None:
        parts.append((XfrmAttribute.ENCAP, emit_encapsulation(sa.encapsulation)))
    if sa.replay is not None:
        parts.append((XfrmAttribute.REPLAY_ESN_VAL, emit_replay(sa.replay)))
    if sa.plain_replay is not None:
        parts.append((XfrmAttribute.REPLAY_VAL, emit_plain_replay(sa.plain_replay)))
    if sa.tfc_padding_octets:
        parts.append((XfrmAttribute.TFCPAD, _U32.pack(sa.tfc_padding_octets)))
    if sa.extra_flags:
        parts.append((XfrmAttribute.SA_EXTRA_FLAGS, _U32.pack(sa.extra_flags)))
    if sa.last_used_at_s:
        parts.append((XfrmAttribute.LASTUSED, _U64.pack(sa.last_used_at_s)))
    if sa.direction is not None:
        parts.append((XfrmAttribute.SA_DIR, bytes([sa.direction])))
    return parts


def _emit_ours(sa: SaWire) -> list[tuple[XfrmAttribute, bytes]]:
    """What the kernel has no attribute for: the engine's alone."""
    parts: list[tuple[XfrmAttribute, bytes]] = []
    if sa.mode_any:
        parts.append((XfrmAttribute.MODE_ANY, b""))
    if sa.legacy:
        parts.append((XfrmAttribute.LEGACY, b""))
    if sa.selectors:
        parts.append((XfrmAttribute.SELECTORS, b"".join(emit_selector(one) for one in sa.selectors)))
    if sa.drops:
        parts.append((XfrmAttribute.DROPS, emit_counters(sa.drops)))
    return parts


def emit_encapsulation(value: EncapsulationWire) -> bytes:
    """Give the octets of XFRMA_ENCAP."""
    source, destination = (port.to_bytes(2, "big") for port in (value.source_port, value.destination_port))
    return _ENCAP.pack(value.type, source, destination, bytes(ADDRESS_OCTETS))


def parse_encapsulation(octets: bytes | None) -> EncapsulationWire | None:
    """Read XFRMA_ENCAP; None where there is none. Raise ParseError."""
    if octets is None:
        return None
    if len(octets) != _ENCAP.size:
        raise ParseError(f"an encapsulation has {len(octets)} octets instead of {_ENCAP.size}")
    kind, source, destination, _ = _ENCAP.unpack(octets)
    return EncapsulationWire(int.from_bytes(source, "big"), int.from_bytes(destination, "big"), kind)


def parse_number(octets: bytes | None, layout: struct.Struct) -> int:
    """Read an attribute that is one number; none is 0. Raise ParseError."""
    if octets is None:
        return 0
    if len(octets) != layout.size:
        raise ParseError(f"a number has {len(octets)} octets instead of {layout.size}")
    number: int = layout.unpack(octets)[0]
    return number


def _parse_direction(octets: bytes | None) -> int | None:
    if octets is None:
        return None
    if len(octets) != 1 or octets[0] not in (1, 2):
        raise ParseError("an association's direction is neither in nor out")
    return octets[0]


def _parse_selectors(octets: bytes) -> tuple[SelectorWire, ...]:
    if len(octets) % SELECTOR_OCTETS:
        raise ParseError(f"{len(octets)} octets are no array of selectors")
    parts = (octets[start : start + SELECTOR_OCTETS] for start in range(0, len(octets), SELECTOR_OCTETS))
    selectors = tuple(parse_selector(part) for part in parts)
    if None in selectors:
        raise ParseError("an array of selectors has an empty one")
    return tuple(selector for selector in selectors if selector is not None)


def emit_counters(counters: tuple[tuple[int, int], ...]) -> bytes:
    """Give an array of `{u32 reason; u32 zero; u64 packets}`."""
    return b"".join(_DROP.pack(reason, 0, packets) for reason, packets in counters)


def parse_counters(octets: bytes) -> tuple[tuple[int, int], ...]:
    """Read an array of reason and packets. Raise ParseError."""
    if len(octets) % _DROP.size:
        raise ParseError(f"{len(octets)} octets are no array of counters")
    return tuple((reason, packets) for reason, _, packets in _DROP.iter_unpack(octets))
