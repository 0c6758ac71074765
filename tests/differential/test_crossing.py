"""Packets between the engine and a Debian kernel: what one seals the other opens, and both keep the same count."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from culvert.wire.netlink.sa import parse_sa
from tests.differential.crossing import Crossing, crossing
from tests.differential.flows import Flow
from tests.differential.messages import TRANSPORT, TUNNEL
from tests.differential.neighbours import Neighbour
from tests.differential.stories import TABLES
from tests.differential.suites import AH_SUITES, ESP_SUITES

pytestmark = pytest.mark.root

PORT = 7007
PATIENCE_S = 10
SIZES = (1, 62, 1100, 3000)
"""Octets of a datagram: padded, nearly empty, nearly full, and in fragments."""
ALL_SUITES = (*ESP_SUITES, *AH_SUITES)
FAMILIES = [(4, 4), (6, 6), (4, 6), (6, 4)]
"""Inner and outer."""


@pytest.fixture(scope="module")
def world(neighbour: Neighbour, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crossing]:
    with crossing(neighbour, tmp_path_factory.mktemp("crossing")) as built:
        yield built


def numbered(shapes: list[dict[str, object]]) -> list[Flow]:
    """Give each flow an address of its own, and every other one long sequence numbers."""
    return [Flow(number, esn=number % 2 == 0, **shape) for number, shape in enumerate(shapes, 1)]  # type: ignore[arg-type]


def unanswered(world: Crossing, flows: list[Flow]) -> list[str]:
    """Send datagrams of each size through every flow at once; name those that did not come back whole."""
    world.guest.call("tests.uml.jobs:echo_datagrams", addresses=[str(flow.theirs) for flow in flows], port=PORT)
    missing = []
    for size in SIZES:
        sent = [(flow, asking(world, flow, payload(flow, size))) for flow in flows]
        deadline = time.monotonic() + PATIENCE_S
        for flow, sock in sent:
            with closing(sock):
                if not answered(sock, payload(flow, size), deadline):
                    missing.append(f"{flow}, {size} octets")
    return missing


def payload(flow: Flow, size: int) -> bytes:
    return (flow.number.to_bytes(2, "big") * size)[-size:]


def asking(world: Crossing, flow: Flow, octets: bytes) -> socket.socket:
    family = socket.AF_INET if flow.inner == 4 else socket.AF_INET6
    sock = world.speaker(flow).socket(family, socket.SOCK_DGRAM)
    sock.bind((str(flow.ours), 0))
    sock.sendto(octets, (str(flow.theirs), PORT))
    return sock


def answered(sock: socket.socket, octets: bytes, deadline: float) -> bool:
    sock.settimeout(max(0.01, deadline - time.monotonic()))
    try:
        return sock.recv(65536) == octets
    except OSError:
        return False


def counts(world: Crossing) -> tuple[dict[int, int], dict[int, int]]:
    """Give the packets of each association, by SPI: the engine's count, the kernel's."""
    return tuple(  # type: ignore[return-value]
        {sa.id.spi: sa.current.packets for sa in map(parse_sa, ask(list(TABLES[:1]))[0].bodies)}
        for ask in (world.ask_engine, world.ask_kernel)
    )


def test_every_suite_in_tunnels_of_every_family(world: Crossing) -> None:
    for inner, outer in FAMILIES:
        flows = numbered([{"layers": ((suite, TUNNEL),), "inner": inner, "outer": outer} for suite in ALL_SUITES])
        world.protect(flows)
        assert unanswered(world, flows) == []
        ours, theirs = counts(world)
        assert ours == theirs
        assert min(ours.values()) >= len(SIZES)


def test_every_suite_between_two_hosts(world: Crossing) -> None:
    for family in (4, 6):
        flows = numbered([{"layers": ((suite, TRANSPORT),), "inner": family} for suite in ALL_SUITES])
        world.protect(flows)
        assert unanswered(world, flows) == []
        ours, theirs = counts(world)
        assert ours == theirs
