"""What the data plane tells of its tables, as setkey's dumps and rehearsals want it."""

from __future__ import annotations

from culvert.ipsec.associations import SecurityAssociation
from culvert.setkey.entries import AssociationEntry, PolicyEntry
from culvert.xfrm.associations import AssociationState, Keys
from culvert.xfrm.policies import PolicyState

_HIDDEN = Keys()


def association_of(state: AssociationState) -> SecurityAssociation:
    """Give the association that has this state; without keys where they were not asked for, or are hidden."""
    keys = state.keys or _HIDDEN
    return SecurityAssociation(
        source=state.source,
        destination=state.id.destination,
        spi=state.id.spi,
        direction=state.direction,
        reqid=state.reqid,
        encryption=state.encryption,
        encryption_key=keys.encryption if any(keys.encryption) else b"",
        integrity=state.integrity,
        integrity_key=keys.integrity if any(keys.integrity) else b"",
        protocol=state.id.protocol,
        mode=state.mode,
        encapsulation=state.encapsulation,
        replay_window_packets=state.replay_window_packets,
        selectors=state.selectors,
        lifetimes=state.lifetimes,
        esn=state.esn,
        tfc_padding_octets=state.tfc_padding_octets,
        legacy=state.legacy,
        noecn=state.noecn,
        decap_dscp=state.decap_dscp,
        dont_encap_dscp=state.dont_encap_dscp,
    )


def association_entry(state: AssociationState) -> AssociationEntry:
    """Give what a dump shows. The sequence number is the higher one: an association mostly goes one way."""
    return AssociationEntry(
        association_of(state),
        state.larval,
        state.octets,
        state.packets,
        state.added_at_s,
        state.used_at_s,
        max(state.replay.sequence_out, state.replay.sequence_in),
    )


def policy_entry(state: PolicyState) -> PolicyEntry:
    """Give what a dump shows."""
    return PolicyEntry(state.policy, state.added_at_s, state.used_at_s)
