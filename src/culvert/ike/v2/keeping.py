"""Writing checkpoints ahead: what a lineage has become is kept before anything of it shows outside.

Where the process ends between two actions of a step, the next one finds either the lineage as it was, and nothing of
the step happened; or the lineage as it has become, and what was not done yet is done or repeated.
"""

from __future__ import annotations

import hashlib

from culvert.ike.actions import Action, Checkpoint, InstallAssociation, MoveAssociation
from culvert.ike.timers import Owner, Timer
from culvert.ike.v2 import checkpoint
from culvert.ike.v2.checkpoint import Deadline, Known, Pending, Snapshot
from culvert.ike.v2.context import Context
from culvert.ike.v2.sa import IkeSa, Lineage
from culvert.ipsec.associations import Direction

IKE_TIMERS = (Timer.RETRANSMIT, Timer.IKE_REKEY, Timer.IKE_HARD, Timer.IKE_LINGER)
CHILD_TIMERS = (Timer.CHILD_REKEY, Timer.CHILD_HARD, Timer.OUTBOUND_SWITCH, Timer.PFS_TRIAL)
LINEAGE_TIMERS = (Timer.TASK_RETRY,)
"""Deadlines that go on where they stood. All others are set anew."""
_DIGEST_OCTETS = 16
Told = dict[int, InstallAssociation | MoveAssociation]
"""What the data plane is told, by the identity of the association."""


def key_of(number: int) -> bytes:
    """Give the key of a lineage's checkpoint."""
    return b"ike/%d" % number


def ahead(ctx: Context, actions: list[Action]) -> list[Action]:
    """Put the checkpoints of all lineages that the step changed before its actions."""
    if not ctx.touched:
        return actions
    told = {id(one.association): one for one in actions if isinstance(one, InstallAssociation | MoveAssociation)}
    before: list[Action] = []
    after: list[Action] = []
    for number in sorted(ctx.touched):
        lineage = ctx.lineages.get(number)
        if lineage is None or not lineage.established:
            before += forgotten(ctx, number)
            continue
        snapshot = checkpoint.write_snapshot(take(ctx, lineage))
        pending = tuple(_pending(lineage, told)) if told else ()
        digest = _digest(snapshot)
        if digest != ctx.kept.get(number) or pending:
            ctx.kept[number] = digest
            before.append(_written(ctx, lineage, pending, snapshot))
            after += [_written(ctx, lineage, (), snapshot)] if pending else []
    ctx.touched.clear()
    return [*before, *_confirmed(actions, after)]


def forgotten(ctx: Context, number: int) -> list[Action]:
    """Let the checkpoint of a lineage go that is no more."""
    return [Checkpoint(key_of(number), None)] if ctx.kept.pop(number, None) is not None else []


def all_forgotten(ctx: Context) -> list[Action]:
    return [action for number in list(ctx.kept) for action in forgotten(ctx, number)]


def write_all_again(ctx: Context) -> None:
    """What was kept is lost: the next checkpoints are those of all lineages."""
    ctx.kept.clear()
    ctx.touched.update(dict.fromkeys(ctx.lineages))


def behind(ctx: Context) -> list[int]:
    """Give the lineages that are no longer as their checkpoints have them: between two steps there are none."""
    established = [one for one in ctx.lineages.values() if one.established]
    numbers = {one.number: _digest(checkpoint.write_snapshot(take(ctx, one))) for one in established}
    return [number for number in {**numbers, **ctx.kept} if numbers.get(number) != ctx.kept.get(number)]


def take(ctx: Context, lineage: Lineage) -> Snapshot:
    """Give all that belongs to a lineage."""
    sas = tuple(ctx.sas[spi] for spi in (*lineage.members, *lineage.lingering))
    return Snapshot(lineage, sas, tuple(_deadlines(ctx, lineage, sas)))


def _deadlines(ctx: Context, lineage: Lineage, sas: tuple[IkeSa, ...]) -> list[Deadline]:
    owners: list[tuple[Owner, tuple[Timer, ...]]] = [(sa.spi.hex(), IKE_TIMERS) for sa in sas]
    owners += [(spi_in, CHILD_TIMERS) for spi_in in lineage.children]
    owners.append((lineage.number, LINEAGE_TIMERS))
    return [
        Deadline(timer, owner, at)
        for owner, timers in owners
        for timer in timers
        if (at := ctx.timers.at(timer, owner)) is not None
    ]


def _written(ctx: Context, lineage: Lineage, pending: tuple[Pending, ...], snapshot: bytes) -> Action:
    return Checkpoint(key_of(lineage.number), checkpoint.write(ctx.now, _known(ctx, lineage), pending, snapshot))


def _known(ctx: Context, lineage: Lineage) -> bytes:
    """Give the peer's configuration as octets; it is written once for each."""
    peer = lineage.peer
    if peer is None:
        raise ValueError("an established lineage without a peer")
    record = ctx.peers.get(peer.name)
    identity = record.own_identity if record else None
    kept = ctx.known.get(peer.name)
    if kept is None or kept[0] is not peer or kept[1] != identity:
        kept = ctx.known[peer.name] = (peer, identity, checkpoint.write_known(Known.of(peer, identity)))
    return kept[2]


def _pending(lineage: Lineage, told: Told) -> list[Pending]:
    """Give what the step tells the data plane about a lineage's children."""
    found = []
    for child in lineage.children.values():
        for direction, association in ((Direction.IN, child.inbound), (Direction.OUT, child.outbound)):
            action = told.get(id(association))
            if action is not None:
                before = action.before if isinstance(action, MoveAssociation) else None
                found.append(Pending(child.spi_in, direction, before))
    return found


def _confirmed(actions: list[Action], after: list[Action]) -> list[Action]:
    """Say that the data plane has it as soon as that is so: nothing is installed a second time with its old key."""
    if not after:
        return actions
    last = max(at for at, one in enumerate(actions) if isinstance(one, InstallAssociation | MoveAssociation))
    return [*actions[: last + 1], *after, *actions[last + 1 :]]


def _digest(snapshot: bytes) -> bytes:
    return hashlib.blake2b(snapshot, digest_size=_DIGEST_OCTETS).digest()
