//! Notifications in the kernel's form: ACQUIRE, EXPIRE, and changes of SAs and policies. None carries a key.

use packet::bundle::Need;
use packet::sa::SaId;
use packet::sad::SaEntry;
use packet::selector::Selector;
use packet::spd::{Policy, PolicyParams};

use super::message::{ACQUIRE, DELPOLICY, DELSA, EXPIRE, FLUSHPOLICY, FLUSHSA};
use super::policy::{put_policy, put_policy_id, put_policy_info, put_templates};
use super::sa_state::{put_entry, put_entry_info};
use super::structures::{put_id, put_sa_id, put_selector};
use crate::clock::Clock;
use crate::netlink::{Header, message};
use crate::octets::Put;

/// A packet needs an SA that is not there.
pub fn acquire(asked: &Selector, need: &Need, sequence: u32, clock: &Clock) -> Vec<u8> {
    message(Header::notification(ACQUIRE), |body| {
        let template = need.template();
        put_id(body, need.destination, template.spi, template.protocol);
        body.put_address(need.source);
        put_selector(body, Some(asked));
        put_policy_info(body, &need.policy, clock);
        body.put(&[0xff; 12]);
        body.put_u32(sequence);
        put_templates(body, &need.policy.params.templates);
    })
}

/// An SA reached a limit.
pub fn expire(entry: &SaEntry, hard: bool, clock: &Clock) -> Vec<u8> {
    message(Header::notification(EXPIRE), |body| {
        put_entry_info(body, entry, clock);
        body.put_u8(hard.into());
        body.put_zeros(7);
    })
}

/// An SA was added or changed; `kind` is NEWSA or UPDSA.
pub fn sa_changed(kind: u16, entry: &SaEntry, clock: &Clock) -> Vec<u8> {
    message(Header::notification(kind), |body| {
        put_entry(body, entry, false, clock)
    })
}

/// An SA is gone.
pub fn sa_deleted(id: SaId) -> Vec<u8> {
    message(Header::notification(DELSA), |body| put_sa_id(body, id))
}

/// All SAs of a protocol are gone; 0: of all protocols.
pub fn sas_flushed(protocol: u8) -> Vec<u8> {
    message(Header::notification(FLUSHSA), |body| body.put_u8(protocol))
}

/// A policy was added or changed; `kind` is NEWPOLICY or UPDPOLICY.
pub fn policy_changed(kind: u16, policy: &Policy, clock: &Clock) -> Vec<u8> {
    message(Header::notification(kind), |body| {
        put_policy(body, policy, clock)
    })
}

/// A policy is gone.
pub fn policy_deleted(params: &PolicyParams) -> Vec<u8> {
    message(Header::notification(DELPOLICY), |body| {
        put_policy_id(body, params)
    })
}

/// All policies are gone.
pub fn policies_flushed() -> Vec<u8> {
    message(Header::notification(FLUSHPOLICY), |_| ())
}
