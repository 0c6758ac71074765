"""What a proof is about, and what it found: plain values."""

from __future__ import annotations

from dataclasses import dataclass, field

from culvert.addresses import IPAddress, IPNetwork
from culvert.ipsec.selectors import Selector
from culvert.plan.desired import TUN

MARKER_OCTETS = 32
BETWEEN_NETWORKS = "between the networks"
PROTECTED = "that the children protect"
"""What a verdict is about: the latter where they do not protect everything between the networks."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The tunnel to one peer, and where to look.

    `local_address` is one of this gateway's own inside `local_networks`, None where it has none. `remote_address` is
    what is probed on the peer's side; None: the first host of its first network, which is the gateway more often than
    not. `outside` are the interfaces towards the Internet. `spis_in` and `spis_out` are those of the peer's ESP SAs
    before the probes; `gateways` are both ends' outer addresses, as far as they are known. `selectors` are what is
    protected, as packets go out; empty: everything between the networks. `transport`: some of it travels in transport
    mode. `readable` are the children that are AH: they protect everything but from being read.
    """

    peer: str
    local_networks: tuple[IPNetwork, ...]
    remote_networks: tuple[IPNetwork, ...]
    local_address: IPAddress | None
    remote_address: IPAddress | None
    outside: tuple[str, ...]
    spis_in: tuple[int, ...]
    spis_out: tuple[int, ...]
    gateways: tuple[IPAddress, ...] = ()
    tun: str = TUN
    selectors: tuple[Selector, ...] = ()
    transport: bool = False
    readable: tuple[str, ...] = ()

    @property
    def protected(self) -> tuple[Selector, ...]:
        """What only the tunnel may carry, as packets go out."""
        return self.selectors or tuple(
            Selector(local, remote)
            for local in self.local_networks
            for remote in self.remote_networks
            if local.version == remote.version
        )

    def between(self, source: IPAddress, destination: IPAddress) -> bool:
        """Whether a packet with these ends is between the networks, in either direction."""
        there = _within(source, self.local_networks) and _within(destination, self.remote_networks)
        return there or (_within(source, self.remote_networks) and _within(destination, self.local_networks))


def _within(address: IPAddress, networks: tuple[IPNetwork, ...]) -> bool:
    return any(address in network for network in networks)


@dataclass(frozen=True, slots=True)
class Probe:
    """One packet. `error` says why it could not be sent, empty where it was; `answered_ns` None: no reply."""

    sequence: int
    payload: bytes = field(repr=False)
    error: str = ""
    answered_ns: int | None = None

    @property
    def marker(self) -> bytes:
        """The random octets that must not be seen outside."""
        return self.payload[:MARKER_OCTETS]

    @property
    def sent(self) -> bool:
        return not self.error


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was judged. `ok` None: it could not be shown either way, and `message` says why."""

    name: str
    ok: bool | None
    message: str
    what_to_do: str = ""


@dataclass(frozen=True, slots=True)
class Findings:
    """What was seen outside meanwhile, for people. `clear` and `excerpt` are lines as of tcpdump."""

    probed: str
    probes_sent: int
    probes_answered: int
    packets: int
    octets: int
    esp_out: int
    esp_in: int
    clear: tuple[str, ...] = ()
    excerpt: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """`ok`: no check failed, and it was shown that the probes left encrypted. `scope` says of what, for people."""

    peer: str
    ok: bool
    checks: tuple[Check, ...]
    evidence: Findings
    scope: str = BETWEEN_NETWORKS

    @property
    def message(self) -> str:
        """One line for people."""
        if self.ok:
            return f"{self.peer}: proven. Nothing {self.scope} could be read outside."
        failed = [check.message for check in self.checks if check.ok is False]
        return f"{self.peer}: NOT proven. {' '.join(failed)}"
