"""Agreeing on a child, in IKE_AUTH as in CREATE_CHILD_SA (RFC 7296 sections 1.2, 1.3, 2.9, 2.17)."""

from __future__ import annotations

from dataclasses import replace

from culvert.config.model import Child, Peer
from culvert.crypto.errors import InvalidKeyExchange
from culvert.crypto.key_exchange import begin as begin_key_exchange
from culvert.ike import explaining, narrowing, negotiation, networks_differ
from culvert.ike.negotiation import Chosen
from culvert.ike.parts import Sides
from culvert.ike.v2 import carrying, children, keys, transport_mode
from culvert.ike.v2.context import LOWEST_CHILD_SPI, Context
from culvert.ike.v2.keys import Nonces
from culvert.ike.v2.reading import PROTOCOL_IDS, Contents, Refused, child_notify, refused, selectors_of, wire_selectors
from culvert.ike.v2.sa import ChildOffer, ChildSa, IkeSa, Lineage
from culvert.ike.v2.sealing import Payloads
from culvert.ipsec.associations import AssociationId, Mode
from culvert.limits import MAX_CHILDREN, MAX_SELECTORS_HELD
from culvert.reasons import Refusal
from culvert.wire.isakmp.ke import KeyExchangePayload
from culvert.wire.isakmp.nonce import Nonce
from culvert.wire.isakmp.notify import Notify, NotifyType
from culvert.wire.isakmp.numbers import ProtocolId
from culvert.wire.isakmp.payload import Payload
from culvert.wire.isakmp.sa import SecurityAssociation
from culvert.wire.isakmp.ts import TSi, TSr


def request(offer: ChildOffer, *, key_exchange: bool, old_spi_in: int | None = None) -> Payloads:
    """Write the payloads that ask for a child. With `key_exchange` it is CREATE_CHILD_SA, with a nonce of its own."""
    child = offer.child
    spi = offer.spi_in.to_bytes(4, "big")
    protocol = PROTOCOL_IDS[child.protocol]
    rekey = (child_notify(NotifyType.REKEY_SA, old_spi_in, protocol),) if old_spi_in is not None else ()
    nonce: tuple[Payload, ...] = (Nonce(offer.nonce),) if key_exchange else ()
    ke: tuple[Payload, ...] = ()
    if offer.private is not None and offer.method is not None:
        ke = (KeyExchangePayload(offer.method.id, offer.private.public),)
    return (
        *rekey,
        *_mode_notifies(child, protocol),
        negotiation.offer(child.proposals, protocol, spi, key_exchange=offer.method is not None),
        *nonce,
        *ke,
        TSi(wire_selectors(offer.local)),
        TSr(wire_selectors(offer.remote)),
    )


def _mode_notifies(child: Child, protocol: ProtocolId) -> Payloads:
    """Ask for transport mode, or agree to it. There the length of what is inside cannot be told from padding."""
    if child.mode is not Mode.TRANSPORT:
        return ()
    no_padding = Notify(NotifyType.ESP_TFC_PADDING_NOT_SUPPORTED)
    return Notify(NotifyType.USE_TRANSPORT_MODE), *((no_padding,) if protocol is ProtocolId.ESP else ())


def _padding(ctx: Context, peer: Peer, child: Child, contents: Contents) -> int:
    """Give the length to which we pad: never where the peer does not take that (RFC 7296 section 1.3.1)."""
    if child.tfc_octets and contents.notify(NotifyType.ESP_TFC_PADDING_NOT_SUPPORTED):
        ctx.log(peer.name, f"{child.name}: the peer takes no padded packets, so none are")
        return 0
    return child.tfc_octets


def respond(
    ctx: Context,
    sa: IkeSa,
    peer: Peer,
    contents: Contents,
    *,
    nonces: Nonces,
    key_exchange: bool,
    rekeyed: ChildSa | None = None,
) -> tuple[ChildSa, Payloads]:
    """Answer a request for a child; it is not installed yet. Raise Refused."""
    # Half of them for those that stand: each of these must be able to have a successor beside it.
    most = MAX_CHILDREN if rekeyed else MAX_CHILDREN // 2
    if len(ctx.lineage_of(sa).children) >= most:
        raise refused(NotifyType.NO_ADDITIONAL_SAS, f"the peer has {most} children already")
    narrowed, asked = _narrow(sa, ctx.lineage_of(sa), peer, contents, rekeyed)
    mode = _mode(narrowed.child, contents)
    chosen = _choose(narrowed.child, contents, key_exchange)
    shared, public = _key_exchange(ctx, chosen, contents)
    spi_in = ctx.fresh_child_spi()
    agreed = children.Agreement(
        narrowed.child,
        chosen.suite,
        keys.child_keys(sa, chosen.suite, nonces, shared),
        spi_in,
        _spi(ctx, sa, chosen, narrowed.child),
        narrowed.local,
        narrowed.remote,
        mode,
        False,
        min(nonces.i, nonces.r),
        _padding(ctx, peer, narrowed.child, contents),
    )
    protocol = PROTOCOL_IDS[narrowed.child.protocol]
    child = children.build(ctx, sa, peer, agreed)
    if not carrying.has_room(ctx.lineage_of(sa), child):
        raise refused(NotifyType.NO_ADDITIONAL_SAS, f"the peer's children have {MAX_SELECTORS_HELD} selectors already")
    local, remote = transport_mode.as_written(child.sides, asked) if mode is Mode.TRANSPORT else child.sides
    return child, (
        *_mode_notifies(narrowed.child, protocol),
        chosen.answer(protocol, spi_in.to_bytes(4, "big")),
        *((Nonce(nonces.r),) if key_exchange else ()),
        *public,
        TSi(wire_selectors(remote)),
        TSr(wire_selectors(local)),
        *((Notify(NotifyType.ADDITIONAL_TS_POSSIBLE),) if narrowed.others else ()),
    )


