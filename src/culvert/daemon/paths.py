"""From the names of a peer to pairs of addresses, ours and theirs: asked anew at each attempt, for both may move."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Protocol

from culvert.addresses import IPAddress
from culvert.daemon.names import Answer, Names, SystemNames
from culvert.ike.events import PathFailed, PathResolved
from culvert.network.ways import Way, own_addresses, ways_to
from culvert.reasons import Refusal

MAX_PATHS = 16
"""Most pairs that are tried for one peer; a name with more addresses than that is no gateway's."""


class Host(Protocol):
    """What resolving asks of the host."""

    def lookup(self, name: str) -> Answer:
        """Begin to look up the addresses of a name, in the host's order of preference; an OSError where it has none."""
        ...

    async def ways(self, destinations: Iterable[IPAddress]) -> Mapping[IPAddress, Way | None]:
        """Say how packets of ours leave for each; None: not at all. Raise HostError."""
        ...

    def addresses(self) -> tuple[IPAddress, ...]:
        """Give all addresses of this host. Raise HostError."""
        ...


class RealHost(SystemNames):
    """The system's resolver and routing table."""

    async def ways(self, destinations: Iterable[IPAddress]) -> Mapping[IPAddress, Way | None]:
        return await ways_to(destinations)

    def addresses(self) -> tuple[IPAddress, ...]:
        return own_addresses()


@dataclass(frozen=True, slots=True)
class Measured:
    """Peers whose path takes packets of another size now; those to whom another way leads, or none, or one again."""

    resized: list[str]
    rerouted: list[str]


