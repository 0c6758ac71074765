from __future__ import annotations

from culvert.ike.v2.reassembly import Incomplete, Reassemblies
from culvert.limits import MAX_FRAGMENTED_OCTETS, MAX_FRAGMENTS
from culvert.wire.isakmp.encrypted import EncryptedFragment
from culvert.wire.isakmp.header import Header
from culvert.wire.isakmp.numbers import ExchangeType

SPI = b"our  SPI"


def header(message_id: int = 1, *, response: bool = False, exchange: ExchangeType = ExchangeType.IKE_AUTH) -> Header:
    return Header(b"initiato", SPI, 53, exchange, True, response, message_id, 0)


def fragment(number: int, total: int) -> EncryptedFragment:
    return EncryptedFragment(35 if number == 1 else 0, number, total, b"")


def add(
    held: Reassemblies, number: int, total: int, part: bytes, message_id: int = 1, *, response: bool = False
) -> Incomplete | None:
    assert held.wants(SPI, header(message_id, response=response), fragment(number, total))
    datagram = b"digest%d" % number, 40 + len(part)
    return held.add(SPI, header(message_id, response=response), fragment(number, total), part, datagram)


def test_in_any_order_it_is_joined_in_the_right_one() -> None:
    held = Reassemblies()
    for number, part in ((3, b"c"), (1, b"a")):
        found = add(held, number, 3, part)
        assert found is not None
        assert not found.complete
    found = add(held, 2, 3, b"bb")
    assert found is not None
    assert found.complete
    assert found.joined() == b"abbc"
    assert (found.first_payload, found.first, found.longest) == (35, b"digest1", 42)
    assert len(held) == 0


def test_what_is_there_is_not_wanted_again() -> None:
    held = Reassemblies()
    add(held, 2, 3, b"b")
    assert not held.wants(SPI, header(), fragment(2, 3))
    assert held.wants(SPI, header(), fragment(1, 3))


def test_a_larger_total_begins_anew_and_a_smaller_one_is_late() -> None:
    held = Reassemblies()
    add(held, 1, 2, b"large")
    assert not held.wants(SPI, header(), fragment(1, 1))
    found = add(held, 2, 3, b"small")
    assert found is not None
    assert (found.total, found.parts) == (3, {2: b"small"})
    assert not held.wants(SPI, header(), fragment(2, 2))
    assert held.octets() == 5


def test_another_message_takes_the_place_of_the_one_before() -> None:
    held = Reassemblies()
    add(held, 1, 2, b"old")
    found = add(held, 1, 2, b"new!", message_id=2)
    assert found is not None
    assert found.message_id == 2
    assert (len(held), held.octets()) == (1, 4)


def test_request_and_response_do_not_disturb_each_other() -> None:
    held = Reassemblies()
    add(held, 1, 2, b"a")
    add(held, 1, 2, b"b", response=True)
    assert len(held) == 2
    held.settled(SPI, True)
    assert len(held) == 1
    assert held.waiting(SPI)
    held.forget(SPI)
    assert not held.waiting(SPI)


def test_fragments_of_one_message_are_of_one_exchange() -> None:
    held = Reassemblies()
    add(held, 1, 2, b"a")
    assert not held.wants(SPI, header(exchange=ExchangeType.INFORMATIONAL), fragment(2, 2))


def test_bounds() -> None:
    held = Reassemblies()
    assert held.wants(SPI, header(), fragment(1, MAX_FRAGMENTS))
    assert not held.wants(SPI, header(), fragment(1, MAX_FRAGMENTS + 1))
    half = bytes(MAX_FRAGMENTED_OCTETS // 2)
    assert add(held, 1, 3, half) is not None
    assert add(held, 2, 3, half) is not None
    assert add(held, 3, 3, b"x") is None
    assert (len(held), held.octets()) == (0, 0)


def test_octets_inside_stay_out_of_what_is_shown() -> None:
    held = Reassemblies()
    add(held, 1, 2, b"a secret")
    assert "secret" not in repr(held)
