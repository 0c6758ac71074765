"""Where exchanges of both ends meet: the one table of RFC 7296 sections 2.8 and 2.25. The exchanges consult it.

`REQUESTS` tells how a request of the peer is answered, by what we have under way or have just done. `RESPONSES` tells
what follows from the answer to a request of ours, by what came meanwhile. docs/reference/ike.md has both.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from culvert.ike.v2.sa import (
    ChildOffer,
    ChildSa,
    CreateChild,
    DeleteChild,
    IkeSa,
    IkeState,
    Lineage,
    RekeyChild,
    RekeyIke,
)
from culvert.wire.isakmp.notify import NotifyType


class Asked(StrEnum):
    """What a request asks for."""

    NEW_CHILD = "a new child"
    REKEY_CHILD = "a successor for a child"
    REKEY_IKE = "a successor for the IKE SA"
    DELETE_CHILD = "the end of a child"
    DELETE_IKE = "the end of the IKE SA"


class Ours(StrEnum):
    """What we have under way, or have just done, where a request of the peer comes. "It" is what that one is about."""

    NOTHING = "nothing, or something of no concern"
    CREATING = "asking for a new child"
    REKEYING_OTHER = "rekeying another child"
    DELETING_OTHER = "ending another child"
    REKEYING_IT = "rekeying it"
    REPLACED_IT = "it has a successor, or lost to another one"
    DELETING_IT = "ending it"
    WITHOUT_IT = "it is not here"
    REKEYING_IKE = "rekeying the IKE SA"
    ANSWERED_RIVAL = "rekeying the IKE SA, and the peer's rekey is answered"
    CONTESTED = "the IKE SA came of the peer's rekey while ours goes on"
    REPLACED_IKE = "the IKE SA has a successor"
    DELETING_IKE = "ending the IKE SA"


class Reply(StrEnum):
    """How a request is answered."""

    AS_USUAL = "as usual"
    NONCES_DECIDE = "as usual; the nonces decide"
    WITHOUT_DELETE = "as usual, without a Delete payload"
    FORGET_OURS = "as usual; ours is forgotten"
    TAKE_THEIRS = "as usual; theirs takes its place, ours is forgotten"
    WITHDRAWN = "as usual; ours goes on alone"
    TEMPORARY_FAILURE = "TEMPORARY_FAILURE"
    CHILD_SA_NOT_FOUND = "CHILD_SA_NOT_FOUND"


class Answered(StrEnum):
    """What the peer answers to a request of ours."""

    MADE = "it is made"
    TEMPORARY_FAILURE = "TEMPORARY_FAILURE"
    CHILD_SA_NOT_FOUND = "CHILD_SA_NOT_FOUND"
    REFUSED = "another error"


class Meanwhile(StrEnum):
    """What happened between a request of ours and its answer."""

    NOTHING = "nothing"
    OURS_LOWEST = "the peer made one too; ours has the lowest nonce"
    THEIRS_LOWEST = "the peer made one too; theirs has the lowest nonce"
    THEIRS = "the peer made one"
    GONE = "the old one went, or has a successor"
    EARLY = "the peer may not have had the old one yet"
    ENDING = "we are ending the IKE SA"


class Then(StrEnum):
    """What we do with the answer."""

    KEEP_OURS = "ours is taken, the old one deleted"
    KEEP_OURS_ALONE = "ours is taken"
    DELETE_OURS = "theirs takes the place, ours is deleted"
    TAKE_THEIRS = "theirs takes the place"
    IGNORE = "nothing"
    AGAIN = "asked again, 1 to 30 seconds later"
    ANEW = "the old one goes without a word, a new one is asked for"
    REFUSED = "told; a rekey is tried again"


@dataclass(frozen=True, slots=True)
class Rule:
    """A decision and where it is from: sections of RFC 7296, or a decision of our own."""

    section: str


@dataclass(frozen=True, slots=True)
class OnRequest(Rule):
    """How a request is answered; `why` is told where it is refused."""

    reply: Reply
    why: str = ""


@dataclass(frozen=True, slots=True)
class OnResponse(Rule):
    """What follows from an answer."""

    then: Then


A, U, R = Asked, Ours, Reply
_USUAL = R.AS_USUAL
_ENDS = OnRequest("2.25.2", R.TEMPORARY_FAILURE, "the IKE SA is being ended")
_SUCCEEDED = OnRequest("2.8.2, 2.25.2", R.TEMPORARY_FAILURE, "the IKE SA has a successor")
_OPEN = OnRequest("2.25.2", R.TEMPORARY_FAILURE, "another rekey of the IKE SA is under way")
_IKE_FIRST = OnRequest("2.25.2", R.TEMPORARY_FAILURE, "the IKE SA itself is being rekeyed")
_CHILD_FIRST = OnRequest("2.25.1", R.TEMPORARY_FAILURE, "a child of the IKE SA is being changed")

REQUESTS: dict[tuple[Asked, Ours], OnRequest] = {
    (A.NEW_CHILD, U.NOTHING): OnRequest("1.3.1", _USUAL),
    (A.NEW_CHILD, U.CREATING): OnRequest("decision 13", R.NONCES_DECIDE),
    (A.NEW_CHILD, U.REKEYING_OTHER): OnRequest("1.3.1", _USUAL),
    (A.NEW_CHILD, U.DELETING_OTHER): OnRequest("1.3.1", _USUAL),
    (A.NEW_CHILD, U.REKEYING_IKE): _IKE_FIRST,
    (A.NEW_CHILD, U.ANSWERED_RIVAL): _IKE_FIRST,
    (A.NEW_CHILD, U.CONTESTED): _OPEN,
    (A.NEW_CHILD, U.REPLACED_IKE): _SUCCEEDED,
    (A.NEW_CHILD, U.DELETING_IKE): _ENDS,
    (A.REKEY_CHILD, U.NOTHING): OnRequest("1.3.3", _USUAL),
    (A.REKEY_CHILD, U.CREATING): OnRequest("1.3.3", _USUAL),
    (A.REKEY_CHILD, U.REKEYING_OTHER): OnRequest("1.3.3", _USUAL),
    (A.REKEY_CHILD, U.DELETING_OTHER): OnRequest("1.3.3", _USUAL),
    (A.REKEY_CHILD, U.REKEYING_IT): OnRequest("2.25.1, 2.8.1", R.NONCES_DECIDE),
    (A.REKEY_CHILD, U.REPLACED_IT): OnRequest("2.25.1", R.TEMPORARY_FAILURE, "the child has a successor already"),
    (A.REKEY_CHILD, U.DELETING_IT): OnRequest("2.25.1", R.TEMPORARY_FAILURE, "the child is being ended"),
    (A.REKEY_CHILD, U.WITHOUT_IT): OnRequest("2.25, 2.25.1", R.CHILD_SA_NOT_FOUND, "the child is not there"),
    (A.REKEY_CHILD, U.REKEYING_IKE): _IKE_FIRST,
    (A.REKEY_CHILD, U.ANSWERED_RIVAL): _IKE_FIRST,
    (A.REKEY_CHILD, U.CONTESTED): _OPEN,
    (A.REKEY_CHILD, U.REPLACED_IKE): _SUCCEEDED,
    (A.REKEY_CHILD, U.DELETING_IKE): _ENDS,
    (A.REKEY_IKE, U.NOTHING): OnRequest("1.3.2", _USUAL),
    (A.REKEY_IKE, U.CREATING): _CHILD_FIRST,
    (A.REKEY_IKE, U.REKEYING_OTHER): _CHILD_FIRST,
    (A.REKEY_IKE, U.DELETING_OTHER): _CHILD_FIRST,
    (A.REKEY_IKE, U.REKEYING_IKE): OnRequest("2.25.2, 2.8.2", R.NONCES_DECIDE),
    (A.REKEY_IKE, U.ANSWERED_RIVAL): _OPEN,
    (A.REKEY_IKE, U.CONTESTED): _OPEN,
    (A.REKEY_IKE, U.REPLACED_IKE): _SUCCEEDED,
    (A.REKEY_IKE, U.DELETING_IKE): _ENDS,
    (A.DELETE_CHILD, U.NOTHING): OnRequest("1.4.1", _USUAL),
    (A.DELETE_CHILD, U.CREATING): OnRequest("1.4.1", _USUAL),
    (A.DELETE_CHILD, U.REKEYING_OTHER): OnRequest("1.4.1", _USUAL),
    (A.DELETE_CHILD, U.DELETING_OTHER): OnRequest("1.4.1", _USUAL),
    (A.DELETE_CHILD, U.REKEYING_IT): OnRequest("2.25.1", _USUAL),
    (A.DELETE_CHILD, U.REPLACED_IT): OnRequest("2.8, 1.4.1", _USUAL),
    (A.DELETE_CHILD, U.DELETING_IT): OnRequest("2.25.1, 1.4.1", R.WITHOUT_DELETE),
    (A.DELETE_CHILD, U.WITHOUT_IT): OnRequest("2.25.1", R.WITHOUT_DELETE),
    (A.DELETE_CHILD, U.REKEYING_IKE): OnRequest("2.25.2", _USUAL),
    (A.DELETE_CHILD, U.ANSWERED_RIVAL): OnRequest("2.25.2", _USUAL),
    (A.DELETE_CHILD, U.CONTESTED): OnRequest("2.25.2", _USUAL),
    (A.DELETE_CHILD, U.REPLACED_IKE): OnRequest("2.8", _USUAL),
    (A.DELETE_CHILD, U.DELETING_IKE): OnRequest("1.4.1", _USUAL),
    (A.DELETE_IKE, U.NOTHING): OnRequest("1.4.1", _USUAL),
    (A.DELETE_IKE, U.CREATING): OnRequest("1.4.1", R.FORGET_OURS),
    (A.DELETE_IKE, U.REKEYING_OTHER): OnRequest("1.4.1", R.FORGET_OURS),
    (A.DELETE_IKE, U.DELETING_OTHER): OnRequest("1.4.1", R.FORGET_OURS),
    (A.DELETE_IKE, U.REKEYING_IKE): OnRequest("2.25.2", R.FORGET_OURS),
    (A.DELETE_IKE, U.ANSWERED_RIVAL): OnRequest("2.8.2", R.TAKE_THEIRS),
    (A.DELETE_IKE, U.CONTESTED): OnRequest("2.8.2", R.WITHDRAWN),
    (A.DELETE_IKE, U.REPLACED_IKE): OnRequest("2.8", _USUAL),
    (A.DELETE_IKE, U.DELETING_IKE): OnRequest("2.25.2", R.FORGET_OURS),
}
"""What the peer asks for and what is ours -> the answer. Where several are so, the order is that of `standing`."""

B, M, T = Answered, Meanwhile, Then
_AGAIN = OnResponse("2.25", T.AGAIN)
_IGNORED = OnResponse("2.8.1", T.IGNORE)
_TOLD = OnResponse("1.3", T.REFUSED)
_ADOPTED = OnResponse("2.8.1", T.TAKE_THEIRS)
_ADOPTED_IKE = OnResponse("2.8.2", T.TAKE_THEIRS)
_OVER = OnResponse("2.25.2", T.IGNORE)

RESPONSES: dict[tuple[Asked, Meanwhile, Answered], OnResponse] = {
    (A.NEW_CHILD, M.NOTHING, B.MADE): OnResponse("1.3.1", T.KEEP_OURS_ALONE),
    (A.NEW_CHILD, M.NOTHING, B.TEMPORARY_FAILURE): _AGAIN,
    (A.NEW_CHILD, M.NOTHING, B.CHILD_SA_NOT_FOUND): _TOLD,
    (A.NEW_CHILD, M.NOTHING, B.REFUSED): _TOLD,
    (A.NEW_CHILD, M.ENDING, B.MADE): _OVER,
    (A.NEW_CHILD, M.ENDING, B.TEMPORARY_FAILURE): _OVER,
    (A.NEW_CHILD, M.ENDING, B.CHILD_SA_NOT_FOUND): _OVER,
    (A.NEW_CHILD, M.ENDING, B.REFUSED): _OVER,
    (A.REKEY_CHILD, M.NOTHING, B.MADE): OnResponse("2.8", T.KEEP_OURS),
    (A.REKEY_CHILD, M.NOTHING, B.TEMPORARY_FAILURE): _AGAIN,
    (A.REKEY_CHILD, M.NOTHING, B.CHILD_SA_NOT_FOUND): OnResponse("2.25", T.ANEW),
    (A.REKEY_CHILD, M.NOTHING, B.REFUSED): _TOLD,
    (A.REKEY_CHILD, M.OURS_LOWEST, B.MADE): OnResponse("2.8.1", T.DELETE_OURS),
    (A.REKEY_CHILD, M.THEIRS_LOWEST, B.MADE): OnResponse("2.8.1", T.KEEP_OURS),
    (A.REKEY_CHILD, M.THEIRS, B.TEMPORARY_FAILURE): _ADOPTED,
    (A.REKEY_CHILD, M.THEIRS, B.CHILD_SA_NOT_FOUND): _ADOPTED,
    (A.REKEY_CHILD, M.THEIRS, B.REFUSED): _ADOPTED,
    (A.REKEY_CHILD, M.GONE, B.MADE): OnResponse("2.8", T.KEEP_OURS_ALONE),
    (A.REKEY_CHILD, M.GONE, B.TEMPORARY_FAILURE): _IGNORED,
    (A.REKEY_CHILD, M.GONE, B.CHILD_SA_NOT_FOUND): _IGNORED,
    (A.REKEY_CHILD, M.GONE, B.REFUSED): _IGNORED,
    (A.REKEY_CHILD, M.EARLY, B.MADE): OnResponse("2.8", T.KEEP_OURS),
    (A.REKEY_CHILD, M.EARLY, B.TEMPORARY_FAILURE): _AGAIN,
    (A.REKEY_CHILD, M.EARLY, B.CHILD_SA_NOT_FOUND): OnResponse("decision 5", T.AGAIN),
    (A.REKEY_CHILD, M.EARLY, B.REFUSED): _TOLD,
    (A.REKEY_CHILD, M.ENDING, B.MADE): _OVER,
    (A.REKEY_CHILD, M.ENDING, B.TEMPORARY_FAILURE): _OVER,
    (A.REKEY_CHILD, M.ENDING, B.CHILD_SA_NOT_FOUND): _OVER,
    (A.REKEY_CHILD, M.ENDING, B.REFUSED): _OVER,
    (A.REKEY_IKE, M.NOTHING, B.MADE): OnResponse("2.8", T.KEEP_OURS),
    (A.REKEY_IKE, M.NOTHING, B.TEMPORARY_FAILURE): _AGAIN,
    (A.REKEY_IKE, M.NOTHING, B.CHILD_SA_NOT_FOUND): _TOLD,
    (A.REKEY_IKE, M.NOTHING, B.REFUSED): _TOLD,
    (A.REKEY_IKE, M.OURS_LOWEST, B.MADE): OnResponse("2.8.2", T.DELETE_OURS),
    (A.REKEY_IKE, M.THEIRS_LOWEST, B.MADE): OnResponse("2.8.2", T.KEEP_OURS),
    (A.REKEY_IKE, M.THEIRS, B.TEMPORARY_FAILURE): _ADOPTED_IKE,
    (A.REKEY_IKE, M.THEIRS, B.CHILD_SA_NOT_FOUND): _ADOPTED_IKE,
    (A.REKEY_IKE, M.THEIRS, B.REFUSED): _ADOPTED_IKE,
    (A.REKEY_IKE, M.ENDING, B.TEMPORARY_FAILURE): _OVER,
    (A.REKEY_IKE, M.ENDING, B.CHILD_SA_NOT_FOUND): _OVER,
    (A.REKEY_IKE, M.ENDING, B.REFUSED): _OVER,
}
"""What we asked for, what happened meanwhile and what the peer answers -> what we do.

