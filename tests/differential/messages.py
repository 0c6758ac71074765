"""Associations and policies of every shape, as messages: what both data planes are asked to take."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network

from culvert.wire.netlink.algorithms import Algorithm
from culvert.wire.netlink.framing import emit_attribute
from culvert.wire.netlink.numbers import Xfrm
from culvert.wire.netlink.policy import (
    BLOCK,
    POLICY_FORWARD,
    POLICY_IN,
    POLICY_OUT,
    PolicyIdWire,
    PolicyWire,
    TemplateWire,
    emit_policy,
    emit_policy_id,
)
from culvert.wire.netlink.sa import EncapsulationWire, ReplayWire, SaWire, emit_sa, emit_sa_id, emit_spi_request
from culvert.wire.netlink.structures import IdWire, LifetimeWire, SelectorWire
from tests.differential.conversation import ANSWERED, DUMPED, Request
from tests.differential.suites import AH, ESP, SUITES, Suite, octets

TRANSPORT, TUNNEL = 0, 1
V4 = (ip_address("203.0.113.1"), ip_address("203.0.113.2"))
V6 = (ip_address("2001:db8:99::1"), ip_address("2001:db8:99::2"))
NEAR, FAR = ip_network("192.168.1.0/24"), ip_network("192.168.2.0/24")
NEAR6, FAR6 = ip_network("2001:db8:1::/64"), ip_network("2001:db8:2::/64")
NOECN, DECAP_DSCP, NO_PMTU_DISCOVERY, AF_UNSPEC, ESN = 1, 2, 4, 32, 128
TFCPAD, EXTRA_FLAGS, LEGACY = 22, 24, 0x4004
DONT_ENCAP_DSCP = 1
SPI = 0x10001


def association(suite: Suite, mode: int = TUNNEL, version: int = 4, spi: int = SPI, **fields: object) -> SaWire:
    """Give an association from .1 to .2."""
    source, destination = V4 if version == 4 else V6
    base = SaWire(IdWire(destination, spi, suite.protocol), source, 7, mode, **suite.attributes())
    return replace(base, **fields)  # type: ignore[arg-type]


def new(sa: SaWire, *extra: tuple[int, bytes]) -> bytes:
    """Give NEWSA's body with further attributes."""
    return emit_sa(sa) + b"".join(emit_attribute(kind, value) for kind, value in extra)


def for_engine(request: Request) -> Request:
    """Allow legacy algorithms, which the engine wants to be told and the kernel has no attribute for."""
    if request.kind not in (Xfrm.NEWSA, Xfrm.UPDSA):
        return request
    return replace(request, body=request.body + emit_attribute(LEGACY, b""))


def u32(value: int) -> bytes:
    """Give an attribute's number."""
    return struct.pack("=I", value)


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
ONE = SelectorWire(NEAR, FAR)
ONE6 = SelectorWire(NEAR6, FAR6)
WEB = SelectorWire(NEAR, FAR, 6, (0, 0), (443, 0xFFFF))
LIVES = LifetimeWire(1000, 2000, 10, 20, 60, 120, 30, 40)


def _suites() -> list[SaCase]:
    return [
        case(f"{suite.name} mode {mode} IPv{version}", association(suite, mode, version))
        for suite in SUITES.values()
        for mode in (TRANSPORT, TUNNEL)
        for version in (4, 6)
    ]


def _windows() -> list[SaCase]:
    cases = [case(f"old window {size}", association(GCM, replay_window=size)) for size in (0, 1, 31, 32)]
    for size in (0, 1, 31, 32, 33, 64, 100, 1024, 4096):
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

OUT = PolicyWire(ONE, POLICY_OUT, priority=100, templates=(TemplateWire(IdWire(V4[1], 0, ESP), V4[0], 7, TUNNEL),))
ANY = IdWire(ip_address("0.0.0.0"), 0, ESP)  # noqa: S104 - stands for any
ANY_SOURCE = ANY.destination


