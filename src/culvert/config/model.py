"""What a gateway is to be: one frozen value, whatever language it was written in."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from culvert.addresses import IPAddress, IPNetwork
from culvert.crypto.certificates.certificate import Certificate
from culvert.crypto.certificates.store import TrustStore
from culvert.crypto.public_keys import PrivateKey
from culvert.identities import Identity
from culvert.ipsec.associations import Mode, Protocol, reqid_of
from culvert.ipsec.proposals import DEFAULT_ESP, DEFAULT_IKE, Proposal
from culvert.ipsec.selectors import TrafficSelector


class Start(StrEnum):
    """When a peer's tunnel is set up."""

    ALWAYS = "always"
    TRAFFIC = "traffic"
    PASSIVE = "passive"


class EncapsulationChoice(StrEnum):
    """How ESP travels: chosen by circumstances, always in UDP, or as protocol 50 unless there is a NAT."""

    AUTO = "auto"
    UDP = "udp"
    ESP = "esp"


class Backend(StrEnum):
    """Who moves the packets."""

    AUTO = "auto"
    ENGINE = "engine"
    KERNEL = "kernel"


class Authentication(StrEnum):
    """How two gateways prove to each other who they are."""

    SECRET = "secret"  # noqa: S105 - a word of the configuration
    CERTIFICATE = "certificate"


@dataclass(frozen=True, slots=True)
class Credential:
    """What we prove our identity with: a certificate, those above it that go along (no anchor), and its key."""

    certificate: Certificate
    chain: tuple[Certificate, ...]
    key: PrivateKey = field(repr=False)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where something was written."""

    file: str = ""
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Rekey:
    """When an association gets its successor: `after_s` seconds; 0 is never. The hard limit is a tenth later."""

    after_s: int

    @property
    def hard_s(self) -> int:
        return self.after_s + max(self.after_s // 10, 10) if self.after_s else 0


@dataclass(frozen=True, slots=True)
class Child:
    """One pair of traffic selector lists that is protected together.

    `tfc_octets`: what goes out is padded to this length (RFC 4303 section 2.7); 0: it is not.
    """

    peer: str
    name: str
    local: tuple[TrafficSelector, ...]
    remote: tuple[TrafficSelector, ...]
    proposals: tuple[Proposal, ...] = DEFAULT_ESP
    mode: Mode = Mode.TUNNEL
    rekey: Rekey = Rekey(3600)
    start: Start = Start.ALWAYS
    protocol: Protocol = Protocol.ESP
    tfc_octets: int = 0

    @property
    def reqid(self) -> int:
        return reqid_of(self.peer, self.name)


@dataclass(frozen=True, slots=True)
class Secret:
    """A pre-shared key, and where it stands, for people."""

    octets: bytes = field(repr=False)
    place: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Peer:
    """Another gateway. `addresses` are names or addresses, tried in turn; empty: it calls us from anywhere.

    `identity` None: it is known by the address at which we reach it, or by a name among `addresses`.
    `auth` is how it proves who it is, and `local_auth` how we do: None, in the same way. `secret` is the pre-shared
    key; None where none was found (loading says so), and `secret_from` where it stands, for people. A peer of several
    addresses may have another one at some: `secrets`. `credential` and `trust` are the same for certificates: ours, and
    who may vouch for the peer's.
    `legacy`: ESP may use algorithms that RFC 8221 advises against, signatures SHA-1 and short RSA keys. `split`: one
    child SA for each pair of networks.
    """

    name: str
    addresses: tuple[str, ...]
    identity: Identity | None
    local_identity: Identity | None
    children: tuple[Child, ...]
    secret: bytes | None = field(default=None, repr=False)
    secret_from: str = field(default="", compare=False)
    ike: int = 2
    proposals: tuple[Proposal, ...] = DEFAULT_IKE
    rekey: Rekey = Rekey(4 * 3600)
    dpd_s: int = 30
    start: Start = Start.ALWAYS
    encapsulation: EncapsulationChoice = EncapsulationChoice.AUTO
    replay_window_packets: int = 4096
    mtu: int | None = None
    mss: int | None = None
    metric: int | None = None
    origin: Origin = Origin()
    legacy: bool = False
    auth: Authentication = Authentication.SECRET
    local_auth: Authentication | None = None
    credential: Credential | None = None
    trust: TrustStore | None = None
    split: bool = False
    secrets: tuple[tuple[IPAddress, Secret], ...] = ()

    def secret_at(self, address: IPAddress) -> Secret | None:
        """Give the pre-shared key for the peer where it is at this address."""
        own = next((secret for one, secret in self.secrets if one == address), None)
        return own or (Secret(self.secret, self.secret_from) if self.secret else None)

    @property
    def own_auth(self) -> Authentication:
        """How we prove who we are."""
        return self.local_auth or self.auth

    @property
    def auths(self) -> tuple[Authentication, Authentication]:
        """Both ways: ours and the peer's."""
        return self.own_auth, self.auth


@dataclass(frozen=True, slots=True)
class Ends:
    """The two ends of a link, ours first. Both are of one family."""

    local: IPAddress
    remote: IPAddress


DEFAULT_GIF_MTU = 1280
"""gif(4): what every IPv6 path carries, with room for the outer header on any path."""


@dataclass(frozen=True, slots=True)
class Gif:
    """A virtual link (gif(4)): what is sent on it travels inside of packets between the `outer` ends.

    `inner` are the addresses of the link itself, one pair for each family at most. `routes` lie behind it. `ecn`:
    congestion marks pass between inner and outer header (RFC 6040). It encrypts nothing by itself: a policy does.
    """

    name: str
    outer: Ends | None = None
    inner: tuple[Ends, ...] = ()
    mtu: int = DEFAULT_GIF_MTU
    routes: tuple[IPNetwork, ...] = ()
    ecn: bool = False
    origin: Origin = Origin()

    @property
    def protocols(self) -> tuple[int, ...]:
        """The upper-layer protocols of its outer packets: IPv4 in IP (4) and IPv6 in IP (41)."""
        return tuple(4 if ends.local.version == 4 else 41 for ends in self.inner) or (4, 41)


@dataclass(frozen=True, slots=True)
class Gateway:
    """The whole configuration. `addresses` are ours; empty: what the route to each peer uses.

    `address_names` are names written in their place, to be resolved when a path is sought.
    """

    name: str
    addresses: tuple[IPAddress, ...]
    networks: tuple[IPNetwork, ...]
    peers: tuple[Peer, ...] = ()
    identity: Identity | None = None
    backend: Backend = Backend.AUTO
    firewall: bool = True
    origin: Origin = Origin()
    address_names: tuple[str, ...] = ()
    gifs: tuple[Gif, ...] = ()

    def peer(self, name: str) -> Peer | None:
        return next((peer for peer in self.peers if peer.name == name), None)
