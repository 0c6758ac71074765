//! Notifications in the kernel's form: ACQUIRE, EXPIRE, and changes of SAs and policies. None carries a key.

use std::net::SocketAddr;

use packet::bundle::Need;
use packet::migration::Migration;
use packet::sa::{Sa, SaId};
use packet::sad::SaEntry;
use packet::selector::Selector;
use packet::spd::{Policy, PolicyParams};

use super::attribute::TEMPLATE;
use super::message::{
    ACQUIRE, DELPOLICY, DELSA, EXPIRE, FLUSHPOLICY, FLUSHSA, MAPPING, MIGRATE, POLEXPIRE,
};
use super::migrate::put_migrations;
use super::policy::{put_policy, put_policy_id, put_policy_info, put_templates};
use super::sa_state::{put_entry, put_entry_info};
use super::structures::{put_id, put_sa_id, put_selector};
use crate::clock::Clock;
use crate::netlink::{DUMP_INTR, Header, message, put_attribute};
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
        let number = need.template as u32;
        put_attribute(body, TEMPLATE, &number.to_ne_bytes());
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

/// A policy reached a limit.
pub fn policy_expired(policy: &Policy, hard: bool, clock: &Clock) -> Vec<u8> {
    message(Header::notification(POLEXPIRE), |body| {
        put_policy_info(body, policy, clock);
        body.put_u8(hard.into());
        body.put_zeros(7);
        put_templates(body, &policy.params.templates);
    })
}

/// Policy and SAs have moved.
pub fn migrated(params: &PolicyParams, migrations: &[Migration]) -> Vec<u8> {
    message(Header::notification(MIGRATE), |body| {
        put_policy_id(body, params);
        put_migrations(body, migrations);
    })
}

/// Packets of an SA in UDP come from another address or port than the SA's.
pub fn mapping(sa: &Sa, remote: SocketAddr) -> Vec<u8> {
    let params = sa.params();
    message(Header::notification(MAPPING), |body| {
        put_sa_id(body, sa.id());
        body.put_u32(params.reqid);
        body.put_address(params.source);
        body.put_address(remote.ip());
        body.put_be16(params.encap.map_or(0, |encap| encap.source_port));
        body.put_be16(remote.port());
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

/// So many policies were written at once that nobody is told of each: dump again.
pub fn policies_rewritten() -> Vec<u8> {
    let header = Header::notification(FLUSHPOLICY).answer(FLUSHPOLICY, DUMP_INTR);
    message(header, |_| ())
}
