//! Cutting a whole packet for a path: IPv4 without the don't fragment flag (RFC 791 section 3.2), and IPv6 that we
//! originate (RFC 8200 section 4.5). Nothing is put together here: the host does that before packets come to us.

use crate::checksum;
use crate::headers::{Front, must_not_be_fragmented};
use crate::ip::{Headers, IPV4_HEADER, protocol, u16_at};
use crate::limits::MAX_PACKET_OCTETS;
use crate::options::Options;
use crate::reason::Drop;

/// The least MTU of IPv4 (RFC 791 section 3.2): a packet gives at most 8,188 fragments.
pub const MIN_MTU_IPV4: usize = 68;
/// The least MTU of IPv6 (RFC 8200 section 5).
pub const MIN_MTU_IPV6: usize = 1_280;

const MORE_FRAGMENTS_IPV4: u16 = 0x2000;
const OFFSET_IPV4: u16 = 0x1fff;
const FRAGMENT_HEADER: usize = 8;
const MAX_IPV4_HEADER: usize = 60;
const OPTION_COPIED: u8 = 0x80;

/// A packet and where it is cut.
#[derive(Clone, Debug)]
pub struct Fragments<'a> {
    packet: &'a [u8],
    front: Front,
    /// Octets of payload in each but the last, a multiple of 8.
    size: usize,
    plan: Plan,
}

#[derive(Clone, Debug)]
enum Plan {
    Whole,
    Ipv4 {
        identification: u16,
        /// Where the payload lies in what this packet may itself be a fragment of.
        base: usize,
        more: bool,
        later: LaterHeader,
    },
    Ipv6 {
        identification: u32,
    },
}

impl<'a> Fragments<'a> {
    /// Plan the cuts of a packet for a path of `mtu` octets. What fits stays whole.
    ///
    /// `identification`: of the IPv6 fragments; its low half for IPv4 whose own is 0. Errors: `TooBig` for a packet that must
    /// not be fragmented, or an MTU below the least of its family; `Fragment` for IPv6 that is one already; `Truncated`,
    /// `Malformed`.
    pub fn new(packet: &'a [u8], mtu: usize, identification: u32) -> Result<Fragments<'a>, Drop> {
        let headers = Headers::parse(packet)?;
        let packet = &packet[..headers.length];
        if packet.len() <= mtu {
            return Ok(Fragments::whole(packet));
        }
        match headers.is_ipv4() {
            true => Fragments::ipv4(packet, &headers, mtu, identification as u16),
            false => Fragments::ipv6(packet, &headers, mtu, identification),
        }
    }

    fn whole(packet: &'a [u8]) -> Fragments<'a> {
        let front = Front {
            end: 0,
            next_header_at: 0,
            length: packet.len(),
        };
        Fragments {
            packet,
            front,
            size: packet.len(),
            plan: Plan::Whole,
        }
    }

    fn ipv4(
        packet: &'a [u8],
        headers: &Headers,
        mtu: usize,
        identification: u16,
    ) -> Result<Fragments<'a>, Drop> {
        if must_not_be_fragmented(packet) || mtu < MIN_MTU_IPV4 {
            return Err(Drop::TooBig);
        }
        let (header, field) = (headers.transport, u16_at(packet, 6));
        let base = usize::from(field & OFFSET_IPV4) * 8;
        if base + packet.len() > MAX_PACKET_OCTETS {
            return Err(Drop::Malformed);
        }
        let own = u16_at(packet, 4);
        Ok(Fragments {
            packet,
            front: Front {
                end: header,
                next_header_at: 9,
                length: packet.len(),
            },
            size: (mtu - header) & !7,
            plan: Plan::Ipv4 {
                identification: if own == 0 { identification } else { own },
                base,
                more: field & MORE_FRAGMENTS_IPV4 != 0,
                later: LaterHeader::of(&packet[..header])?,
            },
        })
    }

    fn ipv6(
        packet: &'a [u8],
        headers: &Headers,
        mtu: usize,
        identification: u32,
    ) -> Result<Fragments<'a>, Drop> {
        let front = Front::unfragmentable(packet)?;
        if mtu < MIN_MTU_IPV6 {
            return Err(Drop::TooBig);
        }
        let room = mtu
            .checked_sub(front.end + FRAGMENT_HEADER)
            .ok_or(Drop::TooBig)?;
        let size = room & !7;
        // All headers belong in the first fragment (RFC 8200 section 4.5).
        if size == 0 || headers.transport - front.end > size {
            return Err(Drop::TooBig);
        }
        Ok(Fragments {
            packet,
            front,
            size,
            plan: Plan::Ipv6 { identification },
        })
    }

