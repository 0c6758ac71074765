"""setkey's language: what each statement means, and what is told of every mistake."""

import time
from ipaddress import ip_address, ip_network

import pytest

from culvert.addresses import NAT_PORT
from culvert.crypto.transforms import transform_named
from culvert.ipsec.associations import AssociationId, Direction, Encapsulation, Mode, Protocol
from culvert.ipsec.lifetimes import Lifetimes
from culvert.ipsec.policies import Action, Level, Policy, Template
from culvert.ipsec.selectors import Selector
from culvert.setkey.bounds import MAX_LINE_CHARACTERS, MAX_PROBLEMS, MAX_STATEMENT_CHARACTERS, MAX_STATEMENTS
from culvert.setkey.names import TableResolver
from culvert.setkey.parse import parse
from culvert.setkey.statements import (
    AddPolicy,
    DeleteAssociation,
    DeleteAssociations,
    DeletePolicy,
    DumpAssociations,
    DumpPolicies,
    Exit,
    FlushAssociations,
    FlushPolicies,
    GetAssociation,
)

NAMES = TableResolver(
    hosts={
        "vpn.example": ["192.0.2.1"],
        "both.example": ["192.0.2.1", "2001:db8::1"],
        "many.example": [f"192.0.2.{number}" for number in range(1, 17)],
        "hundreds.example": [f"192.0.2.{number}" for number in range(1, 18)],
        "six.example": ["2001:db8::6"],
    },
    services={"http": 80},
    protocols={"ospf": 89},
)
A, W = "192.0.2.1", "198.51.100.1"
AES = "0x" + "11" * 16
SHA = "0x" + "22" * 32
ALGORITHMS = f"-E aes-cbc {AES} -A hmac-sha2-256 {SHA}"
DEFAULT = 0x8000_0000


def read(text, **options):
    parsed = parse(text, "ipsec.conf", NAMES, **options)
    assert not parsed.problems, parsed.problems[0]
    return parsed


def only(text, **options):
    (statement,) = read(text, **options).statements
    return statement


def association(text, **options):
    return only(text, **options).association


def policy(text):
    return only(text).policy


def problems(text, **options):
    return parse(text, "ipsec.conf", NAMES, **options).problems


def problem(text, **options):
    (found,) = problems(text, **options)
    return found


def marked(found):
    """What stands above the mark of a problem."""
    *_, line, mark = found.what.split("\n")
    return line[mark.index("^") : mark.rindex("^") + 1]


# Associations


def test_an_association_has_what_was_written():
    found = association(
        f"add {A} {W} esp 0x10001 -m tunnel -r 16 -u 7 -f nocyclic-seq -lh 60 -ls 50 -bh 1000 -bs 900 {ALGORITHMS};"
    )
    assert (str(found.source), str(found.destination), found.spi) == (A, W, 0x10001)
    assert (found.mode, found.protocol, found.direction, found.reqid) == (Mode.TUNNEL, Protocol.ESP, None, 7)
    assert found.replay_window_packets == 128
    assert found.lifetimes == Lifetimes(50, 60, 900, 1000)
    assert (found.encryption, found.encryption_key) == (transform_named("aes128"), b"\x11" * 16)
    assert (found.integrity, found.integrity_key) == (transform_named("sha256"), b"\x22" * 32)


def test_without_options_it_takes_both_modes_and_checks_no_replay():
    found = association(f"add {A} {W} esp 65537 {ALGORITHMS};")
    assert (found.spi, found.mode, found.replay_window_packets, found.reqid) == (65537, Mode.ANY, 0, 0)
    assert not found.esn


def test_the_smallest_windows_are_made_32_packets_wide():
    assert association(f"add {A} {W} esp 256 -r 1 {ALGORITHMS};").replay_window_packets == 32
    assert association(f"add {A} {W} esp 256 -r 8192 {ALGORITHMS};").replay_window_packets == 65_536
    assert "at most 8192" in problem(f"add {A} {W} esp 256 -r 8193 {ALGORITHMS};").what


def test_options_and_algorithms_stand_in_any_order():
    assert association(f"add {A} {W} esp 256 {ALGORITHMS} -m transport -f esn;").esn


