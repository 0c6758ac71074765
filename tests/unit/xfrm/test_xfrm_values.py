"""What is sent to the kernel and what is read from it, without one."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator
from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from culvert.addresses import SocketAddress
from culvert.crypto.transforms import BY_NAME, Encryption, Integrity
from culvert.ipsec.associations import Direction, Mode, Protocol, SecurityAssociation
from culvert.ipsec.policies import LAST_INDEX, OWN_INDEX, Action, Policy
from culvert.ipsec.selectors import Selector
from culvert.wire.netlink.algorithms import Algorithm
from culvert.wire.netlink.events import PolicyExpireWire, emit_policy_expire
from culvert.wire.netlink.framing import Message
from culvert.wire.netlink.numbers import Groups, Xfrm
from culvert.wire.netlink.policy import PolicyWire
from culvert.wire.netlink.replay import ReplayWire
from culvert.wire.netlink.sa import STATE_AF_UNSPEC, STATE_ALIGN4, SaWire, emit_sa, parse_sa
from culvert.wire.netlink.structures import IdWire, SelectorWire
from culvert.xfrm import associations, spd
from culvert.xfrm.client import XfrmClient
from culvert.xfrm.errors import NotOursError, XfrmError
from culvert.xfrm.events import MappingEvent, PathMtuEvent, PolicyExpireEvent, SilenceEvent, read_event
from culvert.xfrm.fake import FakeEngine

US, THEM = ip_address("203.0.113.1"), ip_address("198.51.100.1")
SELECTOR = Selector(ip_network("192.168.1.0/24"), ip_network("192.168.2.0/24"))
GCM = BY_NAME["aes128gcm16"]
assert isinstance(GCM, Encryption)
SA = SecurityAssociation(US, THEM, 0x1234, Direction.OUT, 7, GCM, bytes(20))


@pytest.fixture
async def fake() -> AsyncIterator[FakeEngine]:
    engine = FakeEngine()
    yield engine
    engine.close()


def test_what_is_the_engines_alone_never_goes_to_the_kernel() -> None:
    """The kernel would read 0x4001 as XFRMA_ALG_AUTH: it cuts the upper bits off."""
    whole = replace(SA, mode=Mode.ANY, legacy=True, selectors=(SELECTOR, SELECTOR.reversed))
    sent = associations.for_kernel(associations.to_wire(whole))
    assert (sent.mode_any, sent.legacy, sent.selectors, sent.selector, sent.mode) == (False, False, (), None, 0)
    assert parse_sa(emit_sa(sent)) == sent


def test_an_association_with_esn_suits_kernels_old_and_new() -> None:
    out = associations.to_wire(replace(SA, esn=True))
    assert (out.direction, out.replay) == (2, ReplayWire(0))
    sent = associations.for_kernel(out)
    assert (sent.direction, sent.replay) == (None, ReplayWire(32))
    inward = associations.to_wire(replace(SA, esn=True, direction=Direction.IN))
    assert associations.for_kernel(inward) == inward
    assert (inward.direction, inward.replay) == (1, ReplayWire(4096))


def test_options_go_with_the_direction_that_they_mean_something_for() -> None:
    every = replace(SA, decap_dscp=True, dont_encap_dscp=True, tfc_padding_octets=99)
    out, inward = (associations.to_wire(replace(every, direction=one)) for one in (Direction.OUT, Direction.IN))
    assert (out.flags & 2, out.extra_flags, out.tfc_padding_octets) == (0, 1, 99)
    assert (inward.flags & 2, inward.extra_flags, inward.tfc_padding_octets) == (2, 0, 0)


def test_another_family_may_be_inside_where_no_selector_says_which() -> None:
    assert associations.to_wire(SA).flags == STATE_AF_UNSPEC
    assert associations.to_wire(replace(SA, selectors=(SELECTOR,))).flags == 0
    assert associations.to_wire(replace(SA, mode=Mode.TRANSPORT)).flags == 0


def test_ah_over_ipv4_has_no_more_padding_than_the_rfc_allows() -> None:
    """Without the flag the kernel takes AH-SHA2-256 from nobody who does as RFC 4302 says, the engine among them."""
    integrity = BY_NAME["sha256"]
    assert isinstance(integrity, Integrity)
    unencrypted = replace(SA, encryption=None, encryption_key=b"", integrity=integrity, integrity_key=bytes(32))
    v4 = replace(unencrypted, protocol=Protocol.AH, mode=Mode.TRANSPORT)
    assert associations.to_wire(v4).flags == STATE_ALIGN4
    v6 = replace(v4, source=ip_address("2001:db8::1"), destination=ip_address("2001:db8::2"))
    assert associations.to_wire(v6).flags == 0


def kernel_says(**fields: object) -> associations.AssociationState:
    return associations.from_wire(replace(SaWire(IdWire(THEM, 9, 50), US), **fields))  # type: ignore[arg-type]


def test_what_the_kernel_leaves_unsaid() -> None:
    state = kernel_says(auth=Algorithm("hmac(sha256)", bytes(32)), crypt=Algorithm("ecb(cipher_null)", b""))
    assert state.integrity is BY_NAME["sha256_96"]
    assert state.encryption is BY_NAME["null"]
    state = kernel_says(
        auth=Algorithm("hmac(sha1)", bytes(20)), replay_window=32, plain_replay=ReplayWire(32, 5, 6, (7,))
    )
    assert state.integrity is BY_NAME["sha1"]
    assert (state.replay_window_packets, state.replay) == (32, associations.ReplayState(5, 6, (7,)))


def test_everything_of_a_family_is_no_selector_in_transport_mode() -> None:
    everything = SelectorWire(ip_network("0.0.0.0/0"), ip_network("0.0.0.0/0"))
    assert kernel_says(selector=everything).selectors == ()
    assert kernel_says(selector=replace(everything, protocol=6)).selectors != ()
    assert kernel_says(selector=everything, mode=1).selectors != ()


def test_algorithms_that_we_do_not_know_keep_their_names() -> None:
    state = kernel_says(
        crypt=Algorithm("cbc(blowfish)", bytes(16)), auth_truncated=Algorithm("hmac(sm3)", bytes(32), 96)
    )
    assert (state.encryption, state.integrity, state.larval) == (None, None, False)
    assert (state.encryption_name, state.integrity_name) == ("cbc(blowfish)", "hmac(sm3)")


@pytest.mark.parametrize(
    "foreign",
    [
        SaWire(IdWire(THEM, 9, 108), US),
        SaWire(IdWire(THEM, 9, 50), US, mode=4),
        SaWire(IdWire(THEM, 9, 50), US, selector=SelectorWire(SELECTOR.source, SELECTOR.destination, user=7)),
    ],
    ids=["ipcomp", "beet", "user"],
)
async def test_what_we_have_no_words_for_is_left_out(fake: FakeEngine, foreign: SaWire) -> None:
    with pytest.raises(NotOursError):
        associations.from_wire(foreign)
    fake.associations.by_id[foreign.id] = foreign
    client = fake.connect()
    await client.add_association(SA)
    assert [state.id for state in await client.associations()] == [SA.id]
    client.close()


def test_a_notification_that_we_have_no_words_for_says_nothing() -> None:
    bound = PolicyWire(SelectorWire(SELECTOR.source, SELECTOR.destination, interface_index=3), 1)
    assert read_event(Message(Xfrm.POLEXPIRE, body=emit_policy_expire(PolicyExpireWire(bound, True)))) is None


async def test_what_the_plane_learns_is_told(fake: FakeEngine) -> None:
    client = fake.connect()
    events = client.events()
    await client.add_association(SA)
    await client.subscribe(mapping=True, path_mtu=True, changes=True, silence=True)
    old, new = SocketAddress(THEM, 4500), SocketAddress(THEM, 1024)
    fake.rebind(SA.id, old, new)
    fake.learn_path_mtu(THEM, 1400)
    assert await anext(events) == MappingEvent(SA.id, 7, old, new)
    assert await anext(events) == PathMtuEvent(THEM, 1400)
    assert await client.path_mtus() == {THEM: 1400}
    fake.fall_silent(SA.id, True)
    assert await anext(events) == SilenceEvent(SA.id, True)
    body = emit_policy_expire(
        PolicyExpireWire(PolicyWire(SelectorWire(SELECTOR.source, SELECTOR.destination), 1), True)
    )
    fake.notify(Groups.EXPIRE, Xfrm.POLEXPIRE, body)
    assert await anext(events) == PolicyExpireEvent(Policy(SELECTOR, Direction.OUT, Action.BYPASS), True)
    client.close()


async def test_a_client_says_whom_it_speaks_to(fake: FakeEngine) -> None:
    client = fake.connect()
    assert client.backend == "engine"
    client.close()
    kernel = XfrmClient.kernel()
    assert kernel.backend == "kernel"
    kernel.close()


POLICY = Policy(SELECTOR, Direction.OUT, Action.DISCARD, 5)


def test_one_after_the_other_a_policy_in_the_way_is_updated_so_that_nothing_passes_meanwhile() -> None:
    theirs = replace(POLICY, priority=9, index=17)
    changes = spd.changes([theirs], [POLICY], at_once=False)
    assert [kind for kind, _ in changes.requests] == [Xfrm.UPDPOLICY]
    assert changes.taken_over == [theirs]
    assert spd.changes([replace(POLICY, index=17)], [POLICY], at_once=False).requests == []


def test_at_once_it_is_made_anew_with_an_index_of_ours() -> None:
    changes = spd.changes([replace(POLICY, index=OWN_INDEX - 7)], [POLICY], at_once=True)
    assert [kind for kind, _ in changes.requests] == [Xfrm.DELPOLICY, Xfrm.NEWPOLICY]


def test_indexes_end() -> None:
    assert LAST_INDEX == 2**32 - 1
    two = [POLICY, replace(POLICY, priority=1)]
    with pytest.raises(XfrmError) as refused:
        spd.changes([], two, at_once=True)
    assert refused.value.errno == errno.EEXIST
