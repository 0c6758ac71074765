"""Who lives in a simulated world, behind what, and what each has configured."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from enum import StrEnum

from culvert.config.model import Authentication, Child, EncapsulationChoice, Peer, Rekey, Start
from culvert.identities import Identity
from culvert.ike.events import Configured
from culvert.ipsec.proposals import Proposal, esp_proposal, ike_proposal
from culvert.ipsec.selectors import TrafficSelector, traffic_selector
from culvert.sim.authority import credential, trust
from culvert.sim.link import MILLISECOND
from culvert.sim.nat import NEVER, TIMEOUTS, Behaviour

IKE: tuple[Proposal, ...] = (ike_proposal("aes128gcm16-prfsha256-x25519"),)
ESP: dict[str, tuple[Proposal, ...]] = {
    "pfs": (esp_proposal("aes128gcm16-x25519-none"),),
    "plain": (esp_proposal("aes128gcm16"),),
}
SECRET = b"only for simulation, never for a gateway"
HUB = "hub"
HUB_ADDRESS, HUB_NAME, HUB_INNER = "203.0.113.1", "hub.example.org", "192.168.0.1"
SPOKES = ("spoke1", "spoke2")


class Change(StrEnum):
    """What a configuration may be instead of what it was at first. `NONE` is what it was."""

    NONE = "as before"
    DPD = "another liveness interval"
    SECRET = "another secret"  # noqa: S105 - says what is other
    TOKENS = "another secret for crash tokens"
    FEWER = "one child less"
    MORE = "one child more"
    NARROWER = "half of the network"
    ABSENT = "without the peer"


@dataclass(frozen=True, slots=True)
class Translator:
    """A NAT, as RFC 4787 classifies it. `shared`: both spokes are behind the same one."""

    mapping: Behaviour = Behaviour.ENDPOINT_INDEPENDENT
    filtering: Behaviour = Behaviour.ENDPOINT_INDEPENDENT
    preserves_ports: bool = False
    timeout_ns: int = NEVER
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Setting:
    """One hub with one or two spokes. `at_hub` and `at_spokes` say who begins; a spoke behind a NAT always does.

    `hub_translated`: the hub has a private address, and a router forwards to it. `called_by_name`: spokes know the hub
    by a name of the DNS. `roaming`: spokes are known by identity, from wherever they call. `certificates`: everybody
    proves who it is by one. `networks` is how many each child has behind the hub; `split`: each has an SA of its own.
    `crash_tokens`: everybody shows what it has lost (RFC 6290).
    """

    spokes: int = 1
    children: int = 1
    esp: str = "plain"
    at_hub: Start = Start.ALWAYS
    at_spokes: Start = Start.ALWAYS
    translator: Translator | None = None
    hub_translated: bool = False
    called_by_name: bool = False
    roaming: bool = False
    certificates: bool = False
    networks: int = 1
    split: bool = False
    crash_tokens: bool = False
    encapsulation: EncapsulationChoice = EncapsulationChoice.AUTO
    child_rekey_s: int = 3600
    ike_rekey_s: int = 4 * 3600
    dpd_s: int = 30
    latency: int = 10 * MILLISECOND

    @property
    def names(self) -> tuple[str, ...]:
        return (HUB, *SPOKES[: self.spokes])

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        return tuple((HUB, spoke) for spoke in SPOKES[: self.spokes])

    @property
    def by_identity(self) -> bool:
        """Whether the hub knows its spokes by who they are, not where."""
        return self.roaming or self.translator is not None

    def address(self, name: str) -> str:
        """Give the address that a machine has by itself."""
        if name == HUB:
            return HUB_INNER if self.hub_translated else HUB_ADDRESS
        number = SPOKES.index(name) + 1
        return f"10.99.0.{number}" if self.translator else f"198.51.100.{number}"

    def configured(self, name: str, change: Change = Change.NONE) -> Configured:
        """Give the configuration of one gateway."""
        if change is Change.ABSENT:
            return Configured(())
        others = SPOKES[: self.spokes] if name == HUB else (HUB,)
        secret = f"{change is Change.TOKENS} {name}".encode() if self.crash_tokens else b""
        return Configured(tuple(_changed(self._peer(name, other), change) for other in others), token_secret=secret)

    def _peer(self, name: str, other: str) -> Peer:
        spoke = other if name == HUB else name
        number = SPOKES.index(spoke) + 1
        children = tuple(self._child(name, other, number, at) for at in range(self.children))
        return Peer(
            other,
            self._addresses(other),
            self._identity(other),
            self._identity(name),
            children,
            secret=SECRET + spoke.encode(),
            proposals=IKE,
            rekey=Rekey(self.ike_rekey_s),
            dpd_s=self.dpd_s,
            start=self._start(name),
            auth=Authentication.CERTIFICATE if self.certificates else Authentication.SECRET,
            credential=credential(f"{name}.example.org", self.names.index(name) + 1) if self.certificates else None,
            trust=trust() if self.certificates else None,
            split=self.split,
            encapsulation=self.encapsulation,
        )

    def _addresses(self, other: str) -> tuple[str, ...]:
        if other == HUB:
            return (HUB_NAME if self.called_by_name else HUB_ADDRESS,)
        return () if self.by_identity else (self.address(other),)

    def _identity(self, name: str) -> Identity | None:
        """Give a name for whom an address does not tell."""
        named = self.hub_translated or self.called_by_name if name == HUB else self.by_identity
        named |= self.certificates
        return Identity.parse(f"{name}.example.org") if named else None

    def _start(self, name: str) -> Start:
        if name == HUB:
            return self.at_hub
        return Start.ALWAYS if self.by_identity else self.at_spokes

    def _child(self, name: str, other: str, number: int, at: int) -> Child:
        behind_hub = tuple(traffic_selector(f"10.{100 + one}.{at}.0/24") for one in range(self.networks))
        behind_spoke = (traffic_selector(f"10.{number}.{at}.0/24"),)
        local, remote = (behind_hub, behind_spoke) if name == HUB else (behind_spoke, behind_hub)
        return Child(other, f"net{at}", local, remote, proposals=ESP[self.esp], rekey=Rekey(self.child_rekey_s))


def _changed(peer: Peer, change: Change) -> Peer:
    first, last = peer.children[0], peer.children[-1]
    if change is Change.DPD:
        return replace(peer, dpd_s=peer.dpd_s + 5)
    if change is Change.SECRET:
        return replace(peer, secret=(peer.secret or b"") + b", changed")
    if change is Change.FEWER and len(peer.children) > 1:
        return replace(peer, children=peer.children[:-1])
    if change is Change.MORE:
        more = replace(last, name="more", local=tuple(map(_moved, last.local)), remote=tuple(map(_moved, last.remote)))
        return replace(peer, children=(*peer.children, more))
    if change is Change.NARROWER:
        halves = tuple(map(_half, first.local)), tuple(map(_half, first.remote))
        return replace(peer, children=(replace(first, local=halves[0], remote=halves[1]), *peer.children[1:]))
    return peer


def _moved(selector: TrafficSelector) -> TrafficSelector:
    """Give a network of the same size, 100 further on."""
    return traffic_selector(f"{selector.start + (100 << 8)}/24")


def _half(selector: TrafficSelector) -> TrafficSelector:
    return traffic_selector(f"{selector.start}/25")


def draw(source: random.Random) -> Setting:
    """Draw a world. Most are simple, so that what happens in them is what counts."""
    translator = _translator(source) if source.random() < 0.3 else None
    starts = source.choice(
        (
            (Start.ALWAYS, Start.ALWAYS),
            (Start.ALWAYS, Start.PASSIVE),
            (Start.PASSIVE, Start.ALWAYS),
            (Start.ALWAYS, Start.TRAFFIC),
            (Start.TRAFFIC, Start.TRAFFIC),
        )
    )
    return Setting(
        spokes=2 if source.random() < 0.15 else 1,
        children=source.choice((1, 1, 1, 2, 3)),
        esp=source.choice(("pfs", "plain", "plain")),
        at_hub=starts[0],
        at_spokes=starts[1],
        translator=translator,
        hub_translated=source.random() < 0.1,
        called_by_name=source.random() < 0.2,
        roaming=source.random() < 0.2,
        certificates=source.random() < 0.1,
        networks=(networks := source.choice((1, 1, 1, 2))),
        split=networks > 1 and source.random() < 0.5,
        crash_tokens=source.random() < 0.5,
        encapsulation=source.choice((EncapsulationChoice.AUTO, EncapsulationChoice.AUTO, *EncapsulationChoice)),
        child_rekey_s=source.choice((3600, 3600, 300, 120)),
        ike_rekey_s=source.choice((4 * 3600, 4 * 3600, 900, 240)),
        dpd_s=source.choice((30, 30, 10, 60)),
        latency=source.choice((2, 10, 40, 120)) * MILLISECOND,
    )


def _translator(source: random.Random) -> Translator:
    return Translator(
        mapping=source.choice(tuple(Behaviour)),
        filtering=source.choice(tuple(Behaviour)),
        preserves_ports=source.random() < 0.4,
        timeout_ns=source.choice(TIMEOUTS),
        shared=source.random() < 0.5,
    )
