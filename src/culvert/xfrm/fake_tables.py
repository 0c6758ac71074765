"""The tables of the fake engine: associations, policies and blobs, with the answers that the real ones give."""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from culvert.crypto.transforms import ENCRYPTION, INTEGRITY
from culvert.wire.netlink.family import MAX_BLOB_OCTETS, MAX_BLOBS, MAX_BLOBS_OCTETS
from culvert.wire.netlink.links import GifWire
from culvert.wire.netlink.migrate import MigrateWire, MoveWire
from culvert.wire.netlink.policy import POLICY_FORWARD, POLICY_IN, POLICY_OUT, PolicyIdWire, PolicyWire, TemplateWire
from culvert.wire.netlink.progress import ProgressWire
from culvert.wire.netlink.replay import ReplayWire
from culvert.wire.netlink.sa import EncapsulationWire, SaWire
from culvert.wire.netlink.sizes import SpdSizeWire
from culvert.wire.netlink.structures import CurrentWire, IdWire, SelectorWire
from culvert.xfrm.errors import XfrmError

PolicyKey = tuple[SelectorWire, int]


def is_larval(sa: SaWire) -> bool:
    """Whether only its SPI is held."""
    return not (sa.aead or sa.crypt or sa.auth or sa.auth_truncated)


class Associations:
    """The SAD."""

    def __init__(self) -> None:
        self.by_id: dict[IdWire, SaWire] = {}

    def add(self, sa: SaWire, now_s: int) -> None:
        """NEWSA."""
        if is_larval(sa):
            raise XfrmError(errno.EINVAL, "the association has no algorithm")
        _refuse_legacy(sa)
        if sa.id in self.by_id:
            raise XfrmError(errno.EEXIST, "there is an association with this destination, SPI and protocol")
        self.by_id[sa.id] = replace(sa, current=CurrentWire(added_at_s=now_s))

    def update(self, sa: SaWire, now_s: int) -> None:
        """UPDSA: a larval one is completed, a valid one keeps keys and counters."""
        present = self.find(sa.id)
        _refuse_legacy(sa)
        if is_larval(present):
            self.by_id[sa.id] = replace(sa, current=CurrentWire(added_at_s=now_s))
        else:
            self.by_id[sa.id] = replace(present, lifetime=sa.lifetime, encapsulation=sa.encapsulation)

    def find(self, identity: IdWire) -> SaWire:
        """GETSA."""
        try:
            return self.by_id[identity]
        except KeyError:
            raise XfrmError(errno.ESRCH, "there is no such association") from None

    def remove(self, identity: IdWire) -> None:
        """DELSA."""
        self.find(identity)
        del self.by_id[identity]

    def progress(self, value: ProgressWire) -> ProgressWire:
        """GETAE."""
        sa = self.find(value.id)
        return ProgressWire(sa.id, sa.source, sa.reqid, value.flags, sa.replay or ReplayWire(0), None, sa.current)

    def set_progress(self, value: ProgressWire) -> None:
        """NEWAE: only where nothing hangs on a number being new."""
        sa = self.find(value.id)
        replay = value.replay or value.plain_replay
        if replay is None:
            raise XfrmError(errno.EINVAL, "nothing is to be set")
        if sa.aead is not None:
            raise XfrmError(errno.EOPNOTSUPP, "sequence numbers of an AEAD are its nonces, and stay as they are")
        window = sa.replay.window_packets if sa.replay else 0
        self.by_id[sa.id] = replace(sa, replay=replace(replay, window_packets=window))

    def move(self, moves: Iterable[MoveWire], encapsulation: EncapsulationWire | None) -> int:
        """MIGRATE: give the associations that moved other ends, and count them."""
        moved = 0
        for move in moves:
            for sa in [one for one in self.by_id.values() if _moves(move, one)]:
                del self.by_id[sa.id]
                identity = replace(sa.id, destination=move.new_destination)
                self.by_id[identity] = replace(
                    sa,
                    id=identity,
                    source=move.new_source,
                    encapsulation=encapsulation or sa.encapsulation,
                )
                moved += 1
        return moved

    def flush(self, protocol: int) -> None:
        """FLUSHSA; 0 is any protocol."""
        self.by_id = {key: sa for key, sa in self.by_id.items() if protocol not in (0, 255, key.protocol)}

    def allocate(self, sa: SaWire, minimum: int, maximum: int) -> SaWire:
        """ALLOCSPI: the lowest free one, so that tests can tell it beforehand."""
        for spi in range(minimum, maximum + 1):
            identity = replace(sa.id, spi=spi)
            if identity not in self.by_id:
                self.by_id[identity] = replace(sa, id=identity)
                return self.by_id[identity]
        raise XfrmError(errno.ENOENT, "no SPI of this range is free")


_LEGACY = frozenset(
    [one.xfrm_name for one in ENCRYPTION if one.legacy] + [one.xfrm_name for one in INTEGRITY if one.legacy]
)


def _refuse_legacy(sa: SaWire) -> None:
    for algorithm in (sa.crypt, sa.auth_truncated, sa.auth):
        if algorithm is not None and algorithm.name in _LEGACY and not sa.legacy:
            raise XfrmError(errno.EOPNOTSUPP, f"{algorithm.name} is too weak (RFC 8221): allow it by `legacy`")


