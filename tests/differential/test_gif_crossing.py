"""gif links of the engine against the kernel's tunnel devices: bare, and with ESP or AH around them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from culvert.addresses import IPAddress
from culvert.reasons import Drop
from culvert.xfrm.links import GifLink
from tests.differential.crossing import TUNNELLED_MTU, Crossing, crossing, route_into
from tests.differential.flows import ENDS, OUR_HOST, THEIR_NETWORK, Flow, Layer
from tests.differential.messages import TRANSPORT, TUNNEL
from tests.differential.neighbours import Neighbour
from tests.differential.suites import SUITES
from tests.differential.traffic import WHOLE, counts, ping_from_guest, unanswered

pytestmark = pytest.mark.root

GIF, THEIR_GIF = "gif0", "tunnel0"
PROTOCOLS = {4: 4, 6: 41}
"""By the family inside (RFC 2003, RFC 4213)."""
PROTECTIONS: dict[str, tuple[Layer, ...]] = {
    "ESP in transport mode": ((SUITES["aes128gcm16"], TRANSPORT),),
    "ESP in tunnel mode, as the handbook has it": ((SUITES["aes256-sha256"], TUNNEL),),
    "AH": ((SUITES["ah-sha256"], TRANSPORT),),
    "ESP and AH": ((SUITES["aes128gcm16"], TRANSPORT), (SUITES["ah-sha256"], TRANSPORT)),
}
FAMILIES = [(4, 4), (4, 6), (6, 4), (6, 6)]
"""Inner and outer."""


@dataclass(frozen=True)
class Carrier(Flow):
    """The link's own packets, between the two gateways."""

    @property
    def ours(self) -> IPAddress:
        return ENDS[self.outer][0]

    @property
    def theirs(self) -> IPAddress:
        return ENDS[self.outer][1]


@dataclass(frozen=True)
class Carried(Flow):
    """What goes through the link."""

    @property
    def between_hosts(self) -> bool:
        return False


@pytest.fixture(scope="module")
def world(neighbour: Neighbour, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crossing]:
    with crossing(neighbour, tmp_path_factory.mktemp("gif")) as built:
        yield built


@pytest.fixture(params=FAMILIES, ids=lambda pair: f"{pair[0]} in {pair[1]}")
def families(request: pytest.FixtureRequest, world: Crossing) -> Iterator[tuple[int, int]]:
    """A link between the two gateways, and the routes into it."""
    inner, outer = request.param
    ours, theirs = ENDS[outer]
    world.with_client(lambda client: client.set_gif(GifLink(GIF, ours, theirs)))
    world.gateway.ip("link", "set", GIF, "up", "mtu", str(TUNNELLED_MTU))
    route_into(world.gateway, GIF, str(THEIR_NETWORK[inner]))
    kind = "ip6tnl mode any" if outer == 6 else {4: "ipip", 6: "sit"}[inner]
    world.guest.shell(
        f"ip link add {THEIR_GIF} type {kind} local {theirs} remote {ours}\n"
        f"ip link set {THEIR_GIF} up mtu {TUNNELLED_MTU}\n"
        f"ip -{inner} route replace {OUR_HOST[inner]} dev {THEIR_GIF}"
    )
    yield inner, outer
    world.guest.shell(f"ip link delete {THEIR_GIF}")
    world.with_client(lambda client: client.delete_gif(GIF))


def through(world: Crossing, inner: int) -> None:
    silent = unanswered(world, [Carried(1, ((SUITES["aes128gcm16"], TUNNEL),), inner)], WHOLE)
    assert not silent, "\n".join(silent)


def test_a_bare_link(world: Crossing, families: tuple[int, int]) -> None:
    world.protect([])
    through(world, families[0])


@pytest.mark.parametrize("name", PROTECTIONS)
def test_a_link_that_policies_protect(world: Crossing, families: tuple[int, int], name: str) -> None:
    inner, outer = families
    carrier = Carrier(1, PROTECTIONS[name], inner=outer, outer=outer, protocol=PROTOCOLS[inner])
    world.protect([carrier])
    through(world, inner)
    ours, theirs = counts(world)
    assert ours == theirs
    assert min(ours.values()) >= len(WHOLE)


def test_a_bare_packet_does_not_pass_where_protection_is_wanted(world: Crossing, families: tuple[int, int]) -> None:
    """The guest has no policy and answers in clear: the link must not take it."""
    inner, outer = families
    carrier = Carrier(1, PROTECTIONS["AH"], inner=outer, outer=outer, protocol=PROTOCOLS[inner])
    world.protect([])
    world.ask_engine(carrier.requests(engine=True))
    before = world.drops()
    ping_from_guest(world, THEIR_NETWORK[inner][1], OUR_HOST[inner], answer=False)
    assert world.drops().get(Drop.INBOUND_POLICY_MISMATCH, 0) > before.get(Drop.INBOUND_POLICY_MISMATCH, 0)
