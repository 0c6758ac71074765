"""What must hold for setkey's reader, whatever octets a file has."""

from __future__ import annotations

import time
from pathlib import Path

from culvert.setkey.names import TableResolver
from culvert.setkey.parse import parse
from culvert.setkey.write import write

MOST_S_PER_MEBIOCTET = 60.0
"""A hundred times what it takes: it is there to find what grows faster than the text."""
LEAST_S = 2.0
NAMES = TableResolver({"vpn.example": ["192.0.2.1", "2001:db8::1"]}, {"http": 80}, {"ospf": 89})

CORPUS = Path(__file__).parent / "corpus/setkey"
SEEDS = tuple(path.read_bytes() for path in sorted(CORPUS.iterdir()))


def judge(octets: bytes) -> None:
    """Read a text as the command does, and raise AssertionError where something does not hold."""
    text = octets.decode(errors="surrogateescape")
    began = time.process_time()
    parsed = parse(text, "text", NAMES, legacy=True)
    took_s = time.process_time() - began
    assert took_s < LEAST_S + MOST_S_PER_MEBIOCTET * len(octets) / 2**20, f"{took_s} s for {len(octets)} octets"
    for problem in (*parsed.problems, *parsed.warnings):
        assert problem.what
        assert problem.where.startswith("text")
        assert str(problem).replace("\n", "").isprintable()
    again = parse("\n".join(map(write, parsed.statements)), "text", NAMES, legacy=True)
    assert not again.problems
    assert again.statements == parsed.statements
