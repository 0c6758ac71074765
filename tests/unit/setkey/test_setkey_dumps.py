"""setkey's layout, letter by letter."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from culvert.ipsec.lifetimes import Lifetimes
from culvert.setkey.dumps import Moment, render_sad, render_short, render_spd
from culvert.setkey.entries import AssociationEntry, PolicyEntry, State
from culvert.setkey.names import TableResolver
from culvert.setkey.parse import parse

NOW_S = 1_000_000
MOMENT = Moment(NOW_S, 1234, lambda time_s: f"Jan  1 00:00:00 {time_s:04}"[:20])


def only(text):
    (statement,) = parse(text, "text", TableResolver()).statements
    return statement


def association(options="", source="192.0.2.1", destination="198.51.100.1", protocol="esp"):
    keys = f"-E aes-cbc 0x{'0123456789abcdef' * 4} -A hmac-sha2-512 0x{'fedcba9876543210' * 8}"
    return only(f"add {source} {destination} {protocol} 0x10001 {options} {keys};").association


def policy(text):
    return only(f"spdadd {text};").policy


def test_an_association_is_printed_field_by_field():
    found = association("-m tunnel -u 5 -r 16 -lh 60 -ls 50 -bh 1000 -bs 900")
    entry = AssociationEntry(found, False, 84, 1, NOW_S - 9, NOW_S - 3, 7)
    assert render_sad([entry], MOMENT) == (
        "192.0.2.1 198.51.100.1\n"
        "\tesp mode=tunnel spi=65537(0x00010001) reqid=5(0x00000005)\n"
        "\tE: aes-cbc  01234567 89abcdef 01234567 89abcdef 01234567 89abcdef 01234567 89abcdef\n"
        "\tA: hmac-sha2-512  fedcba98 76543210 fedcba98 76543210 fedcba98 76543210 fedcba98 76543210\n"
        " fedcba98 76543210 fedcba98 76543210 fedcba98 76543210 fedcba98 76543210\n"
        "\tseq=0x00000007 replay=16 flags=0x00000000 state=mature\n"
        "\tcreated: Jan  1 00:00:00 9999\tcurrent: Jan  1 00:00:00 1000\n"
        "\tdiff: 9(s)\thard: 60(s)\tsoft: 50(s)\n"
        "\tlast: Jan  1 00:00:00 9999\thard: 0(s)\tsoft: 0(s)\n"
        "\tcurrent: 84(bytes)\thard: 1000(bytes)\tsoft: 900(bytes)\n"
        "\tallocated: 1\thard: 0\tsoft: 0\n"
        "\tsadb_seq=0 pid=1234 refcnt=1\n"
    )


def test_what_never_was_has_a_blank_for_its_time():
    text = render_sad([AssociationEntry(association())], MOMENT)
    assert "\tcreated:                     \tcurrent: " in text
    assert "\tdiff: 0(s)\t" in text
    assert "\tlast:                     \thard: 0(s)\t" in text


def test_the_rest_is_counted_down():
    entries = [AssociationEntry(association())] * 3
    lines = [line.strip() for line in render_sad(entries, MOMENT).splitlines() if "sadb_seq" in line]
    assert lines == [f"sadb_seq={left} pid=1234 refcnt=1" for left in (2, 1, 0)]


def test_esp_in_udp_has_its_ports_at_the_addresses():
    found = association(source="192.0.2.1[4500]", destination="198.51.100.1[30000]", protocol="esp-udp")
    text = render_sad([AssociationEntry(found)], MOMENT)
    assert text.startswith("192.0.2.1[4500] 198.51.100.1[30000]\n\tesp-udp mode=any spi=")
    text = render_sad([AssociationEntry(association())], MOMENT, ports=True)
    assert text.startswith("192.0.2.1[0] 198.51.100.1[0]\n")


def test_hidden_keys_leave_the_names():
    found = replace(association(), encryption_key=b"", integrity_key=b"")
    assert "\tE: aes-cbc\n\tA: hmac-sha2-512\n" in render_sad([AssociationEntry(found)], MOMENT)


@pytest.mark.parametrize(
    ("changes", "lifetimes", "state"),
    [
        ({"larval": True}, Lifetimes(), State.LARVAL),
        ({}, Lifetimes(), State.MATURE),
        ({}, Lifetimes(soft_s=100, hard_s=200), State.DYING),
        ({}, Lifetimes(soft_s=50, hard_s=100), State.DEAD),
        ({}, Lifetimes(soft_s=101, hard_s=200), State.MATURE),
        ({"octets": 9}, Lifetimes(soft_octets=9), State.DYING),
        ({"packets": 9}, Lifetimes(hard_packets=9), State.DEAD),
        ({"used_at_s": NOW_S - 5}, Lifetimes(soft_use_s=5), State.DYING),
    ],
)
def test_states(changes, lifetimes, state):
    entry = AssociationEntry(replace(association(), lifetimes=lifetimes), added_at_s=NOW_S - 100)
    entry = replace(entry, **changes)
    assert entry.state(NOW_S) is state
    assert f" state={state}\n" in render_sad([entry], MOMENT)


def test_a_policy_is_printed_field_by_field():
    found = policy("192.0.2.1/32 198.51.100.1/32 ipencap -P out ipsec esp/tunnel/192.0.2.1-198.51.100.1/require")
    assert render_spd([PolicyEntry(replace(found, index=9), NOW_S - 60, NOW_S)], MOMENT) == (
        "192.0.2.1[any] 198.51.100.1[any] ipencap\n"
        "\tout ipsec\n"
        "\tesp/tunnel/192.0.2.1-198.51.100.1/require\n"
        "\tcreated: Jan  1 00:00:00 9999  lastused: Jan  1 00:00:00 1000\n"
        "\tlifetime: 0(s) validtime: 0(s)\n"
        "\tspid=9 seq=0 pid=1234 scope=global\n"
        "\trefcnt=1\n"
    )


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("10.0.0.0/8[80] 10.1.0.0/16 tcp -P in none", ["10.0.0.0/8[80] 10.1.0.0/16[any] tcp", "\tin none"]),
        ("::/0 ::1 icmp6 135,0 -P fwd discard", ["::/0 ::1 icmp6 135,0", "\tfwd discard"]),
        ("::/0 ::1 icmp6 -P in discard", ["::/0 ::1 icmp6", "\tin discard"]),
        ("::1 ::2 254 -P in prio low + 3 none", ["::1[any] ::2[any] 254", "\tin prio low + 3 none"]),
        ("::1 ::2 any -P in prio high none", ["::1[any] ::2[any] any", "\tin prio high none"]),
        ("::1 ::2 any -P in prio -7 none", ["::1[any] ::2[any] any", "\tin prio def - 7 none"]),
        (
            "::1 ::2 any -P out ipsec esp/transport//unique:7 ah/transport//unique:16384 ah/transport//use",
            [
                "::1[any] ::2[any] any",
                "\tout ipsec",
                "\tesp/transport//unique:7",
                "\tah/transport//unique#16384",
                "\tah/transport//use",
            ],
        ),
    ],
)
def test_how_policies_look(text, lines):
    assert render_spd([PolicyEntry(policy(text))], MOMENT).splitlines()[: len(lines)] == lines


def test_port_ranges_of_ike_are_shown_with_their_mask():
    found = policy("10.0.0.1 10.0.0.2 tcp -P out none")
    found = replace(found, selector=replace(found.selector, source_port=(1024, 0xFC00)))
    assert render_spd([PolicyEntry(found)], MOMENT).startswith("10.0.0.1[1024/0xfc00] 10.0.0.2[any] tcp\n")


def test_the_short_form_has_a_line_for_each():
    entry = AssociationEntry(association("-lh 2000"), added_at_s=NOW_S - 12)
    assert render_short([entry], NOW_S).splitlines() == [
        "time p   s spi      ltime   src -> dst",
        "4640 esp M 00010001  12/big 192.0.2.1 -> 198.51.100.1",
    ]


def test_both_families():
    found = association(source="2001:db8::1", destination=str(ip_address("2001:db8::2")))
    assert render_sad([AssociationEntry(found)], MOMENT).startswith("2001:db8::1 2001:db8::2\n")
