"""The model and what is known of the host -> the desired state. A pure function: the same in gives the same out."""

from __future__ import annotations

from culvert.config.model import Gateway
from culvert.plan.desired import DesiredState, HostFacts
from culvert.plan.division import divide
from culvert.plan.entries import NOBODY, Others
from culvert.plan.fence import firewall
from culvert.plan.links import made
from culvert.plan.mtu import Sizes, Suites
from culvert.plan.policies import policies
from culvert.plan.steering import routes, rules
from culvert.plan.sysctls import host_sysctls, tun_sysctls


def desired(gateway: Gateway, facts: HostFacts, suites: Suites | None = None, others: Others = NOBODY) -> DesiredState:
    """Give all of ours that is to stand on this host. The order of peers and networks in `gateway` does not matter.

    `suites` are what children have negotiated, by the names of peer and child; without them the worst case counts.
    `others` are the policies that somebody else wrote: they are steered and fenced like those of the configuration.
    """
    sizes = Sizes(gateway, facts, suites or {})
    division = divide(gateway, facts, others)
    return DesiredState(
        policies=policies(gateway),
        routes=routes(sizes, division),
        rules=rules(gateway, facts, division),
        firewall=firewall(sizes, division, others),
        sysctls=host_sysctls(gateway, facts),
        tun_sysctls=tun_sysctls(gateway, facts, division),
        gifs=made(gateway),
    )
