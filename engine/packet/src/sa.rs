//! A security association: what NEWSA says of it, and what it lives through.

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::cipher::Cipher;
use crate::counters::DropCounters;
use crate::error::DatabaseError;
use crate::ip::Headers;
use crate::nonces::Numbers;
use crate::reason::Drop;
use crate::replay::ReplayWindow;

mod params;

pub use params::*;

/// What an SA has carried so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Octets of inner packets.
    pub octets: u64,
    /// Packets.
    pub packets: u64,
    /// When it was first used, in the seconds that callers pass; 0 for never.
    pub first_use_s: u64,
}

/// Where an SA stands that was at work elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The last sequence number that was sent.
    pub sent: u64,
    /// The newest that was accepted.
    pub newest: u64,
    /// Which of the window were accepted, as `ReplayWindow::xfrm_bitmap` has it. Empty: all.
    pub bitmap: Vec<u32>,
}

/// The part that survives an update: keys, numbers, counters.
struct Runtime {
    cipher: Cipher,
    /// The last sequence number given out, shared with all SAs of the same AEAD key.
    sent: Arc<AtomicU64>,
    replay: Mutex<ReplayWindow>,
    octets: AtomicU64,
    packets: AtomicU64,
    first_use_s: AtomicU64,
    drops: DropCounters,
    soft_told: AtomicBool,
    hard_told: AtomicBool,
    mapping_told_s: AtomicU64,
}

/// A valid security association. Shared by the threads; all that changes is atomic or behind a small lock.
pub struct Sa {
    params: SaParams,
    /// The order of adding: the newest has the highest.
    serial: u64,
    added_s: u64,
    runtime: Arc<Runtime>,
}

impl Sa {
    /// Judge the parameters and schedule the keys. Sequence numbers begin at 1: the keys are fresh.
    ///
    /// Errors: `Invalid`, `Full` or `Unsupported`, with what is wrong.
    pub fn new(params: SaParams, serial: u64, now_s: u64) -> Result<Sa, DatabaseError> {
        Sa::counting_on(params, serial, now_s, Numbers::default())
    }

    /// The same, with sequence numbers that count on from the last one given out under these keys.
    pub(crate) fn counting_on(
        params: SaParams,
        serial: u64,
        now_s: u64,
        numbers: Numbers,
    ) -> Result<Sa, DatabaseError> {
        params.check()?;
        let cipher = Cipher::new(&params.transform, numbers.iv_mask)
            .map_err(|_| DatabaseError::Invalid("the keys were refused"))?;
        let runtime = Arc::new(Runtime {
            cipher,
            sent: numbers.sent,
            replay: Mutex::new(ReplayWindow::new(params.replay_window)),
            octets: AtomicU64::new(0),
            packets: AtomicU64::new(0),
            first_use_s: AtomicU64::new(0),
            drops: DropCounters::default(),
            soft_told: AtomicBool::new(false),
            hard_told: AtomicBool::new(false),
            mapping_told_s: AtomicU64::new(0),
        });
        Ok(Sa {
            params,
            serial,
            added_s: now_s,
            runtime,
        })
    }

    /// The same SA with other lifetimes and encapsulation; keys, sequence numbers and counters stay one and the same.
    ///
    /// Errors: `Invalid` for an encapsulation that it cannot have.
    pub(crate) fn updated(
        &self,
        lifetimes: Lifetimes,
        encap: Option<Encap>,
    ) -> Result<Sa, DatabaseError> {
        let params = SaParams {
            lifetimes,
            encap,
            ..self.params.clone()
        };
        params.check()?;
        self.runtime.soft_told.store(false, Relaxed);
        Ok(self.with(params))
    }

    /// The same SA between other ends.
    pub(crate) fn migrated(&self, ends: (IpAddr, IpAddr), encap: Option<Encap>) -> Sa {
        self.with(SaParams {
            source: ends.0,
            destination: ends.1,
            encap: encap.or(self.params.encap),
            ..self.params.clone()
        })
    }

    fn with(&self, params: SaParams) -> Sa {
        Sa {
            params,
            serial: self.serial,
            added_s: self.added_s,
            runtime: Arc::clone(&self.runtime),
        }
    }

    /// What NEWSA said of it.
    pub fn params(&self) -> &SaParams {
        &self.params
    }

    /// What names it.
    pub fn id(&self) -> SaId {
        self.params.id()
    }

    /// The order of adding: the newest has the highest.
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// When it was added, in the seconds that callers pass.
    pub fn added_s(&self) -> u64 {
        self.added_s
    }

    /// What it has carried.
    pub fn usage(&self) -> Usage {
        Usage {
            octets: self.runtime.octets.load(Relaxed),
            packets: self.runtime.packets.load(Relaxed),
            first_use_s: self.runtime.first_use_s.load(Relaxed),
        }
    }

    /// What it has dropped, by reason.
    pub fn drops(&self) -> &DropCounters {
        &self.runtime.drops
    }

    /// The last sequence number given out; 0 before the first.
    pub fn sent_sequence(&self) -> u64 {
        self.runtime.sent.load(Relaxed)
    }

    /// The highest sequence number that was received and authentic; 0 before the first.
    pub fn newest_received(&self) -> u64 {
        self.replay().top()
    }

