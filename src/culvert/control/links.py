"""gif links as the control socket speaks of them: a link to a document and back."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from typing import Any

from culvert.config.findings import UnusableError
from culvert.config.gifs import gif_name
from culvert.config.model import Ends, Gif
from culvert.config.values import shown

MAX_ENDS = 2
MAX_ROUTES = 1_024


def to_document(gif: Gif) -> dict[str, Any]:
    """Give the link as values that JSON has."""
    return {
        "name": gif.name,
        "outer": _ends(gif.outer) if gif.outer else None,
        "inner": [_ends(ends) for ends in gif.inner],
        "mtu": gif.mtu,
        "routes": [str(network) for network in gif.routes],
        "ecn": gif.ecn,
    }


def from_document(document: Mapping[str, Any]) -> Gif:
    """Read a link. Raise UnusableError with what is wrong."""
    try:
        outer, inner, routes = document.get("outer"), list(document["inner"]), list(document["routes"])
        if len(inner) > MAX_ENDS or len(routes) > MAX_ROUTES:
            raise UnusableError("more addresses or routes than a link has", f"{MAX_ROUTES} routes are the most.")
        mtu = document["mtu"]
        if type(mtu) is not int or not 0 < mtu < 1 << 16:
            raise UnusableError(f"{shown(str(mtu))} is no MTU", "Write a number of octets.")
        return Gif(
            name=gif_name(str(document["name"])),
            outer=_read(outer) if outer else None,
            inner=tuple(_read(ends) for ends in inner),
            mtu=mtu,
            routes=tuple(ip_network(str(network)) for network in routes),
            ecn=document["ecn"] is True,
        )
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, UnusableError):
            raise
        raise UnusableError("this describes no gif link", "name, outer, inner, mtu, routes and ecn do.") from error


def _ends(ends: Ends) -> list[str]:
    return [str(ends.local), str(ends.remote)]


def _read(ends: Any) -> Ends:
    local, remote = ends
    return Ends(ip_address(str(local)), ip_address(str(remote)))
