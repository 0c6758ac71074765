"""A gateway of two peers whose host, data plane and IKE core are in memory."""

import logging
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from culvert.clock import FakeClock
from culvert.config.model import Child, Gateway, Peer
from culvert.daemon.fake import FakeHost, FakeNetwork, FakePlane, Story
from culvert.daemon.gateway import Gateway as RunningGateway
from culvert.daemon.logging import Journal
from culvert.daemon.notify import ServiceManager
from culvert.daemon.parts import Parts
from culvert.daemon.paths import Resolver
from culvert.daemon.tasks import Tasks
from culvert.errors import ConfigurationError, Problem
from culvert.ike.events import CalendarSet
from culvert.ike.status import PeerState, PeerStatus
from culvert.ipsec.associations import Direction
from culvert.ipsec.policies import Action, Policy, Template
from culvert.ipsec.selectors import Selector, TrafficSelector
from culvert.network.ways import Way
from culvert.plan.desired import DesiredState, Firewall, Pair, Route, RouteKind
from culvert.plan.entries import NOBODY
from culvert.plan.runs import compile_runs

ANY = ip_address(0)
OURS = ip_network("192.168.1.0/24")
OUR_ADDRESS = ip_address("203.0.113.1")
THEIR_ADDRESS = ip_address("198.51.100.1")


class FakeCore:
    """An IKE core that does what its script says: actions by type of event. `calendar` is what it was told of that."""

    def __init__(self):
        self.events = []
        self.calendar = []
        self.script = {}
        self.peers = {}
        self.due = None

    def step(self, event, _now):
        if isinstance(event, CalendarSet):
            self.calendar.append(event.utc_offset_s)
            return []
        self.events.append(event)
        actions = self.script.get(type(event), [])
        return actions(event) if callable(actions) else list(actions)

    def deadline(self):
        return self.due

    def refused(self):
        return {}

    def status(self, peer):
        return self.peers[peer]

    def statuses(self):
        return dict(self.peers)

    def set(self, peer, state, **facts):
        self.peers[peer] = PeerStatus(peer, state, **facts)


@dataclass
class Loaded:
    gateway: Gateway
    warnings: tuple = ()


@dataclass
class World:
    """All parts of one gateway, and its file's content as a value that tests change."""

    configuration: Gateway
    story: Story = field(default_factory=Story)
    clock: FakeClock = field(default_factory=FakeClock)
    core: FakeCore = field(default_factory=FakeCore)
    problems: list = field(default_factory=list)
    subjects: list = field(default_factory=list)

    def __post_init__(self):
        self.network = FakeNetwork(self.story)
        self.plane = FakePlane(self.story)
        self.journal = Journal(logging.getLogger("culvert.test"))
        self.tasks = Tasks(self.journal)
        self.host = FakeHost({}, {THEIR_ADDRESS: Way(1, OUR_ADDRESS, 1500)})
        self.parts = Parts(
            load=self.load,
            plan=plan,
            tunnel_mtu=tunnel_mtu,
            prove=self.prove,
            network=self.network,
            data_plane=self.plane,
            core=self.core,
            resolver=Resolver(self.host),
            clock=self.clock,
            journal=self.journal,
            tasks=self.tasks,
            manager=ServiceManager(None),
        )
        self.gateway = RunningGateway(self.parts, Path("gateway.toml"))

    async def prove(self, subject):
        self.subjects.append(subject)
        return {"peer": subject.peer, "ok": True}

    def load(self, _path):
        if self.problems:
            raise ConfigurationError(self.problems)
        return Loaded(self.configuration, (Problem("the secret is short"),))


def child(peer, remote):
    network = ip_network(remote)
    return Child(peer, peer, (TrafficSelector.of_network(OURS),), (TrafficSelector.of_network(network),))


def peer(name, address, remote):
    return Peer(name, (address,), None, None, (child(name, remote),), secret=b"secret")


def configuration(*peers):
    return Gateway("office", (), (OURS,), peers or (peer("warehouse", str(THEIR_ADDRESS), "192.168.2.0/24"),))


def tunnel_mtu(_gateway, facts, suites):
    """UDP and the widest cipher, or what was negotiated."""
    udp = {peer: suite.udp for (peer, _), suite in suites.items()}
    return {name: mtu - (73 if udp.get(name, True) else 65) for name, mtu in facts.path_mtu}


def plan(gateway, facts, suites, others=NOBODY):
    """A plan good enough to see what is applied: one policy, one route and one fenced pair for each child."""
    remotes = [
        (one.reqid, network)
        for known in gateway.peers
        for one in known.children
        for network in one.remote[0].networks()
    ]
    mtu = min(tunnel_mtu(gateway, facts, suites).values(), default=None)
    return DesiredState(
        policies=tuple(
            Policy(Selector(OURS, network), Direction.OUT, Action.PROTECT, 0, (Template(ANY, ANY, reqid),))
            for reqid, network in remotes
        ),
        routes=tuple(Route(network, RouteKind.TUN, 100, mtu=mtu) for _, network in remotes),
        rules=(),
        firewall=Firewall(tuple(Pair(OURS, network) for _, network in remotes), out=compile_runs(others.out)),
        sysctls=(),
    )


@pytest.fixture
def world():
    return World(configuration())


@pytest.fixture
def make():
    """What tests build peers and configurations with."""

    class Make:
        configuration = staticmethod(configuration)
        peer = staticmethod(peer)
        ours = OUR_ADDRESS
        theirs = THEIR_ADDRESS
        states = PeerState

    return Make
