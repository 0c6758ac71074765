"""Numbers of XFRM's messages and attributes (`linux/xfrm.h`) and of our own family (engine-protocol.md)."""

from __future__ import annotations

from enum import IntEnum, IntFlag


class Xfrm(IntEnum):
    """XFRM_MSG_*: what the kernel and the engine both understand."""

    NEWSA = 0x10
    DELSA = 0x11
    GETSA = 0x12
    NEWPOLICY = 0x13
    DELPOLICY = 0x14
    GETPOLICY = 0x15
    ALLOCSPI = 0x16
    ACQUIRE = 0x17
    EXPIRE = 0x18
    UPDPOLICY = 0x19
    UPDSA = 0x1A
    POLEXPIRE = 0x1B
    FLUSHSA = 0x1C
    FLUSHPOLICY = 0x1D
    NEWAE = 0x1E
    GETAE = 0x1F
    MIGRATE = 0x21
    NEWSADINFO = 0x22
    GETSADINFO = 0x23
    NEWSPDINFO = 0x24
    GETSPDINFO = 0x25
    MAPPING = 0x26


class XfrmAttribute(IntEnum):
    """XFRMA_*, and those of ours from 0x4001, which the kernel must never see: it would read them as others."""

    ALG_AUTH = 1
    ALG_CRYPT = 2
    ALG_COMP = 3
    ENCAP = 4
    TMPL = 5
    SA = 6
    LTIME_VAL = 9
    REPLAY_VAL = 10
    LASTUSED = 15
    POLICY_TYPE = 16
    MIGRATE = 17
    ALG_AEAD = 18
    ALG_AUTH_TRUNC = 20
    TFCPAD = 22
    REPLAY_ESN_VAL = 23
    SA_EXTRA_FLAGS = 24
    PAD = 27
    SA_DIR = 33
    SELECTORS = 0x4001
    DROPS = 0x4002
    MODE_ANY = 0x4003
    LEGACY = 0x4004
    TEMPLATE = 0x4005


class SadAttribute(IntEnum):
    """XFRMA_SAD_*."""

    CNT = 1
    HINFO = 2


class SpdAttribute(IntEnum):
    """XFRMA_SPD_*."""

    INFO = 1
    HINFO = 2


class Own(IntEnum):
    """Messages of our own family."""

    SUBSCRIBE = 0x400
    BARRIER = 0x401
    OVERRUN = 0x402
    BATCH_BEGIN = 0x403
    BATCH_COMMIT = 0x404
    BATCH_ABORT = 0x405
    IKE_SEND = 0x410
    IKE_RECEIVED = 0x411
    GETCOUNTERS = 0x420
    GETINFO = 0x421
    BLOB_PUT = 0x430
    BLOB_DELETE = 0x431
    BLOB_GET = 0x432
    BLOB_PART = 0x433
    SHUTDOWN = 0x440
    GIF_SET = 0x450
    GIF_DELETE = 0x451
    GIF_GET = 0x452
    PATH_MTU = 0x453
    GETPATHMTU = 0x454
    UNKNOWN_SPI = 0x455
    DROPPED = 0x457
    SILENCE = 0x456


class OwnAttribute(IntEnum):
    """Attributes of our own family."""

    GROUPS = 1
    LOCAL = 2
    REMOTE = 3
    DATA = 4
    COUNTERS = 5
    VERSION = 6
    PID = 7
    TUN_NAME = 8
    MARK = 9
    FEATURES = 10
    KEY = 11
    NAME = 12
    FLAGS = 13
    MTU = 14
    SPI = 15
    PROTOCOL = 16
    REASON = 18
    SOURCE = 19
    DESTINATION = 20
    OCTETS = 21
    SA = 17


class Groups(IntFlag):
    """What a subscriber of the engine is told. The first four are the kernel's groups 1 to 4 as bits."""

    ACQUIRE = 1
    EXPIRE = 2
    ASSOCIATIONS = 4
    POLICIES = 8
    IKE = 16
    MAPPING = 32
    MIGRATE = 64
    PATH_MTU = 128
    UNKNOWN_SPI = 256
    DROPPED = 1024
    SILENCE = 512


NO_GROUPS = Groups(0)
HINTS = Groups.UNKNOWN_SPI | Groups.SILENCE | Groups.DROPPED
"""What shortens a wait or explains, and without which everything works."""


def kernel_groups(groups: Groups) -> int:
    """Give the same groups as bits of the kernel's (XFRMNLGRP_*): MIGRATE is 7, MAPPING 8; the last have no twin."""
    same = groups & (Groups.ACQUIRE | Groups.EXPIRE | Groups.ASSOCIATIONS | Groups.POLICIES)
    return same | (1 << 6) * bool(groups & Groups.MIGRATE) | (1 << 7) * bool(groups & Groups.MAPPING)


PADDING = frozenset({int(XfrmAttribute.PAD)})
"""The kernel aligns 64-bit values with these."""
