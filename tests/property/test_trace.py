"""The line of a bad message, in any state and with every topic on: never raised over, one line, bounded, no secret."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from culvert.addresses import SocketAddress
from culvert.clock import SECOND
from culvert.control.log_lines import text_of
from culvert.entropy import SeededEntropy
from culvert.ike.actions import Action, Log
from culvert.ike.events import Connect, DatagramReceived, DebugSet, RekeyRequested
from culvert.ike.logs import ERROR, IKE
from culvert.ike.v2 import keys, rendering
from culvert.ike.v2.sealing import seal_within
from culvert.limits import MAX_LOG_LINE_CHARACTERS
from culvert.sim.pair import SECRET, Pair
from culvert.sim.world import Node
from culvert.wire.isakmp.errors import ParseError
from culvert.wire.isakmp.message import parse_payloads
from culvert.wire.isakmp.notify import NotifyType
from culvert.wire.isakmp.numbers import ExchangeType, PayloadType
from culvert.wire.isakmp.payload import Unknown

QUICK = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
KINDS = st.one_of(st.sampled_from([int(one) for one in PayloadType if one]), st.integers(1, 255))
ON = DebugSet(frozenset({IKE}))


def _chain(payloads: list[tuple[int, bytes]]) -> tuple[int, bytes]:
    """Write payloads one behind the other; their bodies are anything."""
    octets = b""
    for at, (_, body) in enumerate(payloads):
        following = payloads[at + 1][0] if at + 1 < len(payloads) else 0
        octets += bytes((following, 0)) + (len(body) + 4).to_bytes(2, "big") + body
    return (payloads[0][0] if payloads else 0), octets


def _judge(actions: list[Action]) -> None:
    for one in actions:
        if isinstance(one, Log):
            assert one.level < ERROR, one
            texts = (one.message, *(word for pair in one.fields for word in pair))
            assert all(text.isprintable() and len(text) <= MAX_LOG_LINE_CHARACTERS for text in texts), one
            shown = text_of({"time": "", "level": "debug", "message": one.message, **dict(one.fields)})
            assert shown.isprintable()


@QUICK
@given(payloads=st.lists(st.tuples(KINDS, st.binary(max_size=200)), max_size=6))
def test_whatever_can_be_parsed_can_be_told(payloads: list[tuple[int, bytes]]) -> None:
    try:
        parsed = parse_payloads(*_chain(payloads))
    except ParseError:
        return
    lines = rendering.lines(parsed)
    assert 1 <= len(lines) <= rendering.MAX_LINES + 1


@QUICK
@given(kind=st.one_of(st.sampled_from([int(one) for one in NotifyType]), st.integers(0, 65_535)), data=st.binary())
def test_whatever_is_notified_can_be_told(kind: int, data: bytes) -> None:
    body = bytes((0, 0)) + kind.to_bytes(2, "big") + data
    (line,) = rendering.lines(parse_payloads(*_chain([(PayloadType.NOTIFY, body)])))
    assert line.startswith("NOTIFY ")
    assert len(line) < MAX_LOG_LINE_CHARACTERS


@QUICK
@given(data=st.binary(max_size=400), milliseconds=st.integers(0, 80))
def test_any_octets_at_any_time(data: bytes, milliseconds: int) -> None:
    pair = _at(milliseconds)
    for node, other in ((pair.east, pair.west), (pair.west, pair.east)):
        _judge(_receive(node, other, data))


def _at(milliseconds: int) -> Pair:
    """Give two ends so long after one began to call the other."""
    pair = Pair().configure()
    for name in ("west", "east"):
        pair.tell(name, ON, 0)
    pair.world.at(pair.world.now, "west", Connect("east"))
    pair.world.run(pair.world.now + milliseconds * SECOND // 1_000)
    return pair


def _receive(node: Node, other: Node, data: bytes) -> list[Action]:
    ends = SocketAddress(node.address, 4500), SocketAddress(other.address, 4500)
    return node.endpoint.step(DatagramReceived(*ends, data), node.endpoint._ctx.now)


@QUICK
@given(
    payloads=st.lists(st.tuples(KINDS, st.binary(max_size=120)), max_size=5),
    exchange=st.sampled_from([ExchangeType.IKE_AUTH, ExchangeType.CREATE_CHILD_SA, ExchangeType.INFORMATIONAL, 99]),
    response=st.booleans(),
)
def test_whatever_an_authenticated_peer_writes(
    payloads: list[tuple[int, bytes]], exchange: ExchangeType | int, response: bool
) -> None:
    pair = _at(1_000)
    sa = next(iter(pair.west.endpoint._ctx.sas.values()))
    message_id = sa.window.expected if response else sa.window.next_request
    if response:
        pair.east.endpoint.step(RekeyRequested("west"), pair.world.now)
    chain = tuple(Unknown(kind, False, body) for kind, body in payloads if kind not in (46, 53))
    for data in seal_within(
        sa, SeededEntropy(3), exchange, chain, message_id=message_id, response=response, room=10_000
    ):
        _judge(_receive(pair.east, pair.west, data))


# What is never told


def _secrets(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Give the list into which all that is derived from now on goes, and what it is derived from."""
    found: list[bytes] = [SECRET]
    for name in ("derive_ike_keys", "derive_child_keys"):
        monkeypatch.setattr(keys, name, _listening(getattr(keys, name), found))
    return found


def _listening(real: Callable[..., Any], found: list[bytes]) -> Callable[..., Any]:
    def derived(*arguments: Any, **more: Any) -> Any:
        made = real(*arguments, **more)
        found.extend(getattr(made, field) for field in made.__slots__)
        found.append(more.get("shared", b""))
        return made

    return derived


def test_no_key_of_a_life_is_in_what_is_told_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    found = _secrets(monkeypatch)
    pair = _at(0)
    pair.wait(2)
    pair.tell("west", RekeyRequested("east"))
    pair.tell("east", RekeyRequested("west", ike=True), 5)
    said = "\n".join(pair.world.trace)
    assert "KE x25519" in said
    secrets = [one for one in found if len(one) >= 8]
    assert len(secrets) > 20
    for secret in secrets:
        forms = (secret.hex(), secret.hex().upper(), repr(secret)[2:-1], b64encode(secret).decode())
        assert not any(form in said for form in forms), secret.hex()
