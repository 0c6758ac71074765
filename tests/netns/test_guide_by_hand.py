"""docs/guide/by-hand.md does what it says: its files and commands, in their order, on both gateways."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from culvert.wire.ip import ESP
from tests.netns.by_hand import alone, esp_alone, outside, picture_of, pings
from tests.netns.chapter_gateways import Gateway, Picture

pytestmark = pytest.mark.root

GUIDE = Path(__file__).parents[2] / "docs/guide/by-hand.md"
FENCED = re.compile(r"^```(\S+) ?(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECTIONS = ("A gateway without peers", "Step 1: a virtual link", "Step 2: secure it", "Two hosts, without a link")
EXCHANGED = {"203.0.113.1": "198.51.100.1", "192.168.1.": "192.168.2."}


@pytest.fixture
def by_hand(tmp_path: Path) -> Iterator[Picture]:
    with picture_of(tmp_path) as picture:
        yield picture


def section(title: str) -> str:
    return GUIDE.read_text().split(f"## {title}\n")[1].split("\n## ")[0]


def of(gateway: Gateway, text: str) -> str:
    """Give what the guide says for the office, for this gateway."""
    there = {**EXCHANGED, **{new: old for old, new in EXCHANGED.items()}}
    exchange = re.compile("|".join(re.escape(known) for known in there))
    if gateway.site.letter == "B":
        text = exchange.sub(lambda found: there[found[0]], text)
    return text.replace("/etc/culvert", str(gateway.folder))


def done(gateway: Gateway, title: str) -> None:
    """Write a section's files, and do its commands."""
    for kind, name, text in FENCED.findall(section(title)):
        if kind == "conf":
            # Keys are the same on both sides.
            content = text if name == "keys.conf" else of(gateway, text)
            (gateway.folder / name).write_text(content)
        elif kind == "sh":
            if name == "transport":
                keys = gateway.folder / "keys.conf"
                keys.write_text(keys.read_text().replace("-m tunnel", "-m transport"))
            for line in of(gateway, text).splitlines():
                command(gateway, shlex.split(line))


def command(gateway: Gateway, words: list[str]) -> None:
    if words[0] == "culvert" and words[1] == "up":
        gateway.up()
    elif words[0] == "culvert" and words[1] != "down":
        gateway.culvert(*words[1:])


def test_every_section_does_what_it_says(by_hand: Picture) -> None:
    both = (by_hand.a, by_hand.b)
    before = [gateway.standing() for gateway in both]
    (file,) = (text for kind, _, text in FENCED.findall(section(SECTIONS[0])) if kind == "toml")
    for gateway in both:
        alone(gateway)
        gateway.file.write_text(of(gateway, file))
        done(gateway, SECTIONS[0])
        done(gateway, SECTIONS[1])
    with outside(by_hand) as heard:
        assert pings(by_hand) == []
    assert heard.protocols() == {4}
    assert "in clear: no policy protects what it sends" in by_hand.a.culvert("status").stdout
    for gateway in both:
        done(gateway, SECTIONS[2])
    with esp_alone(by_hand):
        assert pings(by_hand) == []
    for gateway in both:
        done(gateway, SECTIONS[3])
    with outside(by_hand) as heard:
        assert by_hand.ping(source=by_hand.a.host, to=by_hand.b.site.outside[0]) == 3
        assert by_hand.ping(source=by_hand.b.host, to=by_hand.a.site.outside[0]) == 3
    assert (heard.protocols(), heard.readable()) == ({ESP}, [])
    for gateway in both:
        gateway.down()
    assert [gateway.standing() for gateway in both] == before


def test_the_link_of_the_file_is_that_of_the_commands(by_hand: Picture) -> None:
    both = (by_hand.a, by_hand.b)
    tables = [[text for kind, _, text in FENCED.findall(section(title)) if kind == "toml"] for title in SECTIONS[:2]]
    for gateway in both:
        alone(gateway)
        gateway.file.write_text(of(gateway, tables[0][0]))
        gateway.up()
        gateway.file.write_text(of(gateway, tables[0][0] + tables[1][0]))
        gateway.culvert("reload")
    assert pings(by_hand) == []
