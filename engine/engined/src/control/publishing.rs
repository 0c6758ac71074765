//! When packets meet what was written: at once, unless it was costly a moment ago; and always before a barrier.

use std::sync::Arc;

use packet::snapshot::Snapshot;

use super::Control;

/// Of the time of a burst of changes, a tenth goes into snapshots: after each there is a rest of nine times what it took.
const REST_FACTOR: u64 = 9;
/// The longest rest, and so the longest that a change waits which nobody waits for.
const MAX_REST_NS: u64 = 100_000_000;

/// What was published.
#[derive(Default)]
pub struct Publishing {
    /// The generations of both tables that packets meet.
    generations: (u64, u64),
    rest_until_ns: u64,
    current: Option<Arc<Snapshot>>,
    /// Older ones that a packet thread may still have: whoever lets go of it last frees it, and that is to be us.
    retired: Vec<Arc<Snapshot>>,
}

impl Publishing {
    fn retire(&mut self, current: &Arc<Snapshot>) {
        self.retired.extend(self.current.take());
        self.current = Some(Arc::clone(current));
        self.free();
    }

    /// Lets go of the snapshots that nobody has any more.
    pub fn free(&mut self) {
        self.retired
            .retain(|snapshot| Arc::strong_count(snapshot) > 1);
    }
}

impl Control {
    /// Lets packets meet the databases as they are now.
    pub(super) fn publish(&mut self) {
        let generations = self.generations();
        if self.publishing.generations == generations {
            return;
        }
        let began_ns = self.shared.clock.nanoseconds();
        let snapshot = self.database.snapshot();
        self.shared.published.publish(Arc::clone(&snapshot));
        self.publishing.generations = generations;
        self.publishing.retire(&snapshot);
        self.wake_packets();
        let now_ns = self.shared.clock.nanoseconds();
        let rest_ns = (now_ns - began_ns).saturating_mul(REST_FACTOR);
        self.publishing.rest_until_ns = now_ns + rest_ns.min(MAX_REST_NS);
    }

    /// The same, but later if the last time was long and a moment ago: of 10,000 requests one by one, not each can be a
    /// snapshot of its own.
    pub(super) fn publish_soon(&mut self) {
        if self.shared.clock.nanoseconds() >= self.publishing.rest_until_ns {
            self.publish();
        }
    }

    /// How long what was written may still wait, in nanoseconds; None: packets meet it already.
    pub(super) fn publish_within_ns(&self) -> Option<u64> {
        let now_ns = self.shared.clock.nanoseconds();
        (self.publishing.generations != self.generations())
            .then(|| self.publishing.rest_until_ns.saturating_sub(now_ns))
    }

    fn generations(&self) -> (u64, u64) {
        (
            self.database.sad_generation(),
            self.database.spd_generation(),
        )
    }

    /// Packet threads that wait for packets look at what has changed.
    pub(super) fn wake_packets(&self) {
        self.shared.outbound_wake.set();
        self.shared.inbound_wake.set();
    }
}
