//! The two seams between the engine and its host: a tunnel device and a socket for batches of datagrams.

use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::BorrowedFd;

/// Octets that a header may have which is built before what the host gave.
pub const FRONT_OCTETS: usize = 1_024;

/// Octets that one slot of a [`ReceiveBatch`] holds: the largest datagram, or the largest run that GRO joins, and a header.
pub const SLOT_OCTETS: usize = 65_536 + FRONT_OCTETS;

/// Octets of the virtio-net header (VIRTIO 1.2, 5.1.6) without its number of buffers, as every TUN can have it.
pub const VNET_HEADER_OCTETS: usize = 10;

/// A tunnel device: whole IP packets, each behind a virtio-net header of [`VNET_HEADER_OCTETS`].
pub trait TunDevice: Send + Sync {
    /// Reads one packet into `buffer` and returns its length, header included; `WouldBlock` when there is none.
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize>;
    /// Writes one packet given in parts, the virtio-net header first.
    fn write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize>;
    /// Makes the interface anew when somebody has deleted it.
    ///
    /// # Errors
    /// What the host says.
    fn reopen(&self) -> io::Result<()> {
        Ok(())
    }
    /// Lets the interface go when the last who uses it has closed it; until then it outlives even the engine.
    ///
    /// # Errors
    /// What the host says.
    fn forget(&self) -> io::Result<()> {
        Ok(())
    }
    /// What to wait on until a packet can be read.
    fn descriptor(&self) -> Option<BorrowedFd<'_>>;
}

/// A socket that takes and gives batches of datagrams.
pub trait Datagrams: Send + Sync {
    /// Fills `batch` anew and returns how many datagrams came; `WouldBlock` when there is none.
    fn receive(&self, batch: &mut ReceiveBatch) -> io::Result<usize>;
    /// Sends from the front and returns how many left; an error is about the first that did not.
    fn send(&self, transmits: &[Transmit<'_>]) -> io::Result<usize>;
    /// Whether runs of datagrams may be given to [`Datagrams::send`] as one.
    fn segmentation(&self) -> bool {
        false
    }
    /// Sends one datagram that may be fragmented on its way.
    ///
    /// # Errors
    /// What the host says.
    fn send_fragmentable(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.send(std::slice::from_ref(transmit)).map(drop)
    }
    /// What to wait on until a datagram can be received.
    fn descriptor(&self) -> Option<BorrowedFd<'_>>;
}

/// One datagram to send, or a run of them of equal size that the host cuts apart.
#[derive(Clone, Copy, Debug)]
pub struct Transmit<'a> {
    /// Our own address; none or unspecified lets the host choose.
    pub local: Option<IpAddr>,
    /// Where to; the port is 0 on a raw socket.
    pub remote: SocketAddr,
    /// The octet of DSCP and ECN for the outer header.
    pub traffic_class: u8,
    /// With a value, `octets` is cut into datagrams of this many octets; only the last may be shorter.
    pub segment_octets: Option<u16>,
    /// What the datagrams carry.
    pub octets: &'a [u8],
}

/// What the host said about one received datagram, or a run of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// The address that it was sent to, ours.
    pub local: IpAddr,
    /// Who sent it; the port is 0 on a raw socket.
    pub remote: SocketAddr,
    /// DSCP and ECN of the outer header.
    pub traffic_class: u8,
    /// Octets of each datagram of the run; only the last may be shorter. Never 0 unless the datagram is empty.
    pub segment_octets: usize,
    /// Octets of the whole run.
    pub octets: usize,
}

impl Received {
    /// A value for slots that nothing filled yet.
    pub(crate) const EMPTY: Self = Self {
        local: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        remote: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
        traffic_class: 0,
        segment_octets: 0,
        octets: 0,
    };
}

/// Memory for a batch of received datagrams, used again for each batch.
pub struct ReceiveBatch {
    pub(crate) memory: Vec<u8>,
    pub(crate) received: Vec<Received>,
    /// Where in its slot each datagram begins.
    pub(crate) starts: Vec<usize>,
    pub(crate) filled: usize,
}

impl ReceiveBatch {
    /// Room for `slots` datagrams (or joined runs) of 64 KiB each.
    #[must_use]
    pub fn new(slots: usize) -> Self {
        Self {
            memory: vec![0; slots * SLOT_OCTETS],
            received: vec![Received::EMPTY; slots],
            starts: vec![0; slots],
            filled: 0,
        }
    }

    /// How many datagrams the batch can hold.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.received.len()
    }

    /// The datagrams of the last receive, each with its octets, which may be changed in place.
    pub fn datagrams(&mut self) -> impl Iterator<Item = (Received, &mut [u8])> {
        self.memory
            .chunks_exact_mut(SLOT_OCTETS)
            .zip(self.received.iter().zip(&self.starts))
            .take(self.filled)
            .map(|(slot, (received, start))| {
                (*received, &mut slot[*start..*start + received.octets])
            })
    }

    /// Puts one datagram into the next slot; false when the batch is full or the datagram too long.
    pub fn push(&mut self, received: Received, octets: &[u8]) -> bool {
        let Some(slot) = self.memory.chunks_exact_mut(SLOT_OCTETS).nth(self.filled) else {
            return false;
        };
        let Some(room) = slot.get_mut(..octets.len()) else {
            return false;
        };
        room.copy_from_slice(octets);
        self.received[self.filled] = Received {
            octets: octets.len(),
            ..received
        };
        self.starts[self.filled] = 0;
        self.filled += 1;
        true
    }

    /// Forgets what the batch holds.
    pub fn clear(&mut self) {
        self.filled = 0;
    }
}