def _narrow(
    sa: IkeSa, lineage: Lineage, peer: Peer, contents: Contents, rekeyed: ChildSa | None
) -> tuple[narrowing.Narrowed, Sides]:
    """Find the child that is meant and what both ends take of it; give also what was asked for, as it was written."""
    remote, local = selectors_of(contents.get(TSi)), selectors_of(contents.get(TSr))
    found = None
    if _asks_for_transport(contents):
        seen = transport_mode.as_seen(sa, (local, remote))
        hosts = [one for one in _candidates(lineage, peer, rekeyed, seen) if one.mode is Mode.TRANSPORT]
        found = narrowing.choose_child(hosts, *seen)
    candidates = _candidates(lineage, peer, rekeyed, (local, remote))
    found = found or narrowing.choose_child(candidates, local, remote)
    if found is None:
        raise refused(NotifyType.TS_UNACCEPTABLE, networks_differ.explain(peer.name, candidates, local, remote))
    return (replace(found, child=rekeyed.child) if rekeyed else found), (local, remote)


def _candidates(lineage: Lineage, peer: Peer, rekeyed: ChildSa | None, asked: Sides) -> list[Child]:
    """Give the children that an offer may mean. One of several that carry a child keeps its part of it where it gets a
    successor: not less, which RFC 7296 section 2.9.2 forbids, and not what the others carry.
    """
    if rekeyed is None:
        return list(peer.children)
    same = [one for one in peer.children if one.name == rekeyed.child.name]
    alone = len(carrying.carriers(lineage, rekeyed.child.name)) == 1
    if alone or not (narrowing.within(rekeyed.local, asked[0]) and narrowing.within(rekeyed.remote, asked[1])):
        return same
    return [replace(one, local=rekeyed.local, remote=rekeyed.remote) for one in same]


def _mode(child: Child, contents: Contents) -> Mode:
    """Give the mode of a child that the peer asks for; in place of transport mode it may always get a tunnel."""
    if child.mode is Mode.TRANSPORT and not _asks_for_transport(contents):
        raise _other_mode(child, "the peer asks for tunnel mode")
    return child.mode


def _asks_for_transport(contents: Contents) -> bool:
    return contents.notify(NotifyType.USE_TRANSPORT_MODE) is not None


def _other_mode(child: Child, what: str) -> Refused:
    why = f'{child.name}: {what}, and mode = "{child.mode}" is configured here; write the same one on both gateways'
    return Refused(Notify(NotifyType.NO_PROPOSAL_CHOSEN), Refusal.MODE_MISMATCH, why)


def _choose(child: Child, contents: Contents, key_exchange: bool) -> Chosen:
    offered, ke = contents.get(SecurityAssociation), contents.find(KeyExchangePayload)
    method = ke.method if ke else None
    protocol = PROTOCOL_IDS[child.protocol]
    chosen = negotiation.choose(
        offered, child.proposals, protocol, key_exchange=key_exchange, method=method if key_exchange else None
    )
    if chosen is None:
        place = explaining.Place.of_child(child)
        why = explaining.proposals(offered, child.proposals, place, protocol=protocol, key_exchange=key_exchange)
        by_group = explaining.only_group_differs(offered, child.proposals, protocol=protocol)
        reason = Refusal.PFS_MISMATCH if key_exchange and by_group else Refusal.NO_PROPOSAL_CHOSEN
        raise Refused(Notify(NotifyType.NO_PROPOSAL_CHOSEN), reason, f"{child.name}: {why}")
    if chosen.suite.key_exchange is not None and chosen.suite.key_exchange.id != method:
        wanted = chosen.suite.key_exchange
        raise refused(NotifyType.INVALID_KE_PAYLOAD, f"{wanted.name} was asked for", wanted.id.to_bytes(2, "big"))
    return chosen


