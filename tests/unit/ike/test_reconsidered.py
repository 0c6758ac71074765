"""Authorities and lists of revocations that change while tunnels stand: who is still believed does not notice."""

from __future__ import annotations

from dataclasses import replace

import pytest

from culvert.config.model import Origin
from culvert.crypto.certificates.store import TrustStore
from culvert.ike.events import Configured, Connect, RekeyRequested
from culvert.ike.status import PeerState
from culvert.reasons import Refusal
from culvert.sim.pair import Pair
from tests.certified import authority, certified_pair, intermediate, revoking, stranger

ENDS = [("east", "west"), ("west", "east")]


def connected(**kinds: str) -> Pair:
    pair = certified_pair(**kinds)
    pair.configure()
    pair.tell("west", Connect("east"))
    assert up(pair)
    return pair


def up(pair: Pair) -> bool:
    states = {pair.west.endpoint.status("east").state, pair.east.endpoint.status("west").state}
    return states == {PeerState.UP}


def believing(pair: Pair, side: str, trust: TrustStore, **others: object) -> list[str]:
    """Let one end read its configuration again, in which it trusts others now; give what comes of it."""
    peer = replace(getattr(pair, f"{side}_peer"), trust=trust, **others)
    setattr(pair, f"{side}_peer", peer)
    return [line for line in pair.tell(side, Configured((peer,))) if not line.endswith(f"{side} Configured")]


def clean() -> TrustStore:
    return TrustStore((authority().certificate,), crls=(authority().crl(4711),))


@pytest.mark.parametrize(("judge", "other"), ENDS)
def test_a_new_list_without_the_peer_is_taken_over_in_silence(judge: str, other: str) -> None:
    pair = connected()
    before = dict(pair.world.nodes[judge].plane.associations)
    assert believing(pair, judge, clean(), origin=Origin("gateway.toml", 7)) == []
    assert up(pair)
    assert before
    assert pair.world.nodes[judge].plane.associations == before


@pytest.mark.parametrize(("judge", "other"), ENDS)
@pytest.mark.parametrize("rekeyed", [False, True])
def test_who_is_revoked_loses_its_tunnel_at_once_and_does_not_get_it_back(
    judge: str, other: str, rekeyed: bool
) -> None:
    pair = connected()
    if rekeyed:
        pair.tell("west", RekeyRequested("east", ike=True))
    shown = getattr(pair, f"{other}_peer").credential
    said = believing(pair, judge, revoking(other, shown))
    assert any("not believed any more" in line and "revoked the certificate of" in line for line in said), said
    pair.wait(30)
    assert not pair.west.plane.associations
    assert not pair.east.plane.associations
    pair.tell(other, Connect(judge))
    status = pair.world.nodes[judge].endpoint.status(other)
    assert (status.reason, status.state == PeerState.UP) == (Refusal.CERTIFICATE_REVOKED, False)
    believing(pair, judge, clean())
    pair.tell(other, Connect(judge))
    assert up(pair), "and the next list may let it in again"


@pytest.mark.parametrize(("judge", "other"), ENDS)
def test_an_authority_that_is_trusted_no_more_takes_its_gateways_along(judge: str, other: str) -> None:
    pair = connected()
    said = believing(pair, judge, TrustStore((stranger().certificate,)))
    assert any("not believed any more" in line for line in said)
    assert not up(pair)


def test_the_authority_between_is_remembered() -> None:
    pair = connected(west="chain")
    assert believing(pair, "east", clean()) == []
    assert up(pair)
    crl = authority().crl(intermediate().certificate.serial)
    believing(pair, "east", TrustStore((authority().certificate,), crls=(crl,)))
    assert not up(pair)


def test_a_peer_that_is_its_own_anchor_is_remembered() -> None:
    pair = certified_pair()
    pinned = pair.west_peer.credential
    assert pinned is not None
    pair.east_peer = replace(pair.east_peer, trust=TrustStore((pinned.certificate,)))
    pair.configure()
    pair.tell("west", Connect("east"))
    assert up(pair)
    both = TrustStore((pinned.certificate, stranger().certificate))
    assert believing(pair, "east", both) == []
    assert up(pair)
    believing(pair, "east", TrustStore((stranger().certificate,)))
    assert not up(pair)


def test_other_changes_still_begin_anew() -> None:
    pair = connected()
    said = believing(pair, "east", clean(), dpd_s=77)
    assert any("configuration changed" in line for line in said), said