A successor of the IKE SA that is made while we end it is taken as ever, and then ended: the peer has it, and must hear.
"""


def on_request(asked: Asked, sa: IkeSa, lineage: Lineage, child: ChildSa | None = None) -> OnRequest:
    """Look up how to answer a request on `sa`; `child` is the one that it names, where we have that."""
    return REQUESTS[asked, standing(asked, sa, lineage, child)]


def on_response(asked: Asked, meanwhile: Meanwhile, answered: Answered) -> Then:
    """Look up what follows from an answer."""
    return RESPONSES[asked, meanwhile, answered].then


def standing(asked: Asked, sa: IkeSa, lineage: Lineage, child: ChildSa | None = None) -> Ours:
    """Find what of ours a request meets. What concerns the IKE SA comes first, but for the end of a child."""
    ike, task = _of_ike(sa, lineage), sa.window.outstanding.task if sa.window.outstanding else None
    about_child = asked in (Asked.REKEY_CHILD, Asked.DELETE_CHILD)
    met = _of_child(task, child) if about_child else None
    found = (met, ike) if asked is Asked.DELETE_CHILD else (ike, met)
    return found[0] or found[1] or _of_task(task)


def _of_ike(sa: IkeSa, lineage: Lineage) -> Ours | None:
    if sa.state is IkeState.REPLACED:
        return Ours.REPLACED_IKE
    if sa.state is IkeState.UNDECIDED:
        return Ours.CONTESTED
    if sa.state is IkeState.DELETING or lineage.closing:
        return Ours.DELETING_IKE
    if lineage.rival is not None:
        return Ours.ANSWERED_RIVAL
    under_way = sa.window.outstanding
    return Ours.REKEYING_IKE if under_way and isinstance(under_way.task, RekeyIke) else None


def _of_child(task: object, child: ChildSa | None) -> Ours | None:
    if child is None:
        return Ours.WITHOUT_IT
    if child.deleting:
        return Ours.DELETING_IT
    if not child.current:
        return Ours.REPLACED_IT
    return Ours.REKEYING_IT if isinstance(task, RekeyChild) and task.spi_in == child.spi_in else None


def _of_task(task: object) -> Ours:
    tasks = {CreateChild: Ours.CREATING, RekeyChild: Ours.REKEYING_OTHER, DeleteChild: Ours.DELETING_OTHER}
    return tasks.get(type(task), Ours.NOTHING)


def answered(error: NotifyType | int | None) -> Answered:
    """Tell by its error what an answer is that makes nothing."""
    if error == NotifyType.TEMPORARY_FAILURE:
        return Answered.TEMPORARY_FAILURE
    return Answered.CHILD_SA_NOT_FOUND if error == NotifyType.CHILD_SA_NOT_FOUND else Answered.REFUSED


def since_asked(lineage: Lineage, offer: ChildOffer, made: ChildSa | None = None) -> Meanwhile:
    """Tell what happened since we asked for a child; `made` is what the peer answers with."""
    old, rival = lineage.children.get(offer.rekeys or 0), lineage.children.get(offer.rival or 0)
    if lineage.closing:
        return Meanwhile.ENDING
    if made is not None and rival is not None:
        return decide(made, rival)
    if offer.rekeys is not None and (old is None or (made is None and not old.current)):
        return Meanwhile.GONE
    if rival is not None:
        return Meanwhile.THEIRS
    return Meanwhile.EARLY if offer.early else Meanwhile.NOTHING


def since_asked_for_ike(lineage: Lineage, rival: IkeSa | None, made: IkeSa | None = None) -> Meanwhile:
    """The same for a successor of the IKE SA; `rival` is the one that the peer made."""
    if made is None and lineage.closing:
        return Meanwhile.ENDING
    if rival is not None:
        return decide(made, rival) if made is not None else Meanwhile.THEIRS
    return Meanwhile.NOTHING


def decide(ours: ChildSa | IkeSa | Lineage, theirs: ChildSa | IkeSa | Lineage) -> Meanwhile:
    """Compare what both ends made of the same: the one with the lowest of the four nonces goes (section 2.8.1)."""
    return Meanwhile.OURS_LOWEST if loses(ours, theirs) else Meanwhile.THEIRS_LOWEST


def loses(one: ChildSa | IkeSa | Lineage, other: ChildSa | IkeSa | Lineage) -> bool:
    """Tell whether the end that began `one` closes it for the sake of `other`, by their nonces, octet by octet."""
    return one.lowest_nonce < other.lowest_nonce
