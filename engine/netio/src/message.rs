//! Socket addresses and control messages as octets, in the layout that the kernel wants (`struct sockaddr_in`, `_in6`, `cmsghdr`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use crate::device::{Received, Transmit};

const WORD: usize = size_of::<usize>();
/// `struct cmsghdr`: a length of one word, level and type of four octets each.
const CONTROL_HEADER: usize = WORD + 8;
const FAMILY_V4: u16 = libc::AF_INET as u16;
const FAMILY_V6: u16 = libc::AF_INET6 as u16;

/// Room for one `sockaddr_in` or `sockaddr_in6`.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub struct Address(pub [u8; 28]);

impl Address {
    pub const EMPTY: Self = Self([0; 28]);

    /// The address as the kernel wants it, and how many octets of it count.
    pub fn emit(address: &SocketAddr) -> (Self, usize) {
        let mut octets = [0; 28];
        octets[2..4].copy_from_slice(&address.port().to_be_bytes());
        match address {
            SocketAddr::V4(v4) => {
                octets[..2].copy_from_slice(&FAMILY_V4.to_ne_bytes());
                octets[4..8].copy_from_slice(&v4.ip().octets());
                (Self(octets), 16)
            }
            SocketAddr::V6(v6) => {
                octets[..2].copy_from_slice(&FAMILY_V6.to_ne_bytes());
                octets[8..24].copy_from_slice(&v6.ip().octets());
                octets[24..28].copy_from_slice(&v6.scope_id().to_ne_bytes());
                (Self(octets), 28)
            }
        }
    }

    /// The address that the kernel wrote, none if it is of no family that we know.
    pub fn parse(&self) -> Option<SocketAddr> {
        let octets = &self.0;
        let port = u16::from_be_bytes([octets[2], octets[3]]);
        match u16::from_ne_bytes([octets[0], octets[1]]) {
            FAMILY_V4 => Some(SocketAddr::new(v4(octets, 4)?.into(), port)),
            FAMILY_V6 => {
                let scope = u32::from_ne_bytes(octets[24..28].try_into().ok()?);
                Some(SocketAddrV6::new(v6(octets, 8)?, port, 0, scope).into())
            }
            _ => None,
        }
    }
}

/// Octets of control messages that every datagram has room for.
pub const CONTROL_OCTETS: usize = 128;

/// Room for the control messages of one datagram.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub struct Control<const OCTETS: usize>(pub [u8; OCTETS]);

impl<const OCTETS: usize> Control<OCTETS> {
    pub const EMPTY: Self = Self([0; OCTETS]);

    /// What the kernel wrote in the first `length` octets: level, kind and value of each message.
    pub fn messages(&self, length: usize) -> impl Iterator<Item = (i32, i32, &[u8])> {
        let mut rest = &self.0[..length.min(self.0.len())];
        std::iter::from_fn(move || {
            let (head, _) = rest.split_at_checked(CONTROL_HEADER)?;
            let octets = usize::from_ne_bytes(head[..WORD].try_into().ok()?);
            let value = rest.get(CONTROL_HEADER..octets)?;
            rest = rest.get(octets.next_multiple_of(WORD)..).unwrap_or(&[]);
            Some((int(head, WORD)?, int(head, WORD + 4)?, value))
        })
    }

    /// Reads what the kernel wrote in the first `length` octets into `received`.
    pub fn parse(&self, length: usize, received: &mut Received) {
        for (level, kind, value) in self.messages(length) {
            apply(level, kind, value, received);
        }
    }
}

impl Control<CONTROL_OCTETS> {
    /// The control messages that a datagram needs on its way out, and their octets.
    pub fn emit(transmit: &Transmit<'_>) -> (Self, usize) {
        let mut control = Self::EMPTY;
        let mut used = 0;
        let class = i32::from(transmit.traffic_class).to_ne_bytes();
        match transmit.remote {
            SocketAddr::V4(_) => control.push(&mut used, libc::IPPROTO_IP, libc::IP_TOS, &class),
            SocketAddr::V6(_) => {
                control.push(&mut used, libc::IPPROTO_IPV6, libc::IPV6_TCLASS, &class)
            }
        }
        control.push_source(&mut used, transmit);
        if let Some(octets) = transmit.segment_octets {
            control.push(
                &mut used,
                libc::SOL_UDP,
                libc::UDP_SEGMENT,
                &octets.to_ne_bytes(),
            );
        }
        (control, used)
    }

