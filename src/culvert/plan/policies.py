"""Gateway -> security policies: for every pair of prefixes one that protects what goes out, one for what comes in."""

from __future__ import annotations

from ipaddress import IPv4Address

from culvert.addresses import IPAddress, unspecified_like
from culvert.config.model import Gateway, Peer
from culvert.config.values import literal
from culvert.ipsec.associations import Direction, Mode
from culvert.ipsec.policies import Action, Policy, Template
from culvert.ipsec.selectors import ANY_PROTOCOL, Selector
from culvert.plan.pairs import Protected, protected, selector_key

PRIORITY = 1_000
"""The priority of the most specific policy there can be: by hand others can still be put before it."""
_PROTOCOL_BITS, _PORT_BITS = 8, 16
_DIRECTIONS = (Direction.OUT, Direction.IN)


def policies(gateway: Gateway) -> tuple[Policy, ...]:
    """Give the policies, the one that is looked at first in front; one for each selector and direction."""
    pairs: dict[Selector, Protected] = {}
    for pair in protected(gateway):
        pairs.setdefault(pair.selector, pair)
    return tuple(sorted((policy for pair in pairs.values() for policy in _both(gateway, pair)), key=_key))


def priority(selector: Selector) -> int:
    """More specific is a lower number: what lies inside another selector is always found before it."""
    bits = selector.source.prefixlen + selector.destination.prefixlen
    bits += _PROTOCOL_BITS if selector.protocol != ANY_PROTOCOL else 0
    bits += selector.source_port[1].bit_count() + selector.destination_port[1].bit_count()
    return PRIORITY + 2 * selector.source.max_prefixlen + _PROTOCOL_BITS + 2 * _PORT_BITS - bits


def _both(gateway: Gateway, pair: Protected) -> tuple[Policy, Policy]:
    # In transport mode the packet's own addresses are outside, so they are of its family.
    transport = pair.child.mode is Mode.TRANSPORT
    anybody = unspecified_like(pair.local[0]) if transport else _outer_unspecified(gateway, pair.peer)
    template = Template(anybody, anybody, pair.child.reqid, pair.child.protocol, pair.child.mode)
    number = priority(pair.selector)
    return (
        Policy(pair.selector, Direction.OUT, Action.PROTECT, number, (template,)),
        Policy(pair.selector.reversed, Direction.IN, Action.PROTECT, number, (template,)),
    )


def _outer_unspecified(gateway: Gateway, peer: Peer) -> IPAddress:
    """The template's addresses are any: the association is found by its reqid, whatever the peer's address is."""
    known = [literal(text) for text in peer.addresses]
    first = next((address for address in [*known, *gateway.addresses] if address is not None), IPv4Address(0))
    return unspecified_like(first)


def _key(policy: Policy) -> tuple[object, ...]:
    reqids = tuple(template.reqid for template in policy.templates)
    return _DIRECTIONS.index(policy.direction), policy.priority, *selector_key(policy.selector), reqids
