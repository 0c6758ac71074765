"""ESP and AH in both modes over both families, bundles, gif links, and sizes: two engines, and a wire that is read."""

from __future__ import annotations

import asyncio
import hashlib
import re
import socket
import struct
import subprocess
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from culvert.crypto.transforms import ENCRYPTION, INTEGRITY
from culvert.ipsec.associations import Direction, Encapsulation, Mode, Protocol, SecurityAssociation
from culvert.ipsec.policies import Action, Level, Policy, Template
from culvert.ipsec.selectors import Selector
from culvert.reasons import Drop
from culvert.xfrm.links import GifLink
from tests.netns.engines import (
    INSIDE,
    MARK,
    MARKER,
    OTHER,
    OUTSIDE,
    TABLE,
    Gateway,
    World,
    inside_namespace,
    ping,
    run,
    transfer,
    two_engines,
)

pytestmark = pytest.mark.root

CIPHER = next(one for one in ENCRYPTION if one.name == "aes128gcm16")
MAC = next(one for one in INTEGRITY if one.xfrm_name == "hmac(sha256)")
ANY = {4: ip_address("0.0.0.0"), 6: ip_address("::")}  # noqa: S104
NUMBERS = {Protocol.ESP: 50, Protocol.AH: 51}
GIF = {"a": ("192.168.77.1", "fd77::1"), "b": ("192.168.77.2", "fd77::2")}


@dataclass(frozen=True)
class Step:
    """One association of a bundle: tunnel over IPv4 or IPv6, or transport."""

    protocol: Protocol
    tunnel: int = 0

    @property
    def mode(self) -> Mode:
        """Tunnel or transport."""
        return Mode.TUNNEL if self.tunnel else Mode.TRANSPORT


ESP4, ESP6, AH4, AH6 = (Step(protocol, version) for protocol in (Protocol.ESP, Protocol.AH) for version in (4, 6))
ESP, AH = Step(Protocol.ESP), Step(Protocol.AH)
Bundle = Sequence[Step]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with two_engines(tmp_path) as world:
        yield world


# Policies and associations


def versions(bundle: Bundle, version: int) -> list[int]:
    """The family of the outermost header after each step; before the first it is `version`."""
    return [version := step.tunnel or version for step in bundle]


def templates(bundle: Bundle, version: int, sender: str, level: Level = Level.REQUIRE) -> tuple[Template, ...]:
    """What packets of one family from one side to the other need."""
    found = []
    for number, (step, outer) in enumerate(zip(bundle, versions(bundle, version), strict=True)):
        source, destination = ANY[outer], ANY[outer]
        if step.tunnel:
            source, destination = (ip_address(OUTSIDE[step.tunnel][end]) for end in (sender, OTHER[sender]))
        found.append(
            Template(source, destination, reqid=number + 1, protocol=step.protocol, mode=step.mode, level=level)
        )
    return tuple(found)


def association(step: Step, number: int, version: int, sender: str, inward: bool) -> SecurityAssociation:
    """One of the two associations of a step, as one of the two gateways has it."""
    seed = hashlib.sha512(f"{number} {version} {sender}".encode()).digest()
    esp = step.protocol is Protocol.ESP
    return SecurityAssociation(
        source=ip_address(OUTSIDE[version][sender]),
        destination=ip_address(OUTSIDE[version][OTHER[sender]]),
        spi=0x1000 * version + 0x100 * (number + 1) + (sender == "b"),
        direction=Direction.IN if inward else Direction.OUT,
        reqid=number + 1,
        protocol=step.protocol,
        mode=step.mode,
        encryption=CIPHER if esp else None,
        encryption_key=seed[: CIPHER.key_octets + CIPHER.salt_octets] if esp else b"",
        integrity=None if esp else MAC,
        integrity_key=b"" if esp else seed[: MAC.key_octets],
    )


async def add(gateway: Gateway, selector: Selector, bundle: Bundle, version: int, level: Level = Level.REQUIRE) -> None:
    """Policies for both directions; `selector` is what leaves."""
    side = gateway.side
    out, inward = (templates(bundle, version, sender, level) for sender in (side, OTHER[side]))
    action = Action.PROTECT if bundle else Action.BYPASS
    await gateway.engine.add_policy(Policy(selector, Direction.OUT, action, 100, out))
    await gateway.engine.add_policy(Policy(selector.reversed, Direction.IN, action, 100, inward))


