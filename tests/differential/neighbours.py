"""The guest beside us, and how its kernel is asked."""

from __future__ import annotations

from dataclasses import dataclass

from culvert.lab.host import Host
from tests.differential.conversation import Reply, Request, replies_from_json, requests_to_json
from tests.uml.guest import Guest

TAP, BRIDGE = "tap0", "br0"
DEVICE = f"vec0:transport=tap,ifname={TAP},depth=128,gro=0"
MODULES = ("ipv6", "xfrm_user", "esp4", "esp6", "ah4", "ah6", "ipip", "sit", "ip6_tunnel")
"""Some are loaded when they are needed, others have to be there before."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A guest with `vec0`, whose frames come out of the bridge of `switch`."""

    guest: Guest
    switch: Host


def ask_kernel(kernel: Guest, requests: list[Request]) -> list[Reply]:
    """Send the messages to the guest's kernel."""
    return replies_from_json(kernel.call("tests.uml.jobs:converse", requests=requests_to_json(requests)))
