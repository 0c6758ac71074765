//! What becomes of a packet that leaves: looked up once by its outermost header, then protected, held, sent or dropped.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use packet::acquire::{AcquireQueue, Wanted};
use packet::bundle::Need;
use packet::flow::FlowCache;
use packet::headers::must_not_be_fragmented;
use packet::icmp::{self, Quote};
use packet::ip::{Fragment, Headers, protocol};
use packet::reason::Drop;
use packet::reassembly::Reassembler;
use packet::sa::Protocol;
use packet::segment::Segments;
use packet::selector::Selector;
use packet::snapshot::{Outbound, Snapshot};
use packet::virtio::{VIRTIO_HEADER, VirtioHeader};

use super::links::link_of;
use super::paths::Paths;
use super::sender::Sender;
use super::too_big::Allowance;
use crate::gif::GifLink;
use crate::samples::Sample;
use crate::shared::{Notice, Shared};

/// No address: for packets that are not from us.
pub const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// Where a packet came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The TUN: the host steered it here.
    Tun,
    /// The TUN, in fragments: it may go on in others.
    Fragments,
    /// A link: its outermost header is ours.
    Link,
}

/// What all packets of the way out share.
pub struct WayOut {
    pub shared: Arc<Shared>,
    flows: FlowCache,
    waiting: AcquireQueue,
    fragments: Reassembler,
    pub sender: Sender,
    pub paths: Paths,
    pub told: Allowance,
    /// For packets in the making, kept for their memory.
    spare: Vec<Vec<u8>>,
    /// The last identification that was given to an IPv4 header, or to the fragments of an IPv6 packet.
    identification: u32,
    pub now_ns: u64,
}

impl WayOut {
    /// Nothing waits, nothing is known.
    pub fn new(shared: Arc<Shared>) -> Self {
        Self {
            now_ns: shared.clock.nanoseconds(),
            shared,
            flows: FlowCache::new(),
            waiting: AcquireQueue::new(),
            fragments: Reassembler::new(),
            sender: Sender::new(),
            paths: Paths::default(),
            told: Allowance::default(),
            spare: Vec::new(),
            identification: 0,
        }
    }

    /// After a bug: what may be half done is made anew.
    pub fn recover(&mut self) {
        self.flows = FlowCache::new();
        self.sender = Sender::new();
    }

    /// A batch begins.
    pub fn begin(&mut self) {
        self.now_ns = self.shared.clock.nanoseconds();
    }

    /// The clock in seconds.
    pub fn now_s(&self) -> u64 {
        self.now_ns / 1_000_000_000
    }

    /// The next identification; its low half is never 0.
    pub fn identification(&mut self) -> u32 {
        loop {
            self.identification = self.identification.wrapping_add(1);
            if self.identification as u16 != 0 {
                return self.identification;
            }
        }
    }

    /// Empty memory for a packet; give it back.
    pub fn take_buffer(&mut self) -> Vec<u8> {
        self.spare.pop().unwrap_or_default()
    }

    /// What `take_buffer` gave.
    pub fn give_buffer(&mut self, mut buffer: Vec<u8>) {
        buffer.clear();
        self.spare.push(buffer);
    }

    /// How long nothing needs to happen.
    pub fn patience_ms(&self) -> Option<u32> {
        let now_ns = self.shared.clock.nanoseconds();
        let until =
            |deadline: u64| (deadline.saturating_sub(now_ns) / 1_000_000 + 1).min(60_000) as u32;
        self.waiting.deadline_ns().map(until)
    }

    /// One read of the TUN, virtio-net header first.
    pub fn read_tun(&mut self, snapshot: &Snapshot, octets: &[u8]) {
        let outcome = judge(octets).and_then(|segments| {
            if has_sealed(snapshot, segments.headers(), &octets[VIRTIO_HEADER..]) {
                return Err(Drop::Looped);
            }
            match segments.headers().fragment != Fragment::Whole && snapshot.wants_whole() {
                true => self.put_together(snapshot, &segments),
                false => self.decide(snapshot, &segments, octets, Origin::Tun),
            }
        });
        if let Err(reason) = outcome {
            self.sample(reason, octets.get(VIRTIO_HEADER..).unwrap_or_default());
        }
        self.count(outcome);
    }

