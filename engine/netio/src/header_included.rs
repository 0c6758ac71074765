//! Raw sockets that take whole IP packets: the header is ours, down to IPv4's identification.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::device::{Datagrams, ReceiveBatch, Transmit};
use crate::socket::{Family, Fragmentation};
use crate::{mmsg, socket};

/// `IPV6_HDRINCL` of linux/in6.h.
const IPV6_HDRINCL: libc::c_int = 36;

/// A socket for whole packets of one family. It receives nothing.
///
/// What exceeds the device's MTU is refused with `EMSGSIZE`; nothing is ever fragmented on the way to the wire, and what the
/// kernel learnt of the path from ICMP counts for nothing here.
#[derive(Debug)]
pub struct HeaderIncluded {
    socket: OwnedFd,
}

impl HeaderIncluded {
    /// Opens one.
    ///
    /// # Errors
    /// What the kernel says: `EPERM` without the privilege, `EAFNOSUPPORT` on a host without the family.
    pub fn open(family: Family, mark: u32) -> io::Result<Self> {
        let socket = socket::create(family.domain(), libc::SOCK_RAW, libc::IPPROTO_RAW)?;
        socket::prepare(&socket, family, mark)?;
        socket::set_fragmentation(&socket, family, Fragmentation::Never)?;
        match family {
            Family::V4 => {
                socket::set(&socket, libc::IPPROTO_IP, libc::IP_HDRINCL, 1)?;
                // Connection tracking would put our fragments together again.
                socket::set(&socket, libc::IPPROTO_IP, libc::IP_NODEFRAG, 1)?;
            }
            Family::V6 => socket::set(&socket, libc::IPPROTO_IPV6, IPV6_HDRINCL, 1)?,
        }
        Ok(Self { socket })
    }
}

impl Datagrams for HeaderIncluded {
    fn receive(&self, batch: &mut ReceiveBatch) -> io::Result<usize> {
        batch.clear();
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// `Transmit::octets` is the packet; `remote` says the same destination as its header does.
    fn send(&self, transmits: &[Transmit<'_>]) -> io::Result<usize> {
        mmsg::send(self.socket.as_fd(), transmits)
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.socket.as_fd())
    }
}
