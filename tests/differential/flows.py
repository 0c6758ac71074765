"""Flows of traffic and what protects them: the messages that set them up at either end."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from culvert.addresses import IPAddress
from culvert.wire.netlink.numbers import Xfrm
from culvert.wire.netlink.policy import POLICY_IN, POLICY_OUT, PolicyWire, TemplateWire, emit_policy
from culvert.wire.netlink.sa import EncapsulationWire, ReplayWire, SaWire
from culvert.wire.netlink.structures import IdWire, SelectorWire
from tests.differential.conversation import Request
from tests.differential.messages import AF_UNSPEC, ALIGN4, ESN, TRANSPORT, TUNNEL, V4, V6, new
from tests.differential.suites import AH, Suite

OUR_HOST = {4: ip_address("192.168.1.20"), 6: ip_address("2001:db8:1::20")}
"""Behind the engine's gateway."""
THEIR_NETWORK = {4: ip_network("192.168.2.0/24"), 6: ip_network("2001:db8:2::/64")}
"""Behind the guest's gateway, all of it the guest's own."""
THEIR_HOSTS = {4: ip_network("198.51.100.0/24"), 6: ip_network("2001:db8:77::/64")}
"""The guest's own as well: a host of its own for each flow between the two hosts themselves."""
ENDS = {4: V4, 6: V6}
"""The gateways: ours, theirs."""
WINDOW = ReplayWire(64)
NAT_PORT = 4500

Layer = tuple[Suite, int]
"""A suite and the mode in which it is applied."""


@dataclass(frozen=True)
class Flow:
    """Traffic of a family to the guest's address `number`. `layers`: what is applied, the innermost first.

    `outer` is the family of tunnels. Where the first layer is transport mode, the flow is the gateways' own.
    `protocol` is the only one that the policies are for; 0: all. `in_udp`: the last layer, ESP, goes in UDP (RFC 3948).
    """

    number: int
    layers: tuple[Layer, ...]
    inner: int = 4
    outer: int = 4
    esn: bool = False
    protocol: int = 0
    in_udp: bool = False

    def __str__(self) -> str:
        modes = {TRANSPORT: "transport", TUNNEL: f"tunnel in {self.outer}"}
        layers = ", ".join(f"{suite.name} {modes[mode]}" for suite, mode in self.layers)
        extra = f"{' with ESN' if self.esn else ''}{' in UDP' if self.in_udp else ''}"
        return f"IPv{self.inner} by {layers}{extra}"

    @property
    def between_hosts(self) -> bool:
        """Whether the flow is the two gateways' own."""
        return self.layers[0][1] == TRANSPORT

    @property
    def ours(self) -> IPAddress:
        """The address at our end."""
        return ENDS[self.inner][0] if self.between_hosts else OUR_HOST[self.inner]

    @property
    def theirs(self) -> IPAddress:
        """The address at the guest's end."""
        network = (THEIR_HOSTS if self.between_hosts else THEIR_NETWORK)[self.inner]
        return network[self.number]

    @cached_property
    def outward(self) -> list[SaWire]:
        """The associations from us to the guest, in order of application."""
        return self._associations(1)

    @cached_property
    def inward(self) -> list[SaWire]:
        """The associations from the guest to us."""
        return self._associations(2)

    def _associations(self, way: int) -> list[SaWire]:
        ends, found = (self.ours, self.theirs), []
        for place, (suite, mode) in enumerate(self.layers):
            if mode == TUNNEL:
                ends = ENDS[self.outer]
            source, destination = ends if way == 1 else ends[::-1]
            spi = way << 24 | self.number << 8 | place
            # The kernel takes it that what is inside has the family of the ends, unless it is told.
            flags = ESN * self.esn | AF_UNSPEC * (mode == TUNNEL and self.inner != self.outer)
            # AH over IPv4 in words of four octets, as RFC 4302 section 3.3.3.2.1 has it and the kernel does when told.
            flags |= ALIGN4 * (suite.protocol == AH and source.version == 4)
            sa = SaWire(IdWire(destination, spi, suite.protocol), source, self.reqid(place), mode)
            last = place == len(self.layers) - 1
            encapsulation = EncapsulationWire(NAT_PORT, NAT_PORT) if self.in_udp and last else None
            sa = replace(sa, flags=flags, replay=WINDOW, encapsulation=encapsulation)
            found.append(replace(sa, **suite.attributes()))  # type: ignore[arg-type]
        return found

    def reqid(self, place: int) -> int:
        """Give the number that ties a template to its association."""
        return self.number << 8 | place + 1

    def policies(self, *, engine: bool) -> list[PolicyWire]:
        """Give the two policies of one end."""
        there, back = (self.ours, self.theirs), (self.theirs, self.ours)
        out, inward = (there, back) if engine else (back, there)
        leaving, arriving = (self.outward, self.inward) if engine else (self.inward, self.outward)
        return [self._policy(out, POLICY_OUT, leaving), self._policy(inward, POLICY_IN, arriving)]

    def _policy(self, ends: tuple[IPAddress, IPAddress], direction: int, associations: list[SaWire]) -> PolicyWire:
        source, destination = (host_network(end) for end in ends)
        templates = tuple(_template(sa) for sa in associations)
        return PolicyWire(
            SelectorWire(source, destination, self.protocol), direction, priority=100, templates=templates
        )

    def requests(self, *, engine: bool) -> list[Request]:
        """Give the messages that set up one end."""
        associations = [Request(Xfrm.NEWSA, new(sa)) for sa in (*self.outward, *self.inward)]
        return associations + [Request(Xfrm.NEWPOLICY, emit_policy(one)) for one in self.policies(engine=engine)]


def _template(sa: SaWire) -> TemplateWire:
    """In transport mode the ends are the packet's, and the template names nobody."""
    if sa.mode == TUNNEL:
        return TemplateWire(IdWire(sa.id.destination, 0, sa.id.protocol), sa.source, sa.reqid, TUNNEL)
    nobody = ip_address(bytes(len(sa.source.packed)))
    return TemplateWire(IdWire(nobody, 0, sa.id.protocol), nobody, sa.reqid, TRANSPORT)


def host_network(address: IPAddress) -> IPv4Network | IPv6Network:
    """Give the network of one address."""
    return ip_network(address)
