"""From a datagram to an authentic message: opened at once, or kept until its other fragments are there."""

from __future__ import annotations

from dataclasses import dataclass, field

from culvert.addresses import SocketAddress
from culvert.clock import SECOND
from culvert.crypto.errors import NotAuthentic
from culvert.ike.logs import DEBUG
from culvert.ike.timers import Timer
from culvert.ike.v2 import window
from culvert.ike.v2.context import Context
from culvert.ike.v2.reading import Contents
from culvert.ike.v2.sa import IkeSa
from culvert.ike.v2.sealing import open_sealed
from culvert.limits import REASSEMBLY_S
from culvert.reasons import Refusal
from culvert.wire.isakmp.encrypted import Encrypted, EncryptedFragment
from culvert.wire.isakmp.errors import ParseError
from culvert.wire.isakmp.header import Header
from culvert.wire.isakmp.message import parse_message, parse_payloads


@dataclass(frozen=True, slots=True)
class Opened:
    """An authentic message, whole. `request` is the digest by which its datagram, or its first fragment's, is known.

    `fragment_octets` is the length of its longest fragment's datagram, 0 where it came in one.
    """

    header: Header
    first_payload: int
    inner: bytes = field(repr=False)
    request: bytes
    fragment_octets: int = 0

    def contents(self) -> Contents:
        """Read the payloads. Raise ParseError where the peer wrote them wrongly."""
        return Contents(parse_payloads(self.first_payload, self.inner))


def take(ctx: Context, sa: IkeSa, header: Header, data: bytes, remote: SocketAddress) -> Opened | None:
    """Open a datagram. None where it is not authentic, or its message is not whole yet."""
    sealed = sealed_in(data)
    if isinstance(sealed, Encrypted):
        inner = authentic(ctx, sa, data, sealed, remote)
        if inner is None:
            return None
        ctx.fragments.settled(sa.spi, header.response)
        return Opened(header, sealed.first_payload, inner, window.digest(data))
    if sealed is None:
        ctx.note(f"a message from {remote} was dropped", Refusal.NOT_AUTHENTIC_MESSAGE)
        return None
    if not sa.fragmentation:
        ctx.note(f"{remote} sends fragments, which were not agreed on", Refusal.UNEXPECTED_MESSAGE)
        return None
    return _fragment(ctx, sa, header, sealed, (data, remote))


def sealed_in(data: bytes) -> Encrypted | EncryptedFragment | None:
    """Find the sealed payload of a datagram; None where there is none, or others stand before it."""
    try:
        message = parse_message(data)
    except ParseError:
        return None
    return message.encrypted if len(message.payloads) == 1 else None


def authentic(
    ctx: Context, sa: IkeSa, data: bytes, sealed: Encrypted | EncryptedFragment, remote: SocketAddress
) -> bytes | None:
    """Give the octets inside a datagram, or None where it is not authentic."""
    try:
        return open_sealed(sa, data, sealed)
    except NotAuthentic:
        ctx.note(f"a message from {remote} was dropped", Refusal.NOT_AUTHENTIC_MESSAGE)
        return None


def _fragment(
    ctx: Context, sa: IkeSa, header: Header, fragment: EncryptedFragment, received: tuple[bytes, SocketAddress]
) -> Opened | None:
    data, remote = received
    if not ctx.fragments.wants(sa.spi, header, fragment):
        what = f"fragment {fragment.number} of {fragment.total}, which is of no use"
        ctx.note(f"{remote} sends {what}", Refusal.FRAGMENT_UNUSABLE, DEBUG)
        return None
    part = authentic(ctx, sa, data, fragment, remote)
    if part is None:
        return None
    held = ctx.fragments.add(sa.spi, header, fragment, part, (window.digest(data), len(data)))
    if held is None:
        ctx.note(f"{remote} sends a message in fragments that is too long", Refusal.FRAGMENT_UNUSABLE)
    _arm(ctx, sa)
    if held is None or not held.complete:
        return None
    return Opened(header, held.first_payload, held.joined(), held.first, held.longest)


def _arm(ctx: Context, sa: IkeSa) -> None:
    """Let what is incomplete go a while after its last fragment came."""
    if ctx.fragments.waiting(sa.spi):
        ctx.timers.set(Timer.REASSEMBLY, sa.spi.hex(), ctx.now + REASSEMBLY_S * SECOND)
    else:
        ctx.timers.clear(Timer.REASSEMBLY, sa.spi.hex())
