"""The one XFRM client: associations, policies and notifications, of the engine or of the kernel."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from culvert.addresses import IPAddress, SocketAddress
from culvert.ipsec.associations import AssociationId, Direction, Mode, Protocol, SecurityAssociation
from culvert.ipsec.policies import Policy
from culvert.ipsec.selectors import Selector
from culvert.reasons import Drop
from culvert.wire.netlink import family
from culvert.wire.netlink.framing import Message, ParseError
from culvert.wire.netlink.numbers import NO_GROUPS, Groups, Own, Xfrm
from culvert.wire.netlink.policy import emit_policy, emit_policy_id, parse_policy
from culvert.wire.netlink.sa import SaWire, emit_sa, emit_sa_id, emit_spi_request, parse_sa
from culvert.wire.netlink.structures import IdWire
from culvert.xfrm import associations, policies
from culvert.xfrm.associations import AssociationState
from culvert.xfrm.errors import XfrmError
from culvert.xfrm.events import Event, EventQueue, read_event
from culvert.xfrm.exchanges import ANSWER_TIMEOUT_S, Exchanges
from culvert.xfrm.transport import Transport, engine_transport, kernel_transport

FIRST_SPI = 256
"""Smaller ones are reserved (RFC 4303 section 2.1)."""
LAST_SPI = 2**32 - 1


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What the engine says of itself."""

    version: str
    pid: int
    tun_name: str
    mark: int
    features: tuple[str, ...]


class XfrmClient:
    """One connection to a data plane. Every call raises XfrmError where it is refused or nobody answers.

    `closed` resolves with the reason within milliseconds of the data plane's end.
    """

    def __init__(self, transport: Transport) -> None:
        self._events = EventQueue()
        self._exchanges = Exchanges(transport, self._notified)
        self._exchanges.closed.add_done_callback(lambda _: self._events.end())

    @classmethod
    async def connect(cls, path: Path | str) -> XfrmClient:
        """Connect to the engine that listens at `path`."""
        return cls(await engine_transport(Path(path)))

    @classmethod
    def kernel(cls, groups: Groups = NO_GROUPS) -> XfrmClient:
        """Speak to the kernel of this network namespace, which has none of our own family."""
        return cls(kernel_transport(groups))

    @property
    def closed(self) -> asyncio.Future[XfrmError]:
        """Resolves with the reason when the connection ends."""
        return self._exchanges.closed

    def close(self) -> None:
        """End the connection; the data plane goes on."""
        self._exchanges.close()

    # Security associations

    async def add_association(self, association: SecurityAssociation) -> None:
        """Install a new association. EEXIST where one has this destination, SPI and protocol."""
        await self._ask(Xfrm.NEWSA, emit_sa(associations.to_wire(association)))

    async def update_association(self, association: SecurityAssociation) -> None:
        """Complete the larval one of `allocate_spi`, or give a valid one other lifetimes and encapsulation."""
        await self._ask(Xfrm.UPDSA, emit_sa(associations.to_wire(association)))

    async def delete_association(self, identity: AssociationId) -> bool:
        """Take an association away. Give False where it was gone already."""
        try:
            await self._ask(Xfrm.DELSA, emit_sa_id(associations.id_to_wire(identity)))
        except XfrmError as error:
            if error.errno == errno.ESRCH:
                return False
            raise
        return True

    async def association(self, identity: AssociationId) -> AssociationState | None:
        """Give one association, or None where it is not there."""
        try:
            answer = await self._exchanges.answered(Xfrm.GETSA, emit_sa_id(associations.id_to_wire(identity)))
        except XfrmError as error:
            if error.errno == errno.ESRCH:
                return None
            raise
        return _state(answer)

    async def associations(self) -> list[AssociationState]:
        """Give all of them, larval ones too, without keys."""
        return [_state(message) for message in await self._exchanges.dumped(Xfrm.GETSA)]

    async def flush_associations(self) -> None:
        """Take all associations away."""
        await self._forgiving(Xfrm.FLUSHSA, bytes([0]))

    async def allocate_spi(
        self,
        source: IPAddress,
        destination: IPAddress,
        *,
        reqid: int = 0,
        mode: Mode = Mode.TUNNEL,
        protocol: Protocol = Protocol.ESP,
    ) -> int:
        """Hold an SPI that nobody has at `destination`; `update_association` completes it."""
        larval = SaWire(IdWire(destination, 0, protocol.number), source, reqid, policies.mode_to_wire(mode))
        body = emit_spi_request(larval, FIRST_SPI, LAST_SPI)
        answer = await self._exchanges.answered(Xfrm.ALLOCSPI, body)
        return _read(parse_sa, answer).id.spi

    # Policies

    async def add_policy(self, policy: Policy) -> None:
        """Install a new policy. EEXIST where one has this selector and direction."""
        await self._ask(Xfrm.NEWPOLICY, emit_policy(policies.to_wire(policy)))

    async def delete_policy(self, policy: Policy) -> bool:
        """Take away the policy of this selector and direction. Give False where it was gone already."""
        try:
            await self._ask(Xfrm.DELPOLICY, emit_policy_id(policies.id_to_wire(policy)))
        except XfrmError as error:
            if error.errno in (errno.ESRCH, errno.ENOENT):
                return False
            raise
        return True

    async def policies(self) -> list[Policy]:
        """Give all of them."""
        messages = await self._exchanges.dumped(Xfrm.GETPOLICY)
        return [_read(lambda body: policies.from_wire(parse_policy(body)), message) for message in messages]

    async def replace_policies(self, wanted: Sequence[Policy]) -> None:
        """Make the SPD be `wanted`, and touch nothing that is so already. All at once where the engine does it.

        Nothing is taken away before all that is wanted is in. EEXIST where two have one selector and direction.
        """
        changes = _changes(await self.policies(), wanted)
        if not changes:
            return
        if self._exchanges.own_family:
            await self._exchanges.batch(changes)
        else:
            for kind, body in changes:
                await self._ask(kind, body)

    async def flush_policies(self) -> None:
        """Take all policies away."""
        await self._forgiving(Xfrm.FLUSHPOLICY, b"")

    # Notifications and IKE

    async def subscribe(
        self, *, acquire: bool = True, expire: bool = True, ike: bool = True, changes: bool = False
    ) -> None:
        """Have these told from now on, through `events`."""
        groups = Groups.ACQUIRE * acquire | Groups.EXPIRE * expire | Groups.IKE * ike
        groups |= (Groups.ASSOCIATIONS | Groups.POLICIES) * changes
        await self._ask(Own.SUBSCRIBE, family.emit_groups(Groups(groups)))

    def events(self) -> AsyncIterator[Event]:
        """Give events as they come; it ends with the connection. For one reader."""
        return self._events.read()

    async def send_ike(self, local: SocketAddress, remote: SocketAddress, data: bytes) -> None:
        """Send an IKE message, or the one octet 0xff as a NAT keepalive; the engine writes the marker."""
        await self._ask(Own.IKE_SEND, family.emit_datagram(family.DatagramWire(local, remote, data)))

    # The engine itself

    async def barrier(self) -> None:
        """Return when every packet from now on meets all that was asked before."""
        await self._ask(Own.BARRIER)

    async def counters(self) -> dict[Drop, int]:
        """Give the dropped packets by reason, those that are not zero."""
        answer = await self._exchanges.answered(Own.GETCOUNTERS)
        return _read(lambda body: associations.drops_from_wire(family.parse_drops(body)), answer)

    async def info(self) -> EngineInfo:
        """Ask the engine who it is."""
        info = _read(family.parse_info, await self._exchanges.answered(Own.GETINFO))
        return EngineInfo(info.version, info.pid, info.tun_name, info.mark, info.features)

    async def put_blob(self, key: str, data: bytes) -> None:
        """Have the engine keep octets in its memory: 1,024 blobs of 16 KiB. ValueError where it is longer."""
        await self._ask(Own.BLOB_PUT, family.emit_blob(family.BlobWire(key, data)))

    async def delete_blob(self, key: str) -> bool:
        """Have it forget them. Give False where there were none."""
        try:
            await self._ask(Own.BLOB_DELETE, family.emit_key(key))
        except XfrmError as error:
            if error.errno in (errno.ESRCH, errno.ENOENT):
                return False
            raise
        return True

    async def blobs(self) -> dict[str, bytes]:
        """Give all blobs by key."""
        messages = await self._exchanges.dumped(Own.BLOB_GET)
        return {blob.key: blob.data for blob in (_read(family.parse_blob, message) for message in messages)}

    async def shutdown(self) -> None:
        """Have the engine remove its TUN and socket and end; return when the connection is gone."""
        await self._ask(Own.SHUTDOWN)
        _, waiting = await asyncio.wait([self.closed], timeout=ANSWER_TIMEOUT_S)
        if waiting:
            raise XfrmError(errno.ETIMEDOUT, "the engine said that it would end, and did not")

    async def _ask(self, kind: int, body: bytes = b"") -> None:
        await self._exchanges.acknowledged(kind, body)

    async def _forgiving(self, kind: int, body: bytes) -> None:
        """A flush of what is empty is ESRCH with the kernel; nothing is wrong then."""
        try:
            await self._ask(kind, body)
        except XfrmError as error:
            if error.errno != errno.ESRCH:
                raise

    def _notified(self, message: Message) -> None:
        """Raise ParseError, which ends the connection."""
        event = read_event(message)
        if event is not None:
            self._events.put(event)


