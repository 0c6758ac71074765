"""What is drawn: SPIs, nonces and IVs (RFC 7296 sections 1.4.1, 2.6, 2.10 and 3.14)."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from culvert.crypto.transforms import BY_NAME, Prf
from culvert.entropy import SeededEntropy
from culvert.ike.cookies import Cookies
from culvert.ike.events import Disconnect, RekeyRequested
from culvert.ike.v2.context import Context
from culvert.ike.v2.sa import Liveness
from culvert.ipsec.proposals import ike_proposal
from culvert.sim.pair import Pair
from culvert.wire.isakmp.header import NO_SPI, read_header
from culvert.wire.isakmp.ke import KeyExchangePayload
from culvert.wire.isakmp.message import parse_message
from culvert.wire.isakmp.numbers import ExchangeType
from tests.unit.ike.line import Line

HEADERS = 32
CBC = (ike_proposal("aes128-sha256-x25519"),)


@dataclass(slots=True)
class Written:
    """Randomness that a test has written down."""

    draws: list[bytes]
    taken: list[int] = field(default_factory=list)

    def octets(self, count: int) -> bytes:
        self.taken.append(count)
        return self.draws.pop(0)


def _context(*draws: bytes) -> Context:
    entropy = Written(list(draws))
    return Context(entropy, Cookies(SeededEntropy(1)), 0)


def test_an_ike_spi_is_neither_zero_nor_one_that_is_in_use() -> None:
    held = Line().connect().sa("west")
    ctx = _context(NO_SPI, held.spi, b"quite new")
    ctx.sas[held.spi] = held
    assert ctx.fresh_ike_spi() == b"quite new"


def test_an_spi_is_not_drawn_again_while_packets_for_it_are_still_taken() -> None:
    pair = Pair().connect()
    (old,) = (spi for spi in pair.west.endpoint.state.child_owners)
    pair.tell("west", RekeyRequested("east"), 2)
    ctx = pair.west.endpoint.state
    assert old in ctx.leaving
    assert ctx.fresh_child_spi.__self__ is ctx
    ctx.entropy = Written([(old - 256).to_bytes(8, "big"), bytes(7) + b"\1"])
    assert ctx.fresh_child_spi() == 257


def test_a_nonce_is_long_enough_for_every_prf_and_never_the_same() -> None:
    ctx = Line().connect().ends["west"].state
    nonces = [ctx.nonce() for _ in range(100)]
    longest = max(one.key_octets for one in BY_NAME.values() if isinstance(one, Prf))
    assert all(max(16, longest // 2) <= len(one) <= 256 for one in nonces)
    assert len(dict.fromkeys(nonces)) == len(nonces)


def _ivs(line: Line, octets: int) -> list[bytes]:
    """Give the IVs of four messages that west sends."""
    for _ in range(4):
        line.begin("west", Liveness()).deliver()
    sealed = [data for name, data in line.sent if name == "west"][1:]
    return [data[HEADERS : HEADERS + octets] for data in sealed]


def test_ivs_of_cbc_are_drawn_and_those_of_an_aead_counted() -> None:
    drawn, counted = _ivs(Line(proposals=CBC).connect(), 16), _ivs(Line().connect(), 8)
    assert len(dict.fromkeys(drawn)) == len(drawn) == 5
    assert all(one[:12] != other[:12] for one, other in pairwise(drawn))
    assert [int.from_bytes(one, "big") for one in counted] == [1, 2, 3, 4, 5]


def test_every_key_exchange_has_a_value_of_its_own() -> None:
    """Both ends begin twice: four values, none of them twice."""
    line = Line().connect()
    line.tell("west", Disconnect("east"))
    line.deliver().connect()
    first = [data for _, data in line.sent if read_header(data).exchange == ExchangeType.IKE_SA_INIT]
    payloads = [one for data in first for one in parse_message(data).payloads]
    publics = [one.public for one in payloads if isinstance(one, KeyExchangePayload)]
    assert len(publics) == len(dict.fromkeys(publics)) == 4
