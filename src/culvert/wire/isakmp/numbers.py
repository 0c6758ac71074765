"""Numbers of the IKEv2 message format (IANA "IKEv2 Parameters"). Numbers that are not here stay plain integers."""

from __future__ import annotations

from enum import IntEnum
from typing import TypeVar

_Number = TypeVar("_Number", bound=IntEnum)


class PayloadType(IntEnum):
    """What a payload is, RFC 7296 section 3.2; SKF is RFC 7383's."""

    NONE = 0
    SA = 33
    KE = 34
    IDI = 35
    IDR = 36
    CERT = 37
    CERTREQ = 38
    AUTH = 39
    NONCE = 40
    NOTIFY = 41
    DELETE = 42
    VENDOR_ID = 43
    TSI = 44
    TSR = 45
    SK = 46
    CP = 47
    EAP = 48
    SKF = 53


class ExchangeType(IntEnum):
    """What an exchange is for, RFC 7296 section 3.1."""

    IKE_SA_INIT = 34
    IKE_AUTH = 35
    CREATE_CHILD_SA = 36
    INFORMATIONAL = 37


class ProtocolId(IntEnum):
    """Whose SPI this is, RFC 7296 section 3.3.1; NONE where a notification concerns no SA (section 3.10)."""

    NONE = 0
    IKE = 1
    AH = 2
    ESP = 3


def known(kind: type[_Number], number: int) -> _Number | int:
    """Give the member of `kind` with this number, or the number itself."""
    try:
        return kind(number)
    except ValueError:
        return number
