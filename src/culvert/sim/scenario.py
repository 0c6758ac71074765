"""One run: gateways are configured, the network is bad and then heals, keys are changed, and all must come to rest."""

from __future__ import annotations

import random
from dataclasses import replace
from ipaddress import ip_address

from culvert.addresses import NAT_PORT, SocketAddress
from culvert.clock import SECOND
from culvert.config.model import Child, Peer, Rekey, Start
from culvert.identities import Identity
from culvert.ike.events import (
    Configured,
    Connect,
    Disconnect,
    EngineRestarted,
    Event,
    MappingChanged,
    RekeyRequested,
)
from culvert.ike.status import Census, PeerState
from culvert.ipsec.associations import Direction
from culvert.ipsec.proposals import Proposal, esp_proposal, ike_proposal
from culvert.ipsec.selectors import traffic_selector
from culvert.reasons import Refusal
from culvert.sim.invariants import Broken
from culvert.sim.link import MILLISECOND, Link, drawn
from culvert.sim.world import Nat, Node, World, source

IKE: tuple[Proposal, ...] = (ike_proposal("aes128gcm16-prfsha256-x25519"),)
ESP: tuple[Proposal, ...] = (esp_proposal("aes128gcm16-x25519-none"),)
ESP_CHEAP: tuple[Proposal, ...] = (esp_proposal("aes128gcm16"),)
REST_NS = 400 * SECOND
"""How long a healed network may need: an IKE SA that one end believes dead is noticed by the other one's DPD first."""
INTERRUPTIONS = (
    "restart hub",
    "restart spoke",
    "take over hub",
    "take over spoke",
    "rebind",
    "disconnect",
    "reload",
)
SECRET = b"only for simulation, never for a gateway"


def play(seed: int) -> World:
    """Run one seed. Raise Broken, with the world's trace as `trace`, where anything does not hold."""
    world = World(Link(source(seed), drawn(source(seed + 1)), 0))
    try:
        _play(world, random.Random(seed + 2), seed)
    except Broken as broken:
        broken.trace = tuple(world.trace)
        raise
    return world


def _play(world: World, plan: random.Random, seed: int) -> None:
    pairs = _populate(world, plan, seed)
    world.link.heals_at = plan.randint(0, 40) * SECOND if plan.random() < 0.75 else 0
    world.steady = not world.link.heals_at
    for _ in range(plan.choice((0, 0, 1, 3))):
        _change_keys(world, plan, pairs, plan.randint(0, max(1, world.link.heals_at)))
    world.run(world.link.heals_at)
    _come_to_rest(world, pairs)
    # The network is never bad for as long as a request is repeated, so from here on nobody may give the other one up.
    world.forbidden = (Refusal.PEER_DEAD, Refusal.INVALID_SYNTAX)
    _collide(world, plan, pairs)
    _come_to_rest(world, pairs)
    if plan.random() < 0.4:
        _interrupt(world, plan, pairs)
        _come_to_rest(world, pairs)


def _populate(world: World, plan: random.Random, seed: int) -> list[tuple[Node, Node]]:
    """Make a hub and one to two spokes; who calls whom is drawn."""
    hub = world.add("hub", "203.0.113.1", seed * 8)
    count = 2 if plan.random() < 0.1 else 1
    spokes = [world.add(f"spoke{n}", f"198.51.100.{n}", seed * 8 + n) for n in range(1, count + 1)]
    esp = ESP if plan.random() < 0.3 else ESP_CHEAP
    at_hub: list[Peer] = []
    for number, spoke in enumerate(spokes, 1):
        if plan.random() < 0.25:
            spoke.nat = Nat(ip_address(f"192.0.2.{number}"))
        starts = plan.choice(
            (("always", "always"), ("always", "passive"), ("passive", "always"), ("always", "traffic"))
        )
        children = [f"net{n}" for n in range(plan.choice((1, 1, 1, 2)))]
        there = _peer(hub, spoke, number, children, esp=esp, start=Start(starts[1]))
        at_hub.append(_mirrored(there, spoke, Start(starts[0])))
        if spoke.nat:
            there, at_hub[-1] = _translated(there, at_hub[-1], spoke)
        world.at(plan.randint(0, 2_000) * MILLISECOND, spoke.name, Configured((there,)))
    world.at(plan.randint(0, 2_000) * MILLISECOND, hub.name, Configured(tuple(at_hub)))
    return [(hub, spoke) for spoke in spokes]