def _key_exchange(ctx: Context, chosen: Chosen, contents: Contents) -> tuple[bytes, Payloads]:
    method, ke = chosen.suite.key_exchange, contents.find(KeyExchangePayload)
    if method is None or ke is None:
        return b"", ()
    private = begin_key_exchange(method, ctx.entropy)
    try:
        return private.shared(ke.public), (KeyExchangePayload(method.id, private.public),)
    except InvalidKeyExchange as error:
        raise refused(NotifyType.INVALID_SYNTAX, f"bad public value: {error}") from error


def _spi(ctx: Context, sa: IkeSa, chosen: Chosen, child: Child) -> int:
    """Give the peer's SPI. Raise Refused for one that it may not choose: two of its children cannot share one, and
    neither can two peers behind one NAT.
    """
    spi = int.from_bytes(chosen.spi, "big")
    if len(chosen.spi) != 4 or spi < LOWEST_CHILD_SPI:
        raise refused(NotifyType.INVALID_SYNTAX, f"the peer chose the reserved SPI {spi}")
    lineage = ctx.lineage_of(sa)
    if children.find_outbound(lineage, spi, child.protocol) is not None:
        raise refused(NotifyType.NO_PROPOSAL_CHOSEN, f"the peer chose SPI 0x{spi:08x}, which another child of it has")
    owner = ctx.sending.get(AssociationId(sa.remote.ip, spi, child.protocol))
    if owner is not None and lineage.peer is not None and owner != lineage.peer.name:
        what = f"the peer chose SPI 0x{spi:08x}, which {owner} has at the same address: it is to draw them by chance"
        raise refused(NotifyType.NO_PROPOSAL_CHOSEN, what)
    return spi


def conclude(
    ctx: Context,
    sa: IkeSa,
    peer: Peer,
    offer: ChildOffer,
    contents: Contents,
    *,
    nonces: Nonces,
    key_exchange: bool,
) -> ChildSa:
    """Take the answer to our request; it is not installed yet. Raise Refused where it is not what we asked for."""
    child = offer.child
    chosen = negotiation.accept(
        contents.get(SecurityAssociation),
        child.proposals,
        PROTOCOL_IDS[child.protocol],
        key_exchange=key_exchange and offer.method is not None,
    )
    if chosen is None:
        raise refused(NotifyType.NO_PROPOSAL_CHOSEN, f"{child.name}: the peer chose algorithms that we did not offer")
    transport = _asks_for_transport(contents)
    if transport != (child.mode is Mode.TRANSPORT):
        raise _other_mode(child, f"the peer answers in {Mode.TRANSPORT if transport else Mode.TUNNEL} mode")
    local, remote = _answered(sa, offer, contents)
    agreed = children.Agreement(
        child,
        chosen.suite,
        keys.child_keys(sa, chosen.suite, nonces, _shared(offer, chosen, contents)),
        offer.spi_in,
        _spi(ctx, sa, chosen, child),
        local,
        remote,
        child.mode,
        True,
        min(nonces.i, nonces.r),
        _padding(ctx, peer, child, contents),
    )
    return children.build(ctx, sa, peer, agreed)


def _answered(sa: IkeSa, offer: ChildOffer, contents: Contents) -> Sides:
    """Give what the peer answered, ours first. Raise Refused where it is not within what we asked for."""
    tsi, tsr = contents.get(TSi), contents.get(TSr)
    sides = selectors_of(tsi), selectors_of(tsr)
    understood = [len(side) == len(payload.selectors) for side, payload in zip(sides, (tsi, tsr), strict=True)]
    if offer.child.mode is Mode.TRANSPORT:
        sides = transport_mode.as_seen(sa, sides)
    if all(understood) and all(narrowing.within(*each) for each in zip(sides, offer.sides, strict=True)):
        return narrowing.tidy(sides[0]), narrowing.tidy(sides[1])
    answers, asked = narrowing.describe(*sides), narrowing.describe(*offer.sides)
    more = "" if all(understood) else " and more that we do not understand"
    explanation = f"{offer.child.name}: the peer answers {answers}{more}, which is not in {asked}"
    raise refused(NotifyType.TS_UNACCEPTABLE, explanation)


def _shared(offer: ChildOffer, chosen: Chosen, contents: Contents) -> bytes:
    if chosen.suite.key_exchange is None:
        return b""
    ke = contents.get(KeyExchangePayload)
    if offer.private is None or offer.method != chosen.suite.key_exchange or ke.method != offer.method.id:
        raise refused(NotifyType.INVALID_KE_PAYLOAD, f"{offer.child.name}: the peer answers with another group")
    try:
        return offer.private.shared(ke.public)
    except InvalidKeyExchange as error:
        raise refused(NotifyType.INVALID_SYNTAX, f"bad public value: {error}") from error
