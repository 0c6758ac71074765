"""When messages of ours go in fragments, and in which size (RFC 7383 sections 2.3 to 2.5).

Nothing is fragmented that fits. Fragments begin with what nearly every path carries; a request that is not answered
goes in smaller ones too, every other time: it may be the path, or a mere loss, after which some peers know only the
first division again.
"""

from __future__ import annotations

from culvert.addresses import SocketAddress
from culvert.ike.v2 import opening, window
from culvert.ike.v2.context import Context
from culvert.ike.v2.sa import IkeSa, Outstanding
from culvert.ike.v2.sealing import reseal_within
from culvert.wire.isakmp.encrypted import EncryptedFragment

USUAL_OCTETS = 1_280
"""Longest IP datagram at first. Every IPv6 path carries it, and any IPv4 path of today."""
NARROW_OCTETS = {4: 576, 6: 1_280}
"""Longest IP datagram that every host takes, by IP version."""
AROUND_OCTETS = {4: 20 + 8 + 4, 6: 40 + 8 + 4}
"""IP and UDP header and the non-ESP marker, by IP version."""
SMALLER_FROM = 3
"""The transmission from which on smaller fragments are tried: two losses in a row are rare where the path is good."""


def room(sa: IkeSa) -> int:
    """Give the longest IKE datagram that goes over the path, without the non-ESP marker."""
    version = sa.remote.ip.version
    return (NARROW_OCTETS[version] if sa.narrow else USUAL_OCTETS) - AROUND_OCTETS[version]


def room_for_answer(sa: IkeSa, fragment_octets: int) -> int:
    """Give the same for an answer: no longer than the fragments of the request, which show what the path carries."""
    if not fragment_octets:
        return room(sa)
    return min(room(sa), max(fragment_octets, _narrow_room(sa)))


def _narrow_room(sa: IkeSa) -> int:
    version = sa.remote.ip.version
    return NARROW_OCTETS[version] - AROUND_OCTETS[version]


def again(ctx: Context, sa: IkeSa, outstanding: Outstanding) -> tuple[bytes, ...]:
    """Give the request under way as it is to be sent once more."""
    if not sa.fragmentation or outstanding.transmissions < SMALLER_FROM or outstanding.transmissions % 2 == 0:
        return outstanding.datagrams
    if not outstanding.smaller:
        outstanding.smaller = reseal_within(sa, ctx.entropy, outstanding.datagrams, _narrow_room(sa))
    return outstanding.smaller


def learn(sa: IkeSa, outstanding: Outstanding) -> None:
    """Enter what the answer to a request shows: that smaller fragments arrived where others may not have."""
    if outstanding.smaller not in ((), outstanding.datagrams):
        sa.narrow = True


def divided_anew(ctx: Context, sa: IkeSa, data: bytes, remote: SocketAddress) -> bool:
    """Tell whether a datagram is the first fragment of the last request in another division (section 2.6.1).

    Its fragments became smaller because something did not arrive, so those of our answer become so too.
    """
    sealed = opening.sealed_in(data)
    if not isinstance(sealed, EncryptedFragment) or sealed.number != 1 or not sa.fragmentation or sa.keys is None:
        return False
    if opening.authentic(ctx, sa, data, sealed, remote) is None:
        return False
    ctx.touch(sa.lineage)
    sa.window.last_request = window.digest(data)
    room_now = room_for_answer(sa, len(data))
    sa.window.last_response = reseal_within(sa, ctx.entropy, sa.window.last_response, room_now)
    return True
