"""Taps on real interfaces."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import TypeVar

import pytest

from culvert.capture import tap as tap_file
from culvert.capture.packets import Captured
from culvert.capture.summary import describe
from culvert.capture.tap import Tap
from culvert.errors import HostError
from culvert.lab.host import Host
from culvert.lab.lab import Lab

T = TypeVar("T")
pytestmark = pytest.mark.root


@pytest.fixture
def host() -> Iterator[Host]:
    with Lab("tap") as lab:
        host, other = lab.host("one"), lab.host("other")
        lab.link((host, "eth0", ("192.0.2.1/24",)), (other, "eth0", ("192.0.2.2/24",)))
        yield host


def test_what_is_sent_is_captured_with_the_kernels_time(host: Host) -> None:
    async def scenario() -> tuple[list[Captured], int]:
        with Tap("lo") as tap, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"hello", ("127.0.0.1", 9))
            await tap.wait()
            return tap.take(), tap.lost()

    packets, lost = host.call(lambda: asyncio.run(scenario()))
    assert lost == 0
    sent = [one for one in packets if describe(one).endswith(": UDP, length 5")]
    assert [one.outgoing for one in sent] == [True, False]
    assert all(one.octets.endswith(b"hello") for one in sent)
    assert sent[0].time_ns > 1_600_000_000 * 10**9


def test_the_ring_is_bounded_and_says_what_it_lost(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tap_file, "MAX_PACKETS", 10)

    async def scenario() -> tuple[list[Captured], int, int]:
        with Tap("lo") as tap, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for number in range(20):
                sock.sendto(bytes([number]), ("127.0.0.1", 9))
            return tap.take(), tap.lost(), tap.lost()

    packets, lost, again = host.call(lambda: asyncio.run(scenario()))
    assert len(packets) == 10
    assert lost >= 30
    assert again == 0


def test_an_interface_that_is_not_there_is_named(host: Host) -> None:
    async def scenario() -> None:
        Tap("nothere0")

    with pytest.raises(HostError, match="nothere0: cannot listen: No such device"):
        host.call(lambda: asyncio.run(scenario()))
