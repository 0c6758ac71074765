"""What associations, policies, acquires and the host's network are told of while somebody wants to know."""

import asyncio
import logging
from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from culvert.addresses import SocketAddress
from culvert.daemon import drop_watch
from culvert.daemon.details import MAX_TOLD, tell_action, tell_changes, tell_event
from culvert.daemon.drop_watch import DropWatch
from culvert.daemon.fake import FakeNetwork, FakePlane, Story
from culvert.daemon.log_book import LogBook
from culvert.daemon.logging import Journal
from culvert.daemon.seams import CountedAssociation, DroppedPacket, HostChange
from culvert.daemon.telling import TellingNetwork
from culvert.ike import actions, events
from culvert.ike.status import ChildStatus, PeerState, PeerStatus
from culvert.ipsec.associations import AssociationId, Direction, Encapsulation, SecurityAssociation
from culvert.ipsec.proposals import esp_proposal
from culvert.ipsec.selectors import Selector
from culvert.plan.desired import DesiredState, Firewall, Pair, Route, RouteKind, Rule, Sysctl
from culvert.reasons import Refusal

OURS, THEIRS = ip_network("192.168.1.0/24"), ip_network("192.168.2.0/24")
HERE, THERE = ip_address("203.0.113.1"), ip_address("198.51.100.1")
KEY = bytes(range(100, 120))
ID = AssociationId(THERE, 0x1234)


@pytest.fixture
def journal(request):
    logger = logging.getLogger(f"culvert.test.{request.node.name}")
    logger.propagate = False
    book = LogBook()
    logger.handlers[:] = [book]
    journal = Journal(logger, book)
    journal.topics.keep(frozenset({"ike", "esp", "spd", "net"}))
    yield journal
    logger.handlers.clear()


def told(journal):
    return [f"{line['topic']}: {line['message']}" for line in journal.book.last(500)]


def association():
    (encryption,) = esp_proposal("aes128gcm16").encryption
    return SecurityAssociation(
        HERE,
        THERE,
        0x1234,
        Direction.OUT,
        77,
        encryption,
        KEY,
        encapsulation=Encapsulation(4500, 4501),
        selectors=(Selector(OURS, THEIRS),) * 10,
    )


@pytest.mark.parametrize(
    ("action", "said"),
    [
        (actions.InstallAssociation(association(), "office", "net"), "esp: An association is installed."),
        (actions.MoveAssociation(association(), association()), "esp: An association gets other ends."),
        (actions.RemoveAssociation(ID), "esp: An association is removed."),
        (actions.ResolvePath("office", ("gw.example.org",)), "net: Ways to a peer are looked for."),
    ],
)
def test_what_the_core_has_done_is_told_without_keys(journal, action, said):
    tell_action(journal, action)
    assert told(journal) == [said]
    assert KEY.hex() not in str(journal.book.last(1))
    assert repr(KEY) not in str(journal.book.last(1))


def test_an_association_is_described(journal):
    tell_action(journal, actions.InstallAssociation(association(), "office", "net"))
    (line,) = journal.book.last(1)
    assert (line["peer"], line["child"], line["sa"]) == ("office", "net", "esp 0x00001234 to 198.51.100.1")
    assert (line["direction"], line["cipher"], line["ports"]) == ("out", "aes128gcm16", "4500-4501")
    assert line["selectors"].endswith("and 2 more")


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (events.Acquired(7, HERE, THERE, 6), "spd: Traffic asks for an association."),
        (events.AssociationExpired(ID, True), "esp: An association reached its hard limit, or is gone."),
        (events.AssociationExpired(ID, False), "esp: An association reached its soft limit, or is gone."),
        (
            events.MappingChanged(ID, SocketAddress(THERE, 9)),
            "esp: Packets of an association come from elsewhere.",
        ),
        (
            events.UnknownSpi(SocketAddress(HERE, 4500), SocketAddress(THERE, 4500), 50, 0x1234),
            "esp: A packet came for an association that is not here.",
        ),
        (events.EngineRestarted(), "esp: The engine has no associations any more."),
        (events.PathResolved("office", ((HERE, THERE),)), "net: Ways to a peer are found."),
        (events.PathFailed("office", Refusal.NO_ROUTE, "nowhere"), "net: No way to a peer is found."),
    ],
)
def test_what_engine_and_host_say_is_told(journal, event, said):
    tell_event(journal, event)
    assert told(journal) == [said]


