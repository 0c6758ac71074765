//! The way out. A packet's stations, and the functions below in their order:
//!
//! 1. read from the TUN with its virtio-net header, and cut apart if it is many in one;
//! 2. parsed, looked up: dropped, held for an SA to come, or
//! 3. sealed straight into the sender's arena;
//! 4. sent with its batch.

use std::io;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use netio::poll;
use packet::acquire::{AcquireQueue, Wanted};
use packet::flow::FlowCache;
use packet::published::Reader;
use packet::reason::Drop;
use packet::sa::Sa;
use packet::segment::Segments;
use packet::selector::Selector;
use packet::snapshot::{Outbound, Snapshot};
use packet::virtio::{VIRTIO_HEADER, VirtioHeader};
use packet::{esp, outer};

use super::sender::Sender;
use crate::log::{self, Level};
use crate::shared::{Notice, Shared};

/// Reads of the TUN before the batch is sent: enough to fill the host's largest batch with small packets.
const BATCH_READS: usize = 64;
/// The virtio-net header and the largest packet.
const READ_OCTETS: usize = VIRTIO_HEADER + 65_536;
/// How long a TUN that cannot be made anew is left alone.
const BROKEN_TUN_MS: u32 = 1_000;
/// The same after it was made anew: should it break again at once, no thread may run hot over it.
const MENDED_TUN_MS: u32 = 10;

/// The thread of the way out.
pub struct OutboundThread {
    shared: Arc<Shared>,
    reader: Reader,
    flows: FlowCache,
    waiting: AcquireQueue,
    sender: Sender,
    buffer: Vec<u8>,
    snapshot_number: u64,
}

impl OutboundThread {
    /// The thread before it runs.
    pub fn new(shared: Arc<Shared>) -> Self {
        let reader = shared.published.reader();
        Self {
            shared,
            reader,
            flows: FlowCache::new(),
            waiting: AcquireQueue::new(),
            sender: Sender::new(),
            buffer: vec![0; READ_OCTETS],
            snapshot_number: 0,
        }
    }

    /// Moves packets until the engine stops.
    pub fn run(mut self) {
        while !self.shared.stopping() {
            // A panic is a bug of ours; it may cost a batch, never the engine.
            if catch_unwind(AssertUnwindSafe(|| self.turn())).is_err() {
                log::write(
                    Level::Error,
                    "A packet on the way out met a bug and its batch is lost.",
                    &[],
                );
                self.recover();
            }
        }
    }

    /// What the bug may have left half done is made anew; packets that wait for an SA wait on.
    fn recover(&mut self) {
        self.reader.leave();
        self.flows = FlowCache::new();
        self.sender = Sender::new();
        self.buffer = vec![0; READ_OCTETS];
    }

    /// Waits for packets or a wake, and handles one batch.
    pub fn turn(&mut self) {
        self.wait();
        let snapshot = self.reader.enter();
        if snapshot.number() != self.snapshot_number {
            self.snapshot_number = snapshot.number();
            self.release_held(&snapshot);
        }
        self.expire_held();
        let outcome = self.read_batch(&snapshot);
        self.sender
            .flush(&self.shared.devices, &self.shared.outbound_drops);
        self.reader.leave();
        if let Err(error) = outcome {
            self.mend_tun(&error);
        }
    }

    /// An interface that somebody deleted is made anew; who steers packets to it sees it come.
    fn mend_tun(&self, error: &io::Error) {
        let pause_ms = match self.shared.devices.tun.reopen() {
            Ok(()) => {
                log::write(
                    Level::Warn,
                    "The tunnel device was gone and is made anew.",
                    &[("error", error)],
                );
                MENDED_TUN_MS
            }
            Err(error) => {
                log::write(
                    Level::Error,
                    "The tunnel device is gone.",
                    &[("error", &error)],
                );
                BROKEN_TUN_MS
            }
        };
        let _ = poll::wait_readable(&[self.shared.outbound_wake.as_fd()], Some(pause_ms));
    }

