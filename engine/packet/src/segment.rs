//! Cutting what a TUN with segmentation offload gives into packets, each written straight to where ESP encrypts it.

use crate::checksum;
use crate::ip::{Fragment, Headers, protocol, u16_at};
use crate::reason::Drop;
use crate::tcp;
use crate::virtio::{
    GSO_ECN, GSO_NONE, GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4, NEEDS_CHECKSUM, VirtioHeader,
};

const UDP_HEADER: usize = 8;
const UDP_CHECKSUM: usize = 6;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Upper {
    Tcp,
    Udp,
}

#[derive(Clone, Copy, Debug)]
enum Plan {
    /// One packet; the checksum to complete, as start and place.
    Whole(Option<(usize, usize)>),
    /// Several: octets of headers, octets of payload in each.
    Cut {
        upper: Upper,
        header: usize,
        size: usize,
    },
}

/// One read of a TUN, judged: one packet or several.
#[derive(Clone, Copy, Debug)]
pub struct Segments<'a> {
    packet: &'a [u8],
    headers: Headers,
    plan: Plan,
}

impl<'a> Segments<'a> {
    /// Judge a packet by its header of the TUN.
    ///
    /// Errors: `Truncated`, `Malformed` (the packet), `UnsupportedOffload` (the two contradict each other).
    pub fn new(virtio: &VirtioHeader, packet: &'a [u8]) -> Result<Segments<'a>, Drop> {
        let headers = Headers::parse(packet)?;
        let plan = match virtio.gso_type & !GSO_ECN {
            GSO_NONE => plan_whole(virtio, &headers),
            _ if headers.length == packet.len() => plan_cut(virtio, &headers, packet),
            _ => None,
        };
        let plan = plan.ok_or(Drop::UnsupportedOffload)?;
        Ok(Segments {
            packet: &packet[..headers.length],
            headers,
            plan,
        })
    }

    /// The headers of all of them; `length` is that of the uncut packet.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// How many packets; at least one.
    pub fn count(&self) -> usize {
        match self.plan {
            Plan::Whole(_) => 1,
            Plan::Cut { header, size, .. } => (self.packet.len() - header).div_ceil(size).max(1),
        }
    }

    /// Octets of a packet by its number from 0, less than `count`.
    pub fn length(&self, number: usize) -> usize {
        match self.plan {
            Plan::Whole(_) => self.packet.len(),
            Plan::Cut { header, size, .. } => {
                (self.packet.len() - number * size).min(header + size)
            }
        }
    }

    /// Write a packet by its number from 0, less than `count`, and answer its length.
    ///
    /// Panics if `out` is shorter than `length(number)`.
    pub fn write(&self, number: usize, out: &mut [u8]) -> usize {
        let out = &mut out[..self.length(number)];
        match self.plan {
            Plan::Whole(partial) => {
                out.copy_from_slice(self.packet);
                if let Some((start, place)) = partial {
                    complete(out, start, place, self.headers.protocol == protocol::UDP);
                }
            }
            Plan::Cut {
                upper,
                header,
                size,
            } => {
                let from = header + number * size;
                let (head, payload) = out.split_at_mut(header);
                head.copy_from_slice(&self.packet[..header]);
                payload.copy_from_slice(&self.packet[from..from + payload.len()]);
                self.patch(number, upper, size, out);
            }
        }
        out.len()
    }

    /// Make the copied headers those of one packet.
    fn patch(&self, number: usize, upper: Upper, size: usize, out: &mut [u8]) {
        let transport = self.headers.transport;
        patch_ip(out, transport, number);
        let (whole, part) = (
            (self.packet.len() - transport) as u16,
            (out.len() - transport) as u16,
        );
        let segment = &mut out[transport..];
        let place = match upper {
            Upper::Tcp => {
                self.patch_tcp(number, size, segment);
                tcp::CHECKSUM
            }
            Upper::Udp => {
                segment[4..6].copy_from_slice(&part.to_be_bytes());
                UDP_CHECKSUM
            }
        };
        // The partial checksum covers the pseudo-header with the length of the whole; put the part's in its place.
        let partial =
            checksum::fold(u64::from(u16_at(segment, place)) + u64::from(!whole) + u64::from(part));
        segment[place..place + 2].copy_from_slice(&partial.to_be_bytes());
        complete(out, transport, transport + place, upper == Upper::Udp);
    }

    /// Sequence number and flags: FIN and PSH belong to the last segment, CWR to the first (RFC 3168 section 6.1.2).
    fn patch_tcp(&self, number: usize, size: usize, segment: &mut [u8]) {
        tcp::set_sequence(
            segment,
            tcp::sequence(segment).wrapping_add((number * size) as u32),
        );
        let mut flags = tcp::flags(segment);
        if number > 0 {
            flags &= !tcp::CWR;
        }
        if number + 1 < self.count() {
            flags &= !(tcp::FIN | tcp::PSH);
        }
        tcp::set_flags(segment, flags);
    }
}

fn plan_whole(virtio: &VirtioHeader, headers: &Headers) -> Option<Plan> {
    if virtio.flags & NEEDS_CHECKSUM == 0 {
        return Some(Plan::Whole(None));
    }
    let start = usize::from(virtio.checksum_start);
    let place = start + usize::from(virtio.checksum_offset);
    (place + 2 <= headers.length).then_some(Plan::Whole(Some((start, place))))
}

fn plan_cut(virtio: &VirtioHeader, headers: &Headers, packet: &[u8]) -> Option<Plan> {
    let upper = match (
        virtio.gso_type & !GSO_ECN,
        headers.is_ipv4(),
        headers.protocol,
    ) {
        (GSO_TCPV4, true, protocol::TCP) | (GSO_TCPV6, false, protocol::TCP) => Upper::Tcp,
        (GSO_UDP_L4, _, protocol::UDP) => Upper::Udp,
        _ => return None,
    };
    let segment = &packet[headers.transport..];
    let (own, place) = match upper {
        Upper::Tcp => (tcp::header_length(segment)?, tcp::CHECKSUM),
        Upper::Udp => (
            (segment.len() >= UDP_HEADER).then_some(UDP_HEADER)?,
            UDP_CHECKSUM,
        ),
    };
    let agreed = virtio.flags & NEEDS_CHECKSUM != 0
        && usize::from(virtio.checksum_start) == headers.transport
        && usize::from(virtio.checksum_offset) == place
        && virtio.gso_size > 0
        && headers.fragment == Fragment::Whole;
    agreed.then_some(Plan::Cut {
        upper,
        header: headers.transport + own,
        size: virtio.gso_size.into(),
    })
}

/// Length, and for IPv4 identification and checksum.
fn patch_ip(out: &mut [u8], transport: usize, number: usize) {
    if out[0] >> 4 == 6 {
        let payload = (out.len() - crate::ip::IPV6_HEADER) as u16;
        out[4..6].copy_from_slice(&payload.to_be_bytes());
        return;
    }
    let length = out.len() as u16;
    out[2..4].copy_from_slice(&length.to_be_bytes());
    let identification = u16_at(out, 4).wrapping_add(number as u16);
    out[4..6].copy_from_slice(&identification.to_be_bytes());
    checksum::write_ipv4(out, transport);
}

/// Complete a checksum whose place holds the sum of the pseudo-header. UDP writes ones for zero (RFC 768).
fn complete(packet: &mut [u8], start: usize, place: usize, udp: bool) {
    let value = match checksum::checksum(&packet[start..]) {
        0 if udp => 0xffff,
        value => value,
    };
    packet[place..place + 2].copy_from_slice(&value.to_be_bytes());
}

#[cfg(test)]
mod tests;
