"""What ends a gateway: commands, signals, kills, and others who delete; and what stands or is taken up again."""

from __future__ import annotations

import signal
import subprocess
from ipaddress import ip_address

import pytest

from culvert.lab.chapter import SITE_A, SITE_B
from culvert.lab.eavesdropper import Eavesdropper
from tests.netns.chapter_gateways import MARKER, counted_ping, nothing_in_clear, steady_ping

pytestmark = pytest.mark.root


def test_a_second_gateway_in_the_same_place_is_refused(picture):
    picture.a.up()
    done = picture.a.culvert("up", "-c", str(picture.a.file), "-d", code=1)
    assert f"process {picture.a.daemon_pid()}" in done.stderr
    assert picture.a.status()["gateway"]["state"] == "ready"


def test_a_daemon_that_is_killed_leaves_the_traffic_running_and_is_taken_over(picture):
    picture.up()
    before = picture.b.peer()["ike"]["spi_i"]
    with nothing_in_clear(picture), counted_ping(picture, 0.05) as lost:
        picture.a.kill(picture.a.daemon_pid())
        assert picture.ping() == 3
        assert "no gateway runs here" in picture.a.culvert("status", code=1).stderr
        picture.a.up()
        picture.a.connect()
        assert picture.ping() == 3
        for gateway in (picture.a, picture.b):
            gateway.until(lambda gateway=gateway: len(gateway.associations()) == 2, "the end of the former ones")
    assert lost() == 0
    assert "taken over" in picture.a.log()
    assert picture.b.peer()["ike"]["spi_i"] == before
    assert [gateway.peer()["state"] for gateway in (picture.a, picture.b)] == ["up", "up"]


def test_down_daemon_leaves_all_but_the_daemon(picture):
    picture.up()
    picture.a.culvert("down", "--daemon")
    assert picture.ping() == 3
    picture.a.up()
    picture.a.connect()
    picture.a.down()
    assert "culvert0" not in picture.a.standing()["links"]


def test_down_without_a_daemon_takes_away_what_a_former_one_left(picture):
    before = picture.a.standing()
    picture.up()
    picture.a.kill(picture.a.daemon_pid())
    with nothing_in_clear(picture):
        assert "taken away" in picture.a.culvert("down").stderr
    assert picture.a.standing() == before
    assert "no gateway runs here" in picture.a.culvert("down", code=1).stderr


def test_an_engine_that_is_killed_comes_back_and_nothing_leaks_meanwhile(picture):
    picture.up()
    with nothing_in_clear(picture), steady_ping(picture):
        dead = picture.a.engine_pid()
        picture.a.kill(dead)
        picture.a.connect()
        assert picture.a.engine_pid() != dead
        assert picture.ping(count=40) > 0
        picture.b.connect()
    assert picture.ping() == 3


def test_what_others_delete_is_put_back_and_nothing_leaks_meanwhile(picture):
    picture.up()
    host = picture.chapter.gateway_a
    with nothing_in_clear(picture), steady_ping(picture):
        host.ip("route", "flush", "table", "4500")
        assert picture.ping(count=20) > 0
        host.ip("rule", "del", "priority", "4500")
        assert picture.ping(count=20) > 0
        host.ip("link", "set", "culvert0", "down")
        assert picture.ping(count=20) > 0
    host.run(["nft", "delete", "table", "inet", "culvert"])
    picture.a.culvert("reload")
    assert "fenced_out" in host.run(["nft", "list", "ruleset"]).stdout


def test_down_closed_keeps_the_fence_and_a_second_down_takes_it_away(picture):
    before = picture.a.standing()
    picture.up()
    with nothing_in_clear(picture):
        picture.a.culvert("down", "--closed")
        host = picture.chapter.gateway_a
        host.set_sysctl("net.ipv4.ip_forward", "1")
        assert picture.ping(wait_s=1) == 0
        host.set_sysctl("net.ipv4.ip_forward", "0")
    assert "fenced_out" in picture.a.standing()["firewall"]
    picture.a.down()
    assert picture.a.standing() == before


def test_a_forged_packet_in_clear_never_reaches_the_network(picture):
    picture.up()
    internet = picture.chapter.internet
    internet.ip("address", "add", f"{SITE_B.host[0]}/32", "dev", "lo")
    internet.ip("route", "add", SITE_A.network[0], "via", SITE_A.outside[0])
    with Eavesdropper(picture.chapter.host_a, "eth0") as ear:
        forged = ["ping", "-n", "-c", "3", "-i", "0.05", "-W", "1", "-p", MARKER, "-I", SITE_B.host[0], SITE_A.host[0]]
        internet.run(forged, check=False)
        assert ear.matching(lambda frame: bytes.fromhex(MARKER) in frame) == []
    assert ip_address(SITE_B.host[0]).is_private


def test_disconnect_keeps_shut_until_connect(picture):
    picture.up()
    with nothing_in_clear(picture):
        picture.a.culvert("disconnect", "other")
        assert picture.ping(count=2, wait_s=1) == 0
        assert picture.a.peer()["reason"] == "DISCONNECTED"
        picture.a.connect()
        assert picture.ping() == 3


def test_in_the_foreground_ctrl_c_is_down_and_a_hang_up_is_reload(picture):
    before = picture.a.standing()
    command = [*picture.a.command("up", "-c", str(picture.a.file), "--log-json")]
    with picture.a.host.start(command, stderr=subprocess.PIPE, text=True) as process:
        next(line for line in process.stderr if "The gateway is ready." in line)
        process.send_signal(signal.SIGHUP)
        next(line for line in process.stderr if "The configuration was read again." in line)
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        assert process.wait(20) == 0, rest
    assert picture.a.standing() == before


def test_a_peer_that_comes_back_empty_is_joined_again(picture):
    picture.up()
    picture.b.kill(picture.b.daemon_pid())
    picture.b.kill(picture.b.engine_pid())
    with nothing_in_clear(picture):
        picture.b.up()
        picture.b.connect()
        picture.a.connect()
        assert picture.ping() == 3
