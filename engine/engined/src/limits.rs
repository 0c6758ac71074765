//! Every bound of this program, with its reason. Those of the databases and of packets that wait are in `packet::limits`.

/// Connections of the control socket at a time: the daemon, some tools, and room; more wait in the kernel's queue.
pub const MAX_CLIENTS: usize = 64;

/// Connections at a time of those who may only look; more are closed. They cannot keep the daemon out.
pub const MAX_ONLOOKERS: usize = 32;

/// Requests of one client that are handled before the others have their turn.
pub const REQUESTS_PER_TURN: usize = 256;

/// Octets of answers that wait for one client before its next request is handled: many acknowledgements, or some dozens of the
/// largest SAs. Requests are short and answers long.
pub const MAX_ANSWER_OCTETS: usize = 1 << 20;

/// Notifications that wait for a subscriber, IKE messages apart.
pub const MAX_NOTIFICATIONS: usize = 1_024;

/// IKE messages that wait for the control thread, or for one subscriber, or for a daemon to come: the set-ups and
/// retransmissions of the few seconds that a restart takes.
pub const MAX_IKE_MESSAGES: usize = 256;

/// Octets of an IKE message that the control socket can carry.
pub const MAX_IKE_OCTETS: usize = 32_000;

/// ACQUIREs that wait for the control thread; each is asked again a second later.
pub const MAX_ACQUIRES: usize = 256;

/// What waits for the control thread beside IKE messages and ACQUIREs: each is told again when it happens again.
pub const MAX_OTHER_NOTICES: usize = 256;

/// Messages of one batch: every policy replaced twice over.
pub const MAX_BATCH_MESSAGES: usize = 262_144;

/// Notifications about one batch. What is larger is told as one: whoever wants to know dumps again.
pub const MAX_TOLD_OF_BATCH: usize = 256;

/// Links of gif(4): each is a device with descriptors that both threads wait on.
pub const MAX_GIFS: usize = 64;

/// Peers whose path's MTU is remembered: one for each of the largest gateway's, at 40 octets.
pub const MAX_PATH_MTUS: usize = 8_192;

/// Packets for unknown SPIs that are told at once: every child of some peers that lost us, or whom we lost.
pub const STRAYS_AT_ONCE: u64 = 64;

/// And then each second; whoever floods us costs the daemon no more.
pub const STRAYS_PER_SECOND: u64 = 32;

/// The same of one address.
pub const STRAYS_OF_ONE_AT_ONCE: u64 = 4;

/// And then each second.
pub const STRAYS_OF_ONE_PER_SECOND: u64 = 2;

/// Addresses that are counted by themselves; forged ones only make all of them begin anew.
pub const MAX_STRAY_SOURCES: usize = 1_024;

/// Dropped packets that are told each second while somebody wants to see some: what a person reads.
pub const SAMPLES_PER_SECOND: u64 = 20;

/// Blobs in all: the daemon keeps one for each of its IKE SAs, of which there are no more than SAs.
pub const MAX_BLOBS: usize = 32_768;

/// Octets of one blob: an IKE SA with 128 children and the longest messages has half of that; with one child it has 5,000.
pub const MAX_BLOB_OCTETS: usize = 256 * 1024;

/// Octets of all blobs: some 4,000 for each of [`MAX_BLOBS`].
pub const MAX_BLOBS_OCTETS: usize = 128 * 1024 * 1024;

/// Octets of a blob that one message of a dump carries.
pub const BLOB_PART_OCTETS: usize = 16 * 1024;

/// Octets of a blob's key.
pub const MAX_KEY_OCTETS: usize = 128;
