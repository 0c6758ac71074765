"""Two gateways with an engine each, keyed by hand: hostA - gwA - outside - gwB - hostB, all of them namespaces."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import hashlib
import os
import signal
import socket
import subprocess
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from culvert.xfrm.client import XfrmClient
from culvert.xfrm.engine import find_program

T = TypeVar("T")

MARK = 0x43
TABLE = "220"
TIMEOUT_S = 10
MARKER = b"nobody between the gateways may read this "
OUTSIDE = {4: {"a": "203.0.113.1", "b": "203.0.113.2"}, 6: {"a": "2001:db8:99::1", "b": "2001:db8:99::2"}}
INSIDE = {
    "a": {4: ("10.231.1.0/24", "10.231.1.1", "10.231.1.2"), 6: ("fd31:1::/64", "fd31:1::1", "fd31:1::2")},
    "b": {4: ("10.231.2.0/24", "10.231.2.1", "10.231.2.2"), 6: ("fd31:2::/64", "fd31:2::1", "fd31:2::2")},
}
OTHER = {"a": "b", "b": "a"}


def run(*command: str) -> None:
    """Run a command that has to succeed."""
    subprocess.run(command, check=True, capture_output=True, timeout=TIMEOUT_S)


def inside_namespace(name: str, action: Callable[[], T]) -> T:
    """Do something in a namespace, in a thread of its own; sockets made there stay there."""
    outcome: list[T | BaseException] = []

    def enter() -> None:
        try:
            with open(f"/run/netns/{name}", "rb") as namespace:  # noqa: PTH123
                if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), 0x40000000) != 0:
                    raise OSError(ctypes.get_errno(), "setns")
            outcome.append(action())
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    return outcome[0]


@dataclass
class Gateway:
    """One gateway with its engine."""

    side: str
    namespace: str
    host: str
    socket_path: Path
    process: subprocess.Popen[bytes] | None = None
    client: XfrmClient | None = None

    @property
    def engine(self) -> XfrmClient:
        """The connection to its engine."""
        assert self.client is not None
        return self.client

    async def start(self) -> None:
        """Start the engine and connect to it."""
        reader, writer = os.pipe()
        arguments = ["--socket", str(self.socket_path), "--tun", "culvert0", "--mark", str(MARK)]
        command = ["ip", "netns", "exec", self.namespace, str(find_program()), *arguments, "--ready-fd", str(writer)]
        self.process = subprocess.Popen(command, pass_fds=(writer,))
        os.close(writer)
        with open(reader, "rb") as ready:  # noqa: PTH123
            assert await asyncio.to_thread(ready.read) == b"\n"
        self.client = await XfrmClient.connect(self.socket_path)

    def stop(self, number: signal.Signals) -> int:
        """End the engine and give its exit status."""
        if self.client is not None:
            self.client.close()
            self.client = None
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(TIMEOUT_S)

    def steer(self) -> None:
        """Send what goes to the other network into the TUN, except what the engine itself sends."""
        run("ip", "-n", self.namespace, "link", "set", "culvert0", "up", "mtu", "1400")
        for version, (network, _, _) in INSIDE[OTHER[self.side]].items():
            own = INSIDE[self.side][version][1]
            command = ("ip", f"-{version}", "-n", self.namespace)
            run(*command, "route", "replace", network, "dev", "culvert0", "table", TABLE, "src", own)

    def interface_index(self) -> int:
        """The index of the TUN."""
        return inside_namespace(self.namespace, lambda: socket.if_nametoindex("culvert0"))


@dataclass
class World:
    """Both gateways and what the wire between them carried."""

    a: Gateway
    b: Gateway
    tap: socket.socket
    frames: list[bytes] = field(default_factory=list)

    @property
    def gateways(self) -> tuple[Gateway, Gateway]:
        """Both of them."""
        return self.a, self.b

    def captured(self) -> list[bytes]:
        """All frames that the outside link has carried so far."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self.frames.append(self.tap.recv(1 << 17))
        return self.frames


def build(prefix: str, folder: Path) -> World:
    """Make the four namespaces and the three links between them."""
    sides = {}
    for side in "ab":
        gateway = Gateway(side, f"{prefix}-gw{side}", f"{prefix}-host{side}", folder / f"{side}.sock")
        for name in (gateway.namespace, gateway.host):
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
            # No waiting for duplicate addresses: nobody else is there.
            no_dad = [f"net.ipv6.conf.{which}.accept_dad=0" for which in ("all", "default")]
            run("ip", "netns", "exec", name, "sysctl", "-q", "-w", *no_dad)
        link(gateway.host, gateway.namespace, "inside")
        sides[side] = gateway
    link(sides["a"].namespace, sides["b"].namespace, "outside")
    for side, gateway in sides.items():
        address_gateway(side, gateway)
    return World(sides["a"], sides["b"], inside_namespace(sides["a"].namespace, open_tap))


