"""What the data plane tells by itself, as typed values, and the bounded queue in which they wait."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from culvert.addresses import IPAddress, SocketAddress
from culvert.ipsec.associations import AssociationId
from culvert.ipsec.policies import Policy
from culvert.reasons import Drop
from culvert.wire.netlink import events as wire
from culvert.wire.netlink.family import DatagramWire, parse_datagram
from culvert.wire.netlink.framing import Message
from culvert.wire.netlink.links import PathMtuWire, parse_path_mtu
from culvert.wire.netlink.migrate import parse_migrate
from culvert.wire.netlink.numbers import Own, Xfrm
from culvert.wire.netlink.sa import parse_sa_id
from culvert.wire.netlink.samples import SampleWire, parse_sample
from culvert.wire.netlink.silence import SilenceWire, parse_silence
from culvert.wire.netlink.strays import StrayWire, parse_stray
from culvert.xfrm import policies
from culvert.xfrm.associations import id_from_wire
from culvert.xfrm.errors import NotOursError
from culvert.xfrm.migrations import Move, moves_from_wire

EXACT = 0xFFFF
"""The mask of a port that a packet has."""
MAX_EVENTS = 4096
"""Events that wait for the daemon: 256 IKE messages of the engine's own bound many times over."""


@dataclass(frozen=True, slots=True)
class AcquireEvent:
    """A packet met a policy and no association was there. Addresses, protocol and ports are the packet's.

    `reqid` is that of the template whose association is not there; `gateway` is where it sends the packet, unspecified
    for any. Ports are None where the packet shows none; ICMP's type and code stand for them.
    """

    reqid: int
    source: IPAddress
    destination: IPAddress
    protocol: int
    gateway: IPAddress | None = None
    source_port: int | None = None
    destination_port: int | None = None


@dataclass(frozen=True, slots=True)
class ExpireEvent:
    """An association passed its soft limit, or ended at its hard one."""

    id: AssociationId
    hard: bool
    reqid: int = 0


@dataclass(frozen=True, slots=True)
class IkeDatagram:
    """One IKE message, without the non-ESP marker."""

    local: SocketAddress
    remote: SocketAddress
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class MappingEvent:
    """Authentic packets of an association come from `new`, no longer from `old`: a NAT forgot, or the peer moved.

    Nothing was changed by that; `update_association` or `migrate` does it.
    """

    id: AssociationId
    reqid: int
    old: SocketAddress
    new: SocketAddress


@dataclass(frozen=True, slots=True)
class MigrateEvent:
    """The associations of a policy got other outer addresses."""

    moves: tuple[Move, ...]


@dataclass(frozen=True, slots=True)
class PolicyExpireEvent:
    """A policy passed its soft limit, or ended at its hard one."""

    policy: Policy
    hard: bool


@dataclass(frozen=True, slots=True)
class PathMtuEvent:
    """Outer packets to `remote` may have `mtu` octets at most, IP header included."""

    remote: IPAddress
    mtu: int


@dataclass(frozen=True, slots=True)
class StrayEvent:
    """A packet came for an association that is not there. Ports are 0 where it did not come in UDP.

    Anybody can send such packets; they are told at a bounded rate.
    """

    local: SocketAddress
    remote: SocketAddress
    protocol: int
    spi: int


@dataclass(frozen=True, slots=True)
class DroppedEvent:
    """A packet that was dropped, one of a few that are told; `reason` is a name of the file of reasons.

    Ends and protocol are its outermost header's; ports and SPI are 0 where there are none to be seen.
    """

    reason: str
    inbound: bool
    source: SocketAddress
    destination: SocketAddress
    protocol: int
    spi: int
    octets: int


@dataclass(frozen=True, slots=True)
class SilenceEvent:
    """For a while nothing came on an inbound association, the newest of its policy, that had traffic before; with
    `sending`, packets leave meanwhile.
    """

    id: AssociationId
    sending: bool


@dataclass(frozen=True, slots=True)
class AssociationsChanged:
    """Somebody changed the SAD. `gone` is one that was taken away; `flushed`: all of them, at least those of ESP."""

    gone: AssociationId | None = None
    flushed: bool = False


@dataclass(frozen=True, slots=True)
class PoliciesChanged:
    """Somebody changed the SPD."""


@dataclass(frozen=True, slots=True)
class Overrun:
    """Events were lost: whoever keeps a picture of the tables dumps them again."""


Event = (
    AcquireEvent
    | ExpireEvent
    | IkeDatagram
    | MappingEvent
    | MigrateEvent
    | PolicyExpireEvent
    | PathMtuEvent
    | StrayEvent
    | DroppedEvent
    | SilenceEvent
    | AssociationsChanged
    | PoliciesChanged
    | Overrun
)


