"""CREATE_CHILD_SA: a new child, or a successor for a child or the IKE SA (RFC 7296 sections 1.3, 2.8, 2.25)."""

from __future__ import annotations

from dataclasses import replace

from culvert.clock import SECOND
from culvert.config.model import Child
from culvert.crypto.key_exchange import begin as begin_key_exchange
from culvert.ike import negotiation, refusals
from culvert.ike.logs import WARNING
from culvert.ike.parts import Sides
from culvert.ike.records import ChildDown
from culvert.ike.timers import Timer
from culvert.ike.v2 import (
    carrying,
    child_negotiation,
    children,
    collisions,
    lineages,
    pfs,
    requests,
    retries,
    succession,
    table,
)
from culvert.ike.v2.answers import Answer
from culvert.ike.v2.collisions import Answered, Asked, Reply, Then
from culvert.ike.v2.context import Context
from culvert.ike.v2.keys import Nonces
from culvert.ike.v2.reading import Contents, Refused, child_notify, protocol_of, reason_of, refused
from culvert.ike.v2.sa import (
    ChildOffer,
    ChildSa,
    CreateChild,
    DeleteChild,
    IkeSa,
    Lineage,
    RekeyChild,
)
from culvert.reasons import Refusal
from culvert.wire.isakmp.nonce import Nonce
from culvert.wire.isakmp.notify import Notify, NotifyType
from culvert.wire.isakmp.numbers import ExchangeType
from culvert.wire.isakmp.sa import SecurityAssociation

REFUSED_RETRY_NS = 60 * SECOND
"""When a rekey that the peer refused for good is tried again; the configuration of one end must change first."""
DISAGREEMENTS = (
    Refusal.TS_UNACCEPTABLE,
    Refusal.NO_PROPOSAL_CHOSEN,
    Refusal.PFS_MISMATCH,
    Refusal.MODE_MISMATCH,
)
"""Refusals that tell of two configurations that do not fit: `status` shows them at both ends."""


def initiate(ctx: Context, sa: IkeSa, task: CreateChild | RekeyChild) -> bool:
    """Ask for a child, or for the successor of one; False where that is moot."""
    lineage = ctx.lineage_of(sa)
    old = lineage.children.get(task.spi_in) if isinstance(task, RekeyChild) else None
    child = _subject(ctx, lineage, task, old)
    sides = _wish(ctx, lineage, task, old, child) if child else None
    if child is None or sides is None:
        return False
    wanted = negotiation.acceptable_method(child.proposals, task.method) if task.method else None
    method = wanted or negotiation.preferred_method(child.proposals)
    private = begin_key_exchange(method, ctx.entropy) if method else None
    rekeys = old.spi_in if old else None
    offer = ChildOffer(child, *sides, ctx.fresh_child_spi(), ctx.nonce(), private, method, rekeys)
    offer.early = old is not None and old.unconfirmed
    if isinstance(task, CreateChild):
        task = replace(task, asked=sides)
    payloads = child_negotiation.request(offer, key_exchange=True, old_spi_in=offer.rekeys)
    requests.send(ctx, sa, ExchangeType.CREATE_CHILD_SA, payloads, task=task, offer=offer)
    return True


def _subject(ctx: Context, lineage: Lineage, task: CreateChild | RekeyChild, old: ChildSa | None) -> Child | None:
    if isinstance(task, RekeyChild):
        return old.child if old and old.current else None
    record = ctx.peers.get(lineage.peer.name) if lineage.peer else None
    return record.child(task.child) if record else None


def _wish(
    ctx: Context, lineage: Lineage, task: CreateChild | RekeyChild, old: ChildSa | None, child: Child
) -> Sides | None:
    """Choose what to ask for. A successor has the selectors of the old one (RFC 7296 section 2.9.2)."""
    if isinstance(task, RekeyChild):
        return old.sides if old else None
    record = ctx.peers.get(child.peer)
    if record is None:
        return None
    parts = record.parts_of(child.name)
    wished = carrying.next_wish(lineage, child, parts, ctx.now)
    parts.packet = None
    return (task.asked or wished) if wished else None


def respond(ctx: Context, sa: IkeSa, contents: Contents) -> Answer:
    """Answer a request for a child or for a successor of the IKE SA. Raise Refused."""
    lineage = ctx.lineage_of(sa)
    if table.rekeys_ike(contents):
        return Answer(succession.respond(ctx, sa, lineage, contents))
    try:
        return _respond_child(ctx, sa, lineage, contents)
    except Refused as refusal:
        if refusal.reason in DISAGREEMENTS:
            _disagreed(ctx, lineage, contents, refusal)
        raise


