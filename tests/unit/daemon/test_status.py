from dataclasses import replace
from ipaddress import ip_address

from culvert.addresses import SocketAddress
from culvert.clock import SECOND
from culvert.daemon.seams import CountedAssociation
from culvert.daemon.status import Picture, document, good
from culvert.ike.status import ChildStatus, IkeStatus, PeerState, PeerStatus
from culvert.ipsec.associations import AssociationId
from culvert.reasons import Refusal

IN = AssociationId(ip_address("203.0.113.1"), 0xC0FFEE)
OUT = AssociationId(ip_address("198.51.100.1"), 0xBEEF)


def picture(make, peers, **changes):
    facts = {
        "gateway": make.configuration(),
        "phase": "ready",
        "backend": "engine",
        "peers": peers,
        "associations": (),
        "drops": {"UNKNOWN_SPI": 2},
        "warnings": (),
        "addresses": ("203.0.113.1",),
        "mtu": {"warehouse": 1422},
        "now": 100 * SECOND,
    }
    return Picture(**(facts | changes))


def up():
    ike = IkeStatus(
        2,
        bytes(8),
        bytes(range(8)),
        "aes256gcm16-prfsha256-x25519",
        "none",
        SocketAddress(ip_address("203.0.113.1"), 4500),
        SocketAddress(ip_address("198.51.100.1"), 4500),
        40 * SECOND,
        400 * SECOND,
        "warehouse.example.org",
        "certificate",
        86_500 * SECOND,
    )
    child = ChildStatus(
        "warehouse",
        IN,
        OUT,
        ("192.168.1.0/24",),
        ("192.168.2.0/24",),
        "aes128gcm16",
        "udp",
        40 * SECOND,
        None,
    )
    return PeerStatus("warehouse", PeerState.UP, Refusal.NO_RESPONSE, "it did not answer at first", ike, (child,))


def test_a_peer_that_is_up_is_joined_with_what_the_data_plane_counted(make):
    counted = (
        CountedAssociation(IN, 1, 1000, 10, {"REPLAYED": 1}),
        CountedAssociation(OUT, 1, 2000, 20, {"REPLAYED": 2, "TOO_BIG": 1}),
    )
    status = document(picture(make, (up(),), associations=counted))
    assert status["peers"]["warehouse"] == {
        "state": "up",
        "reason": None,
        "message": "",
        "address": "198.51.100.1",
        "nat": "none",
        "mtu": 1422,
        "ike": {
            "version": 2,
            "spi_i": "0000000000000000",
            "spi_r": "0001020304050607",
            "age_s": 60,
            "rekey_in_s": 300,
            "suite": "aes256gcm16-prfsha256-x25519",
            "identity": "warehouse.example.org",
            "proven_by": "certificate",
            "certificate_ends_in_s": 86_400,
            "local": "203.0.113.1:4500",
            "remote": "198.51.100.1:4500",
        },
        "children": [
            {
                "name": "warehouse",
                "spi_in": "0x00c0ffee",
                "spi_out": "0x0000beef",
                "local": ["192.168.1.0/24"],
                "remote": ["192.168.2.0/24"],
                "cipher": "aes128gcm16",
                "encapsulation": "udp",
                "mode": "tunnel",
                "bytes_in": 1000,
                "bytes_out": 2000,
                "packets_in": 10,
                "packets_out": 20,
                "age_s": 60,
                "rekey_in_s": None,
                "drops": {"REPLAYED": 3, "TOO_BIG": 1},
            }
        ],
    }
    assert good(status)


def test_a_peer_of_which_the_core_knows_nothing_is_there_all_the_same(make):
    status = document(picture(make, ()))
    assert status["peers"]["warehouse"]["state"] == "connecting"
    assert status["peers"]["warehouse"]["address"] == "198.51.100.1"
    assert not good(status)


def test_why_a_peer_is_down_is_told(make):
    failed = PeerStatus("warehouse", PeerState.DOWN, Refusal.NO_RESPONSE, "no answer from 198.51.100.1")
    entry = document(picture(make, (failed,)))["peers"]["warehouse"]
    assert (entry["state"], entry["reason"], entry["message"]) == ("down", "NO_RESPONSE", failed.message)


def test_idle_is_good(make):
    assert good(document(picture(make, (PeerStatus("warehouse", PeerState.IDLE),))))


def test_how_long_nothing_was_heard_of_a_peer_is_told(make):
    silent = replace(
        up(), state=PeerState.CONNECTING, message="it does not answer and is asked again", silent_since=88 * SECOND
    )
    entry = document(picture(make, (silent,)))["peers"]["warehouse"]
    assert entry["message"] == "nothing was heard for 12 s; it does not answer and is asked again"
    assert not good({"peers": {"warehouse": entry}})
