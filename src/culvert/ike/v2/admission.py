"""Who may begin an IKE SA: what first messages may cost us, and with which algorithms (RFC 7296 sections 2.6, 2.7)."""

from __future__ import annotations

from collections.abc import Iterator

from culvert.addresses import SocketAddress
from culvert.crypto.transforms import KeyExchange
from culvert.ike import explaining, negotiation, words
from culvert.ike.actions import Transmit
from culvert.ike.negotiation import Chosen
from culvert.ike.records import CallRefused, PeerRecord
from culvert.ike.v2.callers import V2
from culvert.ike.v2.context import Context
from culvert.ike.v2.reading import Contents, Refused, refused
from culvert.ipsec.proposals import Proposal
from culvert.limits import (
    COOKIE_THRESHOLD,
    COOKIE_THRESHOLD_PER_SOURCE,
    MAX_HALF_OPEN,
    MAX_HALF_OPEN_PER_SOURCE,
)
from culvert.reasons import Refusal
from culvert.wire.isakmp.header import NO_SPI
from culvert.wire.isakmp.ke import KeyExchangePayload
from culvert.wire.isakmp.message import Message, emit_message
from culvert.wire.isakmp.nonce import Nonce
from culvert.wire.isakmp.notify import Notify, NotifyType
from culvert.wire.isakmp.numbers import ExchangeType, ProtocolId
from culvert.wire.isakmp.sa import SecurityAssociation


def admitted(ctx: Context, message: Message, contents: Contents, local: SocketAddress, remote: SocketAddress) -> bool:
    """Bound what a flood of first messages costs; tell whether this one may cost us a key exchange.

    Where strangers have taken all room there is, peers at addresses that we know still get in, by their cookie.
    """
    total, here = len(ctx.half_open), ctx.half_open.of(remote.ip)
    full = total >= MAX_HALF_OPEN and not ctx.peers.known_at(remote.ip)
    if full or here >= MAX_HALF_OPEN_PER_SOURCE:
        ctx.note(f"a first message from {remote} was dropped", Refusal.TOO_MANY_HALF_OPEN)
        return False
    if total < COOKIE_THRESHOLD and here < COOKIE_THRESHOLD_PER_SOURCE:
        return True
    nonce = contents.get(Nonce).value
    given = contents.notified(NotifyType.COOKIE)
    if given and ctx.cookies.valid(ctx.now, given[0], nonce, remote.ip, message.spi_i):
        return True
    cookie = ctx.cookies.make(ctx.now, nonce, remote.ip, message.spi_i)
    answer_statelessly(ctx, message, Notify(NotifyType.COOKIE, cookie), local, remote)
    return False


def choose(ctx: Context, contents: Contents, remote: SocketAddress) -> tuple[PeerRecord | None, Chosen, KeyExchange]:
    """Choose algorithms by what the peers that may call from there allow. Raise Refused."""
    offered, ke = contents.get(SecurityAssociation), contents.get(KeyExchangePayload)
    tried: list[tuple[Proposal, ...]] = []
    names: list[str] = []
    for record in _candidates(ctx, remote):
        if record.peer.proposals in tried:
            continue
        tried.append(record.peer.proposals)
        names.append(record.peer.name)
        chosen = negotiation.choose(offered, record.peer.proposals, ProtocolId.IKE, method=ke.method)
        if chosen is None or chosen.suite.key_exchange is None:
            continue
        method = chosen.suite.key_exchange
        if method.id != ke.method:
            explanation = f"the peer began with group {words.group(ke.method)}, {method.name} was asked for"
            raise refused(NotifyType.INVALID_KE_PAYLOAD, explanation, method.id.to_bytes(2, "big"))
        return (record if record.may_be_at(remote.ip) else None), chosen, method
    if not tried:
        raise _stranger(ctx, remote)
    proposals = list(dict.fromkeys(one for some in tried for one in some))
    place = explaining.Place.of_peer(names[0] if len(names) == 1 else "")
    raise refused(NotifyType.NO_PROPOSAL_CHOSEN, lambda: explaining.proposals(offered, proposals, place))


def remember(ctx: Context, remote: SocketAddress, refusal: Refused) -> None:
    """Let `status` tell why a peer that may have called was not let in. Anybody can say that this is its address, so it
    counts only where nothing better is known, as seldom as it is logged.
    """
    if refusal.reason is not Refusal.NO_PROPOSAL_CHOSEN:
        return
    for record in ctx.peers.known_at(remote.ip):
        if not record.ended:
            explanation = f"{remote}: {refusal.explanation}"
            ctx.outcomes.append(CallRefused(record.peer.name, refusal.reason, explanation))


def who_may_show_certificates(ctx: Context, remote: SocketAddress) -> list[PeerRecord]:
    """Give peers that may call from there and prove themselves by certificates, one for each set of authorities."""
    there = [record for record in ctx.peers.known_at(remote.ip) if not record.ended]
    return [*there, *ctx.peers.that_may_move_certified()]


def _stranger(ctx: Context, remote: SocketAddress) -> Refused:
    """Nobody may call from there; the network is not told whether one may at other times."""
    ended = next((one for one in ctx.peers.values() if one.ended and (one.may_be_at(remote.ip) or one.may_move)), None)
    if ended is not None:
        reason, why = Refusal.DISCONNECTED, f"{ended.peer.name}, who may call from there, was disconnected by hand"
    else:
        reason, why = Refusal.UNKNOWN_PEER, "no configured peer may call from this address"
    return Refused(Notify(NotifyType.NO_PROPOSAL_CHOSEN), reason, why)


def _candidates(ctx: Context, remote: SocketAddress) -> Iterator[PeerRecord]:
    """Give the peers that may be at an address: those known to be there, then those that may call from anywhere."""
    there = (record for record in ctx.peers.known_at(remote.ip) if not record.ended)
    yield from (record for record in (*there, *ctx.peers.that_may_move()) if record.peer.ike == V2)


def answer_statelessly(
    ctx: Context, message: Message, notify: Notify, local: SocketAddress, remote: SocketAddress
) -> None:
    """Answer without remembering anything; always shorter than the shortest first message that gets this far."""
    reply = Message(message.spi_i, NO_SPI, ExchangeType.IKE_SA_INIT, False, True, 0, (notify,))
    ctx.emit(Transmit(local, remote, emit_message(reply)))
