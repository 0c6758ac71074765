//! IPv4 and IPv6 headers judged once, at fixed offsets (RFC 791, RFC 8200).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::limits::{MAX_EXTENSION_HEADERS, MAX_PACKET_OCTETS};
use crate::reason::Drop;

/// IANA protocol numbers that this crate speaks of.
pub mod protocol {
    /// Hop-by-hop options of IPv6.
    pub const HOP_BY_HOP: u8 = 0;
    /// ICMP.
    pub const ICMP: u8 = 1;
    /// IPv4 inside of something.
    pub const IPV4: u8 = 4;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// DCCP.
    pub const DCCP: u8 = 33;
    /// IPv6 inside of something.
    pub const IPV6: u8 = 41;
    /// Routing header of IPv6.
    pub const ROUTING: u8 = 43;
    /// Fragment header of IPv6.
    pub const FRAGMENT: u8 = 44;
    /// ESP.
    pub const ESP: u8 = 50;
    /// AH.
    pub const AH: u8 = 51;
    /// ICMPv6.
    pub const ICMPV6: u8 = 58;
    /// No next header; inside ESP a dummy packet.
    pub const NONE: u8 = 59;
    /// Destination options of IPv6.
    pub const DESTINATION_OPTIONS: u8 = 60;
    /// SCTP.
    pub const SCTP: u8 = 132;
    /// UDP-Lite.
    pub const UDPLITE: u8 = 136;
}

/// The length of an IPv4 header without options.
pub const IPV4_HEADER: usize = 20;
/// The length of the fixed IPv6 header.
pub const IPV6_HEADER: usize = 40;

/// Which part of a packet this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fragment {
    /// A whole packet.
    Whole,
    /// The first fragment: it has ports.
    First,
    /// Any other fragment: it has none.
    Later,
}

/// What look-ups and checks need to know of a packet. Behind `parse` it cannot be malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headers {
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// The upper-layer protocol, after IPv6's extension headers.
    pub protocol: u8,
    /// Source and destination port; for ICMP its type and code, as XFRM has it. None where the packet does not show any.
    pub ports: Option<(u16, u16)>,
    /// Which part of a packet this is.
    pub fragment: Fragment,
    /// Type of service or traffic class: DSCP and ECN.
    pub tos: u8,
    /// Time to live or hop limit.
    pub hop_limit: u8,
    /// Offset of the upper-layer header, at most `length`.
    pub transport: usize,
    /// The packet's whole length in octets by its own header; what follows is not part of it.
    pub length: usize,
}

impl Headers {
    /// Judge the headers of a packet that may be longer than it says.
    ///
    /// Errors: `Truncated` when octets are missing, `Malformed` when the headers contradict each other.
    pub fn parse(packet: &[u8]) -> Result<Headers, Drop> {
        match packet.first().map(|octet| octet >> 4) {
            Some(4) => parse_ipv4(packet),
            Some(6) => parse_ipv6(packet),
            Some(_) => Err(Drop::Malformed),
            None => Err(Drop::Truncated),
        }
    }

    /// True for IPv4.
    pub fn is_ipv4(&self) -> bool {
        self.source.is_ipv4()
    }
}

/// Two octets at an offset that was judged before.
pub(crate) fn u16_at(packet: &[u8], offset: usize) -> u16 {
    u16::from_be_bytes([packet[offset], packet[offset + 1]])
}

/// Four octets at an offset that was judged before.
pub(crate) fn u32_at(packet: &[u8], offset: usize) -> u32 {
    u32::from_be_bytes([
        packet[offset],
        packet[offset + 1],
        packet[offset + 2],
        packet[offset + 3],
    ])
}

