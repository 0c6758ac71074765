"""IKE_AUTH: who is who, the proof, and the first child (RFC 7296 sections 1.2, 2.15, 2.21.2)."""

from __future__ import annotations

from culvert.config.model import Peer
from culvert.identities import Identity
from culvert.ike import negotiation, refusals
from culvert.ike.logs import WARNING
from culvert.ike.records import CallRefused, ChildDown, PeerRecord, SetUpFailed
from culvert.ike.v2 import (
    callers,
    carrying,
    certificate_payloads,
    child_negotiation,
    children,
    crash_detection,
    keys,
    lineages,
    pfs,
    proof,
    requests,
    standing,
)
from culvert.ike.v2.answers import Answer
from culvert.ike.v2.context import Context
from culvert.ike.v2.reading import Contents, Refused, name_of, reason_of, refused
from culvert.ike.v2.sa import ChildOffer, DeleteChild, IkeSa, IkeState, Lineage, Refuse, SetUp
from culvert.ike.v2.sealing import Payloads
from culvert.limits import MAX_IKE_SAS_PER_PEER
from culvert.reasons import Refusal
from culvert.wire.isakmp.auth import Authentication
from culvert.wire.isakmp.identification import IDi, IDr
from culvert.wire.isakmp.notify import Notify, NotifyType
from culvert.wire.isakmp.numbers import ExchangeType
from culvert.wire.isakmp.payload import Payload
from culvert.wire.isakmp.sa import SecurityAssociation

NO_EAP = "it asks for EAP, which is not spoken here"


def initiate(ctx: Context, sa: IkeSa, record: PeerRecord) -> None:
    """Prove who we are, and ask for the first child, if one is to come with it (RFC 6023)."""
    peer, offer = record.peer, _offer(ctx, sa, record)
    idi = IDi.of(record.local_identity(sa.local.ip))
    expected = _wished(record, sa)
    wanted: tuple[Payload, ...] = (IDr.of(expected),) if expected else ()
    initial = (Notify(NotifyType.INITIAL_CONTACT),) if _first_contact(ctx, sa, record) else ()
    try:
        ours = proof.make(sa, peer, idi)
    except proof.NoProof as error:
        lineages.drop(ctx, ctx.lineage_of(sa), Refusal.NO_SIGNATURE, str(error))
        return
    payloads: Payloads = (
        idi,
        *certificate_payloads.own_chain(peer),
        *initial,
        *certificate_payloads.asking((peer,)),
        *wanted,
        ours,
        *crash_detection.given(ctx, sa),
        *(child_negotiation.request(offer, key_exchange=False) if offer else ()),
    )
    requests.send(ctx, sa, ExchangeType.IKE_AUTH, payloads, task=SetUp(), offer=offer)


def _offer(ctx: Context, sa: IkeSa, record: PeerRecord) -> ChildOffer | None:
    """Offer the first child; none where none is to come, or it is to have its group for PFS agreed on at once, and the
    responder takes that.
    """
    child = record.child(sa.first_child or "") or record.peer.children[0]
    if sa.childless and (sa.first_child is None or pfs.named(child)):
        sa.first_child = None
        return None
    sa.first_child = child.name
    parts = record.parts_of(child.name)
    sides, parts.packet = carrying.first_wish(child, parts), None
    return ChildOffer(child, *sides, ctx.fresh_child_spi(), sa.nonce_i)


def _wished(record: PeerRecord, sa: IkeSa) -> Identity | None:
    """Give whom we ask for; a peer that is configured by a name may present its address or that name.

    Nobody is a wildcard, so nobody is asked for by one.
    """
    if record.peer.identity is not None:
        return None if record.peer.identity.is_wildcard else record.peer.identity
    return Identity.of_address(sa.remote.ip) if str(sa.remote.ip) in record.peer.addresses else None


