//! A security association: what NEWSA says of it, and what it lives through.

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::algorithm::Transform;
use crate::cipher::Cipher;
use crate::counters::DropCounters;
use crate::error::DatabaseError;
use crate::ip::{Headers, protocol};
use crate::limits::{MAX_REPLAY_WINDOW_PACKETS, MAX_SELECTORS_PER_SA, MIN_REPLAY_WINDOW_PACKETS};
use crate::reason::Drop;
use crate::replay::ReplayWindow;
use crate::selector::Selector;

/// The two protocols of IPsec; the numbers are IANA's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Protocol {
    /// Encapsulating Security Payload (RFC 4303).
    Esp = protocol::ESP,
    /// Authentication Header (RFC 4302).
    Ah = protocol::AH,
}

impl Protocol {
    /// The protocol of an IANA number.
    pub fn from_number(number: u8) -> Option<Protocol> {
        [Protocol::Esp, Protocol::Ah]
            .into_iter()
            .find(|protocol| protocol.number() == number)
    }

    /// The IANA number.
    pub const fn number(self) -> u8 {
        self as u8
    }
}

/// What names a security association.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SaId {
    /// The destination of its packets' outer header.
    pub destination: IpAddr,
    /// The SPI in host order; never 0.
    pub spi: u32,
    /// ESP or AH: each has SPIs of its own.
    pub protocol: Protocol,
}

/// The one direction that an SA serves, if it says so (XFRMA_SA_DIR).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// For packets that arrive.
    In,
    /// For packets that leave.
    Out,
}

/// How the packets are wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// The payload of the packet.
    Transport,
    /// The whole packet.
    Tunnel,
    /// Of an SA: either, as the template says. What comes out with next header 4 or 41 was in tunnel mode.
    Any,
}

impl Mode {
    /// Whether an SA of this mode does what is wanted: transport or tunnel.
    pub fn serves(self, wanted: Mode) -> bool {
        self == wanted || self == Mode::Any
    }
}

/// UDP encapsulation (RFC 3948): our port and the peer's for an outbound SA, as XFRMA_ENCAP has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encap {
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
}

/// When an SA ends, as `xfrm_lifetime_cfg` has it: octets and packets of `u64::MAX` and seconds of 0 mean never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// Octets after which it should be replaced.
    pub soft_octets: u64,
    /// Octets after which it is no longer used.
    pub hard_octets: u64,
    /// Packets after which it should be replaced.
    pub soft_packets: u64,
    /// Packets after which it is no longer used.
    pub hard_packets: u64,
    /// Seconds since it was added after which it should be replaced.
    pub soft_add_s: u64,
    /// Seconds since it was added after which it is no longer used.
    pub hard_add_s: u64,
    /// Seconds since its first use after which it should be replaced.
    pub soft_use_s: u64,
    /// Seconds since its first use after which it is no longer used.
    pub hard_use_s: u64,
}

impl Lifetimes {
    /// Never.
    pub const NONE: Lifetimes = Lifetimes {
        soft_octets: u64::MAX,
        hard_octets: u64::MAX,
        soft_packets: u64::MAX,
        hard_packets: u64::MAX,
        soft_add_s: 0,
        hard_add_s: 0,
        soft_use_s: 0,
        hard_use_s: 0,
    };
}

impl Default for Lifetimes {
    fn default() -> Self {
        Lifetimes::NONE
    }
}

/// `XFRM_STATE_NOECN`: ECN is neither copied out nor in.
pub const FLAG_NOECN: u8 = 1;
/// `XFRM_STATE_DECAP_DSCP`: the outer DSCP replaces the inner one.
pub const FLAG_DECAP_DSCP: u8 = 2;
/// `XFRM_STATE_NOPMTUDISC`: the outer header of a tunnel has no DF.
pub const FLAG_NOPMTUDISC: u8 = 4;
/// `XFRM_STATE_AF_UNSPEC`: a selector that is empty means either family. Here it does without the flag too.
pub const FLAG_AF_UNSPEC: u8 = 32;
/// `XFRM_STATE_ALIGN4`: over IPv4, AH is padded to a multiple of four octets and not of eight.
pub const FLAG_ALIGN4: u8 = 64;
/// `XFRM_STATE_ESN`: extended sequence numbers.
pub const FLAG_ESN: u8 = 128;
/// `XFRM_SA_XFLAG_DONT_ENCAP_DSCP`: the inner DSCP is not copied out.
pub const EXTRA_FLAG_DONT_ENCAP_DSCP: u32 = 1;

