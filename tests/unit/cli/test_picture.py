import io

import pytest
from rich.console import Console

from culvert.cli.picture import WHAT_TO_DO, render
from culvert.reasons import Refusal


def shown(document):
    console = Console(file=io.StringIO(), width=160)
    console.print(render(document))
    return console.file.getvalue()


def document(**peers):
    gateway = {"name": "office", "addresses": [], "backend": "engine", "state": "ready", "drops": {}, "warnings": []}
    return {"gateway": gateway, "peers": peers, "gifs": []}


def peer(state, reason=None, message="", children=()):
    return {"state": state, "reason": reason, "message": message, "address": "198.51.100.1", "children": list(children)}


CHILD = {
    "local": ["192.168.1.0/24"],
    "remote": ["192.168.2.0/24"],
    "cipher": "aes128gcm16",
    "encapsulation": "udp",
    "age_s": 7201,
    "bytes_in": 999,
    "bytes_out": 1_500_000,
}


def test_a_peer_that_is_up_shows_its_traffic():
    text = shown(document(warehouse=peer("up", children=[CHILD])))
    line = next(line for line in text.splitlines() if line.startswith("warehouse"))
    for word in ("up", "192.168.1.0/24 = 192.168.2.0/24", "aes128gcm16 in udp", "2 h", "999 B", "1.5 MB"):
        assert word in line


@pytest.mark.parametrize("reason", sorted(WHAT_TO_DO))
def test_a_peer_that_is_not_says_why_and_what_to_do(reason):
    text = shown(document(warehouse=peer("down", reason, "the peer said no")))
    assert f"warehouse: the peer said no ({reason})" in text
    assert WHAT_TO_DO[reason].replace("PEER", "warehouse") in text


def test_every_reason_with_advice_is_one():
    assert set(WHAT_TO_DO) <= set(Refusal)


def test_what_others_write_is_no_markup():
    text = shown(document(warehouse=peer("down", None, "[bold]names[/bold] [/]")))
    assert "[bold]names[/bold] [/]" in text


def test_without_peers_and_with_drops_and_warnings():
    status = document()
    status["gateway"]["drops"] = {"UNKNOWN_SPI": 2}
    status["gateway"]["warnings"] = [
        {"reason": "FOREIGN_FIREWALL", "message": "it drops ESP", "where": "table x", "what_to_do": "Let it through."}
    ]
    text = shown(status)
    assert "No peers" in text
    assert "UNKNOWN_SPI 2" in text
    assert "warning: it drops ESP (table x)\n    Let it through." in text


def test_a_link_says_whether_it_is_protected():
    link = {"name": "gif0", "outer": ["203.0.113.1", "198.51.100.1"], "packets_in": 7, "packets_out": 9}
    clear = shown(document() | {"gifs": [link | {"protected": False}]})
    assert "gif0: 203.0.113.1 --> 198.51.100.1, 7 packets in, 9 out, in clear: no policy protects" in clear
    assert "spdadd" in clear
    assert "9 out, protected" in shown(document() | {"gifs": [link | {"protected": True}]})
