"""A key that is not known: which one was probably meant, and where it belongs."""

from __future__ import annotations

import difflib

from culvert.config.dialects.toml_tables import (
    ChildTable,
    Document,
    GatewayTable,
    GifTable,
    IncludedTable,
    PeerTable,
)
from culvert.config.origins import Path
from culvert.config.values import shown

_MEANT = {
    "psk": "secret",
    "pre_shared_key": "secret",
    "password": "secret",
    "subnet": "networks",
    "subnets": "networks",
    "networks": "remote",
    "endpoint": "address",
    "remote_address": "address",
    "id": "identity",
    "lifetime": "rekey",
    "esp": "esp_proposals",
    "keepalive": "dpd",
    "cert": "certificate",
    "certs": "certificate",
    "cert_file": "certificate",
    "private_key": "key",
    "keyfile": "key",
    "cacert": "ca",
    "cacerts": "ca",
    "cafile": "ca",
    "crls": "crl",
    "authby": "auth",
    "authentication": "auth",
}
"""What other programs call it."""


def unknown_key(path: Path) -> tuple[str, str]:
    """Give what is wrong and what to do about the key at `path`."""
    key = str(path[-1])
    section = _section(path)
    keys = _keys(path)
    if key in keys:
        return f"{key} cannot stand in an included file", "Write it into the main file's [gateway]."
    what = f"unknown key {shown(key)} in {section}" if path[:-1] else f"unknown section [{key}]"
    if (home := _home(key)) and path[:-1] and _MEANT.get(key) not in keys:
        return what, f"{key} belongs in {home}."
    if near := _near(key, keys):
        return what, f"Did you mean {near}?"
    return what, f"Known here: {', '.join(keys)}."


def _near(key: str, keys: list[str]) -> str | None:
    """The key that was probably meant: by another program's word, by its beginning, or by its letters."""
    if _MEANT.get(key) in keys:
        return _MEANT[key]
    begun = [known for known in keys if len(key) >= 3 and known.startswith(key)]
    return next(iter([*begun, *difflib.get_close_matches(key, keys, 1)]), None)


def _section(path: Path) -> str:
    return "[" + ".".join(str(part) for part in path[:-1]) + "]"


def _keys(path: Path) -> list[str]:
    if len(path) == 1:
        return list(Document.model_fields)
    if path[0] == "gateway":
        return list(GatewayTable.model_fields)
    if path[0] == "gif":
        return list(GifTable.model_fields)
    return list(ChildTable.model_fields if "children" in path[2:-1] else PeerTable.model_fields)


def _home(key: str) -> str | None:
    """The section in which `key` is known."""
    if key in GatewayTable.model_fields and key not in IncludedTable.model_fields and key not in PeerTable.model_fields:
        return "[gateway]"
    if key in PeerTable.model_fields:
        return "[peers.NAME]"
    return "[peers.NAME.children.NAME]" if key in ChildTable.model_fields else None
