"""What a peer with the keys of an IKE SA, and without the key of a certificate, can write into IKE_AUTH.

CULVERT_FUZZ_SECONDS makes each test longer; CULVERT_FUZZ_SEED begins elsewhere.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

import pytest

from culvert.config.model import Peer
from culvert.ike.actions import Transmit
from culvert.ike.events import DatagramReceived
from culvert.wire.isakmp.errors import ParseError
from culvert.wire.isakmp.header import read_header
from culvert.wire.isakmp.message import parse_payloads
from culvert.wire.isakmp.numbers import ExchangeType, PayloadType
from tests.certified import CREDENTIALS, certified, stranger
from tests.fuzz.duel import OTHER, Duel, opened, sealed
from tests.fuzz.mutation import inner_mutated
from tests.fuzz.test_ike_endpoint import SECONDS, seeds

SIDE = {"a": "west", "b": "east"}
KINDS = ("good", "ed25519", "chain")
PROOF = (PayloadType.IDI, PayloadType.IDR, PayloadType.AUTH, PayloadType.CERT)
OTHERS = (*(CREDENTIALS["p384"](side).certificate.der for side in ("west", "east")), stranger().certificate.der)

pytestmark = pytest.mark.timeout(60 + 4 * SECONDS)


@dataclass
class Piece:
    """A payload as octets: its type, and its body."""

    type: int
    body: bytes


def _described(seed: int, name: str, peer: Peer) -> Peer:
    made = certified(peer, SIDE[name], SIDE[OTHER[name]])
    return replace(made, credential=CREDENTIALS[KINDS[seed // 2 % len(KINDS)]](SIDE[name]))


def _at_auth(seed: int, *, response: bool) -> tuple[Duel, str, Transmit]:
    """Go on until the message with the proof of one end is under way; give who sent it."""
    duel = Duel(2 * seed, lambda name, peer: _described(seed, name, peer))
    while duel.under_way:
        sender, sent = duel.under_way[0]
        header = read_header(sent.data)
        if header.exchange == ExchangeType.IKE_AUTH and header.response == response:
            duel.under_way.popleft()
            return duel, sender, sent
        duel.deliver()
    raise AssertionError("IKE_AUTH did not come")


def _pieces(first: int, inner: bytes) -> list[Piece]:
    found, kind, at = list[Piece](), first, 0
    while kind and at + 4 <= len(inner):
        length = int.from_bytes(inner[at + 2 : at + 4], "big")
        found.append(Piece(kind, inner[at + 4 : at + length]))
        kind, at = inner[at], at + length
    return found


def _joined(pieces: list[Piece]) -> tuple[int, bytes]:
    kinds = [*(one.type for one in pieces), 0]
    chain = b"".join(
        bytes((kinds[number], 0)) + (len(one.body) + 4).to_bytes(2, "big") + one.body
        for number, one in enumerate(pieces, 1)
    )
    return kinds[0], chain


def _changed(source: random.Random, pieces: list[Piece]) -> list[Piece]:
    """Change what is about the proof, more often than not; drop, repeat and move payloads."""
    pieces = [replace(one) for one in pieces]
    for _ in range(source.choice((0, 1, 1, 1, 2, 3))):
        at = source.choice([number for number, one in enumerate(pieces) if one.type in PROOF] or [0])
        match source.randrange(8):
            case 0:
                del pieces[at]
            case 1:
                pieces.insert(source.randrange(len(pieces) + 1), replace(pieces[at]))
            case 2:
                source.shuffle(pieces)
            case 3:
                pieces[at].body = bytes((source.randrange(256),)) + pieces[at].body[1:]
            case 4:
                pieces.insert(at, Piece(PayloadType.CERT, b"\x04" + source.choice(OTHERS)))
            case 5:
                pieces.insert(at, Piece(source.choice(PROOF), source.randbytes(source.choice((0, 1, 4, 5, 40, 3_000)))))
            case _:
                pieces[at].body = _spoilt(source, pieces[at].body)
        if not pieces:
            return pieces
    return pieces


def _spoilt(source: random.Random, body: bytes) -> bytes:
    octets = bytearray(body)
    for _ in range(source.choice((1, 1, 2, 5))):
        if octets:
            octets[source.randrange(len(octets))] ^= 1 << source.randrange(8)
    return bytes(octets[: source.choice((len(octets), len(octets), len(octets) // 2, 4))])


def _proof(first: int, inner: bytes, who: PayloadType) -> list[tuple[int, bytes]] | None:
    """Give what proves: identity, method and signature, the first certificate. None where it cannot be read."""
    try:
        found = [(one.payload_type, one.emit()) for one in parse_payloads(first, inner)]
    except ParseError:
        return None
    leaves = [one for one in found if one[0] == PayloadType.CERT and one[1][0] == 4][:1]
    ids = [one for one in found if one[0] == who]
    proofs = [(kind, body[:1] + body[4:]) for kind, body in found if kind == PayloadType.AUTH]
    return [*ids[:1], *proofs, *leaves]


@pytest.mark.parametrize("response", [False, True], ids=["initiator", "responder"])
def test_nothing_but_the_proof_itself_proves_anything(response: bool) -> None:
    """Nothing raises, nothing is called a bug of ours; who is believed wrote the proof that its key made."""
    believed = refused = 0
    for seed in seeds():
        source = random.Random(seed)
        duel, sender, sent = _at_auth(seed, response=response)
        sa = duel.sa(sender)
        inside = opened(sa, sent) if sa is not None else None
        assert sa is not None
        assert inside is not None
        first, inner = _joined(_changed(source, _pieces(*inside)))
        if source.random() < 0.3:
            inner = inner_mutated(source, inner)
        receiver = OTHER[sender]
        data = sealed(sa, source, sent, first, inner)
        duel.step(receiver, DatagramReceived(sent.remote, sent.local, data))
        if duel.ends[receiver].census().established:
            believed += 1
            who = PayloadType.IDR if response else PayloadType.IDI
            assert _proof(first, inner, who) == _proof(*inside, who), f"seed {seed}"
        else:
            refused += 1
    assert believed
    assert refused