def template(protocol: int = ESP, mode: int = TUNNEL, version: int = 4, **fields: object) -> TemplateWire:
    """Give a template from .1 to .2; transport names nobody."""
    source, destination = (V4 if version == 4 else V6) if mode == TUNNEL else (ANY_SOURCE, ANY_SOURCE)
    return replace(TemplateWire(IdWire(destination, 0, protocol), source, 7, mode), **fields)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class PolicyCase:
    """One policy to add and to read again."""

    name: str
    policy: PolicyWire

    @property
    def requests(self) -> list[Request]:
        """Added, read by selector, taken away."""
        identity = emit_policy_id(PolicyIdWire(self.policy.selector, self.policy.direction))
        return [
            Request(Xfrm.NEWPOLICY, emit_policy(self.policy)),
            Request(Xfrm.GETPOLICY, identity, ANSWERED),
            Request(Xfrm.DELPOLICY, identity),
        ]


def _directions() -> list[PolicyCase]:
    names = {POLICY_IN: "in", POLICY_OUT: "out", POLICY_FORWARD: "fwd"}
    cases = [PolicyCase(f"protect {name}", replace(OUT, direction=number)) for number, name in names.items()]
    cases += [PolicyCase(f"none {n}", replace(OUT, direction=number, templates=())) for number, n in names.items()]
    blocked = replace(OUT, action=BLOCK, templates=())
    return cases + [PolicyCase(f"discard {n}", replace(blocked, direction=number)) for number, n in names.items()]


def _selectors() -> list[PolicyCase]:
    everything, everything6 = ip_network("0.0.0.0/0"), ip_network("::/0")
    selectors = {
        "everything": SelectorWire(everything, everything),
        "everything IPv6": SelectorWire(everything6, everything6),
        "IPv6": ONE6,
        "one host": SelectorWire(ip_network("192.0.2.1/32"), FAR),
        "TCP": SelectorWire(NEAR, FAR, 6),
        "a port": WEB,
        "a range of ports": SelectorWire(NEAR, FAR, 17, (1024, 0xFC00), (0, 0)),
        "ICMP echo": SelectorWire(NEAR, FAR, 1, (8, 0xFFFF), (0, 0)),
        "ICMP unreachable, port": SelectorWire(NEAR, FAR, 1, (3, 0xFFFF), (3, 0xFFFF)),
        "ICMPv6": SelectorWire(NEAR6, FAR6, 58, (135, 0xFFFF), (0, 0xFFFF)),
        "protocol 4": SelectorWire(ip_network("203.0.113.1/32"), ip_network("203.0.113.2/32"), 4),
        "ports without a protocol": SelectorWire(NEAR, FAR, 0, (53, 0xFFFF), (53, 0xFFFF)),
        "bound to an interface": SelectorWire(NEAR, FAR, interface_index=1),
        "bound to a user": SelectorWire(NEAR, FAR, user=1000),
    }
    return [PolicyCase(f"selector: {name}", replace(OUT, selector=one)) for name, one in selectors.items()]