    fn wait(&self) {
        let now_ns = self.shared.clock.nanoseconds();
        let until =
            |deadline: u64| (deadline.saturating_sub(now_ns) / 1_000_000 + 1).min(60_000) as u32;
        let mut descriptors = vec![self.shared.outbound_wake.as_fd()];
        descriptors.extend(self.shared.devices.tun.descriptor());
        let ready = poll::wait_readable(&descriptors, self.waiting.deadline_ns().map(until));
        if ready.is_ok_and(|ready| ready[0]) {
            self.shared.outbound_wake.clear();
        }
    }

    fn read_batch(&mut self, snapshot: &Snapshot) -> io::Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut outcome = Ok(());
        for _ in 0..BATCH_READS {
            match self.shared.devices.tun.read(&mut buffer) {
                Ok(octets) => self.handle(snapshot, &buffer[..octets]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
        }
        self.buffer = buffer;
        outcome
    }

    /// One read of the TUN, header first.
    fn handle(&mut self, snapshot: &Snapshot, octets: &[u8]) {
        if let Err(reason) = self.try_handle(snapshot, octets) {
            self.shared.outbound_drops.add(reason);
        }
    }

    fn try_handle(&mut self, snapshot: &Snapshot, octets: &[u8]) -> Result<(), Drop> {
        let segments = judge(octets)?;
        let headers = segments.headers();
        let now_s = self.shared.clock.seconds();
        match self.flows.outbound(snapshot, headers, now_s) {
            Outbound::Protect(bundle) => {
                let sa = Arc::clone(bundle.single_tunnel().ok_or(Drop::NoSa)?);
                self.seal(&sa, &segments);
                Ok(())
            }
            Outbound::Discard(_) => Err(Drop::PolicyDiscard),
            Outbound::Bypass(_) | Outbound::Clear(_) | Outbound::NoPolicy => Err(Drop::NoPolicy),
            Outbound::NeedSa(need) => {
                let wanted = Wanted::from(&**need);
                let now_ns = self.shared.clock.nanoseconds();
                let verdict = self.waiting.hold(wanted, octets, now_ns);
                if verdict.acquire {
                    let asked = Selector::of_packet(headers);
                    self.shared.notify(Notice::Acquire(Arc::clone(need), asked));
                }
                verdict.dropped.map_or(Ok(()), Err)
            }
        }
    }

    /// Each packet is written to where its ciphertext will stand, and sealed there.
    fn seal(&mut self, sa: &Sa, segments: &Segments<'_>) {
        let (now_s, headers) = (self.shared.clock.seconds(), segments.headers());
        let (next_header, traffic_class) =
            (outer::next_header(headers), outer::tos(sa, headers.tos));
        let offset = esp::payload_offset(sa);
        for number in 0..segments.count() {
            let octets = segments.length(number);
            if self.sender.is_full_for(octets) {
                self.sender
                    .flush(&self.shared.devices, &self.shared.outbound_drops);
            }
            let sealed = self.sender.collect(sa, traffic_class, |room| {
                segments.write(number, &mut room[offset..]);
                esp::seal_in_place(sa, room, octets, next_header, now_s)
            });
            if let Err(reason) = sealed {
                self.shared.outbound_drops.add(reason);
            }
        }
    }

    /// After a change, the packets whose SA has come go their way; the others wait on.
    fn release_held(&mut self, snapshot: &Snapshot) {
        for wanted in self.waiting.waiting() {
            let Some(Ok(front)) = self.waiting.front(&wanted).map(judge) else {
                continue;
            };
            if !matches!(snapshot.outbound(front.headers()), Outbound::NeedSa(_)) {
                for held in self.waiting.take(&wanted) {
                    self.handle(snapshot, &held.packet);
                }
            }
        }
    }

    fn expire_held(&mut self) {
        let expired = self.waiting.expire(self.shared.clock.nanoseconds());
        if expired > 0 {
            self.shared
                .outbound_drops
                .add_many(Drop::AcquireTimeout, expired as u64);
        }
    }
}

/// One read of the TUN: a packet, or many in one.
fn judge(octets: &[u8]) -> Result<Segments<'_>, Drop> {
    let (header, packet) = VirtioHeader::split(octets).ok_or(Drop::Truncated)?;
    Segments::new(&header, packet)
}
