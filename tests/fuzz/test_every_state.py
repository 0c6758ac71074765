"""Every exchange in every state: what belongs is taken, everything else is refused by name and changes nothing.

`table.py` says what belongs. The first test writes messages as only the peer can; the others as anybody can.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from culvert.ike.actions import Action, Log, Transmit
from culvert.ike.logs import ERROR
from culvert.ike.rates import Rates
from culvert.ike.v2 import lineages, sealing, table
from culvert.ike.v2.reading import Contents
from culvert.ike.v2.sa import IkeSa, IkeState
from culvert.ike.v2.sealing import Payloads
from culvert.sim import bookkeeping
from culvert.sim.snapshots import CountedEntropy
from culvert.wire.isakmp.encrypted import Encrypted
from culvert.wire.isakmp.header import NO_SPI, peek, read_header
from culvert.wire.isakmp.message import Message, emit_message, parse_message
from culvert.wire.isakmp.notify import Notify, NotifyType
from culvert.wire.isakmp.numbers import ExchangeType, known
from tests.fuzz.said import purposes
from tests.fuzz.stands import COPIER, STATES, Stand, stand

EXCHANGES = (*ExchangeType, 0, 33, 38, 41, 43, 240, 255)
"""All that are spoken, IKEv1's neighbours, IKE_SESSION_RESUME's and IKE_INTERMEDIATE's, and private ones."""
ENTROPY = CountedEntropy(b"the peer")
SOME = ("first message", "rekey of the IKE SA", "delete of the IKE SA", "error", "nothing")


@dataclass(frozen=True, slots=True)
class Case:
    """A message: its exchange, its direction and what it says."""

    exchange: int
    response: bool
    purpose: str
    payloads: Payloads

    def __str__(self) -> str:
        return f"{self.purpose} in a {'response' if self.response else 'request'} of exchange {self.exchange}"


def cases(at: Stand) -> Iterator[Case]:
    for exchange, response in itertools.product(EXCHANGES, (False, True)):
        for purpose, payloads in purposes(at, response=response).items():
            yield Case(exchange, response, purpose, payloads)


def message_id(at: Stand, *, response: bool) -> int:
    """Give the message ID that such a message must have now."""
    window = at.live.window
    if not response:
        return window.expected
    return window.outstanding.message_id if window.outstanding else max(window.next_request - 1, 0)


def sealed(sa: IkeSa, case: Case, number: int) -> bytes:
    return sealing.seal(sa, ENTROPY, case.exchange, case.payloads, message_id=number, response=case.response)


def clear(sa: IkeSa, case: Case, number: int) -> bytes:
    """Write a message that nothing protects, as the holder of `sa` would."""
    message = Message(sa.spi_i, sa.spi_r, case.exchange, sa.initiator, case.response, number, case.payloads)
    return emit_message(message)


def belongs(at: Stand, case: Case) -> bool:
    """Tell whether a protected message with the right message ID is one that this state takes."""
    exchange, state, outstanding = known(ExchangeType, case.exchange), at.live.state, at.live.window.outstanding
    if not case.response:
        return (state, exchange) in table.REQUESTS
    if outstanding is None or state is IkeState.INIT_SENT:
        return False
    return (state, exchange) in table.RESPONSES and peek(outstanding.datagrams[0]).exchange == exchange


def refused_by_name(at: Stand, data: bytes, what: object) -> None:
    """Let a message come that must change nothing: it is counted, and nobody is answered."""
    before, counted = at.digest(), at.refusals()
    actions = at.receive(data)
    quiet(actions, what)
    assert not [one for one in actions if not isinstance(one, Log)], what
    assert at.refusals() == counted + 1, what
    assert at.digest() == before, what


def quiet(actions: list[Action], what: object) -> None:
    assert not [one for one in actions if isinstance(one, Log) and one.level >= ERROR], what


