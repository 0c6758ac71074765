"""Goes through statements before any is done: which would be refused for what is there already, and what changes.

Nothing of a text is applied where something in it is refused, and so that has to be known beforehand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeGuard

from culvert.ipsec.associations import AssociationId, Direction, Protocol, SecurityAssociation
from culvert.ipsec.policies import Policy, is_own
from culvert.ipsec.selectors import Selector
from culvert.setkey.statements import (
    NOWHERE,
    AddAssociation,
    AddPolicy,
    DeleteAssociation,
    DeleteAssociations,
    DeletePolicy,
    FlushAssociations,
    FlushPolicies,
    GetAssociation,
    OfPolicies,
    Statement,
)

FIRST_CHOSEN_REQID = 0x4000
"""Reqids that are chosen begin here; those below are for people (KAME's IPSEC_MANUAL_REQID_MAX)."""
PolicyKey = tuple[Selector, Direction]
"""What tells policies apart."""


@dataclass(frozen=True, slots=True)
class Objection:
    """One statement that would be refused. `absent`: it wants away, or shown, what is not there."""

    statement: Statement
    what: str
    what_to_do: str = ""
    absent: bool = False


@dataclass(slots=True)
class Tables:
    """What is there, or would be. Not `complete`: only what the text itself put there is known.

    `keep_negotiated`: associations with a direction are IKE's, and `flush` leaves them.
    """

    associations: dict[AssociationId, SecurityAssociation] = field(default_factory=dict)
    policies: dict[PolicyKey, Policy] = field(default_factory=dict)
    complete: bool = True
    keep_negotiated: bool = True

    @classmethod
    def unknown(cls) -> Tables:
        """Give those of which nothing is known."""
        return cls(complete=False)

    @classmethod
    def of(
        cls, associations: Iterable[SecurityAssociation], policies: Iterable[Policy], *, keep_negotiated: bool
    ) -> Tables:
        """Give those of a data plane."""
        return cls(
            {association.id: association for association in associations},
            {(policy.selector, policy.direction): policy for policy in policies},
            keep_negotiated=keep_negotiated,
        )

    def copy(self) -> Tables:
        """Give some that can be changed by themselves."""
        return replace(self, associations=dict(self.associations), policies=dict(self.policies))

    def flushed(self, protocol: Protocol | None) -> list[AssociationId]:
        """Give what a flush takes away."""
        return [
            key
            for key, association in self.associations.items()
            if protocol in (None, key.protocol) and not (self.keep_negotiated and association.direction is not None)
        ]


def rehearse(statements: Iterable[Statement], tables: Tables) -> list[Objection]:
    """Do the statements to `tables`, and give what would be refused. What is refused changes nothing."""
    objections = []
    for statement in statements:
        act = _ACTS.get(type(statement))
        objection = act(statement, tables) if act else None
        if objection is not None:
            objections.append(objection)
    return objections


def both_ways_in(statements: Sequence[Statement]) -> list[Statement]:
    """Have each policy for what comes in stand for what is forwarded too: Linux's kernel asks them apart.

    Levels of uniqueness become `require` in the second one, as with ipsec-tools. Where the text has a policy for what
    is forwarded itself, it stands as it is. What is deleted besides was not written, and need not be there.
    """
    result: list[Statement] = []
    written = {one.policy.selector for one in statements if _forwards(one)}
    for statement in statements:
        result.append(statement)
        if isinstance(statement, AddPolicy) and statement.policy.direction is Direction.IN:
            if statement.policy.selector in written:
                continue
            templates = tuple(replace(template, reqid=0) for template in statement.policy.templates)
            policy = replace(statement.policy, direction=Direction.FORWARD, templates=templates)
            result.append(replace(statement, policy=policy, unique=()))
        elif isinstance(statement, DeletePolicy) and statement.direction is Direction.IN:
            result.append(replace(statement, direction=Direction.FORWARD, at=NOWHERE))
    return result


def _forwards(statement: Statement) -> TypeGuard[AddPolicy]:
    return isinstance(statement, AddPolicy) and statement.policy.direction is Direction.FORWARD


def numbered(statements: Iterable[Statement], used: Iterable[int]) -> list[Statement]:
    """Choose a reqid for each template that wants one of its own. `used` are those that are taken."""
    taken = set(used) | {reqid for statement in statements for reqid in _reqids(statement)}
    chosen = FIRST_CHOSEN_REQID
    result: list[Statement] = []
    for statement in statements:
        if isinstance(statement, AddPolicy) and statement.unique:
            templates = list(statement.policy.templates)
            for number in statement.unique:
                while chosen in taken:
                    chosen += 1
                taken.add(chosen)
                templates[number] = replace(templates[number], reqid=chosen)
            result.append(replace(statement, policy=replace(statement.policy, templates=tuple(templates)), unique=()))
        else:
            result.append(statement)
    return result


def _reqids(statement: Statement) -> Iterable[int]:
    if isinstance(statement, AddAssociation):
        return (statement.association.reqid,)
    if isinstance(statement, AddPolicy):
        return (template.reqid for template in statement.policy.templates)
    return ()


@dataclass(frozen=True, slots=True)
class Change:
    """What a row of statements does to the SPD in one step: deletes first, then updates, then adds."""

    deletes: tuple[Policy, ...]
    updates: tuple[Policy, ...]
    adds: tuple[Policy, ...]

    def keys(self) -> Iterator[PolicyKey]:
        """Give what it touches."""
        return map(policy_key, (*self.deletes, *self.updates, *self.adds))


def policy_key(policy: Policy) -> PolicyKey:
    """Give what tells a policy apart."""
    return policy.selector, policy.direction


def restoring(
    before: Mapping[PolicyKey, Policy], now: Mapping[PolicyKey, Policy], touched: Iterable[PolicyKey]
) -> Change:
    """Give what makes the touched ones be as they were before."""
    keys = tuple(touched)
    return Change(
        tuple(now[key] for key in keys if key in now and key not in before),
        tuple(before[key] for key in keys if key in now and key in before and now[key] != before[key]),
        tuple(before[key] for key in keys if key not in now and key in before),
    )


def change(statements: Sequence[OfPolicies], present: Mapping[PolicyKey, Policy]) -> Change:
    """Put a row of statements together. None of them is one that would be refused."""
    deletes: dict[PolicyKey, Policy] = {}
    updates: dict[PolicyKey, Policy] = {}
    adds: dict[PolicyKey, Policy] = {}

    def take_away(key: PolicyKey) -> None:
        adds.pop(key, None)
        updates.pop(key, None)
        if key in present:
            deletes[key] = present[key]

    for statement in statements:
        if isinstance(statement, FlushPolicies):
            for key in [*adds, *(key for key, policy in present.items() if not is_own(policy))]:
                take_away(key)
        elif isinstance(statement, DeletePolicy):
            take_away((statement.selector, statement.direction))
        else:
            key = (statement.policy.selector, statement.policy.direction)
            (updates if key in present and key not in deletes else adds)[key] = statement.policy
    return Change(tuple(deletes.values()), tuple(updates.values()), tuple(adds.values()))


def _add(statement: AddAssociation, tables: Tables) -> Objection | None:
    association = statement.association
    present = tables.associations.get(association.id)
    if statement.replacing:
        if present is None:
            what = "there is no association with this destination, SPI and protocol"
            return Objection(statement, what, "Write add for a new one.") if tables.complete else None
        if _differ(present, association):
            what = "an association's algorithms and keys never change"
            return Objection(statement, what, "Delete it and add it anew: with another SPI, so that both ends agree.")
    elif present is not None:
        what = f"there is {present.id} already"
        return Objection(statement, what, "Choose another SPI, or delete the one that is there first.")
    tables.associations[association.id] = association
    return None


def _differ(one: SecurityAssociation, other: SecurityAssociation) -> bool:
    """Whether two have other keys; one whose keys are hidden is taken to be the same."""
    if not any(one.encryption_key + one.integrity_key):
        return False
    return (one.encryption, one.encryption_key, one.integrity, one.integrity_key) != (
        other.encryption,
        other.encryption_key,
        other.integrity,
        other.integrity_key,
    )


def _delete(statement: DeleteAssociation | GetAssociation, tables: Tables) -> Objection | None:
    present = tables.associations.get(statement.id)
    if present is None:
        return _absent(statement, "there is no such association") if tables.complete else None
    if present.source != statement.source:
        return _absent(statement, f"there is no such association: this one is from {present.source}")
    if isinstance(statement, DeleteAssociation):
        del tables.associations[statement.id]
    return None


def _delete_all(statement: DeleteAssociations, tables: Tables) -> Objection | None:
    for key in matching(statement, tables.associations):
        del tables.associations[key]
    return None


def matching(
    statement: DeleteAssociations, associations: Mapping[AssociationId, SecurityAssociation]
) -> list[AssociationId]:
    """Give what `deleteall` means."""
    return [
        key
        for key, association in associations.items()
        if (association.source, key.destination) == (statement.source, statement.destination)
        and statement.protocol in (None, key.protocol)
    ]


def _flush(statement: FlushAssociations, tables: Tables) -> Objection | None:
    for key in tables.flushed(statement.protocol):
        del tables.associations[key]
    return None


def _add_policy(statement: AddPolicy, tables: Tables) -> Objection | None:
    key = (statement.policy.selector, statement.policy.direction)
    present = tables.policies.get(key)
    if present is not None and is_own(present):
        return _of_the_configuration(statement)
    if present is not None and not statement.replacing:
        what = "there is a policy with this source, destination, protocol and direction already"
        return Objection(statement, what, "Write spdupdate, or take that one away first: spddelete, or spdflush.")
    tables.policies[key] = statement.policy
    return None


def _delete_policy(statement: DeletePolicy, tables: Tables) -> Objection | None:
    present = tables.policies.get((statement.selector, statement.direction))
    if present is None:
        wanted = tables.complete and statement.at != NOWHERE
        return _absent(statement, "there is no such policy") if wanted else None
    if is_own(present):
        return _of_the_configuration(statement)
    del tables.policies[statement.selector, statement.direction]
    return None


def _flush_policies(statement: FlushPolicies, tables: Tables) -> Objection | None:  # noqa: ARG001
    tables.policies = {key: policy for key, policy in tables.policies.items() if is_own(policy)}
    return None


def _absent(statement: Statement, what: str, what_to_do: str = "") -> Objection:
    return Objection(statement, what, what_to_do, absent=True)


def _of_the_configuration(statement: Statement) -> Objection:
    what = "the gateway's configuration has a policy for just this, and keeps it"
    return Objection(statement, what, "Change the configuration, and have it read again: culvert reload")


_ACTS: dict[type[Statement], Callable[[Any, Tables], Objection | None]] = {
    AddAssociation: _add,
    DeleteAssociation: _delete,
    GetAssociation: _delete,
    DeleteAssociations: _delete_all,
    FlushAssociations: _flush,
    AddPolicy: _add_policy,
    DeletePolicy: _delete_policy,
    FlushPolicies: _flush_policies,
}
