"""`culvert up` on the two gateways of the handbook's chapter: real links, routes, firewall, engine and key exchange."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from culvert.lab.chapter import SITE_A, SITE_B
from tests.netns.chapter_gateways import MARKER, built, nothing_in_clear, send_file

pytestmark = pytest.mark.root


def test_two_networks_are_joined_and_parted_again(picture):
    before = picture.a.standing(), picture.b.standing()
    with nothing_in_clear(picture) as ear:
        picture.up()
        assert picture.ping() == 3
        assert picture.ping(source=picture.chapter.gateway_a, to=SITE_B.gateway[0]) == 3
        data = bytes.fromhex(MARKER) * 100_000
        assert send_file(picture, data) == data
        assert len(ear.frames()) > 20

    for gateway in (picture.a, picture.b):
        peer = gateway.peer()
        assert peer["state"] == "up"
        assert peer["address"] == gateway.other.outside[0]
        (child,) = peer["children"]
        assert (child["local"], child["remote"]) == ([gateway.site.network[0]], [gateway.other.network[0]])
        assert child["packets_in"] > 6
        assert child["bytes_out"] > 0
        assert gateway.culvert("status").stdout.count("up") >= 1
    assert picture.a.peer()["children"][0]["spi_out"] == picture.b.peer()["children"][0]["spi_in"]

    for gateway in (picture.a, picture.b):
        proof = json.loads(gateway.culvert("prove", "--json").stdout)
        assert proof["ok"]
        assert proof["peers"]["other"]["evidence"]["esp_out"] > 0
    assert "proven" in picture.a.culvert("prove", "other").stdout

    picture.a.down()
    assert picture.b.peer()["state"] != "up"  # told by DELETE, at once
    picture.b.down()
    assert (picture.a.standing(), picture.b.standing()) == before
    assert [path.name for path in picture.a.run_dir.iterdir()] == ["culvert.log"]


def test_the_log_is_one_whoever_of_the_two_processes_writes(picture):
    picture.a.culvert("up", "-c", str(picture.a.file), "-d", "--log-json", "--log-level", "info")
    lines = [json.loads(line) for line in picture.a.log().splitlines()]
    ready = [line for line in lines if line["message"] in ("The engine is ready.", "The gateway is ready.")]
    assert len(ready) == 2
    assert all(line["level"] == "info" and line["time"].endswith("+00:00") for line in ready)
    assert len({line["time"][:13] for line in ready}) <= 2
    picture.a.down()
    (picture.a.run_dir / "culvert.log").unlink()
    picture.a.culvert("up", "-c", str(picture.a.file), "-d", "--log-level", "error")
    assert not picture.a.log()


def test_a_wrong_secret_is_said_at_both_ends(picture):
    picture.b.write(secret="another secret that is long enough")
    picture.b.up()
    picture.a.up()
    for gateway in (picture.a, picture.b):
        done = gateway.culvert("connect", "other", "--timeout", "20s", code=1)
        assert "AUTHENTICATION_FAILED" in done.stderr
        assert gateway.peer()["reason"] == "AUTHENTICATION_FAILED", gateway.log()
        assert "AUTHENTICATION_FAILED" in gateway.culvert("status", code=1).stdout
    for _ in range(20):
        for gateway in (picture.a, picture.b):
            peer = gateway.peer()
            assert (peer["reason"], "secret" in peer["message"]) == ("AUTHENTICATION_FAILED", True), peer


def test_networks_that_do_not_mirror_are_shown_at_both_sides(picture):
    picture.b.write(networks="10.2.0.0/24", remote="10.1.0.0/24")
    picture.b.up()
    picture.a.up()
    done = picture.a.culvert("connect", "other", "--timeout", "10s", code=1)
    assert "TS_UNACCEPTABLE" in done.stderr
    assert SITE_A.network[0] in done.stderr
    for gateway in (picture.a, picture.b):
        gateway.until(
            lambda gateway=gateway: "10.2.0.0/24" in gateway.peer()["message"], "word of the other's networks"
        )
    for _ in range(20):
        for gateway in (picture.a, picture.b):
            peer = gateway.peer()
            assert peer["reason"] == "TS_UNACCEPTABLE"
            for network in (SITE_A.network[0], SITE_B.network[0], "10.1.0.0/24", "10.2.0.0/24"):
                assert network in peer["message"], peer


def test_a_port_that_is_taken_names_its_holder_and_leaves_nothing(picture):
    before = picture.a.standing()
    script = "import socket,sys; s=socket.socket(2,2); s.bind(('0.0.0.0',500)); print(flush=True); sys.stdin.read()"
    with picture.a.host.start([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        holder.stdout.readline()
        done = picture.a.culvert("up", "-c", str(picture.a.file), "-d", code=1)
        assert "500" in done.stderr
        assert str(holder.pid) in done.stderr
        holder.stdin.close()
        holder.wait(10)
    assert picture.a.standing() == before


def test_without_a_tun_device_it_says_how_to_get_one(picture):
    before = picture.a.standing()
    hidden = 'mount -t tmpfs none /dev/net && exec "$@"'
    command = ["unshare", "--mount", "sh", "-c", hidden, "sh", *picture.a.command("up", "-c", str(picture.a.file))]
    done = picture.a.host.run(command, check=False)
    assert done.returncode == 1
    assert "NO_TUN_DEVICE" in done.stderr
    assert "mknod" in done.stderr
    assert picture.a.standing() == before


def test_a_name_without_an_address_is_said_and_the_gateway_stands(picture):
    picture.a.write(address="nowhere.invalid")
    picture.a.up()
    done = picture.a.culvert("connect", "other", "--timeout", "15s", code=1)
    assert "nowhere.invalid" in done.stderr
    assert picture.a.peer()["reason"] == "NAME_NOT_RESOLVED"
    with nothing_in_clear(picture):
        assert picture.ping(count=1, wait_s=1) == 0


def test_reload_of_the_same_touches_nothing_and_of_an_error_changes_nothing(picture):
    picture.up()
    before = picture.a.peer()
    picture.a.write(gateway="# a comment")
    picture.a.culvert("reload")
    assert picture.a.peer()["children"][0]["spi_in"] == before["children"][0]["spi_in"]
    assert picture.a.peer()["ike"]["spi_i"] == before["ike"]["spi_i"]
    picture.a.file.write_text("[gateway\n")
    assert f"{picture.a.file}:1" in picture.a.culvert("reload", code=1).stderr
    assert picture.ping() == 3


def test_reload_changes_a_network_on_both_sides(picture):
    picture.up()
    host = picture.chapter.gateway_b
    host.ip("address", "add", "10.9.0.1/24", "dev", "lo")
    with nothing_in_clear(picture):
        picture.a.write(remote="10.9.0.0/24")
        picture.a.culvert("reload")
        picture.b.write(networks="10.9.0.0/24")
        picture.b.culvert("reload")
        picture.a.connect()
        picture.b.connect()
        assert picture.a.peer()["children"][0]["remote"] == ["10.9.0.0/24"]
        assert picture.ping(to="10.9.0.1") == 3
    assert "192.168.2.0/24" not in picture.a.host.ip("route", "show", "table", "4500")


def test_rekeying_by_hand_changes_the_spis_and_loses_nothing(picture):
    picture.up()
    before = picture.a.peer()
    picture.a.culvert("rekey", "other")
    assert picture.ping(count=20) == 20
    picture.a.culvert("rekey", "other", "--ike")
    assert picture.ping(count=20) == 20
    after = picture.a.peer()
    assert after["children"][0]["spi_in"] != before["children"][0]["spi_in"]
    assert after["ike"]["spi_i"] != before["ike"]["spi_i"]


def test_behind_a_nat_and_from_anywhere(tmp_path):
    with built(tmp_path, nat=True) as picture:
        b = picture.b
        b.file.write_text(
            f'[gateway]\naddress = "{SITE_B.outside[0]}"\nnetworks = ["{SITE_B.network[0]}"]\n'
            f'[peers.other]\nidentity = "{SITE_A.outside[0]}"\nnetworks = ["{SITE_A.network[0]}"]\n'
        )
        with nothing_in_clear(picture):
            b.up()
            assert b.peer()["state"] == "idle"
            assert b.culvert("status").returncode == 0
            picture.a.up()
            picture.a.connect()
            assert picture.ping() == 3
            assert picture.ping(source=picture.chapter.host_b, to=SITE_A.host[0]) == 3
        assert (picture.a.peer()["nat"], b.peer()["nat"]) == ("local", "remote")
        assert b.peer()["address"] == SITE_B.router[0]
        assert b.peer()["children"][0]["encapsulation"] == "udp"


def test_ipv6_inside_and_outside(tmp_path):
    with built(tmp_path, ipv6=True) as picture:
        for gateway in (picture.a, picture.b):
            gateway.write(
                networks=gateway.site.network[1], remote=gateway.other.network[1], address=gateway.other.outside[1]
            )
            gateway.file.write_text(gateway.file.read_text().replace(gateway.site.outside[0], gateway.site.outside[1]))
        before = picture.a.standing()
        picture.up()
        assert picture.ping(to=SITE_B.host[1]) == 3
        assert picture.ping(source=picture.chapter.gateway_a, to=SITE_B.gateway[1]) == 3
        assert picture.a.culvert("prove").returncode == 0
        picture.a.down()
        assert picture.a.standing() == before


def test_both_families_through_one_tunnel(tmp_path):
    with built(tmp_path, ipv6=True) as picture:
        for gateway in (picture.a, picture.b):
            ours, theirs = '", "'.join(gateway.site.network), '", "'.join(gateway.other.network)
            gateway.write(networks=ours, remote=theirs)
        with nothing_in_clear(picture):
            picture.up()
            assert picture.ping() == 3
            assert picture.ping(to=SITE_B.host[1]) == 3


def test_a_firewall_of_others_is_named(picture):
    rules = "table inet strict { chain input { type filter hook input priority filter; policy drop; }; }"
    picture.chapter.gateway_a.run(["nft", rules])
    picture.a.up()
    warnings = picture.a.status()["gateway"]["warnings"]
    assert any("strict" in warning["where"] and "udp" in warning["what_to_do"].lower() for warning in warnings)
    assert "strict" in picture.a.culvert("status", code=None).stdout
    assert "FOREIGN_FIREWALL" in picture.a.log()


def test_on_traffic_the_first_packet_waits_and_arrives(picture):
    for gateway in (picture.a, picture.b):
        gateway.write(peer='start = "traffic"')
        gateway.up()
        assert gateway.peer()["state"] == "idle"
        assert gateway.culvert("status").returncode == 0
    with nothing_in_clear(picture):
        assert picture.ping() == 3
    assert picture.a.peer()["state"] == "up"