def _templates() -> list[PolicyCase]:
    lists = {
        "AH in transport": [template(AH, TRANSPORT)],
        "ESP in transport": [template(ESP, TRANSPORT)],
        "ESP then AH in transport": [template(ESP, TRANSPORT), template(AH, TRANSPORT)],
        "ESP tunnel then AH transport": [template(), template(AH, TRANSPORT)],
        "ESP transport then ESP tunnel": [template(ESP, TRANSPORT), template()],
        "optional": [template(optional=1)],
        "ESP then optional AH": [template(), template(AH, TRANSPORT, optional=1)],
        "an SPI": [template(id=IdWire(V4[1], SPI, ESP))],
        "reqid 0": [template(reqid=0)],
        "six": [template(ESP, TRANSPORT)] * 5 + [template()],
        "seven": [template(ESP, TRANSPORT)] * 6 + [template()],
        "tunnel without ends": [template(id=ANY, source=ANY_SOURCE)],
        "4 in 6": [template(version=6)],
        "IPComp": [template(108, TRANSPORT)],
        "no protocol of IPsec": [template(17)],
        "any protocol of IPsec": [template(255)],
        "mode 4, BEET": [replace(template(), mode=4)],
        "mode 9": [replace(template(), mode=9)],
        "some algorithms": [template(algorithms=(2**32 - 1, 1 << 3, 1 << 12))],
        "share": [template(share=2)],
        "one of another family in transport": [
            replace(template(ESP, TRANSPORT), id=IdWire(V6[1], 0, ESP), source=V6[0])
        ],
    }
    return [PolicyCase(f"templates: {name}", replace(OUT, templates=tuple(each))) for name, each in lists.items()]


def _rest() -> list[PolicyCase]:
    return [
        PolicyCase("priority 0", replace(OUT, priority=0)),
        PolicyCase("the largest priority", replace(OUT, priority=2**32 - 1)),
        PolicyCase("lifetimes", replace(OUT, lifetime=LIVES)),
        PolicyCase("flags", replace(OUT, flags=3)),
        PolicyCase("share", replace(OUT, share=3)),
        PolicyCase("discard with a template", replace(OUT, action=BLOCK)),
        PolicyCase("an index", replace(OUT, index=8 * 0x100 + 1)),
        PolicyCase("an index of another direction", replace(OUT, index=8 * 0x100 + 2)),
        PolicyCase("an index of our own", replace(OUT, index=0x40000001)),
        PolicyCase("direction 3", replace(OUT, direction=3)),
        PolicyCase("action 2", replace(OUT, action=2)),
    ]


POLICY_CASES = (*_directions(), *_selectors(), *_templates(), *_rest())


@dataclass(frozen=True, slots=True)
class Story:
    """Several messages in order, of which the replies are compared, and at the end both tables."""

    name: str
    requests: tuple[Request, ...]


SA = association(GCM)
TRANSPORT_POLICY = replace(OUT, templates=(template(ESP, TRANSPORT),))
SA_ID, POLICY_ID = emit_sa_id(SA.id), emit_policy_id(PolicyIdWire(ONE, POLICY_OUT))
LARVAL = SaWire(IdWire(V4[1], 0, ESP), V4[0], 7, TUNNEL)
OTHER_SA = emit_sa_id(IdWire(V4[1], 0x20002, ESP))


def _add(sa: SaWire = SA) -> Request:
    return Request(Xfrm.NEWSA, new(sa))


def _policy(policy: PolicyWire = OUT, kind: int = Xfrm.NEWPOLICY) -> Request:
    return Request(kind, emit_policy(policy))


def _by_index(index: int, direction: int = POLICY_OUT) -> bytes:
    return emit_policy_id(PolicyIdWire(None, direction, index))


def flush(protocol: int) -> Request:
    """Take the associations of a protocol away; 0 and 255 are all."""
    return Request(Xfrm.FLUSHSA, bytes([protocol]))


