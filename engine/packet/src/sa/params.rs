//! What NEWSA says of a security association.

use std::net::IpAddr;

use crate::algorithm::Transform;
use crate::error::DatabaseError;
use crate::ip::protocol;
use crate::limits::{MAX_PACKET_OCTETS, MAX_REPLAY_WINDOW_PACKETS, MAX_SELECTORS_PER_SA};
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
/// `XFRM_SA_XFLAG_OSEQ_MAY_WRAP`: refused.
const EXTRA_FLAG_OSEQ_MAY_WRAP: u32 = 2;

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
        self.check_ends()?;
        if self.spi < 256 {
            return Err(DatabaseError::Invalid(
                "SPIs below 256 are reserved (RFC 4303 section 2.1)",
            ));
        }
        self.check_transform()?;
        if self.encap.is_some() && self.protocol == Protocol::Ah {
            return Err(DatabaseError::Invalid("AH does not go in UDP"));
        }
        if self.extra_flags & EXTRA_FLAG_OSEQ_MAY_WRAP != 0 {
            return Err(DatabaseError::Unsupported(
                "sequence numbers do not begin again (RFC 4303 section 3.3.3)",
            ));
        }
        if self.selectors.len() > MAX_SELECTORS_PER_SA {
            return Err(DatabaseError::Full("too many selectors for one SA"));
        }
        self.check_tfc_padding()?;
        self.check_replay_window()
    }

    fn check_ends(&self) -> Result<(), DatabaseError> {
        if self.source.is_ipv4() != self.destination.is_ipv4() {
            return Err(DatabaseError::Invalid(
                "source and destination are of different families",
            ));
        }
        if self.destination.is_unspecified() {
            return Err(DatabaseError::Invalid("the destination is no address"));
        }
        let other_family = |selector: &Selector| selector.is_ipv4() != self.destination.is_ipv4();
        if self.mode == Mode::Transport && self.selectors.iter().any(other_family) {
            return Err(DatabaseError::WrongFamily(
                "in transport mode the selector is of the family of the ends",
            ));
        }
        Ok(())
    }

    fn check_transform(&self) -> Result<(), DatabaseError> {
        match (self.protocol, self.transform.is_for_ah()) {
            (Protocol::Ah, false) => {
                return Err(DatabaseError::Invalid(
                    "AH has an integrity algorithm and nothing else",
                ));
            }
            (Protocol::Esp, true) => {
                return Err(DatabaseError::Invalid(
                    "ESP that does not encrypt has the cipher ecb(cipher_null)",
                ));
            }
            _ => {}
        }
        if let Some(fault) = self.transform.fault() {
            return Err(DatabaseError::Invalid(fault));
        }
        match self.transform.legacy_reason() {
            Some(reason) if !self.legacy => Err(DatabaseError::Unsupported(reason)),
            _ => Ok(()),
        }
    }

    fn check_tfc_padding(&self) -> Result<(), DatabaseError> {
        if self.tfc_padding == 0 {
            return Ok(());
        }
        if self.protocol == Protocol::Ah || self.mode != Mode::Tunnel {
            return Err(DatabaseError::Invalid(
                "only ESP in tunnel mode is padded for traffic flow confidentiality",
            ));
        }
        if self.tfc_padding as usize > MAX_PACKET_OCTETS {
            return Err(DatabaseError::Invalid("no packet is that long"));
        }
        Ok(())
    }

    fn check_replay_window(&self) -> Result<(), DatabaseError> {
        match self.replay_window {
            0 if self.esn() && self.direction != Some(Direction::Out) => Err(
                DatabaseError::Invalid("extended sequence numbers need a replay window"),
            ),
            0..=MAX_REPLAY_WINDOW_PACKETS => Ok(()),
            _ => Err(DatabaseError::Invalid(
                "the replay window has 65536 packets at most",
            )),
        }
    }
}