async def key(world: World, bundle: Bundle, version: int, encapsulation: Encapsulation | None = None) -> None:
    """Associations on both sides, inbound first."""
    for gateway in world.gateways:
        for sender, inward in ((OTHER[gateway.side], True), (gateway.side, False)):
            for number, (step, outer) in enumerate(zip(bundle, versions(bundle, version), strict=True)):
                made = association(step, number, outer, sender, inward)
                await gateway.engine.add_association(replace(made, encapsulation=encapsulation))
        await gateway.engine.barrier()


async def join_networks(world: World, bundle: Bundle) -> None:
    """Protect both families between the two inner networks; the bundle begins with a tunnel."""
    for gateway in world.gateways:
        side = gateway.side
        for inner in (4, 6):
            ours, theirs = (ip_network(INSIDE[end][inner][0]) for end in (side, OTHER[side]))
            await add(gateway, Selector(ours, theirs), bundle, inner)
    await key(world, bundle, 4)


async def join_gateways(world: World, bundle: Bundle, version: int, encapsulation: Encapsulation | None = None) -> None:
    """Protect what the two gateways say to each other themselves."""
    for gateway in world.gateways:
        ours, theirs = (ip_network(OUTSIDE[version][end]) for end in (gateway.side, OTHER[gateway.side]))
        await add(gateway, Selector(ours, theirs), bundle, version)
        steer(gateway, str(theirs), version)
    await key(world, bundle, version, encapsulation)


def steer(gateway: Gateway, network: str, version: int) -> None:
    """Send into the TUN what the gateway itself says to a network."""
    own = OUTSIDE[version][gateway.side]
    command = ("ip", f"-{version}", "-n", gateway.namespace, "route", "replace", network, "dev", "culvert0")
    run(*command, "table", TABLE, "src", own)


# The wire


def protocols(world: World) -> set[int]:
    """The protocols behind the outermost headers on the wire, neighbour discovery left out. None in clear."""
    frames = world.captured()
    assert MARKER[:16] not in b"".join(frames)
    return {number for number in map(outer_protocol, frames) if number is not None}


def outer_protocol(frame: bytes) -> int | None:
    (kind,) = struct.unpack_from("!H", frame, 12)
    if kind == 0x0800:
        return frame[23]
    if kind == 0x86DD and frame[20] not in (0, 58):
        return frame[48 + 6] if frame[20] == 44 else frame[20]
    return None


async def drops(world: World) -> set[Drop]:
    """Why either engine dropped packets, bar those that nobody steered for a tunnel."""
    found: set[Drop] = set()
    for gateway in world.gateways:
        found |= set(await gateway.engine.counters())
    return found - {Drop.NO_POLICY}


# Tunnels and bundles between two networks

TUNNELS = [(ESP4,), (ESP6,), (AH4,), (AH6,)]
BUNDLES = [(ESP4, AH), (ESP6, AH), (ESP4, ESP6), (ESP6, ESP4), (AH4, ESP4), (ESP4, AH, ESP6, AH)]


def name(bundle: Bundle) -> str:
    return "-".join(f"{step.protocol}{step.tunnel or ''}" for step in bundle)


@pytest.mark.parametrize("bundle", TUNNELS + BUNDLES, ids=name)
async def test_two_networks_through_any_tunnel(world: World, bundle: Bundle) -> None:
    await join_networks(world, bundle)
    for inner in (4, 6):
        ping(world.a.host, INSIDE["b"][inner][2])
        ping(world.b.host, INSIDE["a"][inner][2], "-s", "1200")
        await ping_large(world.a.host, INSIDE["b"][inner][2])
        transfer(world, inner, 300_000)
    if any(step.protocol is Protocol.ESP for step in bundle):
        assert protocols(world) == {NUMBERS[bundle[-1].protocol]}
    assert await drops(world) <= {Drop.TOO_BIG}


async def ping_large(namespace: str, target: str) -> None:
    """More than one packet can hold. Over IPv6 the sender first has to learn what fits, so the first may be lost."""
    for _ in range(5):
        try:
            return await asyncio.to_thread(ping, namespace, target, "-s", "4000", "-w", "2")
        except subprocess.CalledProcessError:
            continue
    raise TimeoutError


