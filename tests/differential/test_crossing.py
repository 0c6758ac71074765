"""Packets between the engine and a Debian kernel: what one seals the other opens, and both keep the same count."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from culvert.wire.netlink.sa import SaWire
from tests.differential.crossing import Crossing, crossing
from tests.differential.flows import NAT_PORT, Flow
from tests.differential.messages import ALIGN4, TRANSPORT, TUNNEL
from tests.differential.neighbours import Neighbour
from tests.differential.suites import AH_SUITES, ESP_SUITES, SUITES
from tests.differential.traffic import (
    PATIENCE_S,
    PORTS,
    WHOLE,
    asking_family,
    both_carry,
    counts,
    numbered,
    ping_from_guest,
    unanswered,
)

pytestmark = pytest.mark.root

ALL_SUITES = (*ESP_SUITES, *AH_SUITES)
FAMILIES = [(4, 4), (6, 6), (4, 6), (6, 4)]
"""Inner and outer."""


@pytest.fixture(scope="module")
def world(neighbour: Neighbour, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crossing]:
    with crossing(neighbour, tmp_path_factory.mktemp("crossing")) as built:
        yield built


@pytest.mark.parametrize(("inner", "outer"), FAMILIES)
def test_every_suite_in_tunnels(world: Crossing, inner: int, outer: int) -> None:
    both_carry(
        world, numbered([{"layers": ((suite, TUNNEL),), "inner": inner, "outer": outer} for suite in ALL_SUITES])
    )


@pytest.mark.parametrize("family", [4, 6])
def test_every_suite_between_two_hosts(world: Crossing, family: int) -> None:
    flows = numbered([{"layers": ((suite, TRANSPORT),), "inner": family} for suite in ALL_SUITES])
    both_carry(world, flows, WHOLE)
    silent = unanswered(world, flows, (1,), times=3000)
    assert not silent, "\n".join(silent)


GCM, CBC, AH = SUITES["aes128gcm16"], SUITES["aes256-sha256"], SUITES["ah-sha256"]
BUNDLES = {
    "AH over ESP, as hosts do": ((GCM, TRANSPORT), (AH, TRANSPORT)),
    "AH over an ESP tunnel": ((GCM, TUNNEL), (AH, TRANSPORT)),
    "an AH tunnel over an ESP tunnel": ((CBC, TUNNEL), (AH, TUNNEL)),
    "an ESP tunnel over an AH tunnel": ((AH, TUNNEL), (CBC, TUNNEL)),
    "ESP in ESP": ((GCM, TUNNEL), (CBC, TRANSPORT)),
    "a tunnel over transport": ((CBC, TRANSPORT), (GCM, TUNNEL)),
    "three": ((GCM, TUNNEL), (AH, TRANSPORT), (CBC, TUNNEL)),
}


@pytest.mark.parametrize("name", BUNDLES)
def test_bundles(world: Crossing, name: str) -> None:
    both_carry(world, numbered([{"layers": BUNDLES[name], "inner": n, "outer": n} for n in (4, 6)]), WHOLE)


@pytest.fixture
def nat_port(world: Crossing) -> Iterator[None]:
    """The guest takes ESP in UDP for a test."""
    world.guest.call("tests.uml.jobs:take_esp_in_udp", port=NAT_PORT)
    yield
    world.guest.call("tests.uml.jobs:leave_esp_in_udp")


@pytest.mark.usefixtures("nat_port")
@pytest.mark.parametrize("family", [4, 6])
def test_esp_in_udp(world: Crossing, family: int) -> None:
    layers = [((suite, mode),) for suite in (GCM, CBC) for mode in (TUNNEL, TRANSPORT)]
    flows = numbered([{"layers": one, "inner": family, "outer": family, "in_udp": True} for one in layers])
    both_carry(world, flows, WHOLE)


@dataclass(frozen=True)
class AsLinuxFills(Flow):
    """AH over IPv4 as Linux fills it unless told otherwise: to words of eight octets."""

    def _associations(self, way: int) -> list[SaWire]:
        return [replace(sa, flags=sa.flags & ~ALIGN4) for sa in super()._associations(way)]


def test_ah_that_linux_filled_is_opened(world: Crossing) -> None:
    """The engine sends what RFC 4302 asks for; only a kernel that is told to (ALIGN4) takes that."""
    flow = AsLinuxFills(1, ((AH, TRANSPORT),))
    world.protect([flow])
    ping_from_guest(world, flow.theirs, flow.ours, answer=False)
    ours, theirs = counts(world)
    inward, outward = flow.inward[0].id.spi, flow.outward[0].id.spi
    assert ours[inward] == theirs[inward] >= 1
    assert ours[outward] >= 1
    assert theirs[outward] == 0


STREAMS = {
    "a tunnel": ((GCM, TUNNEL),),
    "two hosts": ((GCM, TRANSPORT),),
    "two hosts by AH": ((AH, TRANSPORT),),
    "a bundle": ((CBC, TUNNEL), (AH, TRANSPORT)),
}


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_there_and_back(world: Crossing, name: str, family: int) -> None:
    """Full segments find out what fits: neither end has been told how much the other's layers add."""
    (flow,) = numbered([{"layers": STREAMS[name], "inner": family, "outer": family}])
    world.protect([flow])
    port, octets = next(PORTS), bytes(range(256)) * 1200
    world.guest.call("tests.uml.jobs:echo_stream", address=str(flow.theirs), port=port)
    with world.speaker(flow).socket(asking_family(flow), socket.SOCK_STREAM) as sock:
        sock.settimeout(PATIENCE_S)
        sock.connect((str(flow.theirs), port))
        sock.sendall(octets)
        sock.shutdown(socket.SHUT_WR)
        with sock.makefile("rb") as reader:
            assert reader.read() == octets


@pytest.mark.parametrize("family", [4, 6])
def test_each_side_pings_the_other(world: Crossing, family: int) -> None:
    flows = numbered([{"layers": layers, "inner": family, "outer": family} for layers in STREAMS.values()])
    world.protect(flows)
    for flow in flows:
        world.speaker(flow).run(["ping", "-n", "-c", "1", "-W", "5", "-I", str(flow.ours), str(flow.theirs)])
        ping_from_guest(world, flow.theirs, flow.ours)


@pytest.mark.parametrize("family", [4, 6])
def test_a_long_datagram_between_two_hosts(world: Crossing, family: int) -> None:
    both_carry(world, numbered([{"layers": ((GCM, TRANSPORT),), "inner": family}]), (3000,))