def test_messages_and_instants_are_the_cores_to_tell(journal):
    ends = SocketAddress(HERE, 500), SocketAddress(THERE, 500)
    tell_event(journal, events.DatagramReceived(*ends, b"x"))
    tell_event(journal, events.DeadlineReached())
    tell_action(journal, actions.Transmit(*ends, b"x"))
    assert told(journal) == []


def test_thousands_of_changes_are_told_up_to_a_bound(journal):
    tell_changes(journal, "spd", ["a"], ["b", *map(str, range(5_000))])
    lines = told(journal)
    assert lines[:2] == ["spd: gone: a", "spd: new: b"]
    assert len(lines) == MAX_TOLD + 1
    assert lines[-1] == f"spd: and {5_002 - MAX_TOLD} more changes"


# --- the host's network ---


def desired(mtu=1400):
    return DesiredState(
        firewall=Firewall((Pair(OURS, THEIRS),)),
        routes=(Route(THEIRS, RouteKind.TUN, 100, mtu=mtu),),
        rules=(Rule(OURS),),
        sysctls=(Sysctl("net.ipv4.ip_forward", "1"),),
        policies=(),
    )


@pytest.fixture
def network(journal):
    return TellingNetwork(FakeNetwork(Story()), journal)


async def test_what_is_applied_is_told_and_later_what_is_another(journal, network):
    wanted = desired()
    await network.apply_sysctls(wanted)
    await network.apply_firewall(wanted)
    await network.apply_steering(wanted)
    lines = told(journal)
    assert (
        "spd: new: table inet culvert: 192.168.1.0/24 <-> 192.168.2.0/24 never in clear, only through culvert0" in lines
    )
    assert "net: new: route 192.168.2.0/24 dev culvert0 metric 100 table 4500 mtu 1400" in lines
    assert "net: new: rule: 192.168.1.0/24 looks into table 4500 first" in lines
    await network.apply_steering(desired(1300))
    assert told(journal)[len(lines) :] == [
        "net: gone: route 192.168.2.0/24 dev culvert0 metric 100 table 4500 mtu 1400",
        "net: new: route 192.168.2.0/24 dev culvert0 metric 100 table 4500 mtu 1300",
    ]


async def test_what_others_took_away_is_told_to_be_back(journal, network):
    await network.apply_steering(desired())
    network._network.steering = None
    await network.apply_steering(desired())
    assert told(journal)[-1] == "net: The routes and rules of ours were not as they should be, and are again."


async def test_what_is_taken_away_is_told(journal, network):
    for take_away in (
        network.remove_steering,
        network.remove_link,
        network.restore_sysctls,
        network.remove_firewall,
    ):
        await take_away()
    assert [line.partition(" of ours")[0] for line in told(journal)] == [
        "net: The routes and rules",
        "net: The tunnel device",
        "net: The sysctls",
        "spd: The fence",
    ]


async def test_nothing_is_remembered_while_nobody_wants_to_know(journal, network):
    await network.apply_steering(desired())
    journal.topics.keep(frozenset())
    await network.apply_steering(desired(1200))
    assert network._lines == {}
    before = len(told(journal))
    journal.topics.keep(frozenset({"net"}))
    await network.apply_steering(desired(1200))
    assert len(told(journal)) == before


async def test_all_else_is_done_by_the_network_itself(journal, network):
    inner = network._network
    inner.dropped = {"FENCED_IN": 3}
    assert await network.drops() == {"FENCED_IN": 3}
    assert await network.remains() is False
    assert await network.outside([HERE]) == ("outside",)
    assert await network.standing_links() == ()
    assert await network.link_packets() == {}
    assert await network.warnings(desired(), await network.facts(None, {})) == ()
    inner.announced.put_nowait(HostChange(ours=True, addresses=True, ways=True))
    async for change in network.changes():
        assert change == HostChange(ours=True, addresses=True, ways=True)
        break
    assert told(journal) == [
        "net: An address of this host changed.",
        "net: A route, rule or link of this host changed.",
    ]


# --- drops ---


