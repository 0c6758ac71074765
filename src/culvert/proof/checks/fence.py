"""Whether the fence stands: what only the tunnel may carry is dropped everywhere else."""

from __future__ import annotations

from culvert.addresses import IPAddress, IPNetwork
from culvert.ipsec.selectors import Selector
from culvert.proof.evidence import Box, Evidence, Fence
from culvert.proof.protection import text_of
from culvert.proof.subject import Check, Subject
from culvert.proof.walks import walked

NAME = "fence"
WAY_IN, WAY_OUT = "prerouting", "postrouting"


def judge(subject: Subject, evidence: Evidence) -> Check:
    """Our table drops on the way in and on the way out, for all that is protected."""
    fence = evidence.fence
    if fence is None:
        return _failed("There is no table inet culvert: the fence does not stand.")
    if fence.dormant or not fence.dropping >= {WAY_IN, WAY_OUT}:
        return _failed("The table inet culvert is there, and does not drop what it should.")
    open_ways = [text_of(one) for one in subject.protected if not (boxed(fence, one) or _dropped(fence, one))]
    if open_ways:
        return _failed(f"The fence does not cover {', '.join(open_ways)}.")
    return Check(NAME, True, "The fence stands: without the tunnel, nothing that is protected leaves or enters.")


def boxed(fence: Fence, selector: Selector) -> bool:
    """Whether everything between a selector's networks is fenced.

    The boxes do not overlap, so what they have in common with the networks adds up.
    """
    local, remote = selector.source, selector.destination
    area = sum(_common(box.local, local) * _common(box.remote, remote) for box in fence.boxes if _fits(box, local))
    return area == local.num_addresses * remote.num_addresses


def _dropped(fence: Fence, selector: Selector) -> bool:
    return walked(fence.drops, selector, WAY_OUT) and walked(fence.drops, selector.reversed, WAY_IN)


def _failed(message: str) -> Check:
    return Check(NAME, False, message, "Put it in place again: culvert reload")


def _fits(box: Box, network: IPNetwork) -> bool:
    return box.local[0].version == network.version


def _common(ends: tuple[IPAddress, IPAddress], network: IPNetwork) -> int:
    first = max(int(ends[0]), int(network[0]))
    last = min(int(ends[1]), int(network[-1]))
    return max(last - first + 1, 0)
