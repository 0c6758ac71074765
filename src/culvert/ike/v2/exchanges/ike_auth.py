"""IKE_AUTH: who is who, the proof, and the first child (RFC 7296 sections 1.2, 2.15, 2.21.2)."""

from __future__ import annotations

from culvert.config.model import Peer
from culvert.crypto.compare import constant_time_equal
from culvert.identities import Identity
from culvert.ike import refusals
from culvert.ike.logs import WARNING
from culvert.ike.records import CallRefused, ChildDown, PeerRecord, SetUpFailed
from culvert.ike.v2 import child_negotiation, children, keys, lineages, requests
from culvert.ike.v2.answers import Answer
from culvert.ike.v2.context import Context
from culvert.ike.v2.reading import Contents, Refused, name_of, reason_of, refused
from culvert.ike.v2.sa import ChildOffer, DeleteChild, IkeSa, IkeState, Lineage, Refuse, SetUp
from culvert.ike.v2.sealing import Payloads
from culvert.limits import MAX_IKE_SAS_PER_PEER
from culvert.reasons import Refusal
from culvert.wire.isakmp.auth import Authentication, AuthMethod
from culvert.wire.isakmp.identification import Identification, IDi, IDr
from culvert.wire.isakmp.notify import Notify, NotifyType
from culvert.wire.isakmp.numbers import ExchangeType
from culvert.wire.isakmp.payload import Payload
from culvert.wire.isakmp.sa import SecurityAssociation

FAILED = "the secret or the identity is not the one that we have for this peer"
"""The one sentence for everything that can be wrong with a proof: it must not say which part it was."""
THEIRS = "our secret or our identity is not the one that it has for us"
"""The same, where it is the peer that says so."""


def initiate(ctx: Context, sa: IkeSa, record: PeerRecord) -> None:
    """Prove who we are, and ask for the first child."""
    peer = record.peer
    child = record.child(sa.first_child or "") or peer.children[0]
    offer = ChildOffer(child, ctx.fresh_child_spi(), sa.nonce_i)
    idi = IDi.of(record.local_identity(sa.local.ip))
    expected = _wished(record, sa)
    wanted: tuple[Payload, ...] = (IDr.of(expected),) if expected else ()
    initial = (Notify(NotifyType.INITIAL_CONTACT),) if _first_contact(ctx, sa, record) else ()
    payloads: Payloads = (
        idi,
        *initial,
        *wanted,
        Authentication(AuthMethod.SHARED_KEY, keys.own_auth(sa, peer, idi)),
        *child_negotiation.request(offer, key_exchange=False),
    )
    requests.send(ctx, sa, ExchangeType.IKE_AUTH, payloads, task=SetUp(), offer=offer)


def _wished(record: PeerRecord, sa: IkeSa) -> Identity | None:
    """Give whom we ask for; a peer that is configured by a name may present its address or that name."""
    if record.peer.identity is not None:
        return record.peer.identity
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
    record = _authenticate(ctx, sa, idi, contents)
    peer, lineage = record.peer, ctx.lineage_of(sa)
    idr = IDr.of(record.local_identity(sa.local.ip))
    sa.peer = peer.name
    try:
        _check(sa, record, contents, idr)
    except Refused as refusal:
        ctx.outcomes.append(CallRefused(peer.name, refusal.reason, refusal.explanation))
        raise
    sa.identity = idi.identity
    if contents.notify(NotifyType.INITIAL_CONTACT):
        _forget_others(ctx, sa, lineage, peer)
    _bound(ctx, peer)
    proof = Authentication(AuthMethod.SHARED_KEY, keys.own_auth(sa, peer, idr))
    lineages.establish(ctx, lineage, sa, peer)
    return Answer((idr, proof, *_first_child(ctx, sa, lineage, peer, contents)))


def _authenticate(ctx: Context, sa: IkeSa, idi: IDi, contents: Contents) -> PeerRecord:
    """Find the peer by its identity and check its proof; an unknown identity takes the same path. Raise Refused."""
    record = _find(ctx, sa, idi.identity)
    given = contents.get(Authentication)
    secret = record.peer.secret if record and record.peer.secret else ctx.entropy.octets(32)
    proven = _proves(sa, secret, idi, given)
    if record is None or not record.peer.secret or not proven:
        explanation = f"{sa.remote} says it is {_shown(idi)}: {FAILED}"
        if record is not None:
            sa.peer = record.peer.name
            ctx.outcomes.append(CallRefused(sa.peer, Refusal.AUTHENTICATION_FAILED, explanation))
        raise refused(NotifyType.AUTHENTICATION_FAILED, explanation, fatal=True)
    return record


def _proves(sa: IkeSa, secret: bytes, identification: Identification, given: Authentication) -> bool:
    expected = keys.expected_auth(sa, secret, identification)
    return constant_time_equal(expected, given.data) and given.method == AuthMethod.SHARED_KEY


def _find(ctx: Context, sa: IkeSa, identity: Identity | None) -> PeerRecord | None:
    """Find the peer with this identity; those known to be at this address come first."""
    if identity is None:
        return None
    matching = [one for one in ctx.peers.values() if not one.ended and one.expects(identity)]
    there = [one for one in matching if one.may_be_at(sa.remote.ip)]
    return next(iter(there + matching), None)


def _shown(identification: Identification) -> str:
    return str(identification.identity) if identification.identity else f"identity type {int(identification.type)}"


