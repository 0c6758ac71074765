//! Counting without locks: drops by reason, and what one security association carried.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::reason::Drop;

/// Drops by reason. Give each thread one of its own and sum them: threads then do not share cache lines.
#[derive(Debug)]
pub struct DropCounters([AtomicU64; Drop::COUNT]);

impl Default for DropCounters {
    fn default() -> Self {
        DropCounters(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl DropCounters {
    /// Count one packet.
    pub fn add(&self, reason: Drop) {
        self.add_many(reason, 1);
    }

    /// Count many packets.
    pub fn add_many(&self, reason: Drop, packets: u64) {
        self.0[reason as usize].fetch_add(packets, Relaxed);
    }

    /// Packets dropped for a reason.
    pub fn get(&self, reason: Drop) -> u64 {
        self.0[reason as usize].load(Relaxed)
    }

    /// All reasons that are not zero, by number.
    pub fn nonzero(&self) -> Vec<(Drop, u64)> {
        let counts = Drop::ALL.iter().map(|&reason| (reason, self.get(reason)));
        counts.filter(|&(_, packets)| packets > 0).collect()
    }

    /// The sum of several threads' counters, reasons that are not zero only.
    pub fn sum<'a>(all: impl IntoIterator<Item = &'a DropCounters>) -> Vec<(Drop, u64)> {
        let total = DropCounters::default();
        for counters in all {
            for (reason, packets) in counters.nonzero() {
                total.add_many(reason, packets);
            }
        }
        total.nonzero()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_summed_by_reason() {
        let (first, second) = (DropCounters::default(), DropCounters::default());
        first.add(Drop::Replayed);
        second.add_many(Drop::Replayed, 2);
        second.add(Drop::Fragment);
        assert_eq!(
            DropCounters::sum([&first, &second]),
            [(Drop::Replayed, 3), (Drop::Fragment, 1)]
        );
    }
}