/// All that NEWSA carries. Debug shows no keys.
#[derive(Clone, Debug)]
pub struct SaParams {
    /// Source of the outer header.
    pub source: IpAddr,
    /// Destination of the outer header.
    pub destination: IpAddr,
    /// SPI in host order.
    pub spi: u32,
    /// ESP or AH.
    pub protocol: Protocol,
    /// The number that templates ask for; 0 for none.
    pub reqid: u32,
    /// Transport, tunnel, or either.
    pub mode: Mode,
    /// Algorithms and keys.
    pub transform: Transform,
    /// The one direction that it serves; None for both.
    pub direction: Option<Direction>,
    /// UDP encapsulation of what leaves. What arrives is accepted either way.
    pub encap: Option<Encap>,
    /// Width of the replay window in packets; 0 for no protection.
    pub replay_window: u32,
    /// `XFRM_STATE_*`.
    pub flags: u8,
    /// `XFRM_SA_XFLAG_*`.
    pub extra_flags: u32,
    /// ESP packets are filled up to this length where they are shorter (RFC 4303 section 2.7); 0: they are not.
    pub tfc_padding: u32,
    /// Whether algorithms are taken that RFC 8221 says are not to be used.
    pub legacy: bool,
    /// When it ends.
    pub lifetimes: Lifetimes,
    /// What it may carry, in the direction of its packets; empty: anything.
    pub selectors: Vec<Selector>,
}

impl SaParams {
    /// What names it.
    pub fn id(&self) -> SaId {
        SaId {
            destination: self.destination,
            spi: self.spi,
            protocol: self.protocol,
        }
    }

    /// Whether the sequence numbers are extended (RFC 4303 section 2.2.1).
    pub fn esn(&self) -> bool {
        self.flags & FLAG_ESN != 0
    }

    /// Refuse what cannot be.
    pub(crate) fn check(&self) -> Result<(), DatabaseError> {
        if self.transform.is_for_ah() != (self.protocol == Protocol::Ah) {
            return Err(DatabaseError::Invalid(
                "the algorithm is not one of this protocol",
            ));
        }
        if self.protocol == Protocol::Ah && self.encap.is_some() {
            return Err(DatabaseError::Invalid(
                "AH cannot pass a NAT, and so not be encapsulated in UDP (RFC 3948 section 1)",
            ));
        }
        if self.source.is_ipv4() != self.destination.is_ipv4() {
            return Err(DatabaseError::Invalid(
                "source and destination are of different families",
            ));
        }
        if self.spi < 256 {
            return Err(DatabaseError::Invalid(
                "SPIs below 256 are reserved (RFC 4303 section 2.1)",
            ));
        }
        if !self.transform.key_lengths_are_right() {
            return Err(DatabaseError::Invalid(
                "a key does not have the length that its algorithm asks for",
            ));
        }
        if self.selectors.len() > MAX_SELECTORS_PER_SA {
            return Err(DatabaseError::Full("too many selectors for one SA"));
        }
        self.check_replay_window()
    }

    fn check_replay_window(&self) -> Result<(), DatabaseError> {
        match self.replay_window {
            0 if self.esn() && self.direction != Some(Direction::Out) => Err(
                DatabaseError::Invalid("extended sequence numbers need a replay window"),
            ),
            0 | MIN_REPLAY_WINDOW_PACKETS..=MAX_REPLAY_WINDOW_PACKETS => Ok(()),
            _ => Err(DatabaseError::Invalid(
                "the replay window must be 0 or 32 to 65536 packets",
            )),
        }
    }
}

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
        Sa::counting_on(params, serial, now_s, Arc::default())
    }

    /// The same, with sequence numbers that count on from the last one given out under these keys.
    pub(crate) fn counting_on(
        params: SaParams,
        serial: u64,
        now_s: u64,
        sent: Arc<AtomicU64>,
    ) -> Result<Sa, DatabaseError> {
        params.check()?;
        let cipher = Cipher::new(&params.transform)
            .map_err(|_| DatabaseError::Invalid("the keys were refused"))?;
        let runtime = Arc::new(Runtime {
            cipher,
            sent,
            replay: Mutex::new(ReplayWindow::new(params.replay_window)),
            octets: AtomicU64::new(0),
            packets: AtomicU64::new(0),
            first_use_s: AtomicU64::new(0),
            drops: DropCounters::default(),
            soft_told: AtomicBool::new(false),
            hard_told: AtomicBool::new(false),
        });
        Ok(Sa {
            params,
            serial,
            added_s: now_s,
            runtime,
        })
    }

    /// The same SA with other lifetimes and encapsulation; keys, sequence numbers and counters stay one and the same.
    pub(crate) fn updated(&self, lifetimes: Lifetimes, encap: Option<Encap>) -> Sa {
        let params = SaParams {
            lifetimes,
            encap,
            ..self.params.clone()
        };
        self.runtime.soft_told.store(false, Relaxed);
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

    /// Take the next `count` sequence numbers and answer the first. None is ever given twice.
    ///
    /// Errors: `SequenceExhausted` (RFC 4303 section 3.3.3), `SaExpired` at a hard limit.
    pub(crate) fn take_sequence(&self, count: u64) -> Result<u64, Drop> {
        self.check_hard_limits()?;
        let first = self.runtime.sent.fetch_add(count, Relaxed) + 1;
        if first + count - 1 > self.last_sequence() {
            return Err(Drop::SequenceExhausted);
        }
        Ok(first)
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
