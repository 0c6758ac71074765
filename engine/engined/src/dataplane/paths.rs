//! How large a packet the way to a peer takes: what the host's route says, and what routers told of packets of ours.

use std::collections::HashMap;
use std::net::IpAddr;

use packet::limits::MAX_PACKET_OCTETS;

use crate::shared::Shared;

/// How long the host's answer about a route counts.
const ROUTE_NANOSECONDS: u64 = 1_000_000_000;
/// Ways that are remembered: those of all peers of a large gateway. More make it ask more often.
const MAX_WAYS: usize = 4_096;

#[derive(Clone, Copy)]
struct Way {
    mtu: usize,
    until_ns: u64,
}

/// What one thread remembers of the ways.
#[derive(Default)]
pub struct Paths {
    ways: HashMap<IpAddr, Way>,
    /// Of what was learnt.
    generation: u64,
}

impl Paths {
    /// Octets of the largest packet to a destination, IP header included. Where the host does not say, whatever fits a packet:
    /// then it refuses what is too large.
    pub fn mtu(&mut self, shared: &Shared, destination: IpAddr, now_ns: u64) -> usize {
        let generation = shared.path_mtus.generation();
        if self.generation != generation {
            self.generation = generation;
            self.ways.clear();
        }
        match self.ways.get(&destination) {
            Some(way) if now_ns < way.until_ns => way.mtu,
            _ => self.ask(shared, destination, now_ns),
        }
    }

    /// The host refused a packet as too large: what was known of the way is not true any more.
    pub fn forget(&mut self, destination: IpAddr) {
        self.ways.remove(&destination);
    }

    fn ask(&mut self, shared: &Shared, destination: IpAddr, now_ns: u64) -> usize {
        let of_route = shared
            .devices
            .routes
            .mtu(destination)
            .map_or(MAX_PACKET_OCTETS, |mtu| mtu as usize);
        let learnt = shared.path_mtus.get(destination);
        let mtu = learnt
            .map_or(of_route, |mtu| of_route.min(mtu as usize))
            .min(MAX_PACKET_OCTETS);
        if self.ways.len() >= MAX_WAYS {
            self.ways.clear();
        }
        let until_ns = now_ns + ROUTE_NANOSECONDS;
        self.ways.insert(destination, Way { mtu, until_ns });
        mtu
    }
}
