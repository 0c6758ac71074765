"""Copies and digests of whole gateways, so that what may happen to one can be tried in every way."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from functools import partial
from hashlib import blake2b, shake_256
from io import BytesIO
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pickle import Pickler
from typing import Any, TypeVar

from culvert.crypto.ecp import EcpState
from culvert.crypto.modp import ModpState
from culvert.crypto.x25519 import X25519State
from culvert.ike.logs import Limiter
from culvert.ike.timers import Timers
from culvert.ike.v2.context import Context
from culvert.sim.node import Node
from culvert.sim.planes import DataPlane
from culvert.sim.wire import Wire

T = TypeVar("T")
Reduced = tuple[Callable[..., None], tuple[Any, ...]]
Copy = Callable[[Any], Any]
DRAWN = (X25519State, EcpState, ModpState)
UNCHANGING = (
    *(int, float, str, bytes, bool, type(None), tuple, frozenset, type, Enum),
    *(IPv4Address, IPv6Address, IPv4Network, IPv6Network),
    *DRAWN,
)
"""What is shared by all copies. The state of a key exchange is drawn once and only read afterwards."""
IMMATERIAL: dict[type, tuple[str, ...]] = {
    Context: ("now", "actions", "limiter", "traced", "refused", "touched", "kept", "known"),
    Limiter: ("suppressed",),
    Node: ("seed", "blobs"),
    DataPlane: ("index",),
}
"""Fields on which nothing depends that a gateway does: counts, what follows from others, and the instant itself."""
DIGEST_OCTETS = 16


@dataclass(slots=True)
class CountedEntropy:
    """Randomness that can be copied in no time. For simulation alone."""

    seed: bytes
    drawn: int = 0

    def octets(self, count: int) -> bytes:
        self.drawn += 1
        return shake_256(b"%b/%d" % (self.seed, self.drawn)).digest(count)


def _frozen(kind: type) -> bool:
    return is_dataclass(kind) and bool(kind.__dataclass_params__.frozen)  # type: ignore[attr-defined]


class Copier:
    """Copies values with all that may change in them. What is reached twice is copied once, so that both ways still
    lead to the same thing."""

    def __init__(self) -> None:
        self._ways: dict[type, Copy | None] = {}
        self._done: dict[int, Any] = {}

    def copied(self, value: T) -> T:
        self._done = {}
        found: T = self._copy(value)
        return found

    def _copy(self, value: Any) -> Any:
        kind = type(value)
        way = self._ways[kind] if kind in self._ways else self._find(kind)
        if way is None:
            return value
        done = self._done.get(id(value))
        return way(value) if done is None else done

    def unchanging(self, kind: type) -> bool:
        return (self._ways[kind] if kind in self._ways else self._find(kind)) is None

    def _find(self, kind: type) -> Copy | None:
        """Give how values of a type are copied; None: they never change."""
        way: Copy | None = self._object
        if issubclass(kind, UNCHANGING) or _frozen(kind):
            way = None
        elif issubclass(kind, dict):
            way = self._dict
        elif issubclass(kind, list | deque):
            way = self._list
        elif is_dataclass(kind):
            names = tuple(field.name for field in fields(kind))
            way = partial(self._fields, names)
        self._ways[kind] = way
        return way

    def _dict(self, value: dict[Any, Any]) -> dict[Any, Any]:
        made = self._done[id(value)] = type(value)()
        for key, one in value.items():
            made[key] = self._copy(one)
        return made

    def _list(self, value: list[Any]) -> list[Any]:
        made = self._done[id(value)] = type(value)()
        made.extend(self._copy(one) for one in value)
        return made

    def _object(self, value: Any) -> Any:
        return self._fields(tuple(vars(value)), value)

    def _fields(self, names: tuple[str, ...], value: Any) -> Any:
        made = self._done[id(value)] = object.__new__(type(value))
        for name in names:
            setattr(made, name, self._copy(getattr(value, name)))
        return made


class Digester:
    """Digests of values: equal ones have equal digests. Those of what never changes are kept, for the same
    configuration is met again and again."""

    def __init__(self, copier: Copier) -> None:
        self._copier = copier
        self._kept: dict[int, tuple[Any, Reduced]] = {}
        self._material = {kind: _material(kind, left_out) for kind, left_out in IMMATERIAL.items()}

    def digest(self, value: Any) -> bytes:
        return blake2b(self._octets(value, self.reduce), digest_size=DIGEST_OCTETS).digest()

    def reduce(self, value: Any) -> Any:
        """Say what stands for a value, as `pickle` asks: the fields that matter, or the digest of what stays."""
        kind = type(value)
        names = self._material.get(kind)
        if names is not None:
            return _named, (kind.__name__, *(getattr(value, name) for name in names))
        if kind is Timers:
            return _named, tuple(value.instants())
        if kind in DRAWN:
            return _named, (value.private,)
        if self._copier.unchanging(kind) and not isinstance(value, type) and not callable(value):
            return self._unchanging(value)
        return NotImplemented

    def _unchanging(self, value: Any) -> Reduced:
        kept = self._kept.get(id(value))
        if kept is None:
            octets = repr(value).encode() if isinstance(value, Enum) else self._octets(value, _everything)
            token: Reduced = (_named, (blake2b(octets, digest_size=DIGEST_OCTETS).digest(),))
            kept = self._kept[id(value)] = (value, token)
        return kept[1]

    def _octets(self, value: Any, reduce: Callable[[Any], Any]) -> bytes:
        stream = BytesIO()
        pickler = _Pickler(stream, protocol=4)
        # Without its memory of what came before: whether two equal values are one makes no difference.
        pickler.fast = True
        pickler.reduce = reduce
        pickler.dump(value)
        return stream.getvalue()


class _Pickler(Pickler):
    reduce: Callable[[Any], Any]

    def reducer_override(self, value: Any) -> Any:
        return self.reduce(value)


def _everything(value: Any) -> Any:  # noqa: ARG001 - nothing is left out
    return NotImplemented


def _named(*parts: Any) -> None:
    """Stand for a value in its digest; nothing is ever made of one again."""


def _material(kind: Any, left_out: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind) if field.name not in left_out)


@dataclass(slots=True)
class Snapshot:
    """A gateway that nobody changes any more, with what it said so far."""

    node: Node
    wire: Wire
    digest: bytes
