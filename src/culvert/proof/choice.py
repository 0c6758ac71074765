"""Which packet a proof sends: one that is protected, and can be made from an address of ours.

Echo requests where these and their replies are protected, for they show the way back as well. Else a TCP segment or a
UDP datagram of the ports that are protected.
"""

from __future__ import annotations

from collections.abc import Iterator

from culvert.addresses import IPAddress, IPNetwork
from culvert.ipsec.selectors import ANY_PROTOCOL, ICMP, ICMPV6, MAX_PORT, Selector
from culvert.proof.protection import Flow, Protection
from culvert.proof.subject import Subject
from culvert.wire.icmp import ECHO_REPLY, ECHO_REQUEST
from culvert.wire.ip import TCP, UDP

SOURCE_PORT = 61_000
"""Where any port of ours will do: the first behind those that Linux gives to connections."""
DISCARD_PORT = 9
"""Where any port of theirs will do (RFC 863)."""
_ICMP_OF = {4: ICMP, 6: ICMPV6}


def choose(subject: Subject) -> Flow | None:
    """Give what to send from `local_address`, to `remote_address` where that is given; None where nothing can be."""
    protection = Protection(subject.protected)
    echoes = (flow for flow in _echoes(subject) if _echoed(protection, flow))
    segments = (flow for flow in _segments(subject) if protection.outgoing(flow))
    return next(echoes, None) or next(segments, None)


def first_host(network: IPNetwork) -> IPAddress:
    """Give the first address that a host may have."""
    return network[0] if network.num_addresses <= 2 else network[1]


def _ways(subject: Subject) -> Iterator[tuple[Selector, IPAddress, IPAddress]]:
    near, far = subject.local_address, subject.remote_address
    for selector in subject.protected:
        if near is not None and near in selector.source and (far is None or far in selector.destination):
            yield selector, near, far or first_host(selector.destination)


def _echoes(subject: Subject) -> Iterator[Flow]:
    for _, near, far in _ways(subject):
        yield Flow(near, far, _ICMP_OF[near.version], (ECHO_REQUEST[near.version], 0))


def _echoed(protection: Protection, flow: Flow) -> bool:
    """A reply brings back what was sent: it must be protected as well."""
    reply = Flow(flow.destination, flow.source, flow.protocol, (ECHO_REPLY[flow.source.version], 0))
    return protection.outgoing(flow) and protection.incoming(reply)


def _segments(subject: Subject) -> Iterator[Flow]:
    for selector, near, far in _ways(subject):
        ports = _port(selector.source_port, SOURCE_PORT), _port(selector.destination_port, DISCARD_PORT)
        for protocol in (TCP, UDP):
            if selector.protocol in (ANY_PROTOCOL, protocol):
                yield Flow(near, far, protocol, ports)


def _port(masked: tuple[int, int], otherwise: int) -> int:
    """Give a port that fits; not 0, which nobody uses, where there is another."""
    value, mask = masked
    if not mask:
        return otherwise
    return value or (mask ^ MAX_PORT) & -(mask ^ MAX_PORT)
