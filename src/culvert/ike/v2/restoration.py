"""Going on with the lineages of a former process, from their checkpoints and from what the data plane still holds."""

from __future__ import annotations

from collections.abc import Iterator

from culvert.clock import SECOND
from culvert.config.model import Peer
from culvert.entropy import below
from culvert.ike.actions import InstallAssociation, MoveAssociation
from culvert.ike.events import Configured
from culvert.ike.logs import WARNING
from culvert.ike.records import PeerRecord
from culvert.ike.timers import Key, Timer
from culvert.ike.v2 import ages, anew, inheritance, lineages, requests
from culvert.ike.v2.checkpoint import Checkpoint, Deadline, Known, Parser, Pending, Snapshot
from culvert.ike.v2.children import OUTBOUND_SWITCH_NS
from culvert.ike.v2.context import Context
from culvert.ike.v2.keeping import CHILD_TIMERS, IKE_TIMERS, LINEAGE_TIMERS
from culvert.ike.v2.sa import ChildSa, IkeSa, IkeState, Lineage, RekeyIke
from culvert.ike.v2.sealing import MAX_EPOCH, said, usable
from culvert.ipsec.associations import AssociationId, Direction
from culvert.limits import (
    MAX_CHILDREN,
    MAX_IKE_SAS_PER_PEER,
    MAX_LINGERING,
    MAX_QUEUED_TASKS,
    MAX_SELECTORS_HELD,
    MAX_SET_UP_RESTARTS,
)
from culvert.reasons import Refusal
from culvert.wire.isakmp.header import SPI_OCTETS
from culvert.wire.plain import UnreadableError

FEW_EPOCHS = 1_000
"""With no more epochs than these left, an IKE SA gets a successor, whose IVs begin anew."""
SPREAD_NS = SECOND
"""Within this time after the start the peers that were silent are asked whether they live, and NATs hear from us."""
LIVING = (IkeState.ESTABLISHED, IkeState.UNDECIDED, IkeState.REPLACED, IkeState.DELETING)


def take_up(ctx: Context, event: Configured) -> dict[str, PeerRecord]:
    """Enter what can be read, its peers as they were configured then: what is other now, `configure` sees.

    What cannot be read is refused by name, and its tunnel made anew. Give the peers of what was taken up.
    """
    there = {one.id: None for one in event.held}
    readable = _readable(ctx, event)
    for found in readable:
        try:
            _judge(ctx, found)
        except UnreadableError as error:
            _refuse(ctx, error)
        else:
            _enter(ctx, event, found, there)
    _say_again(ctx, readable)
    inheritance.inherit(ctx, event.held, there)
    taken_up = {name: record for name, record in ctx.peers.items() if ctx.lineages_of_peer(name)}
    for lineage in list(ctx.lineages.values()):
        if lineage.peer and lineage.peer is not ctx.peers[lineage.peer.name].peer and not lineage.closing:
            lineages.end(ctx, lineage, Refusal.DISCONNECTED, "the configuration changed")
    return taken_up


def _readable(ctx: Context, event: Configured) -> list[Checkpoint]:
    parser = Parser(lambda known: _fitting(event, known))
    found = []
    for octets in event.checkpoints:
        try:
            found.append(parser.parse(octets))
        except UnreadableError as error:
            _refuse(ctx, error)
    return found


def _refuse(ctx: Context, error: UnreadableError) -> None:
    message = f"an IKE SA of the former process cannot be taken up and is made anew: {error}"
    ctx.log("", message, Refusal.CHECKPOINT_UNREADABLE, WARNING)


def _say_again(ctx: Context, readable: list[Checkpoint]) -> None:
    """Repeat what the former process may not have come to send, in its last step. Who has it already ignores it."""
    last = max((found.written_at for found in readable), default=0)
    for found in readable:
        for sa in found.snapshot.sas if found.written_at == last else ():
            under_way = sa.window.outstanding
            for datagrams in (sa.window.last_response, under_way.datagrams if under_way else ()):
                if ctx.sas.get(sa.spi) is sa:
                    requests.transmit(ctx, datagrams, (sa.local, sa.remote))