# Transport mode between the gateways themselves


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("bundle", [(ESP,), (AH,), (ESP, AH)], ids=name)
async def test_two_hosts_in_transport_mode(world: World, bundle: Bundle, version: int) -> None:
    await join_gateways(world, bundle, version)
    for sender, receiver in ((world.a, world.b), (world.b, world.a)):
        ping(sender.namespace, OUTSIDE[version][receiver.side])
        ping(sender.namespace, OUTSIDE[version][receiver.side], "-s", "1200")
    await ping_large(world.a.namespace, OUTSIDE[version]["b"])
    await asyncio.to_thread(converse, world, version)
    if ESP in bundle:
        assert protocols(world) == {NUMBERS[bundle[-1].protocol]}
    assert not await drops(world)


@pytest.mark.parametrize("version", [4, 6])
async def test_transport_mode_in_udp(world: World, version: int) -> None:
    await join_gateways(world, (ESP,), version, Encapsulation(4500, 4500))
    ping(world.a.namespace, OUTSIDE[version]["b"])
    await ping_large(world.a.namespace, OUTSIDE[version]["b"])
    await asyncio.to_thread(converse, world, version)
    assert protocols(world) == {17}
    assert not await drops(world)


async def test_extension_headers_go_through_ah(world: World) -> None:
    await join_gateways(world, (AH,), 6)
    # Options of no meaning: one for each hop, whose octets may change on the way, and one for the destination.
    options = {54: bytes((0, 0, 0x3E, 4, 1, 2, 3, 4)), 59: bytes((0, 1, 0x1E, 12)) + bytes(12)}
    address = (OUTSIDE[6]["b"], 0)
    with inside_namespace(world.b.namespace, lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)) as receiver:
        receiver.bind(address)
        receiver.settimeout(10)
        target = receiver.getsockname()[:2]
        with inside_namespace(world.a.namespace, lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)) as sender:
            for kind, octets in options.items():
                sender.setsockopt(socket.IPPROTO_IPV6, kind, octets)
            sender.sendto(MARKER, target)
        assert receiver.recv(1000) == MARKER
    assert b"\x3e\x04\x01\x02\x03\x04" in b"".join(world.captured())
    assert not await drops(world)


