"""The real ufw on a gateway: it is named, and its own commands, as we give them, let the tunnel through."""

from __future__ import annotations

import contextlib
import shutil
import socket
from pathlib import Path

import pytest

from culvert.lab.chapter import SITE_A, SITE_B
from culvert.lab.demo import transfer
from culvert.lab.host import Host
from tests.netns.offices import two_offices

pytestmark = [pytest.mark.root, pytest.mark.slow]

ADVICE = "Let it through: "


class Ufw:
    """ufw in a namespace, with files of its own in place of the machine's."""

    def __init__(self, host: Host, folder: Path) -> None:
        self._host, self._files = host, folder / "ufw"
        shutil.copytree("/etc/ufw", self._files)

    def __call__(self, *arguments: str) -> None:
        inside = 'mount --bind "$0" /etc/ufw && exec ufw "$@"'
        command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", inside, str(self._files)]
        self._host.run([*command, *arguments], timeout_s=60)


def reaches(host: Host, address: str) -> bool:
    """Tell whether TCP comes through; ufw lets echo requests pass by itself."""
    with host.socket(socket.AF_INET, socket.SOCK_STREAM) as connection:
        connection.settimeout(1)
        return connection.connect_ex((address, transfer.PORT)) == 0


def test_ufw_is_named_and_its_own_commands_let_the_tunnel_through(tmp_path: Path) -> None:
    with two_offices(tmp_path) as pair, contextlib.ExitStack() as stack:
        stack.enter_context(transfer.served(pair.chapter.host_a, SITE_A.host[0], b""))
        stack.enter_context(transfer.served(pair.chapter.host_b, SITE_B.host[0], b""))
        ufw = Ufw(pair.chapter.gateway_a, tmp_path)
        ufw("--force", "enable")
        pair.a.write()
        pair.b.write(peer='start = "passive"')
        pair.join()
        assert not reaches(pair.chapter.host_b, SITE_A.host[0])
        warnings = pair.a.warnings()
        assert {warning["reason"] for warning in warnings} == {"FOREIGN_FIREWALL"}
        assert any("ESP" in warning["message"] for warning in warnings)
        assert any("IKE" in warning["message"] for warning in warnings)
        for warning in warnings:
            program, *arguments = warning["what_to_do"].removeprefix(ADVICE).split()
            assert program == "ufw", warning
            ufw(*arguments)
        assert pair.a.warnings() == []
        assert reaches(pair.chapter.host_a, SITE_B.host[0])
        assert reaches(pair.chapter.host_b, SITE_A.host[0])
