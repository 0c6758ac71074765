"""What other implementations write that we do not: extra payloads, another order, no NAT detection."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from culvert.ike.events import RekeyRequested
from culvert.ike.status import PeerState
from culvert.ike.v2 import requests
from culvert.ike.v2.exchanges import ike_sa_init
from culvert.ike.v2.sealing import Payloads
from culvert.ike.v2.sealing import seal_within as real_seal
from culvert.sim.pair import Pair
from culvert.wire.isakmp.certreq import CertificateRequest
from culvert.wire.isakmp.message import Message
from culvert.wire.isakmp.message import emit_message as real_emit
from culvert.wire.isakmp.notify import Notify, NotifyType
from culvert.wire.isakmp.numbers import ProtocolId
from culvert.wire.isakmp.payload import Payload, Unknown
from culvert.wire.isakmp.vendor_id import VendorId

CONFIGURATION_PAYLOAD = 47
EXTRAS: tuple[Payload, ...] = (
    Notify(NotifyType.ESP_TFC_PADDING_NOT_SUPPORTED, b"", ProtocolId.ESP),
    Notify(NotifyType.NON_FIRST_FRAGMENTS_ALSO),
    Notify(NotifyType.HTTP_CERT_LOOKUP_SUPPORTED),
    Notify(NotifyType.MOBIKE_SUPPORTED),
    Notify(NotifyType.NO_ADDITIONAL_ADDRESSES),
    Notify(NotifyType.EAP_ONLY_AUTHENTICATION),
    Notify(NotifyType.MULTIPLE_AUTH_SUPPORTED),
    Notify(NotifyType.IKEV2_FRAGMENTATION_SUPPORTED),
    Notify(NotifyType.IKEV2_MESSAGE_ID_SYNC_SUPPORTED),
    Notify(NotifyType.SIGNATURE_HASH_ALGORITHMS, bytes((0, 2, 0, 3, 0, 4))),
    Notify(NotifyType.REDIRECT_SUPPORTED),
    Notify(NotifyType.SET_WINDOW_SIZE, bytes((0, 0, 0, 5))),
    Notify(NotifyType.ADDITIONAL_TS_POSSIBLE),
    Notify(40_500, b"a private status of theirs"),
    CertificateRequest(4, bytes(20)),
    VendorId(b"CISCO-DELETE-REASON"),
    VendorId(b""),
    Unknown(CONFIGURATION_PAYLOAD, False, bytes(4)),
    Unknown(200, False, b"something new"),
)


def _altered(payloads: Payloads, source: random.Random) -> Payloads:
    """Put the extras anywhere among the payloads, which come in any order."""
    mixed = [*payloads, *EXTRAS]
    source.shuffle(mixed)
    return tuple(mixed)


def _speak(monkeypatch: pytest.MonkeyPatch, alter: Callable[[Payloads], Payloads]) -> None:
    """Let both ends write every message in that way."""

    def seal(sa, entropy, exchange, payloads, **more):  # type: ignore[no-untyped-def]
        return real_seal(sa, entropy, exchange, alter(payloads), **more)

    def emit(message: Message) -> bytes:
        altered = alter(message.payloads)
        return real_emit(
            Message(
                message.spi_i,
                message.spi_r,
                message.exchange,
                message.initiator,
                message.response,
                message.message_id,
                altered,
            )
        )

    monkeypatch.setattr(requests, "seal_within", seal)
    monkeypatch.setattr(requests, "emit_message", emit)
    monkeypatch.setattr(ike_sa_init, "emit_message", emit)


def _lives(pair: Pair) -> None:
    """Set up, change all keys from both ends, and end."""
    pair.connect()
    assert pair.west.endpoint.status("east").state is PeerState.UP
    for event_of, other in (("west", "east"), ("east", "west")):
        for ike in (False, True):
            before = _keys(pair)
            pair.tell(event_of, RekeyRequested(other, ike=ike), 3)
            assert _keys(pair)[ike] != before[ike]
            assert _keys(pair)[not ike] == before[not ike]
    assert pair.east.endpoint.status("west").state is PeerState.UP
    assert pair.east.endpoint.census().established == pair.west.endpoint.census().established == 1


def _keys(pair: Pair) -> tuple[int, bytes]:
    status = pair.west.endpoint.status("east")
    assert status.ike is not None
    return status.children[0].inbound.spi, status.ike.spi_i


@pytest.mark.parametrize("seed", range(5))
def test_extra_payloads_in_any_order_change_nothing(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    source = random.Random(seed)
    _speak(monkeypatch, lambda payloads: _altered(payloads, source))
    _lives(Pair(seed + 1))


def test_without_nat_detection_and_vendor_ids_esp_goes_without_udp(monkeypatch: pytest.MonkeyPatch) -> None:
    silent = (NotifyType.NAT_DETECTION_SOURCE_IP, NotifyType.NAT_DETECTION_DESTINATION_IP)

    def alter(payloads: Payloads) -> Payloads:
        kept = (one for one in payloads if not isinstance(one, VendorId))
        return tuple(one for one in kept if not (isinstance(one, Notify) and one.type in silent))

    _speak(monkeypatch, alter)
    pair = Pair()
    _lives(pair)
    assert all(one.encapsulation is None for one in pair.west.plane.associations.values())
    status = pair.west.endpoint.status("east").ike
    assert status is not None
    assert (status.nat, status.remote.port) == ("none", 500)


def test_several_nat_detection_sources_of_which_one_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    others = tuple(Notify(NotifyType.NAT_DETECTION_SOURCE_IP, bytes([number]) * 20) for number in range(3))
    _speak(monkeypatch, lambda payloads: (*others, *payloads))
    pair = Pair()
    pair.connect()
    status = pair.west.endpoint.status("east").ike
    assert status is not None
    assert status.nat == "none"
