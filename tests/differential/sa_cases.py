"""Associations of every shape, good and bad, that both data planes are asked to take."""

from __future__ import annotations

from dataclasses import dataclass, replace

from culvert.wire.netlink.algorithms import Algorithm
from culvert.wire.netlink.numbers import Xfrm
from culvert.wire.netlink.sa import EncapsulationWire, ReplayWire, SaWire, emit_sa, emit_sa_id
from culvert.wire.netlink.structures import IdWire
from tests.differential.conversation import ANSWERED, Request
from tests.differential.messages import (
    AF_UNSPEC,
    DECAP_DSCP,
    DONT_ENCAP_DSCP,
    ESN,
    EXTRA_FLAGS,
    LIVES,
    NO_PMTU_DISCOVERY,
    NOECN,
    ONE,
    ONE6,
    SPI,
    TFCPAD,
    TRANSPORT,
    TUNNEL,
    V4,
    WEB,
    association,
    new,
    u32,
)
from tests.differential.suites import AH, SUITES, octets


@dataclass(frozen=True, slots=True)
class SaCase:
    """One association to add and to read again."""

    name: str
    body: bytes
    id: IdWire

    @property
    def requests(self) -> list[Request]:
        """Added, read, taken away."""
        identity = emit_sa_id(self.id)
        return [Request(Xfrm.NEWSA, self.body), Request(Xfrm.GETSA, identity, ANSWERED), Request(Xfrm.DELSA, identity)]


def case(name: str, sa: SaWire, *extra: tuple[int, bytes]) -> SaCase:
    """Name an association."""
    return SaCase(name, new(sa, *extra), sa.id)


GCM, NULL, AH_SHA = SUITES["aes128gcm16"], SUITES["null-sha256"], SUITES["ah-sha256"]


def _suites() -> list[SaCase]:
    return [
        case(f"{suite.name} mode {mode} IPv{version}", association(suite, mode, version))
        for suite in SUITES.values()
        for mode in (TRANSPORT, TUNNEL)
        for version in (4, 6)
    ]


def _windows() -> list[SaCase]:
    cases = [case(f"old window {size}", association(GCM, replay_window=size)) for size in (0, 1, 31, 32)]
    for size in (0, 1, 31, 32, 33, 64, 100, 1024, 4096, 32_768, 65_536):
        wire = ReplayWire(size)
        cases.append(case(f"window {size}", association(GCM, replay=wire)))
        cases.append(case(f"window {size} ESN", association(GCM, replay=wire, flags=ESN)))
    cases.append(case("ESN without a window", association(GCM, flags=ESN)))
    cases.append(case("ESN with AH", association(AH_SHA, replay=ReplayWire(64), flags=ESN)))
    return cases


def _shapes() -> list[SaCase]:
    encapsulation = EncapsulationWire(4500, 40000)
    return [
        case("lifetimes", association(GCM, lifetime=LIVES)),
        case("encapsulation", association(GCM, encapsulation=encapsulation)),
        case("encapsulation of transport", association(GCM, TRANSPORT, encapsulation=encapsulation)),
        case("encapsulation IPv6", association(GCM, TUNNEL, 6, encapsulation=encapsulation)),
        case("encapsulation of another type", association(GCM, encapsulation=replace(encapsulation, type=9))),
        case("a selector", association(GCM, selector=ONE)),
        case("a selector of one port", association(GCM, selector=WEB)),
        case("4 in 6", association(GCM, TUNNEL, 6, selector=ONE)),
        case("6 in 4", association(GCM, TUNNEL, 4, selector=ONE6)),
        case("both families in 4", association(GCM, flags=AF_UNSPEC)),
        case("transport of the other family", association(GCM, TRANSPORT, 6, selector=ONE)),
        case("noecn", association(GCM, flags=NOECN)),
        case("decap-dscp", association(GCM, flags=DECAP_DSCP)),
        case("nopmtudisc", association(GCM, flags=NO_PMTU_DISCOVERY)),
        case("dont-encap-dscp", association(GCM), (EXTRA_FLAGS, u32(DONT_ENCAP_DSCP))),
        case("TFC padding", association(GCM), (TFCPAD, u32(800))),
        case("TFC padding of transport", association(GCM, TRANSPORT), (TFCPAD, u32(800))),
        case("TFC padding of AH", association(AH_SHA), (TFCPAD, u32(800))),
        case("reqid 0", association(GCM, reqid=0)),
        case("the largest reqid", association(GCM, reqid=2**31 - 1)),
        case("a reqid beyond the signed half", association(GCM, reqid=2**32 - 1)),
        case("the largest SPI", association(GCM, spi=2**32 - 1)),
        case("the smallest SPI", association(GCM, spi=256)),
        case("a reserved SPI", association(GCM, spi=255)),
        case("SPI 0", association(GCM, spi=0)),
    ]