def _fitting(event: Configured, known: Known) -> Peer:
    """Give the peer as it is configured now where that is how it was, else as it was."""
    peer = next((one for one in event.peers if one.name == known.peer.name), None)
    return peer if peer is not None and Known.of(peer, event.identity) == known else known.peer


def _judge(ctx: Context, found: Checkpoint) -> None:
    """See that a lineage is whole, and meets no other. Raise UnreadableError."""
    lineage, sas = found.snapshot.lineage, found.snapshot.sas
    _must(lineage.established and lineage.peer is not None and bool(lineage.members), "it is not established")
    _must(lineage.number not in ctx.lineages, "there are two of one number")
    _must([sa.spi for sa in sas] == [*lineage.members, *lineage.lingering], "an IKE SA is missing")
    _must(len(sas) == len({sa.spi: None for sa in sas}), "there are two IKE SAs of one SPI")
    _must(lineage.current in lineage.members or lineage.closing, "none of its IKE SAs is the current one")
    for sa in sas:
        _judge_sa(ctx, lineage, sa)
    for spi_in, child in lineage.children.items():
        _must(spi_in == child.spi_in and spi_in not in ctx.child_owners, "there are two children of one SPI")
        _must(child.inbound.direction is Direction.IN, "a child has no inbound association")
        _must(child.outbound.direction is Direction.OUT, "a child has no outbound association")
        _must(child.replaced_by != spi_in, "a child replaces itself")
    outbound = [child.outbound.id for child in lineage.children.values()]
    _must(len(outbound) == len(dict.fromkeys(outbound)), "there are two children of one outbound SPI")
    _judge_bounds(lineage, sas)
    _judge_deadlines(found.snapshot)


def _judge_bounds(lineage: Lineage, sas: tuple[IkeSa, ...]) -> None:
    """See that there is no more of anything than a peer could have made."""
    selectors = sum(len(child.inbound.selectors) for child in lineage.children.values())
    _must(
        len(lineage.members) <= MAX_IKE_SAS_PER_PEER + 1 and len(lineage.lingering) <= MAX_LINGERING, "too many IKE SAs"
    )
    _must(len(lineage.children) <= MAX_CHILDREN and selectors <= MAX_SELECTORS_HELD, "too many children")
    _must(len(lineage.queue) <= MAX_QUEUED_TASKS, "too many exchanges wait")
    _must(all(sa.restarts <= MAX_SET_UP_RESTARTS for sa in sas), "an IKE SA was begun anew too often")


def _judge_sa(ctx: Context, lineage: Lineage, sa: IkeSa) -> None:
    _must(sa.lineage == lineage.number and sa.spi not in ctx.sas, "there are two IKE SAs of one SPI")
    _must(len(sa.spi_i) == len(sa.spi_r) == SPI_OCTETS, "an IKE SA has no SPI")
    if sa.spi in lineage.lingering:
        _must(sa.state is IkeState.CLOSED, "an IKE SA is neither closed nor alive")
    else:
        _must(sa.state in LIVING and usable(sa), "an IKE SA has no keys that fit")
        _must(sa.epoch < MAX_EPOCH, "an IKE SA was taken up too often")
        _must(_has_said(sa), "what an IKE SA said was not said with its keys")


def _has_said(sa: IkeSa) -> bool:
    """Tell whether what may have to be sent again is there, and ours."""
    under_way = sa.window.outstanding
    if under_way is not None and not under_way.datagrams:
        return False
    asked = (*under_way.datagrams, *under_way.smaller) if under_way is not None else ()
    return said(sa, (*asked, *sa.window.last_response))


def _judge_deadlines(snapshot: Snapshot) -> None:
    lineage = snapshot.lineage
    owned: dict[Key, None] = {(timer, sa.spi.hex()): None for sa in snapshot.sas for timer in IKE_TIMERS}
    owned |= {(timer, spi_in): None for spi_in in lineage.children for timer in CHILD_TIMERS}
    owned |= {(timer, lineage.number): None for timer in LINEAGE_TIMERS}
    there = {(one.timer, one.owner): None for one in snapshot.deadlines}
    _must(all(key in owned for key in there), "a deadline is nobody's")
    _must(all(key in there for sa in snapshot.sas for key in _needed(sa)), "an IKE SA would stay for ever")


