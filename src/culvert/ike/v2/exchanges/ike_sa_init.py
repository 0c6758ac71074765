"""IKE_SA_INIT: algorithms, key exchange, nonces, NAT detection, cookies (RFC 7296 sections 1.2, 2.6, 2.7, 2.23)."""

from __future__ import annotations

from culvert.addresses import IKE_PORT, NAT_PORT, SocketAddress
from culvert.clock import SECOND
from culvert.config.model import EncapsulationChoice
from culvert.crypto.digests import nat_detection_hash
from culvert.crypto.errors import InvalidKeyExchange
from culvert.crypto.key_exchange import begin as begin_key_exchange
from culvert.crypto.key_exchange import check as check_public
from culvert.crypto.transforms import KeyExchange
from culvert.ike import nat, negotiation, refusals
from culvert.ike.actions import Transmit
from culvert.ike.logs import DEBUG, INFO
from culvert.ike.negotiation import Chosen
from culvert.ike.records import Path, PeerRecord, Reached
from culvert.ike.timers import Timer
from culvert.ike.v2 import (
    admission,
    certificate_payloads,
    extensions,
    hints,
    keys,
    lineages,
    proof,
    requests,
    table,
    window,
)
from culvert.ike.v2.certificate_payloads import AUTHORITY_OCTETS
from culvert.ike.v2.context import Context
from culvert.ike.v2.exchanges import ike_auth
from culvert.ike.v2.reading import Contents, Refused, reason_of, refused
from culvert.ike.v2.sa import IkeOffer, IkeSa, IkeState, SetUp, Window
from culvert.ike.v2.sealing import Payloads
from culvert.limits import MAX_AUTHORITIES_ASKED_EARLY, MAX_SET_UP_RESTARTS
from culvert.reasons import Refusal
from culvert.wire.isakmp.header import NO_SPI
from culvert.wire.isakmp.ke import KeyExchangePayload
from culvert.wire.isakmp.message import Message, emit_message
from culvert.wire.isakmp.nonce import Nonce
from culvert.wire.isakmp.notify import Notify, NotifyType
from culvert.wire.isakmp.numbers import ExchangeType, ProtocolId
from culvert.wire.isakmp.sa import SecurityAssociation
from culvert.wire.isakmp.vendor_id import VendorId

HALF_OPEN_NS = 30 * SECOND
"""How long a responder waits for IKE_AUTH: about as long as an initiator repeats it."""
HINT_NS = 3 * SECOND
"""How long a real answer is awaited after one that anybody could have sent (RFC 7296 section 2.21.1)."""
MAX_COOKIE_OCTETS = 64
SOURCE = NotifyType.NAT_DETECTION_SOURCE_IP
Ends = tuple[SocketAddress, SocketAddress]
"""Our address and port and the peer's."""


def initiate(ctx: Context, record: PeerRecord, path: Path, first_child: str | None) -> IkeSa | None:
    """Begin an IKE SA over a path. `first_child` is to come with IKE_AUTH. None where no proposal has a group."""
    peer = record.peer
    method = negotiation.preferred_method(peer.proposals)
    if method is None:
        return None
    local, remote = (SocketAddress(address, IKE_PORT) for address in path)
    spi = ctx.fresh_ike_spi()
    sa = IkeSa(0, True, spi, NO_SPI, IkeState.INIT_SENT, local, remote, ctx.now, peer=peer.name)
    sa.nonce_i, sa.first_child = ctx.nonce(), first_child
    lineages.begin(ctx, sa, peer)
    again = record.reason is Refusal.NO_RESPONSE
    ctx.log(peer.name, f"setting up IKE SA with {remote.ip}", level=DEBUG if again else INFO)
    _send(ctx, sa, record, IkeOffer(spi, sa.nonce_i, begin_key_exchange(method, ctx.entropy), method))
    return sa


def _send(ctx: Context, sa: IkeSa, record: PeerRecord, offer: IkeOffer) -> None:
    cookie = (Notify(NotifyType.COOKIE, sa.cookie),) if sa.cookie else ()
    payloads: Payloads = (
        *cookie,
        negotiation.offer(record.peer.proposals, ProtocolId.IKE, b"", key_exchange=True),
        KeyExchangePayload(offer.method.id, offer.private.public),
        Nonce(offer.nonce),
        *_nat_detection(sa, sa.local, sa.remote, record),
        *extensions.offered(),
        VendorId(nat.VENDOR_ID),
    )
    sa.window = Window()
    requests.send(ctx, sa, ExchangeType.IKE_SA_INIT, payloads, task=SetUp(), offer=offer)
    if sa.window.outstanding:
        sa.init_request = sa.window.outstanding.datagrams[0]


