"""docs/guide/children.md: each of its configurations can be used, and means what the text around it says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from culvert.config.model import Peer, Start
from culvert.ipsec.associations import Mode, Protocol
from culvert.ipsec.coverage import pairs

GUIDE = (Path(__file__).parents[3] / "docs/guide/children.md").read_text()
BLOCKS = re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL)


def peer_of(folder: Any, number: int) -> Peer:
    (peer,) = folder.load(BLOCKS[number]).gateway.peers
    return peer


def test_there_are_five(folder: Any) -> None:
    assert len(BLOCKS) == 5
    for number in range(len(BLOCKS)):
        assert peer_of(folder, number).name == "warehouse"


def test_several_networks_and_children(folder: Any) -> None:
    whole, database = peer_of(folder, 0).children
    assert len(pairs(whole.local, whole.remote)) == 4
    assert (str(database.remote[0]), database.rekey.after_s, database.start) == (
        "10.3.0.5/32[6/5432]",
        1200,
        Start.TRAFFIC,
    )


def test_split(folder: Any) -> None:
    assert peer_of(folder, 1).split


def test_transport_mode(folder: Any) -> None:
    (hosts,) = peer_of(folder, 2).children
    tunnel, web = peer_of(folder, 3).children
    assert (hosts.mode, tunnel.mode, web.mode) == (Mode.TRANSPORT, Mode.TUNNEL, Mode.TRANSPORT)
    assert str(web.remote[0]) == "198.51.100.1/32[6/443]"


def test_padding_and_ah(folder: Any) -> None:
    padded, readings = peer_of(folder, 4).children
    assert (padded.protocol, padded.tfc_octets) == (Protocol.ESP, 1400)
    assert (readings.protocol, readings.tfc_octets) == (Protocol.AH, 0)
