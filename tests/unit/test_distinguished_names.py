"""Distinguished names: written, read and compared."""

from __future__ import annotations

import pytest

from culvert import der
from culvert.distinguished_names import ATTRIBUTES, MAX_RDNS, DistinguishedName, DistinguishedNameError


def name(text: str) -> DistinguishedName:
    return DistinguishedName.parse(text)


@pytest.mark.parametrize(
    ("text", "again"),
    [
        ("C=DE, O=Example, CN=gw1", "C=DE, O=Example, CN=gw1"),
        ("c=DE,o=Example,cn=gw1", "C=DE, O=Example, CN=gw1"),
        ("C=DE;O=Example;CN=gw1", "C=DE, O=Example, CN=gw1"),
        ("/C=DE/O=Example/CN=gw1", "C=DE, O=Example, CN=gw1"),
        ("/C=DE/O=a/b/CN=x", "C=DE, O=a/b, CN=x"),
        (" C = DE , O = Example Ltd ", "C=DE, O=Example Ltd"),
        ("O=Example\\, Ltd, CN=a", "O=Example\\, Ltd, CN=a"),
        ('O="Example, Ltd" , CN=a', "O=Example\\, Ltd, CN=a"),
        ('O="say \\"so\\"", CN=a', 'O=say \\"so\\", CN=a'),
        ("CN=gw+UID=7, O=x", "CN=gw + UID=7, O=x"),
        ("emailAddress=a@b.org, DC=org", "E=a@b.org, DC=org"),
        ("SN=4711, ST=Bayern, S=Bayern", "SERIALNUMBER=4711, ST=Bayern, ST=Bayern"),
        ("2.5.4.3=gw", "CN=gw"),
        ("1.2.3.4=#0c0178", "1.2.3.4=#0c0178"),
        ("CN=#0c0178", "CN=x"),
        ("CN=\\#1", "CN=\\#1"),
        ("CN=a=b", "CN=a=b"),
        ("O=Büro", "O=Büro"),
        ("CN=\\ x\\ ", "CN=\\ x\\ "),
    ],
)
def test_how_it_is_written(text: str, again: str) -> None:
    assert str(name(text)) == again
    assert name(again).same(name(text)), "what is shown can be read again"


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "CN",
        "CN=",
        "CN=a,",
        "CN=a,,O=b",
        "X=1",
        "CN=a, O",
        'CN="a',
        'CN="a" b',
        "CN=a\\",
        "CN=#0c01",
        "CN=#xy",
        "CN=#",
        "CN=#0c01780c0178",
        "/CN",
        "/CN=",
        "1.2.3.99999999999999999999999=a",
        ", ".join(["CN=a"] * (MAX_RDNS + 1)),
    ],
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        name(text)


def test_the_octets_are_those_of_x_509() -> None:
    """Compared with `openssl asn1parse` of a subject that `openssl req -subj` wrote."""
    assert name("C=DE, O=Example, CN=gw1").der.hex() == (
        "302d310b30090603550406130244453110300e060355040a0c074578616d706c65310c300a06035504030c03677731"
    ).replace("0c07", "1307").replace("0c03", "1303")


def raw(tag: int, value: bytes, kind: str = "CN") -> bytes:
    attribute = der.encode(der.SEQUENCE, der.encode_oid(ATTRIBUTES[kind]), der.encode(tag, value))
    return der.encode(der.SEQUENCE, der.encode(der.SET, attribute))


@pytest.mark.parametrize(
    ("tag", "value"),
    [
        (der.UTF8_STRING, b"Gate Way"),
        (der.PRINTABLE_STRING, b"gate  way"),
        (der.TELETEX_STRING, b" GATE WAY "),
        (der.IA5_STRING, b"gate way"),
        (der.BMP_STRING, "gate way".encode("utf-16-be")),
        (der.UNIVERSAL_STRING, "Gate way".encode("utf-32-be")),
    ],
)
def test_kind_of_string_case_and_blanks_do_not_count(tag: int, value: bytes) -> None:
    assert DistinguishedName.of_der(raw(tag, value)).same(name("CN=gate way"))


