"""Whether the fence stands: what only the tunnel may carry is dropped everywhere else."""

from __future__ import annotations

from culvert.addresses import IPAddress, IPNetwork
from culvert.proof.evidence import Box, Evidence, Fence
from culvert.proof.subject import Check, Subject

NAME = "fence"
HOOKS = frozenset({"prerouting", "postrouting"})


def judge(subject: Subject, evidence: Evidence) -> Check:
    """Our table drops on the way in and on the way out, for every pair of the networks."""
    fence = evidence.fence
    if fence is None:
        return _failed("There is no table inet culvert: the fence does not stand.")
    if fence.dormant or not fence.dropping >= HOOKS:
        return _failed("The table inet culvert is there, and does not drop what it should.")
    open_pairs = [f"{local} - {remote}" for local, remote in _pairs(subject) if not _covered(fence, local, remote)]
    if open_pairs:
        return _failed(f"The fence does not cover {', '.join(open_pairs)}.")
    return Check(NAME, True, "The fence stands: without the tunnel, nothing between the networks leaves or enters.")


def _failed(message: str) -> Check:
    return Check(NAME, False, message, "Put it in place again: culvert reload")


def _pairs(subject: Subject) -> list[tuple[IPNetwork, IPNetwork]]:
    return [
        (local, remote)
        for local in subject.local_networks
        for remote in subject.remote_networks
        if local.version == remote.version
    ]


def _covered(fence: Fence, local: IPNetwork, remote: IPNetwork) -> bool:
    """The boxes do not overlap, so what they have in common with the pair adds up."""
    area = sum(_common(box.local, local) * _common(box.remote, remote) for box in fence.boxes if _fits(box, local))
    return area == local.num_addresses * remote.num_addresses


def _fits(box: Box, network: IPNetwork) -> bool:
    return box.local[0].version == network.version


def _common(ends: tuple[IPAddress, IPAddress], network: IPNetwork) -> int:
    first = max(int(ends[0]), int(network[0]))
    last = min(int(ends[1]), int(network[-1]))
    return max(last - first + 1, 0)
