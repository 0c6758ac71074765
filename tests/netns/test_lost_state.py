"""A gateway that lost all of its state: its peer learns it from the first packet, and the tunnel stands again."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.netns.offices import Pair, TestedOffice, two_offices

pytestmark = [pytest.mark.root, pytest.mark.slow]

BACK_WITHIN_S = 5.0


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with two_offices(tmp_path) as pair:
        yield pair


def lose_everything(office: TestedOffice) -> None:
    """Do to a gateway what a restart of its machine does: daemon and engine are gone, the state directory stays."""
    ended = [os.pidfd_open(pid) for pid in office.pids()]
    for handle in ended:
        signal.pidfd_send_signal(handle, signal.SIGKILL)
    for handle in ended:
        os.close(handle)


@pytest.mark.parametrize("encapsulation", ["udp", "esp"])
def test_one_that_calls_nobody_is_called_at_once(pair: Pair, encapsulation: str) -> None:
    """It is passive, and its peer would ask only after an hour whether it lives: packets and the token bring it out."""
    pair.a.write(peer=f'start = "always"\ndpd = "1h"\nencapsulation = "{encapsulation}"')
    pair.b.write(peer=f'start = "passive"\nencapsulation = "{encapsulation}"')
    pair.join()
    assert pair.ping() == 2
    secret = pair.b.directory / "state/crash-token-secret"
    before = secret.read_bytes()
    lose_everything(pair.b)
    pair.b.up()
    began = time.monotonic()
    while not pair.ping(1, 1):
        assert time.monotonic() - began < BACK_WITHIN_S, f"{pair.a.log()}\n{pair.b.log()}"
    assert "shows that it has lost the IKE SA" in pair.a.log()
    assert secret.read_bytes() == before
    assert before.hex() not in pair.a.log() + pair.b.log()
    assert secret.stat().st_mode & 0o777 == 0o600
