"""What a data plane said, as values that can be compared field by field, without what must differ (times)."""

from __future__ import annotations

import errno
from dataclasses import fields, replace
from typing import Any

from culvert.wire.netlink.framing import parse_attributes
from culvert.wire.netlink.numbers import PADDING, Xfrm
from culvert.wire.netlink.policy import parse_policy
from culvert.wire.netlink.sa import SA_OCTETS, SaWire, parse_sa
from culvert.wire.netlink.structures import CurrentWire
from tests.differential.conversation import Reply, Request
from tests.differential.messages import FIRST_ASKED_INDEX

FURTHER = {22: "tfc_padding", 24: "extra_flags"}
"""Attributes that are compared as octets."""

OWN = ("direction", "drops", "legacy", "mode_any", "selectors")
"""Fields that the kernel has no attribute for."""


def outcome(reply: Reply) -> str:
    """Give the errno's name."""
    return errno.errorcode.get(reply.errno, str(reply.errno)) if reply.errno else "done"


def association_fields(body: bytes) -> dict[str, Any]:
    """Read an association of an answer or dump as fields."""
    sa = parse_sa(body)
    values = {field.name: getattr(sa, field.name) for field in fields(SaWire) if field.name not in OWN}
    for algorithm in ("aead", "crypt", "auth", "auth_truncated"):
        value = values[algorithm]
        values[algorithm] = value and (value.name, value.key.hex(), value.icv_bits)
    values["current"] = (sa.current.octets, sa.current.packets)
    values |= window_fields(sa)
    attributes = parse_attributes(body[SA_OCTETS:], PADDING)
    return values | {name: attributes.get(number, b"").hex() for number, name in FURTHER.items()}


def window_fields(sa: SaWire) -> dict[str, Any]:
    """Give what is said of the window in any of three places: a field, the older attribute, the newer one."""
    state = sa.replay or sa.plain_replay
    numbers = {"sent": state.sequence_out, "received": state.sequence_in} if state else {"sent": 0, "received": 0}
    window = sa.replay.window_packets if sa.replay else sa.replay_window
    return numbers | {"window": window, "replay": None, "plain_replay": None, "replay_window": None}


def policy_fields(body: bytes) -> dict[str, Any]:
    """Read a policy of an answer or dump as fields."""
    policy = parse_policy(body)
    index = policy.index if policy.index >= FIRST_ASKED_INDEX else policy.index % 8
    policy = replace(policy, current=CurrentWire(), index=index)
    return {field.name: getattr(policy, field.name) for field in fields(policy)}


def read(request: Request, body: bytes) -> dict[str, Any]:
    """Read whatever the request was answered with."""
    return policy_fields(body) if request.kind == Xfrm.GETPOLICY else association_fields(body)


def differences(request: Request, ours: Reply, theirs: Reply) -> dict[str, tuple[Any, Any]]:
    """Name every field in which the engine's reply (first) and the kernel's differ."""
    if outcome(ours) != outcome(theirs):
        return {"errno": (outcome(ours), outcome(theirs))}
    if len(ours.bodies) != len(theirs.bodies):
        return {"count": (len(ours.bodies), len(theirs.bodies))}
    found: dict[str, tuple[Any, Any]] = {}
    both = (sorted((read(request, body) for body in reply.bodies), key=str) for reply in (ours, theirs))
    for one, other in zip(*both, strict=True):
        found |= {name: (one[name], other[name]) for name in one if one[name] != other[name]}
    return found
