"""An engine without packets: it speaks the whole protocol from memory, for tests and simulations of the daemon."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from culvert.addresses import IPAddress, SocketAddress
from culvert.ipsec.associations import AssociationId
from culvert.reasons import Drop
from culvert.wire.netlink import events as event_wire
from culvert.wire.netlink import family
from culvert.wire.netlink.framing import (
    NLM_F_ACK,
    NLM_F_DUMP,
    NLM_F_MULTI,
    Message,
    ParseError,
    acknowledge,
    dump_done,
    pack,
    parse_messages,
)
from culvert.wire.netlink.links import PathMtuWire, emit_gif, emit_path_mtu, parse_gif, parse_gif_name
from culvert.wire.netlink.migrate import parse_migrate
from culvert.wire.netlink.numbers import Groups, Own, Xfrm
from culvert.wire.netlink.policy import emit_policy, parse_policy, parse_policy_id
from culvert.wire.netlink.progress import emit_progress, parse_progress
from culvert.wire.netlink.sa import emit_sa, parse_sa, parse_sa_id, parse_spi_request
from culvert.wire.netlink.samples import SampleWire, emit_sample
from culvert.wire.netlink.silence import SilenceWire, emit_silence
from culvert.wire.netlink.sizes import emit_sad_size, emit_spd_size
from culvert.wire.netlink.strays import StrayWire, emit_stray
from culvert.xfrm.associations import id_to_wire
from culvert.xfrm.client import XfrmClient
from culvert.xfrm.errors import XfrmError
from culvert.xfrm.fake_tables import Associations, Blobs, Links, Policies
from culvert.xfrm.transport import SocketTransport

VERSION = "fake"


class FakeEngine:
    """Holds associations and policies in dictionaries and answers as the engine does.

    `sent` are the IKE datagrams that clients sent. `drops` are its counters. `now_s` stands still until it is set.
    `groups` are those that it knows.
    Needs a running event loop; `close` ends it as a crash would.
    """

    def __init__(self, tun_name: str = "culvert0", mark: int = 0x43554C56, now_s: int = 1) -> None:
        self.associations = Associations()
        self.policies = Policies()
        self.blobs = Blobs()
        self.links = Links()
        self.path_mtus: dict[IPAddress, int] = {}
        self.drops: dict[Drop, int] = {}
        self.groups = ~Groups(0)
        self.sent: list[family.DatagramWire] = []
        self.tun_name, self.mark, self.now_s = tun_name, mark, now_s
        self._sessions: list[_Session] = []
        self._listener: socket.socket | None = None
        self._path: Path | None = None

    def connect(self) -> XfrmClient:
        """Give a client that speaks to this engine over a pair of sockets."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._sessions.append(_Session(self, ours))
        return XfrmClient(SocketTransport(theirs, own_family=True))

    def listen(self, path: Path) -> None:
        """Accept clients at `path`, as the engine does."""
        self._path = path
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.setblocking(False)
        self._listener.bind(str(path))
        self._listener.listen()
        asyncio.get_running_loop().add_reader(self._listener, self._accept, self._listener)

    def close(self) -> None:
        """End, and with it every connection."""
        if self._listener is not None and self._path is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._path.unlink(missing_ok=True)
            self._listener = None
        for session in self._sessions:
            session.close()
        self._sessions.clear()

    def receive_ike(self, local: SocketAddress, remote: SocketAddress, data: bytes) -> None:
        """Have an IKE message arrive."""
        body = family.emit_datagram(family.DatagramWire(local, remote, data))
        self.notify(Groups.IKE, Own.IKE_RECEIVED, body)

    def acquire(self, value: event_wire.AcquireWire) -> None:
        """Have a packet meet a policy without an association."""
        self.notify(Groups.ACQUIRE, Xfrm.ACQUIRE, event_wire.emit_acquire(value))

    def expire(self, identity: AssociationId, hard: bool) -> None:
        """Have an association pass a limit; the hard one removes it."""
        sa = self.associations.find(id_to_wire(identity))
        if hard:
            self.associations.remove(sa.id)
        self.notify(Groups.EXPIRE, Xfrm.EXPIRE, event_wire.emit_expire(event_wire.ExpireWire(sa, hard)))

    def rebind(self, identity: AssociationId, old: SocketAddress, new: SocketAddress) -> None:
        """Have authentic packets of an association come from another address or port."""
        sa = self.associations.find(id_to_wire(identity))
        mapping = event_wire.MappingWire(sa.id, sa.reqid, old, new)
        self.notify(Groups.MAPPING, Xfrm.MAPPING, event_wire.emit_mapping(mapping))

    def learn_path_mtu(self, remote: IPAddress, mtu: int) -> None:
        """Have an ICMP say that packets to `remote` are too big."""
        self.path_mtus[remote] = mtu
        self.notify(Groups.PATH_MTU, Own.PATH_MTU, emit_path_mtu(PathMtuWire(remote, mtu)))

    def stray(self, value: StrayWire) -> None:
        """Have a packet come for an association that is not there."""
        self.notify(Groups.UNKNOWN_SPI, Own.UNKNOWN_SPI, emit_stray(value))

    def drop(self, value: SampleWire) -> None:
        """Have a packet be dropped, which is told to who wants to see some."""
        self.notify(Groups.DROPPED, Own.DROPPED, emit_sample(value))

    def fall_silent(self, identity: AssociationId, sending: bool) -> None:
        """Have nothing come on an inbound association for a while."""
        silence = SilenceWire(id_to_wire(identity), sending)
        self.notify(Groups.SILENCE, Own.SILENCE, emit_silence(silence))

    def overrun(self) -> None:
        """Tell all subscribers that notifications were lost."""
        self.notify(Groups(sum(Groups)), Own.OVERRUN, b"")

    def notify(self, group: Groups, kind: int, body: bytes) -> None:
        """Tell those who subscribed to one of `group`."""
        for session in self._sessions:
            if session.groups & group:
                session.send([Message(kind, body=body)])

    def _accept(self, listener: socket.socket) -> None:
        sock, _ = listener.accept()
        self._sessions.append(_Session(self, sock))

    def forget(self, session: _Session) -> None:
        """A client hung up."""
        if session in self._sessions:
            self._sessions.remove(session)


