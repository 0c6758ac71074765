"""Dialogues: `>>` is something that happens at one end, `<<` what both ends then say and do, in this order and no more.

`>+` happens together with the `>>` that follows it; `==` changes what one end has configured, or with `each` how many
seconds pass after an event, and with `seed`, first of all, what both ends draw. `>> link is away` and `is back`:
everything that is sent is lost meanwhile.
"""

from __future__ import annotations

import random
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from culvert.addresses import SocketAddress
from culvert.config.model import Authentication, EncapsulationChoice, Peer, Start
from culvert.crypto.certificates.store import TrustStore
from culvert.identities import Identity
from culvert.ike import negotiation
from culvert.ike.events import (
    Acquired,
    AssociationExpired,
    Configured,
    Connect,
    DatagramReceived,
    DebugSet,
    Disconnect,
    EngineRestarted,
    Event,
    RekeyRequested,
    Stop,
    UnknownSpi,
)
from culvert.ike.logs import IKE
from culvert.ipsec.associations import Direction, Mode, Protocol
from culvert.ipsec.proposals import ah_proposal, esp_proposal, ike_proposal
from culvert.ipsec.selectors import TrafficSelector, traffic_selector
from culvert.limits import COOKIE_THRESHOLD_PER_SOURCE
from culvert.sim.link import Conditions, Link
from culvert.sim.pair import IKE as IKE_PROPOSALS
from culvert.sim.pair import STEADY, Pair, with_child
from culvert.wire.isakmp.header import NO_SPI
from culvert.wire.isakmp.ke import KeyExchangePayload
from culvert.wire.isakmp.message import Message, emit_message
from culvert.wire.isakmp.nonce import Nonce
from culvert.wire.isakmp.numbers import ExchangeType, ProtocolId
from tests.certified import CREDENTIALS, certified, good, revoking, stranger

LINKS = {"is away": Conditions(loss=1.0), "is back": STEADY}
EACH_S = 6.0
"""How long an event has until the next one: the peer's last packets are taken for five seconds."""
X25519 = 31
OTHER = {"west": "east", "east": "west"}
TRUST = {
    "nobody": lambda _side: TrustStore(()),
    "a stranger": lambda _side: TrustStore((stranger().certificate,)),
    "who revoked it": lambda side: revoking(side, good(side)),
}
"""Whom one end believes, by the other end's name."""
SCRIPTS = sorted((Path(__file__).parent / "scripts").glob("*.txt"))


def _setting(pair: Pair, words: str) -> None:
    """Change what one end has configured before the dialogue begins."""
    side, _, what = words.partition(" ")
    attribute = f"{side}_peer"
    peer = getattr(pair, attribute)
    key, _, value = what.partition("=")
    changed = {
        "secret": lambda: replace(peer, secret=value.encode()),
        "start": lambda: replace(peer, start=Start(value)),
        "networks": lambda: with_child(peer, *value.split(",")),
        "sides": lambda: _between(peer, *value.split(",")),
        "split": lambda: replace(peer, split=value == "true"),
        "mode": lambda: _children(peer, mode=Mode(value)),
        "ah": lambda: _children(peer, protocol=Protocol.AH, proposals=(ah_proposal(value),)),
        "proposals": lambda: replace(peer, proposals=(ike_proposal(value),)),
        "esp": lambda: _children(peer, proposals=(esp_proposal(value),)),
        "encapsulation": lambda: replace(peer, encapsulation=EncapsulationChoice(value)),
        "certificate": lambda: replace(certified(peer, side, OTHER[side]), credential=CREDENTIALS[value](side)),
        "trust": lambda: replace(peer, trust=TRUST[value](OTHER[side])),
        "auth": lambda: replace(peer, auth=Authentication(value)),
        "local_auth": lambda: replace(peer, local_auth=Authentication(value)),
        "presents": lambda: replace(peer, local_identity=Identity.parse(value)),
        "expects": lambda: replace(peer, identity=Identity.parse(value)),
    }[key]()
    setattr(pair, attribute, changed)


def _children(peer: Peer, **changes: Any) -> Peer:
    return replace(peer, children=tuple(replace(one, **changes) for one in peer.children))


def _between(peer: Peer, local: str, remote: str) -> Peer:
    return _children(peer, local=_selectors(local), remote=_selectors(remote))


def _selectors(text: str) -> tuple[TrafficSelector, ...]:
    return tuple(traffic_selector(one) for one in text.split())


def _event(pair: Pair, side: str, words: str) -> Event:
    other = OTHER[side]
    peer = getattr(pair, f"{side}_peer")
    child = peer.children[0]
    events: dict[str, Event] = {
        "configured": Configured((peer,)),
        "without peers": Configured(()),
        "connect": Connect(other),
        "disconnect": Disconnect(other),
        "rekey child": RekeyRequested(other),
        "rekey ike": RekeyRequested(other, ike=True),
        "traffic": Acquired(child.reqid, child.local[0].start, child.remote[0].start),
        "engine restarted": EngineRestarted(),
        "told in detail": DebugSet(frozenset({IKE})),
        "stop": Stop(),
        "unknown packet": UnknownSpi(*_path(pair, side), Protocol.ESP.number, 0xFFFF),
    }
    return _expired(pair, side) if words == "child expired" else events[words]


