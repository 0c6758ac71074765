"""Writes statements as text that reads back as the same statements."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from culvert.addresses import NAT_PORT, IPNetwork
from culvert.ipsec.associations import AssociationId, Encapsulation, Mode, Protocol, SecurityAssociation
from culvert.ipsec.policies import Level, Policy, Template
from culvert.ipsec.selectors import ICMP, ICMPV6, Selector
from culvert.setkey.requests import DEFAULT_PRIORITY
from culvert.setkey.statements import (
    AddAssociation,
    AddPolicy,
    DeleteAssociation,
    DeleteAssociations,
    DeletePolicy,
    DumpAssociations,
    DumpPolicies,
    Exit,
    FlushAssociations,
    FlushPolicies,
    GetAssociation,
    Statement,
)

_WHOLE = 0xFFFF


class UnwritableError(ValueError):
    """The language has no words for it; the text says what."""


def write(statement: Statement) -> str:
    """Give the text of a statement, with its `;` and keys. Raise UnwritableError."""
    return _WRITERS[type(statement)](statement)


def _add(statement: AddAssociation) -> str:
    association = statement.association
    command = "update" if statement.replacing else "add"
    words = [command, _identity(association.id, str(association.source), association.encapsulation)]
    words += _extensions(association)
    if association.encryption is not None:
        words += ["-E", association.encryption.setkey_name, *_key(association.encryption_key)]
    if association.integrity is not None:
        words += ["-A", association.integrity.setkey_name, *_key(association.integrity_key)]
    return f"{' '.join(words)};"


def _identity(identity: AssociationId, source: str, encapsulation: Encapsulation | None = None) -> str:
    protocol, ends = str(identity.protocol), (source, str(identity.destination))
    if encapsulation is not None:
        protocol = "esp-udp"
        ports = (encapsulation.source_port, encapsulation.destination_port)
        if ports != (NAT_PORT, NAT_PORT):
            ends = (f"{ends[0]}[{ports[0]}]", f"{ends[1]}[{ports[1]}]")
    return f"{ends[0]} {ends[1]} {protocol} 0x{identity.spi:08x}"


def _extensions(association: SecurityAssociation) -> Iterator[str]:
    if association.mode is not Mode.ANY:
        yield f"-m {association.mode}"
    if association.reqid:
        yield f"-u {association.reqid}"
    if association.replay_window_packets:
        yield f"-r {association.replay_window_packets // 8}"
    if association.esn:
        yield "-f esn"
    lifetimes = association.lifetimes
    for option, limit in (
        ("-lh", lifetimes.hard_s),
        ("-ls", lifetimes.soft_s),
        ("-bh", lifetimes.hard_octets),
        ("-bs", lifetimes.soft_octets),
    ):
        if limit:
            yield f"{option} {limit}"


def _key(octets: bytes) -> list[str]:
    return [f"0x{octets.hex()}"] if octets else []


def _get(statement: GetAssociation) -> str:
    return f"get {_identity(statement.id, str(statement.source))};"


def _delete(statement: DeleteAssociation) -> str:
    return f"delete {_identity(statement.id, str(statement.source))};"


def _delete_all(statement: DeleteAssociations) -> str:
    return f"deleteall {statement.source} {statement.destination}{_protocol(statement.protocol)};"


def _protocol(protocol: Protocol | None) -> str:
    return "" if protocol is None else f" {protocol}"


def _add_policy(statement: AddPolicy) -> str:
    command = "spdupdate" if statement.replacing else "spdadd"
    policy = statement.policy
    unique = set(statement.unique)
    requests = [request_text(template, number in unique) for number, template in enumerate(policy.templates)]
    words = [command, _selector(policy.selector), "-P", policy.direction, *_priority(policy), policy.action, *requests]
    return f"{' '.join(words)};"


def _priority(policy: Policy) -> list[str]:
    offset = DEFAULT_PRIORITY - policy.priority
    return [f"prio {offset}"] if offset else []


def request_text(template: Template, unique: bool = False) -> str:
    """Give `protocol/mode/source-destination/level`."""
    ends = "" if template.mode is Mode.TRANSPORT else f"{template.source}-{template.destination}"
    if template.level is Level.USE:
        level = "use"
    elif unique or template.reqid:
        level = f"unique:{template.reqid}" if template.reqid else "unique"
    else:
        level = "require"
    return f"{template.protocol}/{template.mode}/{ends}/{level}"


def _delete_policy(statement: DeletePolicy) -> str:
    return f"spddelete {_selector(statement.selector)} -P {statement.direction};"


def _selector(selector: Selector) -> str:
    """Give source, destination and protocol. Raise UnwritableError where ports are a range, as IKE's can be."""
    ports = (_plain(selector.source_port), _plain(selector.destination_port))
    if selector.protocol in (ICMP, ICMPV6):
        behind = f" {ports[0]},{ports[1]}" if any(ports) else ""
        return f"{selector.source} {selector.destination} {selector.protocol}{behind}"
    return f"{_side(selector.source, ports[0])} {_side(selector.destination, ports[1])} {selector.protocol or 'any'}"


def _side(network: IPNetwork, port: int) -> str:
    return f"{network}[{port}]" if port else str(network)


def _plain(port: tuple[int, int]) -> int:
    value, mask = port
    if mask not in (0, _WHOLE) or (mask and not value):
        raise UnwritableError(f"no statement has port {value} under the mask 0x{mask:04x}")
    return value if mask else 0


_WRITERS: dict[type[Statement], Callable[[Any], str]] = {
    AddAssociation: _add,
    GetAssociation: _get,
    DeleteAssociation: _delete,
    DeleteAssociations: _delete_all,
    FlushAssociations: lambda one: f"flush{_protocol(one.protocol)};",
    DumpAssociations: lambda one: f"dump{_protocol(one.protocol)};",
    AddPolicy: _add_policy,
    DeletePolicy: _delete_policy,
    FlushPolicies: lambda _: "spdflush;",
    DumpPolicies: lambda _: "spddump;",
    Exit: lambda _: "exit;",
}
