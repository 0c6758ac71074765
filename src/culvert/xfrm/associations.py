"""Security associations: our values to and from the structures of XFRM, and what a dump tells of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

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
from culvert.ipsec.selectors import Selector
from culvert.reasons import Drop
from culvert.wire.netlink.algorithms import Algorithm
from culvert.wire.netlink.framing import ParseError
from culvert.wire.netlink.sa import EncapsulationWire, ReplayWire, SaWire
from culvert.wire.netlink.structures import UNLIMITED, IdWire, LifetimeWire
from culvert.xfrm.policies import mode_from_wire, mode_to_wire, selector_from_wire, selector_to_wire

SA_DIR_IN, SA_DIR_OUT = 1, 2
_DIRECTIONS = {None: None, SA_DIR_IN: Direction.IN, SA_DIR_OUT: Direction.OUT}
_DIRECTION_NUMBERS = {direction: number for number, direction in _DIRECTIONS.items()}


@dataclass(frozen=True, slots=True)
class AssociationState:
    """An association as the data plane has it, without its keys.

    `larval`: an SPI is held and no keys are there yet. `direction` is None where the data plane was not told.
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


def id_to_wire(value: AssociationId) -> IdWire:
    """Give what names an association on the wire."""
    return IdWire(value.destination, value.spi, value.protocol.number)


def id_from_wire(value: IdWire) -> AssociationId:
    """Raise ParseError where the protocol is neither ESP nor AH."""
    for protocol in Protocol:
        if protocol.number == value.protocol:
            return AssociationId(value.destination, value.spi, protocol)
    raise ParseError(f"protocol {value.protocol} is none of IPsec")


def to_wire(association: SecurityAssociation) -> SaWire:
    """Give the structure and attributes that install the association. One that sends has no replay window."""
    outbound = association.direction is Direction.OUT
    window = association.replay_window_packets
    selectors = tuple(selector_to_wire(selector) for selector in association.selectors)
    return SaWire(
        id=id_to_wire(association.id),
        source=association.source,
        reqid=association.reqid,
        mode=mode_to_wire(association.mode),
        selector=selectors[0] if len(selectors) == 1 else None,
        selectors=selectors if len(selectors) > 1 else (),
        lifetime=lifetimes_to_wire(association.lifetimes),
        encapsulation=_encapsulation_to_wire(association.encapsulation),
        replay=ReplayWire(window) if window and not outbound else None,
        direction=_DIRECTION_NUMBERS[association.direction],
        aead=_aead(association),
        crypt=_crypt(association),
        auth_truncated=_auth(association),
    )


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


def _encapsulation_to_wire(value: Encapsulation | None) -> EncapsulationWire | None:
    return None if value is None else EncapsulationWire(value.source_port, value.destination_port)


def _encapsulation_from_wire(value: EncapsulationWire | None) -> Encapsulation | None:
    return None if value is None else Encapsulation(value.source_port, value.destination_port)


def lifetimes_to_wire(value: Lifetimes) -> LifetimeWire:
    """No limit is 0 with us; on the wire that is so for seconds only."""
    return LifetimeWire(
        value.soft_octets or UNLIMITED,
        value.hard_octets or UNLIMITED,
        value.soft_packets or UNLIMITED,
        value.hard_packets or UNLIMITED,
        value.soft_s,
        value.hard_s,
        value.soft_use_s,
        value.hard_use_s,
    )


def lifetimes_from_wire(value: LifetimeWire) -> Lifetimes:
    """The other way round."""
    return Lifetimes(
        value.soft_added_s,
        value.hard_added_s,
        _limit(value.soft_octets),
        _limit(value.hard_octets),
        _limit(value.soft_packets),
        _limit(value.hard_packets),
        value.soft_used_s,
        value.hard_used_s,
    )


def _limit(value: int) -> int:
    return 0 if value == UNLIMITED else value


def from_wire(sa: SaWire) -> AssociationState:
    """Read one association of a dump. Raise ParseError where it is none of ours to understand."""
    selectors = sa.selectors or ((sa.selector,) if sa.selector else ())
    return AssociationState(
        id=id_from_wire(sa.id),
        source=sa.source,
        reqid=sa.reqid,
        direction=_DIRECTIONS[sa.direction],
        mode=mode_from_wire(sa.mode),
        larval=not any((sa.aead, sa.crypt, sa.auth, sa.auth_truncated)),
        encryption=_encryption_of(sa.aead or sa.crypt),
        integrity=_integrity_of(sa.auth_truncated or sa.auth),
        encapsulation=_encapsulation_from_wire(sa.encapsulation),
        replay_window_packets=sa.replay.window_packets if sa.replay else sa.replay_window,
        selectors=tuple(selector_from_wire(selector) for selector in selectors),
        lifetimes=lifetimes_from_wire(sa.lifetime),
        octets=sa.current.octets,
        packets=sa.current.packets,
        added_at_s=sa.current.added_at_s,
        used_at_s=sa.current.used_at_s,
        drops=drops_from_wire(sa.drops),
    )


def _encryption_of(algorithm: Algorithm | None) -> Encryption | None:
    if algorithm is None:
        return None
    octets = len(algorithm.key)
    for encryption in ENCRYPTION:
        if encryption.xfrm_name == algorithm.name and encryption.key_octets + encryption.salt_octets == octets:
            return encryption
    return None


def _integrity_of(algorithm: Algorithm | None) -> Integrity | None:
    if algorithm is None:
        return None
    return next((integrity for integrity in INTEGRITY if integrity.xfrm_name == algorithm.name), None)


def drops_from_wire(counters: tuple[tuple[int, int], ...]) -> dict[Drop, int]:
    """Name the reasons. Raise ParseError where engine and daemon do not know the same ones."""
    try:
        return {Drop(reason): packets for reason, packets in counters if packets}
    except ValueError as error:
        raise ParseError(f"a counter has a reason that is not known: {error}") from error
