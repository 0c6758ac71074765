"""Associations as setkey makes them, one of every kind."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

from culvert.crypto.transforms import ENCRYPTION, INTEGRITY, Encryption, Integrity
from culvert.ipsec.associations import Direction, Mode, Protocol, SecurityAssociation
from culvert.ipsec.lifetimes import Lifetimes
from culvert.ipsec.selectors import Selector
from culvert.xfrm.associations import AssociationState

US, THEM = ip_address("203.0.113.1"), ip_address("198.51.100.1")
NEAR, FAR = ip_network("192.168.1.0/24"), ip_network("192.168.2.0/24")
CIPHERS, MACS = {one.name: one for one in ENCRYPTION}, {one.name: one for one in INTEGRITY}


def manual(encryption: Encryption | None, integrity: Integrity | None = None) -> SecurityAssociation:
    """As setkey's `add` makes one: no direction, no window, no selector."""
    key_octets = encryption.key_octets + encryption.salt_octets if encryption else 0
    return SecurityAssociation(
        US,
        THEM,
        0x1234,
        None,
        0,
        encryption,
        bytes(range(1, 1 + key_octets)),
        integrity,
        bytes(range(101, 101 + integrity.key_octets)) if integrity else b"",
        Protocol.ESP if encryption else Protocol.AH,
        replay_window_packets=0,
        legacy=any(one.legacy for one in (encryption, integrity) if one),
    )


EVERY_ALGORITHM = {
    **{one.name: manual(one, None if one.aead else MACS["sha256"]) for one in ENCRYPTION},
    **{f"aes128-{one.name}": manual(CIPHERS["aes128"], one) for one in INTEGRITY},
    **{f"ah-{one.name}": manual(None, one) for one in INTEGRITY},
}


def as_installed(state: AssociationState) -> SecurityAssociation:
    """Read a dump back into what was asked for."""
    keys = state.keys
    assert keys is not None
    return SecurityAssociation(
        state.source,
        state.id.destination,
        state.id.spi,
        state.direction,
        state.reqid,
        state.encryption,
        keys.encryption,
        state.integrity,
        keys.integrity,
        state.id.protocol,
        state.mode,
        state.encapsulation,
        state.replay_window_packets,
        state.selectors,
        state.lifetimes,
        state.esn,
        state.tfc_padding_octets,
        state.legacy,
        state.noecn,
        state.decap_dscp,
        state.dont_encap_dscp,
    )


GCM = manual(CIPHERS["aes256gcm16"])
EVERY_OPTION = {
    "any": replace(GCM, mode=Mode.ANY),
    "transport": replace(GCM, mode=Mode.TRANSPORT, reqid=7),
    "window": replace(GCM, replay_window_packets=65_536),
    "esn-in": replace(GCM, direction=Direction.IN, esn=True, replay_window_packets=64),
    "esn-out": replace(GCM, direction=Direction.OUT, esn=True),
    "tfc": replace(GCM, tfc_padding_octets=1400),
    "flags": replace(GCM, noecn=True, decap_dscp=True, dont_encap_dscp=True),
    "lifetimes": replace(GCM, lifetimes=Lifetimes(1, 2, 3, 4, 5, 6, 7, 8)),
    "icmp": replace(GCM, selectors=(Selector(NEAR, FAR, 1, (8, 0xFFFF), (0, 0)),)),
    "ipv6": replace(GCM, source=ip_address("2001:db8::1"), destination=ip_address("2001:db8::2")),
}
