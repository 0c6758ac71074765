"""Bounds on what a file of statements may hold, each with its reason."""

from __future__ import annotations

MAX_FILE_CHARACTERS = 64 * 1024 * 1024
"""Six times what 100,000 policies take."""
MAX_LINE_CHARACTERS = 8_192
"""Ten times the longest statement there can be; a binary file seldom has a shorter line."""
MAX_STATEMENTS = 262_144
"""Twice what a data plane holds of policies: all of them may be deleted and added in one file."""
MAX_STATEMENT_CHARACTERS = 65_536
"""Length of one statement with its comments; where it is longer, a `;` was forgotten long before."""
MAX_PROBLEMS = 1_000
"""Problems that are told; who made more of them made one that repeats itself."""
MAX_NAMES = 256
"""Host names of one file that are looked up: each may take seconds."""
MAX_ADDRESSES = 16
"""Addresses that one name may have, so that a pair of names makes at most 256 statements."""
MAX_SHOWN_CHARACTERS = 160
"""Of a line with a problem, so much is shown around the place."""
