"""A datagram's way in: which IKE SA, once and in order, authentic, legal here, then its exchange (RFC 7296)."""

from __future__ import annotations

from culvert.addresses import SocketAddress
from culvert.ike.logs import DEBUG, WARNING
from culvert.ike.timers import Timer
from culvert.ike.v2 import (
    children,
    fragmentation,
    lineages,
    moving,
    opening,
    requests,
    silence,
    succession,
    table,
    trace,
    unknown_spi,
    unprotected,
    window,
)
from culvert.ike.v2.answers import Answer
from culvert.ike.v2.context import Context
from culvert.ike.v2.exchanges import create_child_sa, ike_auth, ike_sa_init, informational
from culvert.ike.v2.opening import Opened
from culvert.ike.v2.reading import Contents, Refused, refused
from culvert.ike.v2.sa import (
    ChildOffer,
    CreateChild,
    DeleteChild,
    DeleteIke,
    IkeOffer,
    IkeSa,
    IkeState,
    InvalidSpi,
    Liveness,
    Outstanding,
    Refuse,
    RekeyChild,
    RekeyIke,
    SetUp,
)
from culvert.limits import MAX_IKE_MESSAGE_OCTETS
from culvert.reasons import Refusal
from culvert.wire.isakmp.errors import ParseError
from culvert.wire.isakmp.header import NO_SPI, Header, peek, read_header
from culvert.wire.isakmp.message import parse_message
from culvert.wire.isakmp.notify import Notify, NotifyType
from culvert.wire.isakmp.numbers import ExchangeType, PayloadType

Path = tuple[SocketAddress, SocketAddress]


def find(ctx: Context, data: bytes) -> IkeSa | None:
    """Give the IKE SA that a datagram claims to belong to."""
    try:
        header = read_header(data)
    except ParseError:
        return None
    sa = ctx.sas.get(header.spi_r if header.initiator else header.spi_i)
    if sa is None or sa.initiator == header.initiator:
        return None
    theirs, known = (header.spi_i, sa.spi_i) if header.initiator else (header.spi_r, sa.spi_r)
    return sa if theirs == known or (known == NO_SPI and sa.state is IkeState.INIT_SENT) else None


def receive(ctx: Context, data: bytes, local: SocketAddress, remote: SocketAddress) -> None:
    """Handle one datagram, whatever it is."""
    try:
        if len(data) > MAX_IKE_MESSAGE_OCTETS:
            raise ParseError(Refusal.INVALID_SYNTAX, f"a message of {len(data)} octets")
        _route(ctx, peek(data), data, (local, remote))
    except ParseError as error:
        ctx.note(f"a message from {remote} was dropped: {error.text}", error.reason)
        if error.reason is Refusal.INVALID_MAJOR_VERSION:
            unprotected.name_our_version(ctx, data, (local, remote))


def _route(ctx: Context, header: Header, data: bytes, path: Path) -> None:
    first = header.exchange == ExchangeType.IKE_SA_INIT and not header.response
    if first and header.spi_r == NO_SPI and header.initiator and header.message_id == 0:
        ike_sa_init.respond(ctx, parse_message(data), data, *path)
        return
    sa = find(ctx, data)
    if sa is None and unknown_spi.is_hint(header):
        unknown_spi.hinted(ctx, data, path[1])
    elif sa is None:
        ctx.note(f"a message from {path[1]} is for an IKE SA that is not here", Refusal.UNKNOWN_IKE_SPI)
        unprotected.name_unknown_spi(ctx, header, data, path)
    elif header.response:
        _response(ctx, sa, header, data, path)
    else:
        _request(ctx, sa, header, data, path)


def _request(ctx: Context, sa: IkeSa, header: Header, data: bytes, path: Path) -> None:
    verdict = window.judge(sa.window, header.message_id, data)
    if verdict is window.Verdict.REPEATED:
        requests.answer_again(ctx, sa, path)
        return
    if verdict is window.Verdict.REWRITTEN:
        if fragmentation.divided_anew(ctx, sa, data, path[1]):
            requests.answer_again(ctx, sa, path)
        else:
            ctx.count(Refusal.UNEXPECTED_MESSAGE)  # a later fragment of what was answered, most of the time
        return
    if verdict is window.Verdict.OUTSIDE or not table.request_allowed(sa.state, header.exchange):
        what = f"exchange {int(header.exchange)} with message ID {header.message_id} while {sa.state}"
        ctx.note(f"a message from {path[1]} was dropped: {what}", Refusal.UNEXPECTED_MESSAGE, DEBUG)
        return
    request = opening.take(ctx, sa, header, data, path[1])
    if request is None:
        return
    answer = _answer(ctx, sa, request, path)
    requests.answer(ctx, sa, request, answer.payloads, path)
    if answer.ends is not None:
        _end(ctx, sa, *answer.ends)


def _answer(ctx: Context, sa: IkeSa, request: Opened, path: Path) -> Answer:
    """Give the answer to an authentic request that is next in order."""
    try:
        contents = request.contents()
        trace.contents(ctx, sa, contents.payloads)
        _heard(ctx, sa, path)
        _judge(contents, table.judge_request(sa.state, request.header.exchange, contents))
        return _respond(ctx, sa, request.header, contents)
    except ParseError as error:
        ctx.note(error.text, Refusal.INVALID_SYNTAX, WARNING, sa.peer)
        return Answer((Notify(NotifyType.INVALID_SYNTAX),), (Refusal.INVALID_SYNTAX, error.text))
    except Refused as refusal:
        level = DEBUG if refusal.reason is Refusal.TEMPORARY_FAILURE else WARNING
        ctx.note(refusal.explanation, refusal.reason, level, sa.peer)
        fatal = refusal.fatal or refusal.notify.type == NotifyType.INVALID_SYNTAX
        return Answer((refusal.notify,), (refusal.reason, refusal.explanation) if fatal else None)