def test_ah_has_integrity_alone():
    found = association(f'add {A} {W} ah 123456 -A hmac-sha2-256 "AH SA configuration is 32 octets";')
    assert (found.protocol, found.encryption) == (Protocol.AH, None)
    assert found.integrity_key == b"AH SA configuration is 32 octets"


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("aes-cbc 0x" + "00" * 24 + f" -A hmac-sha256 {SHA}", "aes192"),
        ("rijndael-cbc 0x" + "00" * 32 + f" -A hmac-sha256 {SHA}", "aes256"),
        ("aes-ctr 0x" + "00" * 20 + f" -A hmac-sha256 {SHA}", "aes128ctr"),
        ("aes-gcm-16 0x" + "00" * 36, "aes256gcm16"),
        ("aes-gcm-8 0x" + "00" * 20, "aes128gcm8"),
        ("aes-ccm-16 0x" + "00" * 19, "aes128ccm16"),
        ("aes-gmac 0x" + "00" * 28, "aes192gmac"),
        ("chacha20-poly1305 0x" + "00" * 36, "chacha20poly1305"),
        ("camellia-cbc 0x" + "00" * 16 + f" -A hmac-sha256 {SHA}", "camellia128"),
        (f"null -A hmac-sha256 {SHA}", "null"),
        (f'null "" -A hmac-sha256 {SHA}', "null"),
        (f"simple -A hmac-sha256 {SHA}", "null"),
    ],
)
def test_a_cipher_is_told_by_its_name_and_the_length_of_its_key(words, name):
    assert association(f"add {A} {W} esp 256 -E {words};").encryption == transform_named(name)


def test_esp_in_udp_has_ports():
    assert association(f"add {A} {W} esp-udp 256 {ALGORITHMS};").encapsulation == Encapsulation(NAT_PORT, NAT_PORT)
    found = association(f"add {A}[4500] {W}[30000] esp-udp 256 {ALGORITHMS};")
    assert found.encapsulation == Encapsulation(4500, 30000)
    assert association(f"add {A} {W} esp 256 {ALGORITHMS};").encapsulation is None
    parsed = read(f"add {A} {W} esp-udp 10.0.0.1 256 {ALGORITHMS};")
    assert "not needed" in parsed.warnings[0].what


def test_update_replaces():
    assert only(f"update {A} {W} esp 256 {ALGORITHMS};").replacing


def test_what_names_an_association():
    named = AssociationId(ip_address(W), 256, Protocol.AH)
    assert only(f"get {A} {W} ah 256;") == GetAssociation(named, ip_address(A))
    assert only(f"delete {A} {W} ah 0x100 -m tunnel;") == DeleteAssociation(named, ip_address(A))
    assert only(f"deleteall {A} {W} esp;") == DeleteAssociations(ip_address(A), ip_address(W), Protocol.ESP)
    assert only(f"deleteall {A} {W};") == DeleteAssociations(ip_address(A), ip_address(W), None)


def test_whole_tables():
    parsed = read("flush; flush esp;dump;dump ah ; spdflush;spddump;quit; nothing of this is read")
    assert parsed.statements == (
        FlushAssociations(),
        FlushAssociations(Protocol.ESP),
        DumpAssociations(),
        DumpAssociations(Protocol.AH),
        FlushPolicies(),
        DumpPolicies(),
        Exit(),
    )


def test_names_of_hosts_stand_for_all_their_addresses_in_pairs():
    found = read(f"add both.example six.example esp 256 {ALGORITHMS};").statements
    assert [str(one.association.source) for one in found] == ["2001:db8::1"]
    found = read(f"add -4 both.example {W} esp 256 {ALGORITHMS};").statements
    assert [str(one.association.source) for one in found] == ["192.0.2.1"]
    found = read("spdadd -4 many.example 10.0.0.0/8 any -P out none;").statements
    assert len(found) == 16
    assert len({one.at for one in found}) == 1


def test_a_name_with_too_many_addresses_is_refused_for_some_would_be_left_out():
    assert "17 addresses, and 16 are the most" in problem("spdadd hundreds.example 10.0.0.0/8 any -P out none;").what


# Policies


