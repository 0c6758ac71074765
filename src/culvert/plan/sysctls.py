"""Kernel settings that a gateway needs, each with its reason."""

from __future__ import annotations

from collections.abc import Iterator

from culvert.config.model import Gateway
from culvert.plan.desired import TUN, HostFacts, Sysctl
from culvert.plan.division import Division, divide
from culvert.plan.pairs import Protected, own_addresses, protected

_FORWARDING = {4: "net.ipv4.ip_forward", 6: "net.ipv6.conf.all.forwarding"}


def host_sysctls(gateway: Gateway, facts: HostFacts) -> tuple[Sysctl, ...]:
    """Give the host's settings, in the order in which they are made."""
    return tuple(_host(_forwarded(protected(gateway), facts) | _through_links(gateway), facts))


def tun_sysctls(gateway: Gateway, facts: HostFacts, division: Division | None = None) -> tuple[Sysctl, ...]:
    """Give the settings of the TUN, which has to be there first."""
    division = division or divide(gateway, facts)
    return tuple(_tun(facts, {*division.steered, *(pair.remote.version for pair in division.pairs)}))


def _host(forwarded: set[int], facts: HostFacts) -> Iterator[Sysctl]:
    if 6 in forwarded:
        # A host that forwards no longer listens to router advertisements, unless it is told to (2): the route by which
        # it reaches the Internet would go. So this comes first.
        for interface in facts.interfaces:
            if interface.router_advertisements:
                yield Sysctl(f"net.ipv6.conf.{_in_dots(interface.name)}.accept_ra", "2")
    for version in sorted(forwarded):
        yield Sysctl(_FORWARDING[version], "1")
    # ESP and IKE of a peer whose own address is steered come in with our mark. The reverse path filter must look the
    # route up with that mark, or it drops them.
    yield Sysctl("net.ipv4.conf.all.src_valid_mark", "1")


def _forwarded(pairs: list[Protected], facts: HostFacts) -> set[int]:
    """The families in which packets of other hosts go through: not where only the gateway itself is protected."""
    own = set(own_addresses(facts))
    return {pair.local.version for pair in pairs if pair.local.num_addresses > 1 or pair.local[0] not in own}


def _through_links(gateway: Gateway) -> set[int]:
    """The families of networks behind gif links: hosts here are to reach them."""
    return {network.version for gif in gateway.gifs for network in gif.routes}


def _tun(facts: HostFacts, versions: set[int]) -> Iterator[Sysctl]:
    # What comes out of the tunnel was judged by its policy (RFC 4301 section 5.2). Loose (2), and not off (0), because
    # the kernel takes the larger of this and the setting for all interfaces, and strict (1) would count.
    yield Sysctl(f"net.ipv4.conf.{TUN}.rp_filter", "2")
    # Packets between two peers come in and go out by the TUN: no reason to tell anybody of a better way.
    yield Sysctl(f"net.ipv4.conf.{TUN}.send_redirects", "0")
    yield Sysctl(f"net.ipv4.conf.{TUN}.accept_redirects", "0")
    if any(address.version == 6 for address in own_addresses(facts)):
        yield from _tun_ipv6(6 in versions)


def _tun_ipv6(carried: bool) -> Iterator[Sysctl]:
    """Keep the kernel's own IPv6 chatter (router solicitations, multicast reports) out of the TUN."""
    if not carried:
        yield Sysctl(f"net.ipv6.conf.{TUN}.disable_ipv6", "1")
        return
    yield Sysctl(f"net.ipv6.conf.{TUN}.addr_gen_mode", "1")
    yield Sysctl(f"net.ipv6.conf.{TUN}.autoconf", "0")
    yield Sysctl(f"net.ipv6.conf.{TUN}.accept_ra", "0")
    yield Sysctl(f"net.ipv6.conf.{TUN}.accept_redirects", "0")


def _in_dots(interface: str) -> str:
    """sysctl(8) writes the dot of eth0.100 as a slash."""
    return interface.replace(".", "/")
