//! The anti-replay window (RFC 4303 section 3.4.3; the ring of RFC 6479, which never shifts bits).

use std::ops::RangeInclusive;

use crate::reason::Drop;

const WORD_BITS: u64 = 64;

/// Which sequence numbers have been seen, for the newest `window` of them.
#[derive(Clone, Debug)]
pub struct ReplayWindow {
    window: u64,
    top: u64,
    /// A ring of words, one more than the window needs: the word being entered is wiped, the rest stays.
    ring: Box<[u64]>,
}

impl ReplayWindow {
    /// A window of so many packets; 0 switches the protection off.
    pub fn new(window_packets: u32) -> ReplayWindow {
        let window = u64::from(window_packets);
        let words = if window == 0 {
            0
        } else {
            (window.div_ceil(WORD_BITS) + 1).next_power_of_two()
        };
        ReplayWindow {
            window,
            top: 0,
            ring: vec![0; words as usize].into_boxed_slice(),
        }
    }

    /// The newest sequence number that was authentic; 0 before the first.
    pub fn top(&self) -> u64 {
        self.top
    }

    /// The window in packets.
    pub fn window_packets(&self) -> u32 {
        self.window as u32
    }

    /// Whether a number could still be accepted. Changes nothing: an unauthentic packet must not move the window.
    ///
    /// Errors: `Replayed` for what was seen, `OutsideWindow` for what is too old to know (and for 0, which no sender uses).
    pub fn check(&self, sequence: u64) -> Result<(), Drop> {
        if self.window == 0 || sequence > self.top {
            return Ok(());
        }
        if sequence == 0 || self.top - sequence >= self.window {
            return Err(Drop::OutsideWindow);
        }
        if self.seen(sequence) {
            Err(Drop::Replayed)
        } else {
            Ok(())
        }
    }

    /// Accept the number of an authentic packet. Checks again, since another thread may have been first.
    ///
    /// Errors: as `check`.
    pub fn advance(&mut self, sequence: u64) -> Result<(), Drop> {
        self.check(sequence)?;
        if self.window == 0 {
            self.top = self.top.max(sequence);
            return Ok(());
        }
        if sequence > self.top {
            self.enter(sequence);
        }
        let word = self.word(sequence);
        self.ring[word] |= 1 << (sequence % WORD_BITS);
        Ok(())
    }

    /// The full number of a packet that carries only its low half (RFC 4303 appendix A2.1). None: it would lie before the
    /// first packet.
    pub fn full_sequence(&self, low: u32) -> Option<u64> {
        let (top_low, top_high) = (self.top as u32, (self.top >> 32) as u32);
        let bottom_low = top_low.wrapping_sub(self.window as u32).wrapping_add(1);
        let high = if u64::from(top_low) + 1 >= self.window {
            if low >= bottom_low {
                Some(top_high)
            } else {
                top_high.checked_add(1)
            }
        } else if low >= bottom_low {
            top_high.checked_sub(1)
        } else {
            Some(top_high)
        };
        high.map(|high| u64::from(high) << 32 | u64::from(low))
    }

    /// The bitmap as XFRM shows it: `window` bits in 32-bit words, the bit of a number at (number - 1) modulo the window.
    pub fn xfrm_bitmap(&self) -> Vec<u32> {
        let mut words = vec![0u32; self.window.div_ceil(32) as usize];
        for sequence in self.known() {
            if self.seen(sequence) {
                let bit = (sequence - 1) % self.window;
                words[(bit / 32) as usize] |= 1 << (bit % 32);
            }
        }
        words
    }

    /// Go on from another window's `newest` and bitmap, which is as `xfrm_bitmap` gives it, or empty for one that has seen
    /// all. What was seen here stays seen. None: the bitmap is not this window's.
    pub fn resume(&mut self, newest: u64, bitmap: &[u32]) -> Option<()> {
        if !bitmap.is_empty() && bitmap.len() as u64 != self.window.div_ceil(32) {
            return None;
        }
        if self.window == 0 || newest == 0 {
            self.top = self.top.max(newest);
            return Some(());
        }
        if newest > self.top {
            self.enter(newest);
        }
        let oldest = newest.saturating_sub(self.window - 1);
        for sequence in oldest.max(*self.known().start())..=newest {
            let bit = (sequence - 1) % self.window;
            let word = bitmap.get((bit / 32) as usize);
            if word.is_none_or(|word| word >> (bit % 32) & 1 == 1) {
                let word = self.word(sequence);
                self.ring[word] |= 1 << (sequence % WORD_BITS);
            }
        }
        Some(())
    }

    /// The numbers that the window knows of; none without a window.
    fn known(&self) -> RangeInclusive<u64> {
        let oldest = self.top.saturating_sub(self.window.saturating_sub(1));
        let newest = if self.window > 0 { self.top } else { 0 };
        oldest.max(1)..=newest
    }

    /// Wipe the words between the old top and the new one.
    fn enter(&mut self, sequence: u64) {
        let (old, new) = (self.top / WORD_BITS, sequence / WORD_BITS);
        let fresh = (new - old).min(self.ring.len() as u64);
        for step in 0..fresh {
            let word = self.word((new - step) * WORD_BITS);
            self.ring[word] = 0;
        }
        self.top = sequence;
    }

    fn seen(&self, sequence: u64) -> bool {
        self.ring[self.word(sequence)] >> (sequence % WORD_BITS) & 1 == 1
    }

    fn word(&self, sequence: u64) -> usize {
        (sequence / WORD_BITS) as usize & (self.ring.len() - 1)
    }
}

#[cfg(test)]
mod tests;
