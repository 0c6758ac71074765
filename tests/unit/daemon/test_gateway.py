import asyncio
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from culvert.addresses import SocketAddress
from culvert.config.model import Gateway
from culvert.crypto.transforms import ENCRYPTION
from culvert.daemon.gateway import MANY_POLICIES
from culvert.daemon.gateway import Gateway as RunningGateway
from culvert.daemon.parts import Ending, Phase
from culvert.daemon.seams import CountedAssociation, Finding, HostChange
from culvert.daemon.supervision import Supervisor
from culvert.errors import ConfigurationError, CulvertError, HostError, Problem
from culvert.ike.actions import Checkpoint, PeerChanged
from culvert.ike.events import Acquired, Configured, EngineRestarted, Held, PathResolved, PathsChanged, Stop
from culvert.ike.status import IkeStatus, PeerState
from culvert.ipsec.associations import AssociationId, Direction, SecurityAssociation
from culvert.ipsec.policies import Action, Policy
from culvert.ipsec.selectors import Selector
from culvert.network.ways import Way
from culvert.plan.desired import Pair
from culvert.plan.entries import NOBODY, Others, entries
from culvert.reasons import Refusal


def association(reqid, direction=Direction.OUT, spi=0x1000):
    return SecurityAssociation(
        ip_address("203.0.113.1"),
        ip_address("198.51.100.1"),
        spi,
        direction,
        reqid,
        ENCRYPTION[0],
        bytes(20),
    )


def held_by_ike(identity, reqid):
    """What a former daemon left."""
    return CountedAssociation(identity, reqid, direction=Direction.OUT)


async def settled(world):
    """Wait until the shell has handled all that was posted."""
    async with asyncio.timeout(5):
        while world.gateway.shell._events:
            await asyncio.sleep(0)
        for _ in range(20):
            await asyncio.sleep(0)


async def reached(condition):
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


async def test_the_start_goes_from_the_fence_to_ike(world):
    await world.gateway.start()
    assert world.story.steps == ["facts", "firewall", "sysctls", "engine", "policies", "steering"]
    assert world.gateway.phase is Phase.READY
    await settled(world)
    assert world.core.events == [Configured(world.configuration.peers, None)]
    await world.gateway.stop(Ending.OPEN)


async def test_the_end_goes_in_reverse_and_peers_are_told_first(world):
    await world.gateway.start()
    world.story.steps.clear()
    await world.gateway.stop(Ending.OPEN)
    assert world.story.steps == ["no steering", "no engine", "no link", "no sysctls", "no firewall"]
    assert isinstance(world.core.events[-1], Stop)
    assert world.gateway.phase is Phase.STOPPED


async def test_down_closed_leaves_the_fence(world):
    await world.gateway.start()
    await world.gateway.stop(Ending.CLOSED)
    assert "no firewall" not in world.story.steps
    assert world.network.firewall is not None
    assert not world.plane.running


async def test_down_daemon_leaves_everything_and_tells_nobody(world):
    await world.gateway.start()
    world.story.steps.clear()
    await world.gateway.stop(Ending.DAEMON)
    assert world.story.steps == ["detach"]
    assert not any(isinstance(event, Stop) for event in world.core.events)


async def test_what_cannot_be_taken_away_does_not_keep_the_rest(world):
    await world.gateway.start()
    world.story.refused = {"no engine", "no link"}
    await world.gateway.stop(Ending.OPEN)
    assert world.story.steps[-2:] == ["no sysctls", "no firewall"]


async def test_a_configuration_with_errors_changes_nothing(world):
    world.problems = [Problem("one"), Problem("two")]
    with pytest.raises(ConfigurationError) as raised:
        await world.gateway.start()
    assert len(raised.value.problems) == 2
    assert world.story.steps == []


@pytest.mark.parametrize("refused", ["sysctls", "firewall", "engine", "policies", "steering"])
async def test_a_start_that_fails_is_taken_back(world, refused):
    world.story.refused = {refused}
    with pytest.raises(HostError):
        await world.gateway.start()
    assert world.story.steps[-5:] == ["no steering", "no engine", "no link", "no sysctls", "no firewall"]
    assert not world.plane.running


