//! A per-thread memory of decisions by flow, so that the length of the policy list is not felt by each packet.

use std::net::IpAddr;

use crate::ip::Headers;
use crate::limits::FLOW_CACHE_ENTRIES;
use crate::reason::Drop;
use crate::sa::Sa;
use crate::snapshot::{Decision, Outbound, Snapshot};

/// All that selectors look at, and the SA that a packet came out of (0 for none).
#[derive(Clone, Copy, PartialEq, Eq)]
struct Key {
    source: IpAddr,
    destination: IpAddr,
    ports: Option<(u16, u16)>,
    protocol: u8,
    sa: u64,
}

impl Key {
    fn new(headers: &Headers, sa: u64) -> Key {
        let Headers {
            source,
            destination,
            ports,
            protocol,
            ..
        } = *headers;
        Key {
            source,
            destination,
            ports,
            protocol,
            sa,
        }
    }

    /// A place in a table. Senders who make flows collide only make their own packets slower.
    fn place(&self) -> usize {
        let (source, destination) = (low_bits(self.source), low_bits(self.destination));
        let ports = self.ports.map_or(0, |(source, destination)| {
            u64::from(source) << 16 | u64::from(destination)
        });
        let mixed = (source.rotate_left(32) ^ destination ^ self.sa.rotate_left(48))
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed =
            (mixed ^ (ports << 8) ^ u64::from(self.protocol)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        (mixed >> 40) as usize % FLOW_CACHE_ENTRIES
    }
}

fn low_bits(address: IpAddr) -> u64 {
    match address {
        IpAddr::V4(address) => u64::from(address.to_bits()),
        IpAddr::V6(address) => (address.to_bits() ^ (address.to_bits() >> 64)) as u64,
    }
}

/// One place for each hash: it never grows, and the newest flow wins.
struct Table<V>(Box<[Option<(Key, V)>]>);

impl<V: Copy> Table<V> {
    fn new() -> Table<V> {
        Table(vec![None; FLOW_CACHE_ENTRIES].into_boxed_slice())
    }

    fn get_or(&mut self, key: Key, decide: impl FnOnce() -> V) -> V {
        let entry = &mut self.0[key.place()];
        match entry {
            Some((known, value)) if *known == key => *value,
            _ => {
                let value = decide();
                *entry = Some((key, value));
                value
            }
        }
    }
}

/// Decisions of one snapshot by flow. A snapshot of another number empties it.
pub struct FlowCache {
    snapshot: u64,
    outward: Table<Decision>,
    inward: Table<Result<(), Drop>>,
}

impl Default for FlowCache {
    fn default() -> Self {
        FlowCache {
            snapshot: 0,
            outward: Table::new(),
            inward: Table::new(),
        }
    }
}

impl FlowCache {
    /// An empty one.
    pub fn new() -> FlowCache {
        FlowCache::default()
    }

    /// What becomes of a packet that leaves, as `Snapshot::outbound`.
    pub fn outbound<'a>(&mut self, snapshot: &'a Snapshot, headers: &Headers) -> Outbound<'a> {
        self.follow(snapshot);
        snapshot.resolve(
            self.outward
                .get_or(Key::new(headers, 0), || snapshot.decide(headers)),
        )
    }

    /// Whether a packet that came out of an SA may go on, as `Snapshot::accept_inner`.
    pub fn accept_inner(
        &mut self,
        snapshot: &Snapshot,
        sa: &Sa,
        headers: &Headers,
    ) -> Result<(), Drop> {
        self.follow(snapshot);
        self.inward.get_or(Key::new(headers, sa.serial()), || {
            snapshot.accept_inner(sa, headers)
        })
    }

    fn follow(&mut self, snapshot: &Snapshot) {
        if self.snapshot != snapshot.number() {
            self.outward.0.fill(None);
            self.inward.0.fill(None);
            self.snapshot = snapshot.number();
        }
    }
}
