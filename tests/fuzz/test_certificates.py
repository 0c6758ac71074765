"""The readers of certificates, lists, names and keys against changed ones. Each case follows from its seed.

CULVERT_FUZZ_SECONDS makes each test longer; CULVERT_FUZZ_SEED begins elsewhere.
"""

from __future__ import annotations

import os
import random
import time

import pytest

from tests.fuzz.certificate_target import CORPUS, judge
from tests.fuzz.der_mutation import mutated

SECONDS = float(os.environ.get("CULVERT_FUZZ_SECONDS", "4"))
FIRST_SEED = int(os.environ.get("CULVERT_FUZZ_SEED", "1"))
LEAST_CASES = 500
SEEDS = tuple(path.read_bytes() for path in sorted(CORPUS.iterdir()))

pytestmark = pytest.mark.timeout(60 + 4 * SECONDS)


def test_the_corpus_itself_holds() -> None:
    for octets in SEEDS:
        judge(octets)


def test_what_is_changed_is_read_or_refused_and_never_trusted() -> None:
    began = time.monotonic()
    for seed in range(FIRST_SEED, FIRST_SEED + 10_000_000):
        if seed - FIRST_SEED >= LEAST_CASES and time.monotonic() - began > SECONDS:
            return
        source = random.Random(seed)
        kind, octets = (chosen := source.choice(SEEDS))[:1], chosen[1:]
        changed = kind + mutated(source, octets)
        try:
            judge(changed)
        except BaseException as error:
            raise AssertionError(f"seed {seed}: {changed.hex()}") from error
