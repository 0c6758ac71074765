"""What a small authority refuses, for people."""

from __future__ import annotations

from culvert.errors import CulvertError


class PkiError(CulvertError):
    """The files of the authority, or what was asked of it, cannot be used as they are."""


class WrongUsage(CulvertError):  # noqa: N818 - the name says what is the case
    """The words of a command make no sense, whatever the folder is like."""
