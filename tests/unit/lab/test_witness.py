"""What a listener outside makes of what it kept."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from culvert.capture.packets import ETHERTYPE_IPV6, Captured
from culvert.lab.demo.witness import judge

PAYLOAD = b"payload of nothing"


def seen(source: str, destination: str) -> Captured:
    header = b"\x60\0\0\0" + len(PAYLOAD).to_bytes(2, "big") + b"\x3a\x01"
    octets = header + ip_address(source).packed + ip_address(destination).packed + PAYLOAD
    return Captured(0, "outside", ETHERTYPE_IPV6, 2, octets)


@pytest.mark.parametrize(("source", "others"), [("fe80::1", 0), ("::", 0), ("2001:db8::1", 1)])
def test_what_stays_on_the_cable_is_not_counted(source: str, others: int) -> None:
    assert judge([seen(source, "ff02::16")], [b"secret"], ()).other_packets == others


def test_a_secret_is_found_wherever_it_is() -> None:
    assert judge([seen("fe80::1", "ff02::16")], [PAYLOAD], ()).found == 1
