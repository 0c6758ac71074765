"""Packets between the engine and a Debian kernel: what one seals the other opens, and both keep the same count."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count

import pytest

from culvert.wire.netlink.sa import parse_sa
from tests.differential.crossing import Crossing, crossing
from tests.differential.flows import Flow
from tests.differential.messages import TRANSPORT, TUNNEL
from tests.differential.neighbours import Neighbour
from tests.differential.stories import TABLES
from tests.differential.suites import AH_SUITES, ESP_SUITES, SUITES

pytestmark = pytest.mark.root

PORTS = count(7000)
PATIENCE_S, ANSWER_S = 20, 3
ATTEMPTS = 3
WHOLE = (1, 62, 1100)
"""Octets of a datagram: padded, nearly empty, nearly full."""
SIZES = (*WHOLE, 3000)
"""The last in fragments."""
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


def unanswered(world: Crossing, flows: list[Flow], sizes: tuple[int, ...] = SIZES, times: int = 1) -> list[str]:
    """Send datagrams of each size through every flow at once; name those that did not come back, so many times over."""
    port = next(PORTS)
    addresses = [str(flow.theirs) for flow in flows]
    world.guest.call("tests.uml.jobs:echo_datagrams", addresses=addresses, port=port, times=times)
    missing = []
    for size in sizes:
        with ExitStack() as stack:
            waiting = {stack.enter_context(asking(world, flow, port)): flow for flow in flows}
            for _ in range(ATTEMPTS):
                waiting = ask_again(waiting, size, times)
        missing += [f"{flow}, {size} octets {times} times" for flow in waiting.values()]
    if missing:
        missing.append(str(world.drops()))
    return missing


def asking(world: Crossing, flow: Flow, port: int) -> socket.socket:
    sock = world.speaker(flow).socket(asking_family(flow), socket.SOCK_DGRAM)
    sock.bind((str(flow.ours), 0))
    sock.connect((str(flow.theirs), port))
    return sock


def ask_again(waiting: dict[socket.socket, Flow], size: int, times: int) -> dict[socket.socket, Flow]:
    """Send through each flow; give those that bring nothing back in time. The first may find out what fits a path."""
    for sock, flow in waiting.items():
        sock.send(payload(flow, size))
    deadline = time.monotonic() + ANSWER_S
    return {sock: flow for sock, flow in waiting.items() if not answered(sock, payload(flow, size) * times, deadline)}


def payload(flow: Flow, size: int) -> bytes:
    return (flow.number.to_bytes(2, "big") * size)[-size:]


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


def both_carry(world: Crossing, flows: list[Flow], sizes: tuple[int, ...] = SIZES) -> None:
    """Protect the flows, send through them, and see that both ends counted the same packets in every association."""
    world.protect(flows)
    silent = unanswered(world, flows, sizes)
    assert not silent, "\n".join(silent)
    ours, theirs = counts(world)
    assert ours == theirs
    assert min(ours.values()) >= len(sizes)


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


def asking_family(flow: Flow) -> socket.AddressFamily:
    return socket.AF_INET if flow.inner == 4 else socket.AF_INET6


@pytest.mark.parametrize("family", [4, 6])
def test_each_side_pings_the_other(world: Crossing, family: int) -> None:
    flows = numbered([{"layers": layers, "inner": family, "outer": family} for layers in STREAMS.values()])
    world.protect(flows)
    for flow in flows:
        world.speaker(flow).run(["ping", "-n", "-c", "1", "-W", "5", "-I", str(flow.ours), str(flow.theirs)])
        # ping asks for an address at an interface.
        world.guest.shell(
            f"ip address add {flow.theirs}/{flow.theirs.max_prefixlen} dev lo\n"
            f"ping -n -c 1 -W 5 -I {flow.theirs} {flow.ours}"
        )


@pytest.mark.xfail(strict=True, reason="what the host cut before it came to the engine is not put together again")
@pytest.mark.parametrize("family", [4, 6])
def test_a_long_datagram_between_two_hosts(world: Crossing, family: int) -> None:
    both_carry(world, numbered([{"layers": ((GCM, TRANSPORT),), "inner": family}]), (3000,))
