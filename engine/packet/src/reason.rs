//! Why a packet was dropped. Generated from reasons.toml by `make reasons`; do not edit.

/// The reason for a drop; the number is what the control socket carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Drop {
    /// The packet is shorter than its headers say.
    Truncated = 0,
    /// The packet's headers contradict each other.
    Malformed = 1,
    /// The packet entered the tunnel device and no policy protects it.
    NoPolicy = 2,
    /// A policy says that this traffic is discarded.
    PolicyDiscard = 3,
    /// A policy protects this traffic and no security association is there to do it.
    NoSa = 4,
    /// Too many packets already wait for the security association.
    AcquireQueueFull = 5,
    /// The security association that the packet waited for did not come.
    AcquireTimeout = 6,
    /// The security association reached its hard limit.
    SaExpired = 7,
    /// The security association has no sequence numbers left.
    SequenceExhausted = 8,
    /// No security association has this SPI at this address.
    UnknownSpi = 9,
    /// The sequence number was seen before.
    Replayed = 10,
    /// The sequence number is too old for the replay window.
    OutsideWindow = 11,
    /// The integrity check value is wrong: forged, damaged, or another key.
    NotAuthentic = 12,
    /// The ESP trailer is not what RFC 4303 section 2.4 wants.
    BadPadding = 13,
    /// What came out of the tunnel is neither IPv4 nor IPv6.
    WrongNextHeader = 14,
    /// A dummy packet of traffic flow confidentiality (RFC 4303 section 2.6).
    Dummy = 15,
    /// The packet inside is malformed.
    InnerMalformed = 16,
    /// The packet inside is not one that this security association may carry.
    SelectorMismatch = 17,
    /// No inbound policy expects this packet from this security association.
    InboundPolicyMismatch = 18,
    /// The packet came in a mode or protocol that its security association does not have.
    ClearModeMismatch = 19,
    /// Too many IKE messages wait for the daemon.
    IkeQueueFull = 20,
    /// A datagram on an IKE port is too short to be IKE, ESP or a keepalive.
    IkeTooShort = 21,
    /// A NAT keepalive, dropped as it should be.
    Keepalive = 22,
    /// The host refused to send the packet.
    SendFailed = 23,
    /// The host's send queue was full.
    SendQueueFull = 24,
    /// The packet does not fit the path.
    TooBig = 25,
    /// The host refused the packet that came out of the tunnel.
    TunWriteFailed = 26,
    /// The tunnel device gave a packet in a form that was not agreed.
    UnsupportedOffload = 27,
    /// A fragment arrived where a whole packet is needed.
    Fragment = 28,
    /// The outer header says congestion and the packet inside cannot carry it (RFC 6040 section 4.2).
    EcnMismatch = 29,
    /// IKE or ESP from an address that is no peer's; our own firewall stopped it.
    Stranger = 30,
    /// A packet in clear that only the tunnel may bring; the fence stopped it.
    FencedIn = 31,
    /// A packet that must not leave in clear; the fence stopped it.
    FencedOut = 32,
    /// A packet of protocol 4 or 41 between addresses that are no gif link's.
    NoGif = 33,
    /// The packet inside a gif link has a source that no host has: multicast, loopback, unspecified.
    GifSource = 34,
    /// AH cannot foresee how this packet's options or routing header arrive (RFC 4302 section 3.3.3.1).
    AhUnpredictable = 35,
    /// The packet came out of more security associations than a policy can ask for.
    NestedTooDeep = 36,
    /// An ICMP says that a packet does not fit the path, and quotes none of ours: forged, or too late.
    IcmpUnbelieved = 37,
    /// A packet that this engine sent came back to it to be sent: the way to the other end leads through the tunnel or the link itself.
    Looped = 38,
}

impl Drop {
    /// How many reasons there are; their numbers are 0 to COUNT - 1.
    pub const COUNT: usize = 39;

