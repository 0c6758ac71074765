"""What `status` tells while two gateways do not come together: the most that can be known, and steadily."""

from __future__ import annotations

from dataclasses import replace

import pytest

from culvert.addresses import SocketAddress
from culvert.clock import SECOND
from culvert.config.model import Rekey, Start
from culvert.identities import Identity
from culvert.ike import explaining
from culvert.ike.actions import Log
from culvert.ike.events import Configured, Connect, DatagramReceived
from culvert.ike.status import PeerState, PeerStatus
from culvert.ike.timers import Timer
from culvert.ipsec.proposals import ike_proposal
from culvert.limits import LOG_BURST
from culvert.reasons import Refusal
from culvert.sim.link import Conditions
from culvert.sim.pair import Pair, with_child
from culvert.wire.isakmp.header import NO_SPI
from culvert.wire.isakmp.ke import KeyExchangePayload
from culvert.wire.isakmp.message import Message, emit_message
from culvert.wire.isakmp.nonce import Nonce
from culvert.wire.isakmp.numbers import ExchangeType, ProtocolId
from culvert.wire.isakmp.sa import Proposal, SecurityAssociation, TransformSubstructure


def _both(start: Start = Start.ALWAYS) -> Pair:
    return Pair(start=start)


def _statuses(pair: Pair) -> tuple[PeerStatus, PeerStatus]:
    return pair.west.endpoint.status("east"), pair.east.endpoint.status("west")


def _steady(pair: Pair, reason: Refusal, within: float, seconds: float = 150) -> list[set[str]]:
    """See that both ends show `reason` from some moment on, whatever is under way; give their messages."""
    pair.wait(within)
    messages: list[set[str]] = [set(), set()]
    end = pair.world.now + int(seconds * SECOND)
    while pair.world.now < end:
        for status, seen in zip(_statuses(pair), messages, strict=True):
            assert status.reason is reason, status
            assert status.state is not PeerState.UP
            seen.add(status.message)
        pair.wait(0.1)
    return messages


@pytest.mark.parametrize("starts", ["always always", "always passive", "passive always"])
def test_a_wrong_secret_is_shown_steadily_at_both_ends(starts: str) -> None:
    pair = _both()
    west, east = (Start(word) for word in starts.split())
    pair.west_peer = replace(pair.west_peer, start=west)
    pair.east_peer = replace(pair.east_peer, start=east, secret=b"another secret")
    pair.configure()
    for messages in _steady(pair, Refusal.AUTHENTICATION_FAILED, 3):
        (message,) = messages
        assert "secret" in message


def test_who_is_called_shows_where_the_algorithms_differ() -> None:
    pair = _both(Start.PASSIVE)
    pair.east_peer = replace(pair.east_peer, proposals=(ike_proposal("aes256gcm16-prfsha384-ecp384"),))
    pair.connect()
    pair.wait(5)
    here, there = _statuses(pair)
    assert here.reason is there.reason is Refusal.NO_PROPOSAL_CHOSEN
    assert "it takes none of what we offer, aes128gcm16-prfsha256-x25519" in here.message
    assert "the first difference is in the encryption (the peer's aes128gcm16, ours aes256gcm16)" in there.message
    assert there.state is PeerState.IDLE


def _first_messages(pair: Pair, count: int) -> list[DatagramReceived]:
    """Give first messages with algorithms that nobody here has, each with another SPI, as if from west."""
    transforms = tuple(TransformSubstructure(kind, 900) for kind in (1, 2, 3, 4))
    payloads = (
        SecurityAssociation((Proposal(1, ProtocolId.IKE, b"", transforms),)),
        KeyExchangePayload(900, bytes(32)),
        Nonce(bytes(32)),
    )
    ends = SocketAddress(pair.east.address, 500), SocketAddress(pair.west.address, 500)
    kind = ExchangeType.IKE_SA_INIT
    spis = (number.to_bytes(8, "big") for number in range(1, count + 1))
    messages = (Message(spi, NO_SPI, kind, True, False, 0, payloads) for spi in spis)
    return [DatagramReceived(*ends, emit_message(message)) for message in messages]


def test_a_flood_of_algorithms_that_nobody_has_is_explained_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    explained, real = [], explaining.proposals
    monkeypatch.setattr(explaining, "proposals", lambda *words, **more: explained.append(1) or real(*words, **more))
    pair = _both(Start.PASSIVE).configure()
    lines = [
        action
        for event in _first_messages(pair, 1_000)
        for action in pair.east.endpoint.step(event, pair.world.now)
        if isinstance(action, Log)
    ]
    assert len(explained) == len(lines) <= LOG_BURST
    assert pair.east.endpoint.refused()["NO_PROPOSAL_CHOSEN"] == 1_000


def test_who_says_that_it_is_at_the_address_of_a_peer_that_is_up_changes_nothing_that_is_told() -> None:
    pair = _both(Start.PASSIVE).connect()
    for event in _first_messages(pair, 3):
        pair.east.endpoint.step(event, pair.world.now)
    assert (_statuses(pair)[1].state, _statuses(pair)[1].reason) == (PeerState.UP, None)


