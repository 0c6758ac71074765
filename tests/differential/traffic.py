"""Traffic through flows: datagrams there and back, and what both ends counted of them."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack
from itertools import count

from culvert.addresses import IPAddress
from culvert.wire.netlink.sa import parse_sa
from tests.differential.crossing import Crossing
from tests.differential.flows import Flow
from tests.differential.stories import TABLES

PORTS = count(7000)
PATIENCE_S, ANSWER_S = 20, 3
ATTEMPTS = 3
WHOLE = (1, 62, 1100)
"""Octets of a datagram: padded, nearly empty, nearly full."""
SIZES = (*WHOLE, 3000)
"""The last in fragments."""


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
    """Open the socket at our end of a flow."""
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
    """Give octets that no other flow carries."""
    return (flow.number.to_bytes(2, "big") * size)[-size:]


def answered(sock: socket.socket, octets: bytes, deadline: float) -> bool:
    """Tell whether these octets come before `deadline`."""
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


def asking_family(flow: Flow) -> socket.AddressFamily:
    """Give the address family of a flow's traffic."""
    return socket.AF_INET if flow.inner == 4 else socket.AF_INET6


def ping_from_guest(world: Crossing, source: IPAddress, target: IPAddress, *, answer: bool = True) -> None:
    """Ping from one of the guest's many addresses; ping wants it at an interface. `answer`: one has to come."""
    wait = "-W 5" if answer else "-W 1 || true"
    world.guest.shell(
        f"ip address replace {source}/{source.max_prefixlen} dev lo\nping -n -c 1 -I {source} {target} {wait}"
    )