async def test_a_take_over_that_fails_leaves_what_stood(world):
    world.plane.running = True
    world.story.refused = {"steering"}
    with pytest.raises(HostError):
        await world.gateway.start()
    assert world.plane.running
    assert "no firewall" not in world.story.steps


async def test_a_start_that_fails_leaves_a_fence_that_stood_before(world):
    await world.gateway.start()
    await world.gateway.stop(Ending.CLOSED)
    world.story.refused = {"engine"}
    second = RunningGateway(world.parts, Path("gateway.toml"))
    world.story.steps.clear()
    with pytest.raises(HostError):
        await second.start()
    assert "no firewall" not in world.story.steps
    assert world.network.firewall is not None


async def test_the_core_is_told_what_a_former_daemon_left(world):
    reqid = world.configuration.peers[0].children[0].reqid
    old = AssociationId(ip_address("198.51.100.1"), 0x77)
    world.plane.running = True
    world.plane.held = {old: held_by_ike(old, reqid)}
    world.plane.kept_checkpoints = {b"ike/1": b"one", b"ike/2": b"two"}
    world.core.script[Configured] = [Checkpoint(b"ike/2", b"two, taken up")]
    await world.gateway.start()
    await reached(lambda: world.plane.kept_checkpoints == {b"ike/2": b"two, taken up"})
    held = (Held(old, reqid, Direction.OUT),)
    assert world.core.events == [Configured(world.configuration.peers, None, held, (b"one", b"two"))]
    assert old in world.plane.held
    await world.gateway.reload()
    await settled(world)
    assert world.core.events[-1] == Configured(world.configuration.peers)
    await world.gateway.stop(Ending.OPEN)


async def test_a_fresh_data_plane_has_nothing_to_take_up(world):
    await world.gateway.start()
    await settled(world)
    assert world.core.events == [Configured(world.configuration.peers)]
    await world.gateway.stop(Ending.OPEN)


async def test_what_was_keyed_by_hand_is_nobodys_to_take(world):
    reqid = world.configuration.peers[0].children[0].reqid
    plain, numbered = (AssociationId(ip_address("198.51.100.1"), spi) for spi in (0x100, 0x101))
    world.plane.running = True
    world.plane.held = {plain: CountedAssociation(plain, 0), numbered: CountedAssociation(numbered, reqid)}
    await world.gateway.start()
    await settled(world)
    assert world.core.events == [Configured(world.configuration.peers)]
    assert {plain, numbered} <= set(world.plane.held)
    await world.gateway.stop(Ending.OPEN)


async def test_reload_fences_the_old_and_the_new_until_the_new_stands(world, make):
    await world.gateway.start()
    world.configuration = make.configuration(make.peer("harbour", str(make.theirs), "192.168.3.0/24"))
    world.story.steps.clear()
    fences = []
    apply = world.network.apply_firewall

    async def remembered(wanted):
        fences.append(wanted.firewall.fenced)
        return await apply(wanted)

    world.network.apply_firewall = remembered
    await world.gateway.reload()
    assert world.story.steps == ["facts", "firewall", "sysctls", "policies", "steering", "firewall"]
    assert [len(fenced) for fenced in fences] == [2, 1]
    assert isinstance(fences[1][0], Pair)
    await settled(world)
    assert world.core.events[-1] == Configured(world.configuration.peers, None)
    await world.gateway.stop(Ending.OPEN)


async def test_reload_of_the_same_touches_nothing(world):
    await world.gateway.start()
    world.story.steps.clear()
    await world.gateway.reload()
    assert world.story.steps == ["facts"]
    await world.gateway.stop(Ending.OPEN)


async def test_reload_with_errors_changes_nothing(world):
    await world.gateway.start()
    applied = world.gateway.applied
    world.problems = [Problem("one")]
    with pytest.raises(ConfigurationError):
        await world.gateway.reload()
    assert world.gateway.applied is applied
    await world.gateway.stop(Ending.OPEN)


