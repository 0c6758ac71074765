"""Renders the firewall we want as one nftables transaction: `table inet culvert`, whole.

The way of a packet through it:

1. `fence_in`, before conntrack: what comes for our IKE and ESP sockets gets our mark, so that strict reverse path
   filtering finds its way back outside the tunnel; what only the tunnel may bring and did not come from it is dropped,
   and so is what claims to be one of ours and comes from where ours are not.
2. `clamp_in`: TCP segments of what comes out of the tunnel.
3. `fence_input` or `fence_forward`: the same judgement once more, because a destination NAT between 1 and 3 can turn a
   packet for the gateway's outer address into one for the private network.
4. `input` and `forward`: IKE and ESP, and the traffic between the networks, are accepted and counted.
5. `fence_out`, before source NAT: what only the tunnel may take, and would leave by another way, is dropped.
6. `clamp_out`: TCP segments of what goes into the tunnel.

Where a pair of networks cannot say what is protected, runs of policies do (`walk`), behind the pairs:

- at 1, 3 and 5 what is in none of the pairs is judged by the runs of its direction;
- `steer_in`, behind destination NAT, and `steer_out`, for the gateway's own traffic, mark what must enter the tunnel.

Accepting here does not undo a drop in another table: `foreign` looks for those.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import collapse_addresses, ip_network
from typing import Any

from culvert.addresses import IKE_PORT, NAT_PORT, IPNetwork
from culvert.config.model import Gif
from culvert.network.boxes import disjoint_boxes
from culvert.network.expressions import (
    ADDRESS_TYPE,
    IP,
    Json,
    addresses,
    any_of,
    counter,
    element,
    field,
    match,
    meta,
    prefix,
)
from culvert.network.walk import FORWARD, INWARD, OUT, Act, sets, walk
from culvert.plan.desired import (
    MARK,
    NFT_TABLE,
    STEER,
    STEER_FORWARDED,
    TUN,
    Attached,
    Clamp,
    Firewall,
    Pair,
)
from culvert.plan.entries import Verdict
from culvert.plan.pairs import contains
from culvert.plan.runs import Run

FAMILY = "inet"
COUNTERS = (
    "fenced_in",
    "fenced_out",
    "ike_and_esp",
    "strangers",
    "from_tunnel",
    "into_tunnel",
    "discarded_in",
    "discarded_out",
)
"""Named counters of the table, in the order in which `status` shows them."""

UDP = 17
ESP = 50
AH = 51
VERSIONS = (4, 6)
IN_IP = (4, 41)
"""IPv4 and IPv6 inside of IP: what gif links send."""
HEADERS = {4: 40, 6: 60}
"""IP and TCP headers without options, by IP version."""
NFPROTO = {4: "ipv4", 6: "ipv6"}

RAW = -300
MANGLE = -150
BEHIND_NAT = -50
"""Behind destination NAT (-100): the data plane sees packets as they are then."""
FILTER = 0

LINK_SCOPE = {
    4: [{"prefix": {"addr": "224.0.0.0", "len": 24}}, "255.255.255.255"],
    6: {"prefix": {"addr": "ff02::", "len": 16}},
}
"""Destinations that no router forwards (RFC 5771 section 4, RFC 4291 section 2.7), whatever range a peer claims."""

_TABLE: Json = {"table": {"family": FAMILY, "name": NFT_TABLE}}

PRIVATE = tuple(ip_network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"))
"""What the Internet does not route (RFC 1918 section 3, RFC 4193 section 3.1)."""

ACCEPT: Json = {"accept": None}
DROP: Json = {"drop": None}
RETURN: Json = {"return": None}


def set_mark(mark: int) -> Json:
    return {"mangle": {"key": meta("mark"), "value": mark}}


SET_MARK = set_mark(MARK)
FROM_THIS_HOST = match({"fib": {"result": "type", "flags": ["saddr"]}}, "local")
FOR_THIS_HOST = match({"fib": {"result": "type", "flags": ["daddr"]}}, "local")
BY_ANOTHER_WAY = match({"fib": {"result": "oif", "flags": ["saddr", "mark", "iif"]}}, False)
"""No packet to the source would leave by the interface by which this one came (RFC 3704 section 2.2)."""
ONLY_HERE = any_of((TUN, "lo"))
NEIGHBOUR_DISCOVERY = (
    match(field("icmpv6", "type"), any_of([{"range": [133, 137]}])),
    match(field("ip6", "hoplimit"), 255),
)
"""RFC 4861: what no router forwarded is about the wire itself, as ARP is, whatever a policy says of all traffic."""


def render(firewall: Firewall, counts: Mapping[str, tuple[int, int]] | None = None) -> Json:
    """Build the transaction that puts `firewall` in place of whatever our table held.

    `counts` carries packets and octets over from the table before, by counter name.
    """
    return {"nftables": [*render_removal()["nftables"], *_commands(firewall, counts or {})]}


def render_removal() -> Json:
    """Build the transaction that takes our table away, whether or not it is there."""
    return {"nftables": [{"add": _TABLE}, {"delete": _TABLE}]}


def _commands(firewall: Firewall, counts: Mapping[str, tuple[int, int]]) -> Iterator[Json]:
    yield {"add": _TABLE}
    for name in COUNTERS:
        packets, octets = counts.get(name, (0, 0))
        yield _add("counter", {"name": name, "packets": packets, "bytes": octets})
    yield from _pair_sets("fenced", firewall.fenced)
    if firewall.guarded:
        yield from _pair_sets("guarded", firewall.guarded)
    ours = (pair.local for pair in (*firewall.fenced, *firewall.guarded))
    yield from _network_sets("own", (network for network in ours if network.prefixlen))
    yield from _network_sets("private", (pair.remote for pair in firewall.fenced if _is_private(pair.remote)))
    yield from _network_sets("peers", firewall.peers)
    if firewall.gifs:
        yield from _network_sets("near", firewall.near)
    yield from _walks(firewall)
    yield from _from_elsewhere(firewall)
    yield from _fence_in(firewall)
    yield from _fence_out(firewall)
    if firewall.out or firewall.inward or firewall.forward:
        yield from _steer_in(walked=bool(firewall.out))
    if firewall.out:
        yield from _steer_out()
    yield from _clamps(firewall.clamps, firewall.gifs)
    if firewall.accept:
        yield from _accepts(firewall)


def _walks(firewall: Firewall) -> Iterator[Json]:
    """Give the chains that judge packets by the runs."""
    yield from _walk("fence_walk_in", INWARD, firewall.inward, _act_in)
    yield from _walk("fence_walk_forward", FORWARD, firewall.forward, _act_in)
    yield from _walk("fence_walk_out", OUT, firewall.out, _act_out)
    if firewall.out:
        yield from _walk_chain("steer_walk", OUT, firewall.out, _act_steering)


def _walk(chain: str, direction: str, runs: tuple[Run, ...], act: Act) -> Iterator[Json]:
    if runs:
        for one in sets(direction, runs):
            yield _add("set", one)
        yield from _walk_chain(chain, direction, runs, act)


def _walk_chain(chain: str, direction: str, runs: tuple[Run, ...], act: Act) -> Iterator[Json]:
    yield _add("chain", {"name": chain})
    for version in VERSIONS:
        yield _rule(chain, match(field(IP[version], "daddr"), _listed(LINK_SCOPE[version])), RETURN)
    yield _rule(chain, *NEIGHBOUR_DISCOVERY, RETURN)
    for expressions in walk(direction, runs, act):
        yield _rule(chain, *expressions)


def _act_in(verdict: Verdict) -> list[Json]:
    if verdict is Verdict.PASS:
        return [RETURN]
    return [counter("discarded_in" if verdict is Verdict.DISCARD else "fenced_in"), DROP]


def _act_out(verdict: Verdict) -> list[Json]:
    if verdict is Verdict.PASS:
        return [ACCEPT]
    return [counter("discarded_out" if verdict is Verdict.DISCARD else "fenced_out"), DROP]


def _act_steering(verdict: Verdict) -> list[Json]:
    return [set_mark(STEER), RETURN] if verdict is Verdict.PROTECT else [RETURN]


def _unless_paired(chain: str, walked: str, first: str, second: str) -> Iterator[Json]:
    """Have a walk judge what is in none of the fenced pairs: those come first."""
    for version in VERSIONS:
        elsewhere = match(addresses(version, first, second), f"@fenced{version}", "!=")
        yield _rule(chain, elsewhere, {"jump": {"target": walked}})


def _steer_out() -> Iterator[Json]:
    """Mark what this host sends: the kernel then looks for another route."""
    chain = "steer_out"
    yield _add("chain", {"name": chain, "type": "route", "hook": "output", "prio": BEHIND_NAT, "policy": "accept"})
    yield _rule(chain, match(meta("mark"), MARK), ACCEPT)
    yield _rule(chain, match(meta("oifname"), "lo"), ACCEPT)
    yield from _ours_leaving(chain)
    yield from _unless_paired(chain, "steer_walk", "saddr", "daddr")


def _steer_in(*, walked: bool) -> Iterator[Json]:
    """Mark what is to be forwarded into the tunnel, and what came from it.

    The latter for reverse path filtering alone: the tunnel device has no address, so that even the loose kind wants the
    way back to lead there.
    """
    chain = "steer_in"
    yield _base(chain, "prerouting", BEHIND_NAT)
    yield _rule(chain, match(meta("mark"), MARK), ACCEPT)
    yield _rule(chain, match(meta("iifname"), "lo"), ACCEPT)
    yield _rule(chain, match(meta("iifname"), TUN), set_mark(STEER_FORWARDED))
    if walked:
        yield _rule(chain, FOR_THIS_HOST, ACCEPT)
        yield from _unless_paired(chain, "steer_walk", "saddr", "daddr")
        of_others = match(meta("iifname"), TUN, "!=")
        yield _rule(chain, of_others, match(meta("mark"), STEER), set_mark(STEER_FORWARDED))


def _ours_leaving(chain: str) -> Iterator[Json]:
    """Let pass ESP, AH and IKE of this host: no policy is about them, whoever sends them."""
    yield _rule(chain, match(meta("l4proto"), any_of((ESP, AH))), FROM_THIS_HOST, ACCEPT)
    yield _rule(chain, match(field("udp", "sport"), any_of((IKE_PORT, NAT_PORT))), FROM_THIS_HOST, ACCEPT)


def _fence_in(firewall: Firewall) -> Iterator[Json]:
    yield _base("fence_in", "prerouting", RAW)
    for expressions in _ours():
        yield _rule("fence_in", FOR_THIS_HOST, *expressions, SET_MARK, ACCEPT)
    yield _rule("fence_in", {"jump": {"target": "from_elsewhere"}})
    yield from _false_friends(["fenced", "guarded"] if firewall.guarded else ["fenced"])
    if firewall.gifs:
        yield from _false_neighbours(firewall)
    for gif in firewall.gifs:
        yield from _of_link(gif)
    yield _base("fence_input", "input", RAW)
    yield _rule("fence_input", match(meta("mark"), MARK), ACCEPT)
    yield _rule("fence_input", {"jump": {"target": "from_elsewhere"}})
    yield _base("fence_forward", "forward", RAW)
    yield _rule("fence_forward", {"jump": {"target": "from_elsewhere"}})
    if firewall.forward:
        yield _rule("fence_forward", match(meta("iifname"), ONLY_HERE), ACCEPT)
        yield from _unless_paired("fence_forward", "fence_walk_forward", "daddr", "saddr")


def _of_link(gif: Gif) -> Iterator[Json]:
    """Mark what comes bare from a gif link's other end: policies have judged it, and its way is outside the tunnel."""
    if gif.outer is None:
        return
    family = IP[gif.outer.local.version]
    ends = (
        match(field(family, "saddr"), str(gif.outer.remote)),
        match(field(family, "daddr"), str(gif.outer.local)),
    )
    yield _rule("fence_in", *ends, match(meta("l4proto"), any_of(IN_IP)), SET_MARK, ACCEPT)


