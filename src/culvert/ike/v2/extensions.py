"""Extensions that the ends announce to each other in IKE_SA_INIT: what may be used later.

Fragments (RFC 7383 section 2.3) and hashes for signatures (RFC 7427 section 4) need both ends; that IKE_AUTH may come
without a child (RFC 6023) is the responder's to say, unasked.
"""

from __future__ import annotations

from culvert.ike.v2 import certificate_payloads
from culvert.ike.v2.reading import Contents
from culvert.ike.v2.sa import IkeSa
from culvert.ike.v2.sealing import Payloads
from culvert.wire.isakmp.notify import Notify, NotifyType


def offered() -> Payloads:
    """Give what we announce as initiator."""
    return Notify(NotifyType.IKEV2_FRAGMENTATION_SUPPORTED), certificate_payloads.announced()


def answered(sa: IkeSa) -> Payloads:
    """Give what we announce as responder, after `enter`: of what needs both ends only what the initiator has."""
    fragmentation = (Notify(NotifyType.IKEV2_FRAGMENTATION_SUPPORTED),) if sa.fragmentation else ()
    hashes = (certificate_payloads.announced(),) if sa.peer_hashes else ()
    return (*fragmentation, *hashes, Notify(NotifyType.CHILDLESS_IKEV2_SUPPORTED))


def enter(sa: IkeSa, contents: Contents) -> None:
    """Remember what the peer announces."""
    sa.fragmentation = contents.notify(NotifyType.IKEV2_FRAGMENTATION_SUPPORTED) is not None
    sa.peer_hashes = certificate_payloads.hashes_of(contents)
    sa.childless = sa.initiator and contents.notify(NotifyType.CHILDLESS_IKEV2_SUPPORTED) is not None
