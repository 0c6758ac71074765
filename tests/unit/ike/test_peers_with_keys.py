"""What a peer that has the keys of an IKE SA can write into it, and what was once taken wrongly."""

from __future__ import annotations

from dataclasses import replace

import pytest

from culvert.ike.actions import Action, Log, Transmit
from culvert.ike.events import AssociationExpired
from culvert.ike.v2 import sealing
from culvert.ike.v2.sa import IkeState
from culvert.ike.v2.sealing import Payloads
from culvert.reasons import Refusal
from culvert.sim import bookkeeping
from culvert.sim.snapshots import CountedEntropy
from culvert.wire.isakmp.encrypted import Encrypted
from culvert.wire.isakmp.message import parse_message
from culvert.wire.isakmp.notify import Notify, NotifyType
from culvert.wire.isakmp.numbers import ExchangeType
from tests.fuzz.said import purposes
from tests.fuzz.stands import Stand, stand


def _say(at: Stand, exchange: ExchangeType, payloads: Payloads, *, response: bool) -> list[Action]:
    window = at.live.window
    number = window.outstanding.message_id if response and window.outstanding else window.expected
    entropy = CountedEntropy(b"peer")
    return at.receive(sealing.seal(at.peer(), entropy, exchange, payloads, message_id=number, response=response))


def _errors(at: Stand, actions: list[Action]) -> list[int]:
    """Give the error notifications in our answer."""
    data = next(one.data for one in actions if isinstance(one, Transmit))
    message = parse_message(data)
    assert isinstance(message.encrypted, Encrypted)
    return [one.type for one in sealing.unseal(at.peer(), data, message.encrypted) if isinstance(one, Notify)]


def test_an_answer_for_a_child_that_reached_its_hard_limit_meanwhile_sets_no_timer_for_it() -> None:
    at = stand("rekeying a child").copied()
    (child,) = at.ctx.lineages[at.sa.lineage].children.values()
    at.endpoint.step(AssociationExpired(child.inbound.id, hard=True), at.now)
    _say(at, ExchangeType.CREATE_CHILD_SA, purposes(at, response=True)["rekey of the IKE SA"], response=True)
    bookkeeping.check("it", at.ctx)


def test_a_peer_cannot_have_two_children_of_one_spi() -> None:
    at = stand("established, answered it").copied()
    wanted = purposes(at, response=False)["new child"]
    assert _errors(at, _say(at, ExchangeType.CREATE_CHILD_SA, wanted, response=False)) == []
    again = _say(at, ExchangeType.CREATE_CHILD_SA, wanted, response=False)
    assert _errors(at, again) == [NotifyType.NO_PROPOSAL_CHOSEN]  # INVALID_SYNTAX would end the IKE SA
    assert len(at.ctx.lineages[at.sa.lineage].children) == 2
    assert at.live.state is IkeState.ESTABLISHED


def test_nor_give_us_one_that_it_has_already() -> None:
    at = stand("rekeying a child").copied()
    lineage = at.ctx.lineages[at.sa.lineage]
    (old,) = lineage.children.values()
    wanted = purposes(at, response=True)["new child"]
    spi = old.spi_out.to_bytes(4, "big")
    offered = wanted[1]
    proposal = replace(offered.proposals[0], spi=spi)  # type: ignore[union-attr]
    payloads = (wanted[0], replace(offered, proposals=(proposal,)), *wanted[2:])  # type: ignore[type-var]
    _say(at, ExchangeType.CREATE_CHILD_SA, payloads, response=True)
    assert list(lineage.children.values()) == [old]
    bookkeeping.check("it", at.ctx)


def test_a_proof_that_cannot_be_read_is_counted_and_told() -> None:
    at = stand("half open").copied()
    first, inner = 39, b"\0\0\0\3"
    header = sealing._header(at.peer(), ExchangeType.IKE_AUTH, 1, False)
    data = sealing._whole(at.peer(), CountedEntropy(b"peer"), header, (first, inner))
    actions = at.receive(data)
    assert at.endpoint.refused()[Refusal.INVALID_SYNTAX.value] == 1
    assert [one.reason for one in actions if isinstance(one, Log) and one.reason] == [Refusal.INVALID_SYNTAX]


@pytest.mark.parametrize("state", ["rekeying a child", "rekeying the IKE SA", "deleting", "deleting a child"])
def test_what_we_said_is_known_by_our_keys(state: str) -> None:
    at = stand(state)
    assert at.live.window.outstanding
    datagrams = at.live.window.outstanding.datagrams
    assert sealing.said(at.live, datagrams)
    assert not sealing.said(at.peer(), datagrams)
    assert not sealing.said(at.live, (datagrams[0][:-1] + bytes((datagrams[0][-1] ^ 1,)),))
    assert not sealing.said(at.live, (b"no message at all",))
    assert not sealing.said(at.live, (datagrams[0][:18] + b"\x23" + datagrams[0][19:],))
