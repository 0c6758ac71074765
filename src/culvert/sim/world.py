"""A world of endpoints in which everything follows from a seed: time, randomness, the network, the data planes."""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass, field, replace
from ipaddress import ip_address

from culvert.addresses import IPAddress, SocketAddress
from culvert.clock import SECOND
from culvert.config.model import Child
from culvert.entropy import SeededEntropy
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
    Configured,
    DatagramReceived,
    DeadlineReached,
    EngineRestarted,
    Event,
    PathResolved,
)
from culvert.ike.logs import ERROR
from culvert.ike.status import PeerState
from culvert.ipsec.associations import AssociationId, Direction, SecurityAssociation
from culvert.reasons import Refusal
from culvert.sim.invariants import Broken, DataPlane, Wire, agree, reach
from culvert.sim.link import Link
from culvert.wire.isakmp.encrypted import PREFIX_OCTETS
from culvert.wire.isakmp.header import read_header
from culvert.wire.isakmp.numbers import ExchangeType, PayloadType

UTC_OFFSET_S = 1_800_000_000
"""The worlds begin on 15 January 2027."""
MAX_EVENTS = 200_000
"""Events of one run; a run that settles has some hundreds."""
RETIRE_NS = 10 * SECOND
"""How long inherited associations are kept beside their successors."""


@dataclass(slots=True)
class Node:
    """An endpoint with its address and its data plane. Behind a NAT, `nat` is what others see of it.

    `inherited` are associations of a former process, with their reqids, and `blobs` its checkpoints.
    """

    name: str
    address: IPAddress
    endpoint: Endpoint
    plane: DataPlane
    nat: Nat | None = None
    configured: Configured | None = None
    inherited: dict[AssociationId, int] = field(default_factory=dict)
    blobs: dict[bytes, bytes] = field(default_factory=dict)

    def keep(self, key: bytes, data: bytes | None) -> None:
        """Keep a checkpoint for the process that comes after, or forget it."""
        if data is None:
            self.blobs.pop(key, None)
        else:
            self.blobs[key] = data

    def children(self, peer: str) -> list[Child]:
        """Give what is configured for a peer."""
        peers = self.configured.peers if self.configured else ()
        return [child for known in peers if known.name == peer for child in known.children]

    def up(self, peer: str) -> bool:
        """Tell whether this end says that the tunnel to a peer is up."""
        status = self.endpoint.statuses().get(peer)
        return status is not None and status.state is PeerState.UP

    def seen(self, local: SocketAddress) -> SocketAddress:
        """Give the source that others see for a datagram from `local`."""
        return self.nat.outward(local) if self.nat else local

    def behind(self, remote: SocketAddress) -> SocketAddress | None:
        """Give our own end for a datagram to `remote`, or None where it does not lead here."""
        if self.nat:
            return self.nat.inward(remote, self.address)
        return remote if remote.ip == self.address else None


@dataclass(slots=True)
class Nat:
    """A translator with one public address. Ports are given out in order; after `rebind`, others."""

    public: IPAddress
    ports: dict[int, int] = field(default_factory=dict)
    next_port: int = 20_000

    def outward(self, local: SocketAddress) -> SocketAddress:
        if local.port not in self.ports:
            self.ports[local.port] = self.next_port
            self.next_port += 1
        return SocketAddress(self.public, self.ports[local.port])

    def inward(self, remote: SocketAddress, address: IPAddress) -> SocketAddress | None:
        if remote.ip != self.public:
            return None
        inside = next((inner for inner, outer in self.ports.items() if outer == remote.port), None)
        return SocketAddress(address, inside) if inside is not None else None

    def rebind(self) -> None:
        """Forget the translations, as a router does that restarts."""
        self.ports.clear()


