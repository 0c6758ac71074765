//! What the three threads share: devices, the published snapshot, counters, and a bounded way up to the control thread.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use netio::host::Host;
use netio::poll::Event;
use netio::routes::Routes;
use netio::{Datagrams, TunDevice};
use packet::bundle::Need;
use packet::counters::DropCounters;
use packet::published::Published;
use packet::sa::Sa;
use packet::selector::Selector;

use crate::clock::Clock;
use crate::gif::{GifHost, GifTable, Tuns};
use crate::limits::{MAX_ACQUIRES, MAX_IKE_MESSAGES, MAX_OTHER_NOTICES};
use crate::path_mtu::PathMtus;
use crate::samples::{Sample, Samples};
use crate::strays::Stray;

/// The port of IKE (RFC 7296).
pub const IKE_PORT: u16 = 500;
/// The port of IKE and ESP behind NATs (RFC 3948).
pub const NAT_T_PORT: u16 = 4500;

/// One thing for each address family; a host without IPv6 has no second.
#[derive(Clone)]
pub struct PerFamily<T> {
    /// For IPv4.
    pub v4: Option<T>,
    /// For IPv6.
    pub v6: Option<T>,
}

impl<T> PerFamily<T> {
    /// The one for an address's family.
    pub fn of(&self, address: IpAddr) -> Option<&T> {
        if address.is_ipv4() {
            self.v4.as_ref()
        } else {
            self.v6.as_ref()
        }
    }
}

/// A socket that threads share.
pub type Socket = Arc<dyn Datagrams>;

/// The engine's devices.
#[derive(Clone)]
pub struct Devices {
    /// Where inner packets come from and go to.
    pub tun: Arc<dyn TunDevice>,
    /// UDP 500.
    pub ike: PerFamily<Socket>,
    /// UDP 4500.
    pub nat_t: PerFamily<Socket>,
    /// Protocol 50.
    pub esp: PerFamily<Socket>,
    /// Protocol 51, to receive by.
    pub ah: PerFamily<Socket>,
    /// For whole packets, to send by.
    pub whole: PerFamily<Socket>,
    /// For whole packets that the host shall steer like its own, to send by.
    pub errors: PerFamily<Socket>,
    /// ICMP about packets that are too big, to receive by.
    pub icmp: PerFamily<Socket>,
    /// The host's routes.
    pub routes: Arc<dyn Routes>,
    /// For sockets that only links need.
    pub host: Arc<dyn Host>,
}

/// What a packet thread tells the control thread.
#[derive(Debug)]
pub enum Notice {
    /// A packet needs an SA that is not there.
    Acquire(Arc<Need>, Selector),
    /// An IKE message came, marker removed.
    Ike(IkeMessage),
    /// An authentic packet of an SA in UDP, the newest so far, came from another address or port than the SA's: a NAT has
    /// chosen anew.
    Mapping(Arc<Sa>, SocketAddr),
    /// The way to a peer carries packets of at most so many octets.
    PathMtu(IpAddr, u32),
    /// A packet came for an SA that is not here.
    Stray(Stray),
    /// A packet was dropped, and somebody wants to see some.
    Dropped(Sample),
    /// An SA has reached a limit, as far as its packets tell: look at once and not at the next tick.
    Limit,
}

/// An IKE message and its two ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IkeMessage {
    /// Ours.
    pub local: SocketAddr,
    /// The sender.
    pub remote: SocketAddr,
    /// The message.
    pub octets: Vec<u8>,
}

/// Notices on their way up. Anybody may send IKE messages; a flood of them leaves the others their room.
#[derive(Default)]
struct Notices {
    queue: VecDeque<Notice>,
    ike: usize,
    acquires: usize,
}

impl Notices {
    fn has_room_for(&self, notice: &Notice) -> bool {
        match notice {
            Notice::Ike(_) => self.ike < MAX_IKE_MESSAGES,
            Notice::Acquire(..) => self.acquires < MAX_ACQUIRES,
            _ => self.queue.len() - self.ike - self.acquires < MAX_OTHER_NOTICES,
        }
    }

    fn push(&mut self, notice: Notice) {
        self.ike += usize::from(matches!(notice, Notice::Ike(_)));
        self.acquires += usize::from(matches!(notice, Notice::Acquire(..)));
        self.queue.push_back(notice);
    }
}

/// What the threads share.
pub struct Shared {
    /// Devices and sockets.
    pub devices: Devices,
    /// The newest snapshot.
    pub published: Published,
    /// The links of gif(4).
    pub gifs: GifTable,
    /// What was learnt about the ways to the peers.
    pub path_mtus: PathMtus,
    /// Whether dropped packets are to be told.
    pub samples: Samples,
    /// The one clock.
    pub clock: Clock,
    /// Drops on the way out.
    pub outbound_drops: DropCounters,
    /// Drops on the way in.
    pub inbound_drops: DropCounters,
    /// Wakes the control thread.
    pub control_wake: Event,
    /// Wakes the thread of the way out.
    pub outbound_wake: Event,
    /// Wakes the thread of the way in.
    pub inbound_wake: Event,
    notices: Mutex<Notices>,
    stopping: AtomicBool,
}

impl Shared {
    /// What the threads share, before they start.
    ///
    /// # Errors
    /// What the kernel says to the events.
    pub fn new(devices: Devices) -> io::Result<Self> {
        Self::with_gifs(devices, Box::new(Tuns::default()))
    }

    /// The same, where somebody else makes the interfaces of links.
    ///
    /// # Errors
    /// What the kernel says to the events.
    pub fn with_gifs(devices: Devices, host: Box<dyn GifHost>) -> io::Result<Self> {
        Ok(Self {
            devices,
            published: Published::new(),
            gifs: GifTable::new(host),
            path_mtus: PathMtus::default(),
            samples: Samples::default(),
            clock: Clock::start(),
            outbound_drops: DropCounters::default(),
            inbound_drops: DropCounters::default(),
            control_wake: Event::new()?,
            outbound_wake: Event::new()?,
            inbound_wake: Event::new()?,
            notices: Mutex::default(),
            stopping: AtomicBool::new(false),
        })
    }

    /// Tells the control thread something; false when too much waits for it already.
    pub fn notify(&self, notice: Notice) -> bool {
        let mut notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        if !notices.has_room_for(&notice) {
            return false;
        }
        notices.push(notice);
        self.control_wake.set();
        true
    }

    /// All that was told since the last time.
    pub fn take_notices(&self) -> VecDeque<Notice> {
        std::mem::take(&mut *self.notices.lock().unwrap_or_else(PoisonError::into_inner)).queue
    }

    /// Notes what a way carries, and tells the control thread if that is new.
    pub fn learn_path_mtu(&self, remote: IpAddr, mtu: u32) {
        let now_ns = self.clock.nanoseconds();
        if let Some(mtu) = self.path_mtus.learn(remote, mtu, now_ns) {
            self.notify(Notice::PathMtu(remote, mtu));
        }
    }

    /// Tells of a dropped packet, if somebody wants to know and was not told of another just now.
    pub fn sample(&self, now_ns: u64, taken: impl FnOnce() -> Option<Sample>) {
        if self.samples.take(now_ns) {
            taken().map(|sample| self.notify(Notice::Dropped(sample)));
        }
    }

    /// Asks the packet threads to end.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.outbound_wake.set();
        self.inbound_wake.set();
    }

    /// Whether the packet threads shall end.
    pub fn stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }
}