@pytest.mark.parametrize("state", STATES)
def test_what_the_peer_writes_is_taken_where_it_belongs_and_nowhere_else(state: str) -> None:
    untouched = stand(state)
    for case in cases(untouched):
        at = untouched.copied()
        data = sealed(at.peer(), case, message_id(at, response=case.response))
        if not belongs(at, case):
            refused_by_name(at, data, case)
        elif case.response:
            _concluded(at, data, case)
        else:
            _answered(at, data, case)
        bookkeeping.check(str(case), at.ctx)


def _problem(at: Stand, case: Case) -> str:
    """Tell what the table finds wrong in a message that is of an exchange which belongs."""
    contents = Contents(case.payloads)
    exchange, state = known(ExchangeType, case.exchange), at.sa.state
    judged = table.judge_response if case.response else table.judge_request
    return "critical" if contents.critical else judged(state, exchange, contents)


def _answered(at: Stand, data: bytes, case: Case) -> None:
    """A request is answered once, with its own message ID; one that is not as it must be, with an error."""
    counted, problem = at.refusals(), _problem(at, case)
    actions = at.receive(data)
    quiet(actions, case)
    answers = [one.data for one in actions if isinstance(one, Transmit) and read_header(one.data).response]
    assert len(answers) == 1, case
    header = peek(answers[0])
    assert (header.message_id, header.exchange) == (peek(data).message_id, case.exchange), case
    assert at.live.window.expected == header.message_id + 1, case
    errors = [one.type for one in opened(at, answers[0]) if isinstance(one, Notify) and one.is_error]
    if problem == "critical":
        assert errors == [NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD], case
    elif problem:
        assert errors == [NotifyType.INVALID_SYNTAX], case
        assert at.live.state is IkeState.CLOSED, case
    elif case.purpose != "first message":  # a successor without an SPI
        assert NotifyType.INVALID_SYNTAX not in errors, case
    assert not problem or at.refusals() > counted, case


def opened(at: Stand, data: bytes) -> Payloads:
    message = parse_message(data)
    assert isinstance(message.encrypted, Encrypted)
    return sealing.unseal(at.peer(), data, message.encrypted)


def _concluded(at: Stand, data: bytes, case: Case) -> None:
    """A response ends the request under way; one that is not as it must be, ends the IKE SA as well."""
    counted, problem, before = at.refusals(), _problem(at, case), at.live.window.outstanding
    actions = at.receive(data)
    quiet(actions, case)
    assert at.live.window.outstanding is not before, case
    assert not problem or (at.live.state is IkeState.CLOSED and at.refusals() > counted), case


@pytest.mark.parametrize("state", STATES)
def test_what_nobody_has_the_keys_for_changes_nothing(state: str) -> None:
    """Right in everything but the protection: none, another key, nothing inside, the roles swapped."""
    at = stand(state).copied()
    peer = at.peer()
    assert peer.keys
    stolen = replace(peer.keys, **{name: bytes(len(getattr(peer.keys, name))) for name in ("sk_ei", "sk_er")})
    for case in (one for one in cases(at) if one.purpose in SOME):
        number = message_id(at, response=case.response)
        for data in (
            sealed(replace(peer, keys=stolen), case, number),
            sealed(replace(peer, initiator=not peer.initiator), case, number),
            sealed(replace(peer, spi_i=b"other_id", spi_r=b"id_other"), case, number),
            *([] if _plain_belongs(at, case) else [clear(peer, case, number)]),
        ):
            _unbelieved(at, data, case)


def _plain_belongs(at: Stand, case: Case) -> bool:
    """Tell whether the message belongs without protection: an answer to the first one."""
    first = case.exchange == ExchangeType.IKE_SA_INIT and case.response
    return first and at.live.state is IkeState.INIT_SENT and at.live.window.outstanding is not None


def _unbelieved(at: Stand, data: bytes, what: object) -> None:
    """Who asks for an IKE SA that is not here may be told that, and no more (RFC 7296 section 2.21.4)."""
    before, counted, rates = at.digest(), at.refusals(), COPIER.copied(at.ctx.unprotected)
    actions = at.receive(data)
    at.ctx.unprotected = rates
    quiet(actions, what)
    for one in actions:
        assert isinstance(one, Log) or (isinstance(one, Transmit) and _says_unknown(one.data, data)), what
    assert at.refusals() == counted + 1, what
    assert at.digest() == before, what


