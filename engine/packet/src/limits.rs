//! Every bound of this crate, with its reason.

/// Extension headers walked in one IPv6 packet. Real packets have two or three; RFC 8504 section 5.3 lets a node stop at a
/// small number.
pub const MAX_EXTENSION_HEADERS: usize = 8;

/// The longest packet: what the 16-bit length of IPv4 can say.
pub const MAX_PACKET_OCTETS: usize = 65_535;

/// The widest replay window in packets: 8 KiB of bitmap, and enough for 10 Gbit/s with 80 ms of reordering.
/// Any narrower one is taken too, as by the kernel.
pub const MAX_REPLAY_WINDOW_PACKETS: u32 = 65_536;

/// Selectors of one security association: what a decomposed traffic selector payload may hold, and still quick to walk.
pub const MAX_SELECTORS_PER_SA: usize = 256;

/// Security associations in all, larval ones included: two for each child of eight thousand peers, twice over for rekeys.
pub const MAX_SAS: usize = 32_768;

/// AEAD keys whose last sequence number is remembered, so that no nonce repeats: those of all SAs, and of three times as many
/// that are gone. 16 MiB at the very most.
pub const MAX_REMEMBERED_KEYS: usize = 4 * MAX_SAS;

/// Policies in all: a file of 100,000 `spdadd` lines, and room for those of the configuration.
pub const MAX_POLICIES: usize = 131_072;

/// Templates of one policy, and so security associations around one packet (`XFRM_MAX_DEPTH`).
pub const MAX_TEMPLATES: usize = 6;

/// How many SPIs are tried before an allocation says that the range is full; the range is far larger than the table.
pub const MAX_SPI_ATTEMPTS: usize = 128;

/// How long a larval security association waits for its keys, in seconds (the kernel's `xfrm_acq_expires`).
pub const LARVAL_SECONDS: u64 = 30;

/// Packets that wait for one security association: a TCP handshake's retries and a burst of pings.
pub const MAX_HELD_PACKETS_PER_SA: usize = 32;

/// Octets that wait for one security association: about the same number of full packets, or one super-packet.
pub const MAX_HELD_OCTETS_PER_SA: usize = 64 * 1024;

/// Packets that wait in all, half of which one policy may have: 1,024 full Ethernet packets are 1.5 MiB.
pub const MAX_HELD_PACKETS: usize = 1_024;

/// Octets that wait in all: some hundred super-packets.
pub const MAX_HELD_OCTETS: usize = 16 * 1024 * 1024;

/// How long a packet waits for its security association: a set-up with retransmissions, after which senders gave up.
pub const HOLD_NANOSECONDS: u64 = 30_000_000_000;

/// Security associations that were asked for and are remembered for it, half of which one policy may have. In transport mode
/// any two hosts need one of their own; what goes over this is dropped until some are forgotten.
pub const MAX_ASKED: usize = 1_024;

/// The least time between two ACQUIREs for one security association: the daemon coalesces anyway, the socket should not fill.
pub const ACQUIRE_INTERVAL_NANOSECONDS: u64 = 1_000_000_000;

/// Flows that one thread remembers the decision for, in each direction; a power of two, about 300 KiB each.
pub const FLOW_CACHE_ENTRIES: usize = 4_096;

/// Flows that are being coalesced at the same time within a batch of some dozens of packets.
pub const MAX_COALESCED_FLOWS: usize = 16;

/// Packets in fragments that wait to be whole: 64 KiB each, 4 MiB at the very most.
pub const MAX_REASSEMBLIES: usize = 64;

/// Fragments of one packet: of the largest, at a path of little over a thousand octets.
pub const MAX_FRAGMENTS_PER_PACKET: usize = 64;

/// How long fragments wait for the others (Linux waits as long).
pub const REASSEMBLY_NANOSECONDS: u64 = 30_000_000_000;

/// Silences that are told at one look; with two looks a second, as many as IKE asks peers about.
pub const MAX_SILENCES: usize = 256;
