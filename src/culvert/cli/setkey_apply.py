"""Has statements done by a data plane: all of a text, or nothing of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Protocol as Shape

from culvert.cli.setkey_entries import association_entry, association_of, policy_entry
from culvert.errors import CulvertError, Problem
from culvert.ipsec.associations import AssociationId, Protocol
from culvert.ipsec.policies import Policy
from culvert.setkey.bounds import MAX_PROBLEMS
from culvert.setkey.dumps import Moment, render_sad, render_spd
from culvert.setkey.entries import State
from culvert.setkey.parse import Parsed
from culvert.setkey.rehearse import (
    Objection,
    PolicyKey,
    Tables,
    both_ways_in,
    change,
    matching,
    numbered,
    policy_key,
    rehearse,
    restoring,
)
from culvert.setkey.source import Source
from culvert.setkey.statements import (
    AddAssociation,
    AddPolicy,
    DeleteAssociation,
    DeleteAssociations,
    DeletePolicy,
    DumpAssociations,
    DumpPolicies,
    FlushAssociations,
    FlushPolicies,
    GetAssociation,
    OfAssociations,
    OfPolicies,
    Statement,
)
from culvert.xfrm.associations import AssociationState
from culvert.xfrm.client import XfrmClient
from culvert.xfrm.errors import XfrmError


class Gateway(Shape):
    """Who steers and fences what policies say. Both raise CulvertError."""

    def require(self) -> None:
        """Raise where nobody is there."""
        ...

    def settle(self) -> None:
        """Return when all that is in the SPD is steered and fenced."""
        ...


class Dialect(Enum):
    """What `-P in` means. BOTH writes it for what is forwarded too, EXACT does not, PLAIN does where it is needed."""

    PLAIN = auto()
    EXACT = auto()
    BOTH = auto()


@dataclass(frozen=True, slots=True)
class Manner:
    """How it is to be done. `all` shows what is dead, and flushes what IKE made; `ports` shows them everywhere."""

    dialect: Dialect = Dialect.PLAIN
    best_effort: bool = False
    all: bool = False
    ports: bool = False
    verbose: bool = False


@dataclass(slots=True)
class _Undo:
    """What a text has done so far.

    `policies` are those that were there before it, `touched` what it may have changed of them. `lost`: it took
    associations away. Their keys must not be used again from the first sequence number, so they stay away.
    """

    associations: list[AssociationId] = field(default_factory=list)
    policies: dict[PolicyKey, Policy] = field(default_factory=dict)
    touched: set[PolicyKey] = field(default_factory=set)
    lost: bool = False


@dataclass(slots=True)
class Session:
    """One data plane. `show` prints what was asked for, `tell` what went wrong or will surprise."""

    client: XfrmClient
    gateway: Gateway
    show: Callable[[str], None]
    tell: Callable[[Problem], None]
    moment: Callable[[], Moment]
    manner: Manner = Manner()
    _source: Source = field(default_factory=lambda: Source("", ""))
    _tables: Tables = field(default_factory=Tables)
    _undo: _Undo = field(default_factory=_Undo)

    async def apply(self, parsed: Parsed) -> bool:
        """Have it done. Give True where all of it was. Raise XfrmError where the data plane is gone."""
        self._source, self._undo = parsed.source, _Undo()
        statements = self._worded(parsed.statements)
        await self._look(statements)
        self._undo.policies = dict(self._tables.policies)
        statements = numbered(statements, self._reqids())
        objections = self._objections(statements)
        refused = {id(objection.statement) for objection in objections}
        statements = [statement for statement in statements if id(statement) not in refused]
        steered = self._steered(statements)
        if not steered:
            statements = [statement for statement in statements if not isinstance(statement, OfPolicies)]
        if not (self.manner.best_effort or (steered and all(objection.absent for objection in objections))):
            return False
        good = steered and all(_is_away(objection) for objection in objections)
        return await self._done(statements) and good

    def _worded(self, statements: Iterable[Statement]) -> list[Statement]:
        plain = self.manner.dialect is Dialect.PLAIN and self.client.backend == "kernel"
        if plain or self.manner.dialect is Dialect.BOTH:
            return both_ways_in(list(statements))
        return list(statements)

    async def _look(self, statements: Iterable[Statement]) -> None:
        """See what is there, of what the statements touch."""
        kinds = {type(statement) for statement in statements}
        policies = await self.client.policies() if kinds & set(_OF_POLICIES) else []
        wanted = kinds & set(_OF_ASSOCIATIONS) or any(_unique(statement) for statement in statements)
        states = await self.client.associations(keys=AddAssociation in kinds) if wanted else []
        keep = self.client.backend == "engine" and not self.manner.all
        self._tables = Tables.of(map(association_of, states), policies, keep_negotiated=keep)

    def _reqids(self) -> Iterator[int]:
        for association in self._tables.associations.values():
            yield association.reqid
        for policy in self._tables.policies.values():
            yield from (template.reqid for template in policy.templates)

    def _objections(self, statements: list[Statement]) -> list[Objection]:
        """Tell what would be refused, and give it."""
        objections = rehearse(statements, self._tables.copy())
        for objection in objections[:MAX_PROBLEMS]:
            self._object(objection)
        if len(objections) > MAX_PROBLEMS:
            self.tell(Problem(f"{len(objections)} statements are refused; these are the first", self._source.file))
        return objections

    def _object(self, objection: Objection) -> None:
        self.tell(self._source.blame(objection.statement.at, objection.what, objection.what_to_do))

    def _steered(self, statements: Iterable[Statement]) -> bool:
        """Whether policies, if there are any, have somebody who steers and fences what they say."""
        if self.client.backend == "kernel" or not any(isinstance(one, OfPolicies) for one in statements):
            return True
        try:
            self.gateway.require()
        except CulvertError as error:
            for problem in error.problems:
                self.tell(problem)
            return False
        return True

    async def _done(self, statements: list[Statement]) -> bool:
        good = True
        steps = list(_steps(statements))
        for step in steps:
            done = await self._step(step)
            good &= done
            if not (good or self.manner.best_effort):
                await self._take_back()
                return False
            if done and step is not steps[-1]:
                rehearse(step, self._tables)
        if self.client.backend == "engine" and any(isinstance(one, OfPolicies) for one in statements):
            good &= await self._settled()
        return good

    async def _settled(self) -> bool:
        """Have the policies steered and fenced. Where that fails, they must not seem to stand."""
        try:
            self.gateway.settle()
        except CulvertError as error:
            for problem in error.problems:
                self.tell(problem)
            if not self.manner.best_effort:
                await self._take_back()
            return False
        return True

    async def _step(self, step: list[Statement]) -> bool:
        """Do one statement, or a row of those about policies. Give False where it was refused, and tell why."""
        if self.manner.verbose:
            for statement in step:
                self.tell(Problem(f"{type(statement).__name__}", f"{self._source.file}:{self._line(statement)}"))
        policies = [statement for statement in step if isinstance(statement, OfPolicies)]
        try:
            if policies:
                await self._change_policies(policies)
            else:
                await self._act(step[0])
        except XfrmError as error:
            if self.client.closed.done():
                raise
            problem = error.problems[0]
            self.tell(self._source.blame(step[0].at, problem.what, problem.what_to_do))
            return False
        return True

    def _line(self, statement: Statement) -> int:
        return self._source.line(max(0, statement.at))

    async def _change_policies(self, statements: list[OfPolicies]) -> None:
        changed = change(statements, self._tables.policies)
        self._undo.touched.update(changed.keys())
        await self.client.load_policies(changed.adds, changed.updates, changed.deletes)

    async def _act(self, statement: Statement) -> None:
        match statement:
            case AddAssociation(association, replacing):
                if replacing:
                    await self.client.update_association(association)
                else:
                    await self.client.add_association(association)
                    self._undo.associations.append(association.id)
            case DeleteAssociation() | DeleteAssociations() | FlushAssociations():
                await self._delete(statement)
            case GetAssociation():
                state = await self.client.association(statement.id, keys=True)
                await self._show_associations([state] if state else [])
            case DumpAssociations():
                await self.dump_associations(statement.protocol)
            case DumpPolicies():
                await self.dump_policies()

    async def _delete(self, statement: OfAssociations) -> None:
        match statement:
            case DeleteAssociation():
                identities = [statement.id]
            case DeleteAssociations():
                identities = matching(statement, self._tables.associations)
            case FlushAssociations():
                identities = self._tables.flushed(statement.protocol)
                if len(identities) == len(self._of(statement.protocol)):
                    self._undo.lost |= bool(identities)
                    await self.client.flush_associations(statement.protocol)
                    return
            case _:
                identities = []
        self._undo.lost |= bool(identities)
        for identity in identities:
            await self.client.delete_association(identity)

    def _of(self, protocol: Protocol | None) -> list[AssociationId]:
        return [key for key in self._tables.associations if protocol in (None, key.protocol)]

    async def _take_back(self) -> None:
        """Have the policies as they were, and take away the associations that the text has added so far."""
        if self._undo.touched:
            present = {policy_key(policy): policy for policy in await self.client.policies()}
            back = restoring(self._undo.policies, present, self._undo.touched)
            await self.client.load_policies(back.adds, back.updates, back.deletes)
        for identity in reversed(self._undo.associations):
            await self.client.delete_association(identity)
        if self._undo.lost:
            what = "the associations that it takes away are gone; everything else is as it was"
            self.tell(Problem(what, self._source.file))

    async def dump_associations(self, protocol: Protocol | None = None) -> None:
        """Print the SAD, or what it has of one protocol."""
        states = await self.client.associations(keys=True)
        await self._show_associations([state for state in states if protocol in (None, state.id.protocol)])

    async def _show_associations(self, states: Iterable[AssociationState]) -> None:
        moment = self.moment()
        entries = [association_entry(state) for state in states]
        entries = [entry for entry in entries if self.manner.all or entry.state(moment.now_s) is not State.DEAD]
        self.show(render_sad(entries, moment, ports=self.manner.ports))

    async def dump_policies(self) -> None:
        """Print the SPD."""
        entries = [policy_entry(state) for state in await self.client.policy_states()]
        self.show(render_spd(entries, self.moment(), ports=self.manner.ports))


_OF_POLICIES = (AddPolicy, DeletePolicy, FlushPolicies)
_OF_ASSOCIATIONS = (AddAssociation, GetAssociation, DeleteAssociation, DeleteAssociations, FlushAssociations)


def _steps(statements: Iterable[Statement]) -> Iterator[list[Statement]]:
    """Give statements about policies as one row, and all others by themselves, before it.

    Files flush policies first, and add them last. Between the two, what was protected and will be must not pass in
    clear, so both are one step. Associations do not depend on policies; only a dump has to show what stands before it.
    """
    row: list[Statement] = []
    for statement in statements:
        if isinstance(statement, OfPolicies):
            row.append(statement)
            continue
        if row and isinstance(statement, DumpPolicies):
            yield row
            row = []
        yield [statement]
    if row:
        yield row


def _is_away(objection: Objection) -> bool:
    """Whether the statement only wants away what is not there: then all is as it wants it."""
    return objection.absent and isinstance(objection.statement, DeleteAssociation | DeletePolicy)


def _unique(statement: Statement) -> bool:
    return isinstance(statement, AddPolicy) and bool(statement.unique)
