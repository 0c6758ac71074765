from dataclasses import replace
from ipaddress import ip_address, ip_network

from culvert.addresses import SocketAddress
from culvert.daemon.parts import Ending
from culvert.daemon.proving import subject_of
from culvert.daemon.service import Service
from culvert.ike.status import ChildStatus, IkeStatus, PeerState, PeerStatus
from culvert.ipsec.associations import AssociationId
from culvert.ipsec.selectors import traffic_selector
from culvert.plan.desired import TUN, HostFacts, HostInterface

OUTER, INNER = ip_address("203.0.113.1"), ip_address("192.168.1.1")
FACTS = HostFacts(
    (
        HostInterface(TUN, 1400, ((ip_address("192.168.1.77"), 24),)),
        HostInterface("outside", 1500, ((OUTER, 24),)),
        HostInterface("lan", 1500, ((INNER, 24),)),
    )
)


def test_the_subject_has_the_networks_our_address_inside_them_and_the_spis(make):
    remote = SocketAddress(make.theirs, 500)
    ike = IkeStatus(2, bytes(8), bytes(8), "", "none", SocketAddress(OUTER, 500), remote, 0, None)
    child = ChildStatus("x", AssociationId(OUTER, 1), AssociationId(make.theirs, 2), (), (), "", "udp", 0, None)
    subject = subject_of(
        make.configuration().peers[0],
        PeerStatus("warehouse", PeerState.UP, None, "", ike, (child,)),
        FACTS,
        ("outside",),
    )
    assert subject.local_networks == (ip_network("192.168.1.0/24"),)
    assert subject.remote_networks == (ip_network("192.168.2.0/24"),)
    assert subject.local_address == INNER
    assert (subject.spis_in, subject.spis_out) == ((1,), (2,))
    assert subject.gateways == (OUTER, make.theirs)


def test_a_gateway_outside_its_networks_has_no_address_to_probe_from(make):
    subject = subject_of(make.configuration().peers[0], PeerStatus("warehouse", PeerState.DOWN), HostFacts(()), ())
    assert subject.local_address is None
    assert subject.gateways == ()


def test_the_subject_says_what_is_protected_and_prefers_an_address_that_can_ping(make):
    peer = make.configuration().peers[0]
    sides = (("203.0.113.0/24", "10.0.0.0/8[tcp/443]"), ("192.168.1.0/24", "192.168.2.0/24[icmp]"))
    children = tuple(
        replace(peer.children[0], local=(traffic_selector(near),), remote=(traffic_selector(far),))
        for near, far in sides
    )
    status = PeerStatus("warehouse", PeerState.DOWN)
    subject = subject_of(replace(peer, children=children), status, FACTS, ())
    assert [(str(one.destination), one.protocol) for one in subject.selectors] == [
        ("10.0.0.0/8", 6),
        ("192.168.2.0/24", 1),
    ]
    assert subject.local_address == INNER
    web = subject_of(replace(peer, children=children[:1]), status, FACTS, ())
    assert web.local_address == OUTER


async def test_a_proof_is_asked_for_through_the_control_socket(world):
    await world.gateway.start()
    verdict = await Service(world.gateway, world.gateway.stop).handle("prove", {"peer": "warehouse"}, True)
    assert verdict["ok"]
    assert world.subjects[0].outside == ("outside",)
    await world.gateway.stop(Ending.OPEN)
