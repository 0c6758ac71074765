"""What statements say can be written as text, and reads back as the same; any text at all is read or told about."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from hypothesis import given
from hypothesis import strategies as st

from culvert.crypto.transforms import ENCRYPTION, INTEGRITY
from culvert.ipsec.associations import AssociationId, Direction, Encapsulation, Mode, Protocol, SecurityAssociation
from culvert.ipsec.lifetimes import Lifetimes
from culvert.ipsec.policies import MAX_TEMPLATES, Action, Level, Policy, Template
from culvert.ipsec.selectors import ICMP, ICMPV6, Selector
from culvert.setkey.names import TableResolver
from culvert.setkey.parse import parse
from culvert.setkey.rehearse import Tables, rehearse
from culvert.setkey.statements import (
    AddAssociation,
    AddPolicy,
    DeleteAssociation,
    DeleteAssociations,
    DeletePolicy,
    DumpAssociations,
    DumpPolicies,
    FlushAssociations,
    FlushPolicies,
    GetAssociation,
)
from culvert.setkey.words import COMMANDS
from culvert.setkey.write import write

NUMBERS = st.integers(1, 2**32 - 1)
SPIS = st.integers(256, 2**32 - 1)
LIMITS = st.integers(0, 2**63 - 1)
ADDRESSES = {4: st.ip_addresses(v=4), 6: st.ip_addresses(v=6)}
FAMILIES = st.sampled_from((4, 6))
PROTOCOLS = st.sampled_from(Protocol)
PORTS = st.just((0, 0)) | st.integers(1, 2**16 - 1).map(lambda port: (port, 0xFFFF))
OCTETS = st.just((0, 0)) | st.integers(1, 255).map(lambda number: (number, 0xFFFF))
WITH_PORTS = (0, 6, 17, 33, 132, 136)
NOBODY = {4: IPv4Address(0), 6: IPv6Address(0)}


@st.composite
def pairs(draw):
    return draw(FAMILIES.flatmap(lambda version: st.tuples(ADDRESSES[version], ADDRESSES[version])))


@st.composite
def networks(draw, version):
    address = draw(ADDRESSES[version])
    length = draw(st.integers(0, address.max_prefixlen))
    return (IPv4Network if version == 4 else IPv6Network)((int(address), length), strict=False)


@st.composite
def selectors(draw):
    version = draw(FAMILIES)
    protocol = draw(st.sampled_from((*WITH_PORTS, ICMP, ICMPV6)) | st.integers(1, 254))
    ports = ((0, 0), (0, 0))
    if protocol in (ICMP, ICMPV6):
        ports = (draw(OCTETS), draw(OCTETS))
    elif protocol in WITH_PORTS:
        ports = (draw(PORTS), draw(PORTS))
    return Selector(draw(networks(version)), draw(networks(version)), protocol, *ports)


@st.composite
def templates(draw, version):
    """One template, and whether it is to be unique by itself."""
    mode = draw(st.sampled_from((Mode.TUNNEL, Mode.TRANSPORT)))
    ends = draw(pairs()) if mode is Mode.TUNNEL else (NOBODY[version],) * 2
    level = draw(st.sampled_from(Level))
    reqid = draw(st.just(0) | NUMBERS) if level is Level.REQUIRE else 0
    unique = level is Level.REQUIRE and reqid == 0 and draw(st.booleans())
    return Template(*ends, reqid, draw(PROTOCOLS), mode, level), unique


@st.composite
def policies(draw):
    selector, action = draw(selectors()), draw(st.sampled_from(Action))
    count = st.integers(1, MAX_TEMPLATES) if action is Action.PROTECT else st.just(0)
    chosen = [draw(templates(selector.version)) for _ in range(draw(count))]
    policy = Policy(
        selector,
        draw(st.sampled_from(Direction)),
        action,
        draw(st.just(0x8000_0000) | st.integers(0, 2**32 - 1)),
        tuple(template for template, _ in chosen),
    )
    return AddPolicy(policy, tuple(number for number, (_, unique) in enumerate(chosen) if unique), draw(st.booleans()))


@st.composite
def associations(draw):
    source, destination = draw(pairs())
    protocol = draw(PROTOCOLS)
    encryption = draw(st.sampled_from(ENCRYPTION)) if protocol is Protocol.ESP else None
    integrity = None if encryption and encryption.aead else draw(st.sampled_from(INTEGRITY))
    octets = encryption.key_octets + encryption.salt_octets if encryption else 0
    if encryption and encryption.name == "3des":
        draw_key = st.permutations(range(0, 48, 2)).map(bytes)
    else:
        draw_key = st.binary(min_size=octets, max_size=octets)
    udp = st.none() | st.builds(Encapsulation, st.integers(1, 65_535), st.integers(1, 65_535))
    association = SecurityAssociation(
        source,
        destination,
        draw(SPIS),
        None,
        draw(st.just(0) | NUMBERS),
        encryption,
        draw(draw_key),
        integrity,
        draw(st.binary(min_size=integrity.key_octets, max_size=integrity.key_octets)) if integrity else b"",
        protocol,
        draw(st.sampled_from(Mode)),
        draw(udp) if protocol is Protocol.ESP else None,
        draw(st.just(0) | st.integers(4, 8_192).map(lambda octets: 8 * octets)),
        lifetimes=Lifetimes(draw(LIMITS), draw(LIMITS), draw(LIMITS), draw(LIMITS)),
        esn=draw(st.booleans()),
        legacy=bool((encryption and encryption.legacy) or (integrity and integrity.legacy)),
    )
    return AddAssociation(association, draw(st.booleans()))


@st.composite
def names(draw, kind):
    source, destination = draw(pairs())
    return kind(AssociationId(destination, draw(SPIS), draw(PROTOCOLS)), source)


STATEMENTS = (
    associations()
    | policies()
    | names(GetAssociation)
    | names(DeleteAssociation)
    | pairs().flatmap(
        lambda both: st.builds(DeleteAssociations, st.just(both[0]), st.just(both[1]), st.none() | PROTOCOLS)
    )
    | st.builds(DeletePolicy, selectors(), st.sampled_from(Direction))
    | st.builds(FlushAssociations, st.none() | PROTOCOLS)
    | st.builds(DumpAssociations, st.none() | PROTOCOLS)
    | st.just(FlushPolicies())
    | st.just(DumpPolicies())
)


@given(st.lists(STATEMENTS, max_size=6))
def test_what_is_written_reads_back(statements):
    refused = {id(objection.statement) for objection in rehearse(statements, Tables.unknown())}
    statements = [statement for statement in statements if id(statement) not in refused]
    text = "\n".join(map(write, statements))
    parsed = parse(text, "text", TableResolver(), legacy=True)
    assert not parsed.problems
    assert list(parsed.statements) == statements
    assert [text.count("\n", 0, statement.at) for statement in parsed.statements] == list(range(len(statements)))


@given(STATEMENTS, st.data())
def test_how_it_is_spaced_does_not_matter(statement, data):
    blanks = st.sampled_from((" ", "\t", "\n", "  \n\t", ' # a comment; with a "quote\n'))
    spaced = "".join(data.draw(blanks) if letter == " " else letter for letter in write(statement))
    for mark in "[]/":
        spaced = spaced.replace(mark, data.draw(st.sampled_from((mark, f" {mark} "))))
    parsed = parse(spaced, "text", TableResolver(), legacy=True)
    assert not parsed.problems
    assert list(parsed.statements) == [statement]


MARKS = (";", '"', "#", "/", "[", "]", "\n", "\x00", "\udc80", "\u0661")
OPTIONS = (
    "-P",
    "-E",
    "-A",
    "-u",
    "-4",
    "in",
    "out",
    "ipsec",
    "esp",
    "ah",
    "tunnel",
    "transport",
    "any",
    "null",
    "prio",
)
VALUES = ("192.0.2.1", "::", "192.0.2.1-198.51.100.1", "0x1000", "0x" + "00" * 20, "80", "unique:1", "icmp6", "135,0")
PIECES = st.sampled_from((*COMMANDS, *MARKS, *OPTIONS, *VALUES))


@given(st.lists(PIECES, max_size=40).map(" ".join) | st.text(max_size=200))
def test_any_text_is_read_or_told_about(text):
    parsed = parse(text, "text", TableResolver())
    assert all(problem.where.startswith("text:") and problem.what for problem in parsed.problems)
    assert [statement.at for statement in parsed.statements] == sorted(statement.at for statement in parsed.statements)


@given(STATEMENTS, st.data())
def test_a_changed_statement_is_read_or_told_about(statement, data):
    text = write(statement)
    at = data.draw(st.integers(0, len(text)))
    text = text[:at] + data.draw(st.sampled_from(("", " ", "x", "0", "-", "/", ";", '"', "#", "["))) + text[at + 1 :]
    parsed = parse(text, "text", TableResolver(), legacy=True)
    assert parsed.problems or parsed.statements or not text.replace(";", "").split("#")[0].strip()
