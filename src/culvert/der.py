"""DER (X.690): strict, and no more of it than names, keys and certificates need.

Whoever reads a signature's or a name's octets in two ways reads a forgery in one of them: lengths are minimal and
definite, nothing stands behind the end, numbers have one form.
"""

from __future__ import annotations

from dataclasses import dataclass

INTEGER, BIT_STRING, OCTET_STRING, NULL, OID = 0x02, 0x03, 0x04, 0x05, 0x06
UTF8_STRING, PRINTABLE_STRING, TELETEX_STRING, IA5_STRING = 0x0C, 0x13, 0x14, 0x16
UTC_TIME, GENERALIZED_TIME, UNIVERSAL_STRING, BMP_STRING = 0x17, 0x18, 0x1C, 0x1E
SEQUENCE, SET = 0x30, 0x31

MAX_LENGTH_OCTETS = 3
"""16 MiB: more than any file that is read."""
MAX_ARC_OCTETS = 10
"""Octets of one number of an object identifier; 64 bits are more than anybody was given."""


class DerError(ValueError):
    """What was read is no DER, or not what belongs there."""


@dataclass(frozen=True, slots=True)
class Element:
    """One value: its identifier octet, its content, and both with the length between as they were written."""

    tag: int
    content: bytes
    whole: bytes

    def elements(self) -> tuple[Element, ...]:
        """Take the values apart that this one holds. Raise DerError."""
        if not self.tag & 0x20:
            raise DerError("a plain value where one of several parts belongs")
        return elements(self.content)


def elements(data: bytes) -> tuple[Element, ...]:
    """Read all values that stand one behind the other. Raise DerError."""
    found, at = [], 0
    while at < len(data):
        one = _element(data, at)
        found.append(one)
        at += len(one.whole)
    return tuple(found)


def only(data: bytes, tag: int) -> Element:
    """Read the one value that `data` is. Raise DerError where it is another, or something follows."""
    if not data:
        raise DerError("nothing where a value belongs")
    one = _element(data, 0)
    if one.tag != tag or len(one.whole) != len(data):
        raise DerError(f"another value than 0x{tag:02x}, or something behind it")
    return one


def _element(data: bytes, at: int) -> Element:
    if len(data) - at < 2:
        raise DerError("a value without its length")
    tag, length, start = data[at], data[at + 1], at + 2
    if tag & 0x1F == 0x1F:
        raise DerError("a tag of several octets")
    if length & 0x80:
        length, start = _long_length(data, at + 1)
    if length > len(data) - start:
        raise DerError("a value longer than what holds it")
    return Element(tag, data[start : start + length], data[at : start + length])


def _long_length(data: bytes, at: int) -> tuple[int, int]:
    """Read a length of several octets; give it and where the content begins."""
    count = data[at] & 0x7F
    octets = data[at + 1 : at + 1 + count]
    if not 0 < count <= MAX_LENGTH_OCTETS or len(octets) != count:
        raise DerError("a length that is indefinite, cut off or out of bounds")
    length = int.from_bytes(octets, "big")
    if octets[0] == 0 or length < 0x80:
        raise DerError("a length that is not written the shortest way")
    return length, at + 1 + count


def integer(element: Element) -> int:
    """Give the number that an INTEGER is. Raise DerError."""
    content = element.content
    if element.tag != INTEGER or not content:
        raise DerError("no number where one belongs")
    if len(content) > 1 and content[0] in (0x00, 0xFF) and content[0] >> 7 == content[1] >> 7:
        raise DerError("a number that is not written the shortest way")
    return int.from_bytes(content, "big", signed=True)


def oid(element: Element) -> str:
    """Give an object identifier with dots. Raise DerError."""
    content = element.content
    if element.tag != OID or not content or content[-1] & 0x80:
        raise DerError("no object identifier where one belongs")
    arcs, value, octets = list[int](), 0, 0
    for octet in content:
        if octets == 0 and octet == 0x80:
            raise DerError("an object identifier that is not written the shortest way")
        value, octets = value << 7 | octet & 0x7F, octets + 1
        if octets > MAX_ARC_OCTETS:
            raise DerError("an object identifier out of bounds")
        if not octet & 0x80:
            arcs.append(value)
            value, octets = 0, 0
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, (first, arcs[0] - 40 * first, *arcs[1:])))


def encode(tag: int, *contents: bytes) -> bytes:
    """Write one value around `contents`."""
    content = b"".join(contents)
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + content


def encode_integer(number: int) -> bytes:
    magnitude = number if number >= 0 else ~number
    return encode(INTEGER, number.to_bytes(magnitude.bit_length() // 8 + 1, "big", signed=True))


def encode_oid(text: str) -> bytes:
    """Write an object identifier. Raise DerError where `text` is none."""
    arcs = text.split(".")
    if len(arcs) < 2 or not all(arc.isascii() and arc.isdigit() and len(arc) < 20 for arc in arcs):
        raise DerError(f"{text} is no object identifier")
    first, second, *rest = map(int, arcs)
    if first > 2 or (first < 2 and second > 39):
        raise DerError(f"{text} is no object identifier")
    return encode(OID, *map(_arc, (40 * first + second, *rest)))


def _arc(number: int) -> bytes:
    octets = [number & 0x7F]
    while number := number >> 7:
        octets.append(number & 0x7F | 0x80)
    return bytes(reversed(octets))
