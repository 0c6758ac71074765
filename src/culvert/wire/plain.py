"""Plain values as octets and back: dataclasses of numbers, texts, octets, enums, addresses, and groups of these.

What is written is JSON: a dataclass is a list of its class's number and its fields. A *layout*, written beside it, says
which class has which number and which names its fields have. So a reader of another version finds every field by its
name: those that it does not know are ignored, and those that are not there have their default.
"""

from __future__ import annotations

import json
import types
from base64 import b64decode
from binascii import b2a_base64
from collections.abc import Callable, Iterable
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from operator import attrgetter
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from culvert.addresses import IPAddress, IPNetwork

MAX_NUMBER = 2**64
"""No number of the product is larger."""
T = TypeVar("T")
Read = Callable[[Any, Any], Any]
"""Takes what JSON gave and the reader's context; gives a value, or raises UnreadableError."""
Classes = tuple[tuple[str, tuple[str, ...]], ...]
"""The classes of a layout by their numbers: each one's name and its fields' names."""
_ADDRESSES: dict[int, type[IPAddress]] = {4: IPv4Address, 16: IPv6Address}
_NETWORKS: dict[int, type[IPNetwork]] = {4: IPv4Network, 16: IPv6Network}


class UnreadableError(ValueError):
    """Octets that are no value of the kind that is wanted; the text says what is wrong, and shows nothing of them."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """How values of a type of its own are written: `kinds` are the classes that `write` takes, `wanted` the type that
    fields name, and `read` gives it back. `write` gives what JSON has.
    """

    wanted: Any
    kinds: tuple[type, ...]
    write: Callable[[Any], Any]
    read: Read


class Codec:
    """Writes and reads values of the given dataclasses; `layout` is how it writes them."""

    def __init__(self, classes: Iterable[type], leaves: Iterable[Leaf] = ()) -> None:
        self.classes = tuple(classes)
        self.leaves = {leaf.wanted: leaf.read for leaf in leaves}
        writers: dict[type, Callable[[Any], Any]] = {
            bytes: _octets_to_text,
            IPv4Address: _address_to_text,
            IPv6Address: _address_to_text,
            IPv4Network: _network_to_text,
            IPv6Network: _network_to_text,
            **{kind: leaf.write for leaf in leaves for kind in leaf.kinds},
            **{cls: _writer(number, cls) for number, cls in enumerate(self.classes)},
        }
        encoder = json.JSONEncoder(
            default=lambda value: writers[type(value)](value), separators=(",", ":"), check_circular=False
        )
        self._encode = encoder.encode
        self.layout = self._encode([[cls.__name__, _names(cls)] for cls in self.classes]).encode()

    def write(self, value: object) -> bytes:
        """Give a value as octets. Raise KeyError for one of a class that is not known here."""
        return self._encode(value).encode()

    def reader(self, layout: bytes) -> Reader:
        """Prepare for what a writer of this layout wrote. Raise UnreadableError."""
        return Reader(self, _parse_layout(layout))


class Reader:
    """Reads what was written by one layout. Nothing but values of the kind that is asked for comes out of it."""

    def __init__(self, codec: Codec, written: Classes) -> None:
        self._leaves, self._written = codec.leaves, written
        by_name = {cls.__name__: cls for cls in codec.classes}
        self._numbers = {by_name[name]: number for number, (name, _) in enumerate(written) if name in by_name}
        self._readers: dict[Any, Read] = {}

    def read(self, octets: bytes, kind: type[T], context: object = None) -> T:
        """Give the value. `context` is handed to the leaves. Raise UnreadableError."""
        read = self._of(kind)
        try:
            value: T = read(_parse(octets), context)
        except UnreadableError:
            raise
        except (ValueError, TypeError, OverflowError, RecursionError) as error:
            raise UnreadableError(f"a value that its class refuses ({type(error).__name__})") from None
        return value

    def _of(self, kind: Any) -> Read:
        """Give what reads values of a type; made once."""
        found = self._readers.get(kind)
        if found is None:
            # Classes may hold each other, so one under way is looked up when it is needed.
            self._readers[kind] = self._later(kind)
            found = self._readers[kind] = self._make(kind)
        return found

    def _later(self, kind: Any) -> Read:
        def read(value: Any, context: Any) -> Any:
            return self._readers[kind](value, context)

        return read

    def _make(self, kind: Any) -> Read:
        if kind in self._leaves:
            return self._leaves[kind]
        if kind in _SIMPLE:
            return _SIMPLE[kind]
        if isinstance(kind, type) and issubclass(kind, Enum):
            return _enum(kind)
        if isinstance(kind, type) and is_dataclass(kind):
            return self._dataclass(kind)
        return self._group(kind)

    def _group(self, kind: Any) -> Read:
        origin, arguments = get_origin(kind), get_args(kind)
        if origin in (Union, types.UnionType):
            return self._union(arguments)
        if origin is list:
            return _list(self._of(arguments[0]), list)
        if origin is dict:
            return _dict(_KEYS[arguments[0]], self._of(arguments[1]))
        if origin is tuple and arguments[1:] == (...,):
            return _list(self._of(arguments[0]), tuple)
        if origin is tuple:
            return _tuple([self._of(one) for one in arguments])
        raise TypeError(f"{kind} is no plain value")

    def _union(self, kinds: tuple[Any, ...]) -> Read:
        """Read one of several classes, which its number tells apart, or one type; either may be None."""
        others = [kind for kind in kinds if kind is not type(None)]
        if len(others) == 1:
            inner = self._of(others[0])
        elif all(is_dataclass(kind) for kind in others):
            inner = self._one_of(others)
        else:
            raise TypeError(f"{kinds} cannot be told apart")
        return _optional(inner) if len(others) < len(kinds) else inner

    def _one_of(self, kinds: list[Any]) -> Read:
        by_number = {self._numbers[kind]: self._of(kind) for kind in kinds if kind in self._numbers}

        def read(value: Any, context: Any) -> Any:
            chosen = by_number.get(value[0]) if type(value) is list and value and type(value[0]) is int else None
            if chosen is None:
                raise UnreadableError("no value of the classes that belong here")
            return chosen(value, context)

        return read

    def _dataclass(self, cls: Any) -> Read:
        number = self._numbers.get(cls)
        if number is None:
            return _absent(cls)
        hints = get_type_hints(cls)
        places = {name: place for place, name in enumerate(self._written[number][1], 1)}
        length = len(places) + 1
        parts = [self._field(field, hints[field.name], places.get(field.name)) for field in fields(cls)]

        def read(value: Any, context: Any) -> Any:
            if type(value) is not list or len(value) != length or value[0] != number:
                raise UnreadableError(f"no {cls.__name__}")
            return cls(*[part(value, context) for part in parts])

        return read

    def _field(self, field: Field[Any], kind: Any, place: int | None) -> Read:
        if place is not None:
            inner = self._of(kind)
            return lambda value, context: inner(value[place], context)
        if field.default is not MISSING:
            return lambda _value, _context: field.default
        if field.default_factory is not MISSING:
            make = field.default_factory
            return lambda _value, _context: make()
        return _absent(field)


def _names(cls: type) -> list[str]:
    return [field.name for field in fields(cls)]


def _writer(number: int, cls: type) -> Callable[[Any], Any]:
    names = _names(cls)
    if not names:
        return lambda _value: (number,)
    if len(names) == 1:
        get_one = attrgetter(names[0])
        return lambda value: (number, get_one(value))
    get = attrgetter(*names)
    return lambda value: (number, *get(value))


def _octets_to_text(octets: bytes) -> str:
    return b2a_base64(octets, newline=False).decode()


def _address_to_text(address: IPAddress) -> str:
    return address.packed.hex()


def _network_to_text(network: IPNetwork) -> str:
    return f"{network.network_address.packed.hex()}/{network.prefixlen}"


def _parse(octets: bytes) -> Any:
    try:
        return json.loads(octets, parse_float=_no_number, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise UnreadableError("octets that cannot be parsed") from None


def _no_number(_text: str) -> None:
    raise UnreadableError("a number that is not whole")


def _parse_layout(layout: bytes) -> Classes:
    value = _parse(layout)
    read = _list(_tuple([_text, _list(_text, tuple)]), tuple)
    classes: Classes = read(value, None)
    for names in ([name for name, _ in classes], *(names for _, names in classes)):
        if len(names) != len(dict.fromkeys(names)):
            raise UnreadableError("a layout with one name twice")
    return classes


def _absent(what: Any) -> Read:
    name = getattr(what, "name", None) or what.__name__

    def read(_value: Any, _context: Any) -> Any:
        raise UnreadableError(f"{name} is missing")

    return read


def _number(value: Any, _context: Any) -> int:
    if type(value) is not int or abs(value) > MAX_NUMBER:
        raise UnreadableError("no number")
    return value


def _truth(value: Any, _context: Any) -> bool:
    if type(value) is not bool:
        raise UnreadableError("neither true nor false")
    return value


def _text(value: Any, _context: Any) -> str:
    if type(value) is not str:
        raise UnreadableError("no text")
    return value


def _octets(value: Any, _context: Any) -> bytes:
    try:
        return b64decode(_text(value, None), validate=True)
    except ValueError:
        raise UnreadableError("no octets") from None


def _hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise UnreadableError("no address") from None


def _address(value: Any, _context: Any) -> IPAddress:
    packed = _hex(_text(value, None))
    kind = _ADDRESSES.get(len(packed))
    if kind is None:
        raise UnreadableError("no address")
    return kind(packed)


def _network(value: Any, _context: Any) -> IPNetwork:
    packed, _, length = _text(value, None).partition("/")
    kind = _NETWORKS.get(len(_hex(packed)))
    if kind is None or not (length.isascii() and length.isdecimal()):
        raise UnreadableError("no network")
    return kind((_hex(packed), int(length)))


_SIMPLE: dict[Any, Read] = {
    int: _number,
    bool: _truth,
    str: _text,
    bytes: _octets,
    **dict.fromkeys((IPAddress, IPv4Address, IPv6Address), _address),
    **dict.fromkeys((IPNetwork, IPv4Network, IPv6Network), _network),
}


def _enum(kind: type[Enum]) -> Read:
    by_value = {(type(one.value), one.value): one for one in kind}

    def read(value: Any, _context: Any) -> Enum:
        found = by_value.get((type(value), value)) if isinstance(value, int | str) else None
        if found is None:
            raise UnreadableError(f"no {kind.__name__}")
        return found

    return read


def _optional(inner: Read) -> Read:
    return lambda value, context: None if value is None else inner(value, context)


def _list(inner: Read, kind: type[Any]) -> Read:
    def read(value: Any, context: Any) -> Any:
        if type(value) is not list:
            raise UnreadableError("no list")
        return kind([inner(one, context) for one in value])

    return read


def _tuple(parts: list[Read]) -> Read:
    def read(value: Any, context: Any) -> Any:
        if type(value) is not list or len(value) != len(parts):
            raise UnreadableError("a list of another length")
        return tuple([part(one, context) for part, one in zip(parts, value, strict=True)])

    return read


def _key_number(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or (text[0] == "0" and text != "0"):
        raise UnreadableError("no number")
    return int(text)


_KEYS: dict[Any, Callable[[str], Any]] = {int: _key_number, str: str}


def _dict(key: Callable[[str], Any], inner: Read) -> Read:
    def read(value: Any, context: Any) -> Any:
        if type(value) is not dict:
            raise UnreadableError("no table")
        return {key(name): inner(one, context) for name, one in value.items()}

    return read
