"""The frame that certificates and revocation lists share: contents, algorithm, signature (RFC 5280 section 4.1.1)."""

from __future__ import annotations

from typing import NamedTuple

from culvert import der


class Frame(NamedTuple):
    """`contents` is what is signed; `algorithm` the AlgorithmIdentifier as it was written."""

    contents: der.Element
    algorithm: bytes
    signature: bytes


def frame(data: bytes) -> Frame:
    """Take a signed thing apart. Raise DerError."""
    parts = der.only(data, der.SEQUENCE).elements()
    if [part.tag for part in parts] != [der.SEQUENCE, der.SEQUENCE, der.BIT_STRING] or parts[2].content[:1] != b"\x00":
        raise der.DerError("not three parts: contents, algorithm, signature")
    return Frame(parts[0], parts[1].whole, parts[2].content[1:])