def test_the_chapters_lines_as_they_are_written():
    text = f"""
    spdadd {A}/32 {W}/32 ipencap -P out ipsec esp/tunnel/{A}-{W}/require;
    spdadd {W}/32 {A}/32 ipencap -P in ipsec
      esp/tunnel/{W}-{A}/require;
    """
    out, back = (one.policy for one in read(text).statements)
    selector = Selector(ip_network(A), ip_network(W), 4)
    template = Template(ip_address(A), ip_address(W))
    assert out == Policy(selector, Direction.OUT, Action.PROTECT, DEFAULT, (template,))
    template = Template(ip_address(W), ip_address(A))
    assert back == Policy(selector.reversed, Direction.IN, Action.PROTECT, DEFAULT, (template,))


@pytest.mark.parametrize(
    ("upper", "protocol"),
    [("any", 0), ("255", 0), ("0", 0), ("tcp", 6), ("ip4", 4), ("ipencap", 4), ("icmp6", 58), ("ospf", 89), ("47", 47)],
)
def test_upper_layer_protocols(upper, protocol):
    assert policy(f"spdadd ::/0 ::/0 {upper} -P in discard;").selector.protocol == protocol


def test_ports_are_numbers_services_or_any():
    selector = policy("spdadd 10.0.11.41/32[21] 10.0.11.33[http] tcp -P out none;").selector
    assert (selector.source_port, selector.destination_port) == ((21, 0xFFFF), (80, 0xFFFF))
    selector = policy("spdadd 10.0.11.41[ any ] 10.0.11.33 / 24 [0] tcp -P out none;").selector
    assert (selector.source_port, selector.destination_port) == ((0, 0), (0, 0))
    assert selector.destination == ip_network("10.0.11.0/24")
    assert policy("spdadd 10.0.0.1[21] 10.0.0.2 any -P out none;").selector.source_port == (21, 0xFFFF)


def test_icmp_has_type_and_code_and_zero_is_any():
    selector = policy("spdadd ::/0 ::/0 icmp6 135,0 -P in none;").selector
    assert (selector.source_port, selector.destination_port) == ((135, 0xFFFF), (0, 0))
    selector = policy("spdadd 0.0.0.0/0 0.0.0.0/0 icmp 3,4 -P in none;").selector
    assert (selector.source_port, selector.destination_port) == ((3, 0xFFFF), (4, 0xFFFF))
    assert policy("spdadd ::/0 ::/0 icmp6 -P in none;").selector.source_port == (0, 0)


NOBODY = ip_address(0)
TRANSPORT = Template(NOBODY, NOBODY, mode=Mode.TRANSPORT)


@pytest.mark.parametrize(
    ("requests", "templates"),
    [
        ("esp/transport//require", [TRANSPORT]),
        ("esp/transport", [TRANSPORT]),
        ("esp/transport/", [TRANSPORT]),
        ("esp/transport//", [TRANSPORT]),
        ("esp / transport / / default", [TRANSPORT]),
        (f"esp/transport/{A}-{W}/require", [TRANSPORT]),
        ("esp/transport//use", [Template(NOBODY, NOBODY, mode=Mode.TRANSPORT, level=Level.USE)]),
        ("esp/transport//unique:7", [Template(NOBODY, NOBODY, 7, mode=Mode.TRANSPORT)]),
        (f"esp/tunnel/{A}-{W}", [Template(ip_address(A), ip_address(W))]),
        (f"esp/tunnel/{A}-{W}/", [Template(ip_address(A), ip_address(W))]),
        (f"esp/tunnel/{A}[4500]-{W}[30000]/require", [Template(ip_address(A), ip_address(W))]),
        (f"esp/tunnel/{A} - {W}/require", [Template(ip_address(A), ip_address(W))]),
        ("esp/tunnel/2001:db8::1-2001:db8::2/use", None),
        (
            "esp/transport/ ah/transport/",
            [TRANSPORT, Template(NOBODY, NOBODY, protocol=Protocol.AH, mode=Mode.TRANSPORT)],
        ),
        (
            f"esp/transport//require\n\tah/tunnel/{A}-{W}/require",
            [TRANSPORT, Template(ip_address(A), ip_address(W), protocol=Protocol.AH)],
        ),
    ],
)
def test_requests(requests, templates):
    found = policy(f"spdadd 10.0.0.1 10.0.0.2 any -P out ipsec {requests};").templates
    if templates is None:
        templates = [Template(ip_address("2001:db8::1"), ip_address("2001:db8::2"), level=Level.USE)]
    assert list(found) == templates


