"""strongSwan's machine, or ours, loses power: traffic flows within five seconds of it being possible.

charon calls nobody here, looks after nobody (dpd_delay 0), and says nothing to messages for IKE SAs that it lost.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

import pytest

from culvert.lab.chapter import SITE_A, SITE_B
from culvert.lab.demo.office import Office
from culvert.lab.lab import Lab
from tests.interop.test_strongswan import Joined, join, lab
from tests.netns.pinger import Pinger

__all__ = ["lab"]
pytestmark = [pytest.mark.root, pytest.mark.peer, pytest.mark.slow, pytest.mark.minutes]

WITHIN_S = 5.0


def pinging(joined: Joined, *, back: bool = False) -> Pinger:
    chapter = joined.chapter
    pinger = Pinger(*((chapter.host_b, SITE_A.host[0]) if back else (chapter.host_a, SITE_B.host[0])))
    assert pinger.answered_after(0, time.time() + 10) is not None, joined.log()
    return pinger


def assert_flows(joined: Joined, pinger: Pinger, since: float) -> None:
    answered = pinger.answered_after(since, WITHIN_S + 10)
    assert answered is not None, joined.log()
    assert answered - since <= WITHIN_S, f"{answered - since:.1f} s\n{joined.log()}"
    print(f"took {answered - since:.2f} s")


def crash(office: Office) -> None:
    os.kill(int((office.run_dir / "culvert.pid").read_text()), signal.SIGKILL)
    for pid in office.host.run(["ip", "netns", "pids", office.host.namespace]).stdout.split():
        with contextlib.suppress(OSError):  # ended meanwhile
            if Path(f"/proc/{pid}/comm").read_text().startswith("culvert-engine"):
                os.kill(int(pid), signal.SIGKILL)


@pytest.mark.parametrize("away_s", [0, 10, 100])
@pytest.mark.parametrize("back", [False, True])
def test_charon_reboots(lab: Lab, tmp_path: Path, away_s: int, back: bool) -> None:
    joined = join(lab, tmp_path, initiator="culvert")
    with pinging(joined, back=back) as pinger:
        time.sleep(3)
        joined.charon.kill()
        time.sleep(away_s)
        joined.charon.start_again()
        assert_flows(joined, pinger, time.time())
    joined.office.end()
    joined.charon.stop()


def test_we_reboot(lab: Lab, tmp_path: Path) -> None:
    joined = join(lab, tmp_path, initiator="culvert")
    with pinging(joined, back=True) as pinger:
        time.sleep(3)
        office = joined.office
        crash(office)
        office.run("down")
        office.ready(office.begin())
        assert_flows(joined, pinger, time.time())
    joined.office.end()
    joined.charon.stop()
