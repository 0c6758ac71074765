import asyncio

import pytest

from culvert.control.protocol import Code
from culvert.daemon.parts import Ending
from culvert.daemon.server import MethodError
from culvert.daemon.service import Service
from culvert.errors import CulvertError
from culvert.ike.actions import PeerChanged
from culvert.ike.events import Connect, Disconnect, RekeyRequested
from culvert.ike.status import PeerState
from culvert.reasons import Refusal


@pytest.fixture
async def service(world):
    await world.gateway.start()
    yield Service(world.gateway, world.gateway.stop)
    await world.gateway.stop(Ending.OPEN)


def becomes(world, state, **facts):
    def act(_event):
        world.core.set("warehouse", state, **facts)
        return [PeerChanged("warehouse")]

    return act


async def test_status_shows_every_configured_peer(world, service):
    document = await service.handle("status", {}, False)
    assert set(document["peers"]) == {"warehouse"}
    assert document["gateway"]["name"] == "office"
    assert document["gateway"]["drops"] == {"NO_SA": 3}


async def test_a_peer_that_is_not_configured_is_named_with_those_that_are(service):
    with pytest.raises(CulvertError, match=r"(?s)no peer 'harbour'.*Configured: warehouse"):
        await service.handle("status", {"peer": "harbour"}, True)


@pytest.mark.parametrize("method", ["down", "reload", "connect", "disconnect", "rekey", "settle"])
async def test_the_group_may_only_look(service, method):
    with pytest.raises(MethodError) as raised:
        await service.handle(method, {"peer": "warehouse"}, False)
    assert raised.value.code == Code.NOT_PERMITTED


async def test_an_unknown_method_is_refused(service):
    with pytest.raises(MethodError) as raised:
        await service.handle("dance", {}, True)
    assert raised.value.code == Code.METHOD_NOT_FOUND


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("connect", {}),
        ("connect", {"peer": 7}),
        ("connect", {"peer": "warehouse", "timeout_s": -1}),
        ("connect", {"peer": "warehouse", "timeout_s": True}),
        ("down", {"ending": "sideways"}),
        ("down", {"ending": []}),
        ("rekey", {"peer": "warehouse", "child": []}),
    ],
)
async def test_wrong_parameters_are_refused(service, method, params):
    with pytest.raises((MethodError, CulvertError)):
        await service.handle(method, params, True)


async def test_connect_returns_when_the_peer_is_up(world, service):
    world.core.set("warehouse", PeerState.DOWN, reason=Refusal.AUTHENTICATION_FAILED, message="old")
    world.core.script[Connect] = becomes(world, PeerState.UP)
    assert await service.handle("connect", {"peer": "warehouse", "timeout_s": 5}, True) == {
        "peer": "warehouse",
        "state": "up",
    }


async def test_while_the_engine_is_gone_no_peer_counts_as_up(world, service):
    world.core.set("warehouse", PeerState.UP)
    world.gateway.engine_lost()
    with pytest.raises(MethodError, match="not up after"):
        await service.handle("connect", {"peer": "warehouse", "timeout_s": 0.02}, True)


async def test_connect_says_at_once_what_another_attempt_will_not_mend(world, service):
    world.core.set("warehouse", PeerState.CONNECTING)
    world.core.script[Connect] = becomes(
        world, PeerState.DOWN, reason=Refusal.AUTHENTICATION_FAILED, message="the secrets differ"
    )
    with pytest.raises(MethodError) as raised:
        async with asyncio.timeout(5):
            await service.handle("connect", {"peer": "warehouse", "timeout_s": 60}, True)
    assert "the secrets differ" in str(raised.value)
    assert raised.value.data["reason"] == "AUTHENTICATION_FAILED"


async def test_connect_does_not_wait_where_nothing_new_is_tried(world, service):
    world.core.set("warehouse", PeerState.DOWN, reason=Refusal.TS_UNACCEPTABLE, message="the networks differ")
    with pytest.raises(MethodError, match="the networks differ"):
        async with asyncio.timeout(5):
            await service.handle("connect", {"peer": "warehouse", "timeout_s": 60}, True)


async def test_connect_ends_with_its_time(world, service):
    world.core.set("warehouse", PeerState.CONNECTING, reason=Refusal.NO_RESPONSE, message="no answer from 198.51.100.1")
    with pytest.raises(MethodError, match="no answer from"):
        await service.handle("connect", {"peer": "warehouse", "timeout_s": 0.02}, True)


async def test_wishes_reach_the_core(world, service):
    await service.handle("disconnect", {"peer": "warehouse"}, True)
    await service.handle("rekey", {"peer": "warehouse", "child": "warehouse"}, True)
    await service.handle("rekey", {"peer": "warehouse", "ike": True}, True)
    assert world.core.events[1:4] == [
        Disconnect("warehouse"),
        RekeyRequested("warehouse", "warehouse", False),
        RekeyRequested("warehouse", None, True),
    ]


async def test_down_ends_the_gateway(world, service):
    assert await service.handle("down", {"ending": "closed"}, True) == {"ended": "closed"}
    assert not world.plane.running


async def test_settle_counts_the_policies(service):
    assert await service.handle("settle", {}, True) == {"policies": {"configuration": 1, "others": 0}}