def test_unique_without_a_number_is_left_to_be_numbered():
    statement = only(f"spdadd 10.0.0.1 10.0.0.2 any -P out ipsec esp/transport//use ah/tunnel/{A}-{W}/unique;")
    assert statement.unique == (1,)
    assert statement.policy.templates[1].reqid == 0


def test_transport_mode_takes_the_family_of_the_packets():
    (template,) = policy("spdadd ::1 ::2 any -P out ipsec esp/transport//require;").templates
    assert template.source == ip_address("::")


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("", DEFAULT),
        ("prio 10", DEFAULT - 10),
        ("priority 10", DEFAULT - 10),
        ("prio -10", DEFAULT + 10),
        ("prio - 10", DEFAULT + 10),
        ("prio low", 0xC000_0000),
        ("prio def", DEFAULT),
        ("prio high + 10", 0x4000_0000 - 10),
        ("prio low+10", 0xC000_0000 - 10),
        ("prio high -\n10", 0x4000_0000 + 10),
        ("prio high + 1073741824", 0),
        ("prio 2147483648", 0),
        ("prio -2147483647", 2**32 - 1),
    ],
)
def test_priorities_are_those_of_ipsec_tools(written, number):
    assert policy(f"spdadd 10.0.0.1 10.0.0.2 any -P out {written} discard;").priority == number


def test_policies_are_replaced_and_deleted():
    assert only("spdupdate 10.0.0.1 10.0.0.2 any -P fwd none;").replacing
    selector = Selector(ip_network("10.0.0.1"), ip_network("10.0.0.2"))
    assert only("spddelete 10.0.0.1 10.0.0.2 any -P in;") == DeletePolicy(selector, Direction.IN)
    whole = f"spddelete 10.0.0.1 10.0.0.2 any -P out prio 3 ipsec esp/tunnel/{A}-{W}/require;"
    assert only(whole) == DeletePolicy(selector, Direction.OUT)


def test_bits_behind_the_prefix_do_not_count():
    found = policy("spdadd 10.1.2.3/8 10.0.0.0/0 any -P in none;").selector
    assert found == Selector(ip_network("10.0.0.0/8"), ip_network("0.0.0.0/0"))


# How a text is cut


def test_comments_stand_anywhere_outside_of_strings():
    text = f"""# spdadd this is not read;
    spdadd 10.0.0.1 # from
       10.0.0.2 any  # and "so on;
       -P out none;#
    add {A} {W} ah 256 -A aes-xcbc-mac "# sixteen; oct#s";
    """
    first, second = read(text).statements
    assert isinstance(first, AddPolicy)
    assert second.association.integrity_key == b"# sixteen; oct#s"


def test_an_empty_text_says_nothing():
    for text in ("", "\n\n", "# nothing\n", "   ; ;; \n", "# no end of line"):
        assert read(text).statements == ()


def test_octets_of_a_string_are_those_of_the_file():
    text = b'add 192.0.2.1 198.51.100.1 ah 256 -A aes-xcbc-mac "\xe4\xf6\xfc\x00 twelve octe";'
    found = association(text.decode(errors="surrogateescape"))
    assert found.integrity_key == b"\xe4\xf6\xfc\x00 twelve octe"


# Mistakes