def _false_friends(pairs: Iterable[str]) -> Iterator[Json]:
    """Drop what would speak to our networks, or through the tunnel, with a source that is ours, from the wrong side.

    Only that: strict reverse path filtering of everything is for the host to decide. Before routing alone, because
    older kernels look such ways up nowhere else.
    """
    not_ours = match(meta("iifname"), ONLY_HERE, "!=")
    for version in VERSIONS:
        source = match(field(IP[version], "saddr"), f"@own{version}")
        near = match(field(IP[version], "daddr"), f"@own{version}")
        far = [match(addresses(version, "saddr", "daddr"), f"@{name}{version}") for name in pairs]
        for destination in (near, *far):
            yield _rule("fence_in", not_ours, source, destination, BY_ANOTHER_WAY, counter("fenced_in"), DROP)


def _false_neighbours(firewall: Firewall) -> Iterator[Json]:
    """Drop what comes by a gif link in the name of this host, or of a host on a wire of ours."""
    by_link = match(meta("iifname"), any_of([gif.name for gif in firewall.gifs]))
    yield _rule("fence_in", by_link, FROM_THIS_HOST, counter("fenced_in"), DROP)
    for version in VERSIONS:
        near = match(field(IP[version], "saddr"), f"@near{version}")
        yield _rule("fence_in", by_link, near, BY_ANOTHER_WAY, counter("fenced_in"), DROP)


