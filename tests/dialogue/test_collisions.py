"""Every row of the table of collisions, at either end: what we have under way, what comes, and what follows."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from culvert.ike.events import Disconnect
from culvert.ike.timers import Timer
from culvert.ike.v2 import collisions
from culvert.ike.v2.collisions import Answered, Asked, Meanwhile, Ours, Reply, Then
from culvert.ike.v2.reading import Contents, child_notify
from culvert.ike.v2.sa import (
    ChildOffer,
    ChildSa,
    CreateChild,
    DeleteChild,
    DeleteIke,
    IkeSa,
    IkeState,
    Lineage,
    RekeyChild,
    RekeyIke,
    Task,
)
from culvert.ike.v2.sealing import Payloads
from culvert.wire.isakmp.delete import Delete
from culvert.wire.isakmp.notify import Notify, NotifyType
from culvert.wire.isakmp.numbers import ExchangeType, ProtocolId
from culvert.wire.isakmp.sa import SecurityAssociation
from tests.dialogue.meeting import HIGH, KE, LOW, Meeting, asks, esp_offer, ike_offer, traffic
from tests.fuzz.duel import OTHER

ROOT = Path(__file__).resolve().parents[2]
ENDS = pytest.mark.parametrize("us", ["a", "b"], ids=["began the IKE SA", "answered it"])


# What the peer asks for


@dataclass(frozen=True, slots=True)
class Reached:
    """Where a request is to come: in which IKE SA, about which child, in the peer's SPI of it."""

    sa: IkeSa
    spi_out: int | None = None


def _busy(task: Callable[[Meeting], Task]) -> Callable[[Meeting], Reached]:
    def reach(meeting: Meeting) -> Reached:
        meeting.begin(task(meeting))
        return Reached(meeting.old)

    return reach


def _rekeyed_by_peer(meeting: Meeting) -> Reached:
    asks(meeting, Asked.REKEY_CHILD, meeting.old)
    return Reached(meeting.old)


def _rival(find: Callable[[Meeting], IkeSa], *, ours: bool) -> Callable[[Meeting], Reached]:
    def reach(meeting: Meeting) -> Reached:
        if ours:
            meeting.begin(RekeyIke())
        asks(meeting, Asked.REKEY_IKE, meeting.old)
        return Reached(find(meeting))

    return reach


def _newest(meeting: Meeting) -> IkeSa:
    return meeting.ctx.sas[meeting.lineage.members[-1]]


REACH: dict[Ours, Callable[[Meeting], Reached]] = {
    Ours.NOTHING: lambda meeting: Reached(meeting.old),
    Ours.CREATING: _busy(lambda _: CreateChild("later")),
    Ours.REKEYING_OTHER: _busy(lambda meeting: RekeyChild(meeting.second.spi_in)),
    Ours.DELETING_OTHER: _busy(lambda meeting: DeleteChild(meeting.second.spi_in)),
    Ours.REKEYING_IT: _busy(lambda meeting: RekeyChild(meeting.first.spi_in)),
    Ours.REPLACED_IT: _rekeyed_by_peer,
    Ours.DELETING_IT: _busy(lambda meeting: DeleteChild(meeting.first.spi_in)),
    Ours.WITHOUT_IT: lambda meeting: Reached(meeting.old, 0x1234_5678),
    Ours.REKEYING_IKE: _busy(lambda _: RekeyIke()),
    Ours.ANSWERED_RIVAL: _rival(lambda meeting: meeting.old, ours=True),
    Ours.CONTESTED: _rival(_newest, ours=True),
    Ours.REPLACED_IKE: _rival(lambda meeting: meeting.old, ours=False),
    Ours.DELETING_IKE: _busy(lambda _: DeleteIke()),
}


def _named(meeting: Meeting, spi_out: int | None) -> ChildSa | None:
    spi = meeting.first.spi_out if spi_out is None else spi_out
    return next((one for one in meeting.lineage.children.values() if one.spi_out == spi), None)