    /// `in_pktinfo` (index, address, address) or `in6_pktinfo` (address, index).
    fn push_source(&mut self, used: &mut usize, transmit: &Transmit<'_>) {
        match (transmit.local, transmit.remote) {
            (Some(IpAddr::V4(local)), SocketAddr::V4(_)) if !local.is_unspecified() => {
                let mut info = [0; 12];
                info[4..8].copy_from_slice(&local.octets());
                self.push(used, libc::IPPROTO_IP, libc::IP_PKTINFO, &info);
            }
            (Some(IpAddr::V6(local)), SocketAddr::V6(remote)) if !local.is_unspecified() => {
                let mut info = [0; 20];
                info[..16].copy_from_slice(&local.octets());
                info[16..].copy_from_slice(&remote.scope_id().to_ne_bytes());
                self.push(used, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info);
            }
            _ => {}
        }
    }

    fn push(&mut self, used: &mut usize, level: i32, kind: i32, value: &[u8]) {
        let at = *used;
        let end = at + CONTROL_HEADER + value.len();
        self.0[at..at + WORD].copy_from_slice(&(CONTROL_HEADER + value.len()).to_ne_bytes());
        self.0[at + WORD..at + WORD + 4].copy_from_slice(&level.to_ne_bytes());
        self.0[at + WORD + 4..at + CONTROL_HEADER].copy_from_slice(&kind.to_ne_bytes());
        self.0[at + CONTROL_HEADER..end].copy_from_slice(value);
        *used = end.next_multiple_of(WORD);
    }
}

fn apply(level: i32, kind: i32, value: &[u8], received: &mut Received) {
    match (level, kind) {
        (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
            // ipi_addr, the destination in the header; ipi_spec_dst may be another of ours.
            received.local = v4(value, 8).map_or(received.local, IpAddr::V4);
        }
        (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
            received.local = v6(value, 0).map_or(received.local, IpAddr::V6);
        }
        (libc::IPPROTO_IP, libc::IP_TOS) => {
            received.traffic_class = value.first().copied().unwrap_or(0);
        }
        (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => {
            received.traffic_class = int(value, 0).map_or(0, |class| class as u8);
        }
        (libc::SOL_UDP, libc::UDP_GRO) => {
            received.segment_octets = int(value, 0)
                .and_then(|octets| usize::try_from(octets).ok())
                .unwrap_or(0);
        }
        _ => {}
    }
}

pub fn int(octets: &[u8], at: usize) -> Option<i32> {
    octets
        .get(at..at + 4)?
        .try_into()
        .ok()
        .map(i32::from_ne_bytes)
}

fn v4(octets: &[u8], at: usize) -> Option<Ipv4Addr> {
    Some(Ipv4Addr::from(
        <[u8; 4]>::try_from(octets.get(at..at + 4)?).ok()?,
    ))
}

fn v6(octets: &[u8], at: usize) -> Option<Ipv6Addr> {
    Some(Ipv6Addr::from(
        <[u8; 16]>::try_from(octets.get(at..at + 16)?).ok()?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_address_comes_back(ip in any::<IpAddr>(), port in any::<u16>()) {
            let address = SocketAddr::new(ip, port);
            prop_assert_eq!(Address::emit(&address).0.parse(), Some(address));
        }

        #[test]
        fn no_control_octets_panic(octets in proptest::collection::vec(any::<u8>(), 128), length in 0usize..300) {
            let control = Control::<128>(octets.try_into().unwrap());
            control.parse(length, &mut Received::EMPTY.clone());
        }

        #[test]
        fn the_traffic_class_comes_back(class in any::<u8>(), local in any::<std::net::Ipv6Addr>()) {
            let remote = "[2001:db8::1]:4500".parse().unwrap();
            let transmit = Transmit {
                local: Some(local.into()), remote, traffic_class: class, segment_octets: None, octets: &[],
            };
            let (control, length) = Control::emit(&transmit);
            let mut received = Received::EMPTY;
            control.parse(length, &mut received);
            prop_assert_eq!(received.traffic_class, class);
            prop_assert!(local.is_unspecified() || received.local == IpAddr::V6(local));
        }
    }
}
