"""Two ends that want different groups for PFS: seen at the first minute, and without harm where packets pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from culvert.config.model import Peer, Rekey
from culvert.ike.events import Configured, Connect, Disconnect, RekeyRequested
from culvert.ike.status import PeerState, PeerStatus
from culvert.ike.timers import Timer
from culvert.ike.v2 import extensions, pfs
from culvert.ike.v2.exchanges import create_child_sa
from culvert.ike.v2.reading import refused
from culvert.ike.v2.sa import IkeSa
from culvert.ipsec.proposals import esp_proposal
from culvert.reasons import Refusal
from culvert.sim.pair import Pair
from culvert.wire.isakmp.notify import Notify, NotifyType

MISMATCHES = [
    ("aes128gcm16-x25519", "aes128gcm16-modp2048"),
    ("aes128gcm16-x25519", "aes128gcm16"),
    ("aes128gcm16-x25519-none", "aes128gcm16-modp2048"),
]


def _with(peer: Peer, proposal: str, **more: object) -> Peer:
    children = tuple(replace(one, proposals=(esp_proposal(proposal),), **more) for one in peer.children)  # type: ignore[arg-type]
    return replace(peer, children=children)


def _pair(west: str = "aes128gcm16-x25519", east: str = "aes128gcm16-x25519", **more: object) -> Pair:
    pair = Pair()
    pair.west_peer, pair.east_peer = _with(pair.west_peer, west, **more), _with(pair.east_peer, east, **more)
    return pair


def _statuses(pair: Pair) -> tuple[PeerStatus, PeerStatus]:
    return pair.west.endpoint.status("east"), pair.east.endpoint.status("west")


def _trials(pair: Pair) -> int:
    return sum("sends CREATE_CHILD_SA request" in line for line in pair.world.trace)


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let responders announce nothing of IKE_AUTH without a child, as many others do."""
    real = extensions.answered

    def answered(sa: IkeSa) -> tuple[object, ...]:
        childless = Notify(NotifyType.CHILDLESS_IKEV2_SUPPORTED)
        return tuple(one for one in real(sa) if one != childless)

    monkeypatch.setattr(extensions, "answered", answered)
    return lambda: None


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("mismatch", MISMATCHES, ids=" ".join)
def test_where_the_responder_can_it_shows_at_once(mismatch: tuple[str, str], swapped: bool) -> None:
    pair = _pair(*mismatch)
    pair.configure()
    pair.tell("east", Connect("west")) if swapped else pair.tell("west", Connect("east"))
    no_group = swapped and mismatch[1] == "aes128gcm16"
    pair.wait(pfs.TRIAL_NS / 10**9 if no_group else 0)
    here, there = _statuses(pair)
    assert {here.state, there.state} == {PeerState.UP if no_group else PeerState.DOWN}
    assert Refusal.PFS_MISMATCH in (here.reason, there.reason)
    messages = here.message + there.message
    assert "the group for PFS (the peer's" in messages
    assert "`esp_proposals`" in messages or "write esp_proposals = " in messages


def test_the_first_child_has_its_group_at_once_and_is_not_tried_again() -> None:
    pair = _pair().connect()
    (child,) = [one for lineage in pair.west.endpoint._ctx.live("east") for one in lineage.children.values()]
    assert child.suite.key_exchange is not None
    pair.wait(100)
    assert _trials(pair) == 1


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("mismatch", MISMATCHES, ids=" ".join)
def test_else_one_early_rekey_shows_it_and_leaves_the_child(mismatch: tuple[str, str]) -> None:
    pair = _pair(*mismatch).connect()
    for status in _statuses(pair):
        assert (status.state, status.reason) == (PeerState.UP, None)
    before = pair.west.endpoint.status("east").children
    pair.wait(pfs.TRIAL_NS / 10**9)
    for status in _statuses(pair):
        assert (status.state, status.reason) == (PeerState.UP, Refusal.PFS_MISMATCH)
    assert pair.west.endpoint.status("east").children == before, "neither the child nor its regular rekey is touched"
    asked, refused = sorted((status.message for status in _statuses(pair)), key=lambda text: "we allow" in text)
    assert "the peer wants another group for PFS than" in asked
    assert "write the peer's into `esp_proposals` of [peers." in asked
    assert "the first difference is in the group for PFS (the peer's " in refused
    assert _trials(pair) == 1
    pair.wait(600)
    assert _trials(pair) == 1


