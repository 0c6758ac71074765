"""What `culvert check` prints."""

from __future__ import annotations

from typing import Any

from culvert.plan.desired import NOTHING
from culvert.plan.desired_state import desired
from culvert.plan.explain import explain


def test_the_chapter(office: Any, facts: Any) -> None:
    assert explain(desired(office, facts)) == [
        "set net.ipv4.ip_forward = 1",
        "set net.ipv4.conf.all.src_valid_mark = 1",
        "set net.ipv4.conf.culvert0.rp_filter = 2",
        "set net.ipv4.conf.culvert0.send_redirects = 0",
        "set net.ipv4.conf.culvert0.accept_redirects = 0",
        "set net.ipv6.conf.culvert0.disable_ipv6 = 1",
        "table inet culvert: 192.168.1.0/24 <-> 192.168.2.0/24 never in clear, only through culvert0",
        "table inet culvert: accept IKE and ESP from 198.51.100.1, and what goes through culvert0",
        "table inet culvert: TCP segments of at most 1382 octets from and to 192.168.2.0/24",
        "protect 192.168.1.0/24 <-> 192.168.2.0/24",
        "route 192.168.2.0/24 dev culvert0 metric 100 table 4500 src 192.168.1.1 mtu 1422",
        "route 192.168.2.0/24 unreachable metric 4000000 table 4500",
        "rule: 192.168.1.0/24 looks into table 4500 first",
        "rule: the gateway's own traffic (IPv4) looks into table 4500 first",
    ]


def test_nothing(build: Any, facts: Any) -> None:
    assert explain(NOTHING) == []
    assert not any("protect" in line for line in explain(desired(build.gateway(), facts)))
