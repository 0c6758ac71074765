from dataclasses import replace
from ipaddress import ip_address

from culvert.daemon.fake import FakeHost
from culvert.daemon.names import Names
from culvert.daemon.paths import MAX_PATHS, RealHost, Resolver
from culvert.ike.events import PathFailed, PathResolved
from culvert.network.ways import Way
from culvert.reasons import Refusal

A, B = ip_address("198.51.100.1"), ip_address("198.51.100.2")
SIX = ip_address("2001:db8::1")
HERE = ip_address("203.0.113.1")
OTHER, THIRD = ip_address("203.0.113.9"), ip_address("203.0.113.10")
ROUTER = ip_address("203.0.113.254")


async def test_all_addresses_of_all_names_are_tried_in_turn():
    host = FakeHost({"gw.example": [B, A]}, {A: Way(1, HERE, 1500), B: Way(1, HERE, 1400)})
    resolver = Resolver(host)
    assert await resolver.resolve("x", ["198.51.100.1", "gw.example"]) == PathResolved("x", ((HERE, A), (HERE, B)))
    assert resolver.path_mtu == {"x": 1400}


async def test_a_name_that_does_not_resolve_is_named():
    answer = await Resolver(FakeHost({}, {})).resolve("x", ["gw.example"])
    assert isinstance(answer, PathFailed)
    assert answer.reason is Refusal.NAME_NOT_RESOLVED
    assert "gw.example" in answer.message
    assert "Name or service not known" in answer.message


async def test_an_address_without_a_route_is_named():
    answer = await Resolver(FakeHost({}, {})).resolve("x", [str(A)])
    assert isinstance(answer, PathFailed)
    assert answer.reason is Refusal.NO_ROUTE
    assert f"ip route get {A}" in answer.message


async def test_one_good_name_is_enough():
    host = FakeHost({}, {A: Way(1, HERE, 1500)})
    assert await Resolver(host).resolve("x", ["gw.example", str(B), str(A)]) == PathResolved("x", ((HERE, A),))


async def test_our_configured_address_wins_over_the_routes():
    host = FakeHost({}, {A: Way(1, HERE, 1500), SIX: Way(1, SIX, 1500)})
    assert await Resolver(host, (OTHER,)).resolve("x", [str(A)]) == PathResolved("x", ((OTHER, A),))
    assert await Resolver(host, (OTHER, HERE)).resolve("x", [str(A)]) == PathResolved("x", ((HERE, A),))
    answer = await Resolver(host, (OTHER,)).resolve("x", [str(SIX)])
    assert isinstance(answer, PathFailed)
    assert "IPv6" in answer.message


async def test_a_name_with_endless_addresses_is_bounded():
    many = [ip_address(f"198.51.100.{number}") for number in range(200)]
    host = FakeHost({"gw.example": many}, {address: Way(1, HERE, 1500) for address in many})
    answer = await Resolver(host).resolve("x", ["gw.example"])
    assert isinstance(answer, PathResolved)
    assert len(answer.paths) == MAX_PATHS


async def test_the_system_resolves_what_it_knows_itself():
    assert ip_address("127.0.0.1") in await RealHost().lookup("localhost")


async def test_ways_that_were_found_are_measured_again():
    host = FakeHost({}, {A: Way(1, HERE, 1500), B: Way(1, HERE, 1500)})
    resolver = Resolver(host)
    await resolver.resolve("x", [str(A), str(B)])
    assert (await resolver.measure()).resized == []
    host.found[B] = Way(1, HERE, 1300)
    assert (await resolver.measure()).resized == ["x"]
    assert resolver.path_mtu == {"x": 1300}
    host.found.clear()
    assert (await resolver.measure()).resized == []  # no way at all says nothing about size
    assert resolver.path_mtu == {"x": 1300}


async def test_the_smaller_of_what_the_host_says_and_what_was_learnt_fits():
    host = FakeHost({}, {A: Way(1, HERE, 1500), B: Way(1, HERE, 1400)})
    resolver = Resolver(host, learnt={A: 1450, B: 1480, SIX: 1280})
    await resolver.resolve("x", [str(A)])
    await resolver.resolve("y", [str(B)])
    assert resolver.path_mtu == {"x": 1450, "y": 1400}
    resolver.learnt = {}
    assert (await resolver.measure()).resized == ["x"]
    assert resolver.path_mtu["x"] == 1500


async def test_where_a_peer_was_met_is_measured_as_well():
    host = FakeHost({}, {A: Way(1, HERE, 1500), B: Way(1, HERE, 1400)})
    resolver = Resolver(host, met={"caller": B, "x": B, "lost": SIX})
    await resolver.resolve("x", [str(A)])
    assert (await resolver.measure()).resized == ["x", "caller"]
    assert resolver.path_mtu == {"x": 1400, "caller": 1400}


async def test_another_way_to_a_peer_is_noticed_and_no_way_and_one_again():
    way = Way(1, HERE, 1500, ROUTER)
    host = FakeHost({}, {A: way, B: way})
    resolver = Resolver(host, met={"caller": B})
    await resolver.resolve("x", [str(A)])
    await resolver.resolve("lost", [str(SIX)])
    assert (await resolver.measure()).rerouted == []
    for other in (replace(way, router=OTHER), replace(way, source=OTHER), replace(way, up=False), None, way):
        host.found = {A: other, B: way} if other else {B: way}
        assert (await resolver.measure()).rerouted == ["x"]
        assert (await resolver.measure()).rerouted == []
    host.found = {A: replace(way, mtu=1400), SIX: Way(1, SIX, 1500)}
    assert (await resolver.measure()).rerouted == ["lost", "caller"]


async def test_our_addresses_that_are_not_there_come_last():
    host = FakeHost({}, {A: Way(1, THIRD, 1500)})
    resolver = Resolver(host, (OTHER, HERE))
    host.present = (HERE,)
    assert await resolver.resolve("x", [str(A)]) == PathResolved("x", ((HERE, A),))
    host.present = (OTHER,)
    assert await resolver.resolve("x", [str(A)]) == PathResolved("x", ((OTHER, A),))


async def test_a_known_name_is_not_waited_for_and_told_again_where_it_is_another():
    host = FakeHost({"gw.example": [A]}, {A: Way(1, HERE, 1500), B: Way(1, HERE, 1500)})
    resolver = Resolver(host, _names=Names(host.lookup, fresh_s=0, patience_s=0))
    await resolver.resolve("x", ["gw.example"])
    host.silent["gw.example"] = None
    answers = resolver.answers("x", ["gw.example"])
    assert await anext(answers) == PathResolved("x", ((HERE, A),))
    host.silent["gw.example"].set_result([B])
    assert [one async for one in answers] == [PathResolved("x", ((HERE, B),))]