@pytest.mark.usefixtures("plain")
def test_what_was_mended_is_told_no_more() -> None:
    pair = _pair(*MISMATCHES[0]).connect()
    pair.wait(20)
    assert _statuses(pair)[0].reason is Refusal.PFS_MISMATCH
    for lineage in pair.east.endpoint._ctx.lineages.values():
        for child in lineage.children.values():
            child.child = replace(child.child, proposals=(esp_proposal("aes128gcm16-x25519"),))
    pair.tell("west", RekeyRequested("east"))
    assert [(status.state, status.reason, status.message) for status in _statuses(pair)] == [
        (PeerState.UP, None, "")
    ] * 2


@pytest.mark.usefixtures("plain")
def test_a_trial_that_goes_well_is_not_repeated_until_the_configuration_is_another() -> None:
    pair = _pair().connect()
    pair.wait(20)
    assert _trials(pair) == 1
    for _ in range(2):
        pair.tell("west", Disconnect("east"))
        pair.tell("west", Connect("east"), 30)
    assert _trials(pair) == 1
    assert all(status.state is PeerState.UP for status in _statuses(pair))
    pair.west_peer = replace(pair.west_peer, dpd_s=77)
    pair.tell("west", Configured((pair.west_peer,)))
    pair.tell("west", Connect("east"), 30)
    assert _trials(pair) == 2


def test_the_responder_tries_where_the_initiator_has_no_group() -> None:
    pair = _pair("aes128gcm16", "aes128gcm16-x25519").connect()
    assert all(status.state is PeerState.UP for status in _statuses(pair))
    pair.wait(20)
    assert _trials(pair) == 1
    assert [status.reason for status in _statuses(pair)] == [Refusal.PFS_MISMATCH] * 2


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("rekey", [Rekey(0), Rekey(50)], ids=["never", "soon"])
def test_no_trial_where_no_new_keys_will_come_or_they_come_soon(rekey: Rekey) -> None:
    pair = _pair(rekey=rekey).connect()
    assert all(key[0] is not Timer.PFS_TRIAL for key in pair.west.endpoint._ctx.timers._due)


@pytest.mark.usefixtures("plain")
def test_no_trial_without_a_group() -> None:
    pair = _pair("aes128gcm16", "aes128gcm16").connect()
    pair.wait(100)
    assert _trials(pair) == 0


ANSWERS = [
    (NotifyType.NO_ADDITIONAL_SAS, b"", None),
    (NotifyType.INVALID_KE_PAYLOAD, b"\0\2", Refusal.PFS_MISMATCH),
    (NotifyType.INVALID_KE_PAYLOAD, b"", Refusal.PFS_MISMATCH),
    (NotifyType.NO_PROPOSAL_CHOSEN, b"", Refusal.PFS_MISMATCH),
    (NotifyType.TS_UNACCEPTABLE, b"", Refusal.REKEY_REFUSED),
    (NotifyType.FAILED_CP_REQUIRED, b"", Refusal.REKEY_REFUSED),
]


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize(("answer", "data", "reason"), ANSWERS)
def test_whatever_the_peer_says_to_a_trial_the_child_stays(
    monkeypatch: pytest.MonkeyPatch, answer: NotifyType, data: bytes, reason: Refusal | None
) -> None:
    pair = _pair().connect()

    def respond(*_: object) -> None:
        raise refused(answer, "as other implementations say", data)

    monkeypatch.setattr(create_child_sa, "respond", respond)
    before = pair.west.endpoint.status("east").children
    pair.wait(30)
    status = pair.west.endpoint.status("east")
    assert status.children == before
    assert (status.state, status.reason) == (PeerState.UP, reason)
    assert bool(status.message) == (reason is not None)
    assert pair.east.endpoint.status("west").state is PeerState.UP


@pytest.mark.usefixtures("plain")
def test_a_peer_that_is_busy_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    pair, real, asked = _pair().connect(), create_child_sa.respond, []

    def respond(*arguments: object) -> object:
        asked.append(1)
        if len(asked) < 3:
            raise refused(NotifyType.TEMPORARY_FAILURE, "busy")
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(create_child_sa, "respond", respond)
    pair.wait(60)
    assert len(asked) == 3
    assert "net" in pair.west.endpoint._ctx.peers["east"].rekeyed


@pytest.mark.usefixtures("plain")
def test_a_trial_crosses_a_rekey_that_a_person_asked_for() -> None:
    pair = _pair().connect()
    (spi,) = [key[1] for key in pair.west.endpoint._ctx.timers._due if key[0] is Timer.PFS_TRIAL]
    at = pair.west.endpoint._ctx.timers.at(Timer.PFS_TRIAL, spi)
    assert at is not None
    pair.world.at(at, "west", RekeyRequested("east"))
    pair.world.at(at, "east", RekeyRequested("west"))
    pair.wait(60)
    assert all(len(status.children) == 1 and status.reason is None for status in _statuses(pair))
