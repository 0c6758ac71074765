//! The host's routes, asked over rtnetlink: how large a packet to a destination may be, and from which address it leaves.
//!
//! The answer about size is the route's and the device's. What the kernel believes to have learnt from ICMP is left out: anybody
//! can forge that.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use crate::socket;
use crate::syscall::check_length;

/// What the host says of a way to a destination.
pub trait Routes: Send + Sync {
    /// Octets of the largest packet, IP header included, that the route and its device take.
    ///
    /// # Errors
    /// What the host says, for instance that there is no route (`ENETUNREACH`).
    fn mtu(&self, destination: IpAddr) -> io::Result<u32>;

    /// The address of ours that the host would send from, were it no packet of the engine's.
    ///
    /// # Errors
    /// As [`Routes::mtu`], and `EADDRNOTAVAIL` when it has none.
    fn source(&self, destination: IpAddr) -> io::Result<IpAddr>;

    /// Whether packets to an address end at this host.
    ///
    /// # Errors
    /// As [`Routes::mtu`].
    fn is_local(&self, destination: IpAddr) -> io::Result<bool>;
}

const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_NEWROUTE: u16 = 24;
const RTM_GETROUTE: u16 = 26;
const NLMSG_ERROR: u16 = 2;
const NLM_F_REQUEST: u16 = 1;
/// The entry of the table itself, not what the kernel made of it since.
const RTM_F_FIB_MATCH: u32 = 0x2000;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_PREFSRC: u16 = 7;
const RTA_METRICS: u16 = 8;
const RTA_MULTIPATH: u16 = 9;
const RTA_MARK: u16 = 16;
const RTAX_MTU: u16 = 2;
const IFLA_MTU: u16 = 4;
/// Where `struct rtmsg` has the route's type.
const ROUTE_TYPE: usize = 7;
/// `RTN_LOCAL`, `RTN_BROADCAST`, `RTN_ANYCAST`, `RTN_MULTICAST`.
const ENDING_HERE: [u8; 4] = [2, 3, 4, 5];
/// `struct nlmsghdr`.
const HEADER: usize = 16;
/// `struct rtmsg`.
const ROUTE: usize = 12;
/// `struct ifinfomsg`.
const LINK: usize = 16;
/// `struct rtnexthop`.
const NEXT_HOP: usize = 8;
/// Room for one answer; that about a link is some kilobytes long.
const ANSWER_OCTETS: usize = 64 * 1024;

/// The kernel's routes, as packets with our mark meet them.
#[derive(Debug)]
pub struct KernelRoutes {
    /// One question at a time.
    socket: Mutex<OwnedFd>,
    mark: u32,
}

impl KernelRoutes {
    /// Opens the socket to ask by.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn open(mark: u32) -> io::Result<Self> {
        let socket = socket::create(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE)?;
        Ok(Self {
            socket: Mutex::new(socket),
            mark,
        })
    }

    /// `struct rtmsg` and its attributes.
    fn route(&self, destination: IpAddr, mark: u32, flags: u32) -> io::Result<Vec<u8>> {
        let (family, octets) = family_and_octets(destination);
        let mut body = vec![family, octets.len() as u8 * 8, 0, 0, 0, 0, 0, 0];
        body.extend(flags.to_ne_bytes());
        put(&mut body, RTA_DST, &octets);
        put(&mut body, RTA_MARK, &mark.to_ne_bytes());
        let route = self.ask(RTM_GETROUTE, &body, RTM_NEWROUTE)?;
        if route.len() < ROUTE {
            return Err(malformed());
        }
        Ok(route)
    }

    fn link_mtu(&self, index: u32) -> io::Result<u32> {
        let mut body = vec![0; 4];
        body.extend(index.to_ne_bytes());
        body.extend([0; 8]);
        let answer = self.ask(RTM_GETLINK, &body, RTM_NEWLINK)?;
        attribute(answer.get(LINK..).unwrap_or(&[]), IFLA_MTU)
            .and_then(u32_of)
            .ok_or_else(malformed)
    }

    /// The kernel answers while it takes the question, so there is nothing to wait for.
    fn ask(&self, kind: u16, body: &[u8], wanted: u16) -> io::Result<Vec<u8>> {
        let socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        let mut answer = vec![0; ANSWER_OCTETS];
        // What an earlier question left, had it failed half-way, is nobody's answer.
        while receive(&socket, &mut answer).is_ok() {}
        send(&socket, &message(kind, body))?;
        let octets = receive(&socket, &mut answer)?;
        body_of(&answer[..octets.min(ANSWER_OCTETS)], wanted).map(<[u8]>::to_vec)
    }
}

impl Routes for KernelRoutes {
    fn mtu(&self, destination: IpAddr) -> io::Result<u32> {
        let route = self.route(destination, self.mark, RTM_F_FIB_MATCH)?;
        let route = &route[ROUTE..];
        let metrics = attribute(route, RTA_METRICS).unwrap_or(&[]);
        let of_route = attribute(metrics, RTAX_MTU)
            .and_then(u32_of)
            .filter(|mtu| *mtu != 0);
        let mut mtu = of_route;
        for device in devices(route) {
            let of_device = self.link_mtu(device)?;
            mtu = Some(mtu.map_or(of_device, |mtu| mtu.min(of_device)));
        }
        mtu.ok_or_else(malformed)
    }

    fn source(&self, destination: IpAddr) -> io::Result<IpAddr> {
        let route = self.route(destination, 0, 0)?;
        let octets = attribute(&route[ROUTE..], RTA_PREFSRC);
        octets
            .and_then(address)
            .ok_or_else(|| io::Error::from_raw_os_error(libc::EADDRNOTAVAIL))
    }

