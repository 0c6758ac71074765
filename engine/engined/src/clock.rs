//! The engine's clock: it starts at one second, never goes back, and can say where in 1970's seconds it stands.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A clock that the threads share.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that shows one second now: 0 means never.
    pub fn start() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    /// Nanoseconds.
    pub fn nanoseconds(&self) -> u64 {
        1_000_000_000 + self.start.elapsed().as_nanos() as u64
    }

    /// Seconds.
    pub fn seconds(&self) -> u64 {
        self.nanoseconds() / 1_000_000_000
    }

    /// A moment of this clock, in seconds, as seconds since 1970 by the host's present time. In nanoseconds until the end: the
    /// seconds of the two clocks do not begin together, and one moment is to have one number.
    pub fn since_1970(&self, moment_s: u64) -> u64 {
        let now_ns = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_nanos() as u64);
        let moment_ns = moment_s.saturating_mul(1_000_000_000);
        now_ns.saturating_sub(self.nanoseconds().saturating_sub(moment_ns)) / 1_000_000_000
    }
}
