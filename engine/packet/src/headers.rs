//! Writing IP headers, and the way through those that are there: where a security protocol or a fragment header goes
//! (RFC 791, RFC 8200 section 4, RFC 4302 section 3.1.1, RFC 4303 section 3.1.1).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::checksum;
use crate::ip::{IPV4_HEADER, IPV6_HEADER, protocol, u16_at};
use crate::limits::{MAX_EXTENSION_HEADERS, MAX_PACKET_OCTETS};
use crate::reason::Drop;

/// The hop limit of headers that tunnel mode writes (RFC 4301 section 5.1.2 leaves it to us).
pub const HOP_LIMIT: u8 = 64;

const PROTOCOL_AT_IPV4: usize = 9;
const PROTOCOL_AT_IPV6: usize = 6;
const DONT_FRAGMENT: u8 = 0x40;

/// Source and destination of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pair {
    /// IPv4.
    V4 {
        /// Source.
        source: Ipv4Addr,
        /// Destination.
        destination: Ipv4Addr,
    },
    /// IPv6.
    V6 {
        /// Source.
        source: Ipv6Addr,
        /// Destination.
        destination: Ipv6Addr,
    },
}

impl Pair {
    /// None for addresses of different families.
    pub fn new(source: IpAddr, destination: IpAddr) -> Option<Pair> {
        match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => Some(Pair::V4 {
                source,
                destination,
            }),
            (IpAddr::V6(source), IpAddr::V6(destination)) => Some(Pair::V6 {
                source,
                destination,
            }),
            _ => None,
        }
    }

    /// Source.
    pub fn source(&self) -> IpAddr {
        match *self {
            Pair::V4 { source, .. } => source.into(),
            Pair::V6 { source, .. } => source.into(),
        }
    }

    /// Destination.
    pub fn destination(&self) -> IpAddr {
        match *self {
            Pair::V4 { destination, .. } => destination.into(),
            Pair::V6 { destination, .. } => destination.into(),
        }
    }

    /// Octets of a header between them, without options.
    pub fn header_octets(&self) -> usize {
        match self {
            Pair::V4 { .. } => IPV4_HEADER,
            Pair::V6 { .. } => IPV6_HEADER,
        }
    }
}

/// What becomes of the don't fragment flag in an outer IPv4 header (RFC 4301 section 8.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DontFragment {
    /// As the inner packet has it; IPv6, which routers never fragment, counts as set.
    #[default]
    Copy,
    /// Always.
    Set,
    /// Never.
    Clear,
}

impl DontFragment {
    /// The outer flag for an inner packet whose header was judged.
    pub fn over(self, inner: &[u8]) -> bool {
        match self {
            DontFragment::Copy => must_not_be_fragmented(inner),
            DontFragment::Set => true,
            DontFragment::Clear => false,
        }
    }
}

/// Whether routers must not fragment a packet whose header was judged.
pub fn must_not_be_fragmented(packet: &[u8]) -> bool {
    packet[0] >> 4 == 6 || packet[6] & DONT_FRAGMENT != 0
}

/// A header without options or extension headers, to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outer {
    /// From where to where.
    pub pair: Pair,
    /// Type of service or traffic class.
    pub tos: u8,
    /// Time to live or hop limit.
    pub hop_limit: u8,
    /// Only IPv4 has it.
    pub dont_fragment: bool,
    /// Only IPv4 has it. A raw socket replaces 0, which AH cannot bear.
    pub identification: u16,
}

impl Outer {
    /// Make `out` the header of a packet that goes on with `payload` octets of `protocol`; the caller appends them.
    ///
    /// Errors: `TooBig` for more than a length field can say.
    pub fn begin(&self, protocol: u8, payload: usize, out: &mut Vec<u8>) -> Result<(), Drop> {
        let length = self.pair.header_octets().saturating_add(payload);
        if length > MAX_PACKET_OCTETS {
            return Err(Drop::TooBig);
        }
        out.clear();
        match self.pair {
            Pair::V4 {
                source,
                destination,
            } => self.begin_ipv4(source, destination, protocol, length, out),
            Pair::V6 {
                source,
                destination,
            } => self.begin_ipv6(source, destination, protocol, payload, out),
        }
        Ok(())
    }

    fn begin_ipv4(
        &self,
        source: Ipv4Addr,
        destination: Ipv4Addr,
        protocol: u8,
        length: usize,
        out: &mut Vec<u8>,
    ) {
        let flags = if self.dont_fragment { DONT_FRAGMENT } else { 0 };
        out.extend([0x45, self.tos]);
        out.extend((length as u16).to_be_bytes());
        out.extend(self.identification.to_be_bytes());
        out.extend([flags, 0, self.hop_limit, protocol, 0, 0]);
        out.extend(source.octets());
        out.extend(destination.octets());
        checksum::write_ipv4(out, IPV4_HEADER);
    }

    fn begin_ipv6(
        &self,
        source: Ipv6Addr,
        destination: Ipv6Addr,
        protocol: u8,
        payload: usize,
        out: &mut Vec<u8>,
    ) {
        out.extend([0x60 | self.tos >> 4, self.tos << 4, 0, 0]);
        out.extend((payload as u16).to_be_bytes());
        out.extend([protocol, self.hop_limit]);
        out.extend(source.octets());
        out.extend(destination.octets());
    }
}

/// The headers in front of something, in a packet that was judged as far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Front {
    /// Octets of them.
    pub end: usize,
    /// Where the last of them names what follows.
    pub next_header_at: usize,
    /// Octets of the whole packet by its own header.
    pub length: usize,
}

