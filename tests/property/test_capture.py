"""Any octets on the wire have a line of text, and no proof falls over them."""

from __future__ import annotations

import struct
from ipaddress import ip_address, ip_network

from hypothesis import given
from hypothesis import strategies as st

from culvert.capture.packets import Captured
from culvert.capture.summary import summarise
from culvert.proof.evidence import Evidence, Steering
from culvert.proof.prove import judge
from culvert.proof.subject import Subject

SUBJECT = Subject(
    "warehouse",
    (ip_network("0.0.0.0/0"), ip_network("::/0")),
    (ip_network("0.0.0.0/0"), ip_network("::/0")),
    ip_address("192.168.1.1"),
    ip_address("192.168.2.1"),
    ("eth0",),
    (1,),
    (1,),
)


@st.composite
def packets(draw: st.DrawFn) -> bytes:
    """Octets that are packets far enough to be looked into."""
    protocol = draw(st.sampled_from((1, 4, 6, 17, 41, 50, 58)))
    ports = struct.pack("!4H", 4500, 500, 8, 0) if protocol == 17 and draw(st.booleans()) else b""
    payload = ports + draw(st.binary(max_size=120))
    if draw(st.booleans()):
        header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, draw(st.integers(0, 65_535)), 1, protocol, 0)
        return header + draw(st.binary(min_size=8, max_size=8)) + payload
    following = draw(st.sampled_from((protocol, 0, 43, 44, 60)))
    return struct.pack("!IHBB", 6 << 28, len(payload), following, 1) + bytes(32) + payload


@given(st.binary(max_size=200) | packets(), st.sampled_from((0x800, 0x86DD, 0x806, 1)))
def test_any_octets_have_a_line(octets: bytes, ethertype: int) -> None:
    captured = Captured(0, "eth0", ethertype, 4, octets)
    assert "\n" not in summarise(captured)
    verdict = judge(SUBJECT, Evidence((), (captured,), 0, None, Steering((), "")))
    assert not verdict.ok
