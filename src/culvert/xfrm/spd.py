"""What has to change in the SPD: own policies are made to be as wanted, those of others are left alone."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from culvert.ipsec.associations import Direction
from culvert.ipsec.policies import INDEX_DIRECTIONS, LAST_INDEX, OWN_INDEX, Policy, direction_number, is_own
from culvert.ipsec.selectors import Selector
from culvert.wire.netlink.numbers import Xfrm
from culvert.wire.netlink.policy import emit_policy, emit_policy_id
from culvert.xfrm import policies
from culvert.xfrm.errors import XfrmError

Request = tuple[int, bytes]
"""A message's type and body."""


@dataclass(frozen=True, slots=True)
class Changes:
    """Requests in order, and the policies of others that stood where ours have to be, as they were."""

    requests: list[Request]
    taken_over: list[Policy]


def changes(present: Iterable[Policy], wanted: Iterable[Policy], *, at_once: bool) -> Changes:
    """Plan the way from `present` to `wanted`. EEXIST where two of `wanted` have one selector and direction.

    Nothing is taken away before all that is wanted is in. `at_once`: all requests become true together. Then a policy
    of others that is in the way is deleted and made anew, so that it gets an index of ours; else it is only updated
    (the kernel then keeps its index), for nothing may pass in between.
    """
    before = {_key(policy): policy for policy in present}
    after = _by_key(wanted)
    indexes = _Indexes(policy.index for policy in before.values())
    requests, taken_over = list[Request](), list[Policy]()
    for key, policy in after.items():
        there = before.get(key)
        if there is None:
            requests.append(_put(Xfrm.NEWPOLICY, policy, indexes.next(policy.direction)))
        elif is_own(there):
            if there != policy:
                requests.append(_put(Xfrm.UPDPOLICY, policy, there.index))
        elif at_once:
            taken_over.append(there)
            requests += [delete(there), _put(Xfrm.NEWPOLICY, policy, indexes.next(policy.direction))]
        elif there != policy:
            taken_over.append(there)
            requests.append(_put(Xfrm.UPDPOLICY, policy, there.index))
    gone = (policy for key, policy in before.items() if key not in after and is_own(policy))
    return Changes(requests + [delete(policy) for policy in gone], taken_over)


def add(policy: Policy) -> Request:
    """Install a new policy."""
    return Xfrm.NEWPOLICY, emit_policy(policies.to_wire(policy))


def update(policy: Policy) -> Request:
    """Install a policy in place of the one of this selector and direction, or where there is none."""
    return Xfrm.UPDPOLICY, emit_policy(policies.to_wire(policy))


def delete(policy: Policy) -> Request:
    """Take away the policy of this selector and direction."""
    return Xfrm.DELPOLICY, emit_policy_id(policies.id_to_wire(policy))


def _put(kind: Xfrm, policy: Policy, index: int) -> Request:
    return kind, emit_policy(policies.to_wire(replace(policy, index=index)))


class _Indexes:
    """Free indexes of ours, the lowest first."""

    def __init__(self, used: Iterable[int]) -> None:
        self._used = frozenset(used)
        self._free: dict[Direction, Iterator[int]] = {}

    def next(self, direction: Direction) -> int:
        free = self._free.get(direction)
        if free is None:
            numbers = range(OWN_INDEX + direction_number(direction), LAST_INDEX + 1, INDEX_DIRECTIONS)
            free = self._free[direction] = (number for number in numbers if number not in self._used)
        return next(free)


_Key = tuple[Selector, Direction]


def _key(policy: Policy) -> _Key:
    return policy.selector, policy.direction


def _by_key(wanted: Iterable[Policy]) -> dict[_Key, Policy]:
    after: dict[_Key, Policy] = {}
    for policy in wanted:
        if _key(policy) in after:
            raise XfrmError(errno.EEXIST, f"two policies {policy.direction} for {policy.selector}")
        after[_key(policy)] = policy
    return after