@pytest.mark.parametrize(
    ("text", "what", "mark"),
    [
        ("dance;", "no command", "dance"),
        (f"add {A}", "`;` that ends the statement is missing", ""),
        (f"add {A};", "the destination is missing", ";"),
        (f"add {A} 2001:db8::1 esp 256 {ALGORITHMS};", "different families", A),
        (f"add {A}/24 {W} esp 256 {ALGORITHMS};", "not networks", "/"),
        (f"add {A} 300.1.1.1 esp 256 {ALGORITHMS};", "neither an address nor a name", "300.1.1.1"),
        (f"add {A} 010.1.1.1 esp 256 {ALGORITHMS};", "neither an address nor a name", "010.1.1.1"),
        (f"add {A} nobody.example esp 256 {ALGORITHMS};", "nobody knows it", "nobody.example"),
        (f"add -n {A} vpn.example esp 256 {ALGORITHMS};", "is no address", "vpn.example"),
        (f"add -6 {A} {W} esp 256 {ALGORITHMS};", "is of IPv4", A),
        (f"add -6 {A} vpn.example esp 256 {ALGORITHMS};", "is of IPv4", A),
        ("add -6 six.example vpn.example esp 256 -E null;", "no address of IPv6", "vpn.example"),
        (f"add -46 {A} {W} esp 256 {ALGORITHMS};", "exclude each other", "-46"),
        (f"add fe80::1%eth0 fe80::2 esp 256 {ALGORITHMS};", "interface", "fe80::1%eth0"),
        (f"add {A} {W} esp-old 256 {ALGORITHMS};", "RFC 1827", "esp-old"),
        (f"add {A} {W} ah-old 256 {ALGORITHMS};", "RFC 1826", "ah-old"),
        (f"add {A} {W} ipcomp 256 -C deflate;", "IPComp", "ipcomp"),
        (f"add {A} {W} esp 256 -C deflate;", "IPComp", "-C"),
        (f'add {A} {W} tcp 0x1000 -A tcp-md5 "secret";', "TCP-MD5", "tcp"),
        (f"add {A} {W} esp 255 {ALGORITHMS};", "reserved", "255"),
        (f"add {A} {W} esp 0x100000000 {ALGORITHMS};", "at most", "0x100000000"),
        (f"add {A} {W} esp spi {ALGORITHMS};", "no number", "spi"),
        (f"add {A}[500] {W} esp 256 {ALGORITHMS};", "esp has no ports", "500"),
        (f"add {A}[500 {W} esp-udp 256 {ALGORITHMS};", "closing bracket", W),
        (f"add {A}[65536] {W} esp-udp 256 {ALGORITHMS};", "at most 65535", "65536"),
        (f"add {A}[nothing] {W} esp-udp 256 {ALGORITHMS};", "no service", "nothing"),
        (f"add {A} {W} esp 256 -m both {ALGORITHMS};", "no mode", "both"),
        (f"add {A} {W} esp 256 -x {ALGORITHMS};", "no option", "-x"),
        (f"add {A} {W} esp 256 -f wobbly-pad {ALGORITHMS};", "does not know", "wobbly-pad"),
        (f'add {A} {W} esp 256 -ctx 1 1 "label" {ALGORITHMS};', "SELinux", "-ctx"),
        (f"add {A} {W} esp 256 {ALGORITHMS} more;", "nothing more", "more"),
        (f"add {A} {W} esp 256 -E des-cbc 0x0011223344556677 -A hmac-sha1 {SHA};", "refused", "des-cbc"),
        (f"add {A} {W} esp 256 -E aes-256 {AES};", "no cipher", "aes-256"),
        (f"add {A} {W} esp 256 -E aes-cbc {AES};", "without integrity", "aes-cbc"),
        (f"add {A} {W} esp 256 -E aes-cbc {AES} -A null;", "without integrity", "null"),
        (f"add {A} {W} esp 256 -A hmac-sha2-256 {SHA};", "needs a cipher", "hmac-sha2-256"),
        (f"add {A} {W} esp 256;", "needs a cipher", ";"),
        (f"add {A} {W} ah 256 -E null -A hmac-sha2-256 {SHA};", "does not encrypt", "null"),
        (f"add {A} {W} ah 256;", "needs an integrity", ";"),
        (f"add {A} {W} esp 256 -E aes-gcm-16 0x{'00' * 20} -A hmac-sha2-256 {SHA};", "by itself", "hmac-sha2-256"),
        (f"add {A} {W} esp 256 {ALGORITHMS} -E null;", "a cipher already", "-E"),
        (f"add {A} {W} ah 256 -A hmac-md5 {AES};", "refused", "hmac-md5"),
        (f"add {A} {W} ah 256 -A hmac-sha3-256 {AES};", "no integrity algorithm", "hmac-sha3-256"),
        (
            f"add both.example {A} esp 256 {ALGORITHMS}; delete both.example both.example esp 256;",
            "several",
            "both.example",
        ),
        (f"getspi {A} {W} esp 256;", "getspi", "getspi"),
        ("flush now;", "no protocol", "now"),
        ('spdadd tagged "x" -P in none;', "pf", "tagged"),
        ("spdadd 10.0.0.0/8 10.0.0.0/33 any -P in none;", "no length", "33"),
        ("spdadd 10.0.0.0/8 10.0.0.0/x any -P in none;", "no length", "x"),
        ("spdadd 10.0.0.0/8 ::/0 any -P in none;", "different families", "10.0.0.0"),
        ("spdadd 10.0.0.0/8 10.0.0.0/8 -P in none;", "protocol is missing", "-P"),
        ("spdadd 10.0.0.0/8 10.0.0.0/8 wobble -P in none;", "no protocol", "wobble"),
        ("spdadd 10.0.0.0/8 10.0.0.0/8 256 -P in none;", "at most 255", "256"),
        ("spdadd 10.0.0.0/8[80] 10.0.0.0/8 esp -P in none;", "no ports", "10.0.0.0"),
        ("spdadd ::/0[80] ::/0 icmp6 -P in none;", "no ports", "::"),
        ("spdadd ::/0 ::/0 icmp6 256,0 -P in none;", "type and code", "256,0"),
        ("spdadd 0.0.0.0/0 0.0.0.0/0 gre 1234 -P in none;", "only icmp", "1234"),
        ('spdadd ::/0 ::/0 any -ctx 1 1 "x" -P in none;', "SELinux", "-ctx"),
        ("spdadd ::/0 ::/0 any;", "-P with a direction is missing", ";"),
        ("spdadd ::/0 ::/0 any in none;", "only icmp", "in"),
        ("spdadd ::/0 ::/0 any -P sideways none;", "no direction", "sideways"),
        ("spdadd ::/0 ::/0 any -P in;", "to be done is missing", ";"),
        ("spdadd ::/0 ::/0 any -P in entrust;", "nothing that can be done", "entrust"),
        ("spdadd ::/0 ::/0 any -P in prio fast none;", "no priority", "fast"),
        ("spdadd ::/0 ::/0 any -P in prio 2147483649 none;", "lies between", "2147483649"),
        ("spdadd ::/0 ::/0 any -P in prio high + 1073741825 none;", "at most 1073741824", "high"),
        ("spdadd ::/0 ::/0 any -P in ipsec;", "told how", ";"),
        ("spdadd ::/0 ::/0 any -P in ipsec esp;", "mode is missing", ";"),
        ("spdadd ::/0 ::/0 any -P in ipsec ipcomp/transport//use;", "IPComp", "ipcomp"),
        ("spdadd ::/0 ::/0 any -P in ipsec gre/transport//use;", "no protocol", "gre"),
        ("spdadd ::/0 ::/0 any -P in ipsec esp/any//use;", "no mode", "any"),
        ("spdadd ::/0 ::/0 any -P in ipsec esp/tunnel//use;", "both ends", "tunnel"),
        ("spdadd ::/0 ::/0 any -P in ipsec esp/tunnel/me-any/use;", "are addresses", "me-any"),
        (f"spdadd ::/0 ::/0 any -P in ipsec esp/tunnel/{A}-::1/use;", "different families", f"{A}-::1"),
        (f"spdadd ::/0 ::/0 any -P in ipsec esp/tunnel/{A}/use;", "`-` between", A),
        ("spdadd ::/0 ::/0 any -P in ipsec esp/transport/require;", "`-` between", "require"),
        ("spdadd ::/0 ::/0 any -P in ipsec esp/transport//always;", "no level", "always"),
        ("spdadd ::/0 ::/0 any -P in ipsec esp/transport//unique:0;", "number from 1", "unique:0"),
        ("spdadd ::/0 ::/0 any -P in ipsec esp/transport//require:1;", "no level", "require:1"),
        ("spdadd ::/0 ::/0 any -P in ipsec" + " esp/transport//use" * 7 + ";", "at most 6", "esp"),
    ],
)
def test_a_mistake_is_told_with_its_place(text, what, mark):
    found = problems(text)[-1]
    assert what in found.what.replace("\n", " "), found
    assert marked(found).strip() == mark
    assert found.where.startswith("ipsec.conf:1:")