INDEXED = replace(OUT, index=8 * 0x100 + 1)
STORIES = (
    Story("an association twice", (_add(), _add())),
    Story("one SPI, two protocols", (_add(), _add(association(AH_SHA)))),
    Story("one SPI, two destinations", (_add(), _add(association(GCM, TUNNEL, 6)))),
    Story("update of none", (Request(Xfrm.UPDSA, new(SA)),)),
    Story("update of lifetimes", (_add(), Request(Xfrm.UPDSA, new(replace(SA, lifetime=LIVES))))),
    Story(
        "update of encapsulation",
        (
            _add(replace(SA, encapsulation=EncapsulationWire(4500, 4500))),
            Request(Xfrm.UPDSA, new(replace(SA, encapsulation=EncapsulationWire(4500, 5000)))),
        ),
    ),
    Story("taken away twice", (_add(), Request(Xfrm.DELSA, SA_ID), Request(Xfrm.DELSA, SA_ID))),
    Story("none to read", (Request(Xfrm.GETSA, OTHER_SA, ANSWERED),)),
    Story("none to delete", (Request(Xfrm.DELSA, OTHER_SA),)),
    Story("flush of ESP leaves AH", (_add(), _add(association(AH_SHA, spi=0x30003)), flush(ESP))),
    Story("flush of AH leaves ESP", (_add(), _add(association(AH_SHA, spi=0x30003)), flush(AH))),
    Story("flush of all", (_add(), _add(association(AH_SHA, spi=0x30003)), flush(255))),
    Story("flush of 0", (_add(), _add(association(AH_SHA, spi=0x30003)), flush(0))),
    Story("flush of another protocol", (_add(), flush(17))),
    Story("flush of nothing", (flush(255),)),
    Story("an SPI held and completed", (
        Request(Xfrm.ALLOCSPI, emit_spi_request(LARVAL, SPI, SPI), ANSWERED),
        Request(Xfrm.UPDSA, new(SA)),
        Request(Xfrm.UPDSA, new(SA)),
    )),
    Story("an SPI held and added", (Request(Xfrm.ALLOCSPI, emit_spi_request(LARVAL, SPI, SPI), ANSWERED), _add())),
    Story("an SPI held", (Request(Xfrm.ALLOCSPI, emit_spi_request(LARVAL, SPI, SPI), ANSWERED),)),
    Story("an SPI that is taken", (_add(), Request(Xfrm.ALLOCSPI, emit_spi_request(LARVAL, SPI, SPI), ANSWERED))),
    Story("an SPI of no range", (Request(Xfrm.ALLOCSPI, emit_spi_request(LARVAL, 300, 299), ANSWERED),)),
    Story("a policy twice", (_policy(), _policy())),
    Story("a policy again with another priority", (_policy(), _policy(replace(OUT, priority=5)))),
    Story("a policy again with another selector's mask", (_policy(), _policy(replace(OUT, selector=WEB)))),
    Story("a policy replaced", (_policy(), _policy(replace(TRANSPORT_POLICY, priority=5), Xfrm.UPDPOLICY))),
    Story("a policy made by an update", (_policy(OUT, Xfrm.UPDPOLICY),)),
    Story("a policy taken away twice", (_policy(), Request(Xfrm.DELPOLICY, POLICY_ID), Request(Xfrm.DELPOLICY, POLICY_ID))),
    Story("no policy to read", (Request(Xfrm.GETPOLICY, POLICY_ID, ANSWERED),)),
    Story("by index", (
        _policy(INDEXED),
        Request(Xfrm.GETPOLICY, _by_index(INDEXED.index), ANSWERED),
        Request(Xfrm.DELPOLICY, _by_index(INDEXED.index)),
        Request(Xfrm.DELPOLICY, _by_index(INDEXED.index)),
    )),
    Story("an index taken twice", (_policy(INDEXED), _policy(replace(INDEXED, selector=WEB)))),
    Story("by the index of another direction", (_policy(INDEXED), Request(Xfrm.DELPOLICY, _by_index(INDEXED.index + 1, POLICY_FORWARD)))),
    Story("flush of policies", (_policy(), _policy(replace(OUT, direction=POLICY_IN)), Request(Xfrm.FLUSHPOLICY))),
    Story("flush of no policies", (Request(Xfrm.FLUSHPOLICY),)),
    Story("a message that is none", (Request(0x3F),)),
)  # fmt: skip
TABLES = (Request(Xfrm.GETSA, b"", DUMPED), Request(Xfrm.GETPOLICY, b"", DUMPED))
CLEAN = (flush(255), Request(Xfrm.FLUSHPOLICY))