def _first_contact(ctx: Context, sa: IkeSa, record: PeerRecord) -> bool:
    """Tell whether nothing else is there or under way with this peer, so that it may let go of what it remembers.

    What a former process left in the data plane still carries traffic; the peer keeps its end until ours is new.
    """
    if record.inherited:
        return False
    others = (one for one in ctx.sas.values() if one is not sa and one.state is not IkeState.CLOSED)
    return not any(one.peer == sa.peer or one.remote.ip == sa.remote.ip for one in others)


def respond(ctx: Context, sa: IkeSa, contents: Contents) -> Answer:
    """Judge the initiator's proof, give ours, and make the first child if that is possible."""
    idi = contents.get(IDi)
    record, judgement = _authenticate(ctx, sa, idi, contents)
    _tell(ctx, sa, record, idi, judgement)
    peer, lineage = record.peer, ctx.lineage_of(sa)
    idr = IDr.of(record.local_identity(sa.local.ip))
    sa.peer, sa.other_authorities = peer.name, certificate_payloads.asks_for_others(contents, peer)
    try:
        _check(sa, record, contents)
        ours = _own_proof(sa, peer, idr)
    except Refused as refusal:
        ctx.outcomes.append(CallRefused(peer.name, refusal.reason, refusal.explanation))
        raise
    sa.identity = idi.identity
    if contents.notify(NotifyType.INITIAL_CONTACT):
        _forget_others(ctx, sa, lineage, peer)
    _bound(ctx, peer)
    _tell_of_others(ctx, sa, peer)
    lineages.establish(ctx, lineage, sa, peer)
    standing.believe(ctx, lineage, judgement)
    chain = certificate_payloads.own_chain(peer)
    crash_detection.remember(sa, contents)
    token = crash_detection.given(ctx, sa)
    return Answer((idr, *chain, ours, *token, *_first_child(ctx, sa, lineage, peer, contents)))


def _authenticate(ctx: Context, sa: IkeSa, idi: IDi, contents: Contents) -> tuple[PeerRecord, proof.Proven]:
    """Find the peer that the initiator proves to be; an unknown identity takes the same path. Raise Refused."""
    if contents.find(Authentication) is None:
        raise refused(NotifyType.AUTHENTICATION_FAILED, f"{sa.remote} brings no proof: {NO_EAP}", fatal=True)
    found = callers.candidates(ctx, sa, idi, contents.find(IDr))
    judged = [proof.judge(ctx, sa, one.peer, idi, contents) for one in found]
    for record, judgement in zip(found, judged, strict=True):
        if isinstance(judgement, proof.Proven):
            return record, judgement
    first = judged[0] if judged else proof.judge(ctx, sa, None, idi, contents)
    if isinstance(first, proof.Proven):
        raise TypeError("nobody has proven anything")
    raise _turned_away(ctx, sa, found[:1], idi, first)


def _tell(ctx: Context, sa: IkeSa, record: PeerRecord, who: IDi | IDr, judgement: proof.Proven) -> None:
    """Say by what the peer proved itself, where there is something to say."""
    if judgement.how:
        ctx.log(record.peer.name, f"{sa.remote} is {callers.shown(who)} {judgement.how}")


def _tell_of_others(ctx: Context, sa: IkeSa, peer: Peer) -> None:
    """Say that another gateway takes a peer's place: a wildcard says who may be it, and one is it at a time."""
    for other in ctx.live(peer.name):
        current = ctx.current(other)
        if current and current.identity and sa.identity and not current.identity.matches(sa.identity):
            ctx.log(peer.name, f"{sa.identity} takes the place of {current.identity}", None, WARNING)


def _own_proof(sa: IkeSa, peer: Peer, idr: IDr) -> Authentication:
    """Prove who we are. Raise Refused where we have nothing that this peer would believe."""
    try:
        return proof.make(sa, peer, idr)
    except proof.NoProof as error:
        notify = Notify(NotifyType.AUTHENTICATION_FAILED)
        raise Refused(notify, Refusal.NO_SIGNATURE, str(error), fatal=True) from error