@dataclass(slots=True)
class Resolver:
    """Answers ResolvePath. `ours` are the configured addresses of this gateway; empty: whatever the route uses."""

    host: Host
    ours: tuple[IPAddress, ...] = ()
    our_names: tuple[str, ...] = ()
    """Names written in the place of addresses of ours; looked up at each attempt."""
    path_mtu: dict[str, int] = field(default_factory=dict)
    """By peer: the smallest MTU of the ways found at the last attempt."""
    reached: dict[str, tuple[IPAddress, ...]] = field(default_factory=dict)
    """By peer: its addresses to which there was a way."""
    sought: dict[str, tuple[IPAddress, ...]] = field(default_factory=dict)
    """By peer: its addresses at the last attempt, be there a way or not."""
    met: dict[str, IPAddress] = field(default_factory=dict)
    """By peer: the address at which it is now, be it one that nobody wrote."""
    learnt: Mapping[IPAddress, int] = field(default_factory=dict)
    """By address: what the data plane learnt to fit on the way there, where that is less than the route says."""
    ways: dict[IPAddress, Way | None] = field(default_factory=dict)
    """By address: the way as it was when it was last compared."""
    _names: Names | None = None

    @property
    def names(self) -> Names:
        if self._names is None:
            self._names = Names(self.host.lookup)
        return self._names

    async def answers(self, peer: str, addresses: Iterable[str]) -> AsyncIterator[PathResolved | PathFailed]:
        """Try all names of a peer; the failure that is told is the last one's. Where names take long, answer by what
        they stood for, and once more when they are answered otherwise. Raise HostError.
        """
        addresses = tuple(addresses)
        names = [name for name in (*self.our_names, *addresses) if _literal(name) is None]
        complete = await self.names.wait(names)
        first = await self._paths(peer, addresses)
        yield first
        if not complete:
            await self.names.settled(names)
            second = await self._paths(peer, addresses)
            if second != first and isinstance(second, PathResolved):
                yield second

    async def resolve(self, peer: str, addresses: Iterable[str]) -> PathResolved | PathFailed:
        """Give the first answer."""
        async for answer in self.answers(peer, addresses):
            return answer
        raise AssertionError("there is always an answer")

    async def _paths(self, peer: str, addresses: tuple[str, ...]) -> PathResolved | PathFailed:
        failure = PathFailed(peer, Refusal.NAME_NOT_RESOLVED, f"no address is configured for {peer}")
        theirs: dict[IPAddress, str] = {}
        for name in addresses:
            try:
                theirs |= {address: name for address in self._addresses(name) if address not in theirs}
            except (OSError, TimeoutError) as error:
                failure = PathFailed(peer, Refusal.NAME_NOT_RESOLVED, _unresolved(name, error))
        self.sought[peer] = tuple(theirs)[:MAX_PATHS]
        return await self._over(peer, theirs, failure)

    async def _over(self, peer: str, theirs: Mapping[IPAddress, str], failure: PathFailed) -> PathResolved | PathFailed:
        """Find the way to each address, given with the name that it has in the configuration."""
        ours, found = self._own(), await self.host.ways(self.sought[peer])
        paths: dict[tuple[IPAddress, IPAddress], int] = {}
        for address, way in found.items():
            self.ways.setdefault(address, way)
            if way is None:
                failure = PathFailed(peer, Refusal.NO_ROUTE, _no_route(theirs[address], address))
            elif (source := _source(way.source, ours)) is None:
                failure = PathFailed(peer, Refusal.NO_ROUTE, _no_family(theirs[address], address))
            else:
                paths[source, address] = self._fits(way, address)
        if not paths:
            return failure
        self.path_mtu[peer] = min(paths.values())
        self.reached[peer] = tuple(theirs for _, theirs in paths)
        return PathResolved(peer, tuple(paths))

    async def measure(self) -> Measured:
        """Look again at the ways to all peers. Raise HostError."""
        peers = {peer: self._addresses_of(peer) for peer in dict.fromkeys((*self.sought, *self.met))}
        before, self.ways = self.ways, dict(await self.host.ways([one for each in peers.values() for one in each]))
        moved = {one: None for one, way in self.ways.items() if one in before and not _same(way, before[one])}
        rerouted = [peer for peer, addresses in peers.items() if any(one in moved for one in addresses)]
        return Measured(self._resized(peers), rerouted)

    def _resized(self, peers: Mapping[str, tuple[IPAddress, ...]]) -> list[str]:
        changed: list[str] = []
        for peer, addresses in peers.items():
            mtus = [self._fits(way, one) for one in addresses if (way := self.ways[one]) is not None]
            mtu = min(mtus, default=None)
            if mtu is not None and mtu != self.path_mtu.get(peer):
                self.path_mtu[peer] = mtu
                changed.append(peer)
        return changed

    def _addresses_of(self, peer: str) -> tuple[IPAddress, ...]:
        met = [self.met[peer]] if peer in self.met else []
        return tuple(dict.fromkeys((*self.sought.get(peer, ()), *met)))

    def _fits(self, way: Way, address: IPAddress) -> int:
        return min(way.mtu, self.learnt.get(address, way.mtu))

    def _addresses(self, name: str) -> list[IPAddress]:
        literal = _literal(name)
        return self.names.addresses(name) if literal is None else [literal]

    def _own(self) -> tuple[IPAddress, ...]:
        """Our addresses, and what our own names stand for now; one that has no address is as if it were not written.
        Those that the host does not have at the moment come last.
        """
        found = list(self.ours)
        for name in self.our_names:
            try:
                found += self._addresses(name)
            except (OSError, TimeoutError):
                continue
        if len(found) > 1:
            present = dict.fromkeys(self.host.addresses())
            found.sort(key=lambda address: address not in present)
        return tuple(found)


def _literal(text: str) -> IPAddress | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _same(one: Way | None, other: Way | None) -> bool:
    """Tell whether two ways are the same but for what fits."""
    if one is None or other is None:
        return one is other
    return (one.interface, one.source, one.router, one.up) == (other.interface, other.source, other.router, other.up)


def _source(found: IPAddress, ours: tuple[IPAddress, ...]) -> IPAddress | None:
    """Prefer what the route uses where it is one of ours; else our first of that family."""
    if not ours or found in ours:
        return found
    return next((address for address in ours if address.version == found.version), None)


def _unresolved(name: str, error: Exception) -> str:
    detail = (
        "the resolver did not answer" if isinstance(error, TimeoutError) else str(getattr(error, "strerror", error))
    )
    return f"the name {name} has no address: {detail}; correct it, or look at /etc/resolv.conf"


def _no_route(name: str, address: IPAddress) -> str:
    shown = name if name == str(address) else f"{name} ({address})"
    return f"there is no route to {shown}; look at `ip route get {address}`"


def _no_family(name: str, address: IPAddress) -> str:
    return f"{name} is {address}, and `address` of [gateway] has none of IPv{address.version}; add one"