def converse(world: World, version: int) -> None:
    """A megabyte over TCP from gateway to gateway."""
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    address = (OUTSIDE[version]["b"], 0)
    with inside_namespace(world.b.namespace, lambda: socket.create_server(address, family=family)) as listener:
        listener.settimeout(10)
        target = listener.getsockname()[:2]
        with inside_namespace(world.a.namespace, lambda: socket.create_connection(target, 10)) as sender:
            receiver, _ = listener.accept()
            content = MARKER * (1_000_000 // len(MARKER))
            with receiver:
                receiver.settimeout(10)
                sending = asyncio.run(exchange(sender, receiver, content))
    assert sending == content


async def exchange(sender: socket.socket, receiver: socket.socket, content: bytes) -> bytes:
    sending = asyncio.create_task(asyncio.to_thread(send_and_end, sender, content))
    received = await asyncio.to_thread(read_all, receiver)
    await sending
    return received


def send_and_end(sender: socket.socket, content: bytes) -> None:
    sender.sendall(content)
    sender.shutdown(socket.SHUT_WR)


def read_all(receiver: socket.socket) -> bytes:
    return b"".join(iter(lambda: receiver.recv(1 << 18), b""))


# Sizes


@pytest.mark.parametrize("bundle", [*TUNNELS, (ESP4, AH)], ids=name)
async def test_a_packet_that_does_not_fit_is_answered_with_the_right_number(world: World, bundle: Bundle) -> None:
    await join_networks(world, bundle)
    for gateway in world.gateways:
        # The kernel shall not answer first.
        run("ip", "-n", gateway.namespace, "link", "set", "culvert0", "mtu", "1500")
    for inner, header, target in ((4, 28, INSIDE["b"][4][2]), (6, 48, INSIDE["b"][6][2])):
        answer = try_ping(world.a.host, target, 1500 - header)
        (mtu,) = {int(number) for number in re.findall(r"mtu ?= ?(\d+)", answer)}
        run("ip", f"-{inner}", "-n", world.a.host, "route", "flush", "cache")
        assert f"From {INSIDE['a'][inner][1]}" in answer
        assert " 1 received" in try_ping(world.a.host, target, mtu - header)
        assert " 0 received" in try_ping(world.a.host, target, mtu + 1 - header)
        run("ip", f"-{inner}", "-n", world.a.host, "route", "flush", "cache")
    assert await drops(world) == {Drop.TOO_BIG}


def try_ping(namespace: str, target: str, octets: int) -> str:
    command = (
        "ip",
        "netns",
        "exec",
        namespace,
        "ping",
        "-n",
        "-c",
        "1",
        "-W",
        "2",
        "-M",
        "do",
        "-s",
        str(octets),
        target,
    )
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    return done.stdout + done.stderr


async def test_a_forged_icmp_is_never_believed_and_a_router_is(world: World) -> None:
    await join_networks(world, (ESP4,))
    ping(world.a.host, INSIDE["b"][4][2])
    sealed = next(
        frame[14:] for frame in world.captured() if frame[23:24] == b"\x32" and frame[26:30] == b"\xcb\x00\x71\x01"
    )
    guessed = sealed[:20] + b"\xde\xad\xbe\xef" + sealed[24:]
    for quote in (guessed, sealed[:20]):
        complain(world.b.namespace, OUTSIDE[4]["a"], quote, 600)
    await barrier(world.a, Drop.ICMP_UNBELIEVED, 1)
    assert await world.a.engine.path_mtus() == {}
    ping(world.a.host, INSIDE["b"][4][2], "-s", "1200", "-M", "do")
    # Only what would not have fitted may be complained about.
    ping(world.a.host, INSIDE["b"][4][2], "-s", "1300")
    large = max(sealed_by_a(world), key=len)
    complain(world.b.namespace, OUTSIDE[4]["a"], large, 1100)
    async with asyncio.timeout(10):
        while not await world.a.engine.path_mtus():
            await asyncio.sleep(0.01)
    assert await world.a.engine.path_mtus() == {ip_address(OUTSIDE[4]["b"]): 1100}
    assert re.search(r"mtu ?= ?10\d\d", try_ping(world.a.host, INSIDE["b"][4][2], 1200))
    ping(world.a.host, INSIDE["b"][4][2], "-s", "1300", "-M", "dont")


def sealed_by_a(world: World) -> list[bytes]:
    """The ESP packets over IPv4 that A has sent, from the IP header on."""
    ours = socket.inet_aton(OUTSIDE[4]["a"])
    return [frame[14:] for frame in world.captured() if outer_protocol(frame) == 50 and frame[26:30] == ours]


def complain(namespace: str, target: str, quote: bytes, mtu: int) -> None:
    """Send an ICMP "fragmentation needed" about a packet."""
    body = struct.pack("!BBHHH", 3, 4, 0, 0, mtu) + quote[:28]
    total = sum(struct.unpack(f"!{len(body) // 2}H", body))
    total = (total & 0xFFFF) + (total >> 16)
    checksum = ~(total + (total >> 16)) & 0xFFFF
    body = body[:2] + struct.pack("!H", checksum) + body[4:]
    with inside_namespace(namespace, lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)) as router:
        router.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, MARK)
        router.sendto(body, (target, 0))


async def barrier(gateway: Gateway, reason: Drop, count: int) -> None:
    """Wait until the engine has dropped so many packets for a reason."""
    async with asyncio.timeout(10):
        while (await gateway.engine.counters()).get(reason, 0) < count:
            await asyncio.sleep(0.01)


# gif links: the chapter's Step 1 and Step 2


async def link(world: World, version: int) -> None:
    """A gif link between the gateways, and the inner networks routed over it."""
    for gateway in world.gateways:
        side, other = gateway.side, OTHER[gateway.side]
        ours, theirs = (ip_address(OUTSIDE[version][end]) for end in (side, other))
        await gateway.engine.set_gif(GifLink("gif0", ours, theirs))
        ip = ("ip", "-n", gateway.namespace)
        run(*ip, "link", "set", "gif0", "up", "mtu", "1280")
        for inner in (4, 6):
            local, remote = GIF[side][inner == 6], GIF[other][inner == 6]
            run("ip", f"-{inner}", "-n", gateway.namespace, "addr", "add", local, "peer", remote, "dev", "gif0")
            unsteer = ("route", "del", INSIDE[other][inner][0], "table", TABLE)
            run("ip", f"-{inner}", "-n", gateway.namespace, *unsteer)
            run("ip", f"-{inner}", "-n", gateway.namespace, "route", "add", INSIDE[other][inner][0], "dev", "gif0")


