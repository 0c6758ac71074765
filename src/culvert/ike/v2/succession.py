"""A successor for an IKE SA, made within CREATE_CHILD_SA (RFC 7296 sections 1.3.2, 2.8.2, 2.18, 2.25.2)."""

from __future__ import annotations

from culvert.clock import SECOND
from culvert.crypto.errors import InvalidKeyExchange
from culvert.crypto.key_exchange import KeyExchangeState
from culvert.crypto.key_exchange import begin as begin_key_exchange
from culvert.ike import explaining, negotiation, refusals
from culvert.ike.logs import WARNING
from culvert.ike.negotiation import Chosen
from culvert.ike.timers import Timer
from culvert.ike.v2 import collisions, crash_detection, keys, lineages, requests, retries
from culvert.ike.v2.collisions import Answered, Asked, Reply, Then
from culvert.ike.v2.context import Context
from culvert.ike.v2.reading import Contents, Refused, name_of, reason_of, refused
from culvert.ike.v2.sa import DeleteIke, IkeOffer, IkeSa, IkeState, Lineage, RekeyIke
from culvert.ike.v2.sealing import Payloads
from culvert.ipsec.proposals import Proposal
from culvert.limits import MAX_IKE_SAS_PER_PEER
from culvert.wire.isakmp.delete import Delete
from culvert.wire.isakmp.header import NO_SPI
from culvert.wire.isakmp.ke import KeyExchangePayload
from culvert.wire.isakmp.nonce import Nonce
from culvert.wire.isakmp.notify import Notify, NotifyType
from culvert.wire.isakmp.numbers import ExchangeType, ProtocolId
from culvert.wire.isakmp.sa import SecurityAssociation

REFUSED_RETRY_NS = 60 * SECOND


def initiate(ctx: Context, sa: IkeSa, task: RekeyIke) -> bool:
    """Ask for a successor; False where there is nobody to ask."""
    proposals = _asked_for(ctx.lineage_of(sa), sa, task)
    wanted = negotiation.acceptable_method(proposals, task.method) if task.method else None
    method = wanted or (sa.suite.key_exchange if sa.suite else None) or negotiation.preferred_method(proposals)
    if method is None or not proposals:
        return False
    offer = IkeOffer(ctx.fresh_ike_spi(), ctx.nonce(), begin_key_exchange(method, ctx.entropy), method)
    payloads: Payloads = (
        negotiation.offer(proposals, ProtocolId.IKE, offer.spi, key_exchange=True),
        Nonce(offer.nonce),
        KeyExchangePayload(method.id, offer.private.public),
    )
    requests.send(ctx, sa, ExchangeType.CREATE_CHILD_SA, payloads, task=task, offer=offer)
    return True


def _asked_for(lineage: Lineage, sa: IkeSa, task: RekeyIke) -> tuple[Proposal, ...]:
    """Give the proposals for a successor: with the PRF that stands, as long as the peer takes it.

    Where the PRF changes, the old one makes SKEYSEED and the new one the keys (RFC 7296 section 2.18). Peers are known
    to take the old one for both, and then nothing that either end says is authentic to the other.
    """
    proposals = lineage.peer.proposals if lineage.peer else ()
    return proposals if task.any_prf else negotiation.with_prf(proposals, keys.prf_of(sa))


def respond(ctx: Context, sa: IkeSa, lineage: Lineage, contents: Contents) -> Payloads:
    """Make the successor that the peer asks for. Where we asked for one too, the nonces decide later. Raise Refused."""
    rule = collisions.on_request(Asked.REKEY_IKE, sa, lineage)
    if rule.reply is Reply.TEMPORARY_FAILURE:
        raise refused(NotifyType.TEMPORARY_FAILURE, rule.why)
    if len(lineage.members) >= MAX_IKE_SAS_PER_PEER or lineage.peer is None:
        raise refused(NotifyType.TEMPORARY_FAILURE, "too many successors are under way")
    chosen = _choose(sa, lineage, contents)
    new = _successor(sa, chosen, initiator=False, spi_i=chosen.spi, spi_r=ctx.fresh_ike_spi(), now=ctx.now)
    new.nonce_i, new.nonce_r, new.unconfirmed = contents.get(Nonce).value, ctx.nonce(), True
    payloads = _answer(ctx, sa, new, chosen, contents)
    lineages.enter(ctx, lineage, new)
    if rule.reply is Reply.NONCES_DECIDE:
        new.state, lineage.rival = IkeState.UNDECIDED, new.spi
    else:
        lineages.succeed(ctx, lineage, sa, new)
    return payloads


