"""Two engines keyed by hand join two networks: hostA - gwA - outside - gwB - hostB, all of them namespaces."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import hashlib
import os
import signal
import socket
import struct
import subprocess
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import TypeVar

import pytest

from culvert.crypto.transforms import ENCRYPTION, INTEGRITY
from culvert.ipsec.associations import AssociationId, Direction, Encapsulation, SecurityAssociation
from culvert.ipsec.policies import Action, Policy, Template
from culvert.ipsec.selectors import Selector
from culvert.reasons import Drop
from culvert.xfrm.client import XfrmClient
from culvert.xfrm.engine import find_program
from culvert.xfrm.events import AcquireEvent

pytestmark = pytest.mark.root

T = TypeVar("T")

MARK = 0x43
TABLE = "220"
TIMEOUT_S = 10
MARKER = b"nobody between the gateways may read this "
SPIS = {"a": 0x0A000001, "b": 0x0B000001}
OUTSIDE = {4: {"a": "203.0.113.1", "b": "203.0.113.2"}, 6: {"a": "2001:db8:99::1", "b": "2001:db8:99::2"}}
INSIDE = {
    "a": {4: ("10.231.1.0/24", "10.231.1.1", "10.231.1.2"), 6: ("fd31:1::/64", "fd31:1::1", "fd31:1::2")},
    "b": {4: ("10.231.2.0/24", "10.231.2.1", "10.231.2.2"), 6: ("fd31:2::/64", "fd31:2::1", "fd31:2::2")},
}
OTHER = {"a": "b", "b": "a"}
ENCRYPTIONS = {transform.name: transform for transform in ENCRYPTION}
CIPHERS = {
    "aes256gcm16": (ENCRYPTIONS["aes256gcm16"], None),
    "chacha20poly1305": (ENCRYPTIONS["chacha20poly1305"], None),
    "aes128-sha256": (ENCRYPTIONS["aes128"], INTEGRITY[0]),
}


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


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    prefix = f"cve-{os.getpid()}-{os.urandom(2).hex()}"
    names = [f"{prefix}-{kind}{side}" for kind in ("gw", "host") for side in "ab"]
    try:
        world = build(prefix, tmp_path)
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


def association(sender: str, direction: Direction, cipher: str, version: int, udp: bool) -> SecurityAssociation:
    """One of the two SAs, as one of the two gateways has it."""
    kind, integrity = CIPHERS[cipher]
    seed = hashlib.sha512(f"{cipher} {sender}".encode()).digest()
    return SecurityAssociation(
        source=ip_address(OUTSIDE[version][sender]),
        destination=ip_address(OUTSIDE[version][OTHER[sender]]),
        spi=SPIS[sender],
        direction=direction,
        reqid=7,
        encryption=kind,
        encryption_key=seed[: kind.key_octets + kind.salt_octets],
        integrity=integrity,
        integrity_key=seed[-integrity.key_octets :] if integrity else b"",
        encapsulation=Encapsulation(4500, 4500) if udp else None,
    )


async def add_policies(gateway: Gateway, version: int) -> None:
    """Protect both families between the two networks."""
    side = gateway.side
    ours, theirs = (ip_address(OUTSIDE[version][end]) for end in (side, OTHER[side]))
    for inner in (4, 6):
        selector = Selector(ip_network(INSIDE[side][inner][0]), ip_network(INSIDE[OTHER[side]][inner][0]))
        out, inward = (Template(ours, theirs, reqid=7),), (Template(theirs, ours, reqid=7),)
        await gateway.engine.add_policy(Policy(selector, Direction.OUT, Action.PROTECT, 100, out))
        await gateway.engine.add_policy(Policy(selector.reversed, Direction.IN, Action.PROTECT, 100, inward))


async def add_associations(gateway: Gateway, cipher: str, version: int, udp: bool) -> None:
    """Key the gateway by hand, inbound first: waiting packets leave with the outbound SA, and answers come at once."""
    sides = ((OTHER[gateway.side], Direction.IN), (gateway.side, Direction.OUT))
    for sender, direction in sides:
        await gateway.engine.add_association(association(sender, direction, cipher, version, udp))


async def join(world: World, cipher: str, version: int, udp: bool) -> None:
    """Policies and associations on both sides, and the certainty that packets meet them."""
    for gateway in world.gateways:
        await add_policies(gateway, version)
        await add_associations(gateway, cipher, version, udp)
        await gateway.engine.barrier()


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


def payloads(frames: list[bytes], version: int, udp: bool) -> list[bytes]:
    """The ESP of all frames. Fails on a frame that is neither ESP nor neighbour discovery."""
    found = []
    for frame in frames:
        (kind,) = struct.unpack_from("!H", frame, 12)
        if kind == 0x0806:
            continue
        if kind == 0x86DD and frame[20] in (0, 58):
            continue
        assert kind == (0x0800 if version == 4 else 0x86DD), frame[:64].hex()
        protocol, start = (frame[23], 34) if version == 4 else (frame[20], 54)
        assert protocol == (17 if udp else 50), frame[:64].hex()
        if udp:
            assert struct.unpack_from("!HH", frame, start) == (4500, 4500)
            start += 8
        found.append(frame[start:])
    return found


@pytest.mark.parametrize("udp", [True, False], ids=["udp4500", "protocol50"])
@pytest.mark.parametrize("version", [4, 6], ids=["outside4", "outside6"])
@pytest.mark.parametrize("cipher", CIPHERS)
async def test_two_networks_are_joined_and_nothing_is_readable(
    world: World, cipher: str, version: int, udp: bool
) -> None:
    await join(world, cipher, version, udp)
    for inner in (4, 6):
        ping(world.a.host, INSIDE["b"][inner][2])
        ping(world.b.host, INSIDE["a"][inner][2], "-s", "1300")
        ping(world.a.namespace, INSIDE["b"][inner][1])
        transfer(world, inner, 3_000_000)
    frames = world.captured()
    sealed = payloads(frames, version, udp)
    assert len(sealed) > 50
    assert {octets[:4] for octets in sealed} == {struct.pack("!I", spi) for spi in SPIS.values()}
    assert MARKER[:16] not in b"".join(frames)
    for gateway in world.gateways:
        state = await gateway.engine.association(
            association(OTHER[gateway.side], Direction.IN, cipher, version, udp).id
        )
        assert state is not None
        assert state.drops == {}
        drops = await gateway.engine.counters()
        assert set(drops) <= {Drop.NO_POLICY}, drops


@pytest.mark.parametrize("udp", [True, False], ids=["udp4500", "protocol50"])
async def test_a_replayed_packet_is_counted_and_goes_nowhere(world: World, udp: bool) -> None:
    await join(world, "aes256gcm16", 4, udp)
    ping(world.a.host, INSIDE["b"][4][2])
    spi = struct.pack("!I", SPIS["a"])
    recorded = [octets for octets in payloads(world.captured(), 4, udp) if octets[:4] == spi]
    assert len(recorded) == 3
    send_again(world.a.namespace, recorded, udp)
    ping(world.a.host, INSIDE["b"][4][2])
    drops = await world.b.engine.counters()
    assert drops.get(Drop.REPLAYED) == 3
    state = await world.b.engine.association(AssociationId(ip_address(OUTSIDE[4]["b"]), SPIS["a"]))
    assert state is not None
    assert state.drops == {Drop.REPLAYED: 3}
    assert state.packets == 6


def send_again(namespace: str, recorded: list[bytes], udp: bool) -> None:
    """Send recorded ESP once more, from the same address."""
    kind = (socket.SOCK_DGRAM, 0) if udp else (socket.SOCK_RAW, 50)
    with inside_namespace(namespace, lambda: socket.socket(socket.AF_INET, *kind)) as attacker:
        attacker.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, MARK)
        for octets in recorded:
            attacker.sendto(octets, (OUTSIDE[4]["b"], 4500 if udp else 0))


async def test_a_killed_engine_leaves_its_tun_and_the_next_takes_it(world: World) -> None:
    await join(world, "aes256gcm16", 4, True)
    ping(world.a.host, INSIDE["b"][4][2])
    before = world.a.interface_index()
    assert world.a.stop(signal.SIGKILL) == -signal.SIGKILL
    assert world.a.interface_index() == before
    await world.a.start()
    world.a.steer()
    assert world.a.interface_index() == before
    # A fresh engine gets fresh keys: the other side too, or its window would know the sequence numbers.
    await world.b.engine.flush_associations()
    await add_policies(world.a, 4)
    for gateway in world.gateways:
        await add_associations(gateway, "chacha20poly1305", 4, True)
        await gateway.engine.barrier()
    ping(world.a.host, INSIDE["b"][4][2])


async def test_an_engine_that_is_told_to_end_takes_its_tun_and_socket_along(world: World) -> None:
    await world.a.engine.shutdown()
    assert world.a.process is not None
    assert world.a.process.wait(TIMEOUT_S) == 0
    assert not world.a.socket_path.exists()
    with pytest.raises(OSError, match=r"no interface|No such device"):
        world.a.interface_index()


async def test_a_tun_that_somebody_deletes_is_made_anew(world: World) -> None:
    await join(world, "aes256gcm16", 4, True)
    with inside_namespace(world.a.namespace, lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)) as links:
        links.bind((0, 1))
        links.settimeout(TIMEOUT_S)
        run("ip", "-n", world.a.namespace, "link", "del", "culvert0")
        # RTM_NEWLINK is 16; the deletion is told by 17.
        while not (struct.unpack_from("=H", told := links.recv(1 << 16), 4) == (16,) and b"culvert0" in told):
            pass
    world.a.steer()
    ping(world.a.host, INSIDE["b"][4][2])


async def test_an_engine_is_a_session_of_its_own_and_ignores_a_hangup(world: World) -> None:
    process = world.a.process
    assert process is not None
    assert os.getsid(process.pid) == process.pid
    process.send_signal(signal.SIGHUP)
    await world.a.engine.barrier()
    assert (await world.a.engine.info()).pid == process.pid


async def test_the_first_packets_wait_for_their_association(world: World) -> None:
    await add_policies(world.a, 4)
    await add_policies(world.b, 4)
    await add_associations(world.b, "aes256gcm16", 4, True)
    await world.b.engine.barrier()
    await world.a.engine.subscribe()
    events = world.a.engine.events()
    pinging = asyncio.create_task(asyncio.to_thread(ping, world.a.host, INSIDE["b"][4][2]))
    async with asyncio.timeout(TIMEOUT_S):
        event = await anext(event async for event in events if isinstance(event, AcquireEvent))
    assert (event.reqid, event.destination) == (7, ip_address(INSIDE["b"][4][2]))
    await add_associations(world.a, "aes256gcm16", 4, True)
    await pinging


async def test_any_octets_are_dropped_with_a_reason(world: World) -> None:
    await join(world, "aes256gcm16", 4, True)

    def shoot() -> None:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
            socket.socket(socket.AF_INET, socket.SOCK_RAW, 50) as raw,
        ):
            for length in (0, 1, 2, 3, 4, 5, 7, 8, 9, 20, 27, 28, 33, 64, 200, 1400):
                for first in (b"", bytes(4), struct.pack("!I", SPIS["a"])):
                    octets = (first + os.urandom(length))[:length]
                    for port in (500, 4500):
                        udp.sendto(octets, (OUTSIDE[4]["b"], port))
                    raw.sendto(octets, (OUTSIDE[4]["b"], 0))

    inside_namespace(world.a.namespace, shoot)
    ping(world.a.host, INSIDE["b"][4][2])
    drops = await world.b.engine.counters()
    assert {Drop.IKE_TOO_SHORT, Drop.UNKNOWN_SPI, Drop.TRUNCATED, Drop.NOT_AUTHENTIC} <= set(drops)


REFUSED = {
    "PORT_TAKEN 500/udp": (),
    "NO_TUN_DEVICE /dev/net/tun": ("unshare", "-nm", "sh", "-c", 'mount -t tmpfs none /dev/net && exec "$@"', "sh"),
    "NO_PERMISSION ": ("unshare", "-n", "setpriv", "--bounding-set", "-all", "--reuid", "65534", "--clear-groups"),
    "HOST_REFUSED ": ("unshare", "-n"),
}


@pytest.mark.parametrize("cause", REFUSED)
async def test_what_the_host_refuses_is_named(world: World, cause: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        program = folder / "culvert-engine"
        program.write_bytes(find_program().read_bytes())
        program.chmod(0o755)
        path = folder / ("no such folder" if cause == "HOST_REFUSED " else "") / "second.sock"
        arguments = ("--socket", str(path), "--tun", "culvert1", "--mark", "1", "--log-level", "error")
        command = ("ip", "netns", "exec", world.a.namespace, *REFUSED[cause], str(program), *arguments)
        refused = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=TIMEOUT_S)
    assert (refused.returncode, refused.stderr.count("\n")) == (3, 1)
    assert refused.stderr.startswith(cause)
