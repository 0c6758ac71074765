//! Packets that wait for a security association, and when to ask for one.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use crate::bundle::Need;
use crate::limits::{
    ACQUIRE_INTERVAL_NANOSECONDS, HOLD_NANOSECONDS, MAX_ASKED, MAX_HELD_OCTETS,
    MAX_HELD_OCTETS_PER_SA, MAX_HELD_PACKETS, MAX_HELD_PACKETS_PER_SA,
};
use crate::reason::Drop;

/// A packet that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The inner packet.
    pub packet: Vec<u8>,
    /// When it came, in nanoseconds.
    pub since_ns: u64,
}

/// Which SA is waited for: that of a policy's template, between two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Wanted {
    policy: u32,
    template: usize,
    source: IpAddr,
    destination: IpAddr,
}

impl From<&Need> for Wanted {
    fn from(need: &Need) -> Wanted {
        Wanted {
            policy: need.policy.params.index,
            template: need.template,
            source: need.source,
            destination: need.destination,
        }
    }
}

/// What to do after a packet was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Tell the daemon that the policy needs an SA.
    pub acquire: bool,
    /// `AcquireQueueFull` if the packet was not kept.
    pub dropped: Option<Drop>,
}

#[derive(Debug, Default)]
struct Queue {
    packets: VecDeque<Held>,
    octets: usize,
    asked_ns: Option<u64>,
}

impl Queue {
    /// Whether to ask now: once in a while.
    fn asks(&mut self, now_ns: u64) -> bool {
        let asks = self
            .asked_ns
            .is_none_or(|asked| now_ns.saturating_sub(asked) >= ACQUIRE_INTERVAL_NANOSECONDS);
        if asks {
            self.asked_ns = Some(now_ns);
        }
        asks
    }

    fn has_room_for(&self, packet: &[u8]) -> bool {
        self.packets.len() < MAX_HELD_PACKETS_PER_SA
            && self.octets + packet.len() <= MAX_HELD_OCTETS_PER_SA
    }
}

/// First packets by the SA that they want, bounded for each, for each policy and in all. The oldest are kept: they are what opens a flow.
#[derive(Debug, Default)]
pub struct AcquireQueue {
    queues: HashMap<Wanted, Queue>,
    held: usize,
    octets: usize,
}

impl AcquireQueue {
    /// An empty one.
    pub fn new() -> AcquireQueue {
        AcquireQueue::default()
    }

    /// Packets that wait.
    pub fn len(&self) -> usize {
        self.held
    }

    /// True when none waits.
    pub fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Offer a packet that needs an SA which is not there.
    pub fn hold(&mut self, wanted: Wanted, packet: &[u8], now_ns: u64) -> Verdict {
        let room = self.has_room_for(wanted.policy, packet);
        let Some(queue) = self.queue(wanted) else {
            return Verdict {
                acquire: false,
                dropped: Some(Drop::AcquireQueueFull),
            };
        };
        let acquire = queue.asks(now_ns);
        if !room || !queue.has_room_for(packet) {
            return Verdict {
                acquire,
                dropped: Some(Drop::AcquireQueueFull),
            };
        }
        queue.octets += packet.len();
        queue.packets.push_back(Held {
            packet: packet.to_vec(),
            since_ns: now_ns,
        });
        self.held += 1;
        self.octets += packet.len();
        Verdict {
            acquire,
            dropped: None,
        }
    }

    /// Whether to tell the daemon now about an SA that is not there and without which the packet goes on.
    pub fn ask(&mut self, wanted: Wanted, now_ns: u64) -> bool {
        self.queue(wanted).is_some_and(|queue| queue.asks(now_ns))
    }

    /// Of all that may wait, one policy has half: who wants very many SAs of one leaves the others their room.
    fn has_room_for(&self, policy: u32, packet: &[u8]) -> bool {
        let fits = self.held < MAX_HELD_PACKETS && self.octets + packet.len() <= MAX_HELD_OCTETS;
        let of_policy = || {
            self.of(policy)
                .map(|queue| queue.packets.len())
                .sum::<usize>()
        };
        fits && (self.held < MAX_HELD_PACKETS / 2 || of_policy() < MAX_HELD_PACKETS / 2)
    }

    /// None: too many are wanted already, in all or of this policy.
    fn queue(&mut self, wanted: Wanted) -> Option<&mut Queue> {
        if !self.queues.contains_key(&wanted) {
            let all = self.queues.len();
            let is_full = all >= MAX_ASKED
                || (all >= MAX_ASKED / 2 && self.of(wanted.policy).count() >= MAX_ASKED / 2);
            if is_full {
                return None;
            }
        }
        Some(self.queues.entry(wanted).or_default())
    }

    fn of(&self, policy: u32) -> impl Iterator<Item = &Queue> {
        let all = self.queues.iter();
        all.filter_map(move |(wanted, queue)| (wanted.policy == policy).then_some(queue))
    }

    /// What packets wait for, in a fixed order: after a new snapshot, look each of them up again.
    pub fn waiting(&self) -> Vec<Wanted> {
        let mut all: Vec<_> = self
            .queues
            .iter()
            .filter(|(_, queue)| !queue.packets.is_empty())
            .map(|(&wanted, _)| wanted)
            .collect();
        all.sort_unstable();
        all
    }

    /// The first packet that waits for an SA, to try whether it now finds it.
    pub fn front(&self, wanted: &Wanted) -> Option<&[u8]> {
        Some(&self.queues.get(wanted)?.packets.front()?.packet)
    }

    /// Take all packets that wait for an SA, the oldest first. The next one that needs it asks at once.
    pub fn take(&mut self, wanted: &Wanted) -> Vec<Held> {
        let queue = self.queues.remove(wanted).unwrap_or_default();
        self.octets -= queue.octets;
        self.held -= queue.packets.len();
        queue.packets.into()
    }

    /// Drop what has waited too long; answers how many packets (`AcquireTimeout`). Forgets SAs that nobody wants.
    pub fn expire(&mut self, now_ns: u64) -> usize {
        let before = self.held;
        for queue in self.queues.values_mut() {
            while queue
                .packets
                .front()
                .is_some_and(|held| now_ns.saturating_sub(held.since_ns) >= HOLD_NANOSECONDS)
            {
                let octets = queue
                    .packets
                    .pop_front()
                    .map_or(0, |held| held.packet.len());
                queue.octets -= octets;
                self.octets -= octets;
                self.held -= 1;
            }
        }
        let quiet = |asked: u64| now_ns.saturating_sub(asked) >= ACQUIRE_INTERVAL_NANOSECONDS;
        self.queues
            .retain(|_, queue| !queue.packets.is_empty() || !queue.asked_ns.is_none_or(quiet));
        before - self.held
    }

    /// When the first packet will have waited too long, in nanoseconds.
    pub fn deadline_ns(&self) -> Option<u64> {
        let oldest = self
            .queues
            .values()
            .filter_map(|queue| queue.packets.front())
            .map(|held| held.since_ns)
            .min();
        oldest.map(|since| since.saturating_add(HOLD_NANOSECONDS))
    }
}

#[cfg(test)]
mod tests;