@pytest.mark.parametrize(
    "other", ["CN=gateway", "O=gate way", "CN=gate way, O=x", "O=x, CN=gate way", "CN=gate way+UID=1", "CN=gate"]
)
def test_other_names_are_others(other: str) -> None:
    assert not name(other).same(name("CN=gate way"))


def test_the_order_counts_and_within_a_part_it_does_not() -> None:
    assert not name("C=DE, O=x").same(name("O=x, C=DE"))
    assert name("CN=a+UID=b").same(name("UID=B+CN=A"))


@pytest.mark.parametrize("value", [b"gw\0", b"gw\x1b[2J", "gw\u200b".encode(), b"\xff\xfe"])
def test_what_cannot_be_seen_is_compared_octet_by_octet(value: bytes) -> None:
    strange = DistinguishedName.of_der(raw(der.UTF8_STRING, value))
    assert strange.same(DistinguishedName.of_der(raw(der.UTF8_STRING, value)))
    assert not strange.same(name("CN=gw"))
    assert not strange.same(
        DistinguishedName.of_der(raw(der.UTF8_STRING, value.upper())) if value.isascii() else name("CN=x")
    )
    assert str(strange).isprintable()


@pytest.mark.parametrize(
    ("expected", "presented", "good"),
    [
        ("C=DE, O=Example, CN=*", "C=DE, O=Example, CN=gw1", True),
        ("C=DE, O=Example, CN=*", "C=DE, O=EXAMPLE, CN=anything at all", True),
        ("C=DE, O=Example, CN=*", "C=FR, O=Example, CN=gw1", False),
        ("C=DE, O=Example, CN=*", "C=DE, O=Example", False),
        ("C=DE, O=Example, CN=*", "C=DE, O=Example, OU=gw1", False),
        ("C=DE, O=Example, CN=*", "C=DE, O=Example, OU=x, CN=gw1", False),
        ("C=DE, O=Example, CN=g*", "C=DE, O=Example, CN=gw1", False),
        ("CN=*+UID=7", "UID=7+CN=x", True),
        ("CN=*+UID=7", "UID=8+CN=x", False),
        ("CN=*+CN=a", "CN=a+CN=b", True),
    ],
)
def test_a_wildcard_stands_for_one_whole_value(expected: str, presented: str, good: bool) -> None:
    assert name(expected).matches(name(presented)) == good


@pytest.mark.parametrize("other", ["CN=\uff47\uff57\uff11", "CN=GW\u2081", "CN=g\u200bw1", "CN=gw\u0131"])
def test_letters_that_look_alike_are_others_and_nearly_the_same(other: str) -> None:
    """An authority that took them for others may have given one to somebody else."""
    assert not name(other).same(name("CN=gw1"))
    assert not name(other).matches(name("CN=gw1"))
    assert not name(f"C=DE, {other}").within(name("CN=gw1"))
    assert name(other).nearly_within(name("CN=gw1")) == (other != "CN=gw\u0131")


def test_letters_of_other_scripts_have_one_case_only() -> None:
    assert name("O=Büro").same(name("O=BüRO"))
    assert not name("O=BÜRO").same(name("O=Büro"))
    assert name("O=BÜRO").nearly_within(name("O=Büro"))
    assert not name("O=Strasse").same(name("O=Straße"))


def test_subtrees() -> None:
    base = name("C=DE, O=Example")
    assert name("C=de, O=EXAMPLE, CN=gw1").within(base)
    assert base.within(base)
    assert not name("C=DE").within(base)
    assert not name("C=DE").nearly_within(base)
    assert not name("C=DE, O=Examples, CN=gw1").within(base)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x31\x00",
        b"\x30\x02\x30\x00",
        b"\x30\x02\x31\x00",
        b"\x30\x04\x31\x02\x30\x00",
        raw(der.UTF8_STRING, b"x") + b"\0",
        raw(der.UTF8_STRING, b"x" * 5000),
        der.encode(der.SEQUENCE, *[der.only(raw(der.UTF8_STRING, b"x"), der.SEQUENCE).content] * (MAX_RDNS + 1)),
    ],
)
def test_octets_that_are_no_name(data: bytes) -> None:
    with pytest.raises(DistinguishedNameError):
        DistinguishedName.of_der(data)


def test_the_empty_name_is_one() -> None:
    assert DistinguishedName.of_der(b"\x30\x00").rdns == ()