def _choose(sa: IkeSa, lineage: Lineage, contents: Contents) -> Chosen:
    proposals = lineage.peer.proposals if lineage.peer else ()
    offered, ke = contents.get(SecurityAssociation), contents.get(KeyExchangePayload)
    preferred = (*negotiation.with_prf(proposals, keys.prf_of(sa)), *proposals)
    chosen = negotiation.choose(offered, preferred, ProtocolId.IKE, method=ke.method)
    if chosen is None or chosen.suite.key_exchange is None:
        place = explaining.Place.of_peer(lineage.peer.name if lineage.peer else "")
        raise refused(NotifyType.NO_PROPOSAL_CHOSEN, explaining.proposals(offered, proposals, place))
    if chosen.suite.key_exchange.id != ke.method:
        wanted = chosen.suite.key_exchange
        raise refused(NotifyType.INVALID_KE_PAYLOAD, f"{wanted.name} was asked for", wanted.id.to_bytes(2, "big"))
    if len(chosen.spi) != len(NO_SPI) or chosen.spi == NO_SPI:
        raise refused(NotifyType.INVALID_SYNTAX, "a successor needs an SPI of 8 octets")
    return chosen


def _answer(ctx: Context, sa: IkeSa, new: IkeSa, chosen: Chosen, contents: Contents) -> Payloads:
    method, ke = chosen.suite.key_exchange, contents.get(KeyExchangePayload)
    if method is None:
        raise refused(NotifyType.NO_PROPOSAL_CHOSEN, "a successor needs a key exchange")
    private = begin_key_exchange(method, ctx.entropy)
    keys.derive(new, _shared(private, ke.public), sa)
    return (
        chosen.answer(ProtocolId.IKE, new.spi_r),
        Nonce(new.nonce_r),
        KeyExchangePayload(method.id, private.public),
        *crash_detection.given(ctx, new),
    )


def _successor(sa: IkeSa, chosen: Chosen, *, initiator: bool, spi_i: bytes, spi_r: bytes, now: int) -> IkeSa:
    """Make an IKE SA that inherits the path, the identity and what is known of NATs."""
    new = IkeSa(sa.lineage, initiator, spi_i, spi_r, IkeState.UNDECIDED, sa.local, sa.remote, now, peer=sa.peer)
    new.suite, new.identity, new.last_heard = chosen.suite, sa.identity, now
    new.nat_local, new.nat_remote, new.peer_is_culvert = sa.nat_local, sa.nat_remote, sa.peer_is_culvert
    new.fragmentation, new.narrow = sa.fragmentation, sa.narrow
    return new


def conclude(ctx: Context, sa: IkeSa, contents: Contents, task: RekeyIke, offer: IkeOffer) -> None:
    """Take the answer to our request for a successor. It is taken even while we end: the peer has it, and must hear."""
    lineage = ctx.lineage_of(sa)
    if lineage.peer is None:
        return
    if contents.find(SecurityAssociation) is None:
        _refused(ctx, sa, lineage, contents, task)
        return
    try:
        if contents.unknown_error:
            raise refused(NotifyType.INVALID_SYNTAX, f"the peer says {name_of(contents.unknown_error)}")
        new = _take(ctx, sa, contents, task, offer)
    except Refused as refusal:
        # The peer has a successor that we do not have: this cannot be mended, only begun anew.
        lineages.end(ctx, lineage, refusal.reason, refusal.explanation)
        return
    lineages.enter(ctx, lineage, new)
    _decide(ctx, sa, lineage, new)


def _take(ctx: Context, sa: IkeSa, contents: Contents, task: RekeyIke, offer: IkeOffer) -> IkeSa:
    proposals = _asked_for(ctx.lineage_of(sa), sa, task)
    chosen = negotiation.accept(contents.get(SecurityAssociation), proposals, ProtocolId.IKE)
    ke = contents.get(KeyExchangePayload)
    if chosen is None or chosen.suite.key_exchange != offer.method or ke.method != offer.method.id:
        raise refused(NotifyType.NO_PROPOSAL_CHOSEN, "the peer chose algorithms that we did not offer")
    if len(chosen.spi) != len(NO_SPI) or chosen.spi == NO_SPI:
        raise refused(NotifyType.INVALID_SYNTAX, "the peer's successor has no SPI")
    new = _successor(sa, chosen, initiator=True, spi_i=offer.spi, spi_r=chosen.spi, now=ctx.now)
    new.nonce_i, new.nonce_r = offer.nonce, contents.get(Nonce).value
    keys.derive(new, _shared(offer.private, ke.public), sa)
    crash_detection.remember(new, contents)
    return new