    /// Every reason, by number.
    pub const ALL: [Drop; Drop::COUNT] = [
        Drop::Truncated,
        Drop::Malformed,
        Drop::NoPolicy,
        Drop::PolicyDiscard,
        Drop::NoSa,
        Drop::AcquireQueueFull,
        Drop::AcquireTimeout,
        Drop::SaExpired,
        Drop::SequenceExhausted,
        Drop::UnknownSpi,
        Drop::Replayed,
        Drop::OutsideWindow,
        Drop::NotAuthentic,
        Drop::BadPadding,
        Drop::WrongNextHeader,
        Drop::Dummy,
        Drop::InnerMalformed,
        Drop::SelectorMismatch,
        Drop::InboundPolicyMismatch,
        Drop::ClearModeMismatch,
        Drop::IkeQueueFull,
        Drop::IkeTooShort,
        Drop::Keepalive,
        Drop::SendFailed,
        Drop::SendQueueFull,
        Drop::TooBig,
        Drop::TunWriteFailed,
        Drop::UnsupportedOffload,
        Drop::Fragment,
        Drop::EcnMismatch,
        Drop::Stranger,
        Drop::FencedIn,
        Drop::FencedOut,
        Drop::NoGif,
        Drop::GifSource,
        Drop::AhUnpredictable,
        Drop::NestedTooDeep,
        Drop::IcmpUnbelieved,
        Drop::Looped,
    ];

    /// The name used in counters, logs and documentation.
    pub const fn name(self) -> &'static str {
        match self {
            Drop::Truncated => "TRUNCATED",
            Drop::Malformed => "MALFORMED",
            Drop::NoPolicy => "NO_POLICY",
            Drop::PolicyDiscard => "POLICY_DISCARD",
            Drop::NoSa => "NO_SA",
            Drop::AcquireQueueFull => "ACQUIRE_QUEUE_FULL",
            Drop::AcquireTimeout => "ACQUIRE_TIMEOUT",
            Drop::SaExpired => "SA_EXPIRED",
            Drop::SequenceExhausted => "SEQUENCE_EXHAUSTED",
            Drop::UnknownSpi => "UNKNOWN_SPI",
            Drop::Replayed => "REPLAYED",
            Drop::OutsideWindow => "OUTSIDE_WINDOW",
            Drop::NotAuthentic => "NOT_AUTHENTIC",
            Drop::BadPadding => "BAD_PADDING",
            Drop::WrongNextHeader => "WRONG_NEXT_HEADER",
            Drop::Dummy => "DUMMY",
            Drop::InnerMalformed => "INNER_MALFORMED",
            Drop::SelectorMismatch => "SELECTOR_MISMATCH",
            Drop::InboundPolicyMismatch => "INBOUND_POLICY_MISMATCH",
            Drop::ClearModeMismatch => "CLEAR_MODE_MISMATCH",
            Drop::IkeQueueFull => "IKE_QUEUE_FULL",
            Drop::IkeTooShort => "IKE_TOO_SHORT",
            Drop::Keepalive => "KEEPALIVE",
            Drop::SendFailed => "SEND_FAILED",
            Drop::SendQueueFull => "SEND_QUEUE_FULL",
            Drop::TooBig => "TOO_BIG",
            Drop::TunWriteFailed => "TUN_WRITE_FAILED",
            Drop::UnsupportedOffload => "UNSUPPORTED_OFFLOAD",
            Drop::Fragment => "FRAGMENT",
            Drop::EcnMismatch => "ECN_MISMATCH",
            Drop::Stranger => "STRANGER",
            Drop::FencedIn => "FENCED_IN",
            Drop::FencedOut => "FENCED_OUT",
            Drop::NoGif => "NO_GIF",
            Drop::GifSource => "GIF_SOURCE",
            Drop::AhUnpredictable => "AH_UNPREDICTABLE",
            Drop::NestedTooDeep => "NESTED_TOO_DEEP",
            Drop::IcmpUnbelieved => "ICMP_UNBELIEVED",
            Drop::Looped => "LOOPED",
        }
    }
}
