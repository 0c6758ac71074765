//! Making sockets and setting their options: what the UDP and the raw sockets share.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use crate::message::Address;
use crate::syscall::check;

/// Octets asked of the kernel for each socket's queues: some tens of milliseconds of a gigabit.
const QUEUE_OCTETS: libc::c_int = 8 << 20;

/// The address family of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6 and nothing else.
    V6,
}

impl Family {
    pub(crate) fn domain(self) -> libc::c_int {
        match self {
            Self::V4 => libc::AF_INET,
            Self::V6 => libc::AF_INET6,
        }
    }
}

/// What the sender does about packets that do not fit the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fragmentation {
    /// Never fragment: DF on IPv4, and `EMSGSIZE` for what exceeds the device's MTU. What the kernel learnt from ICMP does not
    /// count: it believes anybody who quotes a protocol and two addresses.
    Never,
    /// Fragment when needed.
    WhenNeeded,
}

pub fn create(
    domain: libc::c_int,
    kind: libc::c_int,
    protocol: libc::c_int,
) -> io::Result<OwnedFd> {
    // SAFETY: the call has no pointers.
    let descriptor = unsafe {
        libc::socket(
            domain,
            kind | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC,
            protocol,
        )
    };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just gave us this descriptor and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

pub fn set(
    socket: &impl AsFd,
    level: libc::c_int,
    option: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    // SAFETY: the option's value is one int, which lives until the call returns.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            option,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    check(result)
}

pub fn bind(socket: &OwnedFd, address: &SocketAddr) -> io::Result<()> {
    let (octets, length) = Address::emit(address);
    // SAFETY: the address lives until the call returns and has at least `length` octets.
    let result = unsafe {
        libc::bind(
            socket.as_raw_fd(),
            (&raw const octets).cast(),
            length as libc::socklen_t,
        )
    };
    check(result)
}

/// The options of every socket of ours that carries packets: mark, queues, and what the kernel tells with each datagram.
pub fn prepare(socket: &OwnedFd, family: Family, mark: u32) -> io::Result<()> {
    set(socket, libc::SOL_SOCKET, libc::SO_MARK, mark as libc::c_int)?;
    for (forced, plain) in [
        (libc::SO_RCVBUFFORCE, libc::SO_RCVBUF),
        (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF),
    ] {
        if set(socket, libc::SOL_SOCKET, forced, QUEUE_OCTETS).is_err() {
            set(socket, libc::SOL_SOCKET, plain, QUEUE_OCTETS)?;
        }
    }
    match family {
        Family::V4 => {
            set(socket, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)?;
            set(socket, libc::IPPROTO_IP, libc::IP_RECVTOS, 1)?;
        }
        Family::V6 => {
            set(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)?;
            set(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVTCLASS, 1)?;
        }
    }
    Ok(())
}

/// Lets the kernel tell, beside each IPv6 payload, what else its header and its extension headers said.
pub fn tell_headers(socket: &OwnedFd, family: Family) -> io::Result<()> {
    const IPV6_FLOWINFO: libc::c_int = 11;
    if family == Family::V4 {
        return Ok(());
    }
    for option in [
        libc::IPV6_RECVHOPLIMIT,
        libc::IPV6_RECVHOPOPTS,
        libc::IPV6_RECVRTHDR,
        libc::IPV6_RECVDSTOPTS,
        IPV6_FLOWINFO,
    ] {
        set(socket, libc::IPPROTO_IPV6, option, 1)?;
    }
    Ok(())
}

pub fn set_fragmentation(
    socket: &impl AsFd,
    family: Family,
    fragmentation: Fragmentation,
) -> io::Result<()> {
    let (level, option, never, needed) = match family {
        Family::V4 => (
            libc::IPPROTO_IP,
            libc::IP_MTU_DISCOVER,
            libc::IP_PMTUDISC_PROBE,
            libc::IP_PMTUDISC_DONT,
        ),
        Family::V6 => (
            libc::IPPROTO_IPV6,
            libc::IPV6_MTU_DISCOVER,
            libc::IPV6_PMTUDISC_PROBE,
            libc::IPV6_PMTUDISC_DONT,
        ),
    };
    let value = if fragmentation == Fragmentation::Never {
        never
    } else {
        needed
    };
    set(socket, level, option, value)
}
