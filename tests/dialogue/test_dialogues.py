"""Dialogues: `>>` is something that happens at one end, `<<` what both ends then say and do, in this order and no more.

`>+` happens together with the `>>` that follows it; `==` changes what one end has configured, or with `each` how many
seconds pass after an event. `>> link is away` and `is back`: everything that is sent is lost meanwhile.
"""

from __future__ import annotations

import random
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from culvert.config.model import Authentication, EncapsulationChoice, Peer, Start
from culvert.crypto.certificates.store import TrustStore
from culvert.identities import Identity
from culvert.ike.events import (
    Acquired,
    Configured,
    Connect,
    DebugSet,
    Disconnect,
    EngineRestarted,
    Event,
    RekeyRequested,
    Stop,
)
from culvert.ike.logs import IKE
from culvert.ipsec.associations import Mode, Protocol
from culvert.ipsec.proposals import ah_proposal, esp_proposal, ike_proposal
from culvert.ipsec.selectors import TrafficSelector, traffic_selector
from culvert.sim.link import Conditions, Link
from culvert.sim.pair import STEADY, Pair, with_child
from tests.certified import CREDENTIALS, certified, good, revoking, stranger

LINKS = {"is away": Conditions(loss=1.0), "is back": STEADY}
EACH_S = 6.0
"""How long an event has until the next one: the peer's last packets are taken for five seconds."""
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
    }
    return events[words]


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
        if words.startswith("each "):
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
