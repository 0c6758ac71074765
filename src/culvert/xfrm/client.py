"""The one XFRM client: associations, policies and notifications, of the engine or of the kernel."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from culvert.addresses import IPAddress, SocketAddress
from culvert.ipsec.associations import AssociationId, Direction, Encapsulation, Mode, Protocol, SecurityAssociation
from culvert.ipsec.policies import Policy
from culvert.reasons import Drop
from culvert.wire.netlink import family, sizes
from culvert.wire.netlink import links as wire_links
from culvert.wire.netlink.framing import NLM_F_REPLACE, Message, ParseError
from culvert.wire.netlink.migrate import emit_migrate
from culvert.wire.netlink.numbers import HINTS, NO_GROUPS, Groups, Own, Xfrm
from culvert.wire.netlink.policy import emit_policy_id, is_of_a_socket, parse_policy
from culvert.wire.netlink.progress import ProgressWire, emit_progress, parse_progress
from culvert.wire.netlink.replay import ReplayWire
from culvert.wire.netlink.sa import SaWire, emit_sa, emit_sa_id, emit_spi_request, parse_sa
from culvert.wire.netlink.structures import IdWire
from culvert.xfrm import associations, links, migrations, policies, spd
from culvert.xfrm.associations import AssociationState, ReplayState
from culvert.xfrm.errors import NotOursError, XfrmError
from culvert.xfrm.events import Event, EventQueue, read_event
from culvert.xfrm.exchanges import ANSWER_TIMEOUT_S, Exchanges
from culvert.xfrm.links import GifLink
from culvert.xfrm.migrations import Move
from culvert.xfrm.policies import PolicyState
from culvert.xfrm.transport import Transport, engine_transport, kernel_transport

FIRST_SPI = 256
"""Smaller ones are reserved (RFC 4303 section 2.1)."""
LAST_SPI = 2**32 - 1
READ_PER_TURN = 500
"""Entries of a dump that are read before the event loop may do something else: about ten milliseconds."""
_ABSENT = (errno.ESRCH, errno.ENOENT)


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
    def backend(self) -> str:
        """`engine` or `kernel`: what is at the other end."""
        return "engine" if self._exchanges.own_family else "kernel"

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
        await self._ask(Xfrm.NEWSA, self._emit(association))

    async def update_association(self, association: SecurityAssociation) -> None:
        """Complete the larval one of `allocate_spi`, or give a valid one other lifetimes and encapsulation."""
        await self._ask(Xfrm.UPDSA, self._emit(association))

    async def delete_association(self, identity: AssociationId) -> bool:
        """Take an association away. Give False where it was gone already."""
        return await self._found(Xfrm.DELSA, emit_sa_id(associations.id_to_wire(identity)))

    async def association(self, identity: AssociationId, *, keys: bool = False) -> AssociationState | None:
        """Give one association, with its keys for root who asks for them, or None where it is not there."""
        try:
            answer = await self._exchanges.answered(Xfrm.GETSA, emit_sa_id(associations.id_to_wire(identity)))
        except XfrmError as error:
            if error.errno == errno.ESRCH:
                return None
            raise
        return _read(lambda body: associations.from_wire(parse_sa(body), keys=keys), answer)

    async def associations(self, *, keys: bool = False) -> list[AssociationState]:
        """Give all of them, larval ones too, with their keys for root who asks for them."""
        messages = await self._exchanges.dumped(Xfrm.GETSA)
        return await _readable(lambda body: associations.from_wire(parse_sa(body), keys=keys), messages)

    async def count_associations(self) -> int:
        """Count them, larval ones too."""
        return _read(sizes.parse_sad_size, await self._exchanges.answered(Xfrm.GETSADINFO, sizes.emit_size_request()))

    async def flush_associations(self, protocol: Protocol | None = None) -> None:
        """Take all associations away, or those of one protocol."""
        await self._forgiving(Xfrm.FLUSHSA, bytes([protocol.number if protocol else 0]))

    async def replay_state(self, identity: AssociationId) -> ReplayState | None:
        """Give how far the sequence numbers of an association have come, or None where it is not there."""
        body = emit_progress(ProgressWire(associations.id_to_wire(identity), identity.destination))
        try:
            answer = await self._exchanges.answered(Xfrm.GETAE, body)
        except XfrmError as error:
            if error.errno == errno.ESRCH:
                return None
            raise
        progress = _read(parse_progress, answer)
        return associations.replay_from_wire(progress.replay or progress.plain_replay or ReplayWire(0))

    async def set_replay_state(self, state: AssociationState, replay: ReplayState) -> None:
        """Have the sequence numbers of an association go on from elsewhere. The engine refuses that for a cipher that
        must not repeat its nonces.
        """
        body = emit_progress(associations.progress_to_wire(state, replay))
        await self._exchanges.acknowledged(Xfrm.NEWAE, body, NLM_F_REPLACE)

    async def migrate(self, policy: Policy, moves: Sequence[Move], encapsulation: Encapsulation | None = None) -> None:
        """Give the templates of a policy, and their associations, other outer addresses. ESRCH where none moved.

        The associations get this `encapsulation`; None: it stays.
        """
        await self._ask(Xfrm.MIGRATE, emit_migrate(migrations.to_wire(policy, moves, encapsulation)))

    async def allocate_spi(
        self,
        source: IPAddress,
        destination: IPAddress,
        *,
        reqid: int = 0,
        mode: Mode = Mode.TUNNEL,
        protocol: Protocol = Protocol.ESP,
        first: int = FIRST_SPI,
        last: int = LAST_SPI,
    ) -> int:
        """Hold an SPI that nobody has at `destination`; `update_association` completes it."""
        larval = SaWire(IdWire(destination, 0, protocol.number), source, reqid, policies.mode_to_wire(mode))
        body = emit_spi_request(larval, first, last)
        answer = await self._exchanges.answered(Xfrm.ALLOCSPI, body)
        return _read(parse_sa, answer).id.spi

    # Policies

    async def add_policy(self, policy: Policy) -> None:
        """Install a new policy. EEXIST where one has this selector and direction."""
        await self._ask(*spd.add(policy))

    async def update_policy(self, policy: Policy) -> None:
        """Install a policy in place of the one with this selector and direction, or as a new one."""
        await self._ask(*spd.update(policy))

    async def delete_policy(self, policy: Policy) -> bool:
        """Take away the policy of this selector and direction. Give False where it was gone already."""
        return await self._found(*spd.delete(policy))

    async def delete_policy_index(self, index: int) -> bool:
        """Take away the policy that the data plane has under this index. Give False where there is none."""
        return await self._found(Xfrm.DELPOLICY, emit_policy_id(policies.index_to_wire(index)))

    async def policy(self, policy: Policy) -> PolicyState | None:
        """Give what the data plane has for the selector and direction of `policy`, or None."""
        try:
            answer = await self._exchanges.answered(Xfrm.GETPOLICY, emit_policy_id(policies.id_to_wire(policy)))
        except XfrmError as error:
            if error.errno in _ABSENT:
                return None
            raise
        return _read(lambda body: policies.state_from_wire(parse_policy(body)), answer)

    async def policies(self) -> list[Policy]:
        """Give all of them, whoever wrote them."""
        return await _readable(lambda body: policies.from_wire(parse_policy(body)), await self._dumped_policies())

    async def policy_states(self) -> list[PolicyState]:
        """Give all of them with their lifetimes and counters."""
        return await _readable(lambda body: policies.state_from_wire(parse_policy(body)), await self._dumped_policies())

    async def count_policies(self) -> dict[Direction, int]:
        """Count them by direction."""
        answer = await self._exchanges.answered(Xfrm.GETSPDINFO, sizes.emit_size_request())
        size = _read(sizes.parse_spd_size, answer)
        return {Direction.IN: size.inward, Direction.OUT: size.outward, Direction.FORWARD: size.forward}

    async def load_policies(
        self,
        adds: Iterable[Policy] = (),
        updates: Iterable[Policy] = (),
        deletes: Iterable[Policy] = (),
        *,
        flush: bool = False,
    ) -> None:
        """Change very many policies: first `flush` or `deletes`, then `updates`, then `adds`.

        The engine does all or nothing, and raises the first refusal. The kernel does one after the other, and stops
        soon after the first that it refuses. ENOENT where one of `deletes` is not there, EEXIST where one of `adds` is.
        """
        requests = [(int(Xfrm.FLUSHPOLICY), b"")] if flush else [spd.delete(policy) for policy in deletes]
        requests += [spd.update(policy) for policy in updates]
        requests += [spd.add(policy) for policy in adds]
        await self._together(requests)

    async def policy_bodies(self) -> list[bytes]:
        """Give all of them as they travel: who has very many of them reads only what it needs."""
        return [message.body for message in await self._dumped_policies()]

    async def load_policy_bodies(self, bodies: Iterable[bytes]) -> None:
        """Install policies that a data plane held before, as `policy_bodies` gave them. All or nothing."""
        await self._together([(int(Xfrm.NEWPOLICY), body) for body in bodies])

    async def replace_policies(self, wanted: Sequence[Policy], present: Iterable[Policy] | None = None) -> list[Policy]:
        """Make our own policies be `wanted`, and touch nothing that is so already, nor what others wrote.

        `present` are our own and those in the place of one that is wanted; None: looked up.

        Ours are those with an index from OWN_INDEX on, and get one here. Where a policy of others has the selector and
        direction of one of ours, ours takes its place; give those, as they were. All at once where the engine does it.
        Nothing is taken away before all that is wanted is in. EEXIST where two have one selector and direction.
        """
        there = await self.policies() if present is None else present
        changes = spd.changes(there, wanted, at_once=self._exchanges.own_family)
        await self._together(changes.requests)
        return changes.taken_over

    async def flush_policies(self) -> None:
        """Take all policies away."""
        await self._forgiving(Xfrm.FLUSHPOLICY, b"")

    # gif links and paths

    async def set_gif(self, link: GifLink) -> None:
        """Make a gif link, or change the one of this name. ValueError where it is no name of an interface."""
        await self._ask(Own.GIF_SET, wire_links.emit_gif(links.to_wire(link)))

    async def delete_gif(self, name: str) -> bool:
        """Take a gif link and its device away. Give False where there was none."""
        return await self._found(Own.GIF_DELETE, wire_links.emit_gif_name(name))

    async def gifs(self) -> list[GifLink]:
        """Give all gif links."""
        messages = await self._exchanges.dumped(Own.GIF_GET)
        return [_read(lambda body: links.from_wire(wire_links.parse_gif(body)), message) for message in messages]

    async def path_mtus(self) -> dict[IPAddress, int]:
        """Give what was learnt of paths: the longest outer packet, IP header included, by the other gateway."""
        messages = await self._exchanges.dumped(Own.GETPATHMTU)
        return {path.remote: path.mtu for path in (_read(wire_links.parse_path_mtu, message) for message in messages)}

    # Notifications and IKE

    async def subscribe(
        self,
        *,
        acquire: bool = True,
        expire: bool = True,
        ike: bool = True,
        changes: bool = False,
        migrations: bool = False,
        mapping: bool = False,
        path_mtu: bool = False,
        strays: bool = False,
        drops: bool = False,
        silence: bool = False,
    ) -> Groups:
        """Have these told from now on, through `events`. `changes` are those of both tables.

        Give what the engine cannot tell: one that a former version started goes on without hints that came later.
        """
        groups = Groups.ACQUIRE * acquire | Groups.EXPIRE * expire | Groups.IKE * ike
        groups |= (Groups.ASSOCIATIONS | Groups.POLICIES) * changes
        groups |= Groups.MIGRATE * migrations | Groups.MAPPING * mapping | Groups.PATH_MTU * path_mtu
        groups |= Groups.UNKNOWN_SPI * strays | Groups.DROPPED * drops
        groups = Groups(groups | Groups.SILENCE * silence)
        if await self._is_told(groups):
            return NO_GROUPS
        known = groups & ~HINTS
        await self._ask(Own.SUBSCRIBE, family.emit_groups(known))
        for hint in groups & HINTS:
            if await self._is_told(known | hint):
                known |= hint
        return groups & ~known

    async def _is_told(self, groups: Groups) -> bool:
        try:
            await self._ask(Own.SUBSCRIBE, family.emit_groups(groups))
        except XfrmError as error:
            if error.errno != errno.EINVAL:
                raise
            return False
        return True

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
        """Have the engine keep octets in its memory: 32,768 blobs of 256 KiB, 128 MiB in all. ValueError if longer.

        Where it refuses that, what it kept under this key is gone.
        """
        *parts, last = family.emit_blob_in_parts(family.BlobWire(key, data))
        self._exchanges.unawaited(parts)
        await self._ask(*last)

    async def delete_blob(self, key: str) -> bool:
        """Have it forget them. Give False where there were none."""
        return await self._found(Own.BLOB_DELETE, family.emit_key(key))

    async def blobs(self) -> dict[str, bytes]:
        """Give all blobs by key."""
        messages = await self._exchanges.dumped(Own.BLOB_GET)
        try:
            blobs = family.parse_blobs((message.type, message.body) for message in messages)
        except ParseError as error:
            raise XfrmError(errno.EPROTO, f"the data plane's answer cannot be read: {error}") from error
        return {blob.key: blob.data for blob in blobs}

    def keep(self, key: str, data: bytes | None, on_refusal: Callable[[XfrmError], None]) -> None:
        """Do as `put_blob` or, without data, `delete_blob`, without waiting: it is done before what is asked later.

        `on_refusal` takes what is refused, of all that was asked so before too; what cannot be kept is deleted. Raise
        XfrmError where nobody is there to ask.
        """
        self._exchanges.on_refusal = lambda error: None if error.errno == errno.ENOENT else on_refusal(error)
        if data is not None and len(data) > family.MAX_BLOB_OCTETS:
            on_refusal(XfrmError(errno.EMSGSIZE, f"a blob has {family.MAX_BLOB_OCTETS} octets at most"))
            data = None
        if data is None:
            self._exchanges.unawaited([(Own.BLOB_DELETE, family.emit_key(key))])
        else:
            self._exchanges.unawaited(family.emit_blob_in_parts(family.BlobWire(key, data)))

    async def shutdown(self) -> None:
        """Have the engine remove its TUN and socket and end; return when the connection is gone."""
        await self._ask(Own.SHUTDOWN)
        _, waiting = await asyncio.wait([self.closed], timeout=ANSWER_TIMEOUT_S)
        if waiting:
            raise XfrmError(errno.ETIMEDOUT, "the engine said that it would end, and did not")

    async def _ask(self, kind: int, body: bytes = b"") -> None:
        await self._exchanges.acknowledged(kind, body)

    def _emit(self, association: SecurityAssociation) -> bytes:
        sa = associations.to_wire(association)
        return emit_sa(sa if self._exchanges.own_family else associations.for_kernel(sa))

    async def _dumped_policies(self) -> list[Message]:
        """Those of the kernel's sockets are in its dump too, with directions of their own."""
        messages = await self._exchanges.dumped(Xfrm.GETPOLICY)
        return [message for message in messages if not is_of_a_socket(message.body)]

    async def _together(self, requests: Sequence[spd.Request]) -> None:
        if not requests:
            return
        if self._exchanges.own_family:
            await self._exchanges.batch(requests)
        else:
            await self._exchanges.one_after_the_other(requests)

    async def _found(self, kind: int, body: bytes) -> bool:
        """Take something away; give False where it was not there."""
        try:
            await self._ask(kind, body)
        except XfrmError as error:
            if error.errno in _ABSENT:
                return False
            raise
        return True

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


_T = TypeVar("_T")


def _read(parse: Callable[[bytes], _T], message: Message) -> _T:
    """Read an answer. Raise XfrmError where it cannot be read: engine and daemon then differ in version."""
    try:
        return parse(message.body)
    except ParseError as error:
        raise XfrmError(errno.EPROTO, f"the data plane's answer cannot be read: {error}") from error


async def _readable(parse: Callable[[bytes], _T], messages: Sequence[Message]) -> list[_T]:
    """Read a dump; leave out what we have no words for, such as the kernel's IPComp. Others run in between."""
    found: list[_T] = []
    for number, message in enumerate(messages, 1):
        if number % READ_PER_TURN == 0:
            await asyncio.sleep(0)
        try:
            found.append(parse(message.body))
        except NotOursError:
            continue
        except ParseError as error:
            raise XfrmError(errno.EPROTO, f"the data plane's answer cannot be read: {error}") from error
    return found
