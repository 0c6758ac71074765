"""A hostile network: any octets on UDP 500 and 4500 and as protocol 50, from the peer's address and from others."""

from __future__ import annotations

import random
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from culvert import limits
from culvert.addresses import IKE_PORT, NAT_PORT
from culvert.lab.chapter import OUTSIDE, SITE_A, SITE_B, TO_A, TO_B, UPLINK
from culvert.lab.eavesdropper import Eavesdropper
from culvert.reasons import Drop, Refusal
from culvert.wire.ip import ESP, UDP, checksum, parse_ip
from culvert.wire.isakmp.delete import Delete
from culvert.wire.isakmp.header import NO_SPI
from culvert.wire.isakmp.message import Message, emit_message
from culvert.wire.isakmp.notify import Notify, NotifyType
from culvert.wire.isakmp.numbers import ExchangeType, ProtocolId
from culvert.wire.udp import NON_ESP_MARKER, parse_udp
from tests.netns.battlefield import Battlefield, battlefield
from tests.netns.forge import (
    Injector,
    Overheard,
    ip_packet,
    is_ip,
    mutated,
    overheard,
    plausible_ike,
    udp_packet,
)
from tests.netns.offices import PEER, TestedOffice, two_offices

pytestmark = [pytest.mark.root, pytest.mark.slow]

BATCH = 6_000
SINK_PORT = 7_008
GROWTH_KIB = 4_096
"""What a second, equal batch may add to a process: nothing, but allocators are not exact."""


@pytest.fixture(scope="module", params=[0, 1], ids=["IPv4", "IPv6"])
def field(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Battlefield]:
    with battlefield(tmp_path_factory.mktemp("hostile"), request.param) as prepared:
        yield prepared


@dataclass
class Attacker:
    """Draws packets from a seed: each is another, and a second run draws the same."""

    heard: Overheard
    source: random.Random

    def ends(self) -> tuple[str, str]:
        family = self.source.randrange(2)
        stranger = f"192.0.2.{self.source.randrange(1, 255)}", f"2001:db8:bad::{self.source.randrange(1, 65536):x}"
        origin = self.source.choice((SITE_B.outside, SITE_B.outside, SITE_B.router, stranger))
        return origin[family], SITE_A.outside[family]

    def ike(self) -> bytes:
        match self.source.randrange(3):
            case 0:
                return self.source.randbytes(self.source.choice((0, 1, 3, 4, 8, 27, 28, 29, 300, 1_300)))
            case 1:
                return plausible_ike(self.source)
            case _:
                return mutated(self.source, self.source.choice(self.heard.ike))

    def esp(self) -> bytes:
        real = self.source.choice(self.heard.esp)
        match self.source.randrange(4):
            case 0:
                return self.source.randbytes(self.source.choice((0, 1, 3, 4, 7, 8, 16, 37, 500, 1_300)))
            case 1:
                return mutated(self.source, real)
            case 2:
                return real[:4] + self.source.randbytes(self.source.choice((0, 3, 4, 8, 12, 30, 36, 500)))
            case _:
                return real

    def packet(self) -> bytes:
        ends, odd_port = self.ends(), self.source.randrange(65_536)
        match self.source.randrange(4):
            case 0:
                return udp_packet(ends, (self.source.choice((IKE_PORT, odd_port)), IKE_PORT), self.ike())
            case 1:
                return udp_packet(
                    ends, (self.source.choice((NAT_PORT, odd_port)), NAT_PORT), NON_ESP_MARKER + self.ike()
                )
            case 2:
                return udp_packet(ends, (self.source.choice((NAT_PORT, odd_port)), NAT_PORT), self.esp())
            case _:
                return ip_packet(*ends, ESP, self.esp())


def test_any_octets_hurt_nobody_and_fill_nothing(field: Battlefield) -> None:
    attacker = Attacker(field.heard, random.Random(20_26))
    field.throw(attacker.packet, BATCH)
    before = field.a.resident_kib()
    field.throw(attacker.packet, BATCH)
    after = field.a.resident_kib()
    assert all(grown - was < GROWTH_KIB for was, grown in zip(before, after, strict=True)), (before, after)
    assert len(field.a.log()) < 50_000
    field.unhurt()


