"""A NAT between Culvert and strongSwan: each of them behind it once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from culvert.lab.chapter import SITE_A, SITE_B, TO_A, TO_B, Chapter, Site, build_chapter
from culvert.lab.demo.office import Office
from culvert.lab.host import Host
from culvert.lab.lab import Lab
from tests.interop.charon import Charon, connection
from tests.interop.test_strongswan import PEER, SECRET, Joined, lab

__all__ = ["lab"]
pytestmark = [pytest.mark.root, pytest.mark.peer, pytest.mark.slow]

OUR_NAME, THEIR_NAME = "culvert.example.org", "strongswan.example.org"


def hide(internet: Host, site: Site, towards: str) -> None:
    """Give the packets of a site's gateway the router's own address, where they leave `towards` the other."""
    rules = "table ip nat { chain postrouting { type nat hook postrouting priority srcnat; "
    internet.run(["nft", f"{rules}oifname {towards} ip saddr {site.outside[0]} masquerade; }}; }}"])


@contextmanager
def apart(lab: Lab, folder: Path, hidden: Site) -> Iterator[Joined]:
    """Both gateways as people would write them where `hidden` has no address of its own outside."""
    chapter = build_chapter(lab)
    hide(chapter.internet, hidden, TO_B if hidden is SITE_A else TO_A)
    joined = Joined(chapter, _office(chapter, folder, hidden), _charon(chapter, folder, hidden))
    joined.office.ready(joined.office.begin())
    try:
        yield joined
    finally:
        joined.office.end()
        joined.charon.stop()


def _office(chapter: Chapter, folder: Path, hidden: Site) -> Office:
    office = Office(chapter.gateway_a, SITE_A, SITE_B, PEER, folder / "office")
    text = office.configure(SECRET)
    if hidden is SITE_B:
        text = text.replace(f'address  = "{SITE_B.outside[0]}"\n', "")
    office.file.write_text(f'{text}identity = "{THEIR_NAME}"\nlocal_identity = "{OUR_NAME}"\n')
    (office.directory / "psk.txt").write_text(f"{THEIR_NAME} {SECRET}\n")
    return office


def _charon(chapter: Chapter, folder: Path, hidden: Site) -> Charon:
    remote = "%any" if hidden is SITE_A else SITE_A.outside[0]
    text = connection(SITE_B.outside[0], remote, SITE_B.network[0], SITE_A.network[0], SECRET)
    for old, new in (
        ("encap = yes", "encap = no"),
        (f"id = {SITE_B.outside[0]}", f"id = {THEIR_NAME}"),
        (f"id = {remote}", f"id = {OUR_NAME}"),
        (f"id-1 = {SITE_B.outside[0]}", f"id-1 = {THEIR_NAME}"),
        (f"id-2 = {remote}", f"id-2 = {OUR_NAME}"),
    ):
        assert old in text
        text = text.replace(old, new)
    chapter.gateway_b.forward()
    return Charon(chapter.gateway_b.namespace, folder / "charon", text)


def assert_rekeys(joined: Joined) -> None:
    """Have both sides rekey both kinds of SA; the tunnel works after each."""
    begun: list[tuple[Callable[[], str], Callable[[], object]]] = [
        (joined.spi_of_child, lambda: joined.office.run("rekey", f"{PEER}/{PEER}")),
        (joined.spi_of_child, lambda: joined.charon.swanctl("--rekey", "--child", "net")),
        (joined.spi_of_ike, lambda: joined.office.run("rekey", PEER, "--ike")),
        (joined.spi_of_ike, lambda: joined.charon.swanctl("--rekey", "--ike", "culvert")),
    ]
    for spi, begin in begun:
        before = spi()
        begin()
        joined.until(lambda spi=spi, before=before: spi() != before, "new keys")
        joined.ping(1)


@pytest.mark.parametrize("hidden", [SITE_A, SITE_B], ids=["Culvert", "strongSwan"])
def test_whoever_is_behind_it_calls(lab: Lab, tmp_path: Path, hidden: Site) -> None:
    with apart(lab, tmp_path, hidden) as joined:
        if hidden is SITE_B:
            joined.charon.initiate("net")
        joined.office.connect()
        joined.ping()
        peer = joined.peer()
        # charon says that it is behind one in any case: its plugin for user space knows ESP in UDP alone.
        assert peer["nat"] == ("both" if hidden is SITE_A else "remote"), json.dumps(peer)
        assert peer["address"] == (SITE_B.outside[0] if hidden is SITE_A else SITE_A.router[0])
        assert {child["encapsulation"] for child in peer["children"]} == {"udp"}
        assert_rekeys(joined)
        assert joined.charon.associations().count("ESTABLISHED") == 1
