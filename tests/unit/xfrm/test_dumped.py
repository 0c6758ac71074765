"""A dump of the SPD as steering and fence need it: the same as reading every policy whole."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from culvert.ipsec.associations import Direction
from culvert.ipsec.policies import OWN_INDEX, Action, Level, Policy, Template
from culvert.ipsec.selectors import Selector
from culvert.plan.entries import Others, entries
from culvert.wire.netlink.framing import ParseError
from culvert.wire.netlink.policy import emit_policy
from culvert.xfrm import dumped, policies
from culvert.xfrm.fake import FakeEngine

OURS, THEIRS = ip_address("203.0.113.1"), ip_address("198.51.100.1")
TUNNEL = Template(OURS, THEIRS, 7)
SELECTORS = (
    Selector(ip_network("192.168.1.0/24"), ip_network("192.168.2.34/32")),
    Selector(ip_network("192.168.1.0/24"), ip_network("0.0.0.0/0"), 6, (0, 0), (443, 0xFFFF)),
    Selector(ip_network("2001:db8:1::/64"), ip_network("2001:db8:2::/48"), 58, (128, 0xFFFF), (0, 0xFFFF)),
    Selector(ip_network("10.0.0.0/8"), ip_network("10.0.0.0/8"), 0, (0, 0), (53, 0xFFFF)),
    Selector(ip_network("::/0"), ip_network("::/0"), 47),
)


def spd() -> list[Policy]:
    """Every selector with every action in every direction, numbered as the data plane does."""
    kinds = (
        (Action.DISCARD, ()),
        (Action.BYPASS, ()),
        (Action.PROTECT, (TUNNEL,)),
        (Action.PROTECT, (replace(TUNNEL, level=Level.USE), TUNNEL)),
        (Action.PROTECT, (replace(TUNNEL, level=Level.USE),)),
    )
    found: list[Policy] = []
    for number, direction in enumerate((Direction.IN, Direction.OUT, Direction.FORWARD)):
        for selector in SELECTORS:
            for action, templates in kinds:
                index = 8 * (len(found) + 1) + number
                found.append(Policy(selector, direction, action, len(found) % 4, templates, index))
    return found


def body(policy: Policy) -> bytes:
    return emit_policy(policies.to_wire(policy))


def test_it_reads_what_reading_every_policy_gives() -> None:
    found = dumped.read_others(map(body, spd()))
    assert found.out == entries(spd(), Direction.OUT)
    assert found.inward == entries(spd(), Direction.IN)
    assert found.forward == entries(spd(), Direction.FORWARD)
    assert found.count == len(spd())
    assert found.ends == (ip_network("198.51.100.1"), ip_network("203.0.113.1"))


def test_no_policies_are_nobody_s() -> None:
    assert dumped.read_others(()) == Others()


def test_an_open_end_is_anybody() -> None:
    anybody = ip_address("0.0.0.0")  # noqa: S104
    found = dumped.read_others([body(replace(spd()[2], templates=(Template(anybody, THEIRS),)))])
    assert found.ends is None


def test_very_many_ends_are_anybody() -> None:
    many = [replace(TUNNEL, destination=ip_address(0x0A000000 + number)) for number in range(dumped.MAX_ENDS)]
    assert dumped.read_others(body(replace(spd()[2], templates=(one,))) for one in many).ends is None


def test_the_index_tells_who_wrote_it() -> None:
    own = replace(spd()[2], index=OWN_INDEX)
    found = dumped.part([body(own), body(spd()[0])])
    assert (found.own, found.others) == ((body(own),), (body(spd()[0]),))
    assert [policy.index for policy in found.present([])] == [OWN_INDEX]


def test_one_of_others_in_the_place_of_a_wanted_one_is_present() -> None:
    found = dumped.part(map(body, spd()))
    wanted = Policy(SELECTORS[0], Direction.OUT, Action.PROTECT)
    assert {policy.selector for policy in found.present([wanted])} == {SELECTORS[0]}


def test_use_does_not_make_it_another() -> None:
    octets = bytearray(body(spd()[0]))
    before = dumped.part([bytes(octets)])
    octets[dumped._USED.start] ^= 1
    assert dumped.part([bytes(octets)]).unused == before.unused
    octets[0] ^= 1
    assert dumped.part([bytes(octets)]).unused != before.unused


@pytest.mark.parametrize(
    ("place", "value", "what"),
    [(160, 3, "direction"), (161, 9, "action"), (40, 7, "family"), (42, 129, "prefix"), (48, 1, "interface")],
)
def test_what_is_no_policy_is_refused(place: int, value: int, what: str) -> None:
    octets = bytearray(body(spd()[0]))
    octets[place] = value
    with pytest.raises(ParseError, match=what):
        dumped.read_others([bytes(octets)])


def test_what_is_too_short_is_refused() -> None:
    with pytest.raises(ParseError):
        dumped.part([bytes(100)])


async def test_policies_are_put_back_as_they_were() -> None:
    engine = FakeEngine()
    client = engine.connect()
    before = [body(policy) for policy in spd()[:: len(spd()) // 15]]
    await client.load_policy_bodies(before)
    assert dumped.part(await client.policy_bodies()).unused == dumped.part(before).unused
    client.close()
    engine.close()