@pytest.mark.parametrize(
    ("word", "octets", "fitting"),
    [("aes-cbc", 15, "16, 24 or 32"), ("aes-ctr", 16, "20, 28 or 36"), ("aes-gcm-16", 32, "20, 28 or 36")],
)
def test_a_key_of_wrong_length_is_told_which_lengths_fit(word, octets, fitting):
    found = problem(f"add {A} {W} esp 256 -E {word} 0x{'ab' * octets} -A hmac-sha2-256 {SHA};")
    assert f"the key has {octets} octets; {word} takes {fitting}" in found.what


def test_a_key_with_an_odd_digit_is_refused():
    assert "31 hexadecimal digits, an odd number" in problem(f"add {A} {W} ah 256 -A aes-xcbc-mac {AES[:-1]};").what
    assert "no key" in problem(f"add {A} {W} ah 256 -A aes-xcbc-mac {AES}g;").what


def test_no_key_is_ever_shown():
    secret = "deadbeef" * 4
    for text in (
        f"add {A} {W} esp 256 -E aes-cbc 0x{secret}00 -A hmac-sha2-256 0x{secret}{secret};",
        f"add {A} {W} esp 256 -E aes-cbc {secret} -A hmac-sha2-256 0x{secret}{secret};",
        f'add {A} {W} ah 256 -A hmac-sha2-256 "{secret}',
        f'add {A} {W} ah 256 -A hmac-sha2-256 "{secret}" wobble;',
        f"add {A} {W} ah 256 -A hmac-sha2-256 0x{secret}{secret} wobble;",
    ):
        parsed = parse(text, "ipsec.conf", NAMES)
        assert parsed.problems
        assert "deadbeef" not in str(parsed.problems) + repr(parsed)
        assert "deadbeef" not in repr(read(f"add {A} {W} esp 256 -E aes-cbc 0x{secret} -A hmac-sha2-256 {SHA};"))


