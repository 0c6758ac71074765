"""Boxes cover what the pairs cover, and never overlap."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from culvert.network.boxes import Box, disjoint_boxes
from culvert.plan.desired import Pair


def pair(local: str, remote: str) -> Pair:
    return Pair(ip_network(local), ip_network(remote))


def covers(boxes: tuple[Box, ...], local: int, remote: int) -> bool:
    return any(
        box.local_first <= local <= box.local_last and box.remote_first <= remote <= box.remote_last for box in boxes
    )


def test_a_pair_inside_another_gives_nothing() -> None:
    wide, narrow = pair("10.0.0.0/8", "192.168.0.0/16"), pair("10.1.0.0/16", "192.168.2.0/24")
    assert disjoint_boxes((narrow, wide, narrow), 4) == disjoint_boxes((wide,), 4)


def test_crossing_pairs_are_cut() -> None:
    boxes = disjoint_boxes((pair("10.0.0.0/8", "192.168.2.0/24"), pair("10.1.0.0/16", "0.0.0.0/0")), 4)
    assert len(boxes) == 3
    assert covers(boxes, int(ip_address("10.1.2.3")), int(ip_address("192.168.2.7")))
    assert not covers(boxes, int(ip_address("10.2.2.3")), int(ip_address("192.168.3.7")))


def test_families_are_kept_apart() -> None:
    pairs = (pair("10.0.0.0/8", "192.168.2.0/24"), pair("::/0", "2001:db8::/32"))
    assert len(disjoint_boxes(pairs, 4)) == 1
    assert disjoint_boxes(pairs, 6) == (Box(0, 2**128 - 1, 0x20010DB8 << 96, (0x20010DB9 << 96) - 1),)
    assert disjoint_boxes((Pair(ip_network("10.0.0.0/8"), ip_network("::/0")),), 4) == ()


# Networks of a few bits, so that they overlap in all ways, and every point can be tried.
_ENDS = st.builds(
    lambda address, length: IPv4Network(((0x0A000000 | address) >> (32 - length) << (32 - length), length)),
    st.integers(0, 15),
    st.integers(28, 32),
)


@given(st.lists(st.builds(Pair, _ENDS, _ENDS), max_size=8))
def test_same_points_and_no_overlap(pairs: list[Pair]) -> None:
    boxes = disjoint_boxes(pairs, 4)
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    for local in range(0x0A000000, 0x0A000010):
        for remote in range(0x0A000000, 0x0A000010):
            wanted = any(ip_address(local) in one.local and ip_address(remote) in one.remote for one in pairs)
            assert covers(boxes, local, remote) is wanted


def test_many_pairs_are_quick() -> None:
    networks = [IPv6Network((0x20010DB8 << 96 | number << 64, 64)) for number in range(1000)]
    boxes = disjoint_boxes([Pair(networks[0], network) for network in networks[1:]], 6)
    assert len(boxes) == 999