def _check(sa: IkeSa, record: PeerRecord, contents: Contents, idr: IDr) -> None:
    """Check what depends on which peer it is: our identity, and algorithms chosen before we knew. Raise Refused."""
    wanted = contents.find(IDr)
    if wanted is not None and (wanted.identity is None or not wanted.identity.matches(_identity(idr))):
        raise refused(NotifyType.AUTHENTICATION_FAILED, f"the peer asks for {_shown(wanted)}, not for us", fatal=True)
    allowed = any(
        sa.suite is not None
        and sa.suite.encryption in one.encryption
        and sa.suite.prf in one.prf
        and sa.suite.key_exchange in one.key_exchange
        and (sa.suite.integrity is None or sa.suite.integrity in one.integrity)
        for one in record.peer.proposals
    )
    if not allowed:
        explanation = f"{record.peer.name} may not use {sa.suite}"
        raise refused(NotifyType.NO_PROPOSAL_CHOSEN, explanation, fatal=True)


def _identity(identification: Identification) -> Identity:
    if identification.identity is None:
        raise ValueError("an identity of ours has a known type")
    return identification.identity


def _forget_others(ctx: Context, sa: IkeSa, lineage: Lineage, peer: Peer) -> None:
    """Act on INITIAL_CONTACT: let go of what this identity had with us before it began this IKE SA.

    What it set up while this one was under way is a collision, not the remains of an earlier life.
    """
    for other in ctx.live(peer.name):
        current = ctx.current(other)
        known = current is not None and current.identity is not None and sa.identity is not None
        if other is lineage or current is None or not known or current.identity != sa.identity:
            continue
        if other.established_at < sa.created_at and other.began_at < lineage.began_at:
            lineages.drop(ctx, other, Refusal.PEER_DELETED, "the peer started anew")


def _bound(ctx: Context, peer: Peer) -> None:
    """Let go of the oldest where a peer makes one IKE SA after the other."""
    live = ctx.live(peer.name)
    for lineage in live[: max(0, len(live) + 1 - MAX_IKE_SAS_PER_PEER)]:
        lineages.drop(ctx, lineage, Refusal.PEER_DEAD, "the peer has too many IKE SAs; the oldest was dropped")


def _first_child(ctx: Context, sa: IkeSa, lineage: Lineage, peer: Peer, contents: Contents) -> Payloads:
    """Make the child, or say why there is none; the IKE SA stays in either case."""
    try:
        child, payloads = child_negotiation.respond(
            ctx, sa, peer, contents, nonces=keys.Nonces(sa.nonce_i, sa.nonce_r), key_exchange=False
        )
    except Refused as refusal:
        ctx.log(peer.name, f"the first child was refused: {refusal.explanation}", refusal.reason, WARNING)
        ctx.outcomes.append(ChildDown(peer.name, "", refusal.reason, refusal.explanation))
        return (refusal.notify,)
    children.install_answered(ctx, lineage, child)
    return payloads


def conclude(ctx: Context, sa: IkeSa, contents: Contents, offer: ChildOffer) -> None:
    """Judge the responder's proof and take the first child."""
    lineage, record = ctx.lineage_of(sa), ctx.peers.get(sa.peer)
    if record is None or lineage.closing:
        lineages.drop(ctx, lineage, Refusal.DISCONNECTED, "no longer wanted")
        return
    if contents.find(Authentication) is None:
        error = contents.error
        reason = reason_of(error.type) if error else Refusal.UNEXPECTED_MESSAGE
        lineages.drop(ctx, lineage, reason, _refusal(sa, error))
        return
    idr = contents.get(IDr)
    expected = idr.identity is not None and record.expects(idr.identity)
    proven = _proves(sa, record.peer.secret or b"", idr, contents.get(Authentication))
    if not (expected and proven and record.peer.secret):
        _refuse(ctx, sa, lineage, idr)
        return
    sa.identity = idr.identity
    lineages.establish(ctx, lineage, sa, record.peer)
    _take_child(ctx, sa, record.peer, contents, offer)


def _refusal(sa: IkeSa, error: Notify | None) -> str:
    """Say for people what the responder refused, and what that means."""
    name = name_of(error) if error else "nothing that we understand"
    meaning = f": {THEIRS}" if error and error.type == NotifyType.AUTHENTICATION_FAILED else ""
    return f"{sa.remote} refuses with {name}{meaning}"


def _refuse(ctx: Context, sa: IkeSa, lineage: Lineage, idr: IDr) -> None:
    """Tell the responder, who believes that all is well, and let go."""
    explanation = f"{sa.remote} says it is {_shown(idr)}: {FAILED}"
    ctx.log(sa.peer, explanation, Refusal.AUTHENTICATION_FAILED, WARNING)
    ctx.outcomes.append(SetUpFailed(sa.peer, Refusal.AUTHENTICATION_FAILED, explanation))
    sa.state, lineage.closing = IkeState.DELETING, True
    lineage.queue = [Refuse()]
    ctx.dirty[lineage.number] = None


def _take_child(ctx: Context, sa: IkeSa, peer: Peer, contents: Contents, offer: ChildOffer) -> None:
    lineage, error = ctx.lineage_of(sa), contents.error
    if contents.find(SecurityAssociation) is None:
        reason = reason_of(error.type) if error else Refusal.UNEXPECTED_MESSAGE
        what = refusals.child(offer.child, error, key_exchange=False)
        ctx.log(peer.name, what, reason, WARNING)
        ctx.outcomes.append(ChildDown(peer.name, offer.child.name, reason, what))
        return
    try:
        child = child_negotiation.conclude(
            ctx, sa, peer, offer, contents, nonces=keys.Nonces(sa.nonce_i, sa.nonce_r), key_exchange=False
        )
    except Refused as refusal:
        ctx.log(peer.name, refusal.explanation, refusal.reason, WARNING)
        ctx.outcomes.append(ChildDown(peer.name, offer.child.name, refusal.reason, refusal.explanation))
        lineage.queue.append(DeleteChild(offer.spi_in, orphan=True))
        return
    children.install(ctx, lineage, child)
