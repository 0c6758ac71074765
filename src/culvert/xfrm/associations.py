"""Security associations: our values to and from the structures of XFRM, and what a dump tells of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from culvert.addresses import IPAddress
from culvert.crypto.transforms import ENCRYPTION, INTEGRITY, Encryption, Integrity
from culvert.ipsec.associations import (
    AssociationId,
    Direction,
    Encapsulation,
    Mode,
    Protocol,
    SecurityAssociation,
)
from culvert.ipsec.lifetimes import Lifetimes
from culvert.ipsec.selectors import EVERYTHING, Selector
from culvert.reasons import Drop
from culvert.wire.netlink.algorithms import Algorithm
from culvert.wire.netlink.framing import ParseError
from culvert.wire.netlink.progress import ProgressWire
from culvert.wire.netlink.replay import ReplayWire
from culvert.wire.netlink.sa import (
    EXTRA_DONT_ENCAP_DSCP,
    STATE_AF_UNSPEC,
    STATE_ALIGN4,
    STATE_DECAP_DSCP,
    STATE_ESN,
    STATE_NOECN,
    EncapsulationWire,
    SaWire,
    StatsWire,
)
from culvert.wire.netlink.structures import IdWire
from culvert.xfrm.lifetimes import lifetimes_from_wire, lifetimes_to_wire
from culvert.xfrm.policies import mode_from_wire, mode_to_wire, protocol_from_wire, selector_from_wire, selector_to_wire

SA_DIR_IN, SA_DIR_OUT = 1, 2
_DIRECTIONS = {None: None, SA_DIR_IN: Direction.IN, SA_DIR_OUT: Direction.OUT}
_DIRECTION_NUMBERS = {direction: number for number, direction in _DIRECTIONS.items()}


@dataclass(frozen=True, slots=True)
class Keys:
    """An association's keys, as `SecurityAssociation` has them; all zero where the data plane hides them."""

    encryption: bytes = field(default=b"", repr=False)
    integrity: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class ReplayState:
    """The highest sequence numbers sent and received, and the window: bit 0 of the first number is the latest packet.

    Numbers are of 64 bits with ESN and of 32 without.
    """

    sequence_out: int = 0
    sequence_in: int = 0
    bitmap: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class AssociationState:
    """An association as the data plane has it; with its keys where they were asked for.

    `larval`: an SPI is held and no keys are there yet. `direction` is None where the data plane was not told.
    `encryption` and `integrity` are None where there is none, or one that we do not know: then the name says which, in
    the kernel's words. `stats` are packets that the window was too narrow for, replayed, and not authentic.
    Times are seconds since 1970, 0: never. `drops` are packets by reason, those that are not zero.
    """

    id: AssociationId
    source: IPAddress
    reqid: int
    direction: Direction | None
    mode: Mode
    larval: bool
    encryption: Encryption | None
    integrity: Integrity | None
    encapsulation: Encapsulation | None
    replay_window_packets: int
    selectors: tuple[Selector, ...]
    lifetimes: Lifetimes
    octets: int
    packets: int
    added_at_s: int
    used_at_s: int
    drops: Mapping[Drop, int] = field(default_factory=dict)
    esn: bool = False
    tfc_padding_octets: int = 0
    legacy: bool = False
    noecn: bool = False
    decap_dscp: bool = False
    dont_encap_dscp: bool = False
    replay: ReplayState = ReplayState()
    stats: tuple[int, int, int] = (0, 0, 0)
    encryption_name: str = ""
    integrity_name: str = ""
    keys: Keys | None = field(default=None, repr=False)


def id_to_wire(value: AssociationId) -> IdWire:
    """Give what names an association on the wire."""
    return IdWire(value.destination, value.spi, value.protocol.number)


def id_from_wire(value: IdWire) -> AssociationId:
    """Raise NotOursError where the protocol is neither ESP nor AH."""
    return AssociationId(value.destination, value.spi, protocol_from_wire(value.protocol))