def _ours() -> Iterator[tuple[Json, ...]]:
    """Match ESP, AH and IKE, and the later fragments of an IKE message, which carry no ports."""
    yield (match(meta("l4proto"), any_of((ESP, AH))),)
    yield (match(field("udp", "dport"), any_of((IKE_PORT, NAT_PORT))),)
    later = {"&": [field("ip", "frag-off"), 0x1FFF]}
    yield (match(field("ip", "protocol"), "udp"), match(later, 0, "!="))
    yield (match(meta("l4proto"), UDP), match({"exthdr": {"name": "frag", "field": "frag-off"}}, 0, ">"))


def _from_elsewhere(firewall: Firewall) -> Iterator[Json]:
    """Drop what only the tunnel may bring, in a chain that three hooks share."""
    chain = "from_elsewhere"
    yield _add("chain", {"name": chain})
    yield _rule(chain, match(meta("iifname"), ONLY_HERE), RETURN)
    if firewall.inward:
        yield from _unless_paired(chain, "fence_walk_in", "daddr", "saddr")
    yield from _exceptions(chain, "iifname", "saddr", firewall.attached, RETURN)
    for version in VERSIONS:
        pair = match(addresses(version, "daddr", "saddr"), f"@fenced{version}")
        yield _rule(chain, pair, counter("fenced_in"), DROP)