fn parse_ipv4(packet: &[u8]) -> Result<Headers, Drop> {
    if packet.len() < IPV4_HEADER {
        return Err(Drop::Truncated);
    }
    let header = usize::from(packet[0] & 15) * 4;
    let length = usize::from(u16_at(packet, 2));
    if header < IPV4_HEADER || length < header {
        return Err(Drop::Malformed);
    }
    if length > packet.len() {
        return Err(Drop::Truncated);
    }
    let fragment = fragment_of(u16_at(packet, 6) & 0x1fff, packet[6] & 0x20 != 0);
    let protocol = packet[9];
    Ok(Headers {
        source: ipv4_at(packet, 12),
        destination: ipv4_at(packet, 16),
        protocol,
        ports: ports(&packet[header..length], protocol, fragment),
        fragment,
        tos: packet[1],
        hop_limit: packet[8],
        transport: header,
        length,
    })
}

fn parse_ipv6(packet: &[u8]) -> Result<Headers, Drop> {
    if packet.len() < IPV6_HEADER {
        return Err(Drop::Truncated);
    }
    let length = IPV6_HEADER + usize::from(u16_at(packet, 4));
    if length > packet.len() {
        return Err(Drop::Truncated);
    }
    if length > MAX_PACKET_OCTETS {
        return Err(Drop::Malformed);
    }
    let (protocol, transport, fragment) = walk_extensions(&packet[..length])?;
    Ok(Headers {
        source: ipv6_at(packet, 8),
        destination: ipv6_at(packet, 24),
        protocol,
        ports: ports(&packet[transport..length], protocol, fragment),
        fragment,
        tos: packet[0] << 4 | packet[1] >> 4,
        hop_limit: packet[7],
        transport,
        length,
    })
}

/// Walk to the upper-layer header: its protocol, its offset, and whether the packet is a fragment (RFC 8200 section 4).
fn walk_extensions(packet: &[u8]) -> Result<(u8, usize, Fragment), Drop> {
    let mut protocol = packet[6];
    let mut offset = IPV6_HEADER;
    let mut fragment = Fragment::Whole;
    for _ in 0..=MAX_EXTENSION_HEADERS {
        let extension = match protocol {
            protocol::HOP_BY_HOP | protocol::ROUTING | protocol::DESTINATION_OPTIONS => false,
            protocol::FRAGMENT => true,
            _ => return Ok((protocol, offset, fragment)),
        };
        let header = packet.get(offset..offset + 8).ok_or(Drop::Truncated)?;
        protocol = header[0];
        if extension {
            let field = u16_at(header, 2);
            fragment = fragment_of(field >> 3, field & 1 != 0);
            offset += 8;
        } else {
            offset += 8 + usize::from(header[1]) * 8;
        }
        if offset > packet.len() {
            return Err(Drop::Truncated);
        }
        if fragment == Fragment::Later {
            return Ok((protocol, offset, fragment));
        }
    }
    Err(Drop::Malformed)
}

fn fragment_of(offset: u16, more: bool) -> Fragment {
    match (offset, more) {
        (0, false) => Fragment::Whole,
        (0, true) => Fragment::First,
        _ => Fragment::Later,
    }
}

/// The ports of an upper-layer header, or ICMP's type and code. A header cut short has none, so that only selectors
/// without ports cover it.
fn ports(upper: &[u8], protocol: u8, fragment: Fragment) -> Option<(u16, u16)> {
    if fragment == Fragment::Later {
        return None;
    }
    match protocol {
        protocol::TCP | protocol::UDP | protocol::SCTP | protocol::DCCP | protocol::UDPLITE => {
            (upper.len() >= 4).then(|| (u16_at(upper, 0), u16_at(upper, 2)))
        }
        protocol::ICMP | protocol::ICMPV6 => {
            (upper.len() >= 2).then(|| (u16::from(upper[0]), u16::from(upper[1])))
        }
        _ => None,
    }
}

/// The IPv4 address at an offset that was judged before.
pub(crate) fn ipv4_at(packet: &[u8], offset: usize) -> IpAddr {
    Ipv4Addr::from(u32_at(packet, offset)).into()
}

/// The IPv6 address at an offset that was judged before.
pub(crate) fn ipv6_at(packet: &[u8], offset: usize) -> IpAddr {
    let octets: [u8; 16] = std::array::from_fn(|index| packet[offset + index]);
    Ipv6Addr::from(octets).into()
}

#[cfg(test)]
mod tests;