impl Front {
    /// All headers before the upper layer (or ESP, or AH) of a packet that is whole.
    ///
    /// Errors: `Truncated`, `Malformed`, `Fragment`.
    pub fn before_upper(packet: &[u8]) -> Result<Front, Drop> {
        Front::up_to(packet, |_| true)
    }

    /// The headers that each hop needs, and so the place for a security protocol in transport mode or for a fragment
    /// header: in IPv6 behind hop-by-hop options, routing header, and destination options for the hops of the latter. All
    /// extension headers are judged: what follows is no fragment either.
    ///
    /// Errors: `Truncated`, `Malformed`, `Fragment` for what is a fragment already.
    pub fn unfragmentable(packet: &[u8]) -> Result<Front, Drop> {
        Front::up_to(packet, |protocol| protocol != protocol::DESTINATION_OPTIONS)
    }

    /// The front that ends with the last extension header of a kind that counts.
    fn up_to(packet: &[u8], counts: impl Fn(u8) -> bool) -> Result<Front, Drop> {
        let (mut front, ipv6) = Front::fixed(packet)?;
        if !ipv6 {
            return match u16_at(packet, 6) & 0x3fff {
                0 => Ok(front),
                _ => Err(Drop::Fragment),
            };
        }
        for extension in Extensions::of(&packet[..front.length]) {
            let extension = extension?;
            if extension.protocol == protocol::FRAGMENT {
                return Err(Drop::Fragment);
            }
            if counts(extension.protocol) {
                front.end = extension.end;
                front.next_header_at = extension.start;
            }
        }
        Ok(front)
    }

    /// The header without extension headers, judged, and whether it is IPv6.
    fn fixed(packet: &[u8]) -> Result<(Front, bool), Drop> {
        let version = packet.first().ok_or(Drop::Truncated)? >> 4;
        let (least, ipv6) = match version {
            4 => (IPV4_HEADER, false),
            6 => (IPV6_HEADER, true),
            _ => return Err(Drop::Malformed),
        };
        if packet.len() < least {
            return Err(Drop::Truncated);
        }
        let front = match ipv6 {
            true => Front {
                end: IPV6_HEADER,
                next_header_at: PROTOCOL_AT_IPV6,
                length: IPV6_HEADER + usize::from(u16_at(packet, 4)),
            },
            false => Front {
                end: usize::from(packet[0] & 15) * 4,
                next_header_at: PROTOCOL_AT_IPV4,
                length: usize::from(u16_at(packet, 2)),
            },
        };
        if front.end < least || front.length < front.end || front.length > MAX_PACKET_OCTETS {
            return Err(Drop::Malformed);
        }
        if front.length > packet.len() {
            return Err(Drop::Truncated);
        }
        Ok((front, ipv6))
    }

    /// What follows these headers.
    pub fn protocol(&self, packet: &[u8]) -> u8 {
        packet[self.next_header_at]
    }

    /// Make these headers, which begin `packet`, those of all its octets, followed by `protocol`: next header, length and
    /// checksum.
    ///
    /// Errors: `TooBig` for more octets than the length field can say.
    pub fn amend(&self, packet: &mut [u8], protocol: u8) -> Result<(), Drop> {
        if packet.len() > MAX_PACKET_OCTETS {
            return Err(Drop::TooBig);
        }
        packet[self.next_header_at] = protocol;
        if packet[0] >> 4 == 6 {
            let payload = (packet.len() - IPV6_HEADER) as u16;
            packet[4..6].copy_from_slice(&payload.to_be_bytes());
        } else {
            let length = packet.len() as u16;
            packet[2..4].copy_from_slice(&length.to_be_bytes());
            checksum::write_ipv4(packet, self.end);
        }
        Ok(())
    }
}

/// One extension header of IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extension {
    /// Which one.
    pub(crate) protocol: u8,
    /// Where it begins; its first octet names what follows.
    pub(crate) start: usize,
    /// Where it ends.
    pub(crate) end: usize,
}

/// The extension headers of an IPv6 packet in order, up to the first that it does not know: the upper layer, ESP or AH.
pub(crate) struct Extensions<'a> {
    packet: &'a [u8],
    protocol: u8,
    offset: usize,
    left: usize,
}

impl<'a> Extensions<'a> {
    /// `packet`: with an IPv6 header, and no octet behind its end.
    pub(crate) fn of(packet: &'a [u8]) -> Extensions<'a> {
        Extensions {
            packet,
            protocol: packet[PROTOCOL_AT_IPV6],
            offset: IPV6_HEADER,
            left: MAX_EXTENSION_HEADERS,
        }
    }

    fn judge(&mut self) -> Result<Extension, Drop> {
        self.left = self.left.checked_sub(1).ok_or(Drop::Malformed)?;
        let start = self.offset;
        let header = self.packet.get(start..start + 8).ok_or(Drop::Truncated)?;
        let units = match self.protocol {
            protocol::FRAGMENT => 0,
            _ => usize::from(header[1]),
        };
        let (protocol, end) = (self.protocol, start + 8 + units * 8);
        if end > self.packet.len() {
            return Err(Drop::Truncated);
        }
        (self.protocol, self.offset) = (header[0], end);
        Ok(Extension {
            protocol,
            start,
            end,
        })
    }
}

impl Iterator for Extensions<'_> {
    type Item = Result<Extension, Drop>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.protocol {
            protocol::HOP_BY_HOP
            | protocol::ROUTING
            | protocol::DESTINATION_OPTIONS
            | protocol::FRAGMENT => {}
            _ => return None,
        }
        let extension = self.judge();
        if extension.is_err() {
            // Nothing behind what cannot be read.
            self.protocol = protocol::NONE;
        }
        Some(extension)
    }
}

#[cfg(test)]
mod tests;