def _turned_away(ctx: Context, sa: IkeSa, found: list[PeerRecord], idi: IDi, judgement: proof.NotProven) -> Refused:
    """Tell the caller only that it failed; tell the peers that it may have been meant for all of it."""
    explanation = f"{sa.remote} says it is {callers.shown(idi)}: {judgement.explanation}"
    concerned = found or callers.expected_at(ctx, sa)
    if not found and concerned:
        explanation += f"; expected from there: {', '.join(one.awaited for one in concerned)}"
    for record in concerned:
        ctx.outcomes.append(CallRefused(record.peer.name, judgement.reason, explanation))
    sa.peer = concerned[0].peer.name if concerned else ""
    return Refused(Notify(NotifyType.AUTHENTICATION_FAILED), judgement.reason, explanation, fatal=True)


def _check(sa: IkeSa, record: PeerRecord, contents: Contents) -> None:
    """Check what depends on which peer it is: our identity, and algorithms chosen before we knew. Raise Refused."""
    wanted = contents.find(IDr)
    if wanted is not None and not callers.is_asked_for(sa, record, wanted):
        ours = record.local_identity(sa.local.ip)
        explanation = f"{sa.remote} asks for {callers.shown(wanted)}, and we are {ours} for it"
        raise refused(NotifyType.AUTHENTICATION_FAILED, explanation, fatal=True)
    if sa.suite is None or not negotiation.permits(record.peer.proposals, sa.suite):
        explanation = f"{record.peer.name} may not use {sa.suite}"
        raise refused(NotifyType.NO_PROPOSAL_CHOSEN, explanation, fatal=True)


def _forget_others(ctx: Context, sa: IkeSa, lineage: Lineage, peer: Peer) -> None:
    """Act on INITIAL_CONTACT: let go of what this identity had with us before it began this IKE SA.

    What it set up while this one was under way is a collision, not the remains of an earlier life.
    """
    for other in ctx.live(peer.name):
        current = ctx.current(other)
        if other is lineage or current is None or current.identity is None or sa.identity is None:
            continue
        if not current.identity.matches(sa.identity):
            continue
        if other.established_at < sa.created_at and other.began_at < lineage.began_at:
            lineages.drop(ctx, other, Refusal.PEER_DELETED, "the peer started anew")


def _bound(ctx: Context, peer: Peer) -> None:
    """Let go of the oldest where a peer makes one IKE SA after the other."""
    live = ctx.live(peer.name)
    for lineage in live[: max(0, len(live) + 1 - MAX_IKE_SAS_PER_PEER)]:
        lineages.drop(ctx, lineage, Refusal.PEER_DEAD, "the peer has too many IKE SAs; the oldest was dropped")


def _first_child(ctx: Context, sa: IkeSa, lineage: Lineage, peer: Peer, contents: Contents) -> Payloads:
    """Make the child that is asked for, or say why there is none; the IKE SA stays in either case."""
    if contents.find(SecurityAssociation) is None:
        return ()
    try:
        child, payloads = child_negotiation.respond(
            ctx, sa, peer, contents, nonces=keys.Nonces(sa.nonce_i, sa.nonce_r), key_exchange=False
        )
    except Refused as refusal:
        if refusal.notify.type == NotifyType.INVALID_SYNTAX:
            raise  # that ends the IKE SA at both ends (section 2.21.3)
        ctx.log(peer.name, f"the first child was refused: {refusal.explanation}", refusal.reason, WARNING)
        ctx.outcomes.append(ChildDown(peer.name, "", refusal.reason, refusal.explanation))
        return (refusal.notify,)
    children.install_answered(ctx, lineage, child)
    pfs.try_soon(ctx, sa, child)
    return payloads


