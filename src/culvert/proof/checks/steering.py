"""Whether the kernel sends the peer's networks into the tunnel."""

from __future__ import annotations

from culvert.addresses import IPNetwork
from culvert.plan.desired import Route, RouteKind
from culvert.proof.evidence import Evidence
from culvert.proof.subject import Check, Subject

NAME = "steering"
WHAT_TO_DO = "Put it in place again: culvert reload"


def judge(subject: Subject, evidence: Evidence) -> Check:
    """Every network of the peer has a route of ours into the TUN, and the kernel would take it for the probe."""
    missing = [str(one) for one in subject.remote_networks if not _steered(one, evidence.steering.routes)]
    if missing:
        return Check(NAME, False, f"There is no route of ours into {subject.tun} for {', '.join(missing)}.", WHAT_TO_DO)
    interface = evidence.steering.interface
    if interface != subject.tun:
        where = f"to {interface}" if interface else "nowhere"
        return Check(NAME, False, f"The kernel would send the probe {where} instead of to {subject.tun}.", WHAT_TO_DO)
    return Check(NAME, True, f"The peer's networks are steered into {subject.tun}.")


def _steered(network: IPNetwork, routes: tuple[Route, ...]) -> bool:
    """One route that contains it, or several that fill it."""
    tun = [route.destination for route in routes if route.kind is RouteKind.TUN]
    same = [one for one in tun if one.version == network.version]
    if any(_contains(one, network) for one in same):
        return True
    inside = {one for one in same if _contains(network, one)}
    outermost = [one for one in inside if not any(_contains(other, one) for other in inside - {one})]
    return sum(one.num_addresses for one in outermost) == network.num_addresses


def _contains(wide: IPNetwork, narrow: IPNetwork) -> bool:
    return wide.version == narrow.version and narrow[0] in wide and narrow.prefixlen >= wide.prefixlen