def _moves(move: MoveWire, sa: SaWire) -> bool:
    return (
        (sa.source, sa.id.destination, sa.id.protocol) == (move.old_source, move.old_destination, move.protocol)
        and sa.mode == move.mode
        and move.reqid in (0, sa.reqid)
    )


class Policies:
    """The SPD. While a batch is open, changes go into a copy."""

    def __init__(self) -> None:
        self.by_key: dict[PolicyKey, PolicyWire] = {}
        self._by_index: dict[int, PolicyKey] = {}
        self._next_index = 1

    def copy(self) -> Policies:
        """Give a copy that can be changed by itself."""
        other = Policies()
        other.by_key, other._by_index, other._next_index = dict(self.by_key), dict(self._by_index), self._next_index
        return other

    def add(self, policy: PolicyWire, replacing: bool, now_s: int) -> None:
        """NEWPOLICY, or UPDPOLICY where `replacing`."""
        key = (policy.selector, policy.direction)
        if key in self.by_key and not replacing:
            raise XfrmError(errno.EEXIST, "there is a policy with this selector and direction")
        if policy.index and policy.index % 8 != policy.direction:
            raise XfrmError(errno.EINVAL, f"index {policy.index} is not one of direction {policy.direction}")
        present = self.by_key.get(key)
        index = present.index if present else self._index(policy)
        self.by_key[key] = replace(policy, index=index, current=CurrentWire(added_at_s=now_s))
        self._by_index[index] = key

    def _index(self, policy: PolicyWire) -> int:
        """The one that is asked for, else the next that is free."""
        if policy.index in self._by_index:
            raise XfrmError(errno.EEXIST, f"there is a policy with the index {policy.index}")
        if policy.index:
            return policy.index
        while (index := self._next_index * 8 + policy.direction) in self._by_index:
            self._next_index += 1
        self._next_index += 1
        return index

    def find(self, identity: PolicyIdWire) -> PolicyWire:
        """GETPOLICY by selector, or by index where there is none."""
        selector, direction = identity.selector, identity.direction
        key = self._by_index.get(identity.index) if selector is None else (selector, direction)
        if key is None or key not in self.by_key or key[1] != direction:
            raise XfrmError(errno.ENOENT, "there is no such policy")
        return self.by_key[key]

    def remove(self, identity: PolicyIdWire) -> None:
        """DELPOLICY."""
        policy = self.find(identity)
        del self.by_key[(policy.selector, policy.direction)]
        del self._by_index[policy.index]

    def move(self, value: MigrateWire) -> int:
        """MIGRATE: give the policy's templates other ends, and count those that moved."""
        policy = self.find(value.policy)
        templates = tuple(_moved(template, value.moves) for template in policy.templates)
        self.by_key[(policy.selector, policy.direction)] = replace(policy, templates=templates)
        return sum(new != old for new, old in zip(templates, policy.templates, strict=True))

    def size(self) -> SpdSizeWire:
        """GETSPDINFO."""
        counts = Counter(direction for _, direction in self.by_key)
        return SpdSizeWire(counts[POLICY_IN], counts[POLICY_OUT], counts[POLICY_FORWARD])

    def flush(self) -> None:
        """FLUSHPOLICY."""
        self.by_key, self._by_index = {}, {}


def _moved(template: TemplateWire, moves: Iterable[MoveWire]) -> TemplateWire:
    for move in moves:
        ends = (template.source, template.id.destination, template.id.protocol)
        if ends == (move.old_source, move.old_destination, move.protocol) and move.reqid in (0, template.reqid):
            identity = replace(template.id, destination=move.new_destination)
            return replace(template, source=move.new_source, id=identity)
    return template


class Links:
    """gif links."""

    def __init__(self) -> None:
        self.by_name: dict[str, GifWire] = {}

    def put(self, link: GifWire) -> None:
        """GIF_SET."""
        if any(self._same_pair(link, other) for name, other in self.by_name.items() if name != link.name):
            raise XfrmError(errno.EEXIST, "another link has this outer pair")
        self.by_name[link.name] = link

    def remove(self, name: str) -> None:
        """GIF_DELETE."""
        if name not in self.by_name:
            raise XfrmError(errno.ENOENT, "there is no such link")
        del self.by_name[name]

    @staticmethod
    def _same_pair(one: GifWire, other: GifWire) -> bool:
        return (one.local, one.remote) == (other.local, other.remote)


class Blobs:
    """Octets kept for the daemon."""

    def __init__(self) -> None:
        self.by_key: dict[str, bytes] = {}

    def put(self, key: str, data: bytes) -> None:
        """BLOB_PUT; where it is refused, what was there is gone."""
        self.by_key.pop(key, None)
        if len(data) > MAX_BLOB_OCTETS:
            raise XfrmError(errno.EMSGSIZE, f"a blob has at most {MAX_BLOB_OCTETS} octets")
        if len(self.by_key) >= MAX_BLOBS:
            raise XfrmError(errno.ENOSPC, f"there are {MAX_BLOBS} blobs already")
        if sum(map(len, self.by_key.values())) + len(data) > MAX_BLOBS_OCTETS:
            raise XfrmError(errno.ENOSPC, "there are 128 MiB of blobs already")
        self.by_key[key] = data

    def remove(self, key: str) -> None:
        """BLOB_DELETE."""
        if key not in self.by_key:
            raise XfrmError(errno.ENOENT, "there is no such blob")
        del self.by_key[key]