def _wrong() -> list[SaCase]:
    bare = replace(association(GCM), aead=None)
    key = octets(36)
    return [
        case("no algorithm", bare),
        case("AH without an algorithm", replace(association(AH_SHA), auth_truncated=None)),
        case("AH with a cipher", replace(association(GCM), id=IdWire(V4[1], SPI, AH))),
        case("AH and AEAD", replace(association(AH_SHA), aead=association(GCM).aead)),
        case("ESP with integrity only", replace(association(NULL), crypt=None)),
        case("a cipher and an AEAD", replace(association(GCM), crypt=Algorithm("cbc(aes)", key[:16]))),
        case("an AEAD and integrity", replace(association(GCM), auth_truncated=association(NULL).auth_truncated)),
        case("a cipher without integrity", replace(bare, crypt=Algorithm("cbc(aes)", key[:16]))),
        case("an unknown cipher", replace(bare, crypt=Algorithm("cbc(enigma)", key[:16]))),
        case("an unknown AEAD", replace(bare, aead=Algorithm("rfc9999(gcm(aes))", key[:20], 128))),
        case("a short key", replace(bare, aead=Algorithm("rfc4106(gcm(aes))", key[:19], 128))),
        case("a long key", replace(bare, aead=Algorithm("rfc4106(gcm(aes))", key[:21], 128))),
        case("an ICV that is not", replace(bare, aead=Algorithm("rfc4106(gcm(aes))", key[:20], 112))),
        case("a short HMAC key", replace(association(NULL), auth_truncated=Algorithm("hmac(sha256)", key[:16], 128))),
        case(
            "an ICV longer than the hash",
            replace(association(NULL), auth_truncated=Algorithm("hmac(sha256)", key[:32], 264)),
        ),
        case("HMAC-SHA1 cut short", replace(association(NULL), auth_truncated=Algorithm("hmac(sha1)", key[:20], 64))),
        case("HMAC-SHA1 in full", replace(association(NULL), auth_truncated=Algorithm("hmac(sha1)", key[:20], 160))),
        case(
            "integrity without a length",
            replace(association(NULL), auth_truncated=None, auth=Algorithm("hmac(sha1)", key[:20])),
        ),
        case("DES", replace(association(NULL), crypt=Algorithm("cbc(des)", key[:8]))),
        case("RIPEMD-160", replace(association(NULL), auth_truncated=Algorithm("hmac(rmd160)", key[:20], 96))),
        case("IPComp", replace(association(GCM), id=IdWire(V4[1], SPI, 108))),
        case("no protocol of IPsec", replace(association(GCM), id=IdWire(V4[1], SPI, 17))),
        case("mode 2, route optimisation", association(GCM, 2)),
        case("mode 4, BEET", association(GCM, 4)),
        case("mode 9", association(GCM, 9)),
        case("sequence numbers begun", association(GCM, replay=ReplayWire(64, 5, 9))),
        SaCase("a structure cut short", emit_sa(association(GCM))[:200], association(GCM).id),
    ]


SA_CASES = (*_suites(), *_windows(), *_shapes(), *_wrong())
