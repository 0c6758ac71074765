"""Policies of every shape, good and bad, that both data planes are asked to take."""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network

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
from culvert.wire.netlink.structures import IdWire, SelectorWire
from tests.differential.conversation import ANSWERED, Request
from tests.differential.messages import (
    FAR,
    FAR6,
    FIRST_ASKED_INDEX,
    LIVES,
    NEAR,
    NEAR6,
    ONE,
    ONE6,
    SPI,
    TRANSPORT,
    TUNNEL,
    V4,
    V6,
    WEB,
)
from tests.differential.suites import AH, ESP

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
        PolicyCase("an index", replace(OUT, index=FIRST_ASKED_INDEX + 1)),
        PolicyCase("an index of another direction", replace(OUT, index=FIRST_ASKED_INDEX + 2)),
        PolicyCase("an index of our own", replace(OUT, index=0x40000001)),
        PolicyCase("direction 3", replace(OUT, direction=3)),
        PolicyCase("action 2", replace(OUT, action=2)),
    ]


POLICY_CASES = (*_directions(), *_selectors(), *_templates(), *_rest())
