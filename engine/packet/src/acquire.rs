//! Packets that wait for a security association, and when to ask for one.

use std::collections::{HashMap, VecDeque};

use crate::limits::{
    ACQUIRE_INTERVAL_NANOSECONDS, HOLD_NANOSECONDS, MAX_HELD_OCTETS_PER_POLICY, MAX_HELD_PACKETS,
    MAX_HELD_PACKETS_PER_POLICY,
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

/// First packets by policy index, bounded for each policy and in all. The oldest are kept: they are what opens a flow.
#[derive(Debug, Default)]
pub struct AcquireQueue {
    queues: HashMap<u32, Queue>,
    held: usize,
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

    /// Offer a packet whose policy has no SA.
    pub fn hold(&mut self, policy: u32, packet: &[u8], now_ns: u64) -> Verdict {
        let room = self.held < MAX_HELD_PACKETS;
        let queue = self.queues.entry(policy).or_default();
        let acquire = queue
            .asked_ns
            .is_none_or(|asked| now_ns.saturating_sub(asked) >= ACQUIRE_INTERVAL_NANOSECONDS);
        if acquire {
            queue.asked_ns = Some(now_ns);
        }
        let fits = queue.packets.len() < MAX_HELD_PACKETS_PER_POLICY
            && queue.octets + packet.len() <= MAX_HELD_OCTETS_PER_POLICY;
        if !room || !fits {
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
        Verdict {
            acquire,
            dropped: None,
        }
    }

    /// Policies for which packets wait, in order of their numbers: after a new snapshot, look each of them up again.
    pub fn waiting(&self) -> Vec<u32> {
        let mut policies: Vec<_> = self
            .queues
            .iter()
            .filter(|(_, queue)| !queue.packets.is_empty())
            .map(|(&policy, _)| policy)
            .collect();
        policies.sort_unstable();
        policies
    }

    /// The first packet of a policy, to try whether it now finds an SA.
    pub fn front(&self, policy: u32) -> Option<&[u8]> {
        Some(&self.queues.get(&policy)?.packets.front()?.packet)
    }

    /// Take all of a policy's packets, the oldest first. The next one that needs an SA asks at once.
    pub fn take(&mut self, policy: u32) -> Vec<Held> {
        let packets: Vec<_> = self
            .queues
            .remove(&policy)
            .unwrap_or_default()
            .packets
            .into();
        self.held -= packets.len();
        packets
    }

    /// Drop what has waited too long; answers how many packets (`AcquireTimeout`). Forgets policies that nobody uses.
    pub fn expire(&mut self, now_ns: u64) -> usize {
        let before = self.held;
        for queue in self.queues.values_mut() {
            while queue
                .packets
                .front()
                .is_some_and(|held| now_ns.saturating_sub(held.since_ns) >= HOLD_NANOSECONDS)
            {
                let held = queue.packets.pop_front();
                queue.octets -= held.map_or(0, |held| held.packet.len());
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
