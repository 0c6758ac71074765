//! IPv6 headers built anew. A raw IPv6 socket gives the payload alone; the header and the extension headers are in the control
//! messages, each header whole and all in their order (RFC 3542 section 6).

use std::io;
use std::net::IpAddr;
use std::os::fd::BorrowedFd;

use crate::device::{FRONT_OCTETS, ReceiveBatch, Received};
use crate::message::{Control, int};
use crate::mmsg;

/// Octets of control messages: the fixed ones, and extension headers of as many octets as fit before a packet.
const CONTROL_OCTETS: usize = 256 + FRONT_OCTETS;
/// The fixed header.
const HEADER: usize = 40;
const IPV6_FLOWINFO: libc::c_int = 11;

/// Numbers of the extension headers that the kernel tells of.
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const DESTINATION_OPTIONS: u8 = 60;

/// Receives whole IPv6 packets of `protocol`, the socket's own.
///
/// # Errors
/// What the kernel says, `WouldBlock` when there is nothing.
pub fn receive(
    socket: BorrowedFd<'_>,
    protocol: u8,
    batch: &mut ReceiveBatch,
) -> io::Result<usize> {
    mmsg::receive_behind::<CONTROL_OCTETS>(
        socket,
        batch,
        FRONT_OCTETS,
        |received, (control, length), front| rebuild(protocol, received, control, length, front),
    )
}

/// What the control messages say of the headers.
struct Told {
    flow: [u8; 4],
    hop_limit: u8,
    extensions: Vec<u8>,
    next_header: u8,
}

impl Told {
    fn read<const OCTETS: usize>(
        protocol: u8,
        control: &Control<OCTETS>,
        length: usize,
        traffic_class: u8,
    ) -> Self {
        let mut told = Self {
            flow: (u32::from(traffic_class) << 20).to_be_bytes(),
            hop_limit: 0,
            extensions: Vec::new(),
            next_header: protocol,
        };
        for (level, kind, value) in control.messages(length) {
            match (level, kind) {
                (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) => {
                    told.hop_limit = int(value, 0).map_or(0, |limit| limit as u8);
                }
                (libc::IPPROTO_IPV6, IPV6_FLOWINFO) => {
                    told.flow = value.first_chunk().copied().unwrap_or(told.flow);
                }
                (libc::IPPROTO_IPV6, libc::IPV6_HOPOPTS) => told.extend(HOP_BY_HOP, value),
                (libc::IPPROTO_IPV6, libc::IPV6_RTHDR) => told.extend(ROUTING, value),
                (libc::IPPROTO_IPV6, libc::IPV6_DSTOPTS) => told.extend(DESTINATION_OPTIONS, value),
                _ => {}
            }
        }
        told
    }

    /// Each extension header names the one behind it; only the first must be named by the fixed header.
    fn extend(&mut self, kind: u8, header: &[u8]) {
        if self.extensions.is_empty() {
            self.next_header = kind;
        }
        self.extensions.extend_from_slice(header);
    }
}

/// Writes the headers to the end of `front` and answers how many octets they have; None when they do not fit or would lie.
fn rebuild<const OCTETS: usize>(
    protocol: u8,
    received: &Received,
    control: &Control<OCTETS>,
    length: usize,
    front: &mut [u8],
) -> Option<usize> {
    let (IpAddr::V6(source), IpAddr::V6(destination)) = (received.remote.ip(), received.local)
    else {
        return None;
    };
    let told = Told::read(protocol, control, length, received.traffic_class);
    let headers = HEADER + told.extensions.len();
    let payload = u16::try_from(told.extensions.len() + received.octets).ok()?;
    let start = front.len().checked_sub(headers)?;
    let (fixed, extensions) = front[start..].split_at_mut(HEADER);
    fixed[..4].copy_from_slice(&told.flow);
    fixed[0] = 0x60 | fixed[0] & 15;
    fixed[4..6].copy_from_slice(&payload.to_be_bytes());
    fixed[6..8].copy_from_slice(&[told.next_header, told.hop_limit]);
    fixed[8..24].copy_from_slice(&source.octets());
    fixed[24..].copy_from_slice(&destination.octets());
    extensions.copy_from_slice(&told.extensions);
    Some(headers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn received(octets: usize) -> Received {
        Received {
            local: "2001:db8::2".parse().unwrap(),
            remote: "[2001:db8::1]:0".parse().unwrap(),
            traffic_class: 0x12,
            segment_octets: octets,
            octets,
        }
    }

    fn messages(all: &[(i32, &[u8])]) -> (Control<256>, usize) {
        let (mut control, mut used) = (Control::<256>::EMPTY, 0);
        for (kind, value) in all {
            let end = used + 16 + value.len();
            control.0[used..used + 8].copy_from_slice(&(16 + value.len()).to_ne_bytes());
            control.0[used + 8..used + 12].copy_from_slice(&libc::IPPROTO_IPV6.to_ne_bytes());
            control.0[used + 12..used + 16].copy_from_slice(&kind.to_ne_bytes());
            control.0[used + 16..end].copy_from_slice(value);
            used = end.next_multiple_of(8);
        }
        (control, used)
    }

    #[test]
    fn the_headers_come_back_in_their_order() {
        let hop_by_hop = [43, 0, 1, 4, 0, 0, 0, 0];
        let routing = [60, 0, 4, 0, 0, 0, 0, 0];
        let options = [51, 0, 1, 4, 0, 0, 0, 0];
        let (control, length) = messages(&[
            (libc::IPV6_HOPLIMIT, &61i32.to_ne_bytes()),
            (IPV6_FLOWINFO, &[1, 0x2a, 0xbc, 0xde]),
            (libc::IPV6_HOPOPTS, &hop_by_hop),
            (libc::IPV6_RTHDR, &routing),
            (libc::IPV6_DSTOPTS, &options),
        ]);
        let mut front = [0xff; FRONT_OCTETS];
        let octets = rebuild(51, &received(100), &control, length, &mut front).unwrap();
        let header = &front[FRONT_OCTETS - octets..];
        assert_eq!(octets, 40 + 24);
        assert_eq!(header[..8], [0x61, 0x2a, 0xbc, 0xde, 0, 124, 0, 61]);
        assert_eq!(header[40..], [hop_by_hop, routing, options].concat());
    }

    #[test]
    fn without_extensions_the_protocol_follows() {
        let (control, length) = messages(&[(libc::IPV6_HOPLIMIT, &7i32.to_ne_bytes())]);
        let mut front = [0; FRONT_OCTETS];
        assert_eq!(
            rebuild(50, &received(8), &control, length, &mut front),
            Some(40)
        );
        assert_eq!(
            front[FRONT_OCTETS - 40..][..8],
            [0x61, 0x20, 0, 0, 0, 8, 50, 7]
        );
    }

    proptest! {
        #[test]
        fn no_control_octets_panic(octets in proptest::collection::vec(any::<u8>(), 256), length in 0usize..300) {
            let control = Control::<256>(octets.try_into().unwrap());
            rebuild(50, &received(9), &control, length, &mut [0; 64]);
        }
    }
}
