//! A per-thread memory of decisions by flow, so that the length of the policy list is not felt by each packet.

use std::net::IpAddr;
use std::sync::Arc;

use crate::bundle::Step;
use crate::ip::Headers;
use crate::limits::FLOW_CACHE_ENTRIES;
use crate::reason::Drop;
use crate::sa::Mode;
use crate::snapshot::{Outbound, Snapshot};
use crate::spd::Policy;

/// SAs of a packet that arrived, for which answers are remembered. Of longer ways there are few packets.
const PATH: usize = 2;

/// All that selectors look at, and what a packet came out of.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Key {
    source: IpAddr,
    destination: IpAddr,
    ports: Option<(u16, u16)>,
    protocol: u8,
    forwarded: bool,
    path: [u64; PATH],
}

impl Key {
    fn new(headers: &Headers, forwarded: bool, path: [u64; PATH]) -> Key {
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
            forwarded,
            path,
        }
    }

    /// A place in a table. Senders who make flows collide only make their own packets slower.
    fn place(&self) -> usize {
        let (source, destination) = (low_bits(self.source), low_bits(self.destination));
        let ports = self.ports.map_or(0, |(source, destination)| {
            u64::from(source) << 16 | u64::from(destination)
        });
        let path = self.path[0].rotate_left(48) ^ self.path[1].rotate_left(24);
        let mixed =
            (source.rotate_left(32) ^ destination ^ path).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed =
            (mixed ^ (ports << 8) ^ u64::from(self.protocol)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        (mixed >> 40) as usize % FLOW_CACHE_ENTRIES
    }
}

/// The names of the SAs of a path; None if it is too long. Serial numbers begin at 1.
fn path_of(secpath: &[Step]) -> Option<[u64; PATH]> {
    let mut path = [0; PATH];
    for (number, step) in secpath.iter().enumerate() {
        *path.get_mut(number)? = step.sa.serial() << 1 | u64::from(step.mode == Mode::Transport);
    }
    Some(path)
}

fn low_bits(address: IpAddr) -> u64 {
    match address {
        IpAddr::V4(address) => u64::from(address.to_bits()),
        IpAddr::V6(address) => (address.to_bits() ^ (address.to_bits() >> 64)) as u64,
    }
}

/// One place for each hash: it never grows, and the newest flow wins.
struct Table<V>(Box<[Option<(Key, V)>]>);

impl<V: Clone> Table<V> {
    fn new() -> Table<V> {
        Table(vec![None; FLOW_CACHE_ENTRIES].into_boxed_slice())
    }

    fn get_or(&mut self, key: Key, decide: impl FnOnce() -> V) -> &V {
        let entry = &mut self.0[key.place()];
        if entry.as_ref().is_none_or(|(known, _)| *known != key) {
            *entry = None;
        }
        let (_, value) = entry.get_or_insert_with(|| (key, decide()));
        value
    }
}

/// An answer about a packet that arrived, and the policies that gave it.
#[derive(Clone)]
struct Accepted {
    outcome: Result<(), Drop>,
    policies: [Option<Arc<Policy>>; 2],
}

impl Accepted {
    fn new(snapshot: &Snapshot, secpath: &[Step], headers: &Headers, forwarded: bool) -> Accepted {
        Accepted {
            outcome: snapshot.accept(secpath, headers, forwarded),
            policies: snapshot
                .inward_policies(headers, forwarded)
                .map(|policy| policy.cloned()),
        }
    }

    fn told(&self, now_s: u64) -> Result<(), Drop> {
        let policies = self.policies.iter().flatten();
        policies.for_each(|policy| policy.mark_used(now_s));
        self.outcome
    }
}

/// Decisions of one snapshot by flow. A snapshot of another number empties it.
pub struct FlowCache {
    snapshot: u64,
    outward: Table<Outbound>,
    inward: Table<Accepted>,
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

    /// What becomes of a packet that leaves, as `Snapshot::outbound`. `now_s`: for the time at which the policy was used.
    pub fn outbound(&mut self, snapshot: &Snapshot, headers: &Headers, now_s: u64) -> &Outbound {
        self.follow(snapshot);
        let key = Key::new(headers, false, [0; PATH]);
        let outbound = self.outward.get_or(key, || snapshot.outbound(headers));
        if let Some(policy) = outbound.policy() {
            policy.mark_used(now_s);
        }
        outbound
    }

    /// Whether a packet may go on, as `Snapshot::accept`. `now_s`: for the time at which the policies were used.
    pub fn accept(
        &mut self,
        snapshot: &Snapshot,
        secpath: &[Step],
        headers: &Headers,
        forwarded: bool,
        now_s: u64,
    ) -> Result<(), Drop> {
        self.follow(snapshot);
        let decide = || Accepted::new(snapshot, secpath, headers, forwarded);
        match path_of(secpath) {
            Some(path) => self
                .inward
                .get_or(Key::new(headers, forwarded, path), decide)
                .told(now_s),
            None => decide().told(now_s),
        }
    }

    /// Forget what was decided under another snapshot: also the keys of SAs that are gone. Look-ups do it by themselves.
    pub fn follow(&mut self, snapshot: &Snapshot) {
        if self.snapshot != snapshot.number() {
            self.outward.0.fill(None);
            self.inward.0.fill(None);
            self.snapshot = snapshot.number();
        }
    }
}