def _fence_out(firewall: Firewall) -> Iterator[Json]:
    chain = "fence_out"
    yield _base(chain, "postrouting", RAW)
    yield _rule(chain, match(meta("mark"), MARK), ACCEPT)
    yield _rule(chain, match(meta("oifname"), ONLY_HERE), ACCEPT)
    if firewall.out:
        yield from _ours_leaving(chain)
        yield from _unless_paired(chain, "fence_walk_out", "saddr", "daddr")
    yield from _exceptions(chain, "oifname", "daddr", firewall.attached, ACCEPT)
    for version in VERSIONS:
        pair = match(addresses(version, "saddr", "daddr"), f"@fenced{version}")
        yield _rule(chain, pair, counter("fenced_out"), DROP)
        # Without our route, the gateway's own traffic to a peer's private network would take the outside address for
        # its source, which no pair covers, and leave for a router that cannot know the way.
        private = match(field(IP[version], "daddr"), f"@private{version}")
        yield _rule(chain, private, FROM_THIS_HOST, counter("fenced_out"), DROP)


def _exceptions(chain: str, interface: str, side: str, attached: Iterable[Attached], verdict: Json) -> Iterator[Json]:
    """Let pass what stays on a link of ours, though a peer's wider range covers it."""
    for version in VERSIONS:
        yield _rule(chain, match(field(IP[version], "daddr"), _listed(LINK_SCOPE[version])), verdict)
    for network in attached:
        inside = match(field(IP[network.network.version], side), prefix(network.network))
        yield _rule(chain, match(meta(interface), network.interface), inside, verdict)


def _accepts(firewall: Firewall) -> Iterator[Json]:
    yield _base("input", "input", FILTER)
    for expressions in tuple(_ours())[:2]:
        yield from _accept_from_peers(expressions, firewall.peers)
    yield _base("forward", "forward", FILTER)
    for gif in firewall.gifs:
        yield _rule("forward", match(meta("iifname"), gif.name), ACCEPT)
        yield _rule("forward", match(meta("oifname"), gif.name), ACCEPT)
    for version in VERSIONS:
        inbound = match(addresses(version, "daddr", "saddr"), f"@fenced{version}")
        outbound = match(addresses(version, "saddr", "daddr"), f"@fenced{version}")
        yield _rule("forward", match(meta("iifname"), TUN), inbound, counter("from_tunnel"), ACCEPT)
        yield _rule("forward", match(meta("oifname"), TUN), outbound, counter("into_tunnel"), ACCEPT)
    if firewall.inward or firewall.forward or firewall.out:
        yield _rule("forward", match(meta("iifname"), TUN), counter("from_tunnel"), ACCEPT)
        yield _rule("forward", match(meta("oifname"), TUN), counter("into_tunnel"), ACCEPT)


