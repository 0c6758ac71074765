//! Raw sockets that hear of packets too big for their path: ICMP type 3 code 4 (RFC 1191) and ICMPv6 type 2 (RFC 8201).
//!
//! The error queues of the sockets that send would tell the same, but then an ICMP that anybody forges would also fail the next
//! packet that such a socket is to send. These only listen.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use crate::device::{Datagrams, ReceiveBatch, Transmit};
use crate::mmsg;
use crate::raw::receive_whole;
use crate::socket::{self, Family};
use crate::syscall::check;

const SOL_RAW: libc::c_int = 255;
/// `ICMP_FILTER` and `ICMPV6_FILTER`, which have the same number.
const FILTER: libc::c_int = 1;
const DESTINATION_UNREACHABLE: u32 = 3;
const PACKET_TOO_BIG: u32 = 2;

/// A listening socket of one family. What comes is a whole IP packet; over IPv4 nobody has looked at ICMP's checksum.
#[derive(Debug)]
pub struct IcmpErrors {
    socket: OwnedFd,
    family: Family,
}

impl IcmpErrors {
    /// Opens one.
    ///
    /// # Errors
    /// What the kernel says: `EPERM` without the privilege, `EAFNOSUPPORT` on a host without the family.
    pub fn open(family: Family, mark: u32) -> io::Result<Self> {
        let protocol = match family {
            Family::V4 => libc::IPPROTO_ICMP,
            Family::V6 => libc::IPPROTO_ICMPV6,
        };
        let socket = socket::create(family.domain(), libc::SOCK_RAW, protocol)?;
        filter(&socket, family)?;
        socket::prepare(&socket, family, mark)?;
        socket::tell_headers(&socket, family)?;
        Ok(Self { socket, family })
    }
}

/// A bit that is set keeps a type out.
fn filter(socket: &OwnedFd, family: Family) -> io::Result<()> {
    let mut bits = [u32::MAX; 8];
    let (level, octets) = match family {
        Family::V4 => {
            bits[0] = !(1 << DESTINATION_UNREACHABLE);
            (SOL_RAW, size_of::<u32>())
        }
        Family::V6 => {
            bits[0] = !(1 << PACKET_TOO_BIG);
            (libc::IPPROTO_ICMPV6, size_of_val(&bits))
        }
    };
    // SAFETY: the kernel reads `octets` octets, at most what the array has, before the call returns.
    check(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            FILTER,
            bits.as_ptr().cast(),
            octets as libc::socklen_t,
        )
    })
}

impl Datagrams for IcmpErrors {
    fn receive(&self, batch: &mut ReceiveBatch) -> io::Result<usize> {
        receive_whole(
            self.socket.as_fd(),
            self.family,
            libc::IPPROTO_ICMPV6 as u8,
            batch,
        )
    }

    fn send(&self, transmits: &[Transmit<'_>]) -> io::Result<usize> {
        mmsg::send(self.socket.as_fd(), transmits)
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.socket.as_fd())
    }
}