_Key = tuple[Selector, Direction]


def _changes(present: Iterable[Policy], wanted: Iterable[Policy]) -> list[tuple[int, bytes]]:
    before = {_key(policy): policy for policy in present}
    after: dict[_Key, Policy] = {}
    for policy in wanted:
        if _key(policy) in after:
            raise XfrmError(errno.EEXIST, f"two policies {policy.direction} for {policy.selector}")
        after[_key(policy)] = policy
    changes: list[tuple[int, bytes]] = [
        (Xfrm.UPDPOLICY if key in before else Xfrm.NEWPOLICY, emit_policy(policies.to_wire(policy)))
        for key, policy in after.items()
        if before.get(key) != policy
    ]
    gone = (policy for key, policy in before.items() if key not in after)
    return changes + [(Xfrm.DELPOLICY, emit_policy_id(policies.id_to_wire(policy))) for policy in gone]


def _key(policy: Policy) -> _Key:
    return policy.selector, policy.direction


_T = TypeVar("_T")


def _read(parse: Callable[[bytes], _T], message: Message) -> _T:
    """Read an answer. Raise XfrmError where it cannot be read: engine and daemon then differ in version."""
    try:
        return parse(message.body)
    except ParseError as error:
        raise XfrmError(errno.EPROTO, f"the data plane's answer cannot be read: {error}") from error


def _state(message: Message) -> AssociationState:
    return _read(lambda body: associations.from_wire(parse_sa(body)), message)