def read_event(message: Message) -> Event | None:
    """Read a notification; None for one that says nothing to us. Raise ParseError."""
    reader = _READERS.get(message.type)
    try:
        return reader(message.body) if reader else None
    except NotOursError:
        return None


def _acquire(value: wire.AcquireWire) -> AcquireEvent:
    template = value.templates[value.missing] if value.templates else None
    packet = value.packet
    return AcquireEvent(
        template.reqid if template else 0,
        packet.source.network_address,
        packet.destination.network_address,
        packet.protocol,
        template.id.destination if template else None,
        _port(packet.source_port),
        _port(packet.destination_port),
    )


def _port(masked: tuple[int, int]) -> int | None:
    value, mask = masked
    return value if mask == EXACT else None


def _expire(value: wire.ExpireWire) -> ExpireEvent:
    return ExpireEvent(id_from_wire(value.sa.id), value.hard, value.sa.reqid)


def _ike(value: DatagramWire) -> IkeDatagram:
    return IkeDatagram(value.local, value.remote, value.data)


def _mapping(value: wire.MappingWire) -> MappingEvent:
    return MappingEvent(id_from_wire(value.id), value.reqid, value.old, value.new)


def _policy_expire(value: wire.PolicyExpireWire) -> PolicyExpireEvent:
    return PolicyExpireEvent(policies.from_wire(value.policy), value.hard)


def _path_mtu(value: PathMtuWire) -> PathMtuEvent:
    return PathMtuEvent(value.remote, value.mtu)


def _stray(value: StrayWire) -> StrayEvent:
    return StrayEvent(value.local, value.remote, value.protocol, value.spi)


def _dropped(value: SampleWire) -> DroppedEvent:
    reason = _DROPS.get(value.reason, f"reason {value.reason}")
    ends = value.source, value.destination
    return DroppedEvent(reason, value.inbound, *ends, value.protocol, value.spi, value.octets)


_DROPS = {int(drop): drop.name for drop in Drop}
"""An engine of another version may know more."""


def _silence(value: SilenceWire) -> SilenceEvent:
    return SilenceEvent(id_from_wire(value.id), value.sending)


_FLUSHES_OF_ESP = (b"\x00", b"\x32", b"\xff")
"""Protocols that a flush may name: any, ESP, and IPSEC_PROTO_ANY."""
_READERS: dict[int, Callable[[bytes], Event]] = {
    Xfrm.ACQUIRE: lambda body: _acquire(wire.parse_acquire(body)),
    Xfrm.EXPIRE: lambda body: _expire(wire.parse_expire(body)),
    Xfrm.MAPPING: lambda body: _mapping(wire.parse_mapping(body)),
    Xfrm.MIGRATE: lambda body: MigrateEvent(moves_from_wire(parse_migrate(body))),
    Xfrm.POLEXPIRE: lambda body: _policy_expire(wire.parse_policy_expire(body)),
    Own.PATH_MTU: lambda body: _path_mtu(parse_path_mtu(body)),
    Own.UNKNOWN_SPI: lambda body: _stray(parse_stray(body)),
    Own.DROPPED: lambda body: _dropped(parse_sample(body)),
    Own.SILENCE: lambda body: _silence(parse_silence(body)),
    Own.IKE_RECEIVED: lambda body: _ike(parse_datagram(body)),
    Own.OVERRUN: lambda _: Overrun(),
    Xfrm.DELSA: lambda body: AssociationsChanged(gone=id_from_wire(parse_sa_id(body))),
    Xfrm.FLUSHSA: lambda body: AssociationsChanged(flushed=body[:1] in _FLUSHES_OF_ESP),
    **dict.fromkeys((Xfrm.NEWSA, Xfrm.UPDSA), lambda _: AssociationsChanged()),
    **dict.fromkeys((Xfrm.NEWPOLICY, Xfrm.UPDPOLICY, Xfrm.DELPOLICY, Xfrm.FLUSHPOLICY), lambda _: PoliciesChanged()),
}


class EventQueue:
    """Events for one reader. What does not fit is dropped, and an Overrun stands in its place."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self._changed = asyncio.Event()
        self._ended = False

    def put(self, event: Event) -> None:
        """Add an event."""
        if len(self._events) < MAX_EVENTS:
            self._events.append(event)
        elif self._events[-1] != Overrun():
            self._events[-1] = Overrun()
        self._changed.set()

    def end(self) -> None:
        """Nothing comes any more; what waits can still be read."""
        self._ended = True
        self._changed.set()

    async def read(self) -> AsyncIterator[Event]:
        """Give events as they come, until the connection ends."""
        while True:
            while self._events:
                yield self._events.popleft()
            if self._ended:
                return
            self._changed.clear()
            await self._changed.wait()
