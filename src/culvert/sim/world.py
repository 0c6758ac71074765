"""A world of endpoints in which everything follows from a seed: time, randomness, the network, the data planes."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Protocol

from culvert.addresses import SocketAddress
from culvert.clock import SECOND
from culvert.entropy import Entropy, SeededEntropy
from culvert.ike.actions import (
    Action,
    Checkpoint,
    InstallAssociation,
    Log,
    MoveAssociation,
    RemoveAssociation,
    ResolvePath,
    Transmit,
)
from culvert.ike.endpoint import Endpoint
from culvert.ike.events import (
    CalendarSet,
    CheckpointsLost,
    Configured,
    DatagramReceived,
    DeadlineReached,
    EngineRestarted,
    Event,
    PathFailed,
    PathResolved,
    Stop,
)
from culvert.ike.logs import ERROR
from culvert.ipsec.associations import SecurityAssociation
from culvert.reasons import Refusal
from culvert.sim import invariants, packets
from culvert.sim.broken import Broken
from culvert.sim.link import Name, Way, damaged
from culvert.sim.nat import Nat
from culvert.sim.network import EAVESDROPPER, Network
from culvert.sim.node import UTC_OFFSET_S, Node
from culvert.sim.planes import DataPlane
from culvert.sim.recording import Observer
from culvert.sim.wire import Wire, header_of
from culvert.wire.isakmp.encrypted import PREFIX_OCTETS
from culvert.wire.isakmp.errors import ParseError
from culvert.wire.isakmp.header import Header
from culvert.wire.isakmp.numbers import ExchangeType, PayloadType

__all__ = ["Nat", "Node", "World", "describe", "kind_of"]
MAX_EVENTS = 200_000
"""Events of one run; a run that settles has some hundreds."""
KEEPALIVE_OCTETS = 1


class Happening(Protocol):
    """Something that waits for its instant."""

    def happen(self, world: World) -> None: ...


@dataclass(frozen=True, slots=True)
class Arrival:
    """A datagram on its way. `damaged` is the bit that is turned over, if one is."""

    sender: str
    origin: SocketAddress
    remote: SocketAddress
    data: bytes = field(repr=False)
    damaged: int | None = None

    def happen(self, world: World) -> None:
        world.arrive(self)


@dataclass(frozen=True, slots=True)
class Occurs:
    """An event at an endpoint."""

    name: str
    event: Event

    def happen(self, world: World) -> None:
        world.tell(f"{self.name} {type(self.event).__name__}")
        world.occur(world.nodes[self.name], self.event)


@dataclass(slots=True)
class World:
    """Runs events in the order of their instants; `trace` tells what happened, a line each.

    `names` are host names with their addresses. `forbidden` are reasons that nothing may end with at the moment.
    `steady`: nothing is lost now but what the endpoints themselves let go. `latency` is that of packets, and
    `traffic` whether there are any. `build` makes endpoints, and `draw` their randomness. `watched`: every invariant
    is looked at after every event.
    """

    link: Way
    nodes: dict[str, Node] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    wire: Wire = field(default_factory=Wire)
    trace: list[str] = field(default_factory=list)
    forbidden: tuple[Refusal, ...] = ()
    steady: bool = False
    latency: int = 0
    traffic: bool = False
    watched: bool = False
    build: Callable[[Entropy, int], Endpoint] = Endpoint
    draw: Callable[[int], Entropy] = SeededEntropy
    now: int = 0
    events: int = 0
    most_events: int = MAX_EVENTS
    packets: int = 0
    network: Network = field(init=False)
    observer: Observer | None = None
    rules: invariants.Rules = field(default_factory=invariants.Rules)
    overheard: dict[tuple[str, str], Arrival] = field(default_factory=dict)
    """The last datagram from each sender to each receiver, for forgers."""
    _queue: list[tuple[int, int, Happening]] = field(default_factory=list)
    _deadlines: list[tuple[int, str]] = field(default_factory=list)
    _count: int = 0
    _kinds: dict[tuple[str, str], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.network = Network(self.nodes)

    def add(self, name: str, address: str, seed: int) -> Node:
        self.nodes[name] = Node(name, ip_address(address), self._endpoint(seed), DataPlane(name), seed)
        self.network.moved()
        return self.nodes[name]

    def planned(self) -> list[Happening]:
        """Take away what was planned, in its order."""
        taken = [what for _, _, what in sorted(self._queue, key=lambda due: due[:2])]
        self._queue.clear()
        return taken

    def _endpoint(self, seed: int, utc_offset_s: int = UTC_OFFSET_S) -> Endpoint:
        """Make an endpoint that knows the time of day."""
        endpoint = self.build(self.draw(seed), self.now)
        endpoint.step(CalendarSet(utc_offset_s), self.now)
        return endpoint

    # --- time ---

    def at(self, instant: int, name: str, event: Event) -> None:
        """Let an event happen at an endpoint."""
        self.plan(instant, Occurs(name, event))

    def plan(self, instant: int, what: Happening) -> None:
        """Let something happen at an instant; things of one instant happen in the order in which they were planned."""
        self._count += 1
        heapq.heappush(self._queue, (instant, self._count, what))

    def run(self, until: int) -> None:
        """Let time pass, up to and including the instant `until`. Raise Broken where an invariant does not hold."""
        self._deadlines = [(due[0], node.name) for node in self.nodes.values() if (due := node.endpoint.deadline())]
        heapq.heapify(self._deadlines)
        while (instant := self._next()) is not None and instant <= until:
            self.events += 1
            if self.events > self.most_events:
                raise Broken("the world does not come to rest")
            self.now = max(self.now, instant)
            self._happen()
        self.now = max(self.now, until)

    def _next(self) -> int | None:
        """Give the instant of what comes next."""
        while self._deadlines:
            instant, name = self._deadlines[0]
            node = self.nodes.get(name)
            due = node.endpoint.deadline() if node else None
            if due is not None and due[0] == instant:
                break
            heapq.heappop(self._deadlines)
        instants = [heap[0][0] for heap in (self._queue, self._deadlines) if heap]
        return min(instants, default=None)

    def _happen(self) -> None:
        """Let happen what was planned; deadlines of the same instant come afterwards."""
        if self._queue and (not self._deadlines or self._queue[0][0] <= self._deadlines[0][0]):
            heapq.heappop(self._queue)[2].happen(self)
            return
        _, name = heapq.heappop(self._deadlines)
        self.step(self.nodes[name], DeadlineReached())

    # --- gateways ---

    def restart(self, name: str) -> None:
        """Let the machine of an endpoint restart: nothing of its IKE SAs and associations is left."""
        node = self.nodes[name]
        node.lose()
        self._new_process(node)
        self.tell(f"{name} restarts")
        if node.configured is not None:
            self.step(node, node.configured)

    def replace(self, name: str, *, checkpoints: bool = True) -> None:
        """Let the process of an endpoint be killed and another one take over its data plane, and its `checkpoints`."""
        node = self.nodes[name]
        if not checkpoints:
            node.blobs.clear()
        lost = node.lost
        self._new_process(node)
        node.lost = lost
        self.tell(f"{name} is taken over")
        if node.configured is not None:
            left = dict(node.blobs)
            self.step(node, replace(node.configured, held=node.plane.held(), checkpoints=tuple(left.values())))
            for key in [key for key, data in left.items() if node.blobs.get(key) is data]:
                del node.blobs[key]

    def _new_process(self, node: Node) -> None:
        node.lives, node.lost, node.stopped, node.dies_after = node.lives + 1, False, False, None
        self.wire.hurried.pop(node.name, None)
        node.endpoint = self._endpoint(node.seed + (node.lives << 40), node.utc_offset_s)

    def occur(self, node: Node, event: Event) -> None:
        """Hand an endpoint an event, with what it means for the machine around it."""
        if isinstance(event, Configured):
            node.configured = event
        elif isinstance(event, EngineRestarted):
            node.lose()
            node.lost = True
        elif isinstance(event, CheckpointsLost):
            node.blobs.clear()
        elif isinstance(event, CalendarSet):
            node.utc_offset_s = event.utc_offset_s
        elif isinstance(event, Stop):
            self.wire.hurried[node.name] = None
            node.stopped = True
        self.step(node, event)

    def step(self, node: Node, event: Event) -> None:
        """Let an endpoint take an event, do what it wants done, and see that all is as it must be."""
        actions = node.endpoint.step(event, self.now)
        if self.watched:
            invariants.in_order(node, actions)
        last = node.dies_after if actions else None
        for action in actions[:last]:
            self._do(node, action)
        if last is not None:
            self.replace(node.name)
            return
        due = node.endpoint.deadline()
        if due is not None:
            heapq.heappush(self._deadlines, (due[0], node.name))
        changed = any(isinstance(one, InstallAssociation | RemoveAssociation | MoveAssociation) for one in actions)
        if self.watched:
            self.rules.judge(self, node, changed=changed or isinstance(event, Configured))
        if self.traffic and changed:
            packets.send(self, node)

    def _do(self, node: Node, action: Action) -> None:
        match action:
            case Transmit():
                self._transmit(node, action)
            case InstallAssociation(association):
                self._install(node, association)
            case MoveAssociation(before, association):
                held = node.plane.move(before.id, association)
                self.tell(f"{node.name} moves {association.direction if held else 'the missing'} {association.id}")
            case RemoveAssociation(id_):
                removed = node.plane.associations.get(id_)
                self.tell(f"{node.name} removes {removed.direction if removed else 'the missing'} {id_}")
                node.plane.remove(id_)
            case ResolvePath(peer, addresses):
                self._resolve(node, peer, addresses)
            case Checkpoint(key, data):
                node.keep(key, data)
            case Log(level, _, message, reason):
                self.tell(f"{node.name} says: {message}")
                if level >= ERROR or (reason is not None and reason in self.forbidden):
                    raise Broken(f"{node.name}: {message}")

    def _install(self, node: Node, association: SecurityAssociation) -> None:
        self.tell(f"{node.name} installs {association.direction} {association.id}")
        node.plane.install(association)
        invariants.paired(self, node, association)

    def _resolve(self, node: Node, peer: str, addresses: tuple[str, ...]) -> None:
        found = [self.names.get(one, one) for one in addresses]
        try:
            paths = tuple((node.address, ip_address(one)) for one in found)
        except ValueError:
            self.at(self.now, node.name, PathFailed(peer, Refusal.NO_ROUTE, f"{found} has no address"))
            return
        self.at(self.now, node.name, PathResolved(peer, paths))

    # --- datagrams ---

    def _transmit(self, node: Node, action: Transmit) -> None:
        origin = node.seen(action.local, action.remote, self.now)
        if len(action.data) == KEEPALIVE_OCTETS:
            return
        self.wire.sent(node.name, action.data)
        fate = self.link.fate(self._named(node.name, action.data), self.now)
        if origin is None or not self.network.fits(action.remote, len(action.data)):
            fate = ()
        self.tell(f"{node.name} sends {describe(action.data)}{'' if fate else ' (lost)'}")
        if self.observer is not None:
            self.observer.sent(self.now, node, action, fate)
        for copy in fate:
            source = SocketAddress(EAVESDROPPER, action.local.port) if copy.elsewhere or not origin else origin
            arrival = Arrival(node.name, source, action.remote, action.data, copy.damaged)
            self.plan(self.now + copy.after, arrival)

    def _named(self, sender: str, data: bytes) -> Name:
        """Name a datagram by what stays the same where other things are left out of a script."""
        kind = kind_of(data)
        number = self._kinds[sender, kind] = self._kinds.get((sender, kind), 0) + 1
        return sender, kind, number

    def arrive(self, arrival: Arrival) -> None:
        """Hand a datagram to whoever is there."""
        found = self.network.receivers(arrival.sender, arrival.origin, arrival.remote, self.now)
        if not found:
            self.tell(f"nobody receives {describe(arrival.data)}")
        for node, local in found:
            self._receive(node, local, arrival)

    def _receive(self, node: Node, local: SocketAddress, arrival: Arrival) -> None:
        data = arrival.data
        if arrival.damaged is not None:
            data = damaged(data, arrival.damaged)
        elif arrival.sender in self.nodes:
            self.overheard[arrival.sender, node.name] = arrival
            self.wire.delivered(node.name, data)
        harm = " (damaged)" if arrival.damaged is not None else ""
        self.tell(f"{node.name} receives {describe(arrival.data)}{harm}")
        if self.observer is not None:
            self.observer.received(self.now, node, arrival)
        self.step(node, DatagramReceived(local, arrival.origin, data))

    def tell(self, text: str) -> None:
        """Write a line of the trace."""
        self.trace.append(f"{self.now / SECOND:10.4f}  {text}")
        if self.observer is not None:
            self.observer.told(self.now, text)


def describe(data: bytes) -> str:
    """Name a message by what its header shows."""
    try:
        header = header_of(data)
    except ParseError:
        return f"{len(data)} octets"
    side = "i" if header.initiator else "r"
    spis = f"{header.spi_i.hex()[:6]}/{header.spi_r.hex()[:6]}"
    return f"{kind_of(data)} {header.message_id}{_fragment(header, data)} [{spis} {side}]"


def _fragment(header: Header, data: bytes) -> str:
    """Name a fragment by its place, a whole message by nothing."""
    if header.next_payload != PayloadType.SKF:
        return ""
    number, total = (int.from_bytes(data[at : at + 2], "big") for at in (PREFIX_OCTETS, PREFIX_OCTETS + 2))
    return f" ({number} of {total})"


def kind_of(data: bytes) -> str:
    """Name the exchange, and whether it is asked or answered."""
    try:
        header = header_of(data)
    except ParseError:
        return "datagram"
    kind = header.exchange.name if isinstance(header.exchange, ExchangeType) else f"exchange {header.exchange}"
    return f"{kind} {'response' if header.response else 'request'}"