async def protect_link(world: World, bundle: Bundle, version: int) -> None:
    """The policies of the chapter, `spdadd A W ipencap`, and the same for IPv6 in the link."""
    for gateway in world.gateways:
        ours, theirs = (ip_network(OUTSIDE[version][end]) for end in (gateway.side, OTHER[gateway.side]))
        for protocol in (4, 41):
            await add(gateway, Selector(ours, theirs, protocol), bundle, version)
    await key(world, bundle, version)


@pytest.mark.parametrize("version", [4, 6], ids=["outer4", "outer6"])
@pytest.mark.parametrize("bundle", [(), (ESP,), (AH,), (ESP4,), (ESP6,)], ids=lambda bundle: name(bundle) or "clear")
async def test_a_link_between_two_networks(world: World, bundle: Bundle, version: int) -> None:
    if bundle:
        await protect_link(world, bundle, version)
    await link(world, version)
    # What one side said before the other had its link.
    world.captured().clear()
    for inner in (4, 6):
        ping(world.a.namespace, GIF["b"][inner == 6])
        ping(world.a.host, INSIDE["b"][inner][2])
        ping(world.b.host, INSIDE["a"][inner][2], "-s", "1200")
        await ping_large(world.b.host, INSIDE["a"][inner][2])
        transfer(world, inner, 300_000)
    seen = {number for number in map(outer_protocol, world.captured()) if number is not None}
    assert seen == ({NUMBERS[bundle[-1].protocol]} if bundle else {4, 41})
    # A packet of the host's own can come before its device is up.
    assert await drops(world) <= {Drop.TUN_WRITE_FAILED}
    await world.a.engine.delete_gif("gif0")
    async with asyncio.timeout(10):
        while "gif0" in interfaces(world.a.namespace):
            await asyncio.sleep(0.01)


def interfaces(namespace: str) -> set[str]:
    """The names of the interfaces of a namespace."""
    return {name for _, name in inside_namespace(namespace, socket.if_nameindex)}


async def test_a_bare_packet_does_not_come_in_where_a_policy_protects(world: World) -> None:
    await link(world, 4)
    ping(world.a.host, INSIDE["b"][4][2])
    await protect_link(world, (ESP4,), 4)
    ping(world.a.host, INSIDE["b"][4][2])
    # As whoever sits on the wire would write it: from A's address, for the inner network.
    inner = ip_packet(INSIDE["a"][4][2], INSIDE["b"][4][2], 1, b"\x08\x00\xf7\xff" + bytes(4))
    bare = ip_packet(OUTSIDE[4]["a"], OUTSIDE[4]["b"], 4, inner)
    with inside_namespace(world.a.namespace, lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 255)) as attacker:
        attacker.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, MARK)
        attacker.sendto(bare, (OUTSIDE[4]["b"], 0))
        await barrier(world.b, Drop.INBOUND_POLICY_MISMATCH, 1)
        stranger = ip_packet("203.0.113.99", OUTSIDE[4]["b"], 4, inner)
        attacker.sendto(stranger, (OUTSIDE[4]["b"], 0))
        await barrier(world.b, Drop.NO_GIF, 1)


def ip_packet(source: str, destination: str, protocol: int, payload: bytes) -> bytes:
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 1, 0, 64, protocol, 0)
    return header + socket.inet_aton(source) + socket.inet_aton(destination) + payload


# Levels


async def test_what_may_be_protected_goes_in_clear_until_it_can_be(world: World) -> None:
    for gateway in world.gateways:
        ours, theirs = (ip_network(OUTSIDE[4][end]) for end in (gateway.side, OTHER[gateway.side]))
        await add(gateway, Selector(ours, theirs), (ESP,), 4, Level.USE)
        await gateway.engine.barrier()
        steer(gateway, str(theirs), 4)
    ping(world.a.namespace, OUTSIDE[4]["b"])
    assert MARKER[:16] in b"".join(world.captured())
    world.frames.clear()
    await key(world, (ESP,), 4)
    ping(world.a.namespace, OUTSIDE[4]["b"])
    assert protocols(world) == {50}