async def test_an_engine_that_dies_is_started_again_and_ike_makes_all_anew(world):
    await world.gateway.start()
    Supervisor(world.gateway, world.parts).start()
    await settled(world)
    world.story.steps.clear()
    world.plane.die()
    await reached(lambda: any(isinstance(event, EngineRestarted) for event in world.core.events))
    assert world.story.steps[:3] == ["engine", "policies", "steering"]
    assert "no firewall" not in world.story.steps
    assert world.gateway.engine_up
    await world.gateway.stop(Ending.OPEN)


async def test_while_the_engine_does_not_start_the_status_says_so(world):
    await world.gateway.start()
    Supervisor(world.gateway, world.parts).start()
    await settled(world)
    world.core.set("warehouse", PeerState.UP)
    world.story.refused = {"engine"}
    world.plane.die()
    await reached(lambda: world.story.steps.count("engine") > 2)
    status = await world.gateway.status()
    assert status["peers"]["warehouse"]["state"] == "down"
    assert status["peers"]["warehouse"]["reason"] == Refusal.ENGINE_LOST
    world.story.refused = set()
    await reached(lambda: world.gateway.engine_up)
    await world.gateway.stop(Ending.OPEN)


async def test_an_engine_that_does_not_answer_does_not_hold_up_the_status(world):
    world.gateway.count_s = 0.01
    await world.gateway.start()
    world.core.set("warehouse", PeerState.UP)
    world.plane.associations = asyncio.Event().wait
    entry = (await world.gateway.status())["peers"]["warehouse"]
    assert (entry["state"], entry["reason"]) == ("down", Refusal.ENGINE_LOST)
    assert "does not answer" in entry["message"]
    await world.gateway.stop(Ending.OPEN)


async def test_what_others_take_away_is_put_back(world):
    await world.gateway.start()
    Supervisor(world.gateway, world.parts).start()
    world.network.steering = None
    world.network.announced.put_nowait(HostChange(ours=True))
    await reached(lambda: world.network.steering is not None)
    await world.gateway.stop(Ending.OPEN)


async def test_a_shorter_path_changes_the_plan(world):
    await world.gateway.start()
    await settled(world)
    world.host.found[ip_address("198.51.100.1")] = Way(1, ip_address("203.0.113.1"), 1400)
    answer = await world.parts.resolver.resolve("warehouse", ["198.51.100.1"])
    assert isinstance(answer, PathResolved)
    world.gateway._path_found("warehouse")
    await reached(lambda: world.network.steering.routes[0].mtu == 1400 - 73)
    assert (await world.gateway.status())["peers"]["warehouse"]["mtu"] == 1400 - 73
    await world.gateway.stop(Ending.OPEN)


async def test_what_the_host_learns_of_a_path_changes_the_plan(world):
    await world.gateway.start()
    await settled(world)
    world.host.found[ip_address("198.51.100.1")] = Way(1, ip_address("203.0.113.1"), 1300)
    await world.gateway.measure()
    assert world.network.steering.routes[0].mtu == 1300 - 73
    assert (await world.gateway.status())["peers"]["warehouse"]["mtu"] == 1300 - 73
    await world.gateway.stop(Ending.OPEN)


def first_mtu(world):
    return world.network.steering.routes[0].mtu


async def test_what_the_engine_learns_of_a_path_changes_the_plan_at_once_and_is_forgotten_with_it(world):
    await world.gateway.start()
    Supervisor(world.gateway, world.parts).start()
    await settled(world)
    world.plane.learn(ip_address("198.51.100.1"), 1400)
    await reached(lambda: first_mtu(world) == 1400 - 73)
    world.plane.learn(ip_address("198.51.100.77"), 1280)  # another's path
    world.plane.learn(ip_address("198.51.100.1"), 1450)
    await reached(lambda: first_mtu(world) == 1450 - 73)
    world.plane.learn(ip_address("198.51.100.1"), 0)
    await reached(lambda: first_mtu(world) == 1500 - 73)
    world.plane.learn(ip_address("198.51.100.1"), 1350)
    await reached(lambda: first_mtu(world) == 1350 - 73)
    world.plane.die()
    await reached(lambda: first_mtu(world) == 1500 - 73)
    await world.gateway.stop(Ending.OPEN)


