"""TCP as fast as it can, both ways, while everything is rekeyed by either end: no packet is lost by it.

A packet that is lost shows in three places. Where the engine drops it, its reason is counted: an SPI that is not there
any more, a replay, no association to send on. Pings that go all the time beside the flow have numbers. And TCP sends it
again. But TCP also repeats what was only late, and its receiver then tells that it had it (RFC 2883): not each one,
since an acknowledgment tells of one range. A full queue drops packets as well, and that is nobody's fault; so the
windows of the connections are smaller than the queues on their way, which costs no speed here, and what queues drop
all the same is not held against the rekeys.
"""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from culvert.lab.chapter import SITE_B
from culvert.lab.host import Host
from culvert.reasons import Drop
from tests.netns.chapter_gateways import Gateway, Picture, counted_ping, nothing_in_clear

pytestmark = pytest.mark.root

WINDOW = "256K"
LONG_ENOUGH_S = 120
"""When the flow would end by itself; it is ended before."""
UNTOLD, UNTOLD_PERCENT = 20, 20
"""Of what TCP repeats in vain, this much at most its receivers do not tell of; without any rekey it was up to 7 %."""
QUEUES = ("UdpRcvbufErrors", "UdpSndbufErrors", "IpInDiscards", "IpOutDiscards")


@dataclass
class Flow:
    """Two connections from host A to host B, one for each direction, and what became of them."""

    picture: Picture
    said: dict = field(default_factory=dict)

    @property
    def hosts(self) -> tuple[Host, Host]:
        return self.picture.chapter.host_a, self.picture.chapter.host_b

    def megabits_per_s(self) -> tuple[float, float]:
        end = self.said["end"]
        return tuple(end[way]["bits_per_second"] / 1e6 for way in ("sum_sent", "sum_received_bidir_reverse"))

    def seconds(self) -> float:
        return self.said["end"]["sum_sent"]["seconds"]


@contextmanager
def flowing(picture: Picture) -> Iterator[Flow]:
    """Send all the time; iperf3 tells at the end what arrived."""
    flow = Flow(picture)
    host_a, host_b = flow.hosts
    server = host_b.start(["iperf3", "-s", "-1", "--forceflush"], stdout=subprocess.PIPE, text=True)
    assert server.stdout
    while "listening" not in server.stdout.readline():
        pass
    command = ["iperf3", "-c", SITE_B.host[0], "-t", str(LONG_ENOUGH_S), "-w", WINDOW, "--bidir", "-J"]
    client = host_a.start(command, stdout=subprocess.PIPE, text=True)
    try:
        yield flow
        assert client.poll() is None, "the connection broke"
        client.send_signal(2)
        flow.said = json.loads(client.communicate(timeout=20)[0])
    finally:
        for process in (client, server):
            process.kill()
            process.communicate()


def counters(host: Host, *names: str) -> Counter[str]:
    """What the kernel counted on a host."""
    said = json.loads(host.run(["nstat", "-a", "-z", "-s", "-j", *names]).stdout)
    return Counter(said["kernel"])


def links(host: Host) -> int:
    """How many packets the queues of a host's interfaces dropped."""
    found = json.loads(host.run(["ip", "-j", "-s", "link"]).stdout)
    return sum(one["stats64"][way]["dropped"] for one in found for way in ("rx", "tx"))


def dropped(gateway: Gateway) -> Counter[str]:
    """What the engine dropped, by reason; a gateway counts what its associations do, too."""
    drops = gateway.status()["gateway"]["drops"]
    return Counter({name: count for name, count in drops.items() if name in Drop.__members__})