@ENDS
@pytest.mark.parametrize(
    ("asked", "ours"), collisions.REQUESTS, ids=[f"{asked}, {ours}" for asked, ours in collisions.REQUESTS]
)
def test_a_request_is_answered_as_the_table_says(asked: Asked, ours: Ours, us: str) -> None:
    meeting = Meeting(us)
    reached = REACH[ours](meeting)
    named = _named(meeting, reached.spi_out)
    assert collisions.standing(asked, reached.sa, meeting.lineage, named) is ours
    task = meeting.outstanding
    said = asks(meeting, asked, reached.sa, spi_out=reached.spi_out, nonce=HIGH)
    REPLIED[collisions.REQUESTS[asked, ours].reply](meeting, asked, said)
    if asked is not Asked.DELETE_IKE:
        assert meeting.outstanding == task
    if asked is Asked.DELETE_CHILD:
        assert _named(meeting, reached.spi_out) is None


def _as_usual(meeting: Meeting, asked: Asked, said: Contents) -> None:
    if asked is Asked.DELETE_IKE:
        assert not said.payloads
    elif asked is Asked.DELETE_CHILD:
        (gone,) = said.all(Delete)
        assert gone.spis == (meeting.first.spi_in.to_bytes(4, "big"),)
    else:
        assert said.find(SecurityAssociation)
        assert meeting.lineage.rival is None


def _nonces_decide(meeting: Meeting, asked: Asked, said: Contents) -> None:
    """Both are there, and we send on neither until it is decided."""
    assert said.find(SecurityAssociation)
    newest = list(meeting.lineage.children.values())[-1]
    if asked is Asked.REKEY_IKE:
        assert meeting.lineage.rival == _newest(meeting).spi
        assert meeting.lineage.current == meeting.old.spi
        return
    assert newest.waiting
    if asked is Asked.REKEY_CHILD:
        assert isinstance(meeting.offer, ChildOffer)
        assert meeting.offer.rival == newest.spi_in
        assert meeting.first.current


def _without_delete(_meeting: Meeting, _asked: Asked, said: Contents) -> None:
    assert not said.payloads


def _notified(kind: NotifyType) -> Callable[[Meeting, Asked, Contents], None]:
    def check(meeting: Meeting, _asked: Asked, said: Contents) -> None:
        (notify,) = said.payloads
        assert isinstance(notify, Notify)
        assert notify.type == kind
        assert all(one.child.name != "later" for one in meeting.lineage.children.values())

    return check


def _forgotten(meeting: Meeting, _asked: Asked, said: Contents) -> None:
    assert not said.payloads
    assert meeting.old.state is IkeState.CLOSED
    assert meeting.outstanding is None


def _theirs_taken(meeting: Meeting, asked: Asked, said: Contents) -> None:
    _forgotten(meeting, asked, said)
    assert meeting.sa.state is IkeState.ESTABLISHED
    assert [one.spi_in for one in meeting.lineage.children.values()] == [meeting.first.spi_in, meeting.second.spi_in]


def _withdrawn(meeting: Meeting, _asked: Asked, said: Contents) -> None:
    assert not said.payloads
    assert meeting.lineage.rival is None
    assert (meeting.lineage.current, meeting.outstanding) == (meeting.old.spi, RekeyIke())


REPLIED: dict[Reply, Callable[[Meeting, Asked, Contents], None]] = {
    Reply.AS_USUAL: _as_usual,
    Reply.NONCES_DECIDE: _nonces_decide,
    Reply.WITHOUT_DELETE: _without_delete,
    Reply.FORGET_OURS: _forgotten,
    Reply.TAKE_THEIRS: _theirs_taken,
    Reply.WITHDRAWN: _withdrawn,
    Reply.TEMPORARY_FAILURE: _notified(NotifyType.TEMPORARY_FAILURE),
    Reply.CHILD_SA_NOT_FOUND: _notified(NotifyType.CHILD_SA_NOT_FOUND),
}


# What the peer answers


