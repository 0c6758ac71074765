"""Octets that were good once: some changed, left out, put in or doubled."""

from __future__ import annotations

from hypothesis import strategies as st


def bent(good: bytes, most: int = 4) -> st.SearchStrategy[bytes]:
    """Give `good` after up to `most` changes."""
    change = st.tuples(
        st.sampled_from(["flip", "set", "cut", "put", "double", "end"]),
        st.integers(0, max(0, len(good) - 1)),
        st.integers(0, 255),
    )
    return st.lists(change, max_size=most).map(lambda changes: _applied(good, changes))


def _applied(good: bytes, changes: list[tuple[str, int, int]]) -> bytes:
    data = bytearray(good)
    for kind, place, value in changes:
        at = min(place, max(0, len(data) - 1))
        if kind == "flip" and data:
            data[at] ^= 1 << value % 8
        elif kind == "set" and data:
            data[at] = value
        elif kind == "cut":
            del data[at : at + 1 + value % 8]
        elif kind == "put":
            data[at:at] = bytes((value,))
        elif kind == "double":
            data[at:at] = data[at : at + value]
        elif kind == "end":
            del data[at:]
    return bytes(data)
