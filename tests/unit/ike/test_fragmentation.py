"""Messages in fragments between two endpoints (RFC 7383), both ways and with the roles swapped."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest

from culvert.addresses import SocketAddress
from culvert.ike.events import Disconnect, RekeyRequested
from culvert.ike.v2 import extensions, sealing
from culvert.ike.v2.opening import sealed_in
from culvert.ike.v2.sa import IkeSa
from culvert.ike.v2.sealing import open_sealed, seal
from culvert.ipsec.proposals import Proposal, ike_proposal
from culvert.limits import MAX_ANSWERS_ASTRAY, MAX_FRAGMENTS
from culvert.wire.isakmp.encrypted import EncryptedFragment
from culvert.wire.isakmp.header import read_header
from culvert.wire.isakmp.message import parse_payloads
from culvert.wire.isakmp.notify import Notify, NotifyType
from culvert.wire.isakmp.numbers import ExchangeType
from tests.unit.ike.line import OTHER, Line, is_fragment, numbers, unharmed

LONG = 60
"""Selectors with which IKE_AUTH comes to some 2,800 octets."""
CBC = (ike_proposal("aes128-sha256-x25519"),)
UDP_OCTETS = {4: 1_280 - 32, 6: 1_280 - 52}
NARROW_OCTETS = 576 - 32


@pytest.mark.parametrize("initiator", ["west", "east"])
@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("proposals", [None, CBC], ids=["aead", "cbc"])
def test_a_long_message_goes_in_fragments_that_fit(
    initiator: str, version: int, proposals: tuple[Proposal, ...] | None
) -> None:
    line = Line(selectors=LONG, version=version, initiator=initiator)
    if proposals:
        line = Line(selectors=LONG, version=version, initiator=initiator, proposals=proposals)
    line.connect()
    assert line.up()
    for name in OTHER:
        fragments = line.fragments(name)
        assert [numbers(one) for one in fragments] == [(1, 3), (2, 3), (3, 3)]
        assert all(len(one) <= UDP_OCTETS[version] for one in fragments)
        assert all(read_header(one).exchange == ExchangeType.IKE_AUTH for one in fragments)
        # The first payload is named in the first fragment only.
        assert [one[28] != 0 for one in fragments] == [True, False, False]
    assert not line.ends["west"]._ctx.fragments
    assert not line.ends["east"]._ctx.fragments


def test_a_message_that_fits_is_never_a_fragment() -> None:
    line = Line().connect()
    line.tell("west", RekeyRequested("east"))
    line.deliver().tell("east", RekeyRequested("west", ike=True))
    line.deliver()
    assert line.up()
    assert not any(is_fragment(data) for _, data in line.sent)


def _nothing(*_: object) -> tuple[()]:
    return ()


@pytest.mark.parametrize("silent", ["initiator", "responder"])
def test_without_both_ends_announcing_it_nothing_goes_in_fragments(
    silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extensions, *(("offered", _nothing) if silent == "initiator" else ("enter", _nothing)))
    line = Line(selectors=LONG).connect()
    assert line.up()
    assert not any(is_fragment(data) for _, data in line.sent)
    assert max(len(data) for _, data in line.sent) > UDP_OCTETS[4]


def test_a_responder_does_not_announce_what_the_initiator_does_not_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extensions, "offered", _nothing)
    line = Line().connect()
    first_answer = next(data for name, data in line.sent if name == "east")
    assert Notify(NotifyType.IKEV2_FRAGMENTATION_SUPPORTED).emit() not in first_answer


def test_ike_sa_init_is_never_in_fragments() -> None:
    proposals = tuple(
        ike_proposal(f"aes{bits}gcm16-prfsha{prf}-x25519") for bits in (128, 256) for prf in (256, 384, 512)
    )
    line = Line(selectors=LONG, proposals=proposals * 20).connect()
    first = [data for name, data in line.sent if read_header(data).exchange == ExchangeType.IKE_SA_INIT]
    assert len(first[0]) > UDP_OCTETS[4]
    assert not any(is_fragment(data) for data in first)
    assert line.up()


@dataclass
class Narrow:
    """A path that carries nothing longer, in the directions given."""

    octets: int = NARROW_OCTETS
    senders: tuple[str, ...] = ("west", "east")
    lost: list[bytes] = field(default_factory=list)

    def __call__(self, sender: str, data: bytes) -> Iterable[bytes]:
        # IKE_SA_INIT cannot be divided; it goes through as IP fragments do.
        first = read_header(data).exchange == ExchangeType.IKE_SA_INIT
        if not first and sender in self.senders and len(data) > self.octets:
            self.lost.append(data)
            return ()
        return (data,)


@pytest.mark.parametrize("initiator", ["west", "east"])
@pytest.mark.parametrize("senders", [("west", "east"), ("west",), ("east",)])
@pytest.mark.parametrize("selectors", [LONG, 20], ids=["in fragments", "in one"])
def test_a_narrow_path_gets_smaller_fragments(initiator: str, senders: tuple[str, ...], selectors: int) -> None:
    path = Narrow(senders=senders)
    line = Line(path, selectors=selectors, initiator=initiator).connect()
    assert not line.up()
    line.wait(4)
    assert line.up(), "smaller fragments are tried with the third transmission"
    assert path.lost
    smaller = [one for one in line.fragments(initiator) if numbers(one)[1] > 2 or len(one) <= NARROW_OCTETS]
    assert smaller
    if initiator in senders:
        # What was learned about the path is used from then on, also by the successor of the IKE SA.
        path.lost.clear()
        line.tell(initiator, RekeyRequested(OTHER[initiator], ike=True))
        line.deliver()
        assert line.sa(initiator).narrow
        assert not path.lost


def test_on_ipv6_nothing_is_smaller_than_its_least_mtu() -> None:
    line = Line(Narrow(octets=1_280 - 52), selectors=LONG, version=6).connect()
    assert line.up()
    assert not line.sa("west").narrow


@pytest.mark.parametrize("which", [1, 2])
@pytest.mark.parametrize("sender", ["west", "east"])
def test_a_lost_fragment_comes_with_the_next_transmission(which: int, sender: str) -> None:
    lost: list[bytes] = []

    def fate(name: str, data: bytes) -> Iterable[bytes]:
        if name == sender and is_fragment(data) and numbers(data)[0] == which and not lost:
            lost.append(data)
            return ()
        return (data,)

    line = Line(fate, selectors=LONG).connect()
    assert not line.up()
    line.wait(1)
    assert line.up()
    assert line.sent.count((sender, lost[0])) == 2, "the same octets again"
    assert not line.sa("west").narrow


def test_only_the_first_fragment_of_an_answered_request_is_answered_again() -> None:
    line = Line(selectors=LONG).connect()
    first, *others = line.fragments("west")
    before = line.fragments("east")
    for one in others:
        line.receive("east", one)
    assert line.fragments("east") == before
    line.receive("east", first)
    assert line.fragments("east") == before * 2


def test_a_request_that_is_divided_anew_is_answered_again_in_smaller_fragments() -> None:
    """The answer did not arrive: its fragments were too long for the way back."""
    line = Line(Narrow(senders=("east",)), selectors=LONG).connect()
    assert not line.up()
    line.wait(2)
    assert line.up()
    totals = [numbers(one)[1] for one in line.fragments("east")]
    assert totals == sorted(totals)
    assert totals[0] == 3
    assert totals[-1] > 3
    # Nothing was done twice.
    assert len(line.ends["east"]._ctx.live("west")) == 1
    assert len(line.ends["east"].status("west").children) == 1


def test_a_forged_first_fragment_of_an_answered_request_is_not_answered() -> None:
    line = Line(selectors=LONG).connect()
    first = bytearray(line.fragments("west")[0])
    first[-1] ^= 1
    count = len(line.sent)
    line.receive("east", bytes(first))
    assert len(line.sent) == count


def test_fragments_that_were_not_agreed_on_are_dropped() -> None:
    line = Line(selectors=LONG)

    def fate(name: str, data: bytes) -> Iterable[bytes]:
        if is_fragment(data):
            line.sa("east").fragmentation = False
        return (data,)

    line.fate = fate
    line.connect()
    line.wait(3)
    assert not line.up()
    assert any("not agreed on" in one for one in line.said)
    assert not line.ends["east"]._ctx.fragments


def test_incomplete_messages_are_let_go() -> None:
    line = Line(lambda _, data: () if is_fragment(data) and numbers(data)[0] == 2 else (data,), selectors=LONG)
    line.connect()
    ctx = line.ends["east"]._ctx
    assert len(ctx.fragments) == 1
    assert 0 < ctx.fragments.octets() < 2_000
    line.tell("west", Disconnect("east"))
    line.wait(120)
    assert len(ctx.fragments) == 0
    assert not ctx.sas


def test_an_established_ike_sa_lets_go_of_incomplete_messages_too() -> None:
    line = Line(selectors=LONG).connect()
    line.fate = lambda name, data: () if name == "west" and is_fragment(data) and numbers(data)[0] == 2 else (data,)
    line.tell("west", RekeyRequested("east"))
    line.deliver()
    ctx = line.ends["east"]._ctx
    assert len(ctx.fragments) == 1
    line.fate = lambda name, data: () if name == "west" else (data,)
    line.wait(59)
    assert len(ctx.fragments) == 1
    line.wait(2)
    assert len(ctx.fragments) == 0


def test_more_fragments_than_are_kept_are_dropped_before_anything_is_decrypted() -> None:
    line = Line(selectors=LONG)
    captured: list[bytes] = []

    def fate(name: str, data: bytes) -> Iterable[bytes]:
        if is_fragment(data) and name == "west":
            captured.append(data)
            return ()
        return (data,)

    line.fate = fate
    line.connect()
    forged = bytearray(captured[0])
    forged[34:36] = (MAX_FRAGMENTS + 1).to_bytes(2, "big")
    line.receive("east", bytes(forged))
    assert any("of no use" in one for one in line.said)
    assert not line.ends["east"]._ctx.fragments


def test_a_whole_message_ends_what_was_incomplete_of_it() -> None:
    """A peer may turn from fragments to the whole message again."""
    line = Line(lambda _, data: () if is_fragment(data) and numbers(data)[0] == 2 else (data,), selectors=LONG)
    line.connect()
    west, east = line.sa("west"), line.sa("east")
    assert len(line.ends["east"]._ctx.fragments) == 1
    payloads = parse_payloads(*_inside(east, line.fragments("west")))
    entropy = line.ends["west"]._ctx.entropy
    line.fate = unharmed
    line.receive("east", seal(west, entropy, ExchangeType.IKE_AUTH, payloads, message_id=1, response=False))
    assert not line.ends["east"]._ctx.fragments
    line.deliver()
    assert line.up()


def _inside(sa: IkeSa, fragments: list[bytes]) -> tuple[int, bytes]:
    sealed = [(data, sealed_in(data)) for data in fragments]
    inner = b"".join(open_sealed(sa, data, one) for data, one in sealed if one is not None)
    return fragments[0][28], inner


def test_the_only_fragment_of_one_is_taken_though_we_send_none() -> None:
    """Some write such fragments, RFC 7383 allows it; others fail on them, so we do not."""
    line = Line().connect()
    west = line.sa("west")
    entropy = line.ends["west"]._ctx.entropy
    whole = seal(west, entropy, ExchangeType.INFORMATIONAL, (), message_id=2, response=False)
    plain = EncryptedFragment(0, 1, 1, b"")
    line.receive("east", sealing._fragment(west, entropy, read_header(whole), plain))
    assert [header.message_id for header in line.headers("east") if header.response] == [0, 1, 2]
    assert not line.fragments("east")


def test_a_recorded_request_leads_few_answers_elsewhere() -> None:
    """Somebody repeats it from addresses that are not the peer's: what answers that is bounded."""
    line = Line(selectors=LONG).connect()
    first = line.fragments("west")[0]
    before = len(line.fragments("east"))
    for host in range(100):
        line.receive("east", first, remote=SocketAddress.parse(f"192.0.2.{host}", 4500))
    line.under_way.clear()
    assert len(line.fragments("east")) - before == 3 * MAX_ANSWERS_ASTRAY
    line.receive("east", first)
    assert len(line.fragments("east")) - before == 3 * (MAX_ANSWERS_ASTRAY + 1), "the peer itself is still answered"
