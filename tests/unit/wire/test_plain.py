"""Plain values as octets: what is written reads back the same, an older or newer layout too, and nothing else."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from ipaddress import ip_address, ip_network

import pytest

from culvert.addresses import IPAddress, IPNetwork
from culvert.wire.plain import Codec, Leaf, UnreadableError


class Colour(StrEnum):
    RED = "red"


class Number(IntEnum):
    ONE = 1


@dataclass(frozen=True, slots=True)
class Point:
    x: int
    y: int = 7


@dataclass(frozen=True, slots=True)
class Nothing:
    pass


@dataclass(slots=True)
class Whole:
    octets: bytes
    at: IPAddress
    behind: IPNetwork
    colour: Colour
    number: Number
    pair: tuple[int, str]
    points: tuple[Point, ...]
    table: dict[int, Point]
    one_of: Point | Nothing
    maybe: Point | None = None
    names: list[str] = field(default_factory=list)
    yes: bool = True


CODEC = Codec((Whole, Point, Nothing))
READER = CODEC.reader(CODEC.layout)
WHOLE = Whole(
    b"\x00\xff",
    ip_address("2001:db8::1"),
    ip_network("10.1.0.0/16"),
    Colour.RED,
    Number.ONE,
    (3, "three"),
    (Point(1), Point(-2, 3)),
    {5: Point(5)},
    Nothing(),
)


def test_what_is_written_reads_back_the_same() -> None:
    assert READER.read(CODEC.write(WHOLE), Whole) == WHOLE


def of_other_layout(*classes: tuple[str, list[str]]) -> bytes:
    return json.dumps(classes).encode()


def test_a_field_that_was_not_written_has_its_default() -> None:
    reader = CODEC.reader(of_other_layout(("Point", ["x"])))
    assert reader.read(b"[0,4]", Point) == Point(4, 7)


def test_a_field_that_is_not_known_is_ignored_and_the_order_does_not_matter() -> None:
    reader = CODEC.reader(of_other_layout(("Gone", []), ("Point", ["colour", "y", "x"])))
    assert reader.read(b'[1,["blue",null],2,1]', Point) == Point(1, 2)


def test_a_field_without_a_default_must_be_there() -> None:
    reader = CODEC.reader(of_other_layout(("Point", ["y"])))
    with pytest.raises(UnreadableError, match="x is missing"):
        reader.read(b"[0,4]", Point)


def test_a_class_that_is_not_known_is_refused_only_where_it_is_met() -> None:
    reader = CODEC.reader(of_other_layout(("Circle", ["r"]), ("Point", ["x"])))
    assert reader.read(b"[1,4]", Point | Nothing) == Point(4)
    with pytest.raises(UnreadableError):
        reader.read(b"[0,4]", Point | Nothing)
    with pytest.raises(UnreadableError, match="Nothing is missing"):
        reader.read(b"[0]", Nothing)


@pytest.mark.parametrize(
    ("octets", "kind"),
    [
        (b"", int),
        (b"{", int),
        (b"\xff", str),
        (b"1.5", int),
        (b"NaN", int),
        (b"true", int),
        (b"1", bool),
        (b"18446744073709551617", int),
        (b"9" * 5000, int),
        (b'"x"', bytes),
        (b'"0a00"', IPAddress),
        (b'"zz"', IPAddress),
        (b'"0a000001/8"', IPNetwork),
        (b'"0a000000/-1"', IPNetwork),
        (b'"0a000000/33"', IPNetwork),
        (b'"blue"', Colour),
        (b"[]", Colour),
        (b"true", Number),
        (b"2", Number),
        (b"[1]", tuple[int, str]),
        (b"[1,2]", tuple[int, str]),
        (b"{}", list[int]),
        (b'{"x":[1,1,1]}', dict[int, Point]),
        (b'{"01":[1,1,1]}', dict[int, Point]),
        (b"[1,1]", Point),
        (b"[2,1,1]", Point),
        (b"[9,1,1]", Point | Nothing),
        (b"[[],1,1]", Point | Nothing),
        (b"[" * 100_000, list[int]),
        (b"[" * 1_000 + b"]" * 1_000, list[int]),
    ],
)
def test_what_is_no_value_of_its_kind_is_refused(octets: bytes, kind: type) -> None:
    with pytest.raises(UnreadableError):
        READER.read(octets, kind)


@pytest.mark.parametrize("layout", [b"", b"{}", b"[1]", b'[["a"]]', b'[["a",["b","b"]]]', b'[["a",[]],["a",[]]]'])
def test_a_layout_that_is_none_is_refused(layout: bytes) -> None:
    with pytest.raises(UnreadableError):
        CODEC.reader(layout)


def test_a_leaf_is_written_and_read_in_its_own_way() -> None:
    leaf = Leaf(complex, (complex,), lambda value: [int(value.real)], lambda value, context: complex(value[0], context))
    codec = Codec((), (leaf,))
    assert codec.reader(codec.layout).read(codec.write(complex(3)), complex, 4) == complex(3, 4)


def test_what_a_class_refuses_is_unreadable() -> None:
    leaf = Leaf(complex, (complex,), str, lambda value, _context: complex(value))
    codec = Codec((), (leaf,))
    with pytest.raises(UnreadableError, match="ValueError"):
        codec.reader(codec.layout).read(b'"x"', complex)


def test_a_value_that_is_not_plain_is_a_bug_of_ours() -> None:
    with pytest.raises(KeyError):
        CODEC.write(object())
    with pytest.raises(TypeError):
        READER.read(b"1", int | str)