def status():
    child = ChildStatus("net", ID, replace(ID, spi=5), (), (), "aes128gcm16", "udp", 0, None)
    return (PeerStatus("office", PeerState.UP, children=(child,)),)


class WatchedPlane(FakePlane):
    """Counts how often it is looked at."""

    def __init__(self):
        super().__init__(Story())
        self.running, self.counts, self.looks = True, {"NO_SA": 3}, 0

    async def associations(self):
        self.looks += 1
        return await super().associations()

    async def drops(self):
        return dict(self.counts)

    async def looked_at(self, times=2):
        """Return when it was looked at so often from now on, and what was found told."""
        wanted = self.looks + times
        await until(lambda: self.looks >= wanted)


async def until(condition):
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)


@pytest.fixture
async def plane(journal, monkeypatch):
    monkeypatch.setattr(drop_watch, "LOOK_S", 0.001)
    plane = WatchedPlane()
    journal.topics.keep(frozenset())
    task = asyncio.ensure_future(DropWatch(plane, status, journal).run())
    yield plane
    task.cancel()


async def test_new_drops_are_told_with_whose_they_are(journal, plane):
    plane.held[ID] = CountedAssociation(ID, 7, drops={"REPLAYED": 1})
    plane.counts["REPLAYED"] = 1
    journal.topics.keep(frozenset({"esp"}))
    await plane.looked_at(3)
    assert told(journal) == []
    plane.held[ID] = CountedAssociation(ID, 7, drops={"REPLAYED": 5})
    plane.counts.update(REPLAYED=5, NO_POLICY=2, STRANGE=1)
    await until(lambda: len(told(journal)) >= 3)
    lines = {line["reason"]: line for line in journal.book.last(10)}
    assert lines["REPLAYED"]["message"] == "The sequence number was seen before."
    assert lines["REPLAYED"]["packets"] == 4
    assert (lines["REPLAYED"]["peer"], lines["REPLAYED"]["child"]) == ("office", "net")
    assert lines["NO_POLICY"]["packets"] == 2
    assert "sa" not in lines["NO_POLICY"]
    assert lines["STRANGE"]["message"] == "Packets were dropped."


async def test_an_engine_that_is_lost_ends_no_watch(journal, plane):
    journal.topics.keep(frozenset({"esp"}))
    await plane.looked_at()
    plane.running = False
    await plane.looked_at()
    plane.running = True
    await plane.looked_at()
    plane.counts["NO_SA"] += 1
    await until(lambda: told(journal))


async def test_a_few_dropped_packets_are_told_while_somebody_wants_to_see_some(journal, plane):
    watch = DropWatch(plane, status, journal)
    task = asyncio.ensure_future(watch.show())
    packet = DroppedPacket("NO_POLICY", Direction.OUT, "192.168.1.2:443", "198.18.0.1:9", 6, 1_500)
    journal.topics.keep(frozenset({"esp"}))
    for one in (packet, replace(packet, reason="UNKNOWN_SPI", spi=0x1234, direction=Direction.IN)):
        plane.shown.put_nowait(one)
    await until(lambda: len(told(journal)) >= 2)
    first, second = journal.book.last(2)
    assert first["message"] == "A packet was dropped."
    assert (first["reason"], first["packet"]) == ("NO_POLICY", "192.168.1.2:443 -> 198.18.0.1:9")
    assert (first["protocol"], first["octets"], first["way"]) == (6, 1_500, "out")
    assert (second["spi"], second["way"]) == ("0x00001234", "in")
    assert "spi" not in first
    journal.topics.keep(frozenset())
    plane.shown.put_nowait(packet)
    await until(plane.shown.empty)
    plane.running = False
    journal.topics.keep(frozenset({"esp"}))
    await until(lambda: "esp: The engine does not show what it drops." in told(journal))
    assert told(journal).count("esp: A packet was dropped.") == 2
    task.cancel()


async def test_nobody_looks_while_nobody_wants_to_know(journal, plane):
    journal.topics.keep(frozenset({"esp"}))
    await plane.looked_at()
    journal.topics.keep(frozenset())
    for _ in range(5):
        await asyncio.sleep(0.002)
    looks = plane.looks
    for _ in range(5):
        await asyncio.sleep(0.002)
    assert plane.looks == looks
