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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::esp;
    use crate::ip::protocol;
    use crate::sa::{FLAG_ESN, SaParams};
    use crate::testing::{gcm_params, sa};

    /// An SA that was added at 1,000 s and carried three packets of 10 octets, the first of them at 1,500 s.
    fn used(lifetimes: Lifetimes) -> Arc<Sa> {
        let sa = sa(SaParams {
            lifetimes,
            ..gcm_params()
        });
        for now_s in [1_500, 1_600, 1_700] {
            esp::seal(&sa, &[0; 10], protocol::IPV4, &mut [0; 100], now_s).unwrap();
        }
        Arc::new(sa)
    }

    /// Each limit, by the value that it has for that SA at 2,000 s.
    type Limit = (u64, fn(u64) -> Lifetimes, fn(u64) -> Lifetimes);
    const LIMITS: [Limit; 4] = [
        (
            30,
            |soft_octets| Lifetimes {
                soft_octets,
                ..Lifetimes::NONE
            },
            |hard_octets| Lifetimes {
                hard_octets,
                ..Lifetimes::NONE
            },
        ),
        (
            3,
            |soft_packets| Lifetimes {
                soft_packets,
                ..Lifetimes::NONE
            },
            |hard_packets| Lifetimes {
                hard_packets,
                ..Lifetimes::NONE
            },
        ),
        (
            1_000,
            |soft_add_s| Lifetimes {
                soft_add_s,
                ..Lifetimes::NONE
            },
            |hard_add_s| Lifetimes {
                hard_add_s,
                ..Lifetimes::NONE
            },
        ),
        (
            500,
            |soft_use_s| Lifetimes {
                soft_use_s,
                ..Lifetimes::NONE
            },
            |hard_use_s| Lifetimes {
                hard_use_s,
                ..Lifetimes::NONE
            },
        ),
    ];

    #[test]
    fn every_limit_is_reached_at_its_value_and_not_before() {
        for (value, soft, hard) in LIMITS {
            assert_eq!(due_of_valid(&used(soft(value)), 2_000), Some(false));
            assert_eq!(due_of_valid(&used(hard(value)), 2_000), Some(true));
            assert_eq!(due_of_valid(&used(soft(value + 1)), 2_000), None);
            assert_eq!(due_of_valid(&used(hard(value + 1)), 2_000), None);
        }
    }

    #[test]
    fn each_is_told_once_and_the_hard_one_after_the_soft_one() {
        let lifetimes = Lifetimes {
            soft_use_s: 400,
            hard_use_s: 500,
            ..Lifetimes::NONE
        };
        let sa = used(lifetimes);
        let told = [1_899, 1_900, 1_901, 2_000, 2_001].map(|now_s| due_of_valid(&sa, now_s));
        assert_eq!(told, [None, Some(false), None, Some(true), None]);
    }

    #[test]
    fn what_was_never_used_does_not_age_by_use() {
        let lifetimes = Lifetimes {
            hard_use_s: 1,
            ..Lifetimes::NONE
        };
        let sa = Arc::new(sa(SaParams {
            lifetimes,
            ..gcm_params()
        }));
        assert_eq!(due_of_valid(&sa, 100_000), None);
    }

    /// RFC 4303 section 3.3.3: the last number is sent, and then the SA ends; with extended numbers it goes on.
    #[test]
    fn an_sa_ends_with_its_sequence_numbers() {
        let last = u64::from(u32::MAX);
        let plain = used(Lifetimes::NONE);
        plain.set_sent_sequence(last - 1);
        assert_eq!(due_of_valid(&plain, 2_000), Some(false));
        assert!(esp::seal(&plain, b"x", protocol::IPV4, &mut [0; 100], 2_000).is_ok());
        assert_eq!(due_of_valid(&plain, 2_000), Some(true));
        assert_eq!(due_of_valid(&plain, 2_000), None);
        let extended = Arc::new(sa(SaParams {
            flags: FLAG_ESN,
            ..gcm_params()
        }));
        extended.set_sent_sequence(last);
        assert_eq!(due_of_valid(&extended, 2_000), None);
        assert!(esp::seal(&extended, b"x", protocol::IPV4, &mut [0; 100], 2_000).is_ok());
    }
}
