//! Devices that are left alone for a while: what broke a moment ago is not tried again at once, and nobody else waits for it.

use std::sync::{Arc, Weak};

use netio::TunDevice;

const MILLISECOND_NS: u64 = 1_000_000;

/// Which devices rest, and until when. None is kept for it that is removed meanwhile.
#[derive(Default)]
pub struct Rests(Vec<(Weak<dyn TunDevice>, u64)>);

impl Rests {
    /// Lets a device rest.
    pub fn begin(&mut self, device: &Arc<dyn TunDevice>, now_ns: u64, rest_ms: u32) {
        let until_ns = now_ns + u64::from(rest_ms) * MILLISECOND_NS;
        self.0.push((Arc::downgrade(device), until_ns));
    }

    /// Whether a device rests.
    pub fn has(&self, device: &Arc<dyn TunDevice>) -> bool {
        let is_it = |known: &Weak<_>| std::ptr::addr_eq(known.as_ptr(), Arc::as_ptr(device));
        self.0.iter().any(|(known, _)| is_it(known))
    }

    /// Wakes those that have rested, and says in how many milliseconds the next has.
    pub fn end(&mut self, now_ns: u64) -> Option<u32> {
        self.0.retain(|(_, until_ns)| *until_ns > now_ns);
        let next_ns = self.0.iter().map(|(_, until_ns)| until_ns - now_ns).min()?;
        Some((next_ns / MILLISECOND_NS + 1) as u32)
    }
}

#[cfg(test)]
mod tests {
    use netio::memory::MemoryTun;

    use super::*;

    #[test]
    fn a_device_rests_alone_and_for_its_time() {
        let device = || -> Arc<dyn TunDevice> { Arc::new(MemoryTun::new().unwrap()) };
        let (one, other) = (device(), device());
        let mut rests = Rests::default();
        rests.begin(&one, 5, 10);
        assert!(rests.has(&one) && !rests.has(&other));
        assert_eq!(rests.end(5), Some(11));
        assert_eq!(rests.end(5 + 9 * MILLISECOND_NS), Some(2));
        assert_eq!(rests.end(5 + 10 * MILLISECOND_NS), None);
        assert!(!rests.has(&one));
    }
}
