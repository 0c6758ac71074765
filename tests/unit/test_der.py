"""DER: one way to write a value, and every other way refused."""

from __future__ import annotations

import pytest

from culvert import der


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x30", "without its length"),
        (b"\x30\x01", "longer than what holds it"),
        (b"\x30\x80\x00\x00", "indefinite"),
        (b"\x30\x81\x7f" + bytes(127), "shortest way"),
        (b"\x30\x82\x00\x80" + bytes(128), "shortest way"),
        (b"\x30\x81", "cut off"),
        (b"\x30\x82\x01", "cut off"),
        (b"\x30\x84\x00\x00\x00\x01\x00", "out of bounds"),
        (b"\x30\xff" + bytes(200), "out of bounds"),
        (b"\x1f\x81\x01\x00", "tag of several"),
        (b"\x30\x00\x00", "without its length"),
    ],
)
def test_what_is_no_der(data: bytes, why: str) -> None:
    with pytest.raises(der.DerError, match=why):
        der.elements(data)


def test_values_one_behind_the_other() -> None:
    one, other = der.elements(b"\x02\x01\x05\x30\x81\x80" + bytes(128))
    assert (one.tag, one.content, one.whole) == (der.INTEGER, b"\x05", b"\x02\x01\x05")
    assert (other.tag, len(other.content), len(other.whole)) == (der.SEQUENCE, 128, 131)
    assert der.elements(b"") == ()


@pytest.mark.parametrize("data", [b"", b"\x31\x00", b"\x30\x00\x00\x00", b"\x30\x00\x30\x00"])
def test_only_one_value_of_one_kind(data: bytes) -> None:
    with pytest.raises(der.DerError):
        der.only(data, der.SEQUENCE)


def test_a_plain_value_has_no_parts() -> None:
    with pytest.raises(der.DerError):
        der.only(b"\x02\x01\x05", der.INTEGER).elements()


@pytest.mark.parametrize("number", [0, 1, -1, 127, 128, 255, 256, -128, -129, 2**159, -(2**70)])
def test_numbers_come_back(number: int) -> None:
    assert der.integer(der.only(der.encode_integer(number), der.INTEGER)) == number


@pytest.mark.parametrize("content", [b"", b"\x00\x00", b"\x00\x7f", b"\xff\xff", b"\xff\x80"])
def test_numbers_have_one_form(content: bytes) -> None:
    with pytest.raises(der.DerError):
        der.integer(der.Element(der.INTEGER, content, b""))


def test_a_string_is_no_number() -> None:
    with pytest.raises(der.DerError):
        der.integer(der.Element(der.OCTET_STRING, b"\x01", b""))


@pytest.mark.parametrize("text", ["2.5.4.3", "1.2.840.113549.1.1.11", "0.9.2342.19200300.100.1.25", "2.999.1", "1.39"])
def test_object_identifiers_come_back(text: str) -> None:
    assert der.oid(der.only(der.encode_oid(text), der.OID)) == text


@pytest.mark.parametrize("content", [b"", b"\x80", b"\x55\x80\x01", b"\x55\x04\x83", b"\x55" + b"\xff" * 11 + b"\x01"])
def test_what_is_no_object_identifier(content: bytes) -> None:
    with pytest.raises(der.DerError):
        der.oid(der.Element(der.OID, content, b""))


@pytest.mark.parametrize("text", ["", "1", "3.1", "1.40", "1.x", "1..2", "1.2.-3", "1.٣", "1." + "9" * 30])
def test_what_cannot_be_written_as_one(text: str) -> None:
    with pytest.raises(der.DerError):
        der.encode_oid(text)


@pytest.mark.parametrize("length", [0, 1, 127, 128, 255, 256, 65_535, 65_536])
def test_lengths_of_every_size(length: int) -> None:
    assert der.only(der.encode(der.OCTET_STRING, bytes(length)), der.OCTET_STRING).content == bytes(length)