def test_every_datagram_that_is_no_ike_is_counted_by_name(field: Battlefield) -> None:
    attacker = Attacker(field.heard, random.Random(7))
    sent = 0

    def packet() -> bytes:
        nonlocal sent
        sent += 1
        ends, esp = attacker.ends(), attacker.esp()
        if esp[:4] == NON_ESP_MARKER or sent % 2:
            return ip_packet(*ends, ESP, esp)
        return udp_packet(ends, (NAT_PORT, NAT_PORT), esp)

    before = field.a.drops()
    field.throw(packet, 2_000)
    drops = settled(field.a, sum(before.values()) + sent)
    assert sum(drops.values()) - sum(before.values()) == sent, difference(drops, before)
    assert set(drops) <= {reason.name for reason in (*Drop, *Refusal)}
    for name in ("TRUNCATED", "UNKNOWN_SPI", "REPLAYED", "NOT_AUTHENTIC", "IKE_TOO_SHORT"):
        assert drops[name] > before.get(name, 0), drops
    field.unhurt()


def test_every_refused_ike_message_is_counted_by_name(field: Battlefield) -> None:
    attacker = Attacker(field.heard, random.Random(8))
    before = field.a.document()["gateway"]["drops"]

    def packet() -> bytes:
        return udp_packet(attacker.ends(), (IKE_PORT, IKE_PORT), attacker.source.randbytes(60))

    field.throw(packet, 500)
    drops = settled(field.a, sum(before.values()) + 500)
    assert sum(drops.values()) - sum(before.values()) == 500, difference(drops, before)
    assert set(drops) <= {reason.name for reason in (*Drop, *Refusal)}


def test_a_replayed_packet_is_counted_as_replayed(field: Battlefield) -> None:
    (esp,) = (packet for packet in field.heard.esp[:1])
    before = field.a.drops().get("REPLAYED", 0) + field.a.drops().get("OUTSIDE_WINDOW", 0)
    packets = [udp_packet(field.ends, (NAT_PORT, NAT_PORT), esp), ip_packet(*field.ends, ESP, esp)]
    field.throw(lambda: packets[0], 20)
    field.throw(lambda: packets[1], 20)
    drops = field.a.drops()
    assert drops["REPLAYED"] + drops.get("OUTSIDE_WINDOW", 0) == before + 40
    field.unhurt()


def test_what_comes_in_another_order_comes(field: Battlefield) -> None:
    """Hold a run of real ESP packets back at the router and let them in from the last to the first."""
    pair, ends = field.pair, field.ends
    with pair.chapter.host_a.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind((SITE_A.host[0], SINK_PORT))
        sink.settimeout(5)
        with held_back(field) as held:
            with pair.chapter.host_b.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                for number in range(30):
                    sender.sendto(bytes([number]), (SITE_A.host[0], SINK_PORT))
            packets = wait_for(held, 30)
        for packet in reversed(packets):
            field.injector.send(udp_packet(ends, (NAT_PORT, NAT_PORT), packet))
        assert sorted(sink.recv(16)[0] for _ in range(30)) == list(range(30))
    field.unhurt()


@contextmanager
def held_back(field: Battlefield) -> Iterator[Callable[[], tuple[bytes, ...]]]:
    """Let nothing from gateway B arrive; gives a look at the ESP packets that wait."""
    router, (origin, to) = field.pair.chapter.internet, field.ends
    word = "ip6" if ":" in origin else "ip"
    chain = f"chain c {{ type filter hook forward priority 0; {word} saddr {origin} drop; }};"
    with Eavesdropper(router, TO_B) as ear:
        router.run(["nft", f"table inet hold {{ {chain} }}"])
        try:
            yield lambda: overheard(ear.frames(), to).esp
        finally:
            router.run(["nft", "delete", "table", "inet", "hold"])


