"""What must hold for the readers of texts, whatever they hold: for `atheris_run.py` and `test_corpora.py`.

The first octet says which one reads: the control socket's, gateway.toml's, that of secrets, or that of a log's lines.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from culvert.config.dialects import psk
from culvert.config.findings import Findings
from culvert.config.load import load
from culvert.control.log_lines import text_of
from culvert.control.protocol import (
    MAX_LINE_OCTETS,
    Failure,
    LineBuffer,
    LineTooLongError,
    ProtocolError,
    decode,
    encode,
)
from culvert.daemon.log_book import MAX_FIELD_CHARACTERS, Entry
from culvert.errors import ConfigurationError

FOLDER = tempfile.TemporaryDirectory(prefix="culvert-text-")
"""Files that are read stand here."""


def judge(octets: bytes) -> None:
    """Read octets, and raise AssertionError where something does not hold."""
    (_control, _configuration, _secrets, _line)[octets[0] % 4 if octets else 0](octets[1:])


def _control(octets: bytes) -> None:
    """What comes in pieces is the same as what comes at once; an answer to it fits a line."""
    whole, pieces = LineBuffer(), LineBuffer()
    lines = list(whole.feed(octets + b"\n"))
    assert lines == [line for at in range(0, len(octets) + 1, 7) for line in pieces.feed((octets + b"\n")[at : at + 7])]
    for line in lines:
        try:
            message = decode(line)
        except ProtocolError as error:
            message = error.failure()
        assert isinstance(message, Failure) or decode(_written(message)) == message


def _written(message: object) -> bytes:
    try:
        line = encode(message)  # type: ignore[arg-type]
    except LineTooLongError:
        return b""
    assert len(line) <= MAX_LINE_OCTETS
    return line


def _configuration(octets: bytes) -> None:
    file = Path(FOLDER.name) / "gateway.toml"
    file.write_bytes(octets)
    try:
        assert load(file).gateway.name
    except ConfigurationError as error:
        _told(error)


def _told(error: ConfigurationError) -> None:
    assert error.problems
    for problem in error.problems:
        assert problem.what
        assert problem.where
        assert str(problem).replace("\n", "").isprintable()


def _secrets(octets: bytes) -> None:
    findings = Findings()
    psk.read(octets, "psk.txt", findings)
    for problem in findings.problems:
        assert str(problem).replace("\n", "").isprintable()


def _line(octets: bytes) -> None:
    """Whatever a field holds, one line of printable characters is written of it."""
    text = octets.decode(errors="surrogateescape")
    entry = Entry(1, 0.0, 20, text, "ike", {"peer": text, "name": octets, "number": len(octets)})
    line = text_of(entry.line())
    assert line.isprintable()
    assert len(line) <= 4 * MAX_FIELD_CHARACTERS
