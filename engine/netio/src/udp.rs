//! UDP sockets for IKE and for ESP in UDP (RFC 3948): never shared, marked, with GRO on the way in and GSO on the way out.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::device::{Datagrams, ReceiveBatch, Transmit};
pub use crate::socket::{Family, Fragmentation};
use crate::{mmsg, socket};

/// Octets of a datagram that any path takes whole, be it by IPv6 (RFC 8200 section 5: 1,280 with its headers).
const ALWAYS_FITS: usize = 1_280 - 40 - 8;

/// A bound UDP socket of one family.
#[derive(Debug)]
pub struct UdpSocket {
    socket: OwnedFd,
    family: Family,
    segmentation: AtomicBool,
}

impl UdpSocket {
    /// Binds `port` on all addresses of `family`. The port is shared with nobody. Datagrams are never fragmented until
    /// [`UdpSocket::set_fragmentation`] says otherwise.
    ///
    /// # Errors
    /// What the kernel says: `EADDRINUSE` for a port that another program holds, `EPERM` without the privilege for a mark,
    /// `EAFNOSUPPORT` on a host without the family.
    pub fn bind(family: Family, port: u16, mark: u32) -> io::Result<Self> {
        let socket = socket::create(family.domain(), libc::SOCK_DGRAM, libc::IPPROTO_UDP)?;
        if family == Family::V6 {
            // Raw sockets have their protocol's number for a port, and the kernel refuses this for them.
            socket::set(&socket, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, 1)?;
        }
        socket::prepare(&socket, family, mark)?;
        socket::set_fragmentation(&socket, family, Fragmentation::Never)?;
        let address = match family {
            Family::V4 => SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port),
            Family::V6 => SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port),
        };
        socket::bind(&socket, &address)?;
        // Without GRO and GSO the socket works one datagram at a time: kernels before 4.18 and 5.0 have none.
        let _ = socket::set(&socket, libc::SOL_UDP, libc::UDP_GRO, 1);
        let segmentation = socket::set(&socket, libc::SOL_UDP, libc::UDP_SEGMENT, 0).is_ok();
        Ok(Self {
            socket,
            family,
            segmentation: AtomicBool::new(segmentation),
        })
    }

    /// Says what happens to datagrams that do not fit the path.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn set_fragmentation(&self, fragmentation: Fragmentation) -> io::Result<()> {
        socket::set_fragmentation(&self.socket, self.family, fragmentation)
    }
}

impl Datagrams for UdpSocket {
    fn receive(&self, batch: &mut ReceiveBatch) -> io::Result<usize> {
        mmsg::receive(self.socket.as_fd(), batch)
    }

    fn send(&self, transmits: &[Transmit<'_>]) -> io::Result<usize> {
        let sent = mmsg::send(self.socket.as_fd(), transmits);
        if sent
            .as_ref()
            .is_err_and(|error| error.raw_os_error() == Some(libc::EIO))
        {
            self.segmentation.store(false, Ordering::Relaxed);
        }
        sent
    }

    /// It turns false for good when the host once answered `EIO`: a device on the way has no checksum offload.
    fn segmentation(&self) -> bool {
        self.segmentation.load(Ordering::Relaxed)
    }

    /// Datagrams that another thread sends meanwhile may be fragmented too: harmless.
    fn send_fragmentable(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let one = std::slice::from_ref(transmit);
        if transmit.octets.len() <= ALWAYS_FITS {
            return mmsg::send(self.socket.as_fd(), one).map(drop);
        }
        self.set_fragmentation(Fragmentation::WhenNeeded)?;
        let sent = mmsg::send(self.socket.as_fd(), one);
        self.set_fragmentation(Fragmentation::Never)?;
        sent.map(drop)
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.socket.as_fd())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::poll;

    fn pair(family: Family, ip: &str) -> (UdpSocket, UdpSocket, SocketAddr) {
        let receiver = UdpSocket::bind(family, 0, 0).unwrap();
        let port = local_port(&receiver);
        (
            UdpSocket::bind(family, 0, 0).unwrap(),
            receiver,
            SocketAddr::new(ip.parse().unwrap(), port),
        )
    }

    fn local_port(socket: &UdpSocket) -> u16 {
        std::net::UdpSocket::from(socket.socket.try_clone().unwrap())
            .local_addr()
            .unwrap()
            .port()
    }

    fn receive_all(socket: &UdpSocket, octets: usize) -> Vec<(crate::Received, Vec<u8>)> {
        let mut batch = ReceiveBatch::new(4);
        let mut all = Vec::new();
        while all
            .iter()
            .map(|(_, octets): &(_, Vec<u8>)| octets.len())
            .sum::<usize>()
            < octets
        {
            assert!(
                poll::wait_readable(&[socket.descriptor().unwrap()], Some(5_000)).unwrap()[0],
                "nothing came"
            );
            socket.receive(&mut batch).unwrap();
            all.extend(
                batch
                    .datagrams()
                    .map(|(received, octets)| (received, octets.to_vec())),
            );
        }
        all
    }

    #[test]
    fn datagrams_cross_with_class_source_and_local_address() {
        for (family, ip) in [(Family::V4, "127.0.0.7"), (Family::V6, "::1")] {
            let (sender, receiver, remote) = pair(family, ip);
            let transmit = |octets| Transmit {
                local: Some(ip.parse().unwrap()),
                remote,
                traffic_class: 0x2a,
                segment_octets: None,
                octets,
            };
            assert_eq!(
                sender
                    .send(&[transmit(b"first"), transmit(b"second!")])
                    .unwrap(),
                2
            );
            let all = receive_all(&receiver, 12);
            let (received, _) = &all[0];
            assert_eq!(
                (received.local, received.remote.ip()),
                (remote.ip(), remote.ip())
            );
            assert_eq!(received.traffic_class, 0x2a);
            let joined: Vec<u8> = all.iter().flat_map(|(_, octets)| octets.clone()).collect();
            assert_eq!(joined, b"firstsecond!");
        }
    }

    #[test]
    fn a_run_arrives_cut_where_the_sender_said() {
        let (sender, receiver, remote) = pair(Family::V4, "127.0.0.1");
        assert!(sender.segmentation());
        let octets = [7; 1_000 * 5 + 300];
        let run = Transmit {
            local: None,
            remote,
            traffic_class: 0,
            segment_octets: Some(1_000),
            octets: &octets,
        };
        assert_eq!(sender.send(&[run]).unwrap(), 1);
        for (received, octets) in receive_all(&receiver, 5_300) {
            assert!(received.segment_octets == 1_000 || octets.len() == received.segment_octets);
        }
    }

    #[test]
    fn a_taken_port_is_refused() {
        let holder = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
        let port = holder.local_addr().unwrap().port();
        let error = UdpSocket::bind(Family::V4, port, 0).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn what_does_not_fit_the_path_is_refused_and_can_be_fragmented() {
        let (sender, receiver, remote) = pair(Family::V4, "127.0.0.1");
        let octets = [1; 65_507];
        let transmit = Transmit {
            local: None,
            remote,
            traffic_class: 0,
            segment_octets: None,
            octets: &octets,
        };
        sender.send_fragmentable(&transmit).unwrap();
        assert_eq!(
            receive_all(&receiver, octets.len())[0].1.len(),
            octets.len()
        );
    }
}
