"""The ways between the two offices that are compared, each built in a lab of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from culvert.lab.chapter import SITE_A, SITE_B, Chapter, build_chapter
from culvert.lab.demo.office import Office
from culvert.lab.lab import Lab
from tests.interop.charon import Charon, connection

SECRET = "only for the benchmark, on this machine"  # noqa: S105


@contextmanager
def plain(lab: Lab, _folder: Path) -> Iterator[Chapter]:
    """Routing, nothing else: the router knows both networks."""
    chapter = build_chapter(lab)
    for gateway in (chapter.gateway_a, chapter.gateway_b):
        gateway.forward()
    for site in (SITE_A, SITE_B):
        chapter.internet.ip("route", "add", site.network[0], "via", site.outside[0])
    yield chapter


@contextmanager
def culvert(lab: Lab, folder: Path) -> Iterator[Chapter]:
    """Culvert at both ends, as a newcomer configures it."""
    chapter = build_chapter(lab)
    offices = (
        Office(chapter.gateway_a, SITE_A, SITE_B, "warehouse", folder / "office"),
        Office(chapter.gateway_b, SITE_B, SITE_A, "office", folder / "warehouse"),
    )
    for office in offices:
        office.configure(SECRET)
    for office, process in [(office, office.begin()) for office in offices]:
        office.ready(process)
    offices[0].connect()
    yield chapter
    for office in offices:
        office.end()


@contextmanager
def strongswan(lab: Lab, folder: Path) -> Iterator[Chapter]:
    """strongSwan with its user-space IPsec plugin at both ends, AES-128-GCM."""
    chapter = build_chapter(lab)
    daemons = []
    for gateway, site, other in (
        (chapter.gateway_a, SITE_A, SITE_B),
        (chapter.gateway_b, SITE_B, SITE_A),
    ):
        gateway.forward()
        text = connection(site.outside[0], other.outside[0], site.network[0], other.network[0], SECRET)
        daemons.append(Charon(gateway.namespace, folder / f"charon{site.letter}", text))
    daemons[0].initiate("net")
    yield chapter
    for daemon in daemons:
        daemon.stop()


WAYS = {"plain routing": plain, "culvert": culvert, "strongSwan in user space": strongswan}