class _Session:
    """One client. Its batch is its own until it is committed."""

    def __init__(self, engine: FakeEngine, sock: socket.socket) -> None:
        self.groups = Groups(0)
        self._engine = engine
        self._batch: Policies | None = None
        self._spoiled = False
        self._parts = b""
        self._transport = SocketTransport(sock, own_family=True)
        self._transport.start(self._received, lambda _: engine.forget(self))
        self._handlers: dict[int, Callable[[Message], None]] = {
            Xfrm.NEWSA: self._new_sa,
            Xfrm.UPDSA: self._new_sa,
            Xfrm.DELSA: lambda message: self._engine.associations.remove(parse_sa_id(message.body)),
            Xfrm.GETSA: self._get_sa,
            Xfrm.ALLOCSPI: self._allocate,
            Xfrm.FLUSHSA: lambda message: self._engine.associations.flush(message.body[0] if message.body else 0),
            Xfrm.GETSADINFO: self._sad_size,
            Xfrm.GETSPDINFO: self._spd_size,
            Xfrm.GETAE: self._get_progress,
            Xfrm.NEWAE: lambda message: self._engine.associations.set_progress(parse_progress(message.body)),
            Xfrm.MIGRATE: self._migrate,
            Xfrm.NEWPOLICY: self._new_policy,
            Xfrm.UPDPOLICY: self._new_policy,
            Xfrm.DELPOLICY: lambda message: self._policies().remove(parse_policy_id(message.body)),
            Xfrm.GETPOLICY: self._get_policy,
            Xfrm.FLUSHPOLICY: lambda _: self._policies().flush(),
            Own.SUBSCRIBE: self._subscribe,
            Own.BARRIER: lambda _: None,
            Own.BATCH_BEGIN: self._begin,
            Own.BATCH_COMMIT: self._commit,
            Own.BATCH_ABORT: self._abort,
            Own.IKE_SEND: lambda message: self._engine.sent.append(family.parse_datagram(message.body)),
            Own.GETCOUNTERS: self._counters,
            Own.GETINFO: self._info,
            Own.BLOB_PART: self._take_part,
            Own.BLOB_PUT: self._put_blob,
            Own.BLOB_DELETE: lambda message: self._engine.blobs.remove(family.parse_key(message.body)),
            Own.BLOB_GET: self._get_blobs,
            Own.GIF_SET: lambda message: self._engine.links.put(parse_gif(message.body)),
            Own.GIF_DELETE: lambda message: self._engine.links.remove(parse_gif_name(message.body)),
            Own.GIF_GET: self._get_links,
            Own.GETPATHMTU: self._get_path_mtus,
            Own.SHUTDOWN: lambda _: None,
        }

    def send(self, messages: Iterable[Message]) -> None:
        """Send messages, as many in a datagram as fit."""
        for datagram in pack(messages):
            self._transport.send(datagram)

    def close(self) -> None:
        """Hang up."""
        self._transport.close()

    def _received(self, datagram: bytes) -> None:
        try:
            messages = parse_messages(datagram)
        except ParseError:
            return
        for message in messages:
            self._handle(message)

    def _handle(self, message: Message) -> None:
        handler = self._handlers.get(message.type)
        try:
            if handler is None:
                raise XfrmError(errno.EOPNOTSUPP, f"message {message.type:#x} is not known")
            handler(message)
        except ParseError as error:
            self._refuse(message, XfrmError(errno.EINVAL, str(error)))
        except XfrmError as error:
            self._refuse(message, error)
        else:
            self._done(message)

    def _done(self, message: Message) -> None:
        if message.flags & NLM_F_ACK and not _is_dump(message):
            self.send([acknowledge(message)])
        if message.type == Own.SHUTDOWN:
            self._engine.close()

    def _refuse(self, message: Message, error: XfrmError) -> None:
        if self._batch is not None and Xfrm.NEWPOLICY <= message.type <= Xfrm.FLUSHPOLICY:
            if self._spoiled:
                return
            self._spoiled = True
        self.send([acknowledge(message, error.errno, error.message)])

    def _dump(self, request: Message, kind: int, bodies: Iterable[bytes]) -> None:
        answers = [Message(kind, NLM_F_MULTI, request.sequence, 0, body) for body in bodies]
        self.send([*answers, dump_done(request)])

    def _answer(self, request: Message, kind: int, body: bytes) -> None:
        self.send([Message(kind, 0, request.sequence, 0, body)])

    def _new_sa(self, message: Message) -> None:
        table = self._engine.associations
        change = table.add if message.type == Xfrm.NEWSA else table.update
        sa = parse_sa(message.body)
        change(sa, self._engine.now_s)
        hidden = replace(sa, aead=None, crypt=None, auth=None, auth_truncated=None)
        self._engine.notify(Groups.ASSOCIATIONS, message.type, emit_sa(hidden))

    def _get_sa(self, message: Message) -> None:
        table = self._engine.associations
        if _is_dump(message):
            self._dump(message, Xfrm.NEWSA, [emit_sa(sa) for sa in table.by_id.values()])
        else:
            self._answer(message, Xfrm.NEWSA, emit_sa(table.find(parse_sa_id(message.body))))

    def _allocate(self, message: Message) -> None:
        sa = self._engine.associations.allocate(*parse_spi_request(message.body))
        self._answer(message, Xfrm.NEWSA, emit_sa(sa))

    def _sad_size(self, message: Message) -> None:
        self._answer(message, Xfrm.NEWSADINFO, emit_sad_size(len(self._engine.associations.by_id)))

    def _spd_size(self, message: Message) -> None:
        self._answer(message, Xfrm.NEWSPDINFO, emit_spd_size(self._engine.policies.size()))

    def _get_progress(self, message: Message) -> None:
        progress = self._engine.associations.progress(parse_progress(message.body))
        self._answer(message, Xfrm.NEWAE, emit_progress(progress))

    def _migrate(self, message: Message) -> None:
        value = parse_migrate(message.body)
        moved = self._engine.policies.move(value) + self._engine.associations.move(value.moves, value.encapsulation)
        if not moved:
            raise XfrmError(errno.ESRCH, "nothing of this policy has these ends")
        self._engine.notify(Groups.MIGRATE, Xfrm.MIGRATE, message.body)

    def _policies(self) -> Policies:
        return self._engine.policies if self._batch is None else self._batch

    def _new_policy(self, message: Message) -> None:
        self._policies().add(parse_policy(message.body), message.type == Xfrm.UPDPOLICY, self._engine.now_s)
        if self._batch is None:
            self._engine.notify(Groups.POLICIES, message.type, message.body)

    def _get_policy(self, message: Message) -> None:
        policies = self._engine.policies
        if _is_dump(message):
            self._dump(message, Xfrm.NEWPOLICY, [emit_policy(policy) for policy in policies.by_key.values()])
        else:
            self._answer(message, Xfrm.NEWPOLICY, emit_policy(policies.find(parse_policy_id(message.body))))

    def _begin(self, _: Message) -> None:
        self._batch, self._spoiled = self._engine.policies.copy(), False

    def _commit(self, _: Message) -> None:
        batch, spoiled = self._batch, self._spoiled
        self._batch, self._spoiled = None, False
        if batch is None:
            raise XfrmError(errno.EINVAL, "no batch was begun")
        if spoiled:
            raise XfrmError(errno.ECANCELED, "a message of the batch was refused")
        self._engine.policies = batch
        self._engine.notify(Groups.POLICIES, Xfrm.FLUSHPOLICY, b"")

    def _abort(self, _: Message) -> None:
        self._batch, self._spoiled = None, False

    def _subscribe(self, message: Message) -> None:
        groups = family.parse_groups(message.body)
        if groups & ~self._engine.groups:
            raise XfrmError(errno.EINVAL, "there is no such group")
        self.groups = groups

    def _counters(self, message: Message) -> None:
        counters = tuple((int(reason), packets) for reason, packets in self._engine.drops.items())
        self._answer(message, Own.GETCOUNTERS, family.emit_drops(counters))

    def _info(self, message: Message) -> None:
        info = family.InfoWire(VERSION, os.getpid(), self._engine.tun_name, self._engine.mark)
        self._answer(message, Own.GETINFO, family.emit_info(info))

    def _put_blob(self, message: Message) -> None:
        blob, parts = family.parse_blob(message.body), self._parts
        self._parts = b""
        self._engine.blobs.put(blob.key, parts + blob.data)

    def _take_part(self, message: Message) -> None:
        self._parts += family.parse_part(message.body)
        if len(self._parts) > family.MAX_BLOB_OCTETS:
            raise XfrmError(errno.EMSGSIZE, f"a blob has at most {family.MAX_BLOB_OCTETS} octets")

    def _get_blobs(self, message: Message) -> None:
        blobs = sorted(self._engine.blobs.by_key.items())
        parts = [part for key, data in blobs for part in family.emit_blob_in_parts(family.BlobWire(key, data))]
        answers = [Message(kind, NLM_F_MULTI, message.sequence, 0, body) for kind, body in parts]
        self.send([*answers, dump_done(message)])

    def _get_links(self, message: Message) -> None:
        self._dump(message, Own.GIF_SET, [emit_gif(link) for link in self._engine.links.by_name.values()])

    def _get_path_mtus(self, message: Message) -> None:
        found = self._engine.path_mtus.items()
        self._dump(message, Own.PATH_MTU, [emit_path_mtu(PathMtuWire(remote, mtu)) for remote, mtu in found])


def _is_dump(message: Message) -> bool:
    return message.flags & NLM_F_DUMP == NLM_F_DUMP
