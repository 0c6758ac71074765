"""Two engines keyed by hand join two networks: hostA - gwA - outside - gwB - hostB, all of them namespaces."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import socket
import struct
import subprocess
import tempfile
from collections.abc import AsyncIterator
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from culvert.crypto.transforms import ENCRYPTION, INTEGRITY
from culvert.ipsec.associations import AssociationId, Direction, Encapsulation, SecurityAssociation
from culvert.ipsec.policies import Action, Policy, Template
from culvert.ipsec.selectors import Selector
from culvert.reasons import Drop
from culvert.xfrm.engine import find_program
from culvert.xfrm.events import AcquireEvent
from tests.netns.engines import (
    INSIDE,
    MARK,
    MARKER,
    OTHER,
    OUTSIDE,
    TIMEOUT_S,
    Gateway,
    World,
    inside_namespace,
    ping,
    run,
    transfer,
    two_engines,
)

pytestmark = pytest.mark.root

SPIS = {"a": 0x0A000001, "b": 0x0B000001}
ENCRYPTIONS = {transform.name: transform for transform in ENCRYPTION}
CIPHERS = {
    "aes256gcm16": (ENCRYPTIONS["aes256gcm16"], None),
    "chacha20poly1305": (ENCRYPTIONS["chacha20poly1305"], None),
    "aes128-sha256": (ENCRYPTIONS["aes128"], INTEGRITY[0]),
}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with two_engines(tmp_path) as world:
        yield world


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
