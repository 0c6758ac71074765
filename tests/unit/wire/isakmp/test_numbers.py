"""Numbers as RFC 7296 prints them."""

from __future__ import annotations

from culvert.wire.isakmp.notify import FIRST_STATUS_TYPE, NotifyType
from culvert.wire.isakmp.numbers import ExchangeType, PayloadType, ProtocolId, known


def test_payload_types() -> None:
    """RFC 7296 section 3.2, RFC 7383 section 2.5."""
    order = [
        "SA",
        "KE",
        "IDI",
        "IDR",
        "CERT",
        "CERTREQ",
        "AUTH",
        "NONCE",
        "NOTIFY",
        "DELETE",
        "VENDOR_ID",
        "TSI",
        "TSR",
        "SK",
        "CP",
        "EAP",
    ]
    assert [PayloadType[name] for name in order] == list(range(33, 49))
    assert PayloadType.SKF == 53


def test_exchange_types() -> None:
    """RFC 7296 section 3.1."""
    order = ["IKE_SA_INIT", "IKE_AUTH", "CREATE_CHILD_SA", "INFORMATIONAL"]
    assert [ExchangeType[name] for name in order] == [34, 35, 36, 37]


def test_errors_stand_below_statuses() -> None:
    """RFC 7296 section 3.10.1: the last error of the RFC, the first and the last status."""
    assert NotifyType.CHILD_SA_NOT_FOUND == 44 < FIRST_STATUS_TYPE == NotifyType.INITIAL_CONTACT
    assert NotifyType.NON_FIRST_FRAGMENTS_ALSO == 16_395


def test_what_is_not_known_stays_a_number() -> None:
    assert known(ProtocolId, 3) is ProtocolId.ESP
    assert known(ProtocolId, 77) == 77
