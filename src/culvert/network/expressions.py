"""The few nftables JSON expressions that our table is made of (libnftables-json(5))."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, summarize_address_range
from typing import Any

from culvert.addresses import IPNetwork
from culvert.network.boxes import Box

Json = dict[str, Any]

IP = {4: "ip", 6: "ip6"}
ADDRESS_TYPE = {4: "ipv4_addr", 6: "ipv6_addr"}


def match(left: Json, right: Any, op: str = "==") -> Json:
    return {"match": {"op": op, "left": left, "right": right}}


def meta(key: str) -> Json:
    return {"meta": {"key": key}}


def field(protocol: str, name: str) -> Json:
    return {"payload": {"protocol": protocol, "field": name}}


def any_of(values: Iterable[Any]) -> Json:
    """Build an anonymous set."""
    return {"set": list(values)}


def counter(name: str) -> Json:
    return {"counter": name}


def addresses(version: int, first: str, second: str) -> Json:
    """Concatenate two address fields: ("saddr", "daddr") or the other way round."""
    return {"concat": [field(IP[version], first), field(IP[version], second)]}


def prefix(network: IPNetwork) -> Any:
    if network.prefixlen == network.max_prefixlen:
        return str(network.network_address)
    return {"prefix": {"addr": str(network.network_address), "len": network.prefixlen}}


def element(box: Box, version: int) -> Json:
    """Render a box as an element of a set of local and remote addresses."""
    return {
        "concat": [
            _range(box.local_first, box.local_last, version),
            _range(box.remote_first, box.remote_last, version),
        ]
    }


def _range(first: int, last: int, version: int) -> Any:
    # A prefix reads better than a range in `nft list`, but nft takes no prefix of length 0 in a concatenation.
    address: type[IPv4Address | IPv6Address] = IPv4Address if version == 4 else IPv6Address
    start, end = address(first), address(last)
    networks: list[IPNetwork] = list(summarize_address_range(start, end))
    if len(networks) == 1 and networks[0].prefixlen:
        return prefix(networks[0])
    return {"range": [str(start), str(end)]}