@pytest.mark.parametrize(
    "key",
    [
        "0xdeadbe",
        "deadbeefd",
        "0xdeadzzbeef0123456789",
        "0xdeadbeef deadbeef deadbeef",
        '"deadbeef',
        "\n\t0xdeadbe",
        "\n\n deadbeef\n deadbeef",
        "# a comment\n 0xdeadbeef",
    ],
)
def test_what_should_have_been_a_key_is_not_shown_either(key):
    for text in (
        f"add {A} {W} ah 256 -A hmac-sha1 {key};",
        f"add {A} {W} esp 256 -A hmac-sha1 {key} -E no-cipher 0x22;",
    ):
        parsed = parse(text, "ipsec.conf", NAMES)
        assert parsed.problems
        assert not any(part in str(parsed.problems) for part in ("dead", "beef"))


def test_the_lines_of_very_many_problems_are_found_in_no_time():
    """Each by itself would be looked for from the beginning: seconds for 64 Mi characters, a thousand times."""
    text = "# nothing\n" * 1_000_000 + "dance;\n" * 1_500
    began = time.monotonic()
    parsed = parse(text, "ipsec.conf", NAMES)
    assert time.monotonic() - began < 5
    assert parsed.problems[999].where == "ipsec.conf:1001000:1"


def test_legacy_allows_what_is_only_weak():
    text = f'add {A} {W} esp 256 -E 3des-cbc 0x{bytes(range(24)).hex()} -A hmac-md5 "sixteen octets!!";'
    assert association(text, legacy=True).legacy
    assert not association(f"add {A} {W} esp 256 {ALGORITHMS};", legacy=True).legacy
    assert "--legacy" in problem(text).what_to_do


def test_a_key_of_3des_that_is_one_of_des_is_refused():
    text = f"add {A} {W} esp 256 -E 3des-cbc 0x{'01' * 24} -A hmac-sha2-256 {SHA};"
    assert "DES, three times" in problem(text, legacy=True).what