    /// A fragment waits for the others, where policies or transport mode ask for whole packets.
    fn put_together(&mut self, snapshot: &Snapshot, segments: &Segments<'_>) -> Result<(), Drop> {
        let mut fragment = self.take_buffer();
        fragment.resize(segments.length(0), 0);
        segments.write(0, &mut fragment);
        let whole = self
            .fragments
            .add(&fragment, segments.headers(), self.now_ns);
        self.give_buffer(fragment);
        let Some(mut packet) = whole? else {
            return Ok(());
        };
        packet.splice(..0, VirtioHeader::NONE.to_octets());
        let segments = judge(&packet)?;
        self.decide(snapshot, &segments, &packet, Origin::Fragments)
    }

    /// One read of a link's device: each of its packets in an outer header of its own.
    pub fn read_link(&mut self, snapshot: &Snapshot, link: &GifLink, octets: &[u8]) {
        let (mut inner, mut outer) = (self.take_buffer(), self.take_buffer());
        let outcome = judge(octets).map(|segments| {
            for number in 0..segments.count() {
                inner.resize(segments.length(number), 0);
                segments.write(number, &mut inner);
                let outcome = self.encapsulate(snapshot, link, &inner, &mut outer);
                if let Err(reason) = outcome {
                    self.sample(reason, &inner);
                }
                self.count(outcome);
            }
        });
        self.give_buffer(inner);
        self.give_buffer(outer);
        self.count(outcome);
    }

    /// `outer`: for the packet.
    fn encapsulate(
        &mut self,
        snapshot: &Snapshot,
        link: &GifLink,
        inner: &[u8],
        outer: &mut Vec<u8>,
    ) -> Result<(), Drop> {
        if has_sealed(snapshot, &Headers::parse(inner)?, inner) {
            return Err(Drop::Looped);
        }
        let link = link_of(&link.gif).ok_or(Drop::Malformed)?;
        let identification = self.identification() as u16;
        link.encapsulate(inner, identification, outer)?;
        // As if a TUN had given it.
        outer.splice(..0, VirtioHeader::NONE.to_octets());
        let segments = judge(outer)?;
        self.decide(snapshot, &segments, outer, Origin::Link)
    }

    fn sample(&self, reason: Drop, packet: &[u8]) {
        let taken = || Sample::of_packet(reason, false, packet);
        self.shared.sample(self.now_ns, taken);
    }

    pub fn count(&self, outcome: Result<(), Drop>) {
        if let Err(reason) = outcome {
            self.shared.outbound_drops.add(reason);
            if matches!(reason, Drop::SaExpired | Drop::SequenceExhausted) {
                self.shared.notify(Notice::Limit);
            }
        }
    }

    /// `octets`: what was read, to be held where there is no SA yet.
    fn decide(
        &mut self,
        snapshot: &Snapshot,
        segments: &Segments<'_>,
        octets: &[u8],
        origin: Origin,
    ) -> Result<(), Drop> {
        let now_s = self.now_s();
        let headers = segments.headers();
        match self.flows.outbound(snapshot, headers, now_s) {
            Outbound::Protect(bundle) => {
                let bundle = Arc::clone(bundle);
                if let Some(need) = bundle.missing() {
                    self.ask(need, headers);
                }
                self.protect(&bundle, segments, origin);
                Ok(())
            }
            Outbound::NeedSa(need) => {
                let need = Arc::clone(need);
                self.hold(&need, headers, octets)
            }
            Outbound::Clear(need) => {
                let need = Arc::clone(need);
                self.ask(&need, headers);
                self.clear(segments, origin);
                Ok(())
            }
            Outbound::Discard(_) => Err(Drop::PolicyDiscard),
            Outbound::Bypass(_) | Outbound::NoPolicy if origin == Origin::Link => {
                self.clear(segments, origin);
                Ok(())
            }
            Outbound::Bypass(_) | Outbound::NoPolicy => Err(Drop::NoPolicy),
        }
    }

