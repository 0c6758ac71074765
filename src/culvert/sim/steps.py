"""What may be done to a simulated world: by people, by the data planes, by machines that fail, and by the network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address

from culvert.clock import SECOND
from culvert.ike.events import (
    AssociationExpired,
    CalendarSet,
    CheckpointsLost,
    Configured,
    Connect,
    DebugSet,
    Disconnect,
    EngineRestarted,
    Event,
    NothingReceived,
    PathsChanged,
    RekeyRequested,
    Stop,
)
from culvert.ike.logs import IKE
from culvert.ipsec.associations import Direction
from culvert.sim import forgeries, packets
from culvert.sim.nat import Nat
from culvert.sim.network import ETHERNET_MTU
from culvert.sim.node import UTC_OFFSET_S
from culvert.sim.setting import HUB, HUB_NAME, Change, Setting
from culvert.sim.world import World

RESTARTS_AFTER_NS = 3 * SECOND
"""How long a gateway that was stopped stays away."""
NOTICED_AFTER_NS = SECOND // 10
"""When the host tells a gateway that its address is another."""


class Verb(StrEnum):
    """What is done. `who` does it, or it is done to; `what` says more where that is needed."""

    CONNECT = "connect"  # what: the peer
    DISCONNECT = "disconnect"  # what: the peer
    REKEY_CHILD = "rekey-child"  # what: the peer
    REKEY_IKE = "rekey-ike"  # what: the peer
    EXPIRE = "expire"  # what: soft or hard; of the oldest inbound association
    SEND = "send"  # packets of all policies
    CONFIGURE = "configure"  # what: a Change
    RESTART = "restart"  # the machine, all state lost
    TAKE_OVER = "take-over"  # the process, killed; the data plane goes on, and keeps what it needs
    DIE = "die"  # the same in the middle of an event; what: after how many of its actions
    FORGET = "forget"  # the same, and nothing was kept
    LOSE_ENGINE = "lose-engine"  # the data plane, killed
    LOSE_CHECKPOINTS = "lose-checkpoints"  # those that the data plane kept, and nothing else
    STOP = "stop"  # in good order, and back after a moment
    REBIND = "rebind"  # the translator in front of it forgets
    ROAM = "roam"  # it has another address
    LOSE_NAME = "lose-name"  # of the hub: nobody knows it any more
    FIND_NAME = "find-name"  # everybody does again
    SET_CALENDAR = "set-calendar"  # what: how many seconds off it is then
    DEBUG = "debug"  # what: "on", or nothing
    FALL_QUIET = "fall-quiet"  # traffic towards it has ended, as its data plane sees it
    CUT = "cut"  # what: to whom nothing gets through any more
    MEND = "mend"  # what: to whom it gets through again
    NARROW = "narrow"  # what: the MTU of all paths
    FORGE = "forge"  # what: a kind of forgery; who is the victim


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that is done."""

    verb: Verb
    who: str
    what: str = ""

    def __str__(self) -> str:
        return f"{self.verb} {self.who} {self.what}".rstrip()


@dataclass(frozen=True, slots=True)
class Done:
    """A step that waits for its instant in the world."""

    step: Step
    setting: Setting

    def happen(self, world: World) -> None:
        if self.step.who not in world.nodes:
            return  # a script that was shortened may speak of somebody whom its world no longer has
        world.tell(f"-- {self.step}")
        DO[self.step.verb](world, self.setting, self.step)


def _event(make: Callable[[Step], Event]) -> Callable[[World, Setting, Step], None]:
    """Hand an endpoint an event, unless there is no process that could take it."""
    return lambda world, _, step: _tell(world, step, make(step))


def _tell(world: World, step: Step, event: Event) -> None:
    node = world.nodes[step.who]
    if not node.stopped:
        world.occur(node, event)
    elif isinstance(event, Configured):
        node.configured = event


def _expire(world: World, _: Setting, step: Step) -> None:
    node = world.nodes[step.who]
    oldest = node.plane.side(Direction.IN)[:1] if not node.stopped else ()
    for association in oldest:
        hard = step.what == "hard"
        if hard:
            node.plane.remove(association.id)
            node.lost = True
        world.occur(node, AssociationExpired(association.id, hard))


def _send(world: World, _: Setting, step: Step) -> None:
    packets.send(world, world.nodes[step.who])


def _configure(world: World, setting: Setting, step: Step) -> None:
    _tell(world, step, setting.configured(step.who, Change(step.what or Change.NONE)))


def _restart(world: World, _: Setting, step: Step) -> None:
    world.restart(step.who)


def _take_over(world: World, _: Setting, step: Step) -> None:
    world.replace(step.who, checkpoints=step.verb is not Verb.FORGET)


def _die(world: World, _: Setting, step: Step) -> None:
    node = world.nodes[step.who]
    if not node.stopped:
        node.dies_after = int(step.what)


