//! Sealed packets on their way to the sockets: collected, joined into runs that the host cuts apart, sent in batches.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::BorrowedFd;

use netio::mmsg::BATCH_DATAGRAMS;
use netio::poll::{self, Interest};
use netio::{Datagrams, Transmit};
use packet::counters::DropCounters;
use packet::esp;
use packet::ip::Headers;
use packet::reason::Drop;
use packet::sa::Sa;

use crate::shared::{Devices, PerFamily, Socket};

/// Octets of sealed packets that are collected before they must be sent: a few runs of the largest size.
const ARENA_OCTETS: usize = 512 * 1024;
/// Octets of one run: the largest UDP datagram over IPv4.
const RUN_OCTETS: usize = 65_507;
/// Datagrams of one run (`UDP_MAX_SEGMENTS` of Linux).
const RUN_DATAGRAMS: usize = 64;
/// How long a full queue of the host is waited for before packets are dropped.
const FULL_QUEUE_MS: u32 = 20;

/// Refusals of one batch that are looked into: many packets go to few peers.
const MAX_REFUSED: usize = 16;

/// Which socket a run leaves by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// ESP in UDP, port 4500.
    Udp,
    /// Protocol 50.
    Raw,
    /// A whole packet with our own header.
    Whole,
}

/// Datagrams that lie one after another in the arena and differ in nothing but their octets.
#[derive(Clone, Copy, Debug)]
struct Run {
    way: Way,
    local: IpAddr,
    remote: SocketAddr,
    traffic_class: u8,
    start: usize,
    octets: usize,
    datagram_octets: usize,
    datagrams: usize,
}

impl Run {
    fn new(sa: &Sa, traffic_class: u8, start: usize, octets: usize) -> Self {
        let params = sa.params();
        let (way, port) = params
            .encap
            .map_or((Way::Raw, 0), |encap| (Way::Udp, encap.destination_port));
        Self {
            way,
            local: params.source,
            remote: SocketAddr::new(params.destination, port),
            traffic_class,
            start,
            octets,
            datagram_octets: octets,
            datagrams: 1,
        }
    }

    /// A whole packet. `local`: from which address of ours it leaves; unspecified: it is not from us.
    fn whole(local: IpAddr, headers: &Headers, start: usize) -> Self {
        Self {
            way: Way::Whole,
            local,
            remote: SocketAddr::new(headers.destination, 0),
            traffic_class: headers.tos,
            start,
            octets: headers.length,
            datagram_octets: headers.length,
            datagrams: 1,
        }
    }

    /// Whether `next`, which lies directly behind, can be the next datagram of this run.
    fn takes(&self, next: &Self) -> bool {
        self.way == Way::Udp
            && next.way == Way::Udp
            && (self.local, self.remote, self.traffic_class)
                == (next.local, next.remote, next.traffic_class)
            && self.octets == self.datagram_octets * self.datagrams
            && next.octets <= self.datagram_octets
            && self.octets + next.octets <= RUN_OCTETS
            && self.datagrams < RUN_DATAGRAMS
    }

    fn transmit<'a>(&self, arena: &'a [u8]) -> Transmit<'a> {
        Transmit {
            local: (!self.local.is_unspecified()).then_some(self.local),
            remote: self.remote,
            traffic_class: self.traffic_class,
            segment_octets: (self.datagrams > 1).then_some(self.datagram_octets as u16),
            octets: &arena[self.start..self.start + self.octets],
        }
    }
}

/// The collector.
pub struct Sender {
    arena: Vec<u8>,
    used: usize,
    runs: Vec<Run>,
    refused: Vec<IpAddr>,
}

impl Sender {
    /// An empty one.
    pub fn new() -> Self {
        Self {
            arena: vec![0; ARENA_OCTETS],
            used: 0,
            runs: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// Where the host found packets too large to since the last time.
    pub fn take_refused(&mut self) -> Vec<IpAddr> {
        std::mem::take(&mut self.refused)
    }

    /// Whether a packet of `octets` may not fit any more: then send first.
    pub fn is_full_for(&self, octets: usize) -> bool {
        self.arena.len() - self.used < octets + esp::MAX_OVERHEAD
    }

    /// Gives `seal` the room behind what was collected; it answers how many octets it wrote there.
    ///
    /// # Errors
    /// The reason of `seal`; nothing was collected then.
    pub fn collect(
        &mut self,
        sa: &Sa,
        traffic_class: u8,
        seal: impl FnOnce(&mut [u8]) -> Result<usize, Drop>,
    ) -> Result<(), Drop> {
        let octets = seal(&mut self.arena[self.used..])?;
        let next = Run::new(sa, traffic_class, self.used, octets);
        self.used += octets;
        match self.runs.last_mut() {
            Some(last) if last.takes(&next) => {
                last.octets += octets;
                last.datagrams += 1;
            }
            _ => self.runs.push(next),
        }
        Ok(())
    }

    /// Collects a whole packet, for which there must be room. `local`: the address of ours that it leaves from; unspecified: it
    /// is somebody else's and its source says nothing about our routes.
    pub fn collect_whole(&mut self, packet: &[u8], local: IpAddr, headers: &Headers) {
        let octets = &packet[..headers.length];
        self.arena[self.used..self.used + octets.len()].copy_from_slice(octets);
        self.runs.push(Run::whole(local, headers, self.used));
        self.used += octets.len();
    }

    /// Sends all that was collected. What the host refuses is counted.
    pub fn flush(&mut self, devices: &Devices, drops: &DropCounters) {
        let mut runs = self.runs.as_slice();
        while let Some(first) = runs.first() {
            let same =
                |run: &&Run| run.way == first.way && run.remote.is_ipv4() == first.remote.is_ipv4();
            let count = runs.iter().take_while(same).count();
            let (batch, rest) = runs.split_at(count);
            match socket(devices, first) {
                Some(socket) => {
                    let transmits: Vec<_> =
                        batch.iter().map(|run| run.transmit(&self.arena)).collect();
                    send_all(&**socket, &transmits, drops, &mut self.refused);
                }
                None => batch
                    .iter()
                    .for_each(|run| drops.add_many(Drop::SendFailed, run.datagrams as u64)),
            }
            runs = rest;
        }
        self.runs.clear();
        self.used = 0;
    }
}

fn socket<'a>(devices: &'a Devices, run: &Run) -> Option<&'a Socket> {
    let sockets: &PerFamily<Socket> = match run.way {
        Way::Udp => &devices.nat_t,
        Way::Raw => &devices.esp,
        Way::Whole => &devices.whole,
    };
    sockets.of(run.remote.ip())
}

