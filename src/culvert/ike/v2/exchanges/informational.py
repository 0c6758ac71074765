"""INFORMATIONAL: deletes, liveness, and errors found too late (RFC 7296 sections 1.4, 1.4.1, 2.21.2)."""

from __future__ import annotations

from culvert.ike.records import ChildDown
from culvert.ike.v2 import (
    carrying,
    children,
    collisions,
    crash_detection,
    lineages,
    proof,
    requests,
    succession,
    unknown_spi,
)
from culvert.ike.v2.answers import Answer
from culvert.ike.v2.collisions import Asked, Reply
from culvert.ike.v2.context import Context
from culvert.ike.v2.reading import PROTOCOL_IDS, Contents
from culvert.ike.v2.sa import ChildSa, DeleteChild, DeleteIke, IkeSa, IkeState, InvalidSpi, Lineage, Liveness, Refuse
from culvert.ike.v2.sealing import Payloads
from culvert.ipsec.associations import Protocol
from culvert.reasons import Refusal
from culvert.wire.isakmp.delete import Delete
from culvert.wire.isakmp.notify import Notify, NotifyType
from culvert.wire.isakmp.numbers import ExchangeType, ProtocolId

DELETED = "the peer ended the tunnel"


def initiate(ctx: Context, sa: IkeSa, task: DeleteChild | DeleteIke | Refuse | Liveness | InvalidSpi) -> bool:
    """Send what the task says; False where it is moot."""
    payloads: Payloads = ()
    if isinstance(task, DeleteChild):
        child = ctx.lineage_of(sa).children.get(task.spi_in)
        if child is None and not task.orphan:
            return False
        if child is not None:
            child.deleting = True
        payloads = (Delete(PROTOCOL_IDS[task.protocol], (task.spi_in.to_bytes(4, "big"),)),)
    elif isinstance(task, DeleteIke):
        sa.state = IkeState.DELETING
        payloads = (Delete(ProtocolId.IKE),)
    elif isinstance(task, Refuse):
        payloads = (Notify(NotifyType.AUTHENTICATION_FAILED),)
    elif isinstance(task, InvalidSpi):
        payloads = (Notify(NotifyType.INVALID_SPI, task.spi.to_bytes(4, "big")),)
    elif sa.token_due:
        payloads = crash_detection.given(ctx, sa)
    requests.send(ctx, sa, ExchangeType.INFORMATIONAL, payloads, task=task)
    return True


def respond(ctx: Context, sa: IkeSa, contents: Contents) -> Answer:
    """Do what the peer says. An empty request is answered with nothing: we are here."""
    crash_detection.remember(sa, contents)
    unknown_spi.told(ctx, sa, contents)
    deletes = contents.all(Delete)
    if any(one.protocol == ProtocolId.IKE for one in deletes):
        return _delete_ike(ctx, sa)
    if contents.notify(NotifyType.AUTHENTICATION_FAILED):
        return Answer((), (Refusal.AUTHENTICATION_FAILED, _not_accepted(ctx, sa)))
    answers = (_delete_children(ctx, sa, protocol, deletes) for protocol in PROTOCOL_IDS)
    return Answer(tuple(one for one in answers if one is not None))


def _delete_children(ctx: Context, sa: IkeSa, protocol: Protocol, deletes: list[Delete]) -> Delete | None:
    """Let the children of a protocol go that the peer names; give our SPIs of them."""
    number = PROTOCOL_IDS[protocol]
    spis = [int.from_bytes(spi, "big") for one in deletes if one.protocol == number for spi in one.spis]
    gone = [_delete_child(ctx, sa, spi, protocol) for spi in dict.fromkeys(spis)]
    ours = tuple(spi.to_bytes(4, "big") for spi in gone if spi is not None)
    return Delete(number, ours) if ours else None


def _not_accepted(ctx: Context, sa: IkeSa) -> str:
    record = ctx.peers.get(sa.peer)
    return f"{sa.remote} refuses us: {proof.not_accepted(ctx, sa, record) if record else 'it is no longer configured'}"


def _delete_child(ctx: Context, sa: IkeSa, spi_out: int, protocol: Protocol) -> int | None:
    """Let a child go; give our SPI of it, or None where the table says so."""
    lineage = ctx.lineage_of(sa)
    child = children.find_outbound(lineage, spi_out, protocol)
    rule = collisions.on_request(Asked.DELETE_CHILD, sa, lineage, child)
    if child is None:
        return None
    _report(ctx, lineage, child)
    children.release(ctx, lineage, child)
    return None if rule.reply is Reply.WITHOUT_DELETE else child.spi_in


def _report(ctx: Context, lineage: Lineage, child: ChildSa) -> None:
    others = [one for one in carrying.carriers(lineage, child.child.name) if one is not child]
    if child.current and lineage.peer and not carrying.carried_by(child, others):
        ended = ChildDown(lineage.peer.name, child.child.name, Refusal.PEER_DELETED, "the peer ended it", child.sides)
        ctx.outcomes.append(ended)


def _delete_ike(ctx: Context, sa: IkeSa) -> Answer:
    """End this IKE SA. A lineage lives on where another one is its current, or where the peer made a successor."""
    lineage = ctx.lineage_of(sa)
    reply = collisions.on_request(Asked.DELETE_IKE, sa, lineage).reply
    if reply is Reply.WITHDRAWN:
        lineage.rival = None
    elif reply is Reply.TAKE_THEIRS and succession.adopt_rival(ctx, lineage, sa):
        ctx.dirty[lineage.number] = None
    return Answer((), (Refusal.PEER_DELETED, DELETED))


def conclude(ctx: Context, sa: IkeSa, task: DeleteChild | DeleteIke | Refuse | Liveness | InvalidSpi) -> None:
    """Take the answer; what we ended is gone now."""
    lineage = ctx.lineage_of(sa)
    if isinstance(task, DeleteIke | Refuse):
        lineages.close(ctx, sa)
    elif isinstance(task, DeleteChild):
        child = lineage.children.get(task.spi_in)
        if child is not None:
            children.release(ctx, lineage, child)
        ctx.dirty[lineage.number] = None