@dataclass(slots=True)
class World:
    """Runs events in the order of their instants; `trace` tells what happened, a line each.

    `names` are host names with their addresses. `forbidden` are reasons that nothing may end with at the moment.
    `steady`: nothing is lost now but what the endpoints themselves let go.
    """

    link: Link
    nodes: dict[str, Node] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    wire: Wire = field(default_factory=Wire)
    trace: list[str] = field(default_factory=list)
    forbidden: tuple[Refusal, ...] = ()
    steady: bool = False
    now: int = 0
    events: int = 0
    _queue: list[tuple[int, int, str, Event | AssociationId]] = field(default_factory=list)
    _count: int = 0

    def add(self, name: str, address: str, seed: int) -> Node:
        self.nodes[name] = Node(name, ip_address(address), self._endpoint(seed), DataPlane(name))
        return self.nodes[name]

    def _endpoint(self, seed: int) -> Endpoint:
        """Make an endpoint that knows the time of day."""
        endpoint = Endpoint(SeededEntropy(seed), self.now)
        endpoint.step(CalendarSet(UTC_OFFSET_S), self.now)
        return endpoint

    def at(self, instant: int, name: str, event: Event) -> None:
        """Let an event happen at an endpoint."""
        self._count += 1
        heapq.heappush(self._queue, (instant, self._count, name, event))

    def run(self, until: int) -> None:
        """Let time pass, up to and including the instant `until`. Raise Broken where an invariant does not hold."""
        while (due := self._next()) is not None and due[0] <= until:
            self.events += 1
            if self.events > MAX_EVENTS:
                raise Broken("the world does not come to rest")
            self.now = max(self.now, due[0])
            self._happen(due[1])
        self.now = max(self.now, until)

    def _next(self) -> tuple[int, str] | None:
        """Give the next instant, and the endpoint whose deadline it is; an empty name stands for the queue."""
        candidates = [(self._queue[0][0], "")] if self._queue else []
        for node in self.nodes.values():
            deadline = node.endpoint.deadline()
            if deadline is not None:
                candidates.append((deadline[0], node.name))
        return min(candidates, default=None)

    def _happen(self, name: str) -> None:
        if name:
            self._step(self.nodes[name], DeadlineReached())
            return
        _, _, name, event = heapq.heappop(self._queue)
        if isinstance(event, AssociationId):
            self.nodes[name].plane.remove(event)
            self._deliver(self.nodes[name])
            return
        if isinstance(event, DatagramReceived):
            self.wire.delivered(name, event.data)
            self._tell(f"{name} receives {describe(event.data)}")
        else:
            self._tell(f"{name} {type(event).__name__}")
        self._prepare(self.nodes[name], event)
        self._step(self.nodes[name], event)

    def _prepare(self, node: Node, event: Event) -> None:
        if isinstance(event, Configured):
            node.configured = event
        elif isinstance(event, EngineRestarted):
            node.plane.flush()
            node.blobs.clear()

    def restart(self, name: str) -> None:
        """Let the machine of an endpoint restart: nothing of its IKE SAs and associations is left."""
        node = self.nodes[name]
        node.plane.flush()
        node.blobs.clear()
        node.endpoint = self._endpoint(self.link.random.getrandbits(64))
        self._tell(f"{name} restarts")
        if node.configured is not None:
            self._step(node, node.configured)

    def replace(self, name: str) -> None:
        """Let the process of an endpoint be killed and another one take over its data plane."""
        node = self.nodes[name]
        node.inherited = {one.id: one.reqid for one in node.plane.associations.values()}
        node.endpoint = self._endpoint(self.link.random.getrandbits(64))
        self._tell(f"{name} is taken over")
        if node.configured is not None:
            held = tuple(dict.fromkeys(node.inherited.values()))
            self._step(node, replace(node.configured, held=held))

    def _outlived(self, node: Node, association: SecurityAssociation) -> None:
        """What was inherited goes a while after its successors came, as the gateway does it."""
        if association.direction is Direction.OUT:
            for id_ in [id_ for id_, reqid in node.inherited.items() if reqid == association.reqid]:
                del node.inherited[id_]
                self._count += 1
                heapq.heappush(self._queue, (self.now + RETIRE_NS, self._count, node.name, id_))

    def _step(self, node: Node, event: Event) -> None:
        for action in node.endpoint.step(event, self.now):
            self._do(node, action)

    def _do(self, node: Node, action: Action) -> None:
        match action:
            case Transmit():
                self._transmit(node, action)
            case InstallAssociation(association):
                self._tell(f"{node.name} installs {association.direction} {association.id}")
                node.plane.install(association)
                self._outlived(node, association)
                for other in self.nodes.values():
                    agree(node.plane, other.plane)
                    agree(other.plane, node.plane)
                self._deliver(node)
            case MoveAssociation(before, association):
                held = node.plane.move(before.id, association)
                self._tell(f"{node.name} moves {association.direction if held else 'the missing'} {association.id}")
            case RemoveAssociation(id_):
                removed = node.plane.associations.get(id_)
                self._tell(f"{node.name} removes {removed.direction if removed else 'the missing'} {id_}")
                node.plane.remove(id_)
                self._deliver(node)
            case ResolvePath(peer, addresses):
                paths = tuple((node.address, ip_address(self.names.get(one, one))) for one in addresses)
                self.at(self.now, node.name, PathResolved(peer, paths))
            case Checkpoint(key, data):
                node.keep(key, data)
            case Log(level, _, message, reason):
                self._tell(f"{node.name} says: {message}")
                if level >= ERROR or (reason is not None and reason in self.forbidden):
                    raise Broken(f"{node.name}: {message}")

    def _deliver(self, node: Node) -> None:
        """See that packets arrive between this endpoint and every other one, as soon as both call the tunnel up."""
        for other in self.nodes.values() if self.steady else ():
            if node.up(other.name) and other.up(node.name):
                reach(node.plane, other.plane, [child.reqid for child in node.children(other.name)])
                reach(other.plane, node.plane, [child.reqid for child in other.children(node.name)])

    def _transmit(self, node: Node, action: Transmit) -> None:
        if len(action.data) == 1:
            return
        self.wire.sent(node.name, action.data)
        arrivals = self.link.deliveries(self.now)
        fate = "" if arrivals else " (lost)"
        self._tell(f"{node.name} sends {describe(action.data)}{fate}")
        origin = node.seen(action.local)
        for other in self.nodes.values():
            end = other.behind(action.remote)
            for instant in arrivals if end is not None else ():
                self.at(instant, other.name, DatagramReceived(end or action.remote, origin, action.data))

    def _tell(self, text: str) -> None:
        self.trace.append(f"{self.now / SECOND:10.4f}  {text}")


def describe(data: bytes) -> str:
    """Name a message by what its header shows."""
    header = read_header(data)
    kind = header.exchange.name if isinstance(header.exchange, ExchangeType) else f"exchange {header.exchange}"
    role = "response" if header.response else "request"
    side = "i" if header.initiator else "r"
    return (
        f"{kind} {role} {header.message_id}{_fragment(data)} [{header.spi_i.hex()[:6]}/{header.spi_r.hex()[:6]} {side}]"
    )


def _fragment(data: bytes) -> str:
    """Name a fragment by its place, a whole message by nothing."""
    if read_header(data).next_payload != PayloadType.SKF:
        return ""
    number, total = (int.from_bytes(data[at : at + 2], "big") for at in (PREFIX_OCTETS, PREFIX_OCTETS + 2))
    return f" ({number} of {total})"


def source(seed: int) -> random.Random:
    """Give the randomness of a run's network and plans."""
    return random.Random(seed)