def to_wire(association: SecurityAssociation) -> SaWire:
    """Give the structure and attributes that install the association.

    One that only sends has no replay window; what says how to send or to receive goes with that direction alone (the
    kernel refuses it with the other).
    """
    selectors = tuple(selector_to_wire(selector) for selector in association.selectors)
    return SaWire(
        id=id_to_wire(association.id),
        source=association.source,
        reqid=association.reqid,
        mode=mode_to_wire(association.mode),
        selector=selectors[0] if len(selectors) == 1 else None,
        selectors=selectors if len(selectors) > 1 else (),
        lifetime=lifetimes_to_wire(association.lifetimes),
        encapsulation=encapsulation_to_wire(association.encapsulation),
        replay=_replay_to_wire(association),
        flags=_flags(association, inner_may_differ=len(selectors) != 1),
        extra_flags=EXTRA_DONT_ENCAP_DSCP * (association.dont_encap_dscp and _sends(association)),
        tfc_padding_octets=association.tfc_padding_octets if _sends(association) else 0,
        mode_any=association.mode is Mode.ANY,
        legacy=association.legacy,
        direction=_DIRECTION_NUMBERS[association.direction],
        aead=_aead(association),
        crypt=_crypt(association),
        auth_truncated=_auth(association),
    )


def for_kernel(sa: SaWire) -> SaWire:
    """Leave out what is the engine's alone: the kernel would read those attributes as others.

    Several selectors become none, for the policies say the same; ANY becomes transport, as with the kernel's PF_KEY.
    Up to Linux 6.9 an association with ESN needs a window, from 6.10 one that only sends must not have it: without a
    direction both agree.
    """
    sa = replace(sa, selectors=(), mode_any=False, legacy=False, drops=())
    if sa.flags & STATE_ESN and sa.direction == SA_DIR_OUT:
        return replace(sa, direction=None, replay=ReplayWire(32))
    return sa


def _sends(association: SecurityAssociation) -> bool:
    return association.direction is not Direction.IN


def _receives(association: SecurityAssociation) -> bool:
    return association.direction is not Direction.OUT


def _replay_to_wire(association: SecurityAssociation) -> ReplayWire | None:
    window = association.replay_window_packets if _receives(association) else 0
    return ReplayWire(window) if window or association.esn else None


def _flags(association: SecurityAssociation, *, inner_may_differ: bool) -> int:
    return (
        STATE_NOECN * association.noecn
        | STATE_DECAP_DSCP * (association.decap_dscp and _receives(association))
        | STATE_ESN * association.esn
        | STATE_AF_UNSPEC * (inner_may_differ and association.mode is Mode.TUNNEL)
        | STATE_ALIGN4 * _is_ah_over_ipv4(association)
    )


def _is_ah_over_ipv4(association: SecurityAssociation) -> bool:
    """Whether padding is to be the least that RFC 4302 section 3.3.3.2.1 allows: the kernel sends and wants more."""
    return association.id.protocol is Protocol.AH and association.destination.version == 4


def _aead(association: SecurityAssociation) -> Algorithm | None:
    encryption = association.encryption
    if encryption is None or not encryption.aead:
        return None
    return Algorithm(encryption.xfrm_name, association.encryption_key, encryption.icv_octets * 8)


def _crypt(association: SecurityAssociation) -> Algorithm | None:
    encryption = association.encryption
    if encryption is None or encryption.aead:
        return None
    return Algorithm(encryption.xfrm_name, association.encryption_key)


def _auth(association: SecurityAssociation) -> Algorithm | None:
    integrity = association.integrity
    if integrity is None:
        return None
    return Algorithm(integrity.xfrm_name, association.integrity_key, integrity.icv_octets * 8)


def encapsulation_to_wire(value: Encapsulation | None) -> EncapsulationWire | None:
    """Give the ports as the data plane knows them."""
    return None if value is None else EncapsulationWire(value.source_port, value.destination_port)


def _encapsulation_from_wire(value: EncapsulationWire | None) -> Encapsulation | None:
    return None if value is None else Encapsulation(value.source_port, value.destination_port)


