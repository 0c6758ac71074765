from __future__ import annotations

from culvert.addresses import SocketAddress
from culvert.config.model import EncapsulationChoice
from culvert.crypto.digests import nat_detection_hash
from culvert.ike import nat

END = SocketAddress.parse("192.0.2.1", 500)
SPIS = bytes(8), bytes(range(8))


def test_a_nat_is_seen_where_no_hash_fits() -> None:
    fitting, false = nat_detection_hash(*SPIS, END), nat.false_hash(bytes(16))
    assert not nat.mismatch((), *SPIS, END)
    assert not nat.mismatch((false, fitting), *SPIS, END)
    assert nat.mismatch((false,), *SPIS, END)
    assert nat.mismatch((fitting,), *SPIS, SocketAddress.parse("192.0.2.1", 501))


def test_how_esp_travels() -> None:
    auto, udp, esp = EncapsulationChoice.AUTO, EncapsulationChoice.UDP, EncapsulationChoice.ESP
    assert nat.wants_udp(auto, nat=False, peer_is_culvert=True)
    assert not nat.wants_udp(auto, nat=False, peer_is_culvert=False)
    assert nat.wants_udp(udp, nat=False, peer_is_culvert=False)
    assert not nat.wants_udp(esp, nat=False, peer_is_culvert=True)
    assert nat.wants_udp(esp, nat=True, peer_is_culvert=False)


def test_ports_are_those_seen() -> None:
    out = nat.outbound_encapsulation(SocketAddress.parse("192.0.2.1", 61_000))
    assert (out.source_port, out.destination_port) == (4500, 61_000)
    inbound = nat.inbound_encapsulation(END)
    assert (inbound.source_port, inbound.destination_port) == (4500, 4500)