def _nat_detection(sa: IkeSa, local: SocketAddress, remote: SocketAddress, record: PeerRecord | None) -> Payloads:
    """Say which addresses we see; a false one of ours makes the peer encapsulate, where that is configured."""
    forced = record is not None and record.peer.encapsulation is EncapsulationChoice.UDP
    nonce = sa.nonce_i if sa.initiator else sa.nonce_r
    source = nat.false_hash(nonce) if forced else nat_detection_hash(sa.spi_i, sa.spi_r, local)
    return (
        Notify(NotifyType.NAT_DETECTION_SOURCE_IP, source),
        Notify(NotifyType.NAT_DETECTION_DESTINATION_IP, nat_detection_hash(sa.spi_i, sa.spi_r, remote)),
    )


def respond(ctx: Context, message: Message, data: bytes, local: SocketAddress, remote: SocketAddress) -> None:
    """Answer a first message: with a cookie, an error, or a half-open IKE SA; repeated ones from memory."""
    known = ctx.sas.get(ctx.first_messages.get((message.spi_i, remote), b""))
    if known is not None and window.judge(known.window, message.message_id, data) is window.Verdict.REPEATED:
        requests.transmit(ctx, known.window.last_response, (local, remote))
        return
    contents = Contents(message.payloads)
    problem = table.judge_first(contents)
    if problem:
        ctx.note(f"a first message from {remote} was dropped: {problem}", Refusal.INVALID_SYNTAX)
        return
    if contents.critical is not None:
        what = f"{remote} begins with a critical payload that is not known here"
        ctx.note(what, Refusal.UNSUPPORTED_CRITICAL_PAYLOAD)
        notify = Notify(NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD, bytes([contents.critical.type]))
        admission.answer_statelessly(ctx, message, notify, local, remote)
        return
    # A second, different first message of the same SPI is an answer to a cookie or group that we asked for, or a
    # forgery: it gets an IKE SA of its own, and the first one dies of age.
    if admission.admitted(ctx, message, contents, local, remote):
        _accept(ctx, message, contents, data, (local, remote))


def _accept(ctx: Context, message: Message, contents: Contents, data: bytes, ends: Ends) -> None:
    local, remote = ends
    try:
        record, chosen, method = admission.choose(ctx, contents, remote)
        sa = _half_open(ctx, message, contents, chosen, ends)
        public = _key_exchange(ctx, sa, contents, method)
    except Refused as refusal:
        _turn_away(ctx, message, refusal, ends)
        return
    payloads: Payloads = (
        chosen.answer(ProtocolId.IKE, b""),
        KeyExchangePayload(method.id, public),
        Nonce(sa.nonce_r),
        *(_nat_detection(sa, local, remote, record) if contents.notified(SOURCE) else ()),
        *extensions.answered(sa),
        *((VendorId(nat.VENDOR_ID),) if sa.peer_is_culvert else ()),
    )
    reply = _reply(sa, payloads)
    if asking := _asking(ctx, remote, len(data) - len(reply)):
        reply = _reply(sa, (*payloads, *asking))
    sa.init_request, sa.init_response = data, reply
    window.answered(sa.window, window.digest(data), (reply,))
    _enter_half_open(ctx, sa)
    ctx.emit(Transmit(local, remote, reply))


def _reply(sa: IkeSa, payloads: Payloads) -> bytes:
    return emit_message(Message(sa.spi_i, sa.spi_r, ExchangeType.IKE_SA_INIT, False, True, 0, payloads))


