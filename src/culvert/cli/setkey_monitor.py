"""`setkey -x`: what changes in the tables, and what the data plane tells, as it comes."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import datetime
from typing import Any

from culvert.cli.setkey_entries import association_of
from culvert.ipsec.associations import Direction, SecurityAssociation
from culvert.ipsec.policies import Policy
from culvert.setkey.dumps import selector_text
from culvert.xfrm.client import XfrmClient
from culvert.xfrm.events import (
    AcquireEvent,
    AssociationsChanged,
    Event,
    ExpireEvent,
    MappingEvent,
    MigrateEvent,
    Overrun,
    PathMtuEvent,
    PoliciesChanged,
    PolicyExpireEvent,
)


async def monitor(client: XfrmClient, show: Callable[[str], None], *, unix_time: bool) -> None:
    """Print events until the data plane ends. Each line begins with local time, or with seconds since 1970."""
    if client.backend == "engine":
        await client.subscribe(ike=False, changes=True, migrations=True, mapping=True, path_mtu=True)
    async for line in _lines(client):
        now = time.time()
        clock = f"{now:.6f}" if unix_time else datetime.fromtimestamp(now).astimezone().strftime("%H:%M:%S.%f")
        show(f"{clock} {line}\n")


async def _lines(client: XfrmClient) -> AsyncIterator[str]:
    associations, policies = await _associations(client), await _policies(client)
    async for event in client.events():
        if isinstance(event, AssociationsChanged | Overrun):
            before, associations = associations, await _associations(client)
            for line in _difference(before, associations):
                yield line
        if isinstance(event, PoliciesChanged | Overrun):
            before, policies = policies, await _policies(client)
            for line in _difference(before, policies):
                yield line
        told = _told(event)
        if told is not None:
            yield told


async def _associations(client: XfrmClient) -> dict[str, str]:
    """Give all of them by what names them."""
    return {str(state.id): _association(association_of(state)) for state in await client.associations()}


async def _policies(client: XfrmClient) -> dict[str, str]:
    return {f"{policy.index}": _policy(policy) for policy in await client.policies()}


def _difference(before: dict[str, str], after: dict[str, str]) -> Iterable[str]:
    yield from (f"delete {text}" for name, text in before.items() if name not in after)
    for name, text in after.items():
        if name not in before:
            yield f"add {text}"
        elif before[name] != text:
            yield f"update {text}"


def _association(association: SecurityAssociation) -> str:
    text = f"{association.protocol} {association.source} {association.destination} spi=0x{association.spi:08x}"
    text += f" reqid={association.reqid} mode={association.mode}"
    udp = association.encapsulation
    return f"{text} ports={udp.source_port},{udp.destination_port}" if udp else text


def _policy(policy: Policy) -> str:
    direction = {Direction.IN: "in", Direction.OUT: "out", Direction.FORWARD: "fwd"}[policy.direction]
    return f"policy {selector_text(policy.selector)} {direction} {policy.action} spid={policy.index}"


def _told(event: Event) -> str | None:
    """Give the line of an event; None for one that the tables tell of, and for IKE's messages."""
    for kind, line in _LINES.items():
        if isinstance(event, kind):
            return line(event)
    return None


def _acquire(event: AcquireEvent) -> str:
    to = f" gateway={event.gateway}" if event.gateway is not None and int(event.gateway) else ""
    return f"acquire {event.source} {event.destination} protocol={event.protocol} reqid={event.reqid}{to}"


_LINES: dict[type[Event], Callable[[Any], str]] = {
    AcquireEvent: _acquire,
    ExpireEvent: lambda event: f"expire {'hard' if event.hard else 'soft'} {event.id} reqid={event.reqid}",
    MappingEvent: lambda event: f"mapping {event.id} reqid={event.reqid} from {event.old} to {event.new}",
    MigrateEvent: lambda event: f"migrate {len(event.moves)}",
    PolicyExpireEvent: lambda event: f"expire {'hard' if event.hard else 'soft'} {_policy(event.policy)}",
    PathMtuEvent: lambda event: f"pathmtu {event.remote} {event.mtu}",
    Overrun: lambda _: "overrun: events were lost",
}
