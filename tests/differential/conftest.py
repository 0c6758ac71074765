"""A guest for the tests of a file, a cable to it, and engines to compare with it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from culvert.lab.lab import Lab
from tests.differential.neighbours import BRIDGE, DEVICE, MODULES, TAP, Neighbour
from tests.uml.guest import Guest, guest, missing


@pytest.fixture(scope="module")
def neighbour() -> Iterator[Neighbour]:
    """Boot the guest; every test that asks for it leaves it as it found it, its kernel's IPsec empty.

    A guest has a quarter of an hour to live, less than all tests take.
    """
    reason = missing()
    if reason is not None:
        pytest.skip(reason)
    with Lab(f"guest{os.getpid()}") as lab:
        switch = lab.host("switch")
        switch.ip("link", "add", BRIDGE, "type", "bridge", "forward_delay", "0", "mcast_snooping", "0")
        switch.ip("tuntap", "add", TAP, "mode", "tap")
        switch.ip("link", "set", TAP, "up", "master", BRIDGE)
        switch.ip("link", "set", BRIDGE, "up")
        with guest(switch.command([]), [DEVICE]) as running:
            running.shell(f"modprobe -a {' '.join(MODULES)}")
            yield Neighbour(running, switch)


@pytest.fixture
def kernel(neighbour: Neighbour) -> Iterator[Guest]:
    """The guest for one test, with nothing in its kernel's SAD and SPD."""
    neighbour.guest.shell("ip xfrm state flush; ip xfrm policy flush")
    yield neighbour.guest
    neighbour.guest.shell("ip xfrm state flush; ip xfrm policy flush")