def _respond(ctx: Context, sa: IkeSa, header: Header, contents: Contents) -> Answer:
    if header.exchange == ExchangeType.IKE_AUTH:
        return ike_auth.respond(ctx, sa, contents)
    if header.exchange == ExchangeType.CREATE_CHILD_SA:
        return create_child_sa.respond(ctx, sa, contents)
    return informational.respond(ctx, sa, contents)


def _judge(contents: Contents, problem: str) -> None:
    critical = contents.critical
    if critical is not None:
        explanation = f"a critical payload of type {critical.type} is not known here"
        raise refused(NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD, explanation, bytes([critical.type]))
    if problem:
        raise refused(NotifyType.INVALID_SYNTAX, problem, fatal=True)


def _heard(ctx: Context, sa: IkeSa, path: Path) -> None:
    """Enter that a request of the peer's came."""
    _lives(ctx, sa, path)
    children.confirm(ctx, ctx.lineage_of(sa), sa)


def _lives(ctx: Context, sa: IkeSa, path: Path) -> None:
    """Enter that the peer lives, by a message that was never here before, a request or a response.

    Follow it to a new address where a NAT may have moved it (RFC 7296 section 2.23).
    """
    silence.heard(ctx, sa)
    if (sa.local, sa.remote) == path:
        return
    if sa.state is IkeState.HALF_OPEN:
        sa.local, sa.remote = path
    elif moving.may_move(sa) and sa.remote != path[1]:
        moving.follow(ctx, sa, *path)


def _end(ctx: Context, sa: IkeSa, reason: Refusal, message: str) -> None:
    """End an IKE SA after its last answer: the whole lineage, where it was the current one."""
    lineage = ctx.lineages.get(sa.lineage)
    if lineage is None or sa.spi != lineage.current or lineage.closing:
        lineages.close(ctx, sa)
    elif reason is Refusal.PEER_DELETED:
        lineages.deleted(ctx, lineage, reason, message)
    else:
        lineages.drop(ctx, lineage, reason, message)


def _response(ctx: Context, sa: IkeSa, header: Header, data: bytes, path: Path) -> None:
    if not window.awaits(sa.window, header):
        ctx.count(Refusal.UNEXPECTED_MESSAGE)  # a late copy of an answer, most of the time
        return
    if sa.state is IkeState.INIT_SENT:
        ike_sa_init.conclude(ctx, sa, parse_message(data), data)
        return
    if header.next_payload == PayloadType.NOTIFY:
        unprotected.answered(ctx, sa, data, path)
        return
    outstanding = sa.window.outstanding
    response = opening.take(ctx, sa, header, data, path[1])
    if response is None or outstanding is None:
        return
    try:
        contents = response.contents()
        trace.contents(ctx, sa, contents.payloads)
        fragmentation.learn(sa, outstanding)
        sa.window.outstanding = None
        _lives(ctx, sa, path)
        ctx.timers.clear(Timer.RETRANSMIT, sa.spi.hex())
        _judge(contents, table.judge_response(sa.state, header.exchange, contents))
        children.answered(ctx, ctx.lineage_of(sa))
        if contents.notify(NotifyType.INVALID_SYNTAX) and not isinstance(outstanding.task, SetUp):
            # It has ended the IKE SA with that, and so do we (RFC 7296 section 2.21.3).
            _end(ctx, sa, Refusal.INVALID_SYNTAX, f"{sa.remote} refuses with INVALID_SYNTAX what we asked it")
        else:
            _conclude(ctx, sa, outstanding, contents)
    except ParseError as error:
        _fail(ctx, sa, Refusal.INVALID_SYNTAX, error.text)
    except Refused as refusal:
        _fail(ctx, sa, refusal.reason, refusal.explanation)
    ctx.dirty[sa.lineage] = None


def _fail(ctx: Context, sa: IkeSa, reason: Refusal, message: str) -> None:
    """A response that cannot be used ends its IKE SA: what the peer did, we do not know."""
    ctx.count(reason)
    lineage = ctx.lineages.get(sa.lineage)
    if lineage is not None:
        sa.window.outstanding = None
        lineages.drop(ctx, lineage, reason, message)


def _conclude(ctx: Context, sa: IkeSa, outstanding: Outstanding, contents: Contents) -> None:
    match outstanding.task, outstanding.offer:
        case SetUp(), (ChildOffer() | None) as offer:
            ike_auth.conclude(ctx, sa, contents, offer)
        case (CreateChild() | RekeyChild()) as task, ChildOffer() as offer:
            create_child_sa.conclude(ctx, sa, contents, task, offer)
        case RekeyIke() as task, IkeOffer() as offer:
            succession.conclude(ctx, sa, contents, task, offer)
        case (DeleteChild() | DeleteIke() | Refuse() | Liveness() | InvalidSpi()) as task, None:
            informational.conclude(ctx, sa, task)
        case _:
            raise TypeError("a task without its offer")
