"""setkey with gateways that run: what it writes stands when it returns."""

from __future__ import annotations

import time

import pytest

from culvert.lab.chapter import SITE_A, SITE_B
from tests.netns.chapter_gateways import Gateway, Picture

pytestmark = [pytest.mark.root, pytest.mark.timeout(240)]

A, W = SITE_A.outside[0], SITE_B.outside[0]
ASSOCIATIONS = f"""
flush; spdflush;
add {A} {W} esp 0x1001 -r 32 -E aes-cbc 0x{"a1" * 16} -A hmac-sha2-256 0x{"b2" * 32};
add {W} {A} esp 0x1002 -r 32 -E aes-cbc 0x{"c3" * 16} -A hmac-sha2-256 0x{"d4" * 32};
"""
LOAD_S = 40.0
"""What 100,000 policies may take here, until the last is steered and fenced: less than 10 where nobody else works."""


POLICY = f"spdadd {SITE_A.network[0]} {SITE_B.network[0]} any -P out ipsec esp/tunnel/{A}-{W}/require;\n"


@pytest.fixture
def gateway(picture: Picture) -> Gateway:
    """One with nothing to do but what setkey tells it."""
    gateway = picture.a
    gateway.write()
    gateway.file.write_text(f'[gateway]\naddress = "{A}"\n')
    gateway.up()
    return gateway


def setkey(gateway: Gateway, text: str, *options: str, code: int = 0) -> str:
    file = gateway.folder / "ipsec.conf"
    file.write_text(text)
    done = gateway.culvert("setkey", *options, "-f", str(file), code=code)
    return done.stdout + done.stderr


def test_a_file_with_a_mistake_leaves_all_as_it_was(gateway: Gateway) -> None:
    setkey(gateway, ASSOCIATIONS + POLICY)
    before = gateway.culvert("setkey", "-DP").stdout.splitlines()[:3]
    said = setkey(gateway, "flush; spdflush;\nspdadd 10.0.0.0/8 10.1.0.0/16 any -P out wobble;\n", code=1)
    assert "ipsec.conf:2:42: this is nothing that can be done with packets" in said
    assert gateway.culvert("setkey", "-DP").stdout.splitlines()[:3] == before
    assert len(gateway.associations()) == 2


def test_without_the_daemon_policies_are_refused_and_associations_are_not(gateway: Gateway) -> None:
    gateway.culvert("down", "--daemon")
    said = setkey(gateway, ASSOCIATIONS + POLICY, code=1)
    assert "policies are refused" in said
    assert "up -c" in said
    assert not gateway.associations()
    setkey(gateway, ASSOCIATIONS.replace("spdflush;", ""))
    assert len(gateway.associations()) == 2


@pytest.mark.slow
def test_a_hundred_thousand_policies_load_in_seconds(gateway: Gateway) -> None:
    line = "spdadd 10.{0}.{1}.{2}/32 172.16.{1}.0/24[80] tcp -P out ipsec\n  esp/tunnel/" + f"{A}-{W}/require;\n"
    text = "".join(line.format(number >> 16, number >> 8 & 255, number & 255) for number in range(100_000))
    began = time.monotonic()
    setkey(gateway, text)
    assert time.monotonic() - began < LOAD_S
