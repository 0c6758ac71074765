"""Several messages in order, whose replies and the tables at their end are compared."""

from __future__ import annotations

from dataclasses import dataclass, replace

from culvert.wire.netlink.numbers import Xfrm
from culvert.wire.netlink.policy import (
    POLICY_FORWARD,
    POLICY_IN,
    POLICY_OUT,
    PolicyIdWire,
    PolicyWire,
    emit_policy,
    emit_policy_id,
)
from culvert.wire.netlink.sa import EncapsulationWire, SaWire, emit_sa_id, emit_spi_request
from culvert.wire.netlink.structures import IdWire
from tests.differential.conversation import ANSWERED, DUMPED, Request
from tests.differential.messages import FIRST_ASKED_INDEX, LIVES, ONE, SPI, TRANSPORT, TUNNEL, V4, WEB, association, new
from tests.differential.policy_cases import OUT, template
from tests.differential.sa_cases import AH_SHA, GCM
from tests.differential.suites import AH, ESP


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


NO_POLICY = Request(Xfrm.DELPOLICY, POLICY_ID)
INDEXED = replace(OUT, index=FIRST_ASKED_INDEX + 1)
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
    Story("a policy taken away twice", (_policy(), NO_POLICY, NO_POLICY)),
    Story("no policy to read", (Request(Xfrm.GETPOLICY, POLICY_ID, ANSWERED),)),
    Story("by index", (
        _policy(INDEXED),
        Request(Xfrm.GETPOLICY, _by_index(INDEXED.index), ANSWERED),
        Request(Xfrm.DELPOLICY, _by_index(INDEXED.index)),
        Request(Xfrm.DELPOLICY, _by_index(INDEXED.index)),
    )),
    Story("an index taken twice", (_policy(INDEXED), _policy(replace(INDEXED, selector=WEB)))),
    Story("by an index and another direction", (
        _policy(INDEXED),
        Request(Xfrm.DELPOLICY, _by_index(INDEXED.index, POLICY_FORWARD)),
    )),
    Story("flush of policies", (_policy(), _policy(replace(OUT, direction=POLICY_IN)), Request(Xfrm.FLUSHPOLICY))),
    Story("flush of no policies", (Request(Xfrm.FLUSHPOLICY),)),
    Story("a message that is none", (Request(0x3F),)),
)  # fmt: skip
TABLES = (Request(Xfrm.GETSA, b"", DUMPED), Request(Xfrm.GETPOLICY, b"", DUMPED))
CLEAN = (flush(255), Request(Xfrm.FLUSHPOLICY))