/// Sends from the front until nothing is left, all in its order. A run that the host cannot cut or refuses is sent apart; a
/// single datagram that it refuses is counted.
fn send_all(
    socket: &dyn Datagrams,
    transmits: &[Transmit<'_>],
    drops: &DropCounters,
    too_big_to: &mut Vec<IpAddr>,
) {
    let (mut rest, mut may_wait) = (transmits, true);
    while let Some((first, others)) = rest.split_first() {
        let batch = sendable(socket, &rest[..rest.len().min(BATCH_DATAGRAMS)]);
        if batch.is_empty() {
            send_apart(socket, first, drops, too_big_to);
            rest = others;
            continue;
        }
        match socket.send(batch) {
            Ok(sent) if sent > 0 => rest = &rest[sent.min(batch.len())..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && may_wait => {
                may_wait = socket.descriptor().is_some_and(wait_for_room);
            }
            refused => {
                if first.segment_octets.is_some() {
                    send_apart(socket, first, drops, too_big_to);
                } else {
                    let reason = refused.map_or_else(|error| reason(&error), |_| Drop::SendFailed);
                    drops.add(reason);
                    if reason == Drop::TooBig && too_big_to.len() < MAX_REFUSED {
                        too_big_to.push(first.remote.ip());
                    }
                }
                rest = others;
            }
        }
    }
}

/// The transmits from the front that may go as they are.
fn sendable<'a, 'b>(socket: &dyn Datagrams, transmits: &'a [Transmit<'b>]) -> &'a [Transmit<'b>] {
    if socket.segmentation() {
        return transmits;
    }
    let single = |transmit: &&Transmit<'_>| transmit.segment_octets.is_none();
    &transmits[..transmits.iter().take_while(single).count()]
}

fn send_apart(
    socket: &dyn Datagrams,
    run: &Transmit<'_>,
    drops: &DropCounters,
    too_big_to: &mut Vec<IpAddr>,
) {
    let step = run
        .segment_octets
        .map_or(run.octets.len(), usize::from)
        .max(1);
    let single: Vec<_> = run
        .octets
        .chunks(step)
        .map(|octets| Transmit {
            segment_octets: None,
            octets,
            ..*run
        })
        .collect();
    send_all(socket, &single, drops, too_big_to);
}

/// The TUN's own queue grows meanwhile, and so its senders feel that the way is full.
fn wait_for_room(descriptor: BorrowedFd<'_>) -> bool {
    let interest = Interest {
        read: false,
        write: true,
    };
    poll::wait(&[(descriptor, interest)], Some(FULL_QUEUE_MS)).is_ok_and(|ready| ready[0].write)
}

fn reason(error: &io::Error) -> Drop {
    match error.raw_os_error() {
        Some(libc::EMSGSIZE) => Drop::TooBig,
        Some(libc::EAGAIN | libc::ENOBUFS) => Drop::SendQueueFull,
        _ => Drop::SendFailed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netio::ReceiveBatch;
    use netio::memory::MemoryDatagrams;

    /// A socket of a host that cuts nothing.
    struct Uncut(MemoryDatagrams);

    impl Datagrams for Uncut {
        fn receive(&self, batch: &mut ReceiveBatch) -> io::Result<usize> {
            self.0.receive(batch)
        }

        fn send(&self, transmits: &[Transmit<'_>]) -> io::Result<usize> {
            assert!(transmits.iter().all(|one| one.segment_octets.is_none()));
            self.0.send(transmits)
        }

        fn descriptor(&self) -> Option<BorrowedFd<'_>> {
            self.0.descriptor()
        }
    }

    #[test]
    fn without_segmentation_the_order_stays() {
        let socket = Uncut(MemoryDatagrams::new().unwrap());
        let transmit = |segment_octets, octets| Transmit {
            local: None,
            remote: "192.0.2.1:4500".parse().unwrap(),
            traffic_class: 0,
            segment_octets,
            octets,
        };
        let all = [
            transmit(None, b"1"),
            transmit(Some(1), b"234"),
            transmit(None, b"5"),
        ];
        send_all(&socket, &all, &DropCounters::default(), &mut Vec::new());
        let sent: Vec<u8> = std::iter::from_fn(|| socket.0.take())
            .flat_map(|sent| sent.octets)
            .collect();
        assert_eq!(sent, b"12345");
    }
}
