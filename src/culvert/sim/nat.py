"""Network address translators, classified as RFC 4787 does (sections 4.1, 4.2, 4.3 and 5)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from culvert.addresses import IPAddress, SocketAddress
from culvert.clock import SECOND

FIRST_PORT = 20_000
NEVER = 0


class Behaviour(StrEnum):
    """What a mapping, or a filter, distinguishes beside the inner end."""

    ENDPOINT_INDEPENDENT = "endpoint-independent"
    ADDRESS_DEPENDENT = "address-dependent"
    ADDRESS_AND_PORT_DEPENDENT = "address-and-port-dependent"

    def key(self, remote: SocketAddress) -> tuple[str, ...]:
        """Give what of a remote end counts."""
        if self is Behaviour.ENDPOINT_INDEPENDENT:
            return ()
        return (str(remote.ip),) if self is Behaviour.ADDRESS_DEPENDENT else (str(remote.ip), str(remote.port))


Key = tuple[SocketAddress, tuple[str, ...]]


@dataclass(slots=True)
class Mapping:
    """An outer port that stands for an inner end. `called` are the remote ends that were sent to, as filters see it."""

    inner: SocketAddress
    used_at: int
    called: dict[tuple[str, ...], None] = field(default_factory=dict)


@dataclass(slots=True)
class Nat:
    """A translator with one public address. Ports are given out in order; after `rebind`, others.

    `timeout_ns` is how long a mapping lives after the last datagram from inside (REQ-5, REQ-6). `forwards` is an
    inner address at which everybody may call: ports of its keep their numbers, in both directions.
    """

    public: IPAddress
    mapping: Behaviour = Behaviour.ENDPOINT_INDEPENDENT
    filtering: Behaviour = Behaviour.ENDPOINT_INDEPENDENT
    preserves_ports: bool = False
    timeout_ns: int = NEVER
    forwards: IPAddress | None = None
    next_port: int = FIRST_PORT
    _ports: dict[Key, int] = field(default_factory=dict)
    _mappings: dict[int, Mapping] = field(default_factory=dict)

    def outward(self, local: SocketAddress, remote: SocketAddress, now: int) -> SocketAddress:
        """Give the source that `remote` sees, and keep the mapping alive."""
        if local.ip == self.forwards:
            return SocketAddress(self.public, local.port)
        self._forget(now)
        key = (local, self.mapping.key(remote))
        if key not in self._ports:
            self._ports[key] = self._free_port(local.port)
            self._mappings[self._ports[key]] = Mapping(local, now)
        port = self._ports[key]
        self._mappings[port].used_at = now
        self._mappings[port].called[self.filtering.key(remote)] = None
        return SocketAddress(self.public, port)

    def inward(self, remote: SocketAddress, local_port: int, now: int) -> SocketAddress | None:
        """Give the inner end for a datagram from `remote` to one of our ports, or None where it is filtered."""
        if self.forwards is not None:
            return SocketAddress(self.forwards, local_port)
        self._forget(now)
        mapping = self._mappings.get(local_port)
        if mapping is None or self.filtering.key(remote) not in mapping.called:
            return None
        return mapping.inner

    def leads_to(self, port: int) -> IPAddress | None:
        """Give whose port this is, whoever may use it."""
        if self.forwards is not None:
            return self.forwards
        mapping = self._mappings.get(port)
        return mapping.inner.ip if mapping else None

    def rebind(self) -> None:
        """Forget the mappings, as a router does that restarts."""
        self._ports.clear()
        self._mappings.clear()

    def _free_port(self, wanted: int) -> int:
        if self.preserves_ports and wanted not in self._mappings:
            return wanted
        self.next_port += 1
        return self.next_port - 1

    def _forget(self, now: int) -> None:
        if not self.timeout_ns:
            return
        old = [port for port, one in self._mappings.items() if now - one.used_at > self.timeout_ns]
        for port in old:
            del self._mappings[port]
        self._ports = {key: port for key, port in self._ports.items() if port in self._mappings}


TIMEOUTS = (NEVER, 30 * SECOND, 120 * SECOND)
"""REQ-5 asks for two minutes at least; many a router takes half of one, which is why keepalives go every 20 s."""
