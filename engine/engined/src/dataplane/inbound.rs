//! The thread of the way in. A datagram's stations, and the files in their order:
//!
//! 1. received in a batch, and cut where the host joined (here);
//! 2. told apart: IKE goes up, keepalives end here, ESP and AH go on (`way_in`);
//! 3. looked up by SPI and destination, opened where it lies, and what was in it once more if that is for us too (`way_in`);
//! 4. judged once, with all that it came out of (`arrival`);
//! 5. joined with its neighbours of the same flow, and written to the TUN or a link's device (`arrival`).

use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use netio::udp::Family;
use netio::{ReceiveBatch, poll};
use packet::ip::protocol;
use packet::published::Reader;

use super::way_in::{Kind, WayIn};
use crate::log::{self, Level};
use crate::shared::{Devices, PerFamily, Shared, Socket};

/// Datagrams, or joined runs, of one batch.
const BATCH_SLOTS: usize = 32;

/// The thread of the way in.
pub struct InboundThread {
    shared: Arc<Shared>,
    reader: Reader,
    sockets: Vec<(Kind, Socket)>,
    /// For packets of links that come in clear; open while there are links.
    bare: Vec<(Kind, Socket)>,
    batch: ReceiveBatch,
    way: WayIn,
}

impl InboundThread {
    /// The thread before it runs.
    pub fn new(shared: Arc<Shared>) -> Self {
        let reader = shared.published.reader();
        Self {
            reader,
            sockets: sockets(&shared.devices),
            bare: Vec::new(),
            batch: ReceiveBatch::new(BATCH_SLOTS),
            way: WayIn::new(Arc::clone(&shared)),
            shared,
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
        self.way.recover();
    }

    /// Waits for datagrams or a wake, and handles one batch of each socket that has some.
    pub fn turn(&mut self) {
        self.follow_links();
        let ready = self.wait();
        let snapshot = self.reader.enter();
        self.way.begin();
        let sockets = self.sockets.iter().chain(&self.bare);
        for ((kind, socket), _) in sockets.zip(ready).filter(|(_, ready)| *ready) {
            if socket.receive(&mut self.batch).is_err() {
                continue;
            }
            for (received, octets) in self.batch.datagrams() {
                self.way.handle(&snapshot, *kind, &received, octets);
            }
        }
        self.way.finish();
        self.reader.leave();
    }

    /// Which sockets have datagrams, in their order.
    fn wait(&mut self) -> Vec<bool> {
        let sockets = || self.sockets.iter().chain(&self.bare);
        let mut descriptors = vec![self.shared.inbound_wake.as_fd()];
        descriptors.extend(sockets().filter_map(|(_, socket)| socket.descriptor()));
        let Ok(mut ready) = poll::wait_readable(&descriptors, None) else {
            return Vec::new();
        };
        if ready.remove(0) {
            self.shared.inbound_wake.clear();
        }
        ready
    }

    /// The host's raw sockets of protocols 4 and 41 are opened for the first link and closed after the last.
    fn follow_links(&mut self) {
        if !self.way.follow_links() {
            return;
        }
        if !self.way.has_links() {
            self.bare.clear();
        } else if self.bare.is_empty() {
            self.bare = self.open_bare();
        }
    }

    fn open_bare(&self) -> Vec<(Kind, Socket)> {
        let mut opened = Vec::new();
        for family in [Family::V4, Family::V6] {
            for number in [protocol::IPV4, protocol::IPV6] {
                match self.shared.devices.host.raw(family, number) {
                    Ok(socket) => opened.push((Kind::Bare, socket)),
                    Err(error) => log::write(
                        Level::Debug,
                        "A link's packets in clear cannot be received.",
                        &[("protocol", &number), ("error", &error)],
                    ),
                }
            }
        }
        opened
    }
}

fn sockets(devices: &Devices) -> Vec<(Kind, Socket)> {
    let all: [(Kind, &PerFamily<Socket>); 5] = [
        (Kind::NatT, &devices.nat_t),
        (Kind::Secured, &devices.esp),
        (Kind::Secured, &devices.ah),
        (Kind::Ike, &devices.ike),
        (Kind::Icmp, &devices.icmp),
    ];
    let mut sockets = Vec::new();
    for (kind, both) in all {
        for socket in [&both.v4, &both.v6].into_iter().flatten() {
            sockets.push((kind, Arc::clone(socket)));
        }
    }
    sockets
}
