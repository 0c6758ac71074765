//! Devices in memory, for tests: what one side sends, the test takes; what the test puts in, the other side receives.

use std::collections::{HashMap, VecDeque};
use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::device::{Datagrams, ReceiveBatch, Received, Transmit, TunDevice};
use crate::host::Host;
use crate::poll::Event;
use crate::routes::Routes;
use crate::socket::Family;

/// A queue with an event that is set while something waits in it.
struct Waiting<T> {
    queue: Mutex<VecDeque<T>>,
    event: Event,
}

impl<T> Waiting<T> {
    fn new() -> io::Result<Self> {
        Ok(Self {
            queue: Mutex::new(VecDeque::new()),
            event: Event::new()?,
        })
    }

    fn push(&self, value: T) {
        self.queue
            .lock()
            .expect("no test panics with this lock")
            .push_back(value);
        self.event.set();
    }

    fn pop(&self) -> Option<T> {
        let mut queue = self.queue.lock().expect("no test panics with this lock");
        let value = queue.pop_front();
        if queue.is_empty() {
            self.event.clear();
        }
        value
    }
}

/// A tunnel device in memory. Packets carry their virtio-net header.
pub struct MemoryTun {
    inward: Waiting<Vec<u8>>,
    outward: Waiting<Vec<u8>>,
    forgotten: AtomicBool,
}

impl MemoryTun {
    /// An empty device.
    ///
    /// # Errors
    /// What the kernel says to the events behind it.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            inward: Waiting::new()?,
            outward: Waiting::new()?,
            forgotten: AtomicBool::new(false),
        })
    }

    /// Whether the engine let it go.
    pub fn is_forgotten(&self) -> bool {
        self.forgotten.load(Ordering::SeqCst)
    }

    /// Lets the engine read `packet`.
    pub fn put(&self, packet: &[u8]) {
        self.inward.push(packet.to_vec());
    }

    /// The next packet that the engine wrote.
    pub fn take(&self) -> Option<Vec<u8>> {
        self.outward.pop()
    }

    /// What to wait on until the engine wrote something.
    pub fn written(&self) -> BorrowedFd<'_> {
        self.outward.event.as_fd()
    }
}

impl TunDevice for MemoryTun {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let packet = self.inward.pop().ok_or(io::ErrorKind::WouldBlock)?;
        let octets = packet.len().min(buffer.len());
        buffer[..octets].copy_from_slice(&packet[..octets]);
        Ok(octets)
    }

    fn write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let packet: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        let octets = packet.len();
        self.outward.push(packet);
        Ok(octets)
    }

    fn forget(&self) -> io::Result<()> {
        self.forgotten.store(true, Ordering::SeqCst);
        Ok(())
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.inward.event.as_fd())
    }
}

/// A datagram that the engine sent: where to, its class, and its octets, runs cut apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// From which address of ours, if it was said.
    pub local: Option<std::net::IpAddr>,
    /// Where to.
    pub remote: std::net::SocketAddr,
    /// DSCP and ECN.
    pub traffic_class: u8,
    /// The datagram.
    pub octets: Vec<u8>,
}

/// A socket in memory.
pub struct MemoryDatagrams {
    inward: Waiting<(Received, Vec<u8>)>,
    outward: Waiting<Sent>,
}

impl MemoryDatagrams {
    /// An empty socket.
    ///
    /// # Errors
    /// What the kernel says to the events behind it.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            inward: Waiting::new()?,
            outward: Waiting::new()?,
        })
    }

    /// Lets the engine receive `octets`, as the host would describe them with `received`.
    pub fn put(&self, received: Received, octets: &[u8]) {
        self.inward.push((received, octets.to_vec()));
    }

    /// The next datagram that the engine sent.
    pub fn take(&self) -> Option<Sent> {
        self.outward.pop()
    }

    /// What to wait on until the engine sent something.
    pub fn sent(&self) -> BorrowedFd<'_> {
        self.outward.event.as_fd()
    }
}

