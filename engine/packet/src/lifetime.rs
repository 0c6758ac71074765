//! Which security associations have reached a limit (RFC 4301 section 4.4.2.1: soft and hard).

use std::sync::Arc;

use crate::sa::{Lifetimes, Sa, Usage};
use crate::sad::SaEntry;

/// A limit that was reached: what EXPIRE tells. Each is told once.
#[derive(Clone, Debug)]
pub struct Expiry {
    /// Which SA.
    pub entry: SaEntry,
    /// Hard: it is no longer used.
    pub hard: bool,
}

/// Of the sequence numbers, this part is used up when a replacement is asked for: seven eighths.
const SEQUENCE_SOFT_EIGHTHS: u64 = 7;

/// The limit that an SA has reached and of which nobody was told.
pub(crate) fn due(entry: &SaEntry, now_s: u64) -> Option<Expiry> {
    let hard = match entry {
        SaEntry::Larval(larval) => (now_s >= larval.expires_s()).then_some(true),
        SaEntry::Valid(sa) => due_of_valid(sa, now_s),
    }?;
    Some(Expiry {
        entry: entry.clone(),
        hard,
    })
}

fn due_of_valid(sa: &Arc<Sa>, now_s: u64) -> Option<bool> {
    let (usage, limits) = (sa.usage(), &sa.params().lifetimes);
    let numbers = sa.last_sequence();
    if hard_reached(limits, &usage, sa.added_s(), now_s) || sa.sent_sequence() >= numbers {
        return sa.tell_hard().then_some(true);
    }
    let soft_number = numbers / 8 * SEQUENCE_SOFT_EIGHTHS;
    if soft_reached(limits, &usage, sa.added_s(), now_s) || sa.sent_sequence() >= soft_number {
        return sa.tell_soft().then_some(false);
    }
    None
}

fn hard_reached(limits: &Lifetimes, usage: &Usage, added_s: u64, now_s: u64) -> bool {
    usage.octets >= limits.hard_octets
        || usage.packets >= limits.hard_packets
        || passed(limits.hard_add_s, added_s, now_s)
        || (usage.first_use_s != 0 && passed(limits.hard_use_s, usage.first_use_s, now_s))
}

fn soft_reached(limits: &Lifetimes, usage: &Usage, added_s: u64, now_s: u64) -> bool {
    usage.octets >= limits.soft_octets
        || usage.packets >= limits.soft_packets
        || passed(limits.soft_add_s, added_s, now_s)
        || (usage.first_use_s != 0 && passed(limits.soft_use_s, usage.first_use_s, now_s))
}

fn passed(limit_s: u64, since_s: u64, now_s: u64) -> bool {
    limit_s != 0 && now_s >= since_s.saturating_add(limit_s)
}
