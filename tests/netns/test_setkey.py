"""setkey with gateways that run: what it writes stands when it returns."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from culvert.lab.chapter import SITE_A, SITE_B, TO_A
from culvert.lab.eavesdropper import Eavesdropper
from tests.netns.chapter_gateways import Gateway, Picture

pytestmark = [pytest.mark.root, pytest.mark.timeout(240)]

A, W = SITE_A.outside[0], SITE_B.outside[0]
LAN_A, LAN_B = SITE_A.network[0], SITE_B.network[0]
ASSOCIATIONS = f"""
flush; spdflush;
add {A} {W} esp 0x1001 -r 32 -E aes-cbc 0x{"a1" * 16} -A hmac-sha2-256 0x{"b2" * 32};
add {W} {A} esp 0x1002 -r 32 -E aes-cbc 0x{"c3" * 16} -A hmac-sha2-256 0x{"d4" * 32};
"""
LOAD_S = 10.0
"""What 100,000 policies may take, until the last of them is steered and fenced."""


def tunnel(direction: str, source: str, destination: str, ends: str) -> str:
    return f"spdadd {source} {destination} any -P {direction} ipsec esp/tunnel/{ends}/require;\n"


TO_W = tunnel("{0}", LAN_A, LAN_B, f"{A}-{W}")
FROM_W = tunnel("{0}", LAN_B, LAN_A, f"{W}-{A}")


@pytest.fixture
def alone(picture: Picture) -> Picture:
    """Both gateways, with nothing to do but what setkey tells them."""
    for gateway in (picture.a, picture.b):
        gateway.write()
        gateway.file.write_text(f'[gateway]\naddress = "{gateway.site.outside[0]}"\n')
        gateway.host.forward()
        gateway.up()
    return picture


def setkey(gateway: Gateway, text: str, *options: str, code: int = 0) -> str:
    file = gateway.folder / "ipsec.conf"
    file.write_text(text)
    done = gateway.culvert("setkey", *options, "-f", str(file), code=code)
    return done.stdout + done.stderr


def is_esp(frame: bytes) -> bool:
    return frame[12:14] == b"\x08\x00" and frame[23] == 50


def test_two_networks_are_joined_with_keys_by_hand(alone: Picture) -> None:
    assert alone.ping(1, wait_s=1) == 0
    setkey(alone.a, ASSOCIATIONS + TO_W.format("out") + FROM_W.format("in"))
    setkey(alone.b, ASSOCIATIONS + TO_W.format("in") + FROM_W.format("out"))
    with Eavesdropper(alone.chapter.internet, TO_A) as ear:
        assert alone.ping(5) == 5
        assert len(ear.matching(is_esp)) == 10
        assert not ear.matching(lambda frame: frame[12:14] == b"\x08\x00" and not is_esp(frame))
    shown = alone.a.culvert("setkey", "-D").stdout
    assert f"{A} {W}\n\tesp mode=any spi=4097(0x00001001) reqid=0(0x00000000)\n" in shown
    assert "\tallocated: 5\t" in shown
    assert "lastused: " in alone.a.culvert("setkey", "-DP").stdout
    alone.a.culvert("setkey", "-F")
    assert alone.a.culvert("setkey", "-D").stdout == ""
    with Eavesdropper(alone.chapter.internet, TO_A) as ear:
        assert alone.ping(3, wait_s=1) == 0
        assert not ear.matching(lambda frame: b"\xc0\xa8\x01\x14" in frame[26:34]), "policies without keys hold back"


def test_two_hosts_talk_in_transport_mode(alone: Picture) -> None:
    requests = "-P {} ipsec esp/transport//require;\n"
    for gateway, there, back in ((alone.a, "out", "in"), (alone.b, "in", "out")):
        policies = f"spdadd {A} {W} icmp {requests.format(there)}spdadd {W} {A} icmp {requests.format(back)}"
        setkey(gateway, ASSOCIATIONS + policies)
    with Eavesdropper(alone.chapter.internet, TO_A) as ear:
        assert alone.ping(5, source=alone.a.host, to=W) == 5
        assert len(ear.matching(is_esp)) == 10
        assert not ear.matching(lambda frame: frame[12:14] == b"\x08\x00" and frame[23] == 1)


def test_a_file_with_a_mistake_leaves_all_as_it_was(alone: Picture) -> None:
    setkey(alone.a, ASSOCIATIONS + TO_W.format("out"))
    before = alone.a.culvert("setkey", "-DP").stdout.splitlines()[:3]
    said = setkey(alone.a, "flush; spdflush;\nspdadd 10.0.0.0/8 10.1.0.0/16 any -P out wobble;\n", code=1)
    assert "ipsec.conf:2:42: this is nothing that can be done with packets" in said
    assert alone.a.culvert("setkey", "-DP").stdout.splitlines()[:3] == before
    assert len(alone.a.associations()) == 2


def test_without_the_daemon_policies_are_refused_and_associations_are_not(alone: Picture) -> None:
    alone.a.culvert("down", "--daemon")
    said = setkey(alone.a, ASSOCIATIONS + TO_W.format("out"), code=1)
    assert "policies are refused" in said
    assert "up -c" in said
    assert not alone.a.associations()
    setkey(alone.a, ASSOCIATIONS.replace("spdflush;", ""))
    assert len(alone.a.associations()) == 2


@pytest.mark.slow
def test_a_hundred_thousand_policies_load_in_ten_seconds(alone: Picture, tmp_path: Path) -> None:
    line = "spdadd 10.{0}.{1}.{2}/32 172.16.{1}.0/24[80] tcp -P out ipsec\n  esp/tunnel/" + f"{A}-{W}/require;\n"
    text = "".join(line.format(number >> 16, number >> 8 & 255, number & 255) for number in range(100_000))
    began = time.monotonic()
    setkey(alone.a, text)
    assert time.monotonic() - began < LOAD_S
