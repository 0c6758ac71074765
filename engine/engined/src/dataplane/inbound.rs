//! The way in. A datagram's stations, and the functions below in their order:
//!
//! 1. received in a batch, and cut where the host joined;
//! 2. told apart: IKE goes up, keepalives end here, ESP goes on;
//! 3. looked up by SPI and destination, opened where it lies;
//! 4. judged: is it what this SA may carry;
//! 5. joined with its neighbours of the same flow, and written to the TUN.

use std::io::IoSlice;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use netio::raw::ipv4_header_octets;
use netio::{ReceiveBatch, Received, poll};
use packet::bundle::Step;
use packet::coalesce::Coalescer;
use packet::flow::FlowCache;
use packet::ip::Headers;
use packet::published::Reader;
use packet::reason::Drop;
use packet::sa::{Protocol, Sa};
use packet::snapshot::Snapshot;
use packet::virtio::VirtioHeader;
use packet::{esp, outer};

use crate::limits::MAX_IKE_OCTETS;
use crate::log::{self, Level};
use crate::shared::{IKE_PORT, IkeMessage, NAT_T_PORT, Notice, Shared, Socket};

/// Datagrams, or joined runs, of one batch.
const BATCH_SLOTS: usize = 32;
/// Octets of an IKE header (RFC 7296 section 3.1); what is shorter is nothing.
const IKE_HEADER_OCTETS: usize = 28;
/// What stands before IKE on port 4500 (RFC 3948 section 2.2): an SPI that is none.
pub const NON_ESP_MARKER: [u8; 4] = [0; 4];
/// The one octet that keeps a NAT's mapping alive (RFC 3948 section 2.3).
pub const KEEPALIVE: u8 = 0xff;

/// What comes by a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// UDP 500.
    Ike,
    /// UDP 4500.
    NatT,
    /// Protocol 50 over IPv4, with the outer header.
    EspV4,
    /// Protocol 50 over IPv6, with the outer header and its extension headers.
    EspV6,
}

/// The thread of the way in.
pub struct InboundThread {
    shared: Arc<Shared>,
    reader: Reader,
    sockets: Vec<(Kind, Socket)>,
    batch: ReceiveBatch,
    flows: FlowCache,
    coalescer: Coalescer,
}

impl InboundThread {
    /// The thread before it runs.
    pub fn new(shared: Arc<Shared>) -> Self {
        let devices = &shared.devices;
        let all = [
            (Kind::NatT, &devices.nat_t.v4),
            (Kind::NatT, &devices.nat_t.v6),
            (Kind::EspV4, &devices.esp.v4),
            (Kind::EspV6, &devices.esp.v6),
            (Kind::Ike, &devices.ike.v4),
            (Kind::Ike, &devices.ike.v6),
        ];
        let sockets = all
            .into_iter()
            .filter_map(|(kind, socket)| Some((kind, Arc::clone(socket.as_ref()?))))
            .collect();
        let reader = shared.published.reader();
        Self {
            shared,
            reader,
            sockets,
            batch: ReceiveBatch::new(BATCH_SLOTS),
            flows: FlowCache::new(),
            coalescer: Coalescer::new(),
        }
    }

    /// Moves packets until the engine stops.
    pub fn run(mut self) {
        while !self.shared.stopping() {
            // A panic is a bug of ours; it may cost a batch, never the engine.
            if catch_unwind(AssertUnwindSafe(|| self.turn())).is_err() {
                log::write(
                    Level::Error,
                    "A packet on the way in met a bug and its batch is lost.",
                    &[],
                );
                self.recover();
            }
        }
    }

    /// What the bug may have left half done is made anew.
    fn recover(&mut self) {
        self.reader.leave();
        self.flows = FlowCache::new();
        self.coalescer = Coalescer::new();
    }

    /// Waits for datagrams or a wake, and handles one batch of each socket that has some.
    pub fn turn(&mut self) {
        let mut descriptors = vec![self.shared.inbound_wake.as_fd()];
        descriptors.extend(
            self.sockets
                .iter()
                .filter_map(|(_, socket)| socket.descriptor()),
        );
        let Ok(ready) = poll::wait_readable(&descriptors, None) else {
            return;
        };
        if ready[0] {
            self.shared.inbound_wake.clear();
        }
        let snapshot = self.reader.enter();
        let now_s = self.shared.clock.seconds();
        let mut way = WayIn {
            shared: &self.shared,
            snapshot: &snapshot,
            now_s,
            flows: &mut self.flows,
            coalescer: &mut self.coalescer,
        };
        for ((kind, socket), _) in self
            .sockets
            .iter()
            .zip(&ready[1..])
            .filter(|(_, ready)| **ready)
        {
            if socket.receive(&mut self.batch).is_err() {
                continue;
            }
            self.batch
                .datagrams()
                .for_each(|(received, octets)| way.handle(*kind, &received, octets));
        }
        way.finish();
        self.reader.leave();
    }
}

