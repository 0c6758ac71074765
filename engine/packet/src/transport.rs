//! Transport mode: the packet keeps its header, and ESP or AH goes in behind it and behind the extension headers that each hop
//! needs (RFC 4302 section 3.1.1, RFC 4303 section 3.1.1); and what came out, with its true protocol and lengths.

use std::ops::Range;

use crate::checksum;
use crate::esp::Opened;
use crate::headers::Front;
use crate::ip::{Fragment, Headers, protocol, u16_at};
use crate::protect::{Choice, Parts};
use crate::reason::Drop;
use crate::tcp;

const UDP_HEADER: usize = 8;
const UDP_CHECKSUM: usize = 6;
const ICMPV6_CHECKSUM: usize = 2;

/// Make `out` the headers that stay in front; next header and lengths are amended when the whole is there.
///
/// Errors: `Truncated`, `Malformed`, `Fragment`.
pub(crate) fn begin<'a>(
    packet: &'a [u8],
    choice: &Choice,
    out: &mut Vec<u8>,
) -> Result<Parts<'a>, Drop> {
    let front = Front::unfragmentable(packet)?;
    out.clear();
    out.extend(&packet[..front.end]);
    if out[0] >> 4 == 4 && u16_at(out, 4) == 0 {
        out[4..6].copy_from_slice(&choice.identification.max(1).to_be_bytes());
    }
    Ok(Parts {
        front,
        payload: &packet[front.end..front.length],
        content: front.protocol(packet).into(),
    })
}

/// Put the headers of an opened packet right in front of its payload, and amend them.
///
/// Errors: `InnerMalformed` where the two make no packet.
pub(crate) fn finish(
    packet: &mut [u8],
    front: &Front,
    opened: &Opened,
    in_udp: bool,
) -> Result<(Range<usize>, Headers), Drop> {
    // Never negative: ESP and AH stood between.
    let start = opened.payload.start - front.end;
    packet.copy_within(..front.end, start);
    let range = start..opened.payload.end;
    let packet = &mut packet[range.clone()];
    front.amend(packet, opened.next_header)?;
    let headers = Headers::parse(packet).map_err(|_| Drop::InnerMalformed)?;
    if in_udp {
        repair_checksum(packet, &headers);
    }
    Ok((range, headers))
}

/// Compute a checksum over a pseudo-header anew: a NAT changed the addresses, and what it covers was authenticated (RFC 3948
/// section 3.1.2). A UDP checksum of zero over IPv4 says that there is none. What is too short is left as it is.
fn repair_checksum(packet: &mut [u8], headers: &Headers) {
    if headers.fragment != Fragment::Whole {
        return;
    }
    let upper = &packet[headers.transport..headers.length];
    let covered = match headers.protocol {
        protocol::TCP if tcp::header_length(upper).is_some() => Some((tcp::CHECKSUM, upper.len())),
        protocol::UDP => udp_coverage(upper, headers.is_ipv4()),
        protocol::ICMPV6 if upper.len() >= ICMPV6_CHECKSUM + 2 => {
            Some((ICMPV6_CHECKSUM, upper.len()))
        }
        _ => None,
    };
    if let Some((place, length)) = covered {
        write_checksum(packet, headers, place, length);
    }
}

/// Where the checksum of a datagram is, and how much it covers by the datagram's own length.
fn udp_coverage(upper: &[u8], ipv4: bool) -> Option<(usize, usize)> {
    let header = upper.get(..UDP_HEADER)?;
    let length = usize::from(u16_at(header, 4));
    let none = ipv4 && u16_at(header, UDP_CHECKSUM) == 0;
    let fits = (UDP_HEADER..=upper.len()).contains(&length);
    (fits && !none).then_some((UDP_CHECKSUM, length))
}

fn write_checksum(packet: &mut [u8], headers: &Headers, place: usize, length: usize) {
    let pseudo = checksum::pseudo_header(packet, headers.protocol, length);
    let upper = &mut packet[headers.transport..][..length];
    upper[place..place + 2].fill(0);
    let value = match !checksum::fold(checksum::sum(pseudo, upper)) {
        0 if headers.protocol == protocol::UDP => 0xffff,
        value => value,
    };
    upper[place..place + 2].copy_from_slice(&value.to_be_bytes());
}

#[cfg(test)]
mod tests;