def _begun(meeting: Meeting, asked: Asked, meanwhile: Meanwhile) -> None:
    """Let us ask, and what is to happen before the answer happen."""
    if meanwhile is Meanwhile.EARLY:
        meeting.first.answered_in = meeting.old.spi
    ours: dict[Asked, Task] = {
        Asked.NEW_CHILD: CreateChild("later"),
        Asked.REKEY_CHILD: RekeyChild(meeting.first.spi_in),
        Asked.REKEY_IKE: RekeyIke(),
    }
    meeting.begin(ours[asked])
    if meanwhile in (Meanwhile.THEIRS, Meanwhile.OURS_LOWEST, Meanwhile.THEIRS_LOWEST):
        asks(meeting, asked, meeting.old, nonce=LOW if meanwhile is Meanwhile.THEIRS_LOWEST else HIGH)
    elif meanwhile is Meanwhile.GONE:
        asks(meeting, Asked.DELETE_CHILD, meeting.old)
    elif meanwhile is Meanwhile.ENDING:
        meeting.duel.step(meeting.us, Disconnect(OTHER[meeting.us]))


def _answer(meeting: Meeting, asked: Asked, meanwhile: Meanwhile, answered: Answered) -> None:
    nonce = LOW if meanwhile is Meanwhile.OURS_LOWEST else HIGH
    later = meeting.ctx.peers[OTHER[meeting.us]].peer.children[2]
    about = later if asked is Asked.NEW_CHILD else meeting.first
    made: Payloads = (ike_offer(), nonce, KE)
    if asked is not Asked.REKEY_IKE:
        made = (esp_offer(), nonce, *traffic(about, theirs_first=False))
    payloads: dict[Answered, Payloads] = {
        Answered.MADE: made,
        Answered.TEMPORARY_FAILURE: (Notify(NotifyType.TEMPORARY_FAILURE),),
        Answered.CHILD_SA_NOT_FOUND: (
            child_notify(NotifyType.CHILD_SA_NOT_FOUND, meeting.first.spi_in, ProtocolId.ESP),
        ),
        Answered.REFUSED: (Notify(NotifyType.NO_PROPOSAL_CHOSEN),),
    }
    meeting.hear(meeting.old, ExchangeType.CREATE_CHILD_SA, payloads[answered], response=True)


@ENDS
@pytest.mark.parametrize(
    ("asked", "meanwhile", "answered"), collisions.RESPONSES, ids=[", ".join(row) for row in collisions.RESPONSES]
)
def test_an_answer_is_taken_as_the_table_says(asked: Asked, meanwhile: Meanwhile, answered: Answered, us: str) -> None:
    meeting = Meeting(us)
    _begun(meeting, asked, meanwhile)
    there = dict(meeting.lineage.children)
    members = list(meeting.lineage.members)
    _answer(meeting, asked, meanwhile, answered)
    after = After(meeting, asked, there, members)
    TAKEN[collisions.RESPONSES[asked, meanwhile, answered].then](after)


@dataclass(frozen=True, slots=True)
class After:
    """What is to be looked at when the answer is taken; `there` and `members` were there before it came."""

    meeting: Meeting
    asked: Asked
    there: dict[int, ChildSa]
    members: list[bytes]

    @property
    def lineage(self) -> Lineage:
        return self.meeting.lineage

    @property
    def made(self) -> ChildSa:
        (made,) = (one for spi, one in self.lineage.children.items() if spi not in self.there)
        return made

    @property
    def made_ike(self) -> IkeSa:
        (spi,) = (spi for spi in self.lineage.members if spi not in self.members)
        return self.meeting.ctx.sas[spi]

    @property
    def theirs(self) -> ChildSa:
        return list(self.there.values())[-1]

    def deletes_child(self, child: ChildSa) -> bool:
        return self.meeting.outstanding == DeleteChild(child.spi_in)


def _ours_kept(after: After) -> None:
    first = after.meeting.first
    if after.asked is Asked.REKEY_IKE:
        assert after.lineage.current == after.made_ike.spi
        assert after.meeting.outstanding == DeleteIke()
        return
    assert after.made.current
    assert not after.made.waiting
    assert first.replaced_by == after.made.spi_in
    assert after.deletes_child(first)
    assert after.theirs is after.meeting.second or after.theirs.redundant