    /// How many there are; 1: the packet as it was.
    pub fn count(&self) -> usize {
        (self.packet.len() - self.front.end).div_ceil(self.size)
    }

    /// Make `out` the fragment with a number from 0, less than `count`.
    pub fn write(&self, number: usize, out: &mut Vec<u8>) {
        out.clear();
        let start = number * self.size;
        let payload = &self.packet[self.front.end..];
        let part = &payload[start..payload.len().min(start + self.size)];
        let last = start + part.len() == payload.len();
        match &self.plan {
            Plan::Whole => out.extend(part),
            Plan::Ipv4 {
                identification,
                base,
                more,
                later,
            } => {
                let field = ((base + start) / 8) as u16
                    | if *more || !last {
                        MORE_FRAGMENTS_IPV4
                    } else {
                        0
                    };
                match number {
                    0 => out.extend(&self.packet[..self.front.end]),
                    _ => out.extend(later.octets()),
                }
                finish_ipv4(out, *identification, field, part);
            }
            Plan::Ipv6 { identification } => {
                self.write_ipv6(start as u16 | u16::from(!last), *identification, part, out);
            }
        }
    }

    /// `field`: the offset in octets, a multiple of 8, and the more flag in its low bit.
    fn write_ipv6(&self, field: u16, identification: u32, part: &[u8], out: &mut Vec<u8>) {
        out.extend(&self.packet[..self.front.end]);
        out.extend([self.front.protocol(self.packet), 0]);
        out.extend(field.to_be_bytes());
        out.extend(identification.to_be_bytes());
        out.extend(part);
        // Cannot fail: a fragment is shorter than the packet was.
        let _ = self.front.amend(out, protocol::FRAGMENT);
    }
}

/// `out` holds the header.
fn finish_ipv4(out: &mut Vec<u8>, identification: u16, field: u16, part: &[u8]) {
    let header = out.len();
    out.extend(part);
    let length = out.len() as u16;
    out[2..4].copy_from_slice(&length.to_be_bytes());
    out[4..6].copy_from_slice(&identification.to_be_bytes());
    out[6..8].copy_from_slice(&field.to_be_bytes());
    checksum::write_ipv4(out, header);
}

/// The IPv4 header of all fragments but the first: only options with the copied flag (RFC 791 section 3.1).
#[derive(Clone, Debug)]
struct LaterHeader {
    octets: [u8; MAX_IPV4_HEADER],
    length: usize,
}

impl LaterHeader {
    fn of(header: &[u8]) -> Result<LaterHeader, Drop> {
        let mut later = LaterHeader {
            octets: [0; MAX_IPV4_HEADER],
            length: 0,
        };
        later.push(&header[..IPV4_HEADER]);
        for option in Options::of(header) {
            let option = option?;
            if header[option.start] & OPTION_COPIED != 0 {
                later.push(&header[option]);
            }
        }
        // The rest of the last word is 0, the end of the options, already.
        later.length = later.length.next_multiple_of(4);
        later.octets[0] = 0x40 | (later.length / 4) as u8;
        Ok(later)
    }

    fn push(&mut self, octets: &[u8]) {
        self.octets[self.length..][..octets.len()].copy_from_slice(octets);
        self.length += octets.len();
    }

    fn octets(&self) -> &[u8] {
        &self.octets[..self.length]
    }
}

#[cfg(test)]
mod tests;