    fn is_local(&self, destination: IpAddr) -> io::Result<bool> {
        let route = self.route(destination, 0, 0)?;
        Ok(ENDING_HERE.contains(&route[ROUTE_TYPE]))
    }
}

/// The device of a route, or of each of its next hops.
fn devices(route: &[u8]) -> Vec<u32> {
    let mut found: Vec<u32> = attribute(route, RTA_OIF)
        .and_then(u32_of)
        .into_iter()
        .collect();
    let mut hops = attribute(route, RTA_MULTIPATH).unwrap_or(&[]);
    while let Some(hop) = hops.get(..NEXT_HOP) {
        found.extend(u32_of(&hop[4..]));
        let octets = usize::from(u16::from_ne_bytes([hop[0], hop[1]])).max(NEXT_HOP);
        hops = hops.get(octets.next_multiple_of(4)..).unwrap_or(&[]);
    }
    found
}

fn family_and_octets(ip: IpAddr) -> (u8, Vec<u8>) {
    match ip {
        IpAddr::V4(v4) => (libc::AF_INET as u8, v4.octets().to_vec()),
        IpAddr::V6(v6) => (libc::AF_INET6 as u8, v6.octets().to_vec()),
    }
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(octets) {
        return Some(v4.into());
    }
    <[u8; 16]>::try_from(octets).ok().map(IpAddr::from)
}

fn u32_of(octets: &[u8]) -> Option<u32> {
    octets.first_chunk().copied().map(u32::from_ne_bytes)
}

fn put(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    body.extend((4 + value.len() as u16).to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend(value);
    body.resize(body.len().next_multiple_of(4), 0);
}

fn message(kind: u16, body: &[u8]) -> Vec<u8> {
    let mut octets = ((HEADER + body.len()) as u32).to_ne_bytes().to_vec();
    octets.extend(kind.to_ne_bytes());
    octets.extend(NLM_F_REQUEST.to_ne_bytes());
    octets.extend([0; 8]);
    octets.extend(body);
    octets
}

/// The first attribute of a kind.
fn attribute(mut octets: &[u8], wanted: u16) -> Option<&[u8]> {
    while let Some(head) = octets.first_chunk::<4>() {
        let length = usize::from(u16::from_ne_bytes([head[0], head[1]]));
        let kind = u16::from_ne_bytes([head[2], head[3]]) & 0x3fff;
        let value = octets.get(4..length)?;
        if kind == wanted {
            return Some(value);
        }
        octets = octets.get(length.next_multiple_of(4)..)?;
    }
    None
}

/// The body of an answer of the kind that was asked for.
fn body_of(answer: &[u8], wanted: u16) -> io::Result<&[u8]> {
    let header = answer.first_chunk::<HEADER>().ok_or_else(malformed)?;
    let octets = u32_of(header).unwrap_or(0) as usize;
    let body = answer.get(HEADER..octets).ok_or_else(malformed)?;
    match u16::from_ne_bytes([header[4], header[5]]) {
        kind if kind == wanted => Ok(body),
        NLMSG_ERROR => {
            let errno = u32_of(body).map_or(libc::EIO, |errno| (errno as i32).wrapping_neg());
            Err(io::Error::from_raw_os_error(errno))
        }
        _ => Err(malformed()),
    }
}

fn malformed() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

fn send(socket: &OwnedFd, octets: &[u8]) -> io::Result<usize> {
    // SAFETY: the kernel reads `octets.len()` octets from the slice.
    let sent = unsafe { libc::send(socket.as_raw_fd(), octets.as_ptr().cast(), octets.len(), 0) };
    check_length(sent)
}

fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> io::Result<usize> {
    let flags = libc::MSG_DONTWAIT;
    // SAFETY: the kernel writes at most `buffer.len()` octets to the buffer.
    let octets = unsafe {
        libc::recv(
            socket.as_raw_fd(),
            buffer.as_mut_ptr().cast(),
            buffer.len(),
            flags,
        )
    };
    check_length(octets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_loopback_is_large_and_answers_itself() {
        let routes = KernelRoutes::open(0).unwrap();
        for ip in ["127.0.0.1", "::1"] {
            let ip: IpAddr = ip.parse().unwrap();
            assert_eq!(routes.mtu(ip).unwrap(), 65_536);
            assert_eq!(routes.source(ip).unwrap(), ip);
            assert!(routes.is_local(ip).unwrap());
        }
    }

    #[test]
    fn every_next_hop_counts() {
        let mut hops = Vec::new();
        for index in [3u32, 9] {
            hops.extend([8, 0, 0, 0]);
            hops.extend(index.to_ne_bytes());
        }
        let mut route = Vec::new();
        put(&mut route, RTA_MULTIPATH, &hops);
        assert_eq!(devices(&route), [3, 9]);
    }

    #[test]
    fn an_error_of_the_kernel_is_that_error() {
        let mut answer = message(NLMSG_ERROR, &(-libc::ENETUNREACH).to_ne_bytes());
        assert_eq!(
            body_of(&answer, RTM_NEWROUTE).unwrap_err().raw_os_error(),
            Some(libc::ENETUNREACH)
        );
        answer.truncate(17);
        assert!(body_of(&answer, RTM_NEWROUTE).is_err());
    }

    proptest! {
        #[test]
        fn no_octets_panic(octets in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = (devices(&octets), body_of(&octets, RTM_NEWROUTE));
        }
    }
}