def _needed(sa: IkeSa) -> Iterator[Key]:
    """Give the deadlines without which an IKE SA would wait for ever."""
    if sa.state in (IkeState.CLOSED, IkeState.REPLACED):
        yield Timer.IKE_LINGER, sa.spi.hex()
    if sa.state is IkeState.DELETING or sa.window.outstanding is not None:
        yield Timer.RETRANSMIT, sa.spi.hex()


def _must(condition: bool, otherwise: str) -> None:
    if not condition:
        raise UnreadableError(otherwise)


def _enter(ctx: Context, event: Configured, found: Checkpoint, there: dict[AssociationId, None]) -> None:
    snapshot = ages.as_of(ctx.now, found)
    lineage, peer = snapshot.lineage, found.peer
    if peer.name not in ctx.peers or peer is not found.known.peer:
        identity = event.identity if peer is not found.known.peer else found.known.identity
        ctx.peers.put(PeerRecord(peer, identity))
    ctx.lineages[lineage.number] = lineage
    ctx.lineages_made = max(ctx.lineages_made, lineage.number)
    ctx.by_peer.setdefault(peer.name, {})[lineage.number] = None
    for deadline in snapshot.deadlines:
        ctx.timers.set(deadline.timer, deadline.owner, _at(ctx, deadline))
    for sa in snapshot.sas:
        _enter_sa(ctx, lineage, sa, peer)
    _redo(ctx, lineage, found.pending, there)
    for child in lineage.children.values():
        _enter_child(ctx, lineage, child, there)
    ctx.dirty[lineage.number] = None
    ctx.touch(lineage.number)
    ctx.log(peer.name, "IKE SA taken up from the former process")


def _at(ctx: Context, deadline: Deadline) -> int:
    """Whoever has no answer of ours yet to what made a child could not ask for it again while nobody was here."""
    if deadline.timer is Timer.OUTBOUND_SWITCH:
        return max(deadline.at, ctx.now + OUTBOUND_SWITCH_NS)
    return deadline.at


def _enter_sa(ctx: Context, lineage: Lineage, sa: IkeSa, peer: Peer) -> None:
    """Another epoch begins: no IV is used again that may have been used, even where no checkpoint tells of it."""
    ctx.sas[sa.spi] = sa
    sa.epoch, sa.ivs_used = sa.epoch + 1, 0
    if sa.spi != lineage.current or sa.state is not IkeState.ESTABLISHED:
        return
    soon = ctx.now + below(ctx.entropy, SPREAD_NS)
    if peer.dpd_s:
        ctx.timers.set(Timer.LIVENESS, sa.spi.hex(), max(soon, sa.last_heard + peer.dpd_s * SECOND))
    if sa.nat_local:
        ctx.timers.set(Timer.KEEPALIVE, sa.spi.hex(), soon)
    if sa.epoch > MAX_EPOCH - FEW_EPOCHS:
        lineages.enqueue(ctx, lineage, RekeyIke())


def _redo(ctx: Context, lineage: Lineage, pending: tuple[Pending, ...], there: dict[AssociationId, None]) -> None:
    """Tell the data plane what the former process may not have come to tell it.

    What it installed for the first time just then was never used without it; so its key may still be given.
    """
    name = lineage.peer.name if lineage.peer else ""
    for one in pending:
        child = lineage.children.get(one.spi_in)
        if child is None:
            continue
        association = child.inbound if one.direction is Direction.IN else child.outbound
        if one.before is None and association.id not in there:
            ctx.emit(InstallAssociation(association, name, child.child.name))
        elif one.before is not None and one.before.id in there:
            ctx.emit(MoveAssociation(one.before, association))
            there.pop(one.before.id)
        there[association.id] = None


def _enter_child(ctx: Context, lineage: Lineage, child: ChildSa, there: dict[AssociationId, None]) -> None:
    """Where the data plane lost a child, it is made anew."""
    ctx.child_owners[child.spi_in] = lineage.number
    if not child.waiting and lineage.peer is not None:
        ctx.sending[child.outbound.id] = lineage.peer.name
    if child.inbound.id not in there or not (child.waiting or child.outbound.id in there):
        anew.lost(ctx, child)
