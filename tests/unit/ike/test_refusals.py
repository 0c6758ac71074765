"""What we make of a peer that refuses us: it tells one word, and we say what that commonly means."""

from __future__ import annotations

import pytest

from culvert.addresses import SocketAddress
from culvert.config.model import Child, Peer
from culvert.ike import refusals
from culvert.ipsec.proposals import esp_proposal, ike_proposal
from culvert.ipsec.selectors import traffic_selector
from culvert.wire.isakmp.notify import Notify, NotifyType

REMOTE = SocketAddress.parse("198.51.100.1", 500)
OURS = SocketAddress.parse("203.0.113.1", 500).ip
CHILD = Child(
    "east",
    "net",
    (traffic_selector("10.1.0.0/16"),),
    (traffic_selector("10.2.0.0/16"),),
    (esp_proposal("aes128gcm16-x25519"),),
)
PEER = Peer("east", ("198.51.100.1",), None, None, (CHILD,), proposals=(ike_proposal("aes128gcm16-prfsha256-x25519"),))


def _set_up(type_: int, data: bytes = b"") -> str:
    return refusals.set_up(REMOTE, OURS, PEER, Notify(type_, data))


def _child(type_: int, data: bytes = b"", *, key_exchange: bool = True) -> str:
    return refusals.child(CHILD, Notify(type_, data), key_exchange=key_exchange)


def test_no_proposal_chosen_says_what_we_offered_and_what_else_it_may_mean() -> None:
    assert _set_up(NotifyType.NO_PROPOSAL_CHOSEN) == (
        "198.51.100.1:500 refuses with NO_PROPOSAL_CHOSEN: it takes none of what we offer, "
        "aes128gcm16-prfsha256-x25519, or expects nobody at 203.0.113.1; it does not tell us which; its own log does"
    )


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (
            b"\0\x0e",
            "it wants the key exchange modp2048, and we allow x25519; add modp2048 to `proposals` of [peers.east]",
        ),
        (
            b"\0\2",
            "it wants the key exchange modp1024, and we allow x25519; the peer has to allow one of ours; "
            "where it cannot, add modp1024 to `proposals` of [peers.east] and write legacy = true",
        ),
        (b"\0\x16", "it wants the key exchange modp1024s160, and we allow x25519; the peer has to allow one of ours"),
        (b"\0", "it wants another key exchange than x25519, and does not say which"),
    ],
)
def test_the_group_that_the_peer_wants_is_called_by_its_word(data: bytes, said: str) -> None:
    assert _set_up(NotifyType.INVALID_KE_PAYLOAD, data).endswith(f"INVALID_KE_PAYLOAD: {said}")


def test_a_group_for_pfs_is_added_to_the_childs_proposals() -> None:
    said = _child(NotifyType.INVALID_KE_PAYLOAD, b"\0\x0e")
    assert said.endswith("add modp2048 to `esp_proposals` of [peers.east.children.net]")


def test_no_child_chosen_names_groups_only_where_they_were_negotiated() -> None:
    with_groups, without = (_child(NotifyType.NO_PROPOSAL_CHOSEN, key_exchange=one) for one in (True, False))
    assert "we asked for aes128gcm16-x25519 in tunnel mode" in with_groups
    assert "the group for PFS" in with_groups
    assert "we asked for aes128gcm16 in tunnel mode" in without
    assert "PFS" not in without


def test_networks_that_the_peer_does_not_take() -> None:
    said = _child(NotifyType.TS_UNACCEPTABLE)
    assert "we asked for 10.1.0.0/16 <-> 10.2.0.0/16, our side first" in said


@pytest.mark.parametrize(
    ("type_", "data", "said"),
    [
        (NotifyType.INVALID_MAJOR_VERSION, b"\1", "it speaks version 1 of IKE, and we speak 2"),
        (NotifyType.INVALID_MAJOR_VERSION, b"", "it does not speak IKEv2"),
        (NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD, b"\x2e", "a payload of type 46 that we marked as critical"),
        (NotifyType.FAILED_CP_REQUIRED, b"", "it wants us to ask it for an address"),
        (NotifyType.INVALID_SYNTAX, b"anything", "it could not read our message"),
    ],
)
def test_other_errors_in_words(type_: NotifyType, data: bytes, said: str) -> None:
    assert said in _set_up(type_, data)
    assert said in _child(type_, data)


def test_what_nobody_knows_is_called_by_its_number() -> None:
    assert _set_up(9_999) == "198.51.100.1:500 refuses with notification 9999"
    assert _child(9_999).startswith("net: the peer refuses with notification 9999: ")
    assert "nothing that we understand" in refusals.set_up(REMOTE, OURS, PEER, None)
    assert "an empty answer" in refusals.child(CHILD, None, key_exchange=True)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (None, "nothing that we understand"),
        (Notify(NotifyType.NO_ADDITIONAL_SAS), "NO_ADDITIONAL_SAS"),
        (
            Notify(NotifyType.NO_PROPOSAL_CHOSEN),
            "NO_PROPOSAL_CHOSEN, it takes none of what we offer, aes128gcm16-prfsha256-x25519",
        ),
        (
            Notify(NotifyType.INVALID_KE_PAYLOAD, b"\0\x0e"),
            "INVALID_KE_PAYLOAD, it wants the key exchange modp2048, and we allow x25519; "
            "add modp2048 to `proposals` of [peers.east]",
        ),
    ],
)
def test_an_ike_sa_that_gets_no_successor(error: Notify | None, said: str) -> None:
    head = "the IKE SA gets no new keys and ends with those it has: "
    assert refusals.rekey_of_ike(PEER, error) == head + said


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (None, "nothing that we understand, an empty answer"),
        (
            Notify(NotifyType.NO_PROPOSAL_CHOSEN),
            "NO_PROPOSAL_CHOSEN, the peer wants another group for PFS than x25519, or none; "
            "write the peer's into `esp_proposals` of [peers.east.children.net]",
        ),
        (Notify(NotifyType.TS_UNACCEPTABLE), "TS_UNACCEPTABLE"),
        (Notify(NotifyType.SINGLE_PAIR_REQUIRED), "SINGLE_PAIR_REQUIRED, it takes a single pair of addresses only"),
    ],
)
def test_a_child_that_gets_no_successor(error: Notify | None, said: str) -> None:
    assert refusals.rekey(CHILD, error).startswith(f"net gets no new keys and ends with those it has: {said}")


@pytest.mark.parametrize("type_", list(NotifyType))
@pytest.mark.parametrize("data", [b"", b"\0", b"\0\0", bytes(300)])
def test_no_data_of_a_peer_is_too_strange(type_: NotifyType, data: bytes) -> None:
    assert type_.name in _set_up(type_, data)
    assert type_.name in _child(type_, data)
