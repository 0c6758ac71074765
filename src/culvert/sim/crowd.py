"""One gateway and very many that call it."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from ipaddress import ip_address
from sys import getsizeof
from typing import Any

from culvert.config.model import Child, Peer, Start
from culvert.ike.events import Configured
from culvert.ipsec.selectors import traffic_selector
from culvert.sim.link import MILLISECOND, Recorded
from culvert.sim.node import Node
from culvert.sim.setting import ESP, IKE, SECRET
from culvert.sim.world import World

GATEWAY = "gateway"
ADDRESS = ip_address("203.0.113.1")
FIRST_CALLER = ip_address("100.64.0.1")
NETWORK = "192.168.0.0/16"
LATENCY = 10 * MILLISECOND
APART_NS = 5 * MILLISECOND
"""How far apart two of them begin: 200 tunnels are set up each second."""
EVENTS_EACH = 100


def crowd(count: int) -> World:
    """Make a world in which `count` gateways call one, a little after each other; nothing has happened yet."""
    world = World(Recorded(LATENCY, {}), most_events=count * EVENTS_EACH)
    world.add(GATEWAY, str(ADDRESS), 0)
    world.at(0, GATEWAY, Configured(tuple(_peer(caller_name(number), number) for number in range(count))))
    for number in range(count):
        world.add(caller_name(number), str(FIRST_CALLER + number), number + 1)
        world.at(number * APART_NS, caller_name(number), Configured((_peer(GATEWAY, number),)))
    return world


def caller_name(number: int) -> str:
    return f"caller{number}"


def _peer(name: str, number: int) -> Peer:
    """Describe one end to the other; callers always want their tunnel."""
    calls = name == GATEWAY
    behind_caller, behind_gateway = (traffic_selector(f"10.{number >> 8}.{number & 255}.0/24"),), (SHARED,)
    sides = (behind_caller, behind_gateway) if calls else (behind_gateway, behind_caller)
    child = Child(name, "net", *sides, proposals=ESP["plain"])
    address = ADDRESS if calls else FIRST_CALLER + number
    start = Start.ALWAYS if calls else Start.PASSIVE
    return Peer(name, (str(address),), None, None, (child,), secret=SECRET, proposals=IKE, start=start)


SHARED = traffic_selector(NETWORK)


def weight(node: Node) -> int:
    """Give the octets that a gateway's endpoint holds, with everything that it refers to."""
    seen: set[int] = set()
    waiting: list[Any] = [node.endpoint]
    total = 0
    while waiting:
        value = waiting.pop()
        if id(value) in seen or isinstance(value, type):
            continue
        seen.add(id(value))
        total += getsizeof(value)
        waiting += _within(value)
    return total


def _within(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [*value, *value.values()]
    if isinstance(value, list | tuple):
        return list(value)
    if is_dataclass(value):
        return [getattr(value, field.name) for field in fields(value)]
    held = getattr(value, "__dict__", None)
    return [held] if isinstance(held, dict) else []