def _path(pair: Pair, side: str, port: int = 4500) -> tuple[SocketAddress, SocketAddress]:
    """Give the end of one side, and that of the other."""
    ends = (getattr(pair, name).address for name in (side, OTHER[side]))
    local, remote = (SocketAddress(end, port) for end in ends)
    return local, remote


def _expired(pair: Pair, side: str) -> AssociationExpired:
    """The child that a side receives on reached its hard limit."""
    held = getattr(pair, side).plane.associations.values()
    return AssociationExpired(next(one.id for one in held if one.direction is Direction.IN), hard=True)


def _strangers(pair: Pair, side: str) -> list[Event]:
    """Give first messages, as many as an end takes before it asks for cookies. They come from the other's address."""
    ke = KeyExchangePayload(X25519, bytes([9]) + bytes(31))
    payloads = (negotiation.offer(IKE_PROPOSALS, ProtocolId.IKE, b"", key_exchange=True), ke, Nonce(bytes(16)))
    spis = [bytes([number]) * 8 for number in range(1, COOKIE_THRESHOLD_PER_SOURCE + 1)]
    messages = [Message(spi, NO_SPI, ExchangeType.IKE_SA_INIT, True, False, 0, payloads) for spi in spis]
    return [DatagramReceived(*_path(pair, side, 500), emit_message(one)) for one in messages]


def _spoken(line: str) -> str | None:
    """Reduce a line of the trace to what a script says: no instants, SPIs or receipts."""
    text = line[12:]
    if " receives " in text or re.fullmatch(r"\w+ [A-Z]\w+", text):
        return None
    text = re.sub(r" \[\w+/\w+ [ir]\]", "", text)
    text = re.sub(r" (esp|ah) 0x\w+ to [\d.]+", "", text)
    return re.sub(r"0x(?:[0-9a-f]{8}){1,2}", "0x...", text)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_dialogue(script: Path) -> None:
    pair, said, expected, each_s = Pair(), [], [], EACH_S
    for line in script.read_text().splitlines():
        mark, words = line[:2], line[3:].strip()
        if words.startswith("seed "):
            pair = Pair(int(words.removeprefix("seed ")))
        elif words.startswith("each "):
            each_s = float(words.removeprefix("each "))
        elif mark == "==":
            _setting(pair, words)
        elif mark == ">+":
            _together(pair, words)
        elif mark == "<<":
            expected.append(words)
        elif mark == ">>":
            assert said == expected
            said, expected = _happen(pair, words, each_s), []
    assert said == expected


def _happen(pair: Pair, words: str, seconds: float) -> list[str]:
    side, _, what = words.partition(" ")
    if side == "link":
        pair.world.link = Link(random.Random(1), LINKS[what], 1 << 62)
        trace = pair.wait(seconds)
    elif what == "hears strangers":
        before = len(pair.world.trace)
        for one in _strangers(pair, side):
            pair.world.at(pair.world.now, side, one)
        trace = pair.wait(seconds, before)
    elif what == "restarts":
        before = len(pair.world.trace)
        pair.world.restart(side)
        trace = pair.wait(seconds, before)
    elif side == "wait":
        trace = pair.wait(float(what))
    else:
        trace = pair.tell(side, _event(pair, side, what), seconds)
    return [spoken for line in trace if (spoken := _spoken(line)) is not None]


def _together(pair: Pair, words: str) -> None:
    side, _, what = words.partition(" ")
    pair.world.at(pair.world.now, side, _event(pair, side, what))


def test_there_are_dialogues() -> None:
    assert len(SCRIPTS) > 10


def _begun(script: Path) -> set[tuple[str, bool]]:
    """Give the exchanges that a script has, each with whether the end began it that began the IKE SA."""
    requests = re.findall(r"^<< (west|east) sends (\w+) request", script.read_text(), re.M)
    called = next((side for side, exchange in requests if exchange == "IKE_SA_INIT"), "")
    return {(exchange, side == called) for side, exchange in requests}


@pytest.mark.parametrize("exchange", ["CREATE_CHILD_SA", "INFORMATIONAL"])
def test_an_exchange_is_begun_by_either_end(exchange: str) -> None:
    begun = [one for script in SCRIPTS for one in _begun(script)]
    assert begun.count((exchange, True)) > 10
    assert begun.count((exchange, False)) > 10


@pytest.mark.parametrize("side", OTHER)
@pytest.mark.parametrize("refusal", ["NO_PROPOSAL_CHOSEN", "AUTHENTICATION_FAILED", "TS_UNACCEPTABLE"])
def test_a_refusal_is_heard_by_either_end(side: str, refusal: str) -> None:
    assert any(re.search(rf"^<< {side} says: .*{refusal}", one.read_text(), re.M) for one in SCRIPTS)
