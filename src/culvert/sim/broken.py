"""How a simulation fails."""

from __future__ import annotations


class Broken(AssertionError):  # noqa: N818 - it names what is the case
    """An invariant does not hold; the text says which and where, `trace` what happened before."""

    trace: tuple[str, ...] = ()