def _disagreed(ctx: Context, lineage: Lineage, contents: Contents, refusal: Refused) -> None:
    """Remember why the peer got no child, or no new keys for one."""
    named = contents.notify(NotifyType.REKEY_SA)
    old = _rekeyed(lineage, named) if named else None
    if old is not None:
        pfs.refused_by_us(ctx, lineage, old, refusal.reason, refusal.explanation)
    elif lineage.peer is not None:
        ctx.outcomes.append(ChildDown(lineage.peer.name, "", refusal.reason, refusal.explanation))


def _respond_child(ctx: Context, sa: IkeSa, lineage: Lineage, contents: Contents) -> Answer:
    named = contents.notify(NotifyType.REKEY_SA)
    old = _rekeyed(lineage, named) if named else None
    reply = _reply(sa, lineage, old, named)
    if lineage.peer is None:
        raise refused(NotifyType.TEMPORARY_FAILURE, "the IKE SA has no peer")
    nonces = Nonces(contents.get(Nonce).value, ctx.nonce())
    child, payloads = child_negotiation.respond(
        ctx, sa, lineage.peer, contents, nonces=nonces, key_exchange=True, rekeyed=old
    )
    pfs.succeeded(ctx, lineage, child)
    if old is None:
        children.install_answered(ctx, lineage, child)
        return Answer(payloads)
    children.install(ctx, lineage, child, wait_ns=children.OUTBOUND_SWITCH_NS)
    offer = sa.window.outstanding.offer if sa.window.outstanding else None
    if reply is Reply.NONCES_DECIDE and isinstance(offer, ChildOffer):
        offer.rival, child.replaces = child.spi_in, old.spi_in
    else:
        children.replace(ctx, old, child)
    return Answer(payloads)


def _reply(sa: IkeSa, lineage: Lineage, old: ChildSa | None, named: Notify | None) -> Reply:
    """Decide by the table how a request for a child is answered; `named` is REKEY_SA. Raise Refused."""
    rule = collisions.on_request(Asked.REKEY_CHILD if named else Asked.NEW_CHILD, sa, lineage, old)
    if rule.reply is Reply.TEMPORARY_FAILURE:
        raise refused(NotifyType.TEMPORARY_FAILURE, rule.why)
    if named and rule.reply is Reply.CHILD_SA_NOT_FOUND:
        spi = int.from_bytes(named.spi[:4], "big")
        not_found = child_notify(NotifyType.CHILD_SA_NOT_FOUND, spi, named.protocol)
        raise Refused(not_found, Refusal.CHILD_SA_NOT_FOUND, f"the peer wants to rekey 0x{spi:08x}: {rule.why}")
    return rule.reply


def _rekeyed(lineage: Lineage, named: Notify) -> ChildSa | None:
    """Find the child that REKEY_SA names by the peer's inbound SPI."""
    protocol = protocol_of(named.protocol)
    return children.find_outbound(lineage, int.from_bytes(named.spi[:4], "big"), protocol) if protocol else None


def conclude(ctx: Context, sa: IkeSa, contents: Contents, task: CreateChild | RekeyChild, offer: ChildOffer) -> None:
    """Take the answer to our request for a child."""
    lineage = ctx.lineage_of(sa)
    if lineage.closing or lineage.peer is None:
        return
    made = contents.find(SecurityAssociation) is not None
    if made and contents.unknown_error:
        lineages.enqueue(ctx, lineage, DeleteChild(offer.spi_in, orphan=True, protocol=offer.child.protocol))
    if not made or contents.unknown_error:
        _refused(ctx, lineage, task, offer, contents.unknown_error or contents.error)
        return
    nonces = Nonces(offer.nonce, contents.get(Nonce).value)
    try:
        child = child_negotiation.conclude(ctx, sa, lineage.peer, offer, contents, nonces=nonces, key_exchange=True)
    except Refused as refusal:
        lineages.enqueue(ctx, lineage, DeleteChild(offer.spi_in, orphan=True, protocol=offer.child.protocol))
        _report(ctx, lineage, offer, refusal.reason, refusal.explanation)
        return
    lineage.retries = 0
    pfs.succeeded(ctx, lineage, child)
    children.report_narrowed(ctx, lineage, offer, child)
    _take(ctx, lineage, offer, child)
    ctx.dirty[lineage.number] = None


def _asked(offer: ChildOffer) -> Asked:
    return Asked.NEW_CHILD if offer.rekeys is None else Asked.REKEY_CHILD


