//! What a security association looks like from outside: the payload of NEWSA in dumps and notifications.

use std::net::IpAddr;

use packet::counters::DropCounters;
use packet::reason::Drop;
use packet::sa::{Direction, Encap, Lifetimes, Mode, Protocol, Sa, Usage};
use packet::sad::{Larval, SaEntry};
use packet::selector::Selector;

use super::algorithms::put_transform;
use super::attribute::{
    DROPS, ENCAP, LEGACY, LTIME_VAL, MODE_ANY, SA_DIR, SA_EXTRA_FLAGS, SELECTORS, TFCPAD,
};
use super::replay::{is_small, put_no_replay, put_replay};
use super::sa::{ESP_IN_UDP, mode_number};
use super::structures::{SA_INFO_OCTETS, put_id, put_lifetimes, put_selector, put_usage};
use crate::clock::Clock;
use crate::netlink::put_attribute;
use crate::octets::{Put, family};

/// Appends the payload of NEWSA.
pub fn put_entry(body: &mut Vec<u8>, entry: &SaEntry, show_keys: bool, clock: &Clock) {
    match entry {
        SaEntry::Larval(larval) => {
            put_larval_info(body, larval, clock);
            put_no_replay(body);
        }
        SaEntry::Valid(sa) => put_sa(body, sa, show_keys, clock),
    }
}

fn put_larval_info(body: &mut Vec<u8>, larval: &Larval, clock: &Clock) {
    put_info(
        body,
        &InfoFields {
            selector: None,
            destination: larval.destination,
            spi: larval.spi,
            protocol: larval.protocol,
            source: larval.source,
            lifetimes: Lifetimes {
                hard_add_s: larval.expires_s() - larval.added_s,
                ..Lifetimes::NONE
            },
            usage: Usage::default(),
            added_s: larval.added_s,
            stats: [0; 3],
            reqid: larval.reqid,
            mode: larval.mode,
            replay_window: 0,
            flags: 0,
        },
        clock,
    );
}

fn put_sa(body: &mut Vec<u8>, sa: &Sa, show_keys: bool, clock: &Clock) {
    put_sa_info(body, sa, clock);
    let params = sa.params();
    put_transform(body, &params.transform, show_keys);
    if let Some(encap) = params.encap {
        put_encap(body, encap);
    }
    put_replay(body, sa);
    if let Some(direction) = params.direction {
        put_attribute(
            body,
            SA_DIR,
            &[if direction == Direction::In { 1 } else { 2 }],
        );
    }
    for (kind, word) in [
        (SA_EXTRA_FLAGS, params.extra_flags),
        (TFCPAD, params.tfc_padding),
    ] {
        if word != 0 {
            put_attribute(body, kind, &word.to_ne_bytes());
        }
    }
    for (kind, set) in [
        (MODE_ANY, params.mode == Mode::Any),
        (LEGACY, params.legacy),
    ] {
        if set {
            put_attribute(body, kind, &[]);
        }
    }
    let mut usage = Vec::new();
    put_usage(&mut usage, &sa.usage(), sa.added_s(), clock);
    put_attribute(body, LTIME_VAL, &usage);
    if params.selectors.len() > 1 {
        let mut selectors = Vec::new();
        params
            .selectors
            .iter()
            .for_each(|selector| put_selector(&mut selectors, Some(selector)));
        put_attribute(body, SELECTORS, &selectors);
    }
    put_drops(body, DROPS, &sa.drops().nonzero());
}

/// Appends an array of `{u32 reason; u32 zero; u64 packets}`.
pub fn put_drops(body: &mut Vec<u8>, kind: u16, drops: &[(Drop, u64)]) {
    let mut value = Vec::new();
    for (reason, packets) in drops {
        value.put_u32(*reason as u32);
        value.put_u32(0);
        value.put_u64(*packets);
    }
    put_attribute(body, kind, &value);
}

/// Appends `struct xfrm_usersa_info` of either kind.
pub fn put_entry_info(body: &mut Vec<u8>, entry: &SaEntry, clock: &Clock) {
    match entry {
        SaEntry::Larval(larval) => put_larval_info(body, larval, clock),
        SaEntry::Valid(sa) => put_sa_info(body, sa, clock),
    }
}

fn put_sa_info(body: &mut Vec<u8>, sa: &Sa, clock: &Clock) {
    let params = sa.params();
    let only = if let [only] = params.selectors.as_slice() {
        Some(only)
    } else {
        None
    };
    put_info(
        body,
        &InfoFields {
            selector: only,
            destination: params.destination,
            spi: params.spi,
            protocol: params.protocol,
            source: params.source,
            lifetimes: params.lifetimes,
            usage: sa.usage(),
            added_s: sa.added_s(),
            stats: stats(sa.drops()),
            reqid: params.reqid,
            mode: params.mode,
            replay_window: if is_small(sa) {
                params.replay_window as u8
            } else {
                0
            },
            flags: params.flags,
        },
        clock,
    );
}

struct InfoFields<'a> {
    selector: Option<&'a Selector>,
    destination: IpAddr,
    spi: u32,
    protocol: Protocol,
    source: IpAddr,
    lifetimes: Lifetimes,
    usage: Usage,
    added_s: u64,
    stats: [u32; 3],
    reqid: u32,
    mode: Mode,
    replay_window: u8,
    flags: u8,
}

fn put_info(body: &mut Vec<u8>, fields: &InfoFields<'_>, clock: &Clock) {
    let start = body.len();
    put_selector(body, fields.selector);
    put_id(body, fields.destination, fields.spi, fields.protocol);
    body.put_address(fields.source);
    put_lifetimes(body, &fields.lifetimes);
    put_usage(body, &fields.usage, fields.added_s, clock);
    fields.stats.iter().for_each(|count| body.put_u32(*count));
    body.put_u32(0);
    body.put_u32(fields.reqid);
    body.put_u16(family(fields.destination));
    body.put_u8(mode_number(fields.mode));
    body.put_u8(fields.replay_window);
    body.put_u8(fields.flags);
    body.put_zeros(7);
    debug_assert_eq!(body.len() - start, SA_INFO_OCTETS);
}

/// `struct xfrm_stats`: outside the window, replayed, not authentic.
fn stats(drops: &DropCounters) -> [u32; 3] {
    [Drop::OutsideWindow, Drop::Replayed, Drop::NotAuthentic].map(|reason| drops.get(reason) as u32)
}

fn put_encap(body: &mut Vec<u8>, encap: Encap) {
    let mut value = Vec::with_capacity(24);
    value.put_u16(ESP_IN_UDP);
    value.put_be16(encap.source_port);
    value.put_be16(encap.destination_port);
    value.put_zeros(2 + 16);
    put_attribute(body, ENCAP, &value);
}