def _says_unknown(answer: bytes, asked: bytes) -> bool:
    if read_header(asked).major > 2:
        return answer[-9:] == b"\x00\x00\x00\x09\x00\x00\x00\x05\x02" and not read_header(asked).response
    said = parse_message(answer)
    types = [one.type for one in said.payloads if isinstance(one, Notify)]
    permitted = ([NotifyType.INVALID_IKE_SPI], [NotifyType.INVALID_IKE_SPI, NotifyType.QUICK_CRASH_DETECTION])
    return types in permitted and said.response and not read_header(asked).response


@pytest.mark.parametrize("state", STATES)
def test_what_comes_out_of_its_turn_changes_nothing(state: str) -> None:
    """The peer's own messages, with IDs that are not the one that may come now."""
    at = stand(state).copied()
    for case in (one for one in cases(at) if one.purpose in SOME and one.exchange in tuple(ExchangeType)):
        right = message_id(at, response=case.response)
        for number in {right - 2, right - 1, right + 1, right + 2, 2**31, 2**32 - 1} - {-1, -2}:
            refused_by_name(at, sealed(at.peer(), case, number), (case, number))


@pytest.mark.parametrize("state", STATES)
def test_who_says_in_clear_that_the_peer_forgot_us_ends_nothing_but_what_we_are_ending(state: str) -> None:
    """INVALID_IKE_SPI is a hint (RFC 7296 section 2.4): at most the peer is called beside."""
    at = stand(state).copied()
    before, children = at.live.state, dict(at.ctx.child_owners)
    lineage = at.ctx.lineages.get(at.sa.lineage)
    ending = lineage is not None and lineage.closing and at.live.window.outstanding is not None
    for exchange in ExchangeType:
        case = Case(exchange, True, "INVALID_IKE_SPI", (Notify(NotifyType.INVALID_IKE_SPI),))
        quiet(at.receive(clear(at.peer(), case, message_id(at, response=True))), case)
        bookkeeping.check(str(case), at.ctx)
    assert at.live.state is (IkeState.CLOSED if ending else before)
    assert at.ctx.child_owners == children


@pytest.mark.parametrize("version", [1, 2, 3, 15])
def test_strangers_are_told_no_more_than_that_we_do_not_know_them(version: int) -> None:
    """Where there is no IKE SA at all, a first message makes one and everything else nothing."""
    at = stand("half open").copied()
    lineages.forget(at.ctx, at.live)
    peer = at.peer()
    for case, spi_r in itertools.product(cases(at), (NO_SPI, peer.spi_r)):
        claimed = replace(peer, spi_r=spi_r)
        for data in (sealed(claimed, case, 0), clear(claimed, case, 0), clear(claimed, case, 1)):
            if _begins(case) and version == 2 and spi_r == NO_SPI and data == clear(claimed, case, 0):
                continue
            told = data[:17] + bytes((version << 4,)) + data[18:]
            at.ctx.unprotected = Rates()
            _unbelieved(at, told, (case, spi_r))
    at.receive(clear(replace(peer, spi_r=NO_SPI), _first(at), 0))
    assert [sa.state for sa in at.ctx.sas.values()] == [IkeState.HALF_OPEN]


def _begins(case: Case) -> bool:
    """Tell whether a message has what the first one has; an SPI that the proposal of a rekey has does no harm there."""
    payloads = case.purpose in ("first message", "rekey of the IKE SA")
    return payloads and case.exchange == ExchangeType.IKE_SA_INIT and not case.response


def _first(at: Stand) -> Case:
    return next(one for one in cases(at) if one.purpose == "first message")


def test_all_states_of_an_ike_sa_are_among_those_tried() -> None:
    assert {stand(one).live.state for one in STATES} == set(IkeState)