    /// The replay window as it stands, for a dump.
    pub fn replay_state(&self) -> ReplayWindow {
        self.replay().clone()
    }

    /// Go on from where an SA stands that was at work elsewhere. Nothing goes back: neither the number of the next packet
    /// nor what was accepted.
    ///
    /// Errors: `Unsupported` where the numbers are nonces, of which nobody knows better which were used than we do; `Invalid`
    /// for a number that was sent or that the SA does not have, or a bitmap that does not fit the window.
    pub fn advance(&self, progress: &Progress) -> Result<(), DatabaseError> {
        let sent = self.sent_sequence();
        let received = if self.params.esn() {
            u64::MAX
        } else {
            u64::from(u32::MAX)
        };
        if progress.sent > self.last_sequence() || progress.newest > received {
            return Err(DatabaseError::Invalid(
                "the sequence numbers of the SA do not go so far",
            ));
        }
        if progress.sent > sent && self.params.transform.counter_key().is_some() {
            return Err(DatabaseError::Unsupported(
                "the sequence numbers of this cipher are its nonces, and stay as they are",
            ));
        }
        if progress.sent != 0 && progress.sent < sent {
            return Err(DatabaseError::Invalid("sequence numbers do not go back"));
        }
        self.replay()
            .resume(progress.newest, &progress.bitmap)
            .ok_or(DatabaseError::Invalid(
                "the bitmap does not have the bits of the replay window",
            ))?;
        self.runtime.sent.fetch_max(progress.sent, Relaxed);
        Ok(())
    }

    /// Take over what an SA has carried elsewhere.
    pub fn set_usage(&self, octets: u64, packets: u64) {
        self.runtime.octets.store(octets, Relaxed);
        self.runtime.packets.store(packets, Relaxed);
    }

    /// Whether it serves packets that leave.
    pub fn serves_outbound(&self) -> bool {
        self.params.direction != Some(Direction::In)
    }

    /// Whether it serves packets that arrive.
    pub fn serves_inbound(&self) -> bool {
        self.params.direction != Some(Direction::Out)
    }

    /// Whether an inner packet is one that it may carry (RFC 4301 section 5.2 step 3c).
    pub fn covers(&self, headers: &Headers) -> bool {
        self.params.selectors.is_empty()
            || self
                .params
                .selectors
                .iter()
                .any(|selector| selector.matches(headers))
    }

    pub(crate) fn cipher(&self) -> &Cipher {
        &self.runtime.cipher
    }

    pub(crate) fn replay(&self) -> MutexGuard<'_, ReplayWindow> {
        self.runtime
            .replay
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Take the next sequence number. None is ever given twice.
    ///
    /// Errors: `SequenceExhausted` (RFC 4303 section 3.3.3), `SaExpired` at a hard limit.
    pub(crate) fn take_sequence(&self) -> Result<u64, Drop> {
        self.check_hard_limits()?;
        let number = self.runtime.sent.fetch_add(1, Relaxed) + 1;
        match number > self.last_sequence() {
            true => Err(Drop::SequenceExhausted),
            false => Ok(number),
        }
    }

    /// The highest number that may be sent.
    pub(crate) fn last_sequence(&self) -> u64 {
        // Of 64 bits the top half is left unused, so that counting past the end cannot come round to 1 again.
        if self.params.esn() {
            u64::MAX >> 1
        } else {
            u64::from(u32::MAX)
        }
    }

    /// Errors: `SaExpired` where octets or packets have reached their hard limit.
    pub(crate) fn check_hard_limits(&self) -> Result<(), Drop> {
        let lifetimes = &self.params.lifetimes;
        let reached = self.runtime.octets.load(Relaxed) >= lifetimes.hard_octets
            || self.runtime.packets.load(Relaxed) >= lifetimes.hard_packets;
        if reached {
            Err(Drop::SaExpired)
        } else {
            Ok(())
        }
    }

    /// Count what was carried.
    pub(crate) fn carried(&self, packets: u64, octets: u64, now_s: u64) {
        self.runtime.packets.fetch_add(packets, Relaxed);
        self.runtime.octets.fetch_add(octets, Relaxed);
        if self.runtime.first_use_s.load(Relaxed) == 0 {
            // The first of several threads wins; they differ by nothing that matters.
            let _ = self
                .runtime
                .first_use_s
                .compare_exchange(0, now_s.max(1), Relaxed, Relaxed);
        }
    }

    /// True once: the soft event is told a single time.
    pub(crate) fn tell_soft(&self) -> bool {
        !self.runtime.soft_told.swap(true, Relaxed)
    }

    /// True once: the hard event is told a single time.
    pub(crate) fn tell_hard(&self) -> bool {
        !self.runtime.hard_told.swap(true, Relaxed)
    }

    /// True once a second: whether to tell now that its packets come from elsewhere. `now_s`: not 0.
    pub fn tell_mapping(&self, now_s: u64) -> bool {
        self.runtime.mapping_told_s.swap(now_s, Relaxed) != now_s
    }

    #[cfg(test)]
    pub(crate) fn set_sent_sequence(&self, sequence: u64) {
        self.runtime.sent.store(sequence, Relaxed);
    }
}

impl fmt::Debug for Sa {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Sa")
            .field("params", &self.params)
            .field("serial", &self.serial)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