def link(one: str, other: str, name: str) -> None:
    """Join two namespaces."""
    run("ip", "-n", one, "link", "add", name, "type", "veth", "peer", "name", name, "netns", other)
    for namespace in (one, other):
        run("ip", "-n", namespace, "link", "set", name, "up")


def address_gateway(side: str, gateway: Gateway) -> None:
    """Addresses, forwarding and the rule that leads into the tunnel's table."""
    for version, (network, ours, hosts) in INSIDE[side].items():
        length = network.split("/")[1]
        outside_length = "24" if version == 4 else "64"
        flags = () if version == 4 else ("nodad",)
        address = ("addr", "add")
        run("ip", "-n", gateway.namespace, *address, f"{ours}/{length}", "dev", "inside", *flags)
        run("ip", "-n", gateway.host, *address, f"{hosts}/{length}", "dev", "inside", *flags)
        run(
            "ip",
            "-n",
            gateway.namespace,
            *address,
            f"{OUTSIDE[version][side]}/{outside_length}",
            "dev",
            "outside",
            *flags,
        )
        run("ip", f"-{version}", "-n", gateway.host, "route", "add", "default", "via", ours)
        command = ("ip", f"-{version}", "-n", gateway.namespace)
        run(*command, "rule", "add", "not", "fwmark", str(MARK), "table", TABLE)
    forwarding = ("net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
    run("ip", "netns", "exec", gateway.namespace, "sysctl", "-q", "-w", *forwarding)


def open_tap() -> socket.socket:
    """A socket that sees every frame of the outside link."""
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0003))
    tap.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 20)
    tap.bind(("outside", 0x0003))
    tap.setblocking(False)
    return tap


@asynccontextmanager
async def two_engines(folder: Path) -> AsyncIterator[World]:
    """Both gateways with their engines running and steering; everything goes at the end."""
    prefix = f"cve-{os.getpid()}-{os.urandom(2).hex()}"
    names = [f"{prefix}-{kind}{side}" for kind in ("gw", "host") for side in "ab"]
    try:
        world = build(prefix, folder)
        try:
            for gateway in world.gateways:
                await gateway.start()
                gateway.steer()
            yield world
        finally:
            world.tap.close()
            for gateway in world.gateways:
                if gateway.process is not None:
                    assert gateway.stop(signal.SIGTERM) == 0
    finally:
        for name in names:
            subprocess.run(("ip", "netns", "del", name), capture_output=True, check=False)


def ping(namespace: str, target: str, *options: str) -> None:
    """Three answers of three, with the marker as payload."""
    pattern = MARKER[:16].hex()
    command = ("ip", "netns", "exec", namespace, "ping", "-n", "-c", "3", "-i", "0.01", "-W", "5", "-p", pattern)
    run(*command, *options, target)


def transfer(world: World, inner: int, octets: int) -> None:
    """Send octets by TCP from one host to the other and compare their hash."""
    address = INSIDE["b"][inner][2]
    family = socket.AF_INET if inner == 4 else socket.AF_INET6
    content = (MARKER * (octets // len(MARKER) + 1))[:octets]
    listener = inside_namespace(world.b.host, lambda: socket.create_server((address, 0), family=family))
    with listener:
        sender = threading.Thread(target=send_all, args=(world.a.host, listener.getsockname()[:2], content))
        sender.start()
        listener.settimeout(TIMEOUT_S)
        connection, _ = listener.accept()
        with connection:
            digest = hashlib.sha256()
            for chunk in chunks(connection):
                digest.update(chunk)
        sender.join()
    assert digest.digest() == hashlib.sha256(content).digest()


def send_all(namespace: str, address: tuple[str, int], content: bytes) -> None:
    """The sending end of a transfer."""
    connection = inside_namespace(namespace, lambda: socket.create_connection(address, timeout=TIMEOUT_S))
    with connection:
        connection.sendall(content)


def chunks(connection: socket.socket) -> Iterator[bytes]:
    """What a connection brings, until its end."""
    connection.settimeout(TIMEOUT_S)
    while chunk := connection.recv(1 << 18):
        yield chunk