def _take(ctx: Context, lineage: Lineage, offer: ChildOffer, new: ChildSa) -> None:
    """Install what the peer made for us; let it succeed the old child, unless the peer's rival of it wins."""
    old, rival = lineage.children.get(offer.rekeys or 0), lineage.children.get(offer.rival or 0)
    then = collisions.on_response(_asked(offer), collisions.since_asked(lineage, offer, new), Answered.MADE)
    if then is Then.DELETE_OURS and rival is not None:
        new.redundant = True
        children.install(ctx, lineage, new, wait_ns=children.OUTBOUND_SWITCH_NS)
        lineages.enqueue(ctx, lineage, DeleteChild(new.spi_in, protocol=new.protocol))
        if old is not None:
            children.replace(ctx, old, rival)
        return
    if rival is not None:
        children.make_redundant(ctx, rival)
    if old is not None:
        children.replace(ctx, old, new)
    children.install(ctx, lineage, new)
    if old is not None:
        old.deleting = True
        lineages.enqueue(ctx, lineage, DeleteChild(old.spi_in, protocol=old.protocol), first=True)


def _refused(
    ctx: Context, lineage: Lineage, task: CreateChild | RekeyChild, offer: ChildOffer, error: Notify | None
) -> None:
    """The peer makes no child: try again, let the old one go, or report it (RFC 7296 section 2.25)."""
    old, rival = lineage.children.get(offer.rekeys or 0), lineage.children.get(offer.rival or 0)
    answered = collisions.answered(error.type if error else None)
    then = collisions.on_response(_asked(offer), collisions.since_asked(lineage, offer), answered)
    if then is Then.TAKE_THEIRS and old is not None and rival is not None:
        children.replace(ctx, old, rival)
    elif then is Then.AGAIN:
        retries.soon(ctx, lineage, task, offer)
    elif then is Then.ANEW and old is not None:
        children.remove(ctx, lineage, old)
        lineages.enqueue(ctx, lineage, CreateChild(offer.child.name))
    elif then is Then.REFUSED:
        _as_it_says(ctx, lineage, task, offer, error)


def _as_it_says(
    ctx: Context, lineage: Lineage, task: CreateChild | RekeyChild, offer: ChildOffer, error: Notify | None
) -> None:
    """The refusal has nothing to do with other exchanges: ask with another group, begin anew, or report it."""
    kind = error.type if error else None
    if error and kind == NotifyType.INVALID_KE_PAYLOAD and task.method is None:
        _with_other_group(ctx, lineage, task, offer, error)
    elif kind == NotifyType.NO_ADDITIONAL_SAS and isinstance(task, RekeyChild) and not task.trial:
        lineages.end(ctx, lineage, Refusal.NO_ADDITIONAL_SAS, "the peer rekeys no child; beginning anew")
    else:
        _refused_for_good(ctx, lineage, task, offer, error)


def _refused_for_good(
    ctx: Context, lineage: Lineage, task: CreateChild | RekeyChild, offer: ChildOffer, error: Notify | None
) -> None:
    """Two configurations do not fit. A child that stands goes on until its keys end; another try may go better."""
    if isinstance(task, RekeyChild):
        pfs.refused_by_peer(ctx, lineage, offer, error, trial=task.trial)
        if not task.trial:
            ctx.timers.set(Timer.CHILD_REKEY, task.spi_in, ctx.now + REFUSED_RETRY_NS)
        return
    reason = reason_of(error.type) if error else Refusal.UNEXPECTED_MESSAGE
    _report(ctx, lineage, offer, reason, refusals.child(offer.asked, error, key_exchange=True))


def _with_other_group(
    ctx: Context, lineage: Lineage, task: CreateChild | RekeyChild, offer: ChildOffer, error: Notify
) -> None:
    method = negotiation.acceptable_method(offer.child.proposals, int.from_bytes(error.data[:2], "big"))
    if method is None or len(error.data) != 2:
        _refused_for_good(ctx, lineage, task, offer, error)
    elif isinstance(task, RekeyChild):
        lineages.enqueue(ctx, lineage, replace(task, method=method.id), first=True)
    else:
        lineages.enqueue(ctx, lineage, CreateChild(task.child, method.id), first=True)


def _report(ctx: Context, lineage: Lineage, offer: ChildOffer, reason: Refusal, message: str) -> None:
    name = lineage.peer.name if lineage.peer else ""
    ctx.log(name, message, reason, WARNING)
    if offer.rekeys is None:
        ctx.outcomes.append(ChildDown(name, offer.child.name, reason, message, offer.sides))
    elif offer.rekeys in lineage.children:
        ctx.timers.set(Timer.CHILD_REKEY, offer.rekeys, ctx.now + REFUSED_RETRY_NS)
