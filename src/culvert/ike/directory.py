"""The configured peers, found by name, by where they are, by what they present, by a child: quick with thousands."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from culvert.addresses import IPAddress
from culvert.config.model import Peer
from culvert.crypto.certificates.store import TrustStore
from culvert.identities import Identity
from culvert.ike.records import Path, PeerRecord
from culvert.ipsec.proposals import Proposal

Names = dict[str, None]
"""A set of peers' names in the order in which they came."""
_OPEN = "identities with a wildcard"


@dataclass(slots=True)
class _Index:
    """Names of peers by something that is known of them."""

    _names: dict[Hashable, Names] = field(default_factory=dict)

    def enter(self, key: Hashable, name: str) -> None:
        self._names.setdefault(key, {})[name] = None

    def leave(self, key: Hashable, name: str) -> None:
        names = self._names.get(key, {})
        names.pop(name, None)
        if not names:
            self._names.pop(key, None)

    def under(self, key: Hashable) -> Names:
        return self._names.get(key, {})

    def groups(self) -> Iterable[Names]:
        return self._names.values()


class Directory(Mapping[str, PeerRecord]):
    """Records by the peers' names, in the order of the configuration."""

    def __init__(self) -> None:
        self._records: dict[str, PeerRecord] = {}
        self._places: dict[str, int] = {}
        self._placed = 0
        self._by_address, self._by_identity, self._by_reqid = _Index(), _Index(), _Index()
        self._by_proposals, self._by_authorities = _Index(), _Index()
        self._trusting: Names = {}

    def __getitem__(self, name: str) -> PeerRecord:
        return self._records[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._records)

    def __len__(self) -> int:
        return len(self._records)

    def put(self, record: PeerRecord) -> None:
        """Enter a peer, in the place of the one of its name."""
        name = record.peer.name
        if name in self._records:
            self._leave(self._records[name])
        else:
            self._placed += 1
            self._places[name] = self._placed
        self._records[name] = record
        self._enter(record)

    def remove(self, name: str) -> None:
        """Forget a peer. Raise KeyError where there is none of this name."""
        self._leave(self._records.pop(name))
        del self._places[name]

    def renew(self, record: PeerRecord, peer: Peer) -> None:
        """Take over what is configured anew for a peer that goes on."""
        self._leave(record)
        record.peer = peer
        self._enter(record)

    def learn(self, record: PeerRecord, paths: tuple[Path, ...]) -> None:
        """Take over where a peer was found."""
        self._leave(record)
        record.learn(paths)
        self._enter(record)

    @property
    def any_trust(self) -> TrustStore | None:
        """Give somebody's authorities; None where no peer proves itself by certificates."""
        return self._records[next(iter(self._trusting))].peer.trust if self._trusting else None

    def known_at(self, address: IPAddress) -> list[PeerRecord]:
        """Give the peers that are known to be at an address, those that were ended by hand too."""
        return self._in_order(self._by_address.under(address))

    def expecting(self, presented: Identity) -> list[PeerRecord]:
        """Give the peers that may present this identity, those that were ended by hand too."""
        found = [*self._by_identity.under(presented.comparable), *self._by_identity.under(_OPEN)]
        return [one for one in self._in_order(found) if one.expects(presented)]

    def having(self, reqid: int) -> list[PeerRecord]:
        """Give the peers with a child of this reqid."""
        return self._in_order(self._by_reqid.under(reqid))

    def that_may_move(self) -> Iterator[PeerRecord]:
        """Give peers that may call from anywhere and are not ended: of those with equal versions and proposals, one."""
        return self._one_of_each(self._by_proposals)

    def that_may_move_certified(self) -> Iterator[PeerRecord]:
        """Give the same of those with certificates: of peers that equal authorities vouch for, one."""
        return self._one_of_each(self._by_authorities)

    def _one_of_each(self, index: _Index) -> Iterator[PeerRecord]:
        for names in index.groups():
            first = next((self._records[name] for name in names if not self._records[name].ended), None)
            if first is not None:
                yield first

    def _in_order(self, names: Iterable[str]) -> list[PeerRecord]:
        return [self._records[name] for name in sorted(dict.fromkeys(names), key=self._places.__getitem__)]

    def _enter(self, record: PeerRecord) -> None:
        if record.peer.trust is not None:
            self._trusting[record.peer.name] = None
        for index, key in self._keys(record):
            index.enter(key, record.peer.name)

    def _leave(self, record: PeerRecord) -> None:
        self._trusting.pop(record.peer.name, None)
        for index, key in self._keys(record):
            index.leave(key, record.peer.name)

    def _keys(self, record: PeerRecord) -> Iterator[tuple[_Index, Hashable]]:
        yield from ((self._by_address, address) for address in record.addresses)
        yield from ((self._by_reqid, reqid) for reqid in record.reqids)
        for identity in (record.peer.identity,) if record.peer.identity else record.known_by:
            yield self._by_identity, _OPEN if identity.is_wildcard else identity.comparable
        if record.may_move:
            yield self._by_proposals, (record.peer.ike, _Proposals(record.peer.proposals))
            if record.peer.trust is not None:
                yield self._by_authorities, record.peer.trust.anchors


class _Proposals:
    """Proposals as a key. Those of one object, as a file's defaults are, compare without being looked at."""

    __slots__ = ("_hash", "_proposals")

    def __init__(self, proposals: tuple[Proposal, ...]) -> None:
        self._proposals = proposals
        self._hash = hash(tuple(str(one) for one in proposals))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Proposals) and self._proposals == other._proposals
