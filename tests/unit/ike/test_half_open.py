from __future__ import annotations

from ipaddress import ip_address

from culvert.ike.half_open import HalfOpen


def test_what_enters_is_counted_until_it_leaves() -> None:
    held = HalfOpen()
    for number in range(3):
        held.enter(b"%8d" % number, ip_address("192.0.2.1"))
    held.enter(b"another!", ip_address("192.0.2.2"))
    assert (len(held), held.of(ip_address("192.0.2.1")), held.of(ip_address("192.0.2.2"))) == (4, 3, 1)
    for number in range(3):
        held.leave(b"%8d" % number)
    held.leave(b"nobody's")
    assert (len(held), held.of(ip_address("192.0.2.1"))) == (1, 0)


def test_all_addresses_of_an_ipv6_network_are_one_source() -> None:
    held = HalfOpen()
    held.enter(b"the  one", ip_address("2001:db8:0:1::1"))
    held.enter(b"theother", ip_address("2001:db8:0:1:ffff:ffff:ffff:ffff"))
    assert held.of(ip_address("2001:db8:0:1::7")) == 2
    assert held.of(ip_address("2001:db8:0:2::1")) == 0


def test_the_versions_are_told_apart() -> None:
    held = HalfOpen()
    held.enter(b"the  one", ip_address("0.0.0.1"))
    assert held.of(ip_address("0:0:0:1::1")) == 0
    assert held.of(ip_address("0.0.0.1")) == 1