def _decide(ctx: Context, old: IkeSa, lineage: Lineage, new: IkeSa) -> None:
    """Let ours succeed, unless the peer's rival of it wins (section 2.8.2)."""
    rival = _rival(ctx, lineage)
    meanwhile = collisions.since_asked_for_ike(lineage, rival, new)
    then = collisions.on_response(Asked.REKEY_IKE, meanwhile, Answered.MADE)
    if then is Then.DELETE_OURS and rival is not None:
        lineages.succeed(ctx, lineage, old, rival)
        delete(ctx, new)
        return
    lineages.succeed(ctx, lineage, old, new)
    crash_detection.renew(ctx, new)
    if rival is not None:
        lineages.retire(ctx, rival)
    delete(ctx, old)


def _rival(ctx: Context, lineage: Lineage) -> IkeSa | None:
    return ctx.sas.get(lineage.rival) if lineage.rival else None


def delete(ctx: Context, sa: IkeSa) -> None:
    """Send DELETE for an IKE SA that is no lineage's current one any more."""
    sa.state = IkeState.DELETING
    ctx.timers.clear(Timer.IKE_LINGER, sa.spi.hex())
    requests.send(ctx, sa, ExchangeType.INFORMATIONAL, (Delete(ProtocolId.IKE),), task=DeleteIke())


def adopt_rival(ctx: Context, lineage: Lineage, old: IkeSa) -> bool:
    """Let the peer's successor succeed where ours came to nothing; False where there is none."""
    rival, lineage.rival = _rival(ctx, lineage), None
    if rival is None or rival.state is not IkeState.UNDECIDED:
        return False
    lineages.succeed(ctx, lineage, old, rival)
    return True


def _refused(ctx: Context, sa: IkeSa, lineage: Lineage, contents: Contents, task: RekeyIke) -> None:
    error = contents.error
    meanwhile = collisions.since_asked_for_ike(lineage, _rival(ctx, lineage))
    then = collisions.on_response(Asked.REKEY_IKE, meanwhile, collisions.answered(error.type if error else None))
    if then is Then.TAKE_THEIRS:
        adopt_rival(ctx, lineage, sa)
    elif then is Then.AGAIN:
        retries.soon(ctx, lineage, task, None)
    elif then is Then.REFUSED:
        _as_it_says(ctx, sa, lineage, error, task)


def _as_it_says(ctx: Context, sa: IkeSa, lineage: Lineage, error: Notify | None, task: RekeyIke) -> None:
    """The refusal has nothing to do with other exchanges: ask with another group, or later."""
    if error is not None and error.type == NotifyType.INVALID_KE_PAYLOAD and task.method is None:
        method = int.from_bytes(error.data[:2], "big")
        if lineage.peer and negotiation.acceptable_method(lineage.peer.proposals, method):
            lineages.enqueue(ctx, lineage, RekeyIke(method, task.any_prf), first=True)
            return
    if error is not None and error.type == NotifyType.NO_PROPOSAL_CHOSEN and _narrowed(lineage, sa, task):
        lineages.enqueue(ctx, lineage, RekeyIke(any_prf=True), first=True)
        return
    reason = reason_of(error.type) if error else None
    if lineage.peer is not None:
        ctx.log(sa.peer, refusals.rekey_of_ike(lineage.peer, error), reason, WARNING)
    ctx.timers.set(Timer.IKE_REKEY, sa.spi.hex(), ctx.now + REFUSED_RETRY_NS)


def _narrowed(lineage: Lineage, sa: IkeSa, task: RekeyIke) -> bool:
    """Tell whether we asked for less than what is configured."""
    return lineage.peer is not None and _asked_for(lineage, sa, task) != lineage.peer.proposals


def _shared(private: KeyExchangeState, public: bytes) -> bytes:
    try:
        return private.shared(public)
    except InvalidKeyExchange as error:
        raise refused(NotifyType.INVALID_SYNTAX, f"bad public value: {error}") from error
