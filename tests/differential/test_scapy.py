"""Every algorithm, mode, family and kind of sequence number against scapy: what one seals the other opens."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.differential.messages import TRANSPORT, TUNNEL
from tests.differential.oracles import Case, Engine, NotThereError, RefusedError, Scapy
from tests.differential.packets import datagram
from tests.differential.suites import SUITES

INSIDE = {4: ("192.168.1.20", "192.168.2.34"), 6: ("2001:db8:1::20", "2001:db8:2::34")}
SCAPY_LACKS = {"cbc(camellia)", "xcbc(aes)"}
"""So that the kernel alone is there to compare these with; see test_crossing."""
SIZES = (0, 1, 2, 3, 13, 64, 1000)
"""Octets of payload: every length of padding, and a block more or less."""


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    program = Engine()
    yield program
    program.end()


@pytest.fixture(scope="module")
def scapy() -> Iterator[Scapy]:
    program = Scapy()
    yield program
    program.end()


def shapes(name: str) -> list[tuple[Case, int]]:
    """Give every association of a suite, and the family of what is in it."""
    suite = SUITES[name]
    both = (False, True)
    transport = [(Case(suite, TRANSPORT, version, esn), version) for version in (4, 6) for esn in both]
    tunnel = [(Case(suite, TUNNEL, outer, esn), inner) for outer in (4, 6) for inner in (4, 6) for esn in both]
    return transport + tunnel


def packets(case: Case, version: int) -> list[bytes]:
    ends = case.ends if case.mode == TRANSPORT else INSIDE[version]
    return [datagram(*ends, b"\x5c" * size) for size in SIZES]


PRESENT = [name for name, suite in SUITES.items() if SCAPY_LACKS.isdisjoint((suite.cipher, suite.integrity))]


@pytest.mark.parametrize("name", PRESENT)
def test_what_one_seals_the_other_opens(name: str, engine: Engine, scapy: Scapy) -> None:
    for case, version in shapes(name):
        engine.add(case)
        for sequence, packet in enumerate(packets(case, version), 1):
            sealed = engine.seal(case, packet)
            assert scapy.open(case, sealed, sequence) == packet, f"{case}: the engine's, by scapy"
            theirs = scapy.seal(case, packet, sequence)
            assert engine.open(case, theirs) == packet, f"{case}: scapy's, by the engine"


@pytest.mark.parametrize("name", PRESENT)
def test_neither_opens_what_was_changed(name: str, engine: Engine, scapy: Scapy) -> None:
    for case, version in shapes(name):
        engine.add(case)
        packet = packets(case, version)[4]
        sealed, theirs = engine.seal(case, packet), scapy.seal(case, packet, 1)
        with pytest.raises(RefusedError):
            scapy.open(case, changed(sealed), 1)
        with pytest.raises(RefusedError, match="NOT_AUTHENTIC"):
            engine.open(case, changed(theirs))


def changed(packet: bytes) -> bytes:
    """Give the packet with its last octet another; with AH that is the payload's, with ESP the check value's."""
    return packet[:-1] + bytes([packet[-1] ^ 1])


@pytest.mark.parametrize("name", ["aes128gcm16", "aes256-sha256", "null-sha256", "chacha20poly1305", "ah-sha256"])
def test_the_high_half_of_a_sequence_number_is_inferred(name: str, engine: Engine, scapy: Scapy) -> None:
    case = Case(SUITES[name], TUNNEL, 4, esn=True)
    engine.add(case)
    packet = packets(case, 4)[2]
    for sequence in (0x8000_0000, 0xFFFF_FFFE, 0x1_0000_0001, 0xFFFF_FFFF, 0x1_0000_0000, 0x1_8000_0000, 0x2_0000_0005):
        assert engine.open(case, scapy.seal(case, packet, sequence)) == packet
    with pytest.raises(RefusedError, match=r"NOT_AUTHENTIC|OUTSIDE_WINDOW"):
        engine.open(case, scapy.seal(case, packet, 0x1_0000_0009))


def test_scapy_lacks_what_it_lacked(scapy: Scapy) -> None:
    """Where this fails, scapy has learnt something: compare that too."""
    for name in SUITES:
        if name not in PRESENT:
            case = Case(SUITES[name], TUNNEL, 4)
            with pytest.raises(NotThereError):
                scapy.seal(case, packets(case, 4)[0], 1)
