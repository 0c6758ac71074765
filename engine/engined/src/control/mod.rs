//! The control thread: it owns both databases, answers the control socket, tells subscribers, and publishes snapshots.

mod associations;
mod batch;
mod client;
mod dispatch;
mod dump;
mod notices;
mod own;
mod policies;
mod publishing;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use netio::poll::{self, Event, Interest, Ready};
use netio::seqpacket::{Connection, Listener};
use packet::counters::DropCounters;
use packet::database::Database;
use packet::reason::Drop;
use packet::silence::Silences;

use crate::blobs::Blobs;
use crate::ike::Kept;
use crate::limits::{MAX_CLIENTS, MAX_ONLOOKERS, REQUESTS_PER_TURN};
use crate::log::{self, Level};
use crate::netlink::{self, Malformed, Message};
use crate::shared::Shared;
use client::{Client, Pending};
use publishing::Publishing;

/// How often lifetimes are looked at.
const TICK_MS: u32 = 1_000;
/// How often it is looked whether anything comes in.
const LOOK_MS: u32 = 500;
/// How often a barrier is looked at; a batch of packets takes less.
const BARRIER_MS: u32 = 1;

/// What GETINFO tells.
pub struct Identity {
    /// The TUN's name.
    pub tun_name: String,
    /// The mark of the sockets.
    pub mark: u32,
    /// The TUN's offloads, blank between.
    pub offloads: String,
}

/// The control thread.
pub struct Control {
    shared: Arc<Shared>,
    listener: Listener,
    signalled: &'static Event,
    identity: Identity,
    user: u32,
    database: Database,
    publishing: Publishing,
    blobs: Blobs,
    kept: Kept,
    drops: DropCounters,
    clients: BTreeMap<u64, Client>,
    next_client: u64,
    /// Notifications of the request that is handled, until its client is back among the others.
    told: Vec<(u32, Arc<[u8]>)>,
    acquires: u32,
    next_tick_ns: u64,
    silences: Silences,
    next_look_ns: u64,
    ending: bool,
}

impl Control {
    /// The thread before it runs. `signalled` is set by SIGTERM and SIGINT.
    pub fn new(
        shared: Arc<Shared>,
        listener: Listener,
        signalled: &'static Event,
        identity: Identity,
    ) -> Self {
        Self {
            shared,
            listener,
            signalled,
            identity,
            user: netio::process::user(),
            database: Database::new(),
            publishing: Publishing::default(),
            blobs: Blobs::default(),
            kept: Kept::default(),
            drops: DropCounters::default(),
            clients: BTreeMap::new(),
            next_client: 0,
            told: Vec::new(),
            acquires: 0,
            next_tick_ns: 0,
            silences: Silences::default(),
            next_look_ns: 0,
            ending: false,
        }
    }

