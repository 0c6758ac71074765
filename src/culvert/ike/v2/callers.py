"""Which configured peer a caller may be, by what it says it is and whom it asks for (RFC 7296 sections 2.15, 3.5)."""

from __future__ import annotations

from culvert.ike import negotiation
from culvert.ike.records import ADDRESS_TYPES, PeerRecord, StrangerCalled
from culvert.ike.v2.context import Context
from culvert.ike.v2.sa import IkeSa
from culvert.limits import MAX_CANDIDATES
from culvert.wire.isakmp.identification import Identification

V2 = 2
MAX_SHOWN = 160
"""Letters of a name that a sentence has room for."""


def candidates(ctx: Context, sa: IkeSa, presented: Identification, wished: Identification | None) -> list[PeerRecord]:
    """Give the peers that may present this identity, the likeliest first, a few at most.

    Whom the caller asks for decides. Then come first: those without a wildcard, those known to be where it calls
    from, and those that may use the algorithms chosen so far.
    """
    identity = presented.identity
    if identity is None:
        return []
    matching = [one for one in ctx.peers.expecting(identity) if one.peer.ike == V2 and not one.ended]
    if not matching and identity.type in ADDRESS_TYPES:
        ctx.outcomes.append(StrangerCalled())
    asked_for = [one for one in matching if is_asked_for(sa, one, wished)]
    return sorted(asked_for or matching, key=lambda one: _unlikeliness(sa, one))[:MAX_CANDIDATES]


def _unlikeliness(sa: IkeSa, record: PeerRecord) -> tuple[bool, bool, bool]:
    wildcard = record.peer.identity is not None and record.peer.identity.is_wildcard
    fits = sa.suite is not None and negotiation.permits(record.peer.proposals, sa.suite)
    return wildcard, not record.may_be_at(sa.remote.ip), not fits


def is_asked_for(sa: IkeSa, record: PeerRecord, wished: Identification | None) -> bool:
    """Tell whether a caller who asks for `wished` asks for who we are towards this peer; no wish is any."""
    if wished is None:
        return True
    return wished.identity is not None and wished.identity.matches(record.local_identity(sa.local.ip))


def expected_at(ctx: Context, sa: IkeSa) -> list[PeerRecord]:
    """Give the peers that are known to be where the caller is, whoever it says it is."""
    return [one for one in ctx.peers.known_at(sa.remote.ip) if not one.ended]


def shown(identification: Identification) -> str:
    """Give an identity for people; of a long one its beginning."""
    identity = identification.identity
    return shortened(str(identity)) if identity else f"identity type {int(identification.type)}"


def shortened(text: str) -> str:
    """Cut what somebody whom we do not know wrote to what a line has room for."""
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."