def _peer(to: Node, of: Node, number: int, names: list[str], *, esp: tuple[Proposal, ...], start: Start) -> Peer:
    children = tuple(
        Child(
            to.name,
            name,
            (traffic_selector(f"10.{number}.{at}.0/24"),),
            (traffic_selector(f"10.100.{at}.0/24"),),
            proposals=esp,
            rekey=Rekey(3600),
        )
        for at, name in enumerate(names)
    )
    return Peer(
        to.name, (str(to.address),), None, None, children, secret=SECRET + of.name.encode(), proposals=IKE, start=start
    )


def _translated(at_spoke: Peer, at_hub: Peer, spoke: Node) -> tuple[Peer, Peer]:
    """A spoke behind a NAT is known by a name, and calls."""
    name = Identity.parse(f"{spoke.name}.example.org")
    return replace(at_spoke, local_identity=name, start=Start.ALWAYS), replace(at_hub, identity=name, addresses=())


def _mirrored(peer: Peer, to: Node, start: Start) -> Peer:
    """Write the same tunnel as the other end sees it."""
    children = tuple(replace(one, peer=to.name, local=one.remote, remote=one.local) for one in peer.children)
    return replace(peer, name=to.name, addresses=(str(to.address),), children=children, start=start)


def _change_keys(world: World, plan: random.Random, pairs: list[tuple[Node, Node]], at: int) -> None:
    """Ask for other keys at one end."""
    one, other = plan.choice([*pairs, *((b, a) for a, b in pairs)])
    world.at(at, one.name, _demand(plan, other))


def _demand(plan: random.Random, other: Node) -> Event:
    return RekeyRequested(other.name, None, ike=plan.random() < 0.5)


def _collide(world: World, plan: random.Random, pairs: list[tuple[Node, Node]]) -> None:
    """Ask for other keys at both ends, so close to each other that they may meet on the way."""
    engines = False
    for one, other in pairs:
        kind = plan.choice(("child", "ike", "mixed", "engine"))
        engines |= kind == "engine"
        start = world.now + SECOND
        events = _collision(kind, one, other)
        for node, event in events:
            world.at(start + plan.randint(0, 60) * MILLISECOND, node.name, event)
    world.link.conditions = drawn(plan)
    world.link.heals_at = world.now + plan.choice((0, 0, 10)) * SECOND
    world.steady = not engines and world.link.heals_at == world.now
    world.run(max(world.link.heals_at, world.now + 2 * SECOND))


def _collision(kind: str, one: Node, other: Node) -> list[tuple[Node, Event]]:
    if kind == "child":
        return [(one, RekeyRequested(other.name)), (other, RekeyRequested(one.name))]
    if kind == "ike":
        return [(one, RekeyRequested(other.name, ike=True)), (other, RekeyRequested(one.name, ike=True))]
    if kind == "mixed":
        return [(one, RekeyRequested(other.name, ike=True)), (other, RekeyRequested(one.name))]
    return [(one, EngineRestarted()), (other, RekeyRequested(one.name))]


def _interrupt(world: World, plan: random.Random, pairs: list[tuple[Node, Node]]) -> None:
    """Let a machine or a daemon restart, a translator forget, a person end a tunnel for a while, or a file change."""
    hub, spoke = plan.choice(pairs)
    kind = plan.choice(INTERRUPTIONS)
    if kind != "rebind":
        # A set-up that is given up leaves the responder with an IKE SA that it must find dead.
        world.forbidden = ()
    world.steady = False
    if kind.startswith("restart"):
        world.restart(hub.name if kind == "restart hub" else spoke.name)
    elif kind.startswith("take over"):
        world.replace(hub.name if kind == "take over hub" else spoke.name)
    elif kind == "rebind" and spoke.nat:
        spoke.nat.rebind()
        if plan.random() < 0.5:
            _esp_from_elsewhere(world, plan, hub, spoke)
    elif kind == "disconnect":
        world.at(world.now, spoke.name, Disconnect(hub.name))
        world.at(world.now + plan.randint(0, 10_000) * MILLISECOND, spoke.name, Connect(hub.name))
    elif kind == "reload" and spoke.configured:
        changed = tuple(replace(peer, dpd_s=25) for peer in spoke.configured.peers)
        world.at(world.now, spoke.name, Configured(changed))
    world.link.conditions = drawn(plan)
    world.link.heals_at = world.now + plan.choice((0, 5, 20)) * SECOND
    world.steady = kind.startswith("take over") and world.link.heals_at == world.now
    # Long enough that an end which was lost would be missed.
    world.run(max(world.link.heals_at, world.now + 150 * SECOND))


