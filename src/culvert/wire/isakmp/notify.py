"""The Notify payload (RFC 7296 section 3.10)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import ClassVar

from culvert.wire.isakmp.numbers import PayloadType, ProtocolId, known
from culvert.wire.isakmp.reader import Reader, packed

FIRST_STATUS_TYPE = 16_384
_HEAD = Struct("!BBH")


class NotifyType(IntEnum):
    """What is said: an error below 16384, else a status (RFC 7296 3.10.1, IANA "IKEv2 Notify Message Types")."""

    UNSUPPORTED_CRITICAL_PAYLOAD = 1
    INVALID_IKE_SPI = 4
    INVALID_MAJOR_VERSION = 5
    INVALID_SYNTAX = 7
    INVALID_MESSAGE_ID = 9
    INVALID_SPI = 11
    NO_PROPOSAL_CHOSEN = 14
    INVALID_KE_PAYLOAD = 17
    AUTHENTICATION_FAILED = 24
    SINGLE_PAIR_REQUIRED = 34
    NO_ADDITIONAL_SAS = 35
    INTERNAL_ADDRESS_FAILURE = 36
    FAILED_CP_REQUIRED = 37
    TS_UNACCEPTABLE = 38
    INVALID_SELECTORS = 39
    UNACCEPTABLE_ADDRESSES = 40
    UNEXPECTED_NAT_DETECTED = 41
    TEMPORARY_FAILURE = 43
    CHILD_SA_NOT_FOUND = 44
    STATE_NOT_FOUND = 47

    INITIAL_CONTACT = 16_384
    SET_WINDOW_SIZE = 16_385
    ADDITIONAL_TS_POSSIBLE = 16_386
    IPCOMP_SUPPORTED = 16_387
    NAT_DETECTION_SOURCE_IP = 16_388
    NAT_DETECTION_DESTINATION_IP = 16_389
    COOKIE = 16_390
    USE_TRANSPORT_MODE = 16_391
    HTTP_CERT_LOOKUP_SUPPORTED = 16_392
    REKEY_SA = 16_393
    ESP_TFC_PADDING_NOT_SUPPORTED = 16_394
    NON_FIRST_FRAGMENTS_ALSO = 16_395
    MOBIKE_SUPPORTED = 16_396
    ADDITIONAL_IP4_ADDRESS = 16_397
    ADDITIONAL_IP6_ADDRESS = 16_398
    NO_ADDITIONAL_ADDRESSES = 16_399
    UPDATE_SA_ADDRESSES = 16_400
    COOKIE2 = 16_401
    NO_NATS_ALLOWED = 16_402
    AUTH_LIFETIME = 16_403
    MULTIPLE_AUTH_SUPPORTED = 16_404
    ANOTHER_AUTH_FOLLOWS = 16_405
    REDIRECT_SUPPORTED = 16_406
    REDIRECT = 16_407
    REDIRECTED_FROM = 16_408
    TICKET_LT_OPAQUE = 16_409
    TICKET_REQUEST = 16_410
    TICKET_ACK = 16_411
    TICKET_NACK = 16_412
    TICKET_OPAQUE = 16_413
    LINK_ID = 16_414
    USE_WESP_MODE = 16_415
    ROHC_SUPPORTED = 16_416
    EAP_ONLY_AUTHENTICATION = 16_417
    CHILDLESS_IKEV2_SUPPORTED = 16_418
    QUICK_CRASH_DETECTION = 16_419
    IKEV2_MESSAGE_ID_SYNC_SUPPORTED = 16_420
    IPSEC_REPLAY_COUNTER_SYNC_SUPPORTED = 16_421
    IKEV2_MESSAGE_ID_SYNC = 16_422
    IPSEC_REPLAY_COUNTER_SYNC = 16_423
    SECURE_PASSWORD_METHODS = 16_424
    PSK_PERSIST = 16_425
    PSK_CONFIRM = 16_426
    ERX_SUPPORTED = 16_427
    IFOM_CAPABILITY = 16_428
    SENDER_REQUEST_ID = 16_429
    IKEV2_FRAGMENTATION_SUPPORTED = 16_430
    SIGNATURE_HASH_ALGORITHMS = 16_431
    CLONE_IKE_SA_SUPPORTED = 16_432
    CLONE_IKE_SA = 16_433
    PUZZLE = 16_434
    USE_PPK = 16_435
    PPK_IDENTITY = 16_436
    NO_PPK_AUTH = 16_437
    INTERMEDIATE_EXCHANGE_SUPPORTED = 16_438
    IP4_ALLOWED = 16_439
    IP6_ALLOWED = 16_440
    ADDITIONAL_KEY_EXCHANGE = 16_441
    USE_AGGFRAG = 16_442


@dataclass(frozen=True, slots=True)
class Notify:
    """A notification. `protocol` and `spi` name the SA that it concerns, where it concerns one."""

    type: NotifyType | int
    data: bytes = b""
    protocol: ProtocolId | int = ProtocolId.NONE
    spi: bytes = b""
    payload_type: ClassVar[PayloadType] = PayloadType.NOTIFY

    @property
    def is_error(self) -> bool:
        return self.type < FIRST_STATUS_TYPE

    @classmethod
    def parse(cls, body: bytes) -> Notify:
        reader = Reader(body, "a Notify payload")
        protocol, spi_octets, kind = reader.fields(_HEAD)
        spi = reader.octets(spi_octets)
        return cls(known(NotifyType, kind), reader.rest(), known(ProtocolId, protocol), spi)

    def emit(self) -> bytes:
        return packed(_HEAD, self.protocol, len(self.spi), self.type) + self.spi + self.data
