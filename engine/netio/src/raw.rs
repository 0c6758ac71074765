//! Raw sockets for protocols 50, 51, 4 and 41. The kernel writes the outer header; what comes in is the whole packet with its
//! header: over IPv4 as it came, over IPv6 built anew from what the kernel tells beside the payload.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::device::{Datagrams, ReceiveBatch, Transmit};
use crate::socket::{Family, Fragmentation};
use crate::{mmsg, rebuild, socket};

/// A raw socket of one family and protocol.
#[derive(Debug)]
pub struct RawSocket {
    socket: OwnedFd,
    family: Family,
    protocol: u8,
}

impl RawSocket {
    /// Opens a socket for `protocol` (50 is ESP) on all addresses of `family`. Packets are never fragmented.
    ///
    /// # Errors
    /// What the kernel says: `EPERM` without the privilege, `EAFNOSUPPORT` on a host without the family.
    pub fn open(family: Family, protocol: u8, mark: u32) -> io::Result<Self> {
        let socket = socket::create(family.domain(), libc::SOCK_RAW, protocol.into())?;
        socket::prepare(&socket, family, mark)?;
        socket::tell_headers(&socket, family)?;
        socket::set_fragmentation(&socket, family, Fragmentation::Never)?;
        Ok(Self {
            socket,
            family,
            protocol,
        })
    }
}

impl Datagrams for RawSocket {
    fn receive(&self, batch: &mut ReceiveBatch) -> io::Result<usize> {
        receive_whole(self.socket.as_fd(), self.family, self.protocol, batch)
    }

    fn send(&self, transmits: &[Transmit<'_>]) -> io::Result<usize> {
        mmsg::send(self.socket.as_fd(), transmits)
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.socket.as_fd())
    }
}

/// Whole packets of either family.
pub(crate) fn receive_whole(
    socket: BorrowedFd<'_>,
    family: Family,
    protocol: u8,
    batch: &mut ReceiveBatch,
) -> io::Result<usize> {
    match family {
        Family::V4 => mmsg::receive(socket, batch),
        Family::V6 => rebuild::receive(socket, protocol, batch),
    }
}

/// Octets of the IPv4 header at the front of what a raw IPv4 socket received; none if there is no whole header.
#[must_use]
pub fn ipv4_header_octets(packet: &[u8]) -> Option<usize> {
    let octets = usize::from(packet.first()? & 0x0f) * 4;
    (packet[0] >> 4 == 4 && octets >= 20 && octets <= packet.len()).then_some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_header_is_never_longer_than_its_packet(packet in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Some(octets) = ipv4_header_octets(&packet) {
                prop_assert!((20..=60).contains(&octets) && octets <= packet.len());
            }
        }
    }
}
