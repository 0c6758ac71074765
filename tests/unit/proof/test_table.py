"""The fence's finer form, read from the rules themselves: each that goes missing must show."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from culvert.config.model import Child, Gateway, Peer
from culvert.ipsec.selectors import Selector, traffic_selector
from culvert.network.ruleset import render
from culvert.plan.desired import HostFacts
from culvert.plan.desired_state import desired
from culvert.proof.checks import fence, steering
from culvert.proof.evidence import Evidence, Steering
from culvert.proof.subject import Subject
from culvert.proof.table import read_fence

Json = dict[str, Any]
CHILDREN = {
    "web": ("192.168.1.0/24", "192.168.2.0/24[tcp/443]"),
    "six": ("fd00:1::/64", "fd00:2::/64[udp/0-1023]"),
    "echo": ("192.168.1.1/32", "192.168.3.0/24[icmp/8]"),
    "any": ("192.168.1.0/24", "192.168.4.0/24[any/53]"),
    "gre": ("0.0.0.0/0", "10.0.0.0/8[gre]"),
    "plain": ("192.168.1.0/24", "192.168.9.0/24"),
    "inside": ("192.168.1.0/24", "192.168.9.0/24[tcp/80]"),
}
STATE = desired(
    Gateway(
        "gateway",
        (),
        (),
        (
            Peer(
                "warehouse",
                (),
                None,
                None,
                tuple(
                    Child("warehouse", name, (traffic_selector(local),), (traffic_selector(remote),))
                    for name, (local, remote) in CHILDREN.items()
                ),
            ),
        ),
    ),
    HostFacts(()),
)
TABLE: list[Json] = [one["add"] for one in render(STATE.firewall)["nftables"] if "add" in one]
SUBJECT = Subject("warehouse", (), (), None, None, (), (), ())


def protected() -> tuple[Selector, ...]:
    return tuple(policy.selector for policy in STATE.policies if policy.direction.name == "OUT")


def evidence(table: list[Json]) -> Evidence:
    return Evidence((), (), 0, read_fence(table), Steering(STATE.routes, "culvert0", "culvert0"))


def without(chain: str, words: str) -> list[Json]:
    left = [one for one in TABLE if not ("rule" in one and one["rule"]["chain"] == chain and words in str(one))]
    assert len(left) == len(TABLE) - 1
    return left


def test_all_that_is_protected_is_found() -> None:
    subject = replace(SUBJECT, selectors=protected())
    assert fence.judge(subject, evidence(TABLE)).ok, fence.judge(subject, evidence(TABLE)).message
    assert steering.judge(subject, evidence(TABLE)).ok, steering.judge(subject, evidence(TABLE)).message


@pytest.mark.parametrize(
    "selector",
    [
        Selector(protected()[0].source, protected()[0].destination),
        *(replace(one, destination_port=(444, 0xFFFF)) for one in protected() if one.destination_port == (443, 0xFFFF)),
    ],
    ids=str,
)
def test_what_is_not_protected_is_not_found(selector: Selector) -> None:
    subject = replace(SUBJECT, selectors=(selector,))
    assert not fence.judge(subject, evidence(TABLE)).ok
    assert not steering.judge(subject, evidence(TABLE)).ok


WEB_OUT, WEB_IN = "out0_ip_24_24_protocol_0_ffff", "in0_ip_24_24_protocol_ffff_0"


@pytest.mark.parametrize(
    ("chain", "words"),
    [
        ("fence_walk_out", f"@{WEB_OUT}'"),
        ("fence_walk_out", f"@{WEB_OUT}_fragments'"),
        ("fence_walk_in", f"@{WEB_IN}'"),
        ("fence_walk_in", f"@{WEB_IN}_fragments'"),
        ("fence_out", "@fenced4'}}, {'jump'"),
        ("from_elsewhere", "@fenced4'}}, {'jump'"),
        ("fence_in", "from_elsewhere"),
        ("fence_out", "@fenced4'}}, {'counter'"),
        ("from_elsewhere", "@fenced4'}}, {'counter'"),
    ],
)
def test_a_rule_of_the_fence_that_is_gone_shows(chain: str, words: str) -> None:
    subject = replace(SUBJECT, selectors=protected())
    assert fence.judge(subject, evidence(without(chain, words))).ok is False


@pytest.mark.parametrize(
    ("chain", "words"),
    [
        ("steer_walk", f"@{WEB_OUT}'"),
        ("steer_walk", f"@{WEB_OUT}_fragments'"),
        ("steer_in", "@fenced4'}}, {'jump'"),
        ("steer_out", "@fenced4'}}, {'jump'"),
    ],
)
def test_a_rule_of_the_steering_that_is_gone_shows(chain: str, words: str) -> None:
    subject = replace(SUBJECT, selectors=protected())
    verdict = steering.judge(subject, evidence(without(chain, words)))
    assert verdict.ok is False
    assert "No mark of ours leads" in verdict.message
    assert "192.168.1.0/24 - 192.168.2.0/24[6/443]" in verdict.message


def test_a_mark_that_leads_elsewhere_shows() -> None:
    (web,) = (one for one in protected() if one.destination_port == (443, 0xFFFF))
    subject = replace(SUBJECT, selectors=(web,))
    found = replace(evidence(TABLE), steering=Steering(STATE.routes, "culvert0", "eth0"))
    assert "would send the probe to eth0" in steering.judge(subject, found).message
    assert steering.judge(subject, replace(found, steering=Steering((), "", "culvert0"))).ok is False


def test_an_element_that_is_gone_shows() -> None:
    table = [
        {"set": one["set"] | {"elem": one["set"]["elem"][1:]}} if "set" in one and one["set"]["name"] == WEB_IN else one
        for one in TABLE
    ]
    assert "192.168.2.0/24[6/443]" in fence.judge(replace(SUBJECT, selectors=protected()), evidence(table)).message


def test_nonsense_covers_nothing() -> None:
    table = [one for one in TABLE if "set" not in one]
    nonsense = [{"set": one["set"] | {"elem": [{"concat": [None, {}]}, "x"]}} for one in TABLE if "set" in one]
    for broken in (table, table + nonsense):
        found = read_fence(broken)
        assert found.boxes == ()
        assert not any(rule.values for rule in (*found.drops, *found.marks))
