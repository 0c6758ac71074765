"""Gateways without number that set up a tunnel each: initiators on the sans-IO core, and sockets for all of them."""

from __future__ import annotations

import select
import socket
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address

from culvert.addresses import IKE_PORT, NAT_PORT, SocketAddress
from culvert.config.model import Child, Peer, Start
from culvert.entropy import RealEntropy
from culvert.identities import Identity
from culvert.ike.actions import Action, ResolvePath, Transmit
from culvert.ike.endpoint import Endpoint
from culvert.ike.events import Configured, DatagramReceived, DeadlineReached, PathResolved, RekeyRequested
from culvert.ike.status import PeerState
from culvert.ipsec.associations import AssociationId
from culvert.ipsec.proposals import esp_proposal, ike_proposal
from culvert.ipsec.selectors import TrafficSelector, traffic_selector
from culvert.lab.host import Host

SECRET = b"only for the benchmark, on this machine"
IKE = (ike_proposal("aes128gcm16-prfsha256-x25519"),)
ESP = (esp_proposal("aes128gcm16"),)
GATEWAY = Identity.parse("hub.example.org")
NEAR = traffic_selector("10.0.0.0/16")
NON_ESP_MARKER = bytes(4)
NO_KEEPALIVE = 1
GIVE_UP_S = 120
SOURCES = 16
"""Addresses that the load comes from: none of them is to look like an attack."""


def identity(number: int) -> Identity:
    return Identity.parse(f"gw{number}.load.example.org")


def network(number: int) -> TrafficSelector:
    return traffic_selector(f"10.{64 + (number >> 8)}.{number & 255}.0/24")


def peer_at_gateway(number: int) -> Peer:
    """Describe one of them as the gateway knows it: it calls from anywhere."""
    name = f"gw{number}"
    child = Child(name, "net", (NEAR,), (network(number),), ESP)
    return Peer(name, (), identity(number), GATEWAY, (child,), secret=SECRET, proposals=IKE, start=Start.PASSIVE)


def peer_at_load(number: int, gateway: str, near: TrafficSelector = NEAR) -> Peer:
    """Describe the gateway as one of them knows it."""
    child = Child("hub", "net", (network(number),), (near,), ESP)
    return Peer("hub", (gateway,), GATEWAY, identity(number), (child,), secret=SECRET, proposals=IKE)


@dataclass(slots=True)
class Attempt:
    """One initiator under way, with the address that it calls from."""

    endpoint: Endpoint
    source: str

    @property
    def child(self) -> AssociationId:
        """Tell which child it has by its inbound association."""
        return self.endpoint.status("hub").children[-1].inbound


class Load:
    """Sets tunnels up from a host, `at_once` at a time, and has those that stand make new keys."""

    def __init__(self, host: Host, sources: Iterable[str], gateway: str, near: TrafficSelector = NEAR) -> None:
        self._gateway, self._near = gateway, near
        self._sockets = {
            (source, port): _bound(host, source, port) for source in sources for port in (IKE_PORT, NAT_PORT)
        }
        self._sources = deque(dict.fromkeys(source for source, _ in self._sockets))
        self._under_way: dict[bytes, Attempt] = {}
        self.standing: dict[bytes, Attempt] = {}
        self._poll = select.epoll()
        self._ends = {sock.fileno(): end for end, sock in self._sockets.items()}
        for descriptor in self._ends:
            self._poll.register(descriptor, select.EPOLLIN)

    def set_up(self, numbers: Iterable[int], at_once: int = 8) -> int:
        """Set up the tunnels of these numbers. Give how many stand; the rest was not answered in time."""
        waiting, done, give_up = deque(numbers), 0, time.monotonic() + GIVE_UP_S
        while (waiting or self._under_way) and time.monotonic() < give_up:
            while waiting and len(self._under_way) < at_once:
                self._begin(waiting.popleft())
            done += self._answers()
        return done

    def answer(self, within_s: float) -> None:
        """Answer what comes in so long."""
        until = time.monotonic() + within_s
        while time.monotonic() < until:
            self._answers()

    def rekey(self, count: int, within_s: float) -> int:
        """Have the first `count` that stand make new keys for their child. Give how many have them in time."""
        attempts, until = self._first(count), time.monotonic() + within_s
        before = [attempt.child for attempt in attempts]
        for attempt in attempts:
            self._perform(attempt, attempt.endpoint.step(RekeyRequested("hub", "net"), time.monotonic_ns()))
        done = 0
        while done < count and time.monotonic() < until:
            self._answers()
            self._repeat(attempts)
            done = sum(attempt.child != old for attempt, old in zip(attempts, before, strict=True))
        return done

    def _first(self, count: int) -> list[Attempt]:
        """Give the first that stand; one that called several times is one."""
        return list({id(attempt): attempt for attempt in self.standing.values()}.values())[:count]

    def close(self) -> None:
        self._poll.close()
        for sock in self._sockets.values():
            sock.close()

    def _begin(self, number: int) -> None:
        self._sources.rotate()
        attempt = Attempt(Endpoint(RealEntropy(), time.monotonic_ns()), self._sources[0])
        event = Configured((peer_at_load(number, self._gateway, self._near),))
        self._perform(attempt, attempt.endpoint.step(event, time.monotonic_ns()))

    def _perform(self, attempt: Attempt, actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, ResolvePath):
                path = (ip_address(attempt.source), ip_address(self._gateway))
                event = PathResolved(action.peer, (path,))
                self._perform(attempt, attempt.endpoint.step(event, time.monotonic_ns()))
            elif isinstance(action, Transmit):
                if action.data[:8] not in self.standing:
                    self._under_way[action.data[:8]] = attempt
                marker = NON_ESP_MARKER if action.local.port == NAT_PORT else b""
                sock = self._sockets[attempt.source, action.local.port]
                sock.sendto(marker + action.data, (self._gateway, action.remote.port))

    def _answers(self) -> int:
        """Take what comes within a tenth of a second; give how many tunnels stand by that."""
        done = 0
        for descriptor, _ in self._poll.poll(0.1):
            source, port = self._ends[descriptor]
            data, (_, theirs) = self._sockets[source, port].recvfrom(65_535)
            data = data[len(NON_ESP_MARKER) :] if port == NAT_PORT else data
            attempt = self._under_way.get(data[:8]) or self.standing.get(data[:8])
            if attempt is not None and len(data) > NO_KEEPALIVE:
                ends = SocketAddress(ip_address(source), port), SocketAddress(ip_address(self._gateway), theirs)
                self._perform(attempt, attempt.endpoint.step(DatagramReceived(*ends, data), time.monotonic_ns()))
                done += data[:8] in self._under_way and self._stands(attempt)
        self._repeat(self._under_way.values())
        return done

    def _stands(self, attempt: Attempt) -> bool:
        if attempt.endpoint.status("hub").state is not PeerState.UP:
            return False
        # Where it called anew, it is known by the SPIs of each call.
        for one in [one for one, other in self._under_way.items() if other is attempt]:
            self.standing[one] = self._under_way.pop(one)
        return True

    def _repeat(self, attempts: Iterable[Attempt]) -> None:
        """Let time pass for these: what was not answered is sent again."""
        now = time.monotonic_ns()
        for attempt in tuple(attempts):
            due = attempt.endpoint.deadline()
            if due is not None and due[0] <= now:
                self._perform(attempt, attempt.endpoint.step(DeadlineReached(), now))


def _bound(host: Host, address: str, port: int) -> socket.socket:
    sock = host.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((address, port))
    return sock
