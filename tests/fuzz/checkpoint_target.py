"""What must hold for what a former process left, whatever has become of it: for `atheris_run.py`, `test_corpora.py`.

The first octet says what is wrong: any octets; any behind a right head; or the checkpoint of an end in the state that
the second octet says, with changes in the parts of which it consists.
"""

from __future__ import annotations

import re
import zlib
from functools import cache

from culvert.clock import SECOND
from culvert.ike.actions import Action, Checkpoint, Log, Transmit
from culvert.ike.endpoint import Endpoint
from culvert.ike.events import (
    CheckpointsLost,
    Configured,
    DatagramReceived,
    DeadlineReached,
    Held,
    RekeyRequested,
    Stop,
)
from culvert.ike.logs import ERROR
from culvert.ike.v2 import checkpoint
from culvert.limits import MAX_CHECKPOINT_OCTETS
from culvert.sim import bookkeeping
from culvert.sim.snapshots import CountedEntropy
from tests.fuzz.duel import OTHER
from tests.fuzz.endpoint_target import Script
from tests.fuzz.stands import STATES, Stand, stand

HEAD_OCTETS = checkpoint._HEAD.size
LENGTHS = range(18, HEAD_OCTETS, 4)
"""Where in the head the lengths of all parts but the last stand."""
PACKED = 2
"""The first parts are packed."""
TOKEN = re.compile(rb'-?\d+|"[^"]*"|null|true|false')


@cache
def kept() -> tuple[tuple[Stand, tuple[bytes, ...]], ...]:
    """Give the ends that keep anything, each with its checkpoint's head and parts, unpacked."""
    found = []
    for name in STATES:
        at = stand(name)
        told = at.copied().endpoint.step(CheckpointsLost(), at.now)
        for one in told:
            if isinstance(one, Checkpoint) and one.data:
                found.append((at, _parts(one.data)))
    return tuple(found)


def _parts(data: bytes) -> tuple[bytes, ...]:
    parts, rest = [data[:HEAD_OCTETS]], data[HEAD_OCTETS:]
    for number, at in enumerate(LENGTHS):
        length = int.from_bytes(data[at : at + 4], "big")
        parts.append(zlib.decompress(rest[:length]) if number < PACKED else rest[:length])
        rest = rest[length:]
    return *parts, rest


def _joined(head: bytes, parts: list[bytes]) -> bytes:
    written = [zlib.compress(one, 1) if number < PACKED else one for number, one in enumerate(parts)]
    lengths = b"".join(len(one).to_bytes(4, "big") for one in written[: len(LENGTHS)])
    return checkpoint.sealed(b"".join((head[: LENGTHS[0]], lengths, *written)))


def judge(octets: bytes) -> None:
    """Let a process take something up and live for a while. Raise AssertionError where something does not hold."""
    script = Script(octets)
    kind, (at, (head, *parts)) = script.number() % 3, kept()[script.number() % len(kept())]
    if kind == 0:
        _live(at, octets[2:], any_octets=True)
    elif kind == 1:
        _live(at, checkpoint.sealed(head + octets[2:]), any_octets=True)
    else:
        _live(at, _joined(head, _changed(script, parts)))


def _changed(script: Script, parts: list[bytes]) -> list[bytes]:
    """Leave some octets out and put others in, anywhere or in the place of one value: at most eight times."""
    for _ in range(8):
        if script.over:
            break
        kind = script.number()
        which = kind % 8 % len(parts)
        at, left_out = script.number(2) % (len(parts[which]) + 1), script.number() % 64
        if kind & 0x80 and (tokens := list(TOKEN.finditer(parts[which]))):
            token = tokens[at % len(tokens)]
            at, left_out = token.start(), token.end() - token.start()
        put_in = script.take(script.number() % 32)
        parts[which] = parts[which][:at] + put_in + parts[which][at + left_out :]
    return parts


def _live(at: Stand, data: bytes, *, any_octets: bool = False) -> None:
    endpoint, peer = Endpoint(CountedEntropy(b"later"), at.now), at.configured
    children = [child for lineage in at.ctx.lineages.values() for child in lineage.children.values()]
    sides = [side for child in children for side in (child.inbound, child.outbound)]
    held = tuple(Held(one.id, one.reqid, one.direction) for one in sides if one.direction is not None)
    actions = endpoint.step(Configured((peer,), None, held, (data,)), at.now)
    _quiet(actions)
    bookkeeping.check("it", endpoint.state)
    taken_up = [one for one in actions if isinstance(one, Log) and "taken up from" in one.message]
    assert not (taken_up and any_octets)
    for seconds in (0, 1, 40):
        now = at.now + seconds * SECOND
        for event in (DeadlineReached(), RekeyRequested(OTHER[at.name])):
            _quiet(endpoint.step(event, now))
    for sa in list(endpoint.state.sas.values()):
        flags = b"\x08" if sa.initiator else b"\x00"
        data = sa.spi_i + sa.spi_r + b"\x2e\x20\x25" + flags + bytes(4) + (60).to_bytes(4, "big") + bytes(32)
        _quiet(endpoint.step(DatagramReceived(sa.local, sa.remote, data), at.now + 41 * SECOND))
    _quiet(endpoint.step(Stop(), at.now + 50 * SECOND))


def _quiet(actions: list[Action]) -> None:
    """Nothing is called a bug of ours, and nothing is longer than it may be."""
    for one in actions:
        if isinstance(one, Log):
            assert one.level < ERROR, one.message
            assert one.message.isprintable()
        elif isinstance(one, Checkpoint):
            assert one.data is None or len(one.data) <= MAX_CHECKPOINT_OCTETS
    assert sum(isinstance(one, Transmit) for one in actions) <= 1_000