def from_wire(sa: SaWire, *, keys: bool = False) -> AssociationState:
    """Read one association of a dump. Raise NotOursError where we have no words for it."""
    cipher, mac = sa.aead or sa.crypt, sa.auth_truncated or sa.auth
    replay = sa.replay or sa.plain_replay or ReplayWire(sa.replay_window)
    return AssociationState(
        id=id_from_wire(sa.id),
        source=sa.source,
        reqid=sa.reqid,
        direction=_DIRECTIONS[sa.direction],
        mode=Mode.ANY if sa.mode_any else mode_from_wire(sa.mode),
        larval=cipher is None and mac is None,
        encryption=_encryption_of(cipher),
        integrity=_integrity_of(sa.auth_truncated, sa.auth),
        encapsulation=_encapsulation_from_wire(sa.encapsulation),
        replay_window_packets=replay.window_packets,
        selectors=_selectors(sa),
        lifetimes=lifetimes_from_wire(sa.lifetime),
        octets=sa.current.octets,
        packets=sa.current.packets,
        added_at_s=sa.current.added_at_s,
        used_at_s=sa.current.used_at_s,
        esn=bool(sa.flags & STATE_ESN),
        tfc_padding_octets=sa.tfc_padding_octets,
        legacy=sa.legacy,
        noecn=bool(sa.flags & STATE_NOECN),
        decap_dscp=bool(sa.flags & STATE_DECAP_DSCP),
        dont_encap_dscp=bool(sa.extra_flags & EXTRA_DONT_ENCAP_DSCP),
        replay=replay_from_wire(replay),
        stats=_stats(sa.stats),
        encryption_name=cipher.name if cipher else "",
        integrity_name=mac.name if mac else "",
        keys=Keys(cipher.key if cipher else b"", mac.key if mac else b"") if keys else None,
        drops=drops_from_wire(sa.drops),
    )


def progress_to_wire(state: AssociationState, replay: ReplayState) -> ProgressWire:
    """Give what sets the sequence numbers of an association that was dumped, in both forms: one is as it has them."""
    value = ReplayWire(state.replay_window_packets, replay.sequence_out, replay.sequence_in, replay.bitmap)
    return ProgressWire(id_to_wire(state.id), state.source, state.reqid, replay=value, plain_replay=value)


def replay_from_wire(value: ReplayWire) -> ReplayState:
    """Give the counters; the window is elsewhere."""
    return ReplayState(value.sequence_out, value.sequence_in, value.bitmap)


def _stats(value: StatsWire) -> tuple[int, int, int]:
    return value.replay_window, value.replay, value.integrity_failed


def _selectors(sa: SaWire) -> tuple[Selector, ...]:
    """With the kernel, one of transport mode that has none says "everything of my family": nothing else fits anyway."""
    wires = sa.selectors or ((sa.selector,) if sa.selector else ())
    selectors = tuple(selector_from_wire(one) for one in wires)
    anything = len(selectors) == 1 and selectors[0] == EVERYTHING[selectors[0].version]
    return () if anything and mode_from_wire(sa.mode) is Mode.TRANSPORT else selectors


_BY_KERNEL_NAME = {(one.xfrm_name, one.key_octets + one.salt_octets, one.icv_octets * 8): one for one in ENCRYPTION}
_MAC_BY_KERNEL_NAME = {(one.xfrm_name, one.icv_octets * 8): one for one in INTEGRITY}
_UNSAID_ICV_BITS = {"hmac(sha256)": 96, "hmac(sha384)": 192, "hmac(sha512)": 256}
"""What the kernel cuts to where nobody says it; 96 for all others too."""


def _encryption_of(algorithm: Algorithm | None) -> Encryption | None:
    if algorithm is None:
        return None
    return _BY_KERNEL_NAME.get((algorithm.name, len(algorithm.key), algorithm.icv_bits))


def _integrity_of(truncated: Algorithm | None, plain: Algorithm | None) -> Integrity | None:
    if truncated is not None:
        return _MAC_BY_KERNEL_NAME.get((truncated.name, truncated.icv_bits))
    if plain is not None:
        return _MAC_BY_KERNEL_NAME.get((plain.name, _UNSAID_ICV_BITS.get(plain.name, 96)))
    return None


def drops_from_wire(counters: tuple[tuple[int, int], ...]) -> dict[Drop, int]:
    """Name the reasons. Raise ParseError where engine and daemon do not know the same ones."""
    try:
        return {Drop(reason): packets for reason, packets in counters if packets}
    except ValueError as error:
        raise ParseError(f"a counter has a reason that is not known: {error}") from error
