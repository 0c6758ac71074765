"""Any octets are read or refused by ParseError, never anything else; what is written is read again."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from culvert.wire.netlink import events, family, framing, links, migrate, policy, progress, sa, silence, sizes
from culvert.wire.netlink.algorithms import Algorithm
from culvert.wire.netlink.framing import Message, ParseError
from culvert.wire.netlink.replay import ReplayWire
from culvert.wire.netlink.structures import CurrentWire, IdWire, LifetimeWire, SelectorWire

U8, U16, U32, U64 = (st.integers(0, 2**bits - 1) for bits in (8, 16, 32, 64))

PARSERS: list[Callable[[bytes], object]] = [
    framing.parse_messages,
    framing.parse_attributes,
    lambda octets: framing.parse_acknowledgement(Message(framing.NLMSG_ERROR, 0x300, body=octets)),
    sa.parse_sa,
    sa.parse_sa_id,
    sa.parse_spi_request,
    policy.parse_policy,
    policy.parse_policy_id,
    events.parse_acquire,
    events.parse_expire,
    events.parse_policy_expire,
    events.parse_mapping,
    migrate.parse_migrate,
    progress.parse_progress,
    sizes.parse_sad_size,
    sizes.parse_spd_size,
    links.parse_gif,
    links.parse_gif_name,
    links.parse_path_mtu,
    silence.parse_silence,
    family.parse_groups,
    family.parse_datagram,
    family.parse_drops,
    family.parse_info,
    family.parse_blob,
    family.parse_key,
]


@pytest.mark.parametrize("parse", PARSERS)
@given(octets=st.binary(max_size=700))
def test_any_octets_are_read_or_refused(parse: Callable[[bytes], object], octets: bytes) -> None:
    with contextlib.suppress(ParseError):
        parse(octets)


@st.composite
def ids(draw: st.DrawFn, version: int) -> IdWire:
    return IdWire(draw(st.ip_addresses(v=version)), draw(U32), draw(U8))


@st.composite
def networks(draw: st.DrawFn, version: int) -> IPv4Network | IPv6Network:
    address = draw(st.ip_addresses(v=version))
    if isinstance(address, IPv4Address):
        return IPv4Network((address, draw(st.integers(0, 32))), strict=False)
    return IPv6Network((address, draw(st.integers(0, 128))), strict=False)


@st.composite
def selectors(draw: st.DrawFn) -> SelectorWire:
    version = draw(st.sampled_from((4, 6)))
    ports = st.tuples(U16, U16)
    interface = draw(st.integers(-(2**31), 2**31 - 1))
    source, destination = draw(networks(version)), draw(networks(version))
    return SelectorWire(source, destination, draw(U8), draw(ports), draw(ports), interface, draw(U32))


ALGORITHMS = st.builds(
    Algorithm,
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=63),
    st.binary(max_size=512),
    U32,
)


@st.composite
def associations(draw: st.DrawFn) -> sa.SaWire:
    version = draw(st.sampled_from((4, 6)))
    windows = st.none() | st.just(ReplayWire(33, 2**64 - 1, 2**63, (1, 2)))
    return sa.SaWire(
        id=draw(ids(version)),
        source=draw(st.ip_addresses(v=version)),
        reqid=draw(U32),
        mode=draw(U8),
        selector=draw(st.none() | selectors()),
        lifetime=LifetimeWire(*draw(st.tuples(*[U64] * 8))),
        current=CurrentWire(*draw(st.tuples(*[U64] * 4))),
        flags=draw(U8),
        aead=draw(st.none() | ALGORITHMS),
        replay=draw(windows),
        plain_replay=draw(st.none() | st.builds(ReplayWire, st.just(0), U32, U32, st.tuples(U32))),
        tfc_padding_octets=draw(U32),
        extra_flags=draw(U32),
        last_used_at_s=draw(U64),
        mode_any=draw(st.booleans()),
        legacy=draw(st.booleans()),
        auth_truncated=draw(st.none() | ALGORITHMS),
        direction=draw(st.sampled_from((None, 1, 2))),
        selectors=tuple(draw(st.lists(selectors(), max_size=5))),
        drops=tuple(draw(st.lists(st.tuples(U32, U64), max_size=5))),
    )


@given(associations())
def test_associations_are_read_as_written(value: sa.SaWire) -> None:
    assert sa.parse_sa(sa.emit_sa(value)) == value


@st.composite
def templates(draw: st.DrawFn) -> policy.TemplateWire:
    version = draw(st.sampled_from((4, 6)))
    source: IPv4Address | IPv6Address = draw(st.ip_addresses(v=version))
    masks = draw(st.tuples(U32, U32, U32))
    return policy.TemplateWire(draw(ids(version)), source, draw(U32), draw(U8), draw(U8), draw(U8), masks)


@st.composite
def moves(draw: st.DrawFn) -> migrate.MoveWire:
    old, new = draw(st.sampled_from((4, 6))), draw(st.sampled_from((4, 6)))
    ends = [draw(st.ip_addresses(v=version)) for version in (old, old, new, new)]
    return migrate.MoveWire(*ends, draw(U8), draw(U8), draw(U32))


@given(selectors(), st.integers(0, 2), st.lists(moves(), min_size=1, max_size=6))
def test_migrations_are_read_as_written(selector: SelectorWire, direction: int, some: list[migrate.MoveWire]) -> None:
    value = migrate.MigrateWire(policy.PolicyIdWire(selector, direction), tuple(some))
    assert migrate.parse_migrate(migrate.emit_migrate(value)) == value


@given(selectors(), st.integers(0, 2), st.integers(0, 1), U32, st.lists(templates(), max_size=6))
def test_policies_are_read_as_written(
    selector: SelectorWire, direction: int, action: int, priority: int, wanted: list[policy.TemplateWire]
) -> None:
    value = policy.PolicyWire(selector, direction, action, priority, templates=tuple(wanted))
    assert policy.parse_policy(policy.emit_policy(value)) == value


@given(st.lists(st.builds(Message, U16, U16, U32, U32, st.binary(max_size=100)), max_size=50))
def test_messages_are_read_as_written(messages: list[Message]) -> None:
    datagrams = framing.pack(messages)
    assert [one for datagram in datagrams for one in framing.parse_messages(datagram)] == messages