/// What one batch meets.
struct WayIn<'a> {
    shared: &'a Shared,
    snapshot: &'a Snapshot,
    now_s: u64,
    flows: &'a mut FlowCache,
    coalescer: &'a mut Coalescer,
}

impl WayIn<'_> {
    /// One datagram, or a run that the host joined: each of its datagrams is judged alone.
    fn handle(&mut self, kind: Kind, received: &Received, octets: &mut [u8]) {
        if octets.is_empty() {
            let esp = matches!(kind, Kind::EspV4 | Kind::EspV6);
            return self.count(Err(if esp {
                Drop::Truncated
            } else {
                Drop::IkeTooShort
            }));
        }
        for datagram in octets.chunks_mut(received.segment_octets.max(1)) {
            let outcome = match kind {
                Kind::Ike => self.ike(IKE_PORT, received, datagram),
                Kind::NatT => self.nat_t(received, datagram),
                Kind::EspV6 => match Headers::parse(datagram) {
                    Ok(headers) => self.esp(received, &mut datagram[headers.transport..]),
                    Err(reason) => Err(reason),
                },
                Kind::EspV4 => match ipv4_header_octets(datagram) {
                    Some(header) => self.esp(received, &mut datagram[header..]),
                    None => Err(Drop::Malformed),
                },
            };
            self.count(outcome);
        }
    }

    fn count(&self, outcome: Result<(), Drop>) {
        if let Err(reason) = outcome {
            self.shared.inbound_drops.add(reason);
        }
    }

    /// RFC 3948 section 2: a keepalive, IKE behind a marker, or ESP.
    fn nat_t(&mut self, received: &Received, datagram: &mut [u8]) -> Result<(), Drop> {
        match datagram {
            [KEEPALIVE] => Err(Drop::Keepalive),
            [0, 0, 0, 0, message @ ..] => self.ike(NAT_T_PORT, received, message),
            [_, _, _, _, ..] => self.esp(received, datagram),
            _ => Err(Drop::IkeTooShort),
        }
    }

    fn ike(&self, port: u16, received: &Received, message: &[u8]) -> Result<(), Drop> {
        if message.len() < IKE_HEADER_OCTETS {
            return Err(Drop::IkeTooShort);
        }
        if message.len() > MAX_IKE_OCTETS {
            return Err(Drop::TooBig);
        }
        let local = std::net::SocketAddr::new(received.local, port);
        let message = IkeMessage {
            local,
            remote: received.remote,
            octets: message.to_vec(),
        };
        if self.shared.notify(Notice::Ike(message)) {
            Ok(())
        } else {
            Err(Drop::IkeQueueFull)
        }
    }

    fn esp(&mut self, received: &Received, packet: &mut [u8]) -> Result<(), Drop> {
        let spi = esp::spi(packet).ok_or(Drop::Truncated)?;
        let sa = Arc::clone(self.find(received.local, spi)?);
        let opened = esp::open(&sa, packet, self.now_s)?;
        let inner = &mut packet[opened.payload];
        let headers = self
            .judge(&sa, inner, opened.next_header, received.traffic_class)
            .inspect_err(|reason| sa.drops().add(*reason))?;
        let shared = self.shared;
        self.coalescer
            .push(&inner[..headers.length], &headers, &mut |header, packet| {
                write(shared, header, packet)
            });
        Ok(())
    }

    fn find(&self, destination: IpAddr, spi: u32) -> Result<&Arc<Sa>, Drop> {
        self.snapshot
            .inbound(destination, spi, Protocol::Esp)
            .ok_or(Drop::UnknownSpi)
    }

    /// The headers of the inner packet, which may be shorter than what came: behind it there may be padding.
    fn judge(
        &mut self,
        sa: &Arc<Sa>,
        inner: &mut [u8],
        next_header: u8,
        traffic_class: u8,
    ) -> Result<Headers, Drop> {
        let headers = outer::judge_inner(inner, next_header)?;
        let path = [Step::opened(sa, next_header)];
        self.flows
            .accept(self.snapshot, &path, &headers, true, self.now_s)?;
        outer::apply_tos(sa, inner, traffic_class)?;
        Ok(headers)
    }

    /// Nothing waits from one batch to the next.
    fn finish(self) {
        self.coalescer
            .flush(&mut |header, packet| write(self.shared, header, packet));
    }
}

fn write(shared: &Shared, header: &VirtioHeader, packet: &[u8]) {
    let header = header.to_octets();
    if shared
        .devices
        .tun
        .write(&[IoSlice::new(&header), IoSlice::new(packet)])
        .is_err()
    {
        shared.inbound_drops.add(Drop::TunWriteFailed);
    }
}
