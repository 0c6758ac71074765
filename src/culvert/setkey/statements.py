"""What statements say, as plain values. `at` is where a statement begins in its text; it does not tell two apart."""

from __future__ import annotations

from dataclasses import dataclass, field

from culvert.addresses import IPAddress
from culvert.ipsec.associations import AssociationId, Direction, Protocol, SecurityAssociation
from culvert.ipsec.policies import Policy
from culvert.ipsec.selectors import Selector

NOWHERE = -1
"""The place of a statement that nobody wrote."""


@dataclass(frozen=True, slots=True)
class AddAssociation:
    """`add`; with `replacing`, `update`: the one that is there gets other lifetimes and ports."""

    association: SecurityAssociation
    replacing: bool = False
    at: int = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class GetAssociation:
    """`get`."""

    id: AssociationId
    source: IPAddress
    at: int = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class DeleteAssociation:
    """`delete`."""

    id: AssociationId
    source: IPAddress
    at: int = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class DeleteAssociations:
    """`deleteall`: all between two addresses; None is either protocol."""

    source: IPAddress
    destination: IPAddress
    protocol: Protocol | None
    at: int = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class FlushAssociations:
    """`flush`; None is either protocol."""

    protocol: Protocol | None = None
    at: int = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class DumpAssociations:
    """`dump`; None is either protocol."""

    protocol: Protocol | None = None
    at: int = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class AddPolicy:
    """`spdadd`; with `replacing`, `spdupdate`: one that is there already is replaced.

    `unique` are the numbers of those templates that want associations of their own, under a reqid that is chosen
    when the policy is written.
    """

    policy: Policy
    unique: tuple[int, ...] = ()
    replacing: bool = False
    at: int = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class DeletePolicy:
    """`spddelete`."""

    selector: Selector
    direction: Direction
    at: int = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class FlushPolicies:
    """`spdflush`."""

    at: int = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class DumpPolicies:
    """`spddump`."""

    at: int = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Exit:
    """`exit`, `quit` or `bye`: what follows is not read."""

    at: int = field(default=NOWHERE, compare=False)


OfPolicies = AddPolicy | DeletePolicy | FlushPolicies
OfAssociations = AddAssociation | DeleteAssociation | DeleteAssociations | FlushAssociations
Statement = OfPolicies | OfAssociations | GetAssociation | DumpAssociations | DumpPolicies | Exit