@dataclass(frozen=True, slots=True)
class _Back:
    """A gateway that was stopped starts again."""

    name: str

    def happen(self, world: World) -> None:
        if world.nodes[self.name].stopped:
            world.restart(self.name)


def _stop(world: World, _: Setting, step: Step) -> None:
    if not world.nodes[step.who].stopped:
        world.occur(world.nodes[step.who], Stop())
        world.plan(world.now + RESTARTS_AFTER_NS, _Back(step.who))


def _rebind(world: World, _: Setting, step: Step) -> None:
    nat = world.nodes[step.who].nat
    if nat is not None:
        nat.rebind()


def _roam(world: World, setting: Setting, step: Step) -> None:
    """Give a machine its next address; behind a translator of its own, that one has another."""
    node = world.nodes[step.who]
    if node.nat is not None and node.nat.forwards is None:
        if setting.translator is not None and not setting.translator.shared:
            node.nat.public += 16
            node.nat.rebind()
    elif node.nat is None and (setting.called_by_name if step.who == HUB else setting.by_identity):
        node.address += 16
        if step.who == HUB:
            name_hub(world)
    world.network.moved()
    paths = PathsChanged((node.address,), tuple(peer.name for peer in node.configured.peers) if node.configured else ())
    if not node.stopped:
        world.at(world.now + NOTICED_AFTER_NS, node.name, paths)


def name_hub(world: World) -> None:
    """Let the hub's name stand for where it is."""
    hub = world.nodes[HUB]
    world.names[HUB_NAME] = str(hub.nat.public if hub.nat else hub.address)


def _fall_quiet(world: World, _: Setting, step: Step) -> None:
    newest = world.nodes[step.who].plane.side(Direction.IN)[-1:]
    for association in newest:
        _tell(world, step, NothingReceived(association.id, False))


def _cut(world: World, _: Setting, step: Step) -> None:
    world.network.cut[step.who, step.what] = None


def _mend(world: World, _: Setting, step: Step) -> None:
    world.network.cut.pop((step.who, step.what), None)


def _narrow(world: World, _: Setting, step: Step) -> None:
    world.network.mtu = int(step.what or ETHERNET_MTU)


def _forge(world: World, _: Setting, step: Step) -> None:
    forgeries.forge(world, forgeries.Forgery(step.what), step.who)


DO: dict[Verb, Callable[[World, Setting, Step], None]] = {
    Verb.CONNECT: _event(lambda step: Connect(step.what)),
    Verb.DISCONNECT: _event(lambda step: Disconnect(step.what)),
    Verb.REKEY_CHILD: _event(lambda step: RekeyRequested(step.what)),
    Verb.REKEY_IKE: _event(lambda step: RekeyRequested(step.what, ike=True)),
    Verb.EXPIRE: _expire,
    Verb.SEND: _send,
    Verb.CONFIGURE: _configure,
    Verb.RESTART: _restart,
    Verb.TAKE_OVER: _take_over,
    Verb.DIE: _die,
    Verb.FORGET: _take_over,
    Verb.LOSE_ENGINE: _event(lambda _: EngineRestarted()),
    Verb.LOSE_CHECKPOINTS: _event(lambda _: CheckpointsLost()),
    Verb.LOSE_NAME: lambda world, *_: world.names.clear(),
    Verb.FIND_NAME: lambda world, *_: name_hub(world),
    Verb.SET_CALENDAR: _event(lambda step: CalendarSet(UTC_OFFSET_S + int(step.what))),
    Verb.DEBUG: _event(lambda step: DebugSet(frozenset({IKE} if step.what else ()))),
    Verb.FALL_QUIET: _fall_quiet,
    Verb.STOP: _stop,
    Verb.REBIND: _rebind,
    Verb.ROAM: _roam,
    Verb.CUT: _cut,
    Verb.MEND: _mend,
    Verb.NARROW: _narrow,
    Verb.FORGE: _forge,
}


def populate(world: World, setting: Setting, seed: int) -> None:
    """Put everybody in their place; nobody is configured yet."""
    shared: Nat | None = None
    for number, name in enumerate(setting.names):
        node = world.add(name, setting.address(name), (seed << 3) + number)
        if name != HUB and setting.translator is not None:
            shared = node.nat = shared if shared and setting.translator.shared else _translator(setting, number)
    if setting.hub_translated:
        hub = world.nodes[HUB]
        hub.nat = Nat(ip_address("203.0.113.1"), forwards=hub.address)
    name_hub(world)


def _translator(setting: Setting, number: int) -> Nat:
    kind = setting.translator
    if kind is None:
        raise ValueError("no translator in this setting")
    return Nat(
        ip_address(f"192.0.2.{number}"),
        mapping=kind.mapping,
        filtering=kind.filtering,
        preserves_ports=kind.preserves_ports,
        timeout_ns=kind.timeout_ns,
    )
