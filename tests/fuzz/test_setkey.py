"""setkey's reader against any file. Each case of the first test follows from its seed.

CULVERT_FUZZ_SECONDS makes each test longer; CULVERT_FUZZ_SEED begins elsewhere.
"""

from __future__ import annotations

import os
import random
import time

import pytest

from culvert.setkey.words import COMMANDS
from tests.fuzz.setkey_target import SEEDS, judge

SECONDS = float(os.environ.get("CULVERT_FUZZ_SECONDS", "4"))
FIRST_SEED = int(os.environ.get("CULVERT_FUZZ_SEED", "1"))
LEAST_CASES = 200
WORDS = (*(word.encode() for word in COMMANDS), *b'; \n " # / [ ] , - : % + 0x 0 -P -E -A any esp unique:'.split(b" "))

pytestmark = pytest.mark.timeout(60 + 4 * SECONDS)


def mutated(source: random.Random) -> bytes:
    """Give a changed text: some nonsense, most nearly right."""
    octets = bytearray(b"".join(source.choices(SEEDS, k=source.choice((1, 1, 2, 8)))))
    for _ in range(source.choice((0, 1, 1, 1, 2, 4, 16))):
        at = source.randrange(len(octets) + 1)
        match source.randrange(6):
            case 0:
                del octets[at : at + source.choice((1, 1, 2, 8, 64))]
            case 1:
                octets[at:at] = source.choice(WORDS)
            case 2:
                octets[at:at] = source.randbytes(source.choice((1, 2, 16)))
            case 3:
                other = source.choice(SEEDS)
                octets[at:at] = other[source.randrange(len(other)) :][: source.choice((4, 16, 80))]
            case 4:
                octets[at:at] = octets[at : at + source.choice((1, 8, 40))] * source.choice((2, 300))
            case _ if at < len(octets):
                octets[at] = source.choice(b' ;"#/[]-0x9\n\xff')
    return bytes(octets)


def test_a_changed_file_is_read_or_told_about() -> None:
    began = time.monotonic()
    for seed in range(FIRST_SEED, FIRST_SEED + 10_000_000):
        if seed - FIRST_SEED >= LEAST_CASES and time.monotonic() - began > SECONDS:
            return
        octets = mutated(random.Random(seed))
        try:
            judge(octets)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {octets!r}") from error


@pytest.mark.parametrize(
    "piece",
    [
        b"#",
        b'"',
        b"[",
        b"/",
        b"; ",
        b"add ",
        b"\nadd",
        b'""',
        b'"\n',
        b" \n",
        b"0x0",
        b"\x80",
        b"#\n",
        b"esp/transport/",
    ],
)
def test_what_repeats_takes_no_longer_than_it_is_long(piece: bytes) -> None:
    octets = 512 * 1024
    judge(b"spdadd ::/0 ::/0 any -P in ipsec " + piece * (octets // len(piece)))
    judge((b"x" * 64 + b"\n" + piece * 32 + b"\n") * (octets // (65 + 32 * len(piece))))
