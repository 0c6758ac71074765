"""Whether those whom we believed are still to be believed: certificates end, and are taken back (RFC 4301 4.4.2.1)."""

from __future__ import annotations

from culvert.clock import SECOND
from culvert.config.model import Peer
from culvert.crypto.certificates.certificate import MalformedCertificate, parse_certificate
from culvert.crypto.certificates.judging import judge
from culvert.crypto.certificates.store import Distrusted, Trusted, Verdict
from culvert.ike.timers import Timer
from culvert.ike.v2 import lineages
from culvert.ike.v2.context import Context
from culvert.ike.v2.proof import Proven
from culvert.ike.v2.sa import Lineage
from culvert.reasons import Refusal

AGAIN_S = 3600
"""When it is looked again for a list in place of one that is out of date."""


def believe(ctx: Context, lineage: Lineage, judgement: Proven) -> None:
    """Remember by what the peer of an established lineage proved itself, and until when that holds."""
    lineage.certificates, lineage.believed_until_s = judgement.certificates, judgement.until_s
    watch(ctx, lineage)


def watch(ctx: Context, lineage: Lineage) -> None:
    """Look again when the first certificate of the path ends."""
    ctx.touch(lineage.number)
    if lineage.believed_until_s is not None and ctx.utc_s is not None:
        left_s = max(lineage.believed_until_s + 1 - ctx.utc_s, 0)
        ctx.timers.set(Timer.CERTIFICATE, lineage.number, ctx.now + left_s * SECOND)


def set_calendar(ctx: Context, utc_offset_s: int) -> None:
    """Take over what the calendar says: what ends, ends then."""
    ctx.utc_offset_s = utc_offset_s
    for lineage in ctx.lineages.values():
        if lineage.certificates:
            watch(ctx, lineage)


def review(ctx: Context, lineage: Lineage) -> None:
    """Judge the certificates of an established peer again, and end the lineage where they no longer hold.

    A list that went out of date says nothing about them: it keeps new IKE SAs away, and ends none.
    """
    if lineage.peer is None or lineage.closing or not lineage.certificates or ctx.utc_s is None:
        return
    verdict = _verdict(lineage.peer, lineage.certificates, ctx.utc_s)
    if isinstance(verdict, Trusted):
        lineage.believed_until_s = min(one.not_after_s for one in verdict.path)
    elif verdict.reason is Refusal.REVOCATION_UNKNOWN:
        lineage.believed_until_s = ctx.utc_s + AGAIN_S
    else:
        lineages.end(ctx, lineage, verdict.reason, f"not believed any more: {verdict.explanation}")
        return
    watch(ctx, lineage)


def _verdict(peer: Peer, certificates: tuple[bytes, ...], utc_s: int) -> Verdict:
    if peer.trust is None:
        return Distrusted(Refusal.NO_CERTIFICATE, "no authority is configured for this peer any more")
    try:
        leaf, *others = (parse_certificate(data) for data in certificates)
    except MalformedCertificate as error:
        return Distrusted(Refusal.NO_CERTIFICATE, str(error))
    return judge(peer.trust, leaf, tuple(others), utc_s)
