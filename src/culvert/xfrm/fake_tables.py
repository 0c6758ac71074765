"""The tables of the fake engine: associations, policies and blobs, with the answers that the real ones give."""

from __future__ import annotations

import errno
from dataclasses import replace

from culvert.wire.netlink.family import MAX_BLOBS
from culvert.wire.netlink.policy import PolicyIdWire, PolicyWire
from culvert.wire.netlink.sa import SaWire
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
        if sa.id in self.by_id:
            raise XfrmError(errno.EEXIST, "there is an association with this destination, SPI and protocol")
        self.by_id[sa.id] = replace(sa, current=CurrentWire(added_at_s=now_s))

    def update(self, sa: SaWire, now_s: int) -> None:
        """UPDSA: a larval one is completed, a valid one keeps keys and counters."""
        present = self.find(sa.id)
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


class Policies:
    """The SPD. While a batch is open, changes go into a copy."""

    def __init__(self) -> None:
        self.by_key: dict[PolicyKey, PolicyWire] = {}
        self._next_index = 1

    def copy(self) -> Policies:
        """Give a copy that can be changed by itself."""
        other = Policies()
        other.by_key, other._next_index = dict(self.by_key), self._next_index
        return other

    def add(self, policy: PolicyWire, replacing: bool) -> None:
        """NEWPOLICY, or UPDPOLICY where `replacing`."""
        key = (policy.selector, policy.direction)
        if key in self.by_key and not replacing:
            raise XfrmError(errno.EEXIST, "there is a policy with this selector and direction")
        self.by_key[key] = replace(policy, index=self._next_index * 8 + policy.direction)
        self._next_index += 1

    def find(self, identity: PolicyIdWire) -> PolicyWire:
        """GETPOLICY by selector, or by index where there is none."""
        for policy in self.by_key.values():
            by_index = identity.selector is None and policy.index == identity.index
            if policy.direction == identity.direction and (by_index or policy.selector == identity.selector):
                return policy
        raise XfrmError(errno.ENOENT, "there is no such policy")

    def remove(self, identity: PolicyIdWire) -> None:
        """DELPOLICY."""
        policy = self.find(identity)
        del self.by_key[(policy.selector, policy.direction)]

    def flush(self) -> None:
        """FLUSHPOLICY."""
        self.by_key = {}


class Blobs:
    """Octets kept for the daemon."""

    def __init__(self) -> None:
        self.by_key: dict[str, bytes] = {}

    def put(self, key: str, data: bytes) -> None:
        """BLOB_PUT."""
        if key not in self.by_key and len(self.by_key) >= MAX_BLOBS:
            raise XfrmError(errno.ENOSPC, f"{MAX_BLOBS} blobs are there already")
        self.by_key[key] = data

    def remove(self, key: str) -> None:
        """BLOB_DELETE."""
        if key not in self.by_key:
            raise XfrmError(errno.ENOENT, "there is no such blob")
        del self.by_key[key]