def _esp_from_elsewhere(world: World, plan: random.Random, hub: Node, spoke: Node) -> None:
    """Let the hub's data plane see by the spoke's ESP, not by IKE, that the translator chose anew."""
    theirs = spoke.plane.side(Direction.OUT)
    remote = spoke.seen(SocketAddress(spoke.address, NAT_PORT))
    for one in hub.plane.side(Direction.IN):
        if any(sent.spi == one.spi for sent in theirs):
            world.at(world.now + plan.randint(0, 2_000) * MILLISECOND, hub.name, MappingChanged(one.id, remote))


def _come_to_rest(world: World, pairs: list[tuple[Node, Node]]) -> None:
    """Wait until nothing is under way any more, then judge."""
    give_up = world.now + REST_NS
    problem = "nothing happened"
    while world.now < give_up:
        world.run(world.now + 5 * SECOND)
        problem = unrest(pairs)
        if not problem:
            return
    raise Broken(f"no rest {REST_NS // SECOND} s after the network healed: {problem}")


def unrest(pairs: list[tuple[Node, Node]]) -> str:
    """Say what is not yet as it must be in the end, or nothing."""
    counts = {one.name: len(one.endpoint.statuses()) for pair in pairs for one in pair}
    for node in {one.name: one for pair in pairs for one in pair}.values():
        census = node.endpoint.census()
        children = sum(len(status.children) for status in node.endpoint.statuses().values())
        if census != Census(counts[node.name], 0, 0, children):
            return f"{node.name} holds {census}"
        if len(node.plane.associations) != 2 * children:
            return f"{node.name} has {len(node.plane.associations)} associations for {children} children"
    return next((problem for pair in pairs if (problem := _difference(*pair))), "")


def _difference(one: Node, other: Node) -> str:
    here, there = one.endpoint.status(other.name), other.endpoint.status(one.name)
    if PeerState.UP not in (here.state, there.state) or here.state != there.state:
        return f"{one.name} sees {here.state} ({here.reason}), {other.name} sees {there.state} ({there.reason})"
    if here.ike is None or there.ike is None or (here.ike.spi_i, here.ike.spi_r) != (there.ike.spi_i, there.ike.spi_r):
        return f"{one.name} and {other.name} have different IKE SAs"
    ours = sorted((child.name, child.inbound.spi, child.outbound.spi) for child in here.children)
    theirs = sorted((child.name, child.outbound.spi, child.inbound.spi) for child in there.children)
    if ours != theirs:
        return f"{one.name} has children {ours}, {other.name} has {theirs}"
    astray = [where for node, peer in ((one, other), (other, one)) if (where := _astray(node, peer))]
    if astray:
        return astray[0]
    received = [sa.spi for sa in other.plane.side(Direction.IN)]
    missing = [child.outbound for child in here.children if child.outbound.spi not in received]
    return f"{other.name} lacks {missing[0]}" if missing else ""


def _astray(sender: Node, receiver: Node) -> str:
    """Say which packets leave for where the receiver is no longer, or nothing."""
    known = [sa.spi for sa in receiver.plane.side(Direction.IN)]
    for sa in sender.plane.side(Direction.OUT):
        port = sa.encapsulation.destination_port if sa.encapsulation else NAT_PORT
        end = SocketAddress(sa.destination, port)
        if sa.spi in known and receiver.behind(end) is None:
            return f"{sender.name} sends on 0x{sa.spi:08x} to {end}, where {receiver.name} is not"
    return ""