def _ours_kept_alone(after: After) -> None:
    assert after.made.current
    assert not after.made.waiting
    assert after.meeting.outstanding is None


def _ours_deleted(after: After) -> None:
    if after.asked is Asked.REKEY_IKE:
        made = after.made_ike
        assert after.lineage.current == after.members[-1]
        assert made.window.outstanding
        assert made.window.outstanding.task == DeleteIke()
        assert after.meeting.outstanding is None
        return
    assert after.deletes_child(after.made)
    assert after.made.waiting
    assert after.meeting.first.replaced_by == after.theirs.spi_in


def _theirs_in_place(after: After) -> None:
    assert after.meeting.outstanding is None
    if after.asked is Asked.REKEY_IKE:
        assert after.lineage.current == after.members[-1]
        assert after.meeting.sa.state is IkeState.ESTABLISHED
        return
    assert after.meeting.first.replaced_by == after.theirs.spi_in
    assert after.theirs.current


def _nothing(after: After) -> None:
    """Only what was waiting goes on: an end of the IKE SA."""
    assert after.meeting.outstanding in (None, DeleteIke())
    assert not after.lineage.queue
    assert after.lineage.children.keys() <= after.there.keys()


def _again(after: After) -> None:
    (task,) = after.lineage.queue
    assert isinstance(task, CreateChild | RekeyChild | RekeyIke)
    assert after.lineage.retry_at is not None
    assert after.lineage.retry_at > after.meeting.ctx.now
    assert after.lineage.children.keys() == after.there.keys()


def _anew(after: After) -> None:
    assert after.meeting.first.spi_in not in after.lineage.children
    task = after.meeting.outstanding
    assert isinstance(task, CreateChild)
    assert task.child == after.meeting.first.child.name


def _told(after: After) -> None:
    assert after.meeting.outstanding is None
    assert not after.lineage.queue
    timers, first = after.meeting.ctx.timers, after.meeting.first
    if after.asked is Asked.REKEY_CHILD:
        assert first.current
        assert timers.at(Timer.CHILD_REKEY, first.spi_in)
    elif after.asked is Asked.REKEY_IKE:
        assert timers.at(Timer.IKE_REKEY, after.meeting.old.spi.hex())
    else:
        record = after.meeting.ctx.peers[OTHER[after.meeting.us]]
        assert "later" in record.refused


TAKEN: dict[Then, Callable[[After], None]] = {
    Then.KEEP_OURS: _ours_kept,
    Then.KEEP_OURS_ALONE: _ours_kept_alone,
    Then.DELETE_OURS: _ours_deleted,
    Then.TAKE_THEIRS: _theirs_in_place,
    Then.IGNORE: _nothing,
    Then.AGAIN: _again,
    Then.ANEW: _anew,
    Then.REFUSED: _told,
}


# The table itself


def test_everything_that_can_meet_is_in_the_table() -> None:
    """What is about one child meets what we do with it, or without it; what is not does not."""
    of_it = {Ours.REKEYING_IT, Ours.REPLACED_IT, Ours.DELETING_IT, Ours.WITHOUT_IT}
    for asked in Asked:
        about_child = asked in (Asked.REKEY_CHILD, Asked.DELETE_CHILD)
        met = {ours for known, ours in collisions.REQUESTS if known is asked}
        assert met == (set(Ours) if about_child else set(Ours) - of_it)
    assert set(REACH) == set(Ours)


def test_every_refusal_says_why() -> None:
    refusing = (Reply.TEMPORARY_FAILURE, Reply.CHILD_SA_NOT_FOUND)
    for rule in collisions.REQUESTS.values():
        assert bool(rule.why) == (rule.reply in refusing)


def test_the_documentation_has_the_table() -> None:
    """As `tools/generate_collisions.py` writes it."""
    command = [sys.executable, "tools/generate_collisions.py", "--check"]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 0