def _accept_from_peers(expressions: tuple[Json, ...], peers: tuple[IPNetwork, ...]) -> Iterator[Json]:
    if not peers:
        yield _rule("input", *expressions, counter("ike_and_esp"), ACCEPT)
        return
    for version in VERSIONS:
        source = match(field(IP[version], "saddr"), f"@peers{version}")
        yield _rule("input", source, *expressions, counter("ike_and_esp"), ACCEPT)
    yield _rule("input", *expressions, counter("strangers"), DROP)


def _clamps(clamps: tuple[Clamp, ...], gifs: tuple[Gif, ...]) -> Iterator[Json]:
    """Lower the segment size of SYNs, in a chain for each direction. The kernel never raises it."""
    yield _base("clamp_in", "prerouting", MANGLE)
    yield _base("clamp_out", "postrouting", MANGLE)
    for gif in gifs:
        for version in VERSIONS:
            mss = gif.mtu - HEADERS[version]
            yield _clamp("clamp_in", "iifname", gif.name, match(meta("nfproto"), NFPROTO[version]), mss)
            yield _clamp("clamp_out", "oifname", gif.name, match(meta("nfproto"), NFPROTO[version]), mss)
    for mss in sorted({clamp.mss for clamp in clamps}):
        name = f"clamp{mss}_"
        yield from _pair_sets(name, (clamp.pair for clamp in clamps if clamp.mss == mss))
        for version in VERSIONS:
            inward = match(addresses(version, "daddr", "saddr"), f"@{name}{version}")
            outward = match(addresses(version, "saddr", "daddr"), f"@{name}{version}")
            yield _clamp("clamp_in", "iifname", TUN, inward, mss)
            yield _clamp("clamp_out", "oifname", TUN, outward, mss)


def _clamp(chain: str, side: str, interface: str, traffic: Json, mss: int) -> Json:
    syn = match({"&": [field("tcp", "flags"), {"|": ["syn", "rst"]}]}, "syn")
    size = {"mangle": {"key": {"tcp option": {"name": "maxseg", "field": "size"}}, "value": mss}}
    return _rule(chain, match(meta(side), interface), traffic, syn, size)


def _pair_sets(name: str, pairs: Iterable[Pair]) -> Iterator[Json]:
    pairs = tuple(pairs)
    for version in VERSIONS:
        elements = [element(box, version) for box in disjoint_boxes(pairs, version)]
        yield _set(f"{name}{version}", [ADDRESS_TYPE[version]] * 2, elements)


def _network_sets(name: str, networks: Iterable[IPNetwork]) -> Iterator[Json]:
    networks = tuple(networks)
    for version in VERSIONS:
        # Overlapping elements are refused, and nft merges them only when it reads its own syntax.
        merged: Any = collapse_addresses(network for network in networks if network.version == version)
        yield _set(f"{name}{version}", ADDRESS_TYPE[version], [prefix(network) for network in merged])


def _is_private(network: IPNetwork) -> bool:
    return any(contains(one, network) for one in PRIVATE)


def _set(name: str, kind: Any, elements: list[Any]) -> Json:
    optional: Json = {"elem": elements} if elements else {}
    return _add("set", {"name": name, "type": kind, "flags": ["interval"]} | optional)


def _base(name: str, hook: str, priority: int) -> Json:
    return _add("chain", {"name": name, "type": "filter", "hook": hook, "prio": priority, "policy": "accept"})


def _rule(chain: str, *expressions: Json) -> Json:
    return _add("rule", {"chain": chain, "expr": list(expressions)})


def _add(kind: str, fields: Json) -> Json:
    return {"add": {kind: {"family": FAMILY, "table": NFT_TABLE} | fields}}


def _listed(value: Any) -> Any:
    return any_of(value) if isinstance(value, list) else value
