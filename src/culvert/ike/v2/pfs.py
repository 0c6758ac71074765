"""Perfect forward secrecy of children, tried at once (RFC 7296 sections 1.2 and 2.12).

IKE_AUTH makes its child without a group, so that two ends that want different ones notice it at the first rekey, an
hour later, when the tunnel dies. So the first child comes in an exchange of its own where the responder takes an
IKE_AUTH without one (RFC 6023); else it is rekeyed once, soon. What comes of that changes nothing but what is told.
"""

from __future__ import annotations

from culvert.clock import SECOND
from culvert.config.model import Child
from culvert.ike import refusals
from culvert.ike.logs import WARNING
from culvert.ike.records import PeerRecord, Rekeyed
from culvert.ike.timers import Timer
from culvert.ike.v2.context import Context
from culvert.ike.v2.reading import reason_of
from culvert.ike.v2.sa import ChildOffer, ChildSa, IkeSa, Lineage
from culvert.reasons import Refusal
from culvert.wire.isakmp.notify import Notify, NotifyType

TRIAL_NS = 15 * SECOND
"""When a child is rekeyed for a trial: after the rush of a start, and while whoever set it up still looks."""
TRIAL_JITTER_PERCENT = 40
OF_GROUPS = (NotifyType.NO_PROPOSAL_CHOSEN, NotifyType.INVALID_KE_PAYLOAD)
"""What a peer says to new keys that it took without a group before: the group is all that is new."""


def named(child: Child) -> bool:
    """Tell whether the child's proposals name a group, be it that they demand one or only offer it."""
    return any(method.id for proposal in child.proposals for method in proposal.key_exchange)


def try_soon(ctx: Context, sa: IkeSa, child: ChildSa) -> None:
    """Have a child that IKE_AUTH made rekeyed once, soon, unless that went well before or comes soon anyway.

    An initiator that did not make it in an exchange of its own, though it could, has no group to try.
    """
    record, rekey = ctx.peers.get(sa.peer), child.child.rekey
    if record is None or not named(child.child) or child.child.name in record.rekeyed:
        return
    if rekey.after_s * SECOND > 4 * TRIAL_NS:
        ctx.timers.set(Timer.PFS_TRIAL, child.spi_in, ctx.now + ctx.jittered(TRIAL_NS, TRIAL_JITTER_PERCENT))


def succeeded(ctx: Context, lineage: Lineage, child: ChildSa) -> None:
    """Enter that an exchange made this child in which groups were negotiated."""
    if lineage.peer is not None:
        ctx.outcomes.append(Rekeyed(lineage.peer.name, child.child.name))


def refused_by_us(ctx: Context, lineage: Lineage, child: ChildSa, reason: Refusal, message: str) -> None:
    """The peer asked for new keys of a child and got none; at its lifetime's end neither of us will have any."""
    ctx.timers.clear(Timer.PFS_TRIAL, child.spi_in)
    if lineage.peer is not None:
        ctx.outcomes.append(Rekeyed(lineage.peer.name, child.child.name, reason, message))


def refused_by_peer(ctx: Context, lineage: Lineage, offer: ChildOffer, error: Notify | None, *, trial: bool) -> None:
    """We asked for new keys of a child and got none. A trial that ends so has told what it was for."""
    name = lineage.peer.name if lineage.peer else ""
    if trial and error is not None and error.type == NotifyType.NO_ADDITIONAL_SAS:
        return  # it never makes new keys, and is called anew each time (RFC 7296 section 1.3)
    by_group = error is not None and error.type in OF_GROUPS
    reason = Refusal.PFS_MISMATCH if by_group else Refusal.REKEY_REFUSED
    message = refusals.rekey(offer.child, error)
    named_by = reason_of(error.type) if error else None
    ctx.log(name, f"{message} ({named_by})" if named_by and named_by.value not in message else message, reason, WARNING)
    ctx.outcomes.append(Rekeyed(name, offer.child.name, reason, message))


def learn(record: PeerRecord, told: Rekeyed) -> None:
    """Remember whether the peer gives new keys; `status` tells where it does not."""
    if told.reason is None:
        record.rekeyed[told.child] = None
        record.unrekeyed.pop(told.child, None)
    else:
        record.rekeyed.pop(told.child, None)
        record.unrekeyed[told.child] = told.reason, told.message
