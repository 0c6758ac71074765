"""Perfect forward secrecy of children, tried at once (RFC 7296 section 2.12).

IKE_AUTH makes its child without a group, so that two ends that want different ones notice it at the first rekey, an
hour later, when the tunnel dies. So the first child comes in an exchange of its own where the responder takes an
IKE_AUTH without one (RFC 6023); else it is rekeyed once, soon.
"""

from __future__ import annotations

from culvert.config.model import Child


def named(child: Child) -> bool:
    """Tell whether the child's proposals name a group, be it that they demand one or only offer it."""
    return any(method.id for proposal in child.proposals for method in proposal.key_exchange)