def _asking(ctx: Context, remote: SocketAddress, room: int) -> Payloads:
    """Ask for the certificate that we will want, in about as many octets as the first message had more than ours."""
    peers = [record.peer for record in admission.who_may_show_certificates(ctx, remote)]
    return certificate_payloads.asking(peers, max(MAX_AUTHORITIES_ASKED_EARLY, room // AUTHORITY_OCTETS))


def _turn_away(ctx: Context, message: Message, refusal: Refused, ends: Ends) -> None:
    """Refuse a first message; say why here, at a bounded rate, and there only that."""
    local, remote = ends
    if ctx.note(lambda: f"{remote}: {refusal.explanation}", refusal.reason):
        admission.remember(ctx, remote, refusal)
    admission.answer_statelessly(ctx, message, refusal.notify, local, remote)


def _half_open(ctx: Context, message: Message, contents: Contents, chosen: Chosen, ends: Ends) -> IkeSa:
    local, remote = ends
    spi_r = ctx.fresh_ike_spi()
    sa = IkeSa(0, False, message.spi_i, spi_r, IkeState.HALF_OPEN, local, remote, ctx.now)
    sa.suite, sa.first_source = chosen.suite, remote
    sa.nonce_i, sa.nonce_r = contents.get(Nonce).value, ctx.nonce()
    _see_nat(sa, contents, NO_SPI, local, remote)
    extensions.enter(sa, contents)
    return sa


def _key_exchange(ctx: Context, sa: IkeSa, contents: Contents, method: KeyExchange) -> bytes:
    """Derive the keys; give our public value. Raise Refused for a value that no honest peer sends."""
    public = contents.get(KeyExchangePayload).public
    try:
        check_public(method, public)
        private = begin_key_exchange(method, ctx.entropy)
        shared = private.shared(public)
    except InvalidKeyExchange as error:
        raise refused(NotifyType.INVALID_SYNTAX, f"bad public value: {error}") from error
    keys.derive(sa, shared)
    return private.public


def _enter_half_open(ctx: Context, sa: IkeSa) -> None:
    lineages.begin(ctx, sa, None)
    if sa.first_source is not None:
        ctx.first_messages[sa.spi_i, sa.first_source] = sa.spi
        ctx.half_open.enter(sa.spi, sa.first_source.ip)
    ctx.timers.set(Timer.HALF_OPEN, sa.spi.hex(), ctx.now + HALF_OPEN_NS)


def _see_nat(sa: IkeSa, contents: Contents, spi_r: bytes, local: SocketAddress, remote: SocketAddress) -> None:
    """Compare what the peer says about addresses with what we see; `spi_r` is the one of that message's header."""
    sources = contents.notified(NotifyType.NAT_DETECTION_SOURCE_IP)
    destinations = contents.notified(NotifyType.NAT_DETECTION_DESTINATION_IP)
    sa.nat_remote = nat.mismatch(sources, sa.spi_i, spi_r, remote)
    sa.nat_local = nat.mismatch(destinations, sa.spi_i, spi_r, local)
    sa.peer_is_culvert = any(one.value == nat.VENDOR_ID for one in contents.all(VendorId))


def conclude(ctx: Context, sa: IkeSa, message: Message, data: bytes) -> None:
    """Take the answer to our first message. It is not authentic yet, so a bad one only leaves a hint."""
    outstanding, record = sa.window.outstanding, ctx.peers.get(sa.peer)
    if outstanding is None or record is None or not isinstance(outstanding.offer, IkeOffer):
        return
    contents = Contents(message.payloads)
    try:
        if contents.find(SecurityAssociation) is None:
            _try_again(ctx, sa, record, contents, outstanding.offer)
        else:
            _take(sa, record, message, contents, outstanding.offer)
            sa.init_response, sa.hint, sa.window.outstanding = data, None, None
            ctx.timers.clear(Timer.HALF_OPEN, sa.spi.hex())
            _go_on_in_time(ctx, sa, record, outstanding.sent_at)
    except Refused as refusal:
        _hint(ctx, sa, refusal)


def _try_again(ctx: Context, sa: IkeSa, record: PeerRecord, contents: Contents, offer: IkeOffer) -> None:
    """Begin again with the cookie or the group that the peer asks for. Raise Refused where it asks for neither."""
    if sa.restarts >= MAX_SET_UP_RESTARTS:
        raise refused(NotifyType.INVALID_KE_PAYLOAD, f"{sa.remote} asks for another first message again and again")
    cookie, wanted = contents.notify(NotifyType.COOKIE), contents.notify(NotifyType.INVALID_KE_PAYLOAD)
    if cookie is not None and 0 < len(cookie.data) <= MAX_COOKIE_OCTETS and cookie.data != sa.cookie:
        sa.cookie = cookie.data
    elif wanted is not None:
        offer = _other_group(ctx, sa, record, wanted, offer)
    elif contents.error is not None:
        why = refusals.set_up(sa.remote, sa.local.ip, record.peer, contents.error)
        raise Refused(contents.error, reason_of(contents.error.type), why)
    else:
        ctx.count(Refusal.UNEXPECTED_MESSAGE)
        return
    sa.restarts += 1
    _send(ctx, sa, record, offer)


def _other_group(ctx: Context, sa: IkeSa, record: PeerRecord, wanted: Notify, offer: IkeOffer) -> IkeOffer:
    method = negotiation.acceptable_method(record.peer.proposals, int.from_bytes(wanted.data[:2], "big"))
    if len(wanted.data) != 2 or method is None or method == offer.method:
        why = refusals.set_up(sa.remote, sa.local.ip, record.peer, wanted)
        raise refused(NotifyType.INVALID_KE_PAYLOAD, why)
    return IkeOffer(offer.spi, offer.nonce, begin_key_exchange(method, ctx.entropy), method)


def _take(sa: IkeSa, record: PeerRecord, message: Message, contents: Contents, offer: IkeOffer) -> None:
    """Judge the whole answer before anything of it is kept. Raise Refused."""
    problem = table.judge_response(sa.state, ExchangeType.IKE_SA_INIT, contents)
    if problem or contents.critical or message.spi_r == NO_SPI:
        raise refused(NotifyType.INVALID_SYNTAX, f"{sa.remote} answers with {problem or 'what we do not understand'}")
    chosen = negotiation.accept(contents.get(SecurityAssociation), record.peer.proposals, ProtocolId.IKE)
    ke = contents.get(KeyExchangePayload)
    if chosen is None or chosen.suite.key_exchange != offer.method or ke.method != offer.method.id:
        raise refused(NotifyType.NO_PROPOSAL_CHOSEN, f"{sa.remote} chose algorithms that we did not offer")
    _check_proof(record, contents)
    try:
        shared = offer.private.shared(ke.public)
    except InvalidKeyExchange as error:
        raise refused(NotifyType.INVALID_SYNTAX, f"bad public value: {error}") from error
    sa.spi_r, sa.nonce_r, sa.suite = message.spi_r, contents.get(Nonce).value, chosen.suite
    keys.derive(sa, shared)
    _see_nat(sa, contents, sa.spi_r, sa.local, sa.remote)
    extensions.enter(sa, contents)
    sa.other_authorities = certificate_payloads.asks_for_others(contents, record.peer)


def _check_proof(record: PeerRecord, contents: Contents) -> None:
    """See that the peer takes signatures that our key can make. Raise Refused."""
    try:
        proof.check_means(record.peer, certificate_payloads.hashes_of(contents))
    except proof.NoProof as error:
        raise Refused(Notify(NotifyType.AUTHENTICATION_FAILED), Refusal.NO_SIGNATURE, str(error)) from error


def _go_on_in_time(ctx: Context, sa: IkeSa, record: PeerRecord, sent_at: int) -> None:
    """Begin IKE_AUTH, but not before an IKE SA that stands had the time to answer, now that the peer can be reached."""
    ctx.timers.clear(Timer.RETRANSMIT, sa.spi.hex())
    wait = hints.last_chance(ctx, sa, sent_at)
    if wait:
        ctx.timers.set(Timer.LAST_CHANCE, sa.spi.hex(), ctx.now + wait)
    else:
        _go_on(ctx, sa, record)


def waited(ctx: Context, sa: IkeSa) -> None:
    """The IKE SA that stands has not answered: go on."""
    record = ctx.peers.get(sa.peer)
    if sa.state is IkeState.INIT_SENT and record is not None:
        _go_on(ctx, sa, record)


def _go_on(ctx: Context, sa: IkeSa, record: PeerRecord) -> None:
    """Move to port 4500 where ESP will go in UDP, and begin IKE_AUTH."""
    sa.state = IkeState.AUTH_SENT
    ctx.outcomes.append(Reached(sa.peer))
    if nat.wants_udp(record.peer.encapsulation, sa.nat_local or sa.nat_remote, sa.peer_is_culvert):
        sa.local, sa.remote = (SocketAddress(end.ip, NAT_PORT) for end in (sa.local, sa.remote))
    ike_auth.initiate(ctx, sa, record)


def _hint(ctx: Context, sa: IkeSa, refusal: Refused) -> None:
    """Remember a refusal that may be forged, and wait a little for the real answer."""
    ctx.count(refusal.reason)
    if sa.hint is None:
        sa.hint = (refusal.reason, refusal.explanation)
        ctx.timers.set(Timer.HALF_OPEN, sa.spi.hex(), ctx.now + HINT_NS)
