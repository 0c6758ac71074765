"""Whether the kernel sends what is protected into the tunnel: by routes, or what they cannot tell apart, by marks."""

from __future__ import annotations

from culvert.addresses import IPNetwork
from culvert.ipsec.selectors import Selector
from culvert.plan.desired import MARKED_TABLE, ROUTING_TABLE, Route, RouteKind
from culvert.proof.checks.fence import boxed
from culvert.proof.evidence import Evidence, Fence
from culvert.proof.protection import Protection, plain, text_of
from culvert.proof.subject import Check, Subject
from culvert.proof.walks import walked

NAME = "steering"
WHAT_TO_DO = "Put it in place again: culvert reload"
FORWARDED, OWN = "prerouting", "output"
"""Hooks at which marks are set: on what others send through us, and on what we send."""


def judge(subject: Subject, evidence: Evidence) -> Check:
    """All that is protected has a route of ours into the TUN or a mark that leads there, and so has the probe."""
    routed = [one for one in subject.protected if _routed(one, evidence)]
    missing = [one for one in subject.protected if one not in routed and not _marked(one, evidence)]
    if missing:
        return _failed(subject, missing)
    by_route = (
        routed if evidence.flow is None else [one for one in routed if Protection((one,)).outgoing(evidence.flow)]
    )
    interface = evidence.steering.interface if by_route else evidence.steering.marked
    if interface != subject.tun:
        where = f"to {interface}" if interface else "nowhere"
        return Check(NAME, False, f"The kernel would send the probe {where} instead of to {subject.tun}.", WHAT_TO_DO)
    return Check(NAME, True, f"What is protected is steered into {subject.tun}.")


def _failed(subject: Subject, missing: list[Selector]) -> Check:
    networks = ", ".join(dict.fromkeys(str(one.destination) for one in missing if plain(one)))
    finer = ", ".join(text_of(one) for one in missing if not plain(one))
    said = [f"There is no route of ours into {subject.tun} for {networks}."] if networks else []
    said += [f"No mark of ours leads {finer} into {subject.tun}."] if finer else []
    return Check(NAME, False, " ".join(said), WHAT_TO_DO)


def _routed(selector: Selector, evidence: Evidence) -> bool:
    """Routes and their rules know networks alone: they do for more only where all between the networks is protected."""
    alone = plain(selector) or (evidence.fence is not None and boxed(evidence.fence, selector))
    return alone and _steered(selector.destination, evidence.steering.routes, ROUTING_TABLE)


def _marked(selector: Selector, evidence: Evidence) -> bool:
    fence = evidence.fence
    return (
        fence is not None
        and not fence.dormant
        and _is_marked(selector, fence)
        and _steered(selector.destination, evidence.steering.routes, MARKED_TABLE)
    )


def _is_marked(selector: Selector, fence: Fence) -> bool:
    return all(walked(fence.marks, selector, hook) for hook in (FORWARDED, OWN))


def _steered(network: IPNetwork, routes: tuple[Route, ...], table: int) -> bool:
    """One route that contains it, or several that fill it."""
    tun = [route.destination for route in routes if route.kind is RouteKind.TUN and route.table == table]
    same = [one for one in tun if one.version == network.version]
    if any(_contains(one, network) for one in same):
        return True
    inside = {one for one in same if _contains(network, one)}
    outermost = [one for one in inside if not any(_contains(other, one) for other in inside - {one})]
    return sum(one.num_addresses for one in outermost) == network.num_addresses


def _contains(wide: IPNetwork, narrow: IPNetwork) -> bool:
    return wide.version == narrow.version and narrow[0] in wide and narrow.prefixlen >= wide.prefixlen
