"""While setkey runs, and whatever becomes of it: what was protected before and stays so never passes in clear."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from culvert.lab.chapter import SITE_A, SITE_B
from tests.netns.chapter_gateways import Gateway, Picture, built, nothing_in_clear, steady_ping

pytestmark = [pytest.mark.root, pytest.mark.timeout(240)]

A, B = SITE_A.outside[0], SITE_B.outside[0]
NET_A, NET_B = SITE_A.network[0], SITE_B.network[0]
KEYS = "-m tunnel -E aes-cbc 0x{0} -A hmac-sha2-256 0x{0}{0}"
ASSOCIATIONS = f"add {A} {B} esp 0x1001 {KEYS.format('a1' * 16)};\nadd {B} {A} esp 0x1002 {KEYS.format('b2' * 16)};\n"
MANY = "".join(f"add {A} 192.0.2.77 esp {number} {KEYS.format('c3' * 16)};\n" for number in range(4096, 4796))
"""Associations of nobody here, which take their time."""


@pytest.fixture
def picture(tmp_path: Path) -> Iterator[Picture]:
    """Two gateways that tell nothing but what setkey tells them, and a router that would carry what is in clear."""
    with built(tmp_path) as picture:
        for gateway in (picture.a, picture.b):
            gateway.file.write_text(f'[gateway]\naddress = "{gateway.site.outside[0]}"\n')
            gateway.host.forward()
            gateway.up()
            setkey(gateway, ASSOCIATIONS + policies(gateway))
        picture.chapter.internet.ip("route", "add", NET_A, "via", A)
        picture.chapter.internet.ip("route", "add", NET_B, "via", B)
        yield picture


def policies(gateway: Gateway) -> str:
    here, there = gateway.site.network[0], gateway.other.network[0]
    ours, theirs = gateway.site.outside[0], gateway.other.outside[0]
    return (
        f"spdadd {here} {there} any -P out ipsec esp/tunnel/{ours}-{theirs}/require;\n"
        f"spdadd {there} {here} any -P in ipsec esp/tunnel/{theirs}-{ours}/require;\n"
    )


def setkey(gateway: Gateway, text: str, code: int = 0) -> str:
    file = gateway.folder / "ipsec.conf"
    file.write_text(text)
    done = gateway.culvert("setkey", "-f", str(file), code=code)
    return done.stdout + done.stderr


@contextlib.contextmanager
def under_watch(picture: Picture) -> Iterator[None]:
    with nothing_in_clear(picture), steady_ping(picture):
        yield


def test_a_file_that_flushes_first_and_has_associations_before_policies(picture: Picture) -> None:
    """It is what /etc/ipsec.conf mostly looks like, and it is loaded again after each change of it."""
    with under_watch(picture):
        for gateway in (picture.a, picture.b) * 2:
            setkey(gateway, "spdflush; flush;\n" + ASSOCIATIONS + MANY + policies(gateway))
    assert picture.ping() == 3


def test_a_file_that_the_engine_refuses_in_the_middle(picture: Picture) -> None:
    """Its policies are done together with what they replace, so they are as they were."""
    too_many = "".join(
        f"add {A} 192.0.2.{78 + number // 20_000} esp {number % 20_000 + 256} {KEYS.format('c3' * 16)};\n"
        for number in range(33_000)
    )
    with under_watch(picture):
        said = setkey(picture.a, "spdflush;\n" + too_many + policies(picture.a), code=1)
    assert "not done" in said
    assert picture.a.status()["policies"] == {"configuration": 0, "others": 2}
    assert picture.ping() == 3


@pytest.mark.parametrize("what", ["any", "icmp"])
def test_under_fire(picture: Picture, what: str) -> None:
    """Whatever ends, begins, is read again or written beside it: by routes or by marks, by pairs or by runs."""
    text = "flush; spdflush;\n" + ASSOCIATIONS + policies(picture.a).replace(" any ", f" {what} ")
    setkey(picture.a, text)
    setkey(picture.b, "flush; spdflush;\n" + ASSOCIATIONS + policies(picture.b).replace(" any ", f" {what} "))
    beside = (
        "spdadd 10.0.{0}.0/24 10.1.0.0/16 any -P out {1};\nspdadd 10.1.0.0/16 10.0.{0}.0/24 tcp -P in prio {0} {1};\n"
    )
    with under_watch(picture):
        for number in range(3):
            setkey(picture.a, beside.format(number, ("discard", "none")[number % 2]))
            picture.a.culvert("reload")
            picture.a.kill(picture.a.daemon_pid())
            picture.a.up()
            setkey(picture.a, text)
            picture.a.kill(picture.a.engine_pid())
            picture.a.until(lambda: picture.a.culvert("setkey", "-DP", code=None).returncode == 0, "another engine")
            setkey(picture.a, text)
            picture.a.kill(picture.a.engine_pid())
            picture.a.kill(picture.a.daemon_pid())
            picture.a.up()
            setkey(picture.a, text)
    assert picture.ping() == 3
