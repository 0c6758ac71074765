"""Peers that were believed: until their certificate ends, until it is taken back, and through reloads between."""

from __future__ import annotations

from dataclasses import replace

from culvert.clock import SECOND
from culvert.config.model import Start
from culvert.crypto.certificates.store import TrustStore
from culvert.ike.events import CalendarSet, Configured, Connect, RekeyRequested
from culvert.ike.status import PeerState
from culvert.ike.v2 import keeping
from culvert.reasons import Refusal
from culvert.sim.pair import Pair
from culvert.sim.world import UTC_OFFSET_S
from tests.certified import (
    CREDENTIALS,
    authority,
    certified_pair,
    credential,
    good,
    intermediate,
    revoking,
    stranger,
    trust,
)
from tests.unit.crypto.certificates.authorities import DAY_S, NOW_S


def _joined(**credentials: str) -> Pair:
    pair = certified_pair(**credentials)
    pair.west_peer = replace(pair.west_peer, start=Start.ALWAYS)
    pair.configure()
    pair.wait(5)
    assert _state(pair, "west") is _state(pair, "east") is PeerState.UP
    return pair


def _state(pair: Pair, name: str) -> PeerState:
    other = "east" if name == "west" else "west"
    return pair.world.nodes[name].endpoint.status(other).state


def _spi(pair: Pair) -> bytes:
    ike = pair.west.endpoint.status("east").ike
    assert ike is not None
    return ike.spi_i


def test_a_revocation_that_is_loaded_ends_the_tunnel_at_once_and_says_why() -> None:
    pair = _joined()
    pair.east_peer = replace(pair.east_peer, trust=revoking("west", good("west")))
    said = pair.tell("east", Configured((pair.east_peer,)))
    assert any("east says" in line and "revoked the certificate of" in line for line in said)
    pair.wait(30)
    status = pair.east.endpoint.status("west")
    assert status.state is not PeerState.UP
    assert status.reason is Refusal.CERTIFICATE_REVOKED
    assert not pair.east.plane.associations
    assert not pair.west.plane.associations


def test_a_revocation_of_somebody_else_ends_nothing() -> None:
    pair = _joined(west="chain")
    before = _spi(pair)
    pair.east_peer = replace(pair.east_peer, trust=revoking("west", good("west")))
    pair.tell("east", Configured((pair.east_peer,)))
    pair.wait(30)
    assert _spi(pair) == before
    assert _state(pair, "east") is PeerState.UP


def test_the_authority_between_counts_too_and_after_rekeys() -> None:
    pair = _joined(west="chain")
    pair.tell("west", RekeyRequested("east", ike=True))
    pair.tell("east", RekeyRequested("west", ike=True))
    crl = authority().crl(intermediate().certificate.serial)
    pair.east_peer = replace(pair.east_peer, trust=TrustStore((authority().certificate,), crls=(crl,)))
    pair.tell("east", Configured((pair.east_peer,)))
    assert _state(pair, "east") is not PeerState.UP
    assert pair.east.endpoint.status("west").reason is Refusal.CERTIFICATE_REVOKED


def test_an_authority_that_is_no_longer_trusted_vouches_for_nobody() -> None:
    pair = _joined()
    pair.east_peer = replace(pair.east_peer, trust=TrustStore((stranger().certificate,)))
    pair.tell("east", Configured((pair.east_peer,)))
    assert pair.east.endpoint.status("west").reason is Refusal.CERTIFICATE_UNTRUSTED


def test_a_list_that_is_out_of_date_ends_nothing_and_keeps_new_ones_away() -> None:
    pair = _joined()
    before = _spi(pair)
    old = authority().crl(from_s=NOW_S - 2 * DAY_S, until_s=NOW_S - DAY_S)
    pair.east_peer = replace(pair.east_peer, trust=TrustStore((authority().certificate,), crls=(old,)))
    pair.tell("east", Configured((pair.east_peer,)))
    pair.wait(7_200)
    assert _spi(pair) == before
    pair.world.restart("west")
    pair.wait(600)
    assert pair.east.endpoint.status("west").reason is Refusal.REVOCATION_UNKNOWN


def test_a_new_certificate_of_ours_ends_nothing_and_is_shown_from_then_on() -> None:
    pair = _joined()
    before = _spi(pair)
    pair.west_peer = replace(pair.west_peer, credential=CREDENTIALS["rsa"]("west"))
    pair.tell("west", Configured((pair.west_peer,)))
    pair.wait(30)
    assert _spi(pair) == before
    pair.world.restart("west")
    pair.wait(30)
    assert any("RSASSA-PSS" in line for line in pair.world.trace)


def test_what_was_refused_is_tried_again_at_once_after_a_reload() -> None:
    pair = certified_pair(east="of a stranger")
    pair.west_peer = replace(pair.west_peer, start=Start.ALWAYS)
    pair.configure()
    pair.wait(600)
    assert pair.west.endpoint.status("east").reason is Refusal.CERTIFICATE_UNTRUSTED
    both = TrustStore((*trust().anchors, stranger().certificate))
    pair.west_peer = replace(pair.west_peer, trust=both)
    pair.tell("west", Configured((pair.west_peer,)), 2)
    assert _state(pair, "west") is PeerState.UP


def test_the_status_tells_who_it_is_and_until_when_that_holds() -> None:
    pair = _joined(west="chain")
    ike = pair.east.endpoint.status("west").ike
    assert ike is not None
    assert (ike.identity, ike.proven_by) == ("west.example.org", "certificate")
    assert ike.certificate_ends_at is not None
    assert abs(ike.certificate_ends_at - DAY_S * SECOND) <= 2 * SECOND
    by_secret = Pair().connect().west.endpoint.status("east").ike
    assert by_secret is not None
    assert (by_secret.identity, by_secret.proven_by) == ("198.51.100.1", "secret")
    assert by_secret.certificate_ends_at is None


def test_a_certificate_that_ends_ends_its_tunnel() -> None:
    pair = certified_pair()
    pair.west_peer = replace(pair.west_peer, credential=credential("west", until_s=NOW_S + 100))
    pair.configure()
    pair.tell("west", Connect("east"))
    pair.wait(90)
    assert _state(pair, "east") is PeerState.UP
    pair.wait(20)
    status = pair.east.endpoint.status("west")
    assert status.state is not PeerState.UP
    assert status.reason is Refusal.CERTIFICATE_EXPIRED
    assert "expired on" in status.message


def test_a_clock_that_is_set_forward_is_taken_at_its_word() -> None:
    pair = _joined()
    pair.tell("east", CalendarSet(UTC_OFFSET_S + 3_600))
    assert _state(pair, "east") is PeerState.UP
    pair.tell("east", CalendarSet(UTC_OFFSET_S + 2 * DAY_S))
    assert pair.east.endpoint.status("west").reason is Refusal.CERTIFICATE_EXPIRED


def test_a_process_that_takes_over_goes_on_watching() -> None:
    pair = certified_pair()
    pair.west_peer = replace(pair.west_peer, credential=credential("west", until_s=NOW_S + 100))
    pair.configure()
    pair.tell("west", Connect("east"))
    pair.world.replace("east")
    pair.wait(60)
    assert _state(pair, "east") is PeerState.UP
    pair.wait(60)
    assert pair.east.endpoint.status("west").reason is Refusal.CERTIFICATE_EXPIRED


def test_what_the_calendar_changes_is_kept_too() -> None:
    pair = _joined()
    pair.tell("east", CalendarSet(UTC_OFFSET_S + 3_600))
    assert keeping.behind(pair.east.endpoint._ctx) == []
