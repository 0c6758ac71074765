"""From the names of a peer to pairs of addresses, ours and theirs: asked anew at each attempt, for both may move."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Protocol

from culvert.addresses import IKE_PORT, IPAddress
from culvert.ike.events import PathFailed, PathResolved
from culvert.network.facts import NoRouteError, Way, way_to
from culvert.reasons import Refusal

MAX_PATHS = 16
"""Most pairs that are tried for one peer; a name with more addresses than that is no gateway's."""
LOOKUP_S = 10.0
"""How long a name may take: the system's resolver gives up after about as long."""
MAX_LOOKUPS = 8
"""Names that are looked up at once; each takes a thread, for as long as the system's resolver likes."""


class Host(Protocol):
    """What resolving asks of the host."""

    async def lookup(self, name: str) -> list[IPAddress]:
        """Give the addresses of a name, in the host's order of preference. Raise OSError."""
        ...

    async def way(self, destination: IPAddress) -> Way:
        """Say how packets of ours leave for `destination`. Raise NoRouteError."""
        ...


class RealHost:
    """The system's resolver and routing table."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(MAX_LOOKUPS)

    async def lookup(self, name: str) -> list[IPAddress]:
        async with self._turns, asyncio.timeout(LOOKUP_S):
            return await _in_a_thread(name)

    async def way(self, destination: IPAddress) -> Way:
        return await way_to(destination)


async def _in_a_thread(name: str) -> list[IPAddress]:
    """Ask the system in a thread that nobody has to wait for: a resolver without answers must not hold up our end."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[IPAddress]] = loop.create_future()

    def tell(found: list[IPAddress] | OSError) -> None:
        if answer.done():
            return
        if isinstance(found, OSError):
            answer.set_exception(found)
        else:
            answer.set_result(found)

    def ask() -> None:
        found: list[IPAddress] | OSError
        try:
            found = _lookup(name)
        except OSError as error:
            found = error
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(tell, found)

    threading.Thread(target=ask, name=f"look up {name}", daemon=True).start()
    return await answer


def _lookup(name: str) -> list[IPAddress]:
    try:
        entries = socket.getaddrinfo(name, IKE_PORT, type=socket.SOCK_DGRAM)
    except UnicodeError:
        raise OSError(socket.EAI_NONAME, "it is no name of a host") from None
    return list(dict.fromkeys(ip_address(str(entry[4][0]).partition("%")[0]) for entry in entries))


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
    met: dict[str, IPAddress] = field(default_factory=dict)
    """By peer: the address at which it is now, be it one that nobody wrote."""
    learnt: Mapping[IPAddress, int] = field(default_factory=dict)
    """By address: what the data plane learnt to fit on the way there, where that is less than the route says."""

    async def resolve(self, peer: str, addresses: Iterable[str]) -> PathResolved | PathFailed:
        """Try all names of a peer; the failure that is told is the last one's."""
        paths: list[tuple[IPAddress, IPAddress]] = []
        mtus: list[int] = []
        failure = PathFailed(peer, Refusal.NAME_NOT_RESOLVED, f"no address is configured for {peer}")
        ours = (*self.ours, *await self._named())
        for name in addresses:
            try:
                found = await self._addresses(name)
            except (OSError, TimeoutError) as error:
                failure = PathFailed(peer, Refusal.NAME_NOT_RESOLVED, _unresolved(name, error))
                continue
            for theirs in found:
                try:
                    way = await self.host.way(theirs)
                except NoRouteError:
                    failure = PathFailed(peer, Refusal.NO_ROUTE, _no_route(name, theirs))
                    continue
                if (source := _source(way.source, ours)) is None:
                    failure = PathFailed(peer, Refusal.NO_ROUTE, _no_family(name, theirs))
                    continue
                paths.append((source, theirs))
                mtus.append(self._fits(way, theirs))
        if not paths:
            return failure
        self.path_mtu[peer] = min(mtus)
        self.reached[peer] = tuple(dict.fromkeys(theirs for _, theirs in paths))
        return PathResolved(peer, tuple(paths[:MAX_PATHS]))

    async def measure(self) -> list[str]:
        """Look again at the ways that were found. Give the peers whose path takes packets of another size now."""
        changed: list[str] = []
        for peer in dict.fromkeys((*self.reached, *self.met)):
            found = [await self._still(address) for address in self._addresses_of(peer)]
            mtu = min([mtu for mtu in found if mtu is not None], default=None)
            if mtu is not None and mtu != self.path_mtu.get(peer):
                self.path_mtu[peer] = mtu
                changed.append(peer)
        return changed

    def _addresses_of(self, peer: str) -> Iterable[IPAddress]:
        return dict.fromkeys((*self.reached.get(peer, ()), *([self.met[peer]] if peer in self.met else ())))

    async def _still(self, address: IPAddress) -> int | None:
        try:
            return self._fits(await self.host.way(address), address)
        except NoRouteError:
            return None

    def _fits(self, way: Way, address: IPAddress) -> int:
        return min(way.mtu, self.learnt.get(address, way.mtu))

    async def _addresses(self, name: str) -> list[IPAddress]:
        try:
            return [ip_address(name)]
        except ValueError:
            return await self.host.lookup(name)

    async def _named(self) -> list[IPAddress]:
        """What our own names stand for now; one that has no address is as if it were not written."""
        found: list[IPAddress] = []
        for name in self.our_names:
            with contextlib.suppress(OSError, TimeoutError):
                found += await self._addresses(name)
        return found


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