def forgeries(spi_i: bytes, spi_r: bytes) -> Iterator[bytes]:
    """Everything that would end an IKE SA, if only it were authentic."""
    ending = (
        (Notify(NotifyType.INVALID_SYNTAX),),
        (Notify(NotifyType.AUTHENTICATION_FAILED),),
        (Notify(NotifyType.INVALID_IKE_SPI),),
        (Notify(NotifyType.NO_PROPOSAL_CHOSEN),),
        (Delete(ProtocolId.IKE),),
        (Delete(ProtocolId.ESP, (bytes(range(4)),)),),
        (Notify(NotifyType.COOKIE, bytes(32)),),
    )
    for payloads in ending:
        for exchange in (ExchangeType.IKE_SA_INIT, ExchangeType.IKE_AUTH, ExchangeType.INFORMATIONAL):
            for initiator in (False, True):
                for response in (False, True):
                    for number in range(4):
                        yield emit_message(Message(spi_i, spi_r, exchange, initiator, response, number, payloads))


def test_what_is_not_authentic_ends_nothing(field: Battlefield) -> None:
    ike = field.a.peer_status()["ike"]
    messages = list(forgeries(bytes.fromhex(ike["spi_i"]), bytes.fromhex(ike["spi_r"])))
    packets = iter(
        udp_packet(field.ends, (port, port), marker + message)
        for message in messages
        for port, marker in ((IKE_PORT, b""), (NAT_PORT, NON_ESP_MARKER))
    )
    field.throw(lambda: next(packets), 2 * len(messages))
    after = field.a.peer_status()
    assert (after["state"], after["ike"]["spi_i"]) == ("up", ike["spi_i"])
    field.a.culvert("rekey", PEER)
    field.unhurt()


def test_first_messages_from_everywhere_are_asked_for_cookies(field: Battlefield) -> None:
    """Real first messages, each with an SPI of its own, from a thousand spoofed sources."""
    source = random.Random(99)
    first = field.first
    memory = field.a.resident_kib()

    def packet() -> bytes:
        spoofed = f"192.0.2.{source.randrange(1, 255)}", f"2001:db8:bad::{source.randrange(1, 65536):x}"
        version = field.a.family
        message = source.randbytes(8) + first[8:]
        return udp_packet(
            (spoofed[version], SITE_A.outside[version]), (source.randrange(1_024, 65_536), IKE_PORT), message
        )

    with Eavesdropper(field.pair.chapter.internet, TO_A) as ear:
        field.throw(packet, 2_000)
        replies = wait_for(lambda: answers(ear.frames()), 3 * limits.COOKIE_THRESHOLD)  # the rest was too fast
    cookies = [reply for reply in replies if reply[16] == 41]
    real = [reply for reply in replies if reply[16] == 33]
    assert len(cookies) >= 2 * limits.COOKIE_THRESHOLD
    assert len(real) <= limits.COOKIE_THRESHOLD
    daemon, engine = field.a.resident_kib()
    assert daemon - memory[0] < 2 * GROWTH_KIB
    assert engine - memory[1] < GROWTH_KIB
    field.unhurt()


def test_strangers_get_no_more_than_they_send(field: Battlefield) -> None:
    """Count octets on the wire: to a source that proved nothing, little more than it sent."""
    attacker = Attacker(field.heard, random.Random(5))
    first = field.first
    sent = 0
    version = field.a.family
    origin = "192.0.2.200", "2001:db8:bad::200"

    def packet() -> bytes:
        nonlocal sent
        message = attacker.source.choice(
            (attacker.ike(), attacker.source.randbytes(8) + first[8:], plausible_ike(attacker.source))
        )
        made = udp_packet((origin[version], SITE_A.outside[version]), (IKE_PORT, IKE_PORT), message)
        sent += len(made)
        return made

    with Eavesdropper(field.pair.chapter.internet, TO_A) as ear:
        field.throw(packet, 600)
        returned = sum(
            len(frame) - 14
            for frame in ear.frames()
            if is_ip(frame) and parse_ip(frame[14:]).destination == ip_address(origin[version])
        )
    assert returned < sent, f"{sent} octets were answered with {returned}"
    field.unhurt()


def test_one_stranger_gets_one_answer_for_one_message(field: Battlefield) -> None:
    """One first message is answered once, and with little more than its own octets."""
    version = field.a.family
    first = field.first
    origin = ("192.0.2.201", "2001:db8:bad::201")[version]
    message = bytes(range(1, 9)) + first[8:]
    with Eavesdropper(field.pair.chapter.internet, TO_A) as ear:
        field.throw(lambda: udp_packet((origin, SITE_A.outside[version]), (IKE_PORT, IKE_PORT), message), 1)
        replies = wait_for(lambda: answers(ear.frames(), origin), 1)
        # Longer than any first repetition of a request would wait.
        readable, _, _ = select.select([], [], [], 3)
        assert not readable
        assert answers(ear.frames(), origin) == replies
    assert len(replies[0]) <= 2 * len(message)