@dataclass(frozen=True)
class Tally:
    """What was counted by one moment. `repeated` is what TCP sent again, `in_vain` what of that the receivers had."""

    drops: Counter[str]
    queues: int
    repeated: int
    in_vain: int

    @property
    def lost(self) -> int:
        """How many packets TCP had to send again that no queue dropped, as far as receivers tell."""
        untold = UNTOLD + self.in_vain * UNTOLD_PERCENT // 100
        return max(0, self.repeated - self.in_vain - untold - self.queues)

    @classmethod
    def of(cls, picture: Picture) -> Tally:
        gateways = (picture.a, picture.b)
        tcp: Counter[str] = Counter()
        for host in (picture.chapter.host_a, picture.chapter.host_b):
            tcp += counters(host, "TcpRetransSegs", "TcpExtTCPDSACKRecvSegs")
        everybody = [picture.chapter.host_a, picture.chapter.host_b, picture.chapter.internet]
        queues = sum(links(host) for host in [*everybody, picture.a.host, picture.b.host])
        queues += sum(counters(one.host, *QUEUES).total() for one in gateways)
        drops = dropped(picture.a) + dropped(picture.b)
        return cls(drops, queues, tcp["TcpRetransSegs"], tcp["TcpExtTCPDSACKRecvSegs"])

    def since(self, before: Tally) -> Tally:
        return Tally(
            self.drops - before.drops,
            self.queues - before.queues,
            self.repeated - before.repeated,
            self.in_vain - before.in_vain,
        )


def spis(gateway: Gateway, what: str) -> list[str]:
    peer = gateway.peer()
    return [peer["ike"]["spi_i"]] if what == "ike" else sorted(one["spi_in"] for one in peer["children"])


def rekeyed(who: list[Gateway], both: tuple[Gateway, Gateway], *options: str) -> None:
    """Let some ask for new keys at once; return when both ends have them and the former ones are gone."""
    what = "ike" if options else "children"
    before = [spis(one, what) for one in both]
    asking = [one.host.start(one.command("rekey", "other", *options), stdout=subprocess.DEVNULL) for one in who]
    assert [one.wait(30) for one in asking] == [0] * len(asking)
    for one, former in zip(both, before, strict=True):
        one.until(lambda one=one, former=former: spis(one, what) not in ([], former), "other keys")
    for one in both:
        one.until(lambda one=one: len(one.associations()) == 2, "the end of the former ones")


CASES: dict[str, Callable[[Gateway, Gateway], tuple[list[Gateway], tuple[str, ...]]]] = {
    "the child by A": lambda a, _b: ([a], ()),
    "the child by B": lambda _a, b: ([b], ()),
    "the child by both": lambda a, b: ([a, b], ()),
    "the IKE SA by A": lambda a, _b: ([a], ("--ike",)),
    "the IKE SA by both": lambda a, b: ([a, b], ("--ike",)),
}


@pytest.mark.parametrize("encapsulation", ["udp", "esp"])
def test_rekeys_lose_no_packet(picture: Picture, encapsulation: str) -> None:
    for gateway in (picture.a, picture.b):
        gateway.write(peer=f'encapsulation = "{encapsulation}"')
    picture.up()
    for gateway in (picture.a, picture.b):
        gateway.until(lambda one=gateway: len(one.associations()) == 2, "one child")
    with nothing_in_clear(picture), flowing(picture) as flow, counted_ping(picture, 0.005) as pings_lost:
        picture.a.until(lambda: picture.a.peer()["children"][0]["packets_out"] > 1000, "the flow")
        before = Tally.of(picture)
        for name, case in CASES.items():
            who, options = case(picture.a, picture.b)
            at = Tally.of(picture)
            rekeyed(who, (picture.a, picture.b), *options)
            found = Tally.of(picture).since(at)
            print(f"{encapsulation}: {name}: {found}")
        # What was repeated just now may be told of yet; what was lost stays lost.
        picture.a.until(lambda: Tally.of(picture).since(before).lost == 0, "word of what was repeated in vain")
        found = Tally.of(picture).since(before)
    there, back = flow.megabits_per_s()
    print(f"{encapsulation}: {there:.0f} and {back:.0f} Mbit/s for {flow.seconds():.0f} s: {found}")
    assert not found.drops
    assert pings_lost() == 0
