"""What is said without protection, because there is no IKE SA for it: by us to strangers, and by anybody to us.

We never answer a response, never with more than hardly anything beyond what asked, and at a bounded rate. What we are
told so is a hint at most (RFC 7296 section 2.4), but for the token that the peer itself gave us (RFC 6290).
"""

from __future__ import annotations

from culvert.addresses import SocketAddress
from culvert.ike.actions import Transmit
from culvert.ike.logs import DEBUG
from culvert.ike.v2 import crash_detection, lineages, silence
from culvert.ike.v2.context import Context
from culvert.ike.v2.reading import Contents
from culvert.ike.v2.sa import IkeSa
from culvert.ike.v2.sealing import Payloads
from culvert.reasons import Refusal
from culvert.wire.isakmp.header import MAJOR_VERSION, Header, read_header
from culvert.wire.isakmp.message import Message, emit_message, parse_message
from culvert.wire.isakmp.notify import Notify, NotifyType
from culvert.wire.isakmp.numbers import ExchangeType, PayloadType

Path = tuple[SocketAddress, SocketAddress]
MIN_PROTECTED_OCTETS = 57
"""The shortest protected message: headers, an IV of 8 octets, the padding's length, an ICV of 16."""


def name_our_version(ctx: Context, data: bytes, path: Path) -> None:
    """Answer a request of a later major version (RFC 7296 section 2.5)."""
    header = read_header(data)
    if header.major > MAJOR_VERSION:
        _answer(ctx, header, (Notify(NotifyType.INVALID_MAJOR_VERSION, bytes([MAJOR_VERSION])),), path)


def name_unknown_spi(ctx: Context, header: Header, data: bytes, path: Path) -> None:
    """Tell who asks an IKE SA that is not here, so that it looks whether we still live (RFC 7296 section 1.5).

    With our token, it need not look: that we have lost it is proven.
    """
    protected = header.exchange != ExchangeType.IKE_SA_INIT and header.next_payload in (PayloadType.SK, PayloadType.SKF)
    if protected and len(data) >= MIN_PROTECTED_OCTETS:
        token = crash_detection.shown(ctx, header, *path)
        _answer(ctx, header, (Notify(NotifyType.INVALID_IKE_SPI), *token), path)


def _answer(ctx: Context, header: Header, payloads: Payloads, path: Path) -> None:
    """Answer a request without an IKE SA, never a response, and not too often."""
    if header.response or not ctx.unprotected.allow(ctx.now, path[1].ip, known=bool(ctx.peers.known_at(path[1].ip))):
        return
    reply = Message(
        header.spi_i, header.spi_r, header.exchange, not header.initiator, True, header.message_id, payloads
    )
    ctx.emit(Transmit(path[0], path[1], emit_message(reply)))


def answered(ctx: Context, sa: IkeSa, data: bytes, path: Path) -> None:
    """Take an answer to our request that nothing protects. It ends an IKE SA only with the peer's token for it.

    Without that, an INVALID_IKE_SPI ends only what we are ending ourselves, and is a hint for everything else: the
    request that it answers is already the look whether the peer lives, and the peer is called beside it.
    """
    contents = Contents(parse_message(data).payloads)
    told = contents.notify(NotifyType.INVALID_IKE_SPI)
    if crash_detection.proven(sa, contents, path[1]):
        _lost(ctx, sa)
        return
    if told is not None and ctx.lineage_of(sa).closing:
        lineages.close(ctx, sa)
        return
    if told is not None:
        silence.suspect(ctx, sa)
    what = "says without protection that it does not know this IKE SA" if told else "answers without protection"
    ctx.note(f"{path[1]} {what}; the message was dropped", Refusal.NOT_AUTHENTIC_MESSAGE, DEBUG, sa.peer)


def _lost(ctx: Context, sa: IkeSa) -> None:
    """The peer has proven that it lost an IKE SA: ours ends without a word, and a new one is begun."""
    lineage = ctx.lineage_of(sa)
    if sa.spi == lineage.current:
        lineages.drop(ctx, lineage, Refusal.PEER_RESTARTED, f"{sa.remote} shows that it has lost the IKE SA")
    else:
        lineages.close(ctx, sa)