    /// A packet that no SA is there for waits, and the SA is asked for once in a while.
    fn hold(&mut self, need: &Arc<Need>, headers: &Headers, octets: &[u8]) -> Result<(), Drop> {
        let verdict = self
            .waiting
            .hold(Wanted::from(&**need), octets, self.now_ns);
        if verdict.acquire {
            self.acquire(need, headers);
        }
        verdict.dropped.map_or(Ok(()), Err)
    }

    /// An SA without which the packet goes on is asked for as often.
    fn ask(&mut self, need: &Arc<Need>, headers: &Headers) {
        if self.waiting.ask(Wanted::from(&**need), self.now_ns) {
            self.acquire(need, headers);
        }
    }

    fn acquire(&self, need: &Arc<Need>, headers: &Headers) {
        let asked = Selector::of_packet(headers);
        self.shared.notify(Notice::Acquire(Arc::clone(need), asked));
    }

    /// Sends packets as they are.
    fn clear(&mut self, segments: &Segments<'_>, origin: Origin) {
        let headers = segments.headers();
        let mtu = self
            .paths
            .mtu(&self.shared, headers.destination, self.now_ns);
        let local = match origin {
            Origin::Link => headers.source,
            Origin::Tun | Origin::Fragments => NOBODY,
        };
        let mut packet = self.take_buffer();
        for number in 0..segments.count() {
            packet.resize(segments.length(number), 0);
            segments.write(number, &mut packet);
            let outcome = match origin {
                Origin::Tun if packet.len() > mtu && must_not_be_fragmented(&packet) => {
                    self.refuse(&packet, mtu)
                }
                _ => self.send_whole(&packet, mtu, local),
            };
            self.count(outcome);
        }
        self.give_buffer(packet);
    }

    /// After a change, the packets whose SA has come go their way, or wait for the next that they need; the others wait on.
    pub fn release_held(&mut self, snapshot: &Snapshot) {
        for wanted in self.waiting.waiting() {
            let Some(Ok(front)) = self.waiting.front(&wanted).map(judge) else {
                continue;
            };
            let waits_on = matches!(
                snapshot.outbound(front.headers()),
                Outbound::NeedSa(need) if Wanted::from(&*need) == wanted
            );
            if !waits_on {
                for held in self.waiting.take(&wanted) {
                    self.read_tun(snapshot, &held.packet);
                }
            }
        }
    }

    /// What has waited too long is dropped.
    pub fn expire_held(&mut self) {
        let expired = self.waiting.expire(self.now_ns);
        if expired > 0 {
            self.shared
                .outbound_drops
                .add_many(Drop::AcquireTimeout, expired as u64);
        }
        let incomplete = self.fragments.expire(self.now_ns);
        if incomplete > 0 {
            self.shared
                .outbound_drops
                .add_many(Drop::Fragment, incomplete as u64);
        }
    }

    /// Sends what was collected. Where the host finds packets too large, what it says of its route counts from now on.
    pub fn flush(&mut self) {
        self.sender
            .flush(&self.shared.devices, &self.shared.outbound_drops);
        for destination in self.sender.take_refused() {
            self.paths.forget(destination);
            if let Ok(mtu) = self.shared.devices.routes.mtu(destination) {
                self.shared.learn_path_mtu(destination, mtu);
            }
        }
    }
}

/// Whether a packet is one that an SA of ours has sealed: its way to the other end leads back to us, where it would be sealed
/// again, for ever.
fn has_sealed(snapshot: &Snapshot, headers: &Headers, packet: &[u8]) -> bool {
    if !matches!(
        headers.protocol,
        protocol::ESP | protocol::AH | protocol::UDP
    ) {
        return false;
    }
    let sealed_by = |quote: Quote| {
        let protocol = Protocol::from_number(quote.protocol)?;
        let sa = snapshot.outbound_sa(quote.destination, quote.spi, protocol)?;
        Some((sa.params().source, quote.source))
    };
    icmp::read_quote(packet)
        .and_then(sealed_by)
        .is_some_and(|(ours, source)| ours == source || ours.is_unspecified())
}

/// One read of a device: a packet, or many in one.
pub fn judge(octets: &[u8]) -> Result<Segments<'_>, Drop> {
    let (header, packet) = VirtioHeader::split(octets).ok_or(Drop::Truncated)?;
    Segments::new(&header, packet)
}