impl Datagrams for MemoryDatagrams {
    fn receive(&self, batch: &mut ReceiveBatch) -> io::Result<usize> {
        batch.clear();
        while batch.filled < batch.slots() {
            let Some((received, octets)) = self.inward.pop() else {
                break;
            };
            batch.push(received, &octets);
        }
        if batch.filled == 0 {
            Err(io::ErrorKind::WouldBlock.into())
        } else {
            Ok(batch.filled)
        }
    }

    fn send(&self, transmits: &[Transmit<'_>]) -> io::Result<usize> {
        for transmit in transmits {
            let step = transmit
                .segment_octets
                .map_or(transmit.octets.len(), usize::from)
                .max(1);
            for octets in transmit.octets.chunks(step) {
                self.outward.push(Sent {
                    local: transmit.local,
                    remote: transmit.remote,
                    traffic_class: transmit.traffic_class,
                    octets: octets.to_vec(),
                });
            }
        }
        Ok(transmits.len())
    }

    fn segmentation(&self) -> bool {
        true
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.inward.event.as_fd())
    }
}

/// Routes in memory: an MTU for each destination that was named, and one for all others.
pub struct MemoryRoutes {
    mtu: u32,
    named: Mutex<HashMap<IpAddr, u32>>,
}

impl MemoryRoutes {
    /// Every way takes packets of `mtu` octets.
    #[must_use]
    pub fn new(mtu: u32) -> Self {
        Self {
            mtu,
            named: Mutex::default(),
        }
    }

    /// The way to `destination` takes packets of `mtu` octets.
    pub fn set(&self, destination: IpAddr, mtu: u32) {
        let mut named = self.named.lock().expect("no test panics with this lock");
        named.insert(destination, mtu);
    }
}

impl Routes for MemoryRoutes {
    fn mtu(&self, destination: IpAddr) -> io::Result<u32> {
        let named = self.named.lock().expect("no test panics with this lock");
        Ok(named.get(&destination).copied().unwrap_or(self.mtu))
    }

    /// Nothing but what `source` answers.
    fn is_local(&self, destination: IpAddr) -> io::Result<bool> {
        Ok(self.source(destination)? == destination)
    }

    /// 192.0.2.254 or 2001:db8::fe.
    fn source(&self, destination: IpAddr) -> io::Result<IpAddr> {
        Ok(match destination {
            IpAddr::V4(_) => [192, 0, 2, 254].into(),
            IpAddr::V6(_) => [0x2001, 0xdb8, 0, 0, 0, 0, 0, 0xfe].into(),
        })
    }
}

/// A host in memory. What it gave can be had from it again.
#[derive(Default)]
pub struct MemoryHost {
    raw: Mutex<HashMap<(bool, u8), Arc<MemoryDatagrams>>>,
}

impl MemoryHost {
    /// The last raw socket of a family and protocol.
    pub fn raw_of(&self, family: Family, protocol: u8) -> Option<Arc<MemoryDatagrams>> {
        let raw = self.raw.lock().expect("no test panics with this lock");
        raw.get(&(family == Family::V4, protocol)).cloned()
    }
}

impl Host for MemoryHost {
    fn raw(&self, family: Family, protocol: u8) -> io::Result<Arc<dyn Datagrams>> {
        let socket = Arc::new(MemoryDatagrams::new()?);
        let mut raw = self.raw.lock().expect("no test panics with this lock");
        raw.insert((family == Family::V4, protocol), socket.clone());
        Ok(socket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_comes_out_cut_and_in_order() {
        let socket = MemoryDatagrams::new().unwrap();
        let remote = "192.0.2.1:4500".parse().unwrap();
        let run = Transmit {
            local: None,
            remote,
            traffic_class: 3,
            segment_octets: Some(4),
            octets: b"abcdefghij",
        };
        assert_eq!(socket.send(&[run]).unwrap(), 1);
        let taken: Vec<_> = std::iter::from_fn(|| socket.take())
            .map(|sent| sent.octets)
            .collect();
        assert_eq!(taken, [b"abcd".to_vec(), b"efgh".to_vec(), b"ij".to_vec()]);
    }

    #[test]
    fn an_empty_device_would_block() {
        let tun = MemoryTun::new().unwrap();
        assert_eq!(
            tun.read(&mut [0; 10]).unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
        tun.put(b"packet");
        assert_eq!(tun.read(&mut [0; 10]).unwrap(), 6);
    }
}
