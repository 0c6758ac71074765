//! ICMP about packets that do not fit: telling the sender (RFC 792, RFC 1191, RFC 4443), and reading what others tell us about
//! packets of ours (RFC 4301 section 8).

use std::net::IpAddr;

use crate::checksum;
use crate::gif::may_be_source;
use crate::headers::{Extensions, HOP_LIMIT, Outer, Pair};
use crate::ip::{
    Fragment, Headers, IPV4_HEADER, IPV6_HEADER, ipv4_at, ipv6_at, protocol, u16_at, u32_at,
};

const UNREACHABLE: u8 = 3;
const FRAGMENTATION_NEEDED: u8 = 4;
const PACKET_TOO_BIG: u8 = 2;
const ICMP_HEADER: usize = 8;
const UDP_HEADER: usize = 8;
/// The port of ESP in UDP (RFC 3948).
const NAT_TRAVERSAL_PORT: u16 = 4500;

/// The longest ICMP error of IPv4 (RFC 1812 section 4.3.2.3).
const MAX_ERROR_IPV4: usize = 576;
/// The longest ICMPv6 error: the least MTU (RFC 4443 section 2.4c).
const MAX_ERROR_IPV6: usize = 1_280;
/// Precedence of internetwork control (RFC 1812 section 4.3.2.5).
const TOS_CONTROL: u8 = 0xc0;

/// The types of ICMP that are no errors: echo, router discovery, timestamp, information, address mask, extended echo.
const QUERIES: [u8; 12] = [0, 8, 9, 10, 13, 14, 15, 16, 17, 18, 42, 43];
/// ICMPv6's types below this are errors.
const FIRST_INFORMATIONAL: u8 = 128;
/// Redirect of ICMPv6: it quotes a packet, as an error does.
const REDIRECT_ICMPV6: u8 = 137;

/// Lengths of RFC 1191 section 7.1, for routers that do not say their MTU.
const PLATEAUS: [u32; 11] = [
    65_535, 32_000, 17_914, 8_166, 4_352, 2_002, 1_492, 1_006, 508, 296, 68,
];

/// Make `out` the whole packet that tells the sender of `packet` that at most `mtu` octets fit.
///
/// `source`: an address of ours, of the packet's family. Answers false, and `out` means nothing, where no such error may be
/// sent: about ICMP errors, later fragments, what went to or came from a group or nobody (RFC 1122 section 3.2.2, RFC 4443
/// section 2.4e; its exception for groups is not used, lest one packet call many errors), and what cannot be read.
pub fn too_big(source: IpAddr, packet: &[u8], mtu: u32, out: &mut Vec<u8>) -> bool {
    let Ok(headers) = Headers::parse(packet) else {
        return false;
    };
    let Some(pair) = Pair::new(source, headers.source) else {
        return false;
    };
    may_be_told(&headers, packet) && write(pair, &packet[..headers.length], mtu, out)
}

fn may_be_told(headers: &Headers, packet: &[u8]) -> bool {
    headers.fragment != Fragment::Later
        && may_be_source(headers.source)
        && !is_group(headers.destination)
        && !is_error(headers, packet)
}

fn is_group(destination: IpAddr) -> bool {
    match destination {
        IpAddr::V4(destination) => destination.is_multicast() || destination.is_broadcast(),
        IpAddr::V6(destination) => destination.is_multicast(),
    }
}

/// An ICMP packet too short to show its type counts as an error.
fn is_error(headers: &Headers, packet: &[u8]) -> bool {
    let kind = packet[..headers.length].get(headers.transport).copied();
    match headers.protocol {
        protocol::ICMP => kind.is_none_or(|kind| !QUERIES.contains(&kind)),
        protocol::ICMPV6 => {
            kind.is_none_or(|kind| kind < FIRST_INFORMATIONAL || kind == REDIRECT_ICMPV6)
        }
        _ => false,
    }
}

fn write(pair: Pair, packet: &[u8], mtu: u32, out: &mut Vec<u8>) -> bool {
    let ipv4 = matches!(pair, Pair::V4 { .. });
    let (tos, protocol, longest) = match ipv4 {
        true => (TOS_CONTROL, protocol::ICMP, MAX_ERROR_IPV4),
        false => (0, protocol::ICMPV6, MAX_ERROR_IPV6),
    };
    let header = pair.header_octets();
    let quote = &packet[..packet.len().min(longest - header - ICMP_HEADER)];
    let outer = Outer {
        pair,
        tos,
        hop_limit: HOP_LIMIT,
        dont_fragment: false,
        identification: 0,
    };
    if outer
        .begin(protocol, ICMP_HEADER + quote.len(), out)
        .is_err()
    {
        return false;
    }
    match ipv4 {
        true => out.extend([UNREACHABLE, FRAGMENTATION_NEEDED, 0, 0, 0, 0]),
        false => out.extend([PACKET_TOO_BIG, 0, 0, 0]),
    }
    match ipv4 {
        true => out.extend((mtu.min(u16::MAX.into()) as u16).to_be_bytes()),
        false => out.extend(mtu.to_be_bytes()),
    }
    out.extend(quote);
    write_checksum(out, header);
    true
}

fn write_checksum(packet: &mut [u8], header: usize) {
    let value = icmp_checksum(packet, header);
    packet[header + 2..header + 4].copy_from_slice(&value.to_be_bytes());
}