def conclude(ctx: Context, sa: IkeSa, contents: Contents, offer: ChildOffer | None) -> None:
    """Judge the responder's proof and take the first child, where one was asked for."""
    lineage, record = ctx.lineage_of(sa), ctx.peers.get(sa.peer)
    if record is None or lineage.closing:
        lineages.drop(ctx, lineage, Refusal.DISCONNECTED, "no longer wanted")
        return
    if contents.find(Authentication) is None or contents.unknown_error:
        error = contents.unknown_error or contents.error
        reason = reason_of(error.type) if error else Refusal.UNEXPECTED_MESSAGE
        lineages.drop(ctx, lineage, reason, _refusal(ctx, sa, record, error))
        return
    if offer is None and contents.find(SecurityAssociation) is not None:
        lineages.drop(ctx, lineage, Refusal.UNEXPECTED_MESSAGE, f"{sa.remote} makes a child that was not asked for")
        return
    idr = contents.get(IDr)
    judgement = _judge_responder(ctx, sa, record, idr, contents)
    if not isinstance(judgement, proof.Proven):
        _refuse(ctx, sa, lineage, idr, judgement)
        return
    _tell(ctx, sa, record, idr, judgement)
    sa.identity = idr.identity
    crash_detection.remember(sa, contents)
    lineages.establish(ctx, lineage, sa, record.peer)
    standing.believe(ctx, lineage, judgement)
    if offer is not None:
        _take_child(ctx, sa, record.peer, contents, offer)


def _judge_responder(ctx: Context, sa: IkeSa, record: PeerRecord, idr: IDr, contents: Contents) -> proof.Judgement:
    if idr.identity is None or not record.expects(idr.identity):
        return proof.NotProven(f"expected is {record.awaited}")
    return proof.judge(ctx, sa, record.peer, idr, contents)


def _refusal(ctx: Context, sa: IkeSa, record: PeerRecord, error: Notify | None) -> str:
    """Say for people what the responder refused, and what that means."""
    name = name_of(error) if error else "nothing that we understand"
    failed = error is not None and error.type == NotifyType.AUTHENTICATION_FAILED
    return f"{sa.remote} refuses with {name}{': ' + proof.not_accepted(ctx, sa, record) if failed else ''}"


def _refuse(ctx: Context, sa: IkeSa, lineage: Lineage, idr: IDr, judgement: proof.NotProven) -> None:
    """Tell the responder, who believes that all is well, and let go."""
    explanation = f"{sa.remote} says it is {callers.shown(idr)}: {judgement.explanation}"
    ctx.log(sa.peer, explanation, judgement.reason, WARNING)
    ctx.outcomes.append(SetUpFailed(sa.peer, judgement.reason, explanation))
    sa.state, lineage.closing = IkeState.DELETING, True
    lineage.queue = [Refuse()]
    ctx.dirty[lineage.number] = None


def _take_child(ctx: Context, sa: IkeSa, peer: Peer, contents: Contents, offer: ChildOffer) -> None:
    lineage, error = ctx.lineage_of(sa), contents.error
    if contents.find(SecurityAssociation) is None:
        reason = reason_of(error.type) if error else Refusal.UNEXPECTED_MESSAGE
        what = refusals.child(offer.asked, error, key_exchange=False)
        ctx.log(peer.name, what, reason, WARNING)
        ctx.outcomes.append(ChildDown(peer.name, offer.child.name, reason, what, offer.sides))
        return
    try:
        child = child_negotiation.conclude(
            ctx, sa, peer, offer, contents, nonces=keys.Nonces(sa.nonce_i, sa.nonce_r), key_exchange=False
        )
    except Refused as refusal:
        ctx.log(peer.name, refusal.explanation, refusal.reason, WARNING)
        down = ChildDown(peer.name, offer.child.name, refusal.reason, refusal.explanation, offer.sides)
        ctx.outcomes.append(down)
        lineage.queue.append(DeleteChild(offer.spi_in, orphan=True, protocol=offer.child.protocol))
        return
    children.report_narrowed(ctx, lineage, offer, child)
    children.install(ctx, lineage, child)
    pfs.try_soon(ctx, sa, child)