def test_the_line_of_the_secret_is_named_at_both_ends() -> None:
    pair = _both(Start.PASSIVE)
    pair.west_peer = replace(pair.west_peer, secret_from="psk.txt:3")
    pair.east_peer = replace(pair.east_peer, secret=b"another secret", secret_from="keys.txt:7")
    pair.connect()
    here, there = _statuses(pair)
    assert "our secret is that in psk.txt:3" in here.message
    assert "its secret is not the one that we have for this peer in keys.txt:7" in there.message


def test_who_asks_for_somebody_else_is_shown_here_too() -> None:
    pair = _both(Start.PASSIVE)
    name = Identity.parse("somebody.example.org")
    pair.west_peer = replace(pair.west_peer, identity=name)
    pair.configure()
    pair.tell("west", Connect("east"))
    here, there = _statuses(pair)
    assert here.reason is there.reason is Refusal.AUTHENTICATION_FAILED
    assert "somebody.example.org" in there.message


def test_a_wrong_secret_is_shown_while_another_attempt_gets_no_answer() -> None:
    pair = _both()
    east = Identity.of_address(pair.east.address)
    pair.east_peer = replace(pair.east_peer, secret=b"another secret")
    pair.west_peer = replace(pair.west_peer, addresses=("198.51.100.9",), identity=east)  # nobody is there
    pair.west_peer = replace(pair.west_peer, addresses=("198.51.100.9", "198.51.100.1"))
    pair.configure()
    status = pair.west.endpoint.status("east")
    assert (status.state, status.reason) == (PeerState.CONNECTING, Refusal.AUTHENTICATION_FAILED)


def test_networks_that_do_not_mirror_are_shown_with_both_sides_at_both_ends() -> None:
    pair = _both()
    pair.east_peer = with_child(pair.east_peer, "10.3.0.0/16", "10.1.0.0/16")
    pair.configure()
    for messages in _steady(pair, Refusal.TS_UNACCEPTABLE, 7):
        assert all("10.2.0.0/16" in message and "10.3.0.0/16" in message for message in messages), messages


def test_networks_that_are_mended_leave_no_word_of_it() -> None:
    pair = _both()
    good = pair.east_peer
    pair.east_peer = with_child(pair.east_peer, "10.3.0.0/16", "10.1.0.0/16")
    pair.configure()
    pair.wait(10)
    pair.tell("east", Configured((good,)), 40)
    assert [(status.state, status.reason) for status in _statuses(pair)] == [(PeerState.UP, None)] * 2


def test_the_end_of_a_lifetime_has_a_reason_of_its_own() -> None:
    pair = _both(Start.PASSIVE)
    pair.west_peer = replace(pair.west_peer, rekey=Rekey(600), dpd_s=0)
    pair.east_peer = replace(pair.east_peer, dpd_s=0)
    pair.configure()
    pair.tell("west", Connect("east"), 1)
    pair.world.link.conditions = Conditions(loss=1.0)
    pair.world.link.heals_at = 1 << 62
    endpoint = pair.west.endpoint
    sa = next(iter(endpoint._ctx.sas.values()))
    endpoint._ctx.timers.clear(Timer.IKE_REKEY, sa.spi.hex())  # as if the peer were busy all the time
    lines = pair.wait(700)
    assert any("hard limit" in line for line in lines)
    assert endpoint.status("east").reason is Refusal.LIFETIME_ENDED


@pytest.mark.parametrize("literal", ["none", "west", "east"])
def test_gateways_that_know_each_other_by_names(literal: str) -> None:
    pair = _both()
    pair.world.names = {"GW-a.example": str(pair.west.address), "gw-b.example": str(pair.east.address)}
    names = {"west": "gw-a.example", "east": "gw-b.example"}
    if literal != "east":
        pair.west_peer = replace(pair.west_peer, addresses=("gw-b.example",))
    if literal != "west":
        pair.east_peer = replace(pair.east_peer, addresses=("GW-a.example",))
    ours = {side: Identity.parse(name) if literal == "none" else None for side, name in names.items()}
    pair.tell("west", Configured((pair.west_peer,), ours["west"]))
    pair.tell("east", Configured((pair.east_peer,), ours["east"]), 10)
    assert all(status.state is PeerState.UP for status in _statuses(pair))


def test_a_peer_with_a_name_may_call_from_where_the_name_did_not_lead() -> None:
    pair = _both(Start.PASSIVE)
    pair.world.names = {"gw-a.example": "203.0.113.77"}  # it has another address since
    pair.east_peer = replace(pair.east_peer, addresses=("gw-a.example",))
    pair.tell("east", Configured((pair.east_peer,)))
    pair.tell("west", Configured((pair.west_peer,), Identity.parse("gw-a.example")))
    pair.tell("west", Connect("east"))
    assert all(status.state is PeerState.UP for status in _statuses(pair))