/// Over an ICMP message that begins at `header`; 0 over one that has its checksum already.
fn icmp_checksum(packet: &[u8], header: usize) -> u16 {
    let upper = &packet[header..];
    let start = match packet[0] >> 4 {
        6 => checksum::pseudo_header(packet, protocol::ICMPV6, upper.len()),
        _ => 0,
    };
    !checksum::fold(checksum::sum(start, upper))
}

/// A packet of ours, as an ICMP error quotes it: only its beginning, and only as true as who sent the error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quote {
    /// Where we sent it from.
    pub source: IpAddr,
    /// Where we sent it to.
    pub destination: IpAddr,
    /// ESP or AH.
    pub protocol: u8,
    /// The SPI in host order; never 0.
    pub spi: u32,
    /// ESP in UDP.
    pub udp: bool,
    /// Octets of the whole packet by its own header.
    pub length: usize,
}

/// An ICMP error that says how much fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooBig {
    /// Whoever says so.
    pub from: IpAddr,
    /// Octets that fit, the IP header included. An old router's error without a number: the next lower plateau (RFC 1191).
    pub mtu: u32,
    /// The packet that did not fit.
    pub quote: Quote,
}

/// Read a whole received packet as an ICMP error about a packet of ours that did not fit. None: it is anything else.
pub fn read_too_big(packet: &[u8]) -> Option<TooBig> {
    let headers = Headers::parse(packet).ok()?;
    let packet = &packet[..headers.length];
    let message = packet.get(headers.transport..)?;
    let kind = message.get(..ICMP_HEADER)?;
    if headers.fragment != Fragment::Whole || icmp_checksum(packet, headers.transport) != 0 {
        return None;
    }
    let mtu = match (headers.is_ipv4(), headers.protocol, kind[0], kind[1]) {
        (true, protocol::ICMP, UNREACHABLE, FRAGMENTATION_NEEDED) => u16_at(kind, 6).into(),
        (false, protocol::ICMPV6, PACKET_TOO_BIG, _) => u32_at(kind, 4),
        _ => return None,
    };
    let quote = read_quote(&message[ICMP_HEADER..])?;
    if quote.source.is_ipv4() != headers.is_ipv4() {
        return None;
    }
    Some(TooBig {
        from: headers.source,
        mtu: if mtu == 0 {
            plateau(quote.length)?
        } else {
            mtu
        },
        quote,
    })
}

fn plateau(length: usize) -> Option<u32> {
    PLATEAUS
        .into_iter()
        .find(|&plateau| (plateau as usize) < length)
}

/// Read the beginning of a packet, from its IP header on. None: too little of it, a later fragment, or not ESP or AH.
pub fn read_quote(quoted: &[u8]) -> Option<Quote> {
    match quoted.first()? >> 4 {
        4 => read_quote_ipv4(quoted),
        6 => read_quote_ipv6(quoted),
        _ => None,
    }
}

fn read_quote_ipv4(quoted: &[u8]) -> Option<Quote> {
    let fixed = quoted.get(..IPV4_HEADER)?;
    let header = usize::from(fixed[0] & 15) * 4;
    if header < IPV4_HEADER || u16_at(fixed, 6) & 0x1fff != 0 {
        return None;
    }
    let (protocol, udp, spi) = spi_of(fixed[9], quoted.get(header..)?)?;
    Some(Quote {
        source: ipv4_at(fixed, 12),
        destination: ipv4_at(fixed, 16),
        protocol,
        spi,
        udp,
        length: u16_at(fixed, 2).into(),
    })
}

fn read_quote_ipv6(quoted: &[u8]) -> Option<Quote> {
    let fixed = quoted.get(..IPV6_HEADER)?;
    let (mut next_header, mut end) = (fixed[6], IPV6_HEADER);
    for extension in Extensions::of(quoted) {
        let extension = extension.ok()?;
        (next_header, end) = (quoted[extension.start], extension.end);
        let later = extension.protocol == protocol::FRAGMENT
            && u16_at(quoted, extension.start + 2) & !7 != 0;
        if later {
            return None;
        }
    }
    let (protocol, udp, spi) = spi_of(next_header, &quoted[end..])?;
    Some(Quote {
        source: ipv6_at(fixed, 8),
        destination: ipv6_at(fixed, 24),
        protocol,
        spi,
        udp,
        length: IPV6_HEADER + usize::from(u16_at(fixed, 4)),
    })
}

/// ESP or AH, whether in UDP, and the SPI.
fn spi_of(next_header: u8, upper: &[u8]) -> Option<(u8, bool, u32)> {
    let (protocol, udp, place) = match next_header {
        protocol::ESP => (protocol::ESP, false, 0),
        protocol::AH => (protocol::AH, false, 4),
        protocol::UDP if is_nat_traversal(upper) => (protocol::ESP, true, UDP_HEADER),
        _ => return None,
    };
    let spi = u32_at(upper.get(place..place + 4)?, 0);
    (spi != 0).then_some((protocol, udp, spi))
}

/// A NAT on the way may have changed the destination's port, not our own, which is where we sent from.
fn is_nat_traversal(upper: &[u8]) -> bool {
    upper.len() >= UDP_HEADER
        && (u16_at(upper, 0) == NAT_TRAVERSAL_PORT || u16_at(upper, 2) == NAT_TRAVERSAL_PORT)
}

#[cfg(test)]
mod tests;
