"""What a later process needs to go on with a lineage, as octets and back.

Everything is found by the names of its fields (`wire.plain`), so another version of the program reads it too. Where a
field that stays comes to mean something else, `VERSION` is raised: such a checkpoint is refused, and the tunnel is made
anew. The peer's configuration is written beside it, so that the later process sees whether it still is the same.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from culvert.addresses import SocketAddress
from culvert.config.model import Child, Origin, Peer, Rekey
from culvert.crypto.key_exchange import STATES, KeyExchangeState, resume
from culvert.crypto.keys import IkeKeys
from culvert.crypto.transforms import BY_NAME, Encryption, Integrity, KeyExchange, Prf
from culvert.identities import Identity
from culvert.ike.negotiation import Suite
from culvert.ike.timers import Owner, Timer
from culvert.ike.v2.sa import (
    ChildOffer,
    ChildSa,
    CreateChild,
    DeleteChild,
    DeleteIke,
    IkeOffer,
    IkeSa,
    InvalidSpi,
    Lineage,
    Liveness,
    Outstanding,
    Refuse,
    RekeyChild,
    RekeyIke,
    SetUp,
    Window,
)
from culvert.ipsec.associations import Direction, Encapsulation, SecurityAssociation
from culvert.ipsec.lifetimes import Lifetimes
from culvert.ipsec.proposals import Proposal
from culvert.ipsec.selectors import PortRange, Selector, TrafficSelector
from culvert.limits import MAX_CHECKPOINT_OCTETS
from culvert.wire.plain import Codec, Leaf, Reader, UnreadableError

VERSION = 2
"""Raised where what is written would be understood wrongly, not where fields come or go."""
_MAGIC = b"CVTI"
_HEAD = struct.Struct("!4sHIQIIII")
"""Then the version, a checksum of all that follows it, the instant of writing, and the octets of both layouts, of the
configuration and of what is pending.
"""
_CHECKED_FROM = 10


@dataclass(frozen=True, slots=True)
class Deadline:
    """A timer that is set."""

    timer: Timer
    owner: Owner
    at: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A lineage with its IKE SAs, the closed ones that still answer among them, and its deadlines."""

    lineage: Lineage
    sas: tuple[IkeSa, ...]
    deadlines: tuple[Deadline, ...] = ()


@dataclass(frozen=True, slots=True)
class Pending:
    """What the data plane is told right after: an association of the child with this inbound SPI is installed, or where
    it stands as `before`, moved.
    """

    spi_in: int
    direction: Direction
    before: SecurityAssociation | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """How a peer is configured. Of secrets and certificates there is a digest in place of the values."""

    peer: Peer
    identity: Identity | None
    proofs: bytes = field(repr=False)

    @classmethod
    def of(cls, peer: Peer, identity: Identity | None) -> Known:
        """`identity` is the gateway's; it matters where the peer has no `local_identity`."""
        bare = replace(peer, secret=None, secret_from="", secrets=(), credential=None, trust=None, origin=Origin())
        return cls(bare, None if peer.local_identity else identity, _digest_of_secrets(peer))


def _digest_of_secrets(peer: Peer) -> bytes:
    digest = hashlib.sha256(peer.secret or b"")
    for address, secret in peer.secrets:
        digest.update(address.packed + hashlib.sha256(secret.octets).digest())
    return digest.digest()


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint that was read. `peer` is who it was read for, `known` how that one was configured."""

    written_at: int
    peer: Peer
    known: Known
    pending: tuple[Pending, ...]
    snapshot: Snapshot


def write_known(known: Known) -> bytes:
    """Write a configuration; it is worth keeping, for every checkpoint of the peer's lineages has it."""
    return _CONFIGURATION.write(known)


def write_snapshot(snapshot: Snapshot) -> bytes:
    """Write what changes from message to message."""
    return _STATE.write(snapshot)


def write(now: int, known: bytes, pending: tuple[Pending, ...], snapshot: bytes) -> bytes:
    """Put a checkpoint together. The parts were written by the functions above."""
    told = _STATE.write(pending)
    head = _HEAD.pack(_MAGIC, VERSION, 0, now, len(_LAYOUT), len(_KNOWN_LAYOUT), len(known), len(told))
    return sealed(b"".join((head, _LAYOUT, _KNOWN_LAYOUT, known, told, snapshot)))


def sealed(octets: bytes) -> bytes:
    """Enter the checksum of a checkpoint."""
    checked = octets[_CHECKED_FROM:]
    return octets[: _CHECKED_FROM - 4] + zlib.crc32(checked).to_bytes(4, "big") + checked