    /// Serves until SHUTDOWN or a signal.
    pub fn run(&mut self) {
        while !self.ending {
            // A panic is a bug of ours; it may cost a client its connection, never the engine.
            match catch_unwind(AssertUnwindSafe(|| self.turn())) {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    log::write(
                        Level::Error,
                        "The control thread cannot wait.",
                        &[("error", &error)],
                    );
                }
                Err(_) => log::write(
                    Level::Error,
                    "A request met a bug and its client is let go.",
                    &[],
                ),
            }
        }
        self.clients.values_mut().for_each(Client::flush);
    }

    /// Waits for something to do and does it.
    fn turn(&mut self) -> io::Result<()> {
        let ready = self.wait()?;
        if ready[0].read {
            self.shared.control_wake.clear();
        }
        self.ending |= ready[1].read;
        if ready[2].read {
            self.accept();
        }
        self.handle_notices();
        self.tick();
        self.look_for_silence();
        self.publish_soon();
        let names: Vec<u64> = self.clients.keys().copied().collect();
        for (name, ready) in names.into_iter().zip(&ready[3..]) {
            self.serve(name, *ready);
        }
        self.clients.retain(|_, client| !client.gone);
        Ok(())
    }

    fn wait(&self) -> io::Result<Vec<Ready>> {
        let read = Interest {
            read: true,
            write: false,
        };
        let accept = Interest {
            read: self.clients.len() < MAX_CLIENTS,
            write: false,
        };
        let mut descriptors: Vec<(BorrowedFd<'_>, Interest)> = vec![
            (self.shared.control_wake.as_fd(), read),
            (self.signalled.as_fd(), read),
            (self.listener.as_fd(), accept),
        ];
        descriptors.extend(self.clients.values().map(|client| {
            let interest = Interest {
                read: client.is_ready(),
                write: client.wants_to_write(),
            };
            (client.connection().as_fd(), interest)
        }));
        poll::wait(&descriptors, Some(self.patience_ms()))
    }

    fn patience_ms(&self) -> u32 {
        if self
            .clients
            .values()
            .any(|client| client.is_ready() && client.has_requests())
        {
            return 0;
        }
        if self
            .clients
            .values()
            .any(|client| matches!(client.pending, Some(Pending::Barrier(_))))
        {
            return BARRIER_MS;
        }
        let now_ns = self.shared.clock.nanoseconds();
        let next_ns = self.next_tick_ns.min(self.next_look_ns);
        let until_tick_ns = next_ns.saturating_sub(now_ns);
        let left_ns = self
            .publish_within_ns()
            .map_or(until_tick_ns, |within_ns| within_ns.min(until_tick_ns));
        (left_ns / 1_000_000 + 1).min(TICK_MS.into()) as u32
    }

    fn accept(&mut self) {
        let Ok(connection) = self.listener.accept() else {
            return;
        };
        let Ok(peer) = connection.credentials() else {
            return;
        };
        let privileged = peer.uid == 0 || peer.uid == self.user;
        log::write(
            Level::Debug,
            "A client connected.",
            &[("pid", &peer.pid), ("uid", &peer.uid)],
        );
        self.admit(connection, privileged);
    }

    fn admit(&mut self, connection: Connection, privileged: bool) {
        let onlookers = self.clients.values().filter(|client| !client.privileged);
        if privileged || onlookers.count() < MAX_ONLOOKERS {
            self.clients
                .insert(self.next_client, Client::new(connection, privileged));
            self.next_client += 1;
        }
    }

    /// One client's turn: what is pending, what it asks, what waits to be written.
    fn serve(&mut self, name: u64, ready: Ready) {
        let Some(mut client) = self.clients.remove(&name) else {
            return;
        };
        // Who hung up may have asked something before; who cannot be read now is only let go.
        client.gone |= ready.closed && !ready.read;
        self.conclude_pending(&mut client);
        if client.is_ready() && (client.has_requests() || (ready.read && client.read())) {
            self.handle_requests(&mut client);
        }
        self.publish_soon();
        self.conclude_pending(&mut client);
        client.flush();
        self.clients.insert(name, client);
        self.deliver();
    }

    fn handle_requests(&mut self, client: &mut Client) {
        let (requests, mut handled) = client.take_requests();
        for _ in 0..REQUESTS_PER_TURN {
            if client.pending.is_some() || !client.has_room() {
                break;
            }
            match netlink::split(&requests[handled..]) {
                None => break,
                Some(Ok(Message {
                    header,
                    payload,
                    rest,
                })) => {
                    handled = requests.len() - rest.len();
                    self.request(client, header, payload);
                }
                Some(Err(Malformed { header, refusal })) => {
                    handled = requests.len();
                    client.answer(netlink::acknowledgement(header, Err(&refusal)));
                }
            }
        }
        client.put_back(requests, handled);
    }

    /// A barrier that is reached is acknowledged; a dump goes on when its last datagram has gone out.
    fn conclude_pending(&mut self, client: &mut Client) {
        while let Some(pending) = client.pending.take() {
            if client.wants_to_write_answers() {
                client.pending = Some(pending);
                return;
            }
            match pending {
                Pending::Barrier(request) if self.shared.published.everybody_is_current() => {
                    client.answer(netlink::acknowledgement(request, Ok(())));
                }
                Pending::Barrier(_) => {
                    client.pending = Some(pending);
                    return;
                }
                Pending::Dump(mut dump) => {
                    let generation = self.generation_of(dump.rows());
                    let (datagram, last) = dump.next(generation, &self.shared.clock);
                    client.answer(datagram);
                    client.pending = (!last).then_some(Pending::Dump(dump));
                    client.flush();
                }
            }
        }
    }

    /// All drops of all threads by reason.
    fn drops(&self) -> Vec<(Drop, u64)> {
        DropCounters::sum([
            &self.shared.outbound_drops,
            &self.shared.inbound_drops,
            &self.drops,
        ])
    }
}
