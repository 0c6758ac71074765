"""One gateway and very many that call it."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from ipaddress import ip_address
from sys import getsizeof
from typing import Any

from culvert.config.model import Child, Peer, Rekey, Start
from culvert.ike.events import Configured
from culvert.ipsec.associations import Direction, SecurityAssociation
from culvert.ipsec.selectors import TrafficSelector, traffic_selector
from culvert.sim.link import MILLISECOND, Recorded
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
REKEY_S = 60
"""How old a child gets, less up to a tenth; a hundredth of what is usual, so that all of them are rekeyed soon."""


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


def behind(number: int) -> TrafficSelector:
    """Give the network of a caller."""
    return traffic_selector(f"10.{number >> 8}.{number & 255}.0/24")


def _peer(name: str, number: int) -> Peer:
    """Describe one end to the other; callers always want their tunnel."""
    calls = name == GATEWAY
    behind_caller, behind_gateway = (behind(number),), (SHARED,)
    sides = (behind_caller, behind_gateway) if calls else (behind_gateway, behind_caller)
    child = Child(name, "net", *sides, proposals=ESP["plain"], rekey=Rekey(REKEY_S))
    address = ADDRESS if calls else FIRST_CALLER + number
    start = Start.ALWAYS if calls else Start.PASSIVE
    return Peer(name, (str(address),), None, None, (child,), secret=SECRET, proposals=IKE, start=start)


SHARED = traffic_selector(NETWORK)


def passing(world: World) -> dict[str, None]:
    """Send a packet through each tunnel and one back; give the callers whose packets both arrive.

    It arrives where the other end has the newest association for it, under the same key and for the same traffic.
    """
    gateway = world.nodes[GATEWAY].plane
    sends = {one.selectors[0].destination: one for one in gateway.side(Direction.OUT)}
    takes = {one.spi: one for one in gateway.side(Direction.IN)}
    found: dict[str, None] = {}
    for number in range(len(world.nodes) - 1):
        caller = world.nodes[caller_name(number)].plane
        there = next(reversed(caller.side(Direction.OUT)), None)
        back = sends.get(behind(number).networks()[0])
        if there and back and _opens(takes.get(there.spi), there) and _opens(caller.inbound(back.spi), back):
            found[caller_name(number)] = None
    return found


def _opens(received: SecurityAssociation | None, sent: SecurityAssociation) -> bool:
    return (
        received is not None
        and received.encryption_key == sent.encryption_key
        and received.selectors == sent.selectors
        and received.source == sent.source
    )


def weight(*values: Any) -> int:
    """Give the octets that values hold, with everything that they refer to; what they share counts once."""
    seen: set[int] = set()
    waiting: list[Any] = list(values)
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