def test_every_mistake_of_a_text_is_told_in_its_order():
    text = f"""dance;
spdflush;
add {A} {W} esp 1 {ALGORITHMS};
spdadd ::/0 ::/0 any -P in none
spdadd ::/0 ::/0 tcp -P in none;
spdadd ::/0 ::/0 tcp -P in none;
add {A} {W} ah 256 -A hmac-sha2-256 "open
get {A} {W} esp 256;
spddump"""
    parsed = parse(text, "ipsec.conf", NAMES)
    places = [found.where for found in parsed.problems]
    assert places == [
        "ipsec.conf:1:1",
        "ipsec.conf:3:32",
        "ipsec.conf:4:32",
        "ipsec.conf:6:1",
        "ipsec.conf:7:52",
        "ipsec.conf:9:8",
    ]
    assert "line 5" in parsed.problems[3].what
    assert parsed.statements[0] == FlushPolicies()
    assert len(parsed.statements) == 3


def test_a_forgotten_semicolon_is_found_where_the_next_command_begins():
    found = problem("spdflush\nspdadd ::/0 ::/0 any -P in none;\n")
    assert found.where == "ipsec.conf:1:9"
    assert "Write `;` here." in found.what_to_do


def test_the_same_association_twice_is_told_with_the_first_line():
    text = f"add {A} {W} esp 256 {ALGORITHMS};\nadd 10.0.0.1 {W} esp 256 {ALGORITHMS};\n"
    found = problem(text)
    assert found.where == "ipsec.conf:2:1"
    assert "line 1" in found.what
    read(text.replace("\nadd", f"\ndelete {A} {W} esp 256;\nadd"))
    read(text.replace("\nadd", "\nflush;\nadd"))
    read(text.replace("\nadd", f"\ndeleteall {A} {W};\nadd"))


def test_the_same_policy_twice_is_told_unless_it_went_away():
    line = "spdadd 10.0.0.1 10.0.0.2 any -P out none;\n"
    assert "already" in problem(line + line).what
    for between in ("spdflush;", "spddelete 10.0.0.1 10.0.0.2 any -P out;"):
        assert len(read(line + between + line).statements) == 3
    assert len(read(line + line.replace("spdadd", "spdupdate")).statements) == 2
    assert len(read(line + line.replace("-P out", "-P in")).statements) == 2


def test_a_static_key_with_a_counter_is_warned_of_once():
    line = "add 192.0.2.1 198.51.100.{} esp 256 -E aes-gcm-16 0x" + "00" * 20 + ";\n"
    parsed = read(line.format(1) + line.format(2))
    (warning,) = parsed.warnings
    assert warning.where == "ipsec.conf:1:39"
    assert "counter" in warning.what
    assert not read(f"add {A} {W} esp 256 {ALGORITHMS};").warnings


def test_tabs_and_control_characters_do_not_reach_the_terminal():
    found = problem("\tspdadd\t10.0.0.0/33\x1b[2J 10.0.0.0/8 any -P in none;")
    assert "\x1b" not in found.what
    assert marked(found).strip() in ("33", "33 ")


def test_long_lines_are_shown_around_the_place():
    found = problem(f"flush; {' ' * 3000} spdadd ::/0 ::/0 any -P in wobble; {' ' * 3000} flush;")
    assert marked(found) == "wobble"
    assert max(len(line) for line in found.what.split("\n")) < 200


# Bounds


def test_a_line_has_a_length():
    assert "longer than" in problem("#" + "x" * MAX_LINE_CHARACTERS).what


def test_a_statement_has_a_length():
    found = problem(
        "spdadd ::/0 ::/0 any -P in none " + "# a comment that goes on\n" * (MAX_STATEMENT_CHARACTERS // 20)
    )
    assert "`;`" in found.what


def test_a_text_has_so_many_problems_and_no_more():
    assert len(problems("dance;\n" * (2 * MAX_PROBLEMS))) == MAX_PROBLEMS + 1
    assert len(problems("spdflush\n" * (2 * MAX_PROBLEMS))) == MAX_PROBLEMS + 1


def test_a_text_has_so_many_statements_and_no_more():
    parsed = parse("flush;\n" * (MAX_STATEMENTS + 5), "ipsec.conf", NAMES)
    assert len(parsed.statements) == MAX_STATEMENTS
    assert "are the most" in parsed.problems[0].what


def test_so_many_names_are_looked_up_and_no_more():
    text = "".join(f"spdadd host{number}.example 10.0.0.1 any -P in none;\n" for number in range(300))
    assert any("256 names" in found.what for found in problems(text))
