"""XFRM's structures and our own family: what is emitted is read again, and what is wrong is refused."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address, ip_address, ip_network

import pytest

from culvert.addresses import SocketAddress
from culvert.wire.netlink import (
    events,
    family,
    links,
    migrate,
    policy,
    progress,
    sa,
    samples,
    silence,
    sizes,
    strays,
    structures,
)
from culvert.wire.netlink.algorithms import Algorithm
from culvert.wire.netlink.framing import ParseError, emit_attribute
from culvert.wire.netlink.numbers import Groups, OwnAttribute, XfrmAttribute
from culvert.wire.netlink.replay import ReplayWire
from culvert.wire.netlink.structures import IdWire, SelectorWire

SELECTOR = SelectorWire(ip_network("192.168.1.0/24"), ip_network("192.168.2.0/24"), 6, (0, 0), (443, 0xFFFF))
SELECTOR6 = SelectorWire(ip_network("2001:db8:1::/48"), ip_network("2001:db8:2::/48"))
SA = sa.SaWire(
    id=IdWire(ip_address("198.51.100.1"), 0xC0FFEE01, 50),
    source=ip_address("203.0.113.1"),
    reqid=77,
    mode=1,
    selectors=(SELECTOR, SELECTOR6),
    lifetime=structures.LifetimeWire(soft_added_s=3600, hard_added_s=3960, hard_packets=2**40),
    current=structures.CurrentWire(9_000_000_000, 7_000_000, 1_700_000_000, 1_700_000_001),
    stats=sa.StatsWire(1, 2, 3),
    aead=Algorithm("rfc4106(gcm(aes))", bytes(range(36)), 128),
    encapsulation=sa.EncapsulationWire(4500, 33_000),
    replay=ReplayWire(64, 5, 2**32 + 6, (0xFFFF, 1)),
    plain_replay=ReplayWire(0, 7, 8, (9,)),
    tfc_padding_octets=1400,
    extra_flags=1,
    last_used_at_s=1_700_000_002,
    mode_any=True,
    legacy=True,
    direction=1,
    drops=((10, 3), (11, 2**33)),
)
AH6 = IdWire(ip_address("::1"), 9, 51)
TEMPLATE = policy.TemplateWire(IdWire(ip_address("198.51.100.1"), 0, 50), ip_address("203.0.113.1"), 77)
POLICY = policy.PolicyWire(SELECTOR, 1, priority=100, index=9, templates=(TEMPLATE,))


def test_an_association_is_read_as_it_was_written() -> None:
    assert sa.parse_sa(sa.emit_sa(SA)) == SA


def test_the_spi_is_in_network_order_and_ports_too() -> None:
    octets = sa.emit_sa(replace(SA, selector=SELECTOR))
    assert octets[56 + 16 : 56 + 20] == b"\xc0\xff\xee\x01"
    assert octets[32:36] == b"\x01\xbb\xff\xff"


def test_an_association_with_cipher_and_integrity_of_ipv6() -> None:
    value = sa.SaWire(
        IdWire(ip_address("2001:db8::1"), 1, 50),
        ip_address("2001:db8::2"),
        selector=SELECTOR6,
        crypt=Algorithm("cbc(aes)", bytes(16)),
        auth_truncated=Algorithm("hmac(sha256)", bytes(32), 128),
    )
    assert sa.parse_sa(sa.emit_sa(value)) == value


def test_a_request_for_an_spi_and_an_identity_are_read_as_written() -> None:
    assert sa.parse_spi_request(sa.emit_spi_request(SA, 256, 511)) == (SA, 256, 511)
    assert sa.parse_sa_id(sa.emit_sa_id(SA.id)) == SA.id
    with pytest.raises(ParseError, match="no range of SPIs"):
        sa.parse_spi_request(sa.emit_spi_request(SA, 9, 8))


def test_keys_are_not_printed() -> None:
    assert "\\x01\\x02" not in repr(SA)


def test_policies_are_read_as_written() -> None:
    assert policy.parse_policy(policy.emit_policy(POLICY)) == POLICY
    assert policy.parse_policy(policy.emit_policy(replace(POLICY, templates=()))).templates == ()
    by_index = policy.PolicyIdWire(None, 2, 17)
    assert policy.parse_policy_id(policy.emit_policy_id(by_index)) == by_index


def test_notifications_are_read_as_written() -> None:
    packet = SelectorWire(ip_network("192.168.1.20"), ip_network("192.168.2.34"), 1)
    acquire = events.AcquireWire(TEMPLATE.id, TEMPLATE.source, packet, POLICY, 5, (TEMPLATE,))
    assert events.parse_acquire(events.emit_acquire(acquire)) == acquire
    bare = sa.SaWire(SA.id, SA.source, 77, 1)
    expire = events.ExpireWire(bare, True)
    assert events.parse_expire(events.emit_expire(expire)) == expire


def test_what_happens_to_policies_and_addresses_is_read_as_written() -> None:
    ended = events.PolicyExpireWire(replace(POLICY, templates=(TEMPLATE,)), True)
    assert events.parse_policy_expire(events.emit_policy_expire(ended)) == ended
    old, new = SocketAddress(ip_address("198.51.100.1"), 4500), SocketAddress(ip_address("198.51.100.9"), 1)
    mapping = events.MappingWire(SA.id, 77, old, new)
    assert events.parse_mapping(events.emit_mapping(mapping)) == mapping
    assert events.emit_mapping(mapping)[60:64] == b"\x11\x94\x00\x01"
    ends = [ip_address(f"2001:db8::{number}") for number in range(1, 5)]
    moves = migrate.MigrateWire(policy.PolicyIdWire(SELECTOR, 1), (migrate.MoveWire(*ends, 50, 1, 77),) * 6)
    assert migrate.parse_migrate(migrate.emit_migrate(moves)) == moves


def test_progress_and_sizes_are_read_as_written() -> None:
    current = structures.CurrentWire(1, 2, 3, 4)
    for value in (
        progress.ProgressWire(SA.id, SA.source, 7, 6, ReplayWire(32, 2**40, 9, (5,)), None, current),
        progress.ProgressWire(
            IdWire(ip_address("::1"), 9, 51), ip_address("::2"), plain_replay=ReplayWire(0, 1, 2, (3,))
        ),
    ):
        assert progress.parse_progress(progress.emit_progress(value)) == value
    assert sizes.parse_sad_size(sizes.emit_sad_size(70_000)) == 70_000
    spd = sizes.SpdSizeWire(1, 2, 3, 4, 5, 6)
    assert sizes.parse_spd_size(sizes.emit_spd_size(spd)) == spd
    assert sizes.emit_size_request() == bytes(4)


@pytest.mark.parametrize("octets", [b"", bytes(75), bytes(76 * 7)])
def test_wrong_numbers_of_moves_are_refused(octets: bytes) -> None:
    body = policy.emit_policy_id(policy.PolicyIdWire(SELECTOR, 1)) + emit_attribute(XfrmAttribute.MIGRATE, octets)
    with pytest.raises(ParseError, match="no array of 1 to 6 moves"):
        migrate.parse_migrate(body)


def test_sizes_without_their_counts_are_refused() -> None:
    for parse in (sizes.parse_sad_size, sizes.parse_spd_size):
        with pytest.raises(ParseError):
            parse(bytes(4) + emit_attribute(1, bytes(5)))


def test_policies_of_sockets_are_known_by_their_direction() -> None:
    octets = bytearray(policy.emit_policy(POLICY))
    assert not policy.is_of_a_socket(bytes(octets))
    octets[160] = 4
    assert policy.is_of_a_socket(bytes(octets))
    assert not policy.is_of_a_socket(bytes(160))


def test_an_expire_carries_no_key() -> None:
    assert len(events.emit_expire(events.ExpireWire(SA, False))) == events.EXPIRE_OCTETS


def test_bits_below_a_prefix_are_cut_off() -> None:
    octets = bytearray(structures.emit_selector(SELECTOR))
    octets[16 + 3] = 99
    assert structures.parse_selector(bytes(octets)) == SELECTOR


def body_with(kind: int, value: bytes) -> bytes:
    return sa.emit_sa(sa.SaWire(SA.id, SA.source)) + emit_attribute(kind, value)


ALGORITHM = b"cbc(aes)".ljust(64, b"\0")


@pytest.mark.parametrize(
    ("kind", "value", "why"),
    [
        (XfrmAttribute.ALG_CRYPT, ALGORITHM, "instead of 68"),
        (XfrmAttribute.ALG_CRYPT, ALGORITHM + struct.pack("=I", 128) + bytes(15), "says 128 bits"),
        (XfrmAttribute.ALG_CRYPT, ALGORITHM + struct.pack("=I", 513 * 8) + bytes(513), "says 4104 bits"),
        (XfrmAttribute.ALG_CRYPT, b"x" * 64 + struct.pack("=I", 0), "does not end"),
        (XfrmAttribute.ALG_CRYPT, bytes(64) + struct.pack("=I", 0), "not printable"),
        (XfrmAttribute.ALG_AEAD, ALGORITHM + bytes(4), "instead of 72"),
        (XfrmAttribute.ENCAP, bytes(23), "23 octets instead of 24"),
        (XfrmAttribute.REPLAY_ESN_VAL, bytes(23), "instead of 24 or more"),
        (XfrmAttribute.REPLAY_ESN_VAL, struct.pack("=6I", 1, 0, 0, 0, 0, 33), "33 packets does not fit 1"),
        (XfrmAttribute.REPLAY_ESN_VAL, struct.pack("=6I", 2**32 - 1, 0, 0, 0, 0, 65_537), "does not fit"),
        (XfrmAttribute.REPLAY_ESN_VAL, struct.pack("=7I", 2, 0, 0, 0, 0, 64, 0), "bitmap of 4 octets"),
        (XfrmAttribute.SA_DIR, b"\x03", "neither in nor out"),
        (XfrmAttribute.SA_DIR, b"", "neither in nor out"),
        (XfrmAttribute.SELECTORS, bytes(57), "no array of selectors"),
        (XfrmAttribute.SELECTORS, bytes(56), "has an empty one"),
        (XfrmAttribute.DROPS, bytes(15), "no array of counters"),
        (XfrmAttribute.LTIME_VAL, bytes(31), "counters have 31"),
        (XfrmAttribute.REPLAY_VAL, bytes(13), "13 octets instead of 12"),
        (XfrmAttribute.TFCPAD, bytes(3), "3 octets instead of 4"),
        (XfrmAttribute.SA_EXTRA_FLAGS, bytes(8), "8 octets instead of 4"),
        (XfrmAttribute.LASTUSED, bytes(4), "4 octets instead of 8"),
    ],
)
def test_wrong_attributes_of_an_association_are_refused(kind: int, value: bytes, why: str) -> None:
    with pytest.raises(ParseError, match=why):
        sa.parse_sa(body_with(kind, value))


def test_a_replay_window_may_come_without_its_bitmap() -> None:
    octets = struct.pack("=6I", 128, 0, 0, 0, 0, 4096)
    assert sa.parse_sa(body_with(XfrmAttribute.REPLAY_ESN_VAL, octets)).replay == ReplayWire(4096)


@pytest.mark.parametrize(
    ("parse", "size"),
    [
        (sa.parse_sa, 224),
        (sa.parse_spi_request, 232),
        (sa.parse_sa_id, 24),
        (policy.parse_policy, 168),
        (policy.parse_policy_id, 64),
        (events.parse_acquire, 280),
        (events.parse_expire, 232),
        (events.parse_policy_expire, 176),
        (events.parse_mapping, 64),
        (migrate.parse_migrate, 64),
        (progress.parse_progress, 48),
        (sizes.parse_sad_size, 4),
        (sizes.parse_spd_size, 4),
    ],
)
def test_a_structure_that_is_too_short_is_refused(parse: Callable[[bytes], object], size: int) -> None:
    with pytest.raises(ParseError, match=f"{size - 1} octets instead of {size}"):
        parse(bytes(size - 1))


@pytest.mark.parametrize(
    ("offset", "value", "why"),
    [(40, 3, "no address family"), (42, 33, "/33 is no prefix"), (160, 3, "is no policy"), (161, 2, "is no policy")],
)
def test_a_policy_that_is_none_is_refused(offset: int, value: int, why: str) -> None:
    octets = bytearray(policy.emit_policy(POLICY))
    octets[offset] = value
    with pytest.raises(ParseError, match=why):
        policy.parse_policy(bytes(octets))


@pytest.mark.parametrize("octets", [bytes(63), bytes(64 * 7)])
def test_wrong_numbers_of_templates_are_refused(octets: bytes) -> None:
    with pytest.raises(ParseError, match="no array of up to 6"):
        policy.parse_templates(octets)


DATAGRAM = family.DatagramWire(
    SocketAddress(IPv4Address(0), 500), SocketAddress(ip_address("2001:db8::9"), 4500), b"ike"
)


def test_our_own_messages_are_read_as_written() -> None:
    info = family.InfoWire("0.1.0", 4711, "culvert0", 0x43554C56, ("gso", "batch"))
    blob = family.BlobWire("sa/warehouse", bytes(16 * 1024))
    assert family.parse_datagram(family.emit_datagram(DATAGRAM)) == DATAGRAM
    assert family.parse_info(family.emit_info(info)) == info
    assert family.parse_blob(family.emit_blob(blob)) == blob
    assert family.parse_key(family.emit_key("k")) == "k"
    assert family.parse_groups(family.emit_groups(Groups.IKE | Groups.ACQUIRE)) == Groups.IKE | Groups.ACQUIRE
    assert family.parse_drops(family.emit_drops(((1, 2),))) == ((1, 2),)
    assert family.parse_drops(b"") == ()


def test_a_socket_address_has_its_port_in_network_order() -> None:
    body = family.emit_datagram(DATAGRAM)
    assert body[:28] == struct.pack("=HHHH", 28, 2, 2, 0xF401) + bytes(20)


@pytest.mark.parametrize(
    ("parse", "octets", "why"),
    [
        (family.parse_groups, b"", "GROUPS is missing"),
        (family.parse_groups, emit_attribute(1, b"abc"), "3 octets instead of 4"),
        (family.parse_groups, emit_attribute(1, struct.pack("=I", 2048)), "not known"),
        (family.parse_datagram, emit_attribute(2, bytes(23)), "23 octets instead of 24"),
        (family.parse_datagram, emit_attribute(2, bytes(24)), "0 is no address family"),
        (family.parse_key, emit_attribute(OwnAttribute.KEY, b""), "instead of 1 to 128"),
        (family.parse_key, emit_attribute(OwnAttribute.KEY, bytes(129)), "instead of 1 to 128"),
        (family.parse_key, emit_attribute(OwnAttribute.KEY, b"\xff"), "not UTF-8"),
        (family.parse_blob, emit_attribute(OwnAttribute.DATA, bytes(16_385)), "longer than 16384"),
    ],
)
def test_wrong_messages_of_our_own_are_refused(parse: Callable[[bytes], object], octets: bytes, why: str) -> None:
    with pytest.raises(ParseError, match=why):
        parse(octets)


def test_silences_are_read_as_written() -> None:
    for sending in (False, True):
        told = silence.SilenceWire(IdWire(ip_address("192.0.2.1"), 0xC0FFEE, 50), sending)
        assert silence.parse_silence(silence.emit_silence(told)) == told
    with pytest.raises(ParseError, match="FLAGS is missing"):
        silence.parse_silence(b"")


def test_links_and_path_mtus_are_read_as_written() -> None:
    link = links.GifWire("gif0", ip_address("203.0.113.1"), ip_address("198.51.100.1"), links.GIF_ECN_FRIENDLY)
    assert links.parse_gif(links.emit_gif(link)) == link
    assert links.parse_gif_name(links.emit_gif_name("gif0")) == "gif0"
    path = links.PathMtuWire(ip_address("2001:db8::9"), 1280)
    assert links.parse_path_mtu(links.emit_path_mtu(path)) == path


def test_a_dropped_packet_is_read_as_written() -> None:
    ends = SocketAddress.parse("203.0.113.1", 4500), SocketAddress.parse("2001:db8::1", 0)
    for inbound in (False, True):
        sample = samples.SampleWire(12, inbound, *ends, 17, 0x01020304, 1_500)
        assert samples.parse_sample(samples.emit_sample(sample)) == sample
    with pytest.raises(ParseError, match="SPI is missing"):
        samples.parse_sample(b"")
    with pytest.raises(ParseError, match="an SPI of 3 octets"):
        samples.parse_sample(emit_attribute(OwnAttribute.SPI, b"abc"))


def test_a_stray_packet_is_read_as_written() -> None:
    ends = SocketAddress.parse("203.0.113.1", 4500), SocketAddress.parse("2001:db8::1", 40_000)
    for protocol in (50, 51):
        stray = strays.StrayWire(*ends, protocol, 0x01020304)
        assert strays.parse_stray(strays.emit_stray(stray)) == stray
    with pytest.raises(ParseError, match="neither ESP nor AH"):
        strays.parse_stray(strays.emit_stray(strays.StrayWire(*ends, 17, 1)))
    with pytest.raises(ParseError, match="PROTOCOL is missing"):
        strays.parse_stray(b"")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a b", "a:b", "sixteen-letters-", "\u00e9", "a\n"])
def test_names_that_no_interface_may_have(name: str) -> None:
    with pytest.raises(ValueError, match="no name of an interface"):
        links.emit_gif_name(name)
    with pytest.raises(ParseError, match="no name that an interface may have"):
        links.parse_gif_name(emit_attribute(OwnAttribute.NAME, name.encode()))


def test_wrong_links_are_refused() -> None:
    mixed = links.GifWire("gif0", ip_address("203.0.113.1"), ip_address("2001:db8::1"))
    with pytest.raises(ParseError, match="different families"):
        links.parse_gif(links.emit_gif(mixed))
    with pytest.raises(ParseError, match="67 octets are no MTU"):
        links.parse_path_mtu(links.emit_path_mtu(links.PathMtuWire(ip_address("192.0.2.1"), 67)))


def test_what_we_may_not_send_is_a_fault_of_ours() -> None:
    with pytest.raises(ValueError, match="16384 octets at most"):
        family.emit_blob(family.BlobWire("k", bytes(16_385)))
    with pytest.raises(ValueError, match="1 to 128"):
        family.emit_key("")