async def test_a_path_that_takes_less_than_the_engine_learnt_counts(world):
    world.host.found[ip_address("198.51.100.1")] = Way(1, ip_address("203.0.113.1"), 1300)
    await world.gateway.start()
    world.plane.learn(ip_address("198.51.100.1"), 1400)
    await world.gateway.measure()
    assert first_mtu(world) == 1300 - 73
    await world.gateway.stop(Ending.OPEN)


async def test_an_engine_that_is_taken_over_tells_what_it_knows_of_paths_before_the_first_plan(world):
    world.plane.running = True
    world.plane.learnt = {ip_address("198.51.100.1"): 1400}
    await world.gateway.start()
    assert first_mtu(world) == 1400 - 73
    await world.gateway.stop(Ending.OPEN)


async def test_the_path_to_a_peer_that_calls_is_measured_where_it_is(world):
    here, there = ip_address("203.0.113.1"), ip_address("192.0.2.55")
    world.configuration = Gateway("office", (), world.configuration.networks, (peer_that_calls(world),))
    world.host.found[there] = Way(1, here, 1450)
    await world.gateway.start()
    Supervisor(world.gateway, world.parts).start()
    ike = IkeStatus(2, bytes(8), bytes(8), "", "remote", SocketAddress(here, 4500), SocketAddress(there, 4500), 0, None)
    world.core.set("warehouse", PeerState.UP, ike=ike)
    world.core.script[Acquired] = [PeerChanged("warehouse")]
    world.gateway.post(Acquired(1, there, there))
    await reached(lambda: first_mtu(world) == 1450 - 73)
    world.plane.learn(there, 1400)
    await reached(lambda: first_mtu(world) == 1400 - 73)
    await world.gateway.stop(Ending.OPEN)


def peer_that_calls(world):
    return replace(world.configuration.peers[0], addresses=())


async def test_a_start_that_is_interrupted_is_taken_back(world):
    waiting = asyncio.Event()

    async def never(_on_event, _on_change, _on_path):
        waiting.set()
        await asyncio.Event().wait()

    world.plane.start = never
    start = world.tasks.spawn("start", world.gateway.start(), awaited=True)
    await waiting.wait()
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    assert world.story.steps[-1] == "no firewall"


async def test_hindrances_are_named_and_kept_for_the_status(world):
    world.network.findings = (Finding("ufw drops UDP 500", "table x", "ufw allow 500/udp", "FOREIGN_FIREWALL"),)
    await world.gateway.start()
    status = await world.gateway.status()
    assert status["gateway"]["warnings"] == [
        {
            "reason": "FOREIGN_FIREWALL",
            "message": "ufw drops UDP 500",
            "where": "table x",
            "what_to_do": "ufw allow 500/udp",
        }
    ]
    await world.gateway.stop(Ending.OPEN)


async def test_stopping_twice_is_stopping_once(world):
    await world.gateway.start()
    await asyncio.gather(world.gateway.stop(Ending.OPEN), world.gateway.stop(Ending.OPEN))
    assert world.story.steps.count("no engine") == 1


async def test_the_status_before_it_is_ready_is_an_error_for_people(world):
    with pytest.raises(Exception, match="still starting"):
        await world.gateway.status()


def written(action=Action.DISCARD, count=1):
    """Policies that somebody else wrote."""
    selector = Selector(ip_network("10.0.0.0/8"), ip_network("172.16.0.0/12"))
    policies = [Policy(selector, Direction.OUT, action, number) for number in range(count)]
    return Others(out=entries(policies, Direction.OUT), count=count)


async def test_settle_returns_when_what_others_wrote_is_fenced_before_it_is_steered(world):
    await world.gateway.start()
    world.plane.write(written())
    world.story.steps.clear()
    await world.gateway.settle()
    assert world.network.firewall.firewall.out
    assert world.story.steps == ["policies", "firewall", "sysctls", "steering", "firewall"]
    assert world.gateway.policies() == {"configuration": 1, "others": 1}
    world.story.steps.clear()
    await world.gateway.settle()
    assert world.story.steps == ["policies"]
    await world.gateway.stop(Ending.OPEN)