class Parser:
    """Reads checkpoints; what they have in common is read once. `fitting` gives the peer of a configuration."""

    def __init__(self, fitting: Callable[[Known], Peer]) -> None:
        self._fitting = fitting
        self._readers: dict[tuple[Codec, bytes], Reader] = {}
        self._known: dict[tuple[bytes, bytes], tuple[Known, Peer]] = {}

    def parse(self, octets: bytes) -> Checkpoint:
        """Read a checkpoint. Raise UnreadableError, which says what is wrong with it."""
        if len(octets) > MAX_CHECKPOINT_OCTETS or len(octets) < _HEAD.size:
            raise UnreadableError(f"{len(octets)} octets are no checkpoint")
        magic, version, checksum, written_at, *lengths = _HEAD.unpack_from(octets)
        if magic != _MAGIC:
            raise UnreadableError("no checkpoint of an IKE SA")
        if version != VERSION:
            raise UnreadableError(f"a checkpoint of version {version}, where {VERSION} is read")
        if checksum != zlib.crc32(octets[_CHECKED_FROM:]):
            raise UnreadableError("a checkpoint that is damaged")
        layout, known_layout, configuration, told, state = _cut(octets[_HEAD.size :], lengths)
        (known, peer), reader = self._configuration(known_layout, configuration), self._reader(_STATE, layout)
        pending = reader.read(told, tuple[Pending, ...], peer)
        return Checkpoint(written_at, peer, known, pending, reader.read(state, Snapshot, peer))

    def _reader(self, codec: Codec, layout: bytes) -> Reader:
        if (codec, layout) not in self._readers:
            self._readers[codec, layout] = codec.reader(_inflate(layout))
        return self._readers[codec, layout]

    def _configuration(self, layout: bytes, octets: bytes) -> tuple[Known, Peer]:
        if (layout, octets) not in self._known:
            known = self._reader(_CONFIGURATION, layout).read(octets, Known)
            self._known[layout, octets] = known, self._fitting(known)
        return self._known[layout, octets]


def _cut(octets: bytes, lengths: list[int]) -> list[bytes]:
    if sum(lengths) > len(octets):
        raise UnreadableError("a checkpoint that ends in the middle")
    parts, at = [], 0
    for length in (*lengths, len(octets) - sum(lengths)):
        parts.append(octets[at : at + length])
        at += length
    return parts


def _inflate(octets: bytes) -> bytes:
    """Raise UnreadableError for what is damaged or becomes too long."""
    inflater = zlib.decompressobj()
    try:
        whole = inflater.decompress(octets, MAX_CHECKPOINT_OCTETS)
    except zlib.error:
        raise UnreadableError("a part that cannot be unpacked") from None
    if not inflater.eof or inflater.unused_data:
        raise UnreadableError("a part that cannot be unpacked")
    return whole


def _named(kind: type[Any]) -> Leaf:
    """Algorithms are written by the names that proposals have for them."""

    def read(value: Any, _context: Any) -> Any:
        found = BY_NAME.get(value) if type(value) is str else None
        if not isinstance(found, kind):
            raise UnreadableError(f"no {kind.__name__} of a name that is known here")
        return found

    return Leaf(kind, (kind,), lambda value: value.name, read)


def _peer(value: Any, context: Any) -> Peer:
    if value != context.name:
        raise UnreadableError("the lineage of another peer")
    peer: Peer = context
    return peer


def _child(value: Any, context: Any) -> Child:
    children: tuple[Child, ...] = context.children
    found = next((child for child in children if child.name == value), None)
    if found is None:
        raise UnreadableError("a child that the peer does not have")
    return found


def _exchange(value: Any, _context: Any) -> KeyExchangeState:
    if type(value) is not list or len(value) != 2:
        raise UnreadableError("no key exchange")
    method: KeyExchange = _METHOD.read(value[0], None)
    try:
        return resume(method, bytes.fromhex(value[1]))
    except (ValueError, TypeError):
        raise UnreadableError("no private key of its method") from None


def _owner(value: Any, _context: Any) -> Owner:
    if type(value) not in (int, str):
        raise UnreadableError("no owner of a timer")
    owner: Owner = value
    return owner


_METHOD = _named(KeyExchange)
_ALGORITHMS = (_named(Encryption), _named(Integrity), _named(Prf), _METHOD)
_STATE = Codec(
    (
        Snapshot,
        Deadline,
        Pending,
        Lineage,
        IkeSa,
        ChildSa,
        Window,
        Outstanding,
        ChildOffer,
        IkeOffer,
        SetUp,
        CreateChild,
        RekeyChild,
        RekeyIke,
        DeleteChild,
        DeleteIke,
        Refuse,
        InvalidSpi,
        Liveness,
        IkeKeys,
        Suite,
        Identity,
        SocketAddress,
        SecurityAssociation,
        Encapsulation,
        Lifetimes,
        Selector,
        TrafficSelector,
        PortRange,
    ),
    (
        *_ALGORITHMS,
        Leaf(Peer, (Peer,), lambda peer: peer.name, _peer),
        Leaf(Child, (Child,), lambda child: child.name, _child),
        Leaf(KeyExchangeState, STATES, lambda state: (state.method.name, state.private.hex()), _exchange),
        Leaf(Owner, (), str, _owner),
    ),
)
_CONFIGURATION = Codec(
    (Known, Peer, Child, Proposal, Rekey, Origin, Identity, TrafficSelector, PortRange),
    _ALGORITHMS,
)
_LAYOUT, _KNOWN_LAYOUT = zlib.compress(_STATE.layout), zlib.compress(_CONFIGURATION.layout)
"""Packed, for they are in every checkpoint; what differs is not: packing it would cost more than all the rest."""