def test_a_flood_beyond_every_queue_is_survived(field: Battlefield) -> None:
    """Without any pause, as fast as one can: what is lost then is lost by name, and afterwards all is as before."""
    attacker = Attacker(field.heard, random.Random(31))
    packets = [attacker.packet() for _ in range(500)]
    for _ in range(40):
        for packet in packets:
            field.injector.send(packet)
    give_up = time.monotonic() + 20
    while True:
        try:
            field.beat.beat()
            break
        except (TimeoutError, AssertionError):  # an older word may still come
            assert time.monotonic() < give_up
    field.unhurt()
    field.a.culvert("rekey", PEER, "--ike")
    field.unhurt()
    assert len(field.a.log()) < 100_000


def test_a_flood_in_the_peers_name_does_not_lock_the_peer_out(field: Battlefield) -> None:
    """Whoever writes the peer's address cannot read our answers; the peer itself can, and brings the cookie."""
    source = random.Random(17)

    def packet() -> bytes:
        return udp_packet(field.ends, (IKE_PORT, IKE_PORT), source.randbytes(8) + field.first[8:])

    field.throw(packet, 300)
    field.pair.b.culvert("disconnect", PEER)
    field.pair.b.wait_up()
    field.a.wait_up()
    field.unhurt()


def test_fragments_without_end_hurt_nobody(field: Battlefield) -> None:
    """First and later pieces of datagrams and ESP packets that never become whole."""
    source = random.Random(18)

    def packet() -> bytes:
        whole = udp_packet((SITE_B.outside[0], SITE_A.outside[0]), (NAT_PORT, NAT_PORT), source.randbytes(1_200))
        flags = source.choice((0x2000, 0x2000 | source.randrange(1, 100), source.randrange(1, 8_000)))
        head = struct.pack("!HH", source.randrange(65_536), flags)
        octets = whole[:4] + head + whole[8:9] + source.choice((b"\x11", b"\x32")) + bytes(2) + whole[12:]
        return octets[:10] + struct.pack("!H", checksum(octets[:20])) + octets[12:]

    field.throw(packet, 3_000)
    field.unhurt()


def test_commands_and_rekeys_work_while_the_flood_lasts(field: Battlefield) -> None:
    source, ended, thrown = random.Random(19), threading.Event(), 0
    version = field.a.family
    spoofed = [f"192.0.2.{n}" if version == 0 else f"2001:db8:bad::{n}" for n in range(1, 250)]
    ends = [(origin, SITE_A.outside[version]) for origin in spoofed]
    packets = [
        udp_packet(source.choice(ends), (IKE_PORT, IKE_PORT), source.randbytes(8) + field.first[8:]) for _ in range(999)
    ]

    def flood() -> None:
        nonlocal thrown
        while not ended.is_set():
            field.injector.send(packets[thrown % len(packets)])
            thrown += 1

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        for ike in ([], ["--ike"]):
            before = field.a.peer_status()
            field.a.culvert("rekey", PEER, *ike)
            wait_for_rekey(field.a, before, ike=bool(ike))
    finally:
        ended.set()
        thread.join()
    assert thrown > 1_000
    field.unhurt()


def wait_for_rekey(office: TestedOffice, before: dict[str, Any], *, ike: bool, patience_s: float = 40.0) -> None:
    give_up = time.monotonic() + patience_s
    while time.monotonic() < give_up:
        now = office.peer_status()
        if ike and now["ike"] and now["ike"]["spi_i"] != before["ike"]["spi_i"]:
            return
        if not ike and now["children"] and now["children"][0]["spi_in"] != before["children"][0]["spi_in"]:
            return
    raise AssertionError(f"no rekey within {patience_s} s of flood\n{office.log()}")