async def test_what_others_write_is_followed_without_being_asked(world, make):
    await world.gateway.start()
    supervisor = Supervisor(world.gateway, world.parts)
    supervisor.start()
    world.plane.write(written())
    await reached(lambda: world.network.firewall.firewall.out)
    world.plane.write(NOBODY)
    await reached(lambda: not world.network.firewall.firewall.out)
    await world.gateway.stop(Ending.OPEN)


async def test_very_many_policies_are_planned_beside_the_event_loop(world):
    await world.gateway.start()
    world.plane.write(written(count=MANY_POLICIES))
    await world.gateway.settle()
    assert world.gateway.policies()["others"] == MANY_POLICIES
    await world.gateway.stop(Ending.OPEN)


async def test_a_gateway_without_an_engine_does_not_settle(world):
    await world.gateway.start()
    world.gateway.engine_lost()
    with pytest.raises(CulvertError, match="engine is not running"):
        await world.gateway.settle()
    await world.gateway.stop(Ending.OPEN)


async def test_a_take_over_fences_what_others_wrote_from_the_first_moment(world):
    world.plane.running, world.plane.written = True, written()
    await world.gateway.start()
    assert world.story.steps.index("engine") < world.story.steps.index("firewall")
    assert all(wall.out for wall in world.network.walls)
    await world.gateway.stop(Ending.OPEN)


async def test_a_fresh_engine_says_once_that_the_associations_of_others_are_lost(world, caplog):
    await world.gateway.start()
    world.plane.write(written())
    await world.gateway.settle()
    world.plane.die()
    world.gateway.engine_lost()
    assert await world.gateway.restart_engine()
    assert world.plane.written.count == 1
    (warning,) = (await world.gateway.status())["gateway"]["warnings"]
    assert "culvert setkey" in warning["what_to_do"]
    assert [record.levelname for record in caplog.records if "stand again" in record.message] == ["WARNING"]
    await world.gateway.settle()
    assert (await world.gateway.status())["gateway"]["warnings"] == []
    await world.gateway.stop(Ending.OPEN)


async def test_where_engine_and_daemon_ended_at_once_the_fence_still_knows_what_it_is_for(world):
    world.plane.kept = written()
    await world.gateway.start()
    assert all(wall.out for wall in world.network.walls)
    assert world.plane.written.count == 1
    (warning,) = (await world.gateway.status())["gateway"]["warnings"]
    assert "culvert setkey" in warning["what_to_do"]
    await world.gateway.stop(Ending.CLOSED)
    assert world.plane.kept.count == 1


async def test_an_open_end_forgets_what_others_wrote(world):
    world.plane.kept = written()
    await world.gateway.start()
    await world.gateway.stop(Ending.OPEN)
    assert world.plane.kept is NOBODY


async def test_ike_is_told_of_other_ways_and_of_addresses_that_are_gone(world):
    await world.gateway.start()
    Supervisor(world.gateway, world.parts).start()
    await settled(world)
    here, other = ip_address("203.0.113.1"), ip_address("203.0.113.2")
    world.host.found[ip_address("198.51.100.1")] = Way(1, other, 1500)
    world.network.announced.put_nowait(HostChange(ways=True))
    await reached(lambda: PathsChanged((here,), ("warehouse",)) in world.core.events)
    world.network.announced.put_nowait(HostChange(ways=True))
    await asyncio.sleep(0.1)
    assert len([one for one in world.core.events if isinstance(one, PathsChanged)]) == 1
    world.host.present = (other,)
    world.network.announced.put_nowait(HostChange(addresses=True))
    await reached(lambda: PathsChanged((other,), ()) in world.core.events)
    await world.gateway.stop(Ending.OPEN)


async def test_routes_of_others_do_not_make_us_look_after_ours(world):
    await world.gateway.start()
    Supervisor(world.gateway, world.parts).start()
    await settled(world)
    world.network.steering = None
    world.network.announced.put_nowait(HostChange(ways=True))
    await asyncio.sleep(0.2)
    assert world.network.steering is None
    await world.gateway.stop(Ending.OPEN)
