"""Distinguished names: `C=DE, O=Example, CN=gw1` and its DER (RFC 5280 section 4.1.2.4, RFC 4514).

They are written in the order in which they stand in a certificate. Values compare without regard to the case of ASCII
letters, to the number of blanks between words and to the kind of string that they are written as. RFC 5280 section 7.1
goes further: to it letters of all scripts, ligatures and letters of another width are alike. Who is to be let in is not
decided by that; who is to be kept out (excluded subtrees) is.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field

from culvert import der

MAX_DN_OCTETS = 4096
"""Longest name in octets; real ones have a few hundred."""
MAX_RDNS = 32
"""Parts of a name; real ones have fewer than ten."""
ANY = "*"
"""As a whole value of an expected name it stands for every value."""

ATTRIBUTES = {
    "C": "2.5.4.6",
    "ST": "2.5.4.8",
    "L": "2.5.4.7",
    "O": "2.5.4.10",
    "OU": "2.5.4.11",
    "CN": "2.5.4.3",
    "SERIALNUMBER": "2.5.4.5",
    "STREET": "2.5.4.9",
    "POSTALCODE": "2.5.4.17",
    "T": "2.5.4.12",
    "SURNAME": "2.5.4.4",
    "G": "2.5.4.42",
    "I": "2.5.4.43",
    "N": "2.5.4.41",
    "DNQ": "2.5.4.46",
    "PSEUDONYM": "2.5.4.65",
    "UNSTRUCTUREDNAME": "1.2.840.113549.1.9.2",
    "DC": "0.9.2342.19200300.100.1.25",
    "UID": "0.9.2342.19200300.100.1.1",
    "E": "1.2.840.113549.1.9.1",
}
"""The short names that are written; `_OTHER_NAMES` are read as well."""
_OTHER_NAMES = {
    "S": "ST",
    "SN": "SERIALNUMBER",
    "EMAIL": "E",
    "EMAILADDRESS": "E",
    "TITLE": "T",
    "GIVENNAME": "G",
    "GN": "G",
    "INITIALS": "I",
    "NAME": "N",
    "DNQUALIFIER": "DNQ",
    "COMMONNAME": "CN",
    "COUNTRYNAME": "C",
    "ORGANIZATIONNAME": "O",
    "ORGANIZATIONALUNITNAME": "OU",
    "STATEORPROVINCENAME": "ST",
    "LOCALITYNAME": "L",
}
_SHORT = {number: name for name, number in ATTRIBUTES.items()}
_IA5 = (ATTRIBUTES["DC"], ATTRIBUTES["E"])
_PRINTABLE = re.compile(r"[A-Za-z0-9 '()+,./:=?-]*")
_ENCODINGS = {
    der.UTF8_STRING: "utf-8",
    der.PRINTABLE_STRING: "ascii",
    der.TELETEX_STRING: "latin-1",
    der.IA5_STRING: "ascii",
    der.UNIVERSAL_STRING: "utf-32-be",
    der.BMP_STRING: "utf-16-be",
}
_SPECIAL = frozenset(',;+"\\<>')
_WRITTEN = re.compile(r"\s*(?P<type>[A-Za-z][A-Za-z0-9-]*|[0-9]+(?:\.[0-9]+)+)\s*=")


class DistinguishedNameError(ValueError):
    """What was read is no distinguished name."""


Comparable = tuple[str, str | bytes]
_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
_UNSEEN = ("Cc", "Cf")


@dataclass(frozen=True, slots=True)
class Attribute:
    """One type and value. `text` is None where the value is no string; `value` is its DER."""

    type: str
    value: bytes
    text: str | None

    @property
    def comparable(self) -> Comparable:
        """What is equal for attributes that are the same."""
        if self.text is None or any(unicodedata.category(letter)[0] == "C" for letter in self.text):
            return self.type, self.value
        return self.type, " ".join(unicodedata.normalize("NFC", self.text).translate(_LOWER).split())

    @property
    def alike(self) -> Comparable:
        """What is equal for attributes that somebody might take for one another (RFC 4518)."""
        if self.text is None:
            return self.type, self.value
        seen = "".join(letter for letter in self.text if unicodedata.category(letter) not in _UNSEEN)
        return self.type, " ".join(unicodedata.normalize("NFKC", seen).casefold().split())

    def matches(self, other: Attribute) -> bool:
        return self.comparable == other.comparable or (self.text == ANY and self.type == other.type)

    def __str__(self) -> str:
        name = _SHORT.get(self.type, self.type)
        if self.text is None or name == self.type:
            return f"{name}=#{self.value.hex()}"
        return f"{name}={_escaped(self.text)}"


def _escaped(text: str) -> str:
    """Write a value so that it can be read back, and so that nothing in it disturbs a terminal or a log."""
    if not text.isprintable():
        text = "".join(letter if letter.isprintable() else "?" for letter in text)
    escaped = "".join(f"\\{letter}" if letter in _SPECIAL else letter for letter in text)
    if escaped[:1] in ("#", " "):
        escaped = f"\\{escaped}"
    return f"{escaped[:-1]}\\ " if len(escaped) > 1 and escaped.endswith(" ") and text.endswith(" ") else escaped


Rdn = tuple[Attribute, ...]
"""A relative distinguished name: one attribute as a rule, several in any order."""


@dataclass(frozen=True, slots=True)
class DistinguishedName:
    """A name as it was written (`der`, compared octet by octet by ==) and its parts.

    `comparable` is what is equal for names that are the same, whatever their kinds of strings.
    """

    der: bytes
    rdns: tuple[Rdn, ...]
    comparable: tuple[tuple[Comparable, ...], ...] = field(default=(), compare=False, repr=False)

    @classmethod
    def of_der(cls, data: bytes) -> DistinguishedName:
        """Raise DistinguishedNameError (a ValueError) where `data` is no Name."""
        if len(data) > MAX_DN_OCTETS:
            raise DistinguishedNameError(f"a distinguished name of more than {MAX_DN_OCTETS} octets")
        try:
            parts = der.only(data, der.SEQUENCE).elements()
            rdns = tuple(_rdn(part) for part in parts)
        except der.DerError as error:
            raise DistinguishedNameError(f"no distinguished name: {error}") from None
        if len(rdns) > MAX_RDNS:
            raise DistinguishedNameError(f"a distinguished name of more than {MAX_RDNS} parts")
        return cls(data, rdns, tuple(_sorted(one.comparable for one in rdn) for rdn in rdns))

    @classmethod
    def parse(cls, text: str) -> DistinguishedName:
        """Read `C=DE, O=Example, CN=gw1`, also with `/` in front of every part. Raise ValueError."""
        rdns = _slashed(text) if text.lstrip().startswith("/") else _written(text)
        if not rdns or len(rdns) > MAX_RDNS:
            raise DistinguishedNameError(f"a distinguished name has 1 to {MAX_RDNS} parts")
        parts = (der.encode(der.SET, *sorted(_encoded(type_, value) for type_, value in rdn)) for rdn in rdns)
        return cls.of_der(der.encode(der.SEQUENCE, *parts))

    @property
    def has_wildcard(self) -> bool:
        return any(one.text == ANY for rdn in self.rdns for one in rdn)

    def same(self, other: DistinguishedName) -> bool:
        return self.der == other.der or self.comparable == other.comparable

    def matches(self, presented: DistinguishedName) -> bool:
        """Tell whether `presented` is this name, where `*` of ours stands for any value."""
        if len(self.rdns) != len(presented.rdns):
            return False
        return all(_rdn_matches(ours, theirs) for ours, theirs in zip(self.rdns, presented.rdns, strict=True))

    def within(self, base: DistinguishedName) -> bool:
        """Tell whether this name lies in the subtree below `base` (RFC 5280 section 4.2.1.10)."""
        return self.comparable[: len(base.rdns)] == base.comparable

    def nearly_within(self, base: DistinguishedName) -> bool:
        """Tell whether it lies there, or whether somebody might think so."""
        return len(self.rdns) >= len(base.rdns) and all(
            _sorted(one.alike for one in ours) == _sorted(one.alike for one in theirs)
            for ours, theirs in zip(self.rdns, base.rdns, strict=False)
        )

    def __str__(self) -> str:
        return ", ".join(" + ".join(map(str, rdn)) for rdn in self.rdns)


def _sorted(attributes: Iterable[Comparable]) -> tuple[Comparable, ...]:
    return tuple(sorted(attributes, key=repr))


def _rdn_matches(ours: Rdn, theirs: Rdn) -> bool:
    left = list(theirs)
    for one in sorted(ours, key=lambda attribute: attribute.text == ANY):
        found = next((other for other in left if one.matches(other)), None)
        if found is None:
            return False
        left.remove(found)
    return not left


def _rdn(part: der.Element) -> Rdn:
    if part.tag != der.SET or not (attributes := part.elements()) or len(attributes) > MAX_RDNS:
        raise der.DerError("a part that is no set of attributes")
    return tuple(_attribute(one) for one in attributes)


def _attribute(element: der.Element) -> Attribute:
    if element.tag != der.SEQUENCE or len(parts := element.elements()) != 2:
        raise der.DerError("an attribute that is no pair of type and value")
    kind, value = parts
    encoding = _ENCODINGS.get(value.tag)
    try:
        text = value.content.decode(encoding) if encoding else None
    except UnicodeDecodeError:
        text = None
    return Attribute(der.oid(kind), value.whole, text)


def _encoded(type_: str, value: str | bytes) -> bytes:
    if isinstance(value, bytes):
        return der.encode(der.SEQUENCE, der.encode_oid(type_), value)
    if type_ in _IA5 and value.isascii():
        tag = der.IA5_STRING
    else:
        tag = der.PRINTABLE_STRING if _PRINTABLE.fullmatch(value) else der.UTF8_STRING
    return der.encode(der.SEQUENCE, der.encode_oid(type_), der.encode(tag, value.encode("utf-8")))


# Reading what a person wrote

_Written = list[list[tuple[str, str | bytes]]]


def _slashed(text: str) -> _Written:
    """Read `/C=DE/O=Example`; a value holds no slash there unless what follows it is no `type=`."""
    parts = re.split(r"/(?=\s*(?:[A-Za-z][A-Za-z0-9-]*|[0-9.]+)\s*=)", text.strip())
    return [[_pair(part)] for part in parts if part.strip()]


def _pair(text: str) -> tuple[str, str | bytes]:
    match = _WRITTEN.match(text)
    if match is None:
        raise DistinguishedNameError(f"{text.strip() or 'nothing'} is no type=value")
    if not (value := text[match.end() :].strip()):
        raise DistinguishedNameError("an attribute without a value")
    return _type(match["type"]), value


def _written(text: str) -> _Written:
    """Read parts that commas (or semicolons) separate; `+` joins the attributes of one part."""
    rdns: _Written = [[]]
    at = 0
    while True:
        match = _WRITTEN.match(text, at)
        if match is None:
            raise DistinguishedNameError(f"{text[at:].strip() or 'nothing'} is no type=value")
        value, at = _value(text, match.end())
        rdns[-1].append((_type(match["type"]), value))
        if at >= len(text):
            return rdns
        if text[at] != "+":
            rdns.append([])
        at += 1


def _type(written: str) -> str:
    if written[0].isdigit():
        return written
    name = written.upper()
    number = ATTRIBUTES.get(_OTHER_NAMES.get(name, name))
    if number is None:
        raise DistinguishedNameError(f"{written} is no attribute of a distinguished name")
    return number


def _value(text: str, at: int) -> tuple[str | bytes, int]:
    """Read a value from `at` on; give it and where the separator behind it stands, or the end."""
    while at < len(text) and text[at] == " ":
        at += 1
    if text[at : at + 1] == '"':
        return _quoted(text, at + 1)
    letters, kept = list[str](), 0
    begin = at
    while at < len(text) and text[at] not in ",;+":
        letter = text[at]
        if letter == "\\":
            at += 1
            letter = text[at : at + 1]
            if not letter:
                raise DistinguishedNameError("a backslash at the end")
        letters.append(letter)
        if letter != " " or text[at - 1] == "\\":
            kept = len(letters)
        at += 1
    value = "".join(letters[:kept])
    if not value:
        raise DistinguishedNameError("an attribute without a value")
    return (_hexadecimal(value) if text[begin : begin + 1] == "#" else value), at


def _quoted(text: str, at: int) -> tuple[str, int]:
    letters = list[str]()
    while (letter := text[at : at + 1]) != '"':
        if letter == "\\":
            at += 1
            letter = text[at : at + 1]
        if not letter:
            raise DistinguishedNameError("a quote without its end")
        letters.append(letter)
        at += 1
    at += 1
    while text[at : at + 1] == " ":
        at += 1
    if at < len(text) and text[at] not in ",;+":
        raise DistinguishedNameError("something behind a quoted value")
    return "".join(letters), at


def _hexadecimal(text: str) -> bytes:
    """Read `#13024445`: the value's DER itself."""
    try:
        data = bytes.fromhex(text[1:])
    except ValueError:
        raise DistinguishedNameError(f"{text} is not hexadecimal") from None
    if not data:
        raise DistinguishedNameError("a value of no octets")
    return data
