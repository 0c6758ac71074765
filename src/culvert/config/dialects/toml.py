"""gateway.toml: text -> tables. Every problem is found in one go and carries its file and line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from culvert.config.dialects.toml_lines import lines_of
from culvert.config.dialects.toml_tables import (
    Document,
    GatewayTable,
    GifTable,
    IncludedDocument,
    PeerTable,
)
from culvert.config.dialects.toml_unknown import unknown_key
from culvert.config.findings import Findings, UnusableError
from culvert.config.gifs import gif_name
from culvert.config.model import Origin
from culvert.config.origins import Origins, Path
from culvert.config.values import name

M = TypeVar("M", bound=BaseModel)

MAX_PASSES = 4
"""How often a document is judged again without its bad values; two passes are enough in practice."""
_PLACE = re.compile(r"\s*\(at (?:line (\d+), column (\d+)|end of document)\)$")


@dataclass(slots=True)
class Tables:
    """What one file says. Values that could not be used are left out, and `origins.spoiled` names them."""

    origins: Origins
    gateway: GatewayTable = field(default_factory=GatewayTable)
    includes: list[str] = field(default_factory=list)
    peers: dict[str, PeerTable] = field(default_factory=dict)
    gifs: dict[str, GifTable] = field(default_factory=dict)


def read(text: str, file: str, findings: Findings) -> Tables | None:
    """Read a main file. None where it is no TOML at all."""
    found = _document(text, file, findings, Document)
    if found is None:
        return None
    document, tables = found
    if document.gateway is None and not tables.origins.is_spoiled("gateway"):
        findings.problem(
            Origin(file),
            "there is no [gateway] section",
            "Begin the file with [gateway] and networks = [...] below it.",
        )
    tables.gateway = document.gateway or GatewayTable()
    tables.includes = tables.gateway.include or []
    tables.peers = _named(document.peers, tables.origins, findings)
    tables.gifs = document.gif or {}
    for gif in tables.gifs:
        _checked(gif_name, gif, tables.origins.at("gif", gif), findings)
    return tables


def read_included(text: str, file: str, findings: Findings) -> Tables | None:
    """Read a file that another includes: it holds peers. None where it is no TOML at all."""
    found = _document(text, file, findings, IncludedDocument)
    if found is None:
        return None
    document, tables = found
    tables.includes = (document.gateway.include if document.gateway else None) or []
    tables.peers = _named(document.peers, tables.origins, findings)
    return tables


def _document(text: str, file: str, findings: Findings, kind: type[M]) -> tuple[M, Tables] | None:
    try:
        data = tomllib.loads(text)
        lines = lines_of(text)
    except tomllib.TOMLDecodeError as error:
        _not_toml(str(error), text, file, findings)
        return None
    except RecursionError:
        findings.problem(Origin(file), "lists or tables are nested too deeply", "A configuration needs no such thing.")
        return None
    origins = Origins(Origin(file))
    origins.add(file, lines)
    return _validated(kind, data, origins, findings), Tables(origins)


def _not_toml(message: str, text: str, file: str, findings: Findings) -> None:
    place = _PLACE.search(message)
    line = int(place[1]) if place and place[1] else text.rstrip().count("\n") + 1
    column = f" (column {place[2]})" if place and place[2] else ""
    findings.problem(
        Origin(file, line),
        f"this line is not TOML: {_PLACE.sub('', message)}{column}",
        'Lines are `[section]` or `key = "value"`; strings and networks stand in double quotes.',
    )


def _validated(kind: type[M], data: dict[str, Any], origins: Origins, findings: Findings) -> M:
    """Judge `data`; report what is bad, leave it out, and give the rest, so that the rest is judged as well."""
    for _ in range(MAX_PASSES):
        try:
            return kind.model_validate(data)
        except ValidationError as failure:
            errors = failure.errors(include_url=False, include_input=False)
        for error in errors:
            _report(error, origins, findings)
            origins.spoil(error["loc"])
        for error in sorted(errors, key=lambda error: _deepest_last(error["loc"]), reverse=True):
            _prune(data, error["loc"])
    return kind()


def _deepest_last(path: Path) -> tuple[int, tuple[int, ...]]:
    return len(path), tuple(part for part in path if isinstance(part, int))


def _prune(data: Any, path: Path) -> None:
    """Remove the value at `path`, or the nearest thing that holds it (a string may stand for a list of one)."""
    holder, last = data, path[0]
    for part in path[1:]:
        inside = _inside(holder, last)
        if not isinstance(inside, dict | list) or _inside(inside, part) is None:
            break
        holder, last = inside, part
    if _inside(holder, last) is not None:
        del holder[last]


def _inside(holder: Any, part: str | int) -> Any:
    if isinstance(holder, dict):
        return holder.get(part)
    return holder[part] if isinstance(holder, list) and isinstance(part, int) and part < len(holder) else None


def _report(error: ErrorDetails, origins: Origins, findings: Findings) -> None:
    path = error["loc"]
    key = next((part for part in reversed(path) if isinstance(part, str)), "")
    if error["type"] == "extra_forbidden":
        what, what_to_do = unknown_key(path)
    elif error["type"] == "unusable":
        what, what_to_do = error["ctx"]["what"].replace("{key}", key), error["ctx"]["what_to_do"]
    elif error["type"] in ("model_type", "model_attributes_type", "dict_type"):
        what, what_to_do = f"{key} must be a table", "Write it as [section] with keys below."
    else:
        what, what_to_do = f"{key}: {error['msg']}", ""
    findings.problem(origins.at(*path), what, what_to_do)


def _named(peers: dict[str, PeerTable] | None, origins: Origins, findings: Findings) -> dict[str, PeerTable]:
    """Check the names of peers and children, which are keys here."""
    for peer, table in (peers or {}).items():
        _checked(name, peer, origins.at("peers", peer), findings)
        for child in table.children or {}:
            _checked(name, child, origins.at("peers", peer, "children", child), findings)
    return peers or {}


def _checked(check: Callable[[str], str], text: str, origin: Origin, findings: Findings) -> None:
    try:
        check(text)
    except UnusableError as failure:
        findings.problem(origin, failure.what, failure.what_to_do)