def test_the_first_answer_can_be_forged_in_vain(tmp_path: Path) -> None:
    """Somebody answers our first message before the peer does, with everything that could discourage us."""
    with two_offices(tmp_path) as pair:
        injector = Injector(pair.chapter.internet, TO_A, pair.chapter.gateway_a, OUTSIDE)
        with Eavesdropper(pair.chapter.internet, TO_A) as ear:
            pair.a.up()
            (first, *_) = wait_for(lambda: overheard(ear.frames(), SITE_B.outside[0]).ike, 1)
            ends = SITE_B.outside[0], SITE_A.outside[0]
            discouraging: list[tuple[Notify, ...]] = [
                (Notify(NotifyType.NO_PROPOSAL_CHOSEN),),
                (Notify(NotifyType.INVALID_SYNTAX),),
                (Notify(NotifyType.INVALID_KE_PAYLOAD, struct.pack("!H", 14)),),
                (Notify(NotifyType.INVALID_KE_PAYLOAD, struct.pack("!H", 1)),),
                (Notify(NotifyType.AUTHENTICATION_FAILED),),
                (Notify(NotifyType.COOKIE, bytes(64)),),
                (Notify(NotifyType.COOKIE, bytes(65)),),
            ]
            for payloads in discouraging:
                for spi_r in (NO_SPI, bytes(range(8))):
                    forged = Message(first[:8], spi_r, ExchangeType.IKE_SA_INIT, False, True, 0, payloads)
                    injector.send(udp_packet(ends, (IKE_PORT, IKE_PORT), emit_message(forged)))
        pair.b.up()
        pair.a.wait_up()
        assert pair.ping() == 2
        injector.close()


def test_without_a_peer_that_calls_from_anywhere_strangers_do_not_reach_the_engine(tmp_path: Path) -> None:
    with battlefield(tmp_path, 0, anybody=False) as field:
        before = field.a.document()["gateway"]["drops"]
        octets = random.Random(3)

        def packet() -> bytes:
            ends = f"192.0.2.{octets.randrange(1, 255)}", SITE_A.outside[0]
            return ip_packet(*ends, ESP, octets.randbytes(60))

        field.throw(packet, 300)
        shown = field.a.host.run(["nft", "list", "counter", "inet", "culvert", "strangers"]).stdout
        assert "packets 300 " in shown
        assert field.a.document()["gateway"]["drops"].get("STRANGER") == 300, "every drop has a name in `status`"
        assert before == {}
        field.unhurt()


def test_what_the_fence_stops_is_counted_by_name(tmp_path: Path) -> None:
    with battlefield(tmp_path, 0) as field:
        inner = udp_packet((SITE_B.host[0], SITE_A.host[0]), (9, 9), b"clear")
        with Eavesdropper(field.pair.chapter.host_a, UPLINK) as ear:
            field.throw(lambda: inner, 100)
            assert not ear.matching(lambda frame: b"clear" in frame)
        assert field.a.document()["gateway"]["drops"].get("FENCED_IN") == 100
        field.unhurt()


# --- help ---


def answers(frames: list[bytes], destination: str = "") -> list[bytes]:
    """Give the IKE_SA_INIT responses among frames, to one destination or to all."""
    found: list[bytes] = []
    for frame in frames:
        packet = parse_ip(frame[14:]) if is_ip(frame) else None
        if packet is None or packet.protocol != UDP or (destination and packet.destination != ip_address(destination)):
            continue
        datagram = parse_udp(packet.payload)
        if datagram.source_port == IKE_PORT and datagram.payload[18:19] == b"\x22" and datagram.payload[19] & 0x20:
            found.append(datagram.payload)
    return found


def wait_for(look: Callable[[], tuple[bytes, ...] | list[bytes]], count: int, patience_s: float = 10.0) -> list[bytes]:
    """Look until there are `count`."""
    give_up = time.monotonic() + patience_s
    while len(found := look()) < count:
        assert time.monotonic() < give_up, f"{len(found)} of {count} came"
        select.select([], [], [], 0.02)
    return list(found)


def settled(office: TestedOffice, total: int, patience_s: float = 5.0) -> dict[str, int]:
    """Give the drops as soon as they come to `total`, or what they are in the end."""
    give_up = time.monotonic() + patience_s
    while sum((drops := office.drops()).values()) < total and time.monotonic() < give_up:
        pass
    return drops


def difference(after: dict[str, int], before: dict[str, int]) -> dict[str, int]:
    return {name: count - before.get(name, 0) for name, count in after.items() if count != before.get(name, 0)}
