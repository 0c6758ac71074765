//! The Authentication Header (RFC 4302): a keyed check value over a packet's payload and all of its headers that does not
//! change on the way.

use crate::cipher::Sequence;
use crate::esp::{Opened, counted, judge_sequence};
use crate::headers::Front;
use crate::integrity::{IntegrityKey, MAX_ICV, Mac};
use crate::ip::u32_at;
use crate::limits::MAX_PACKET_OCTETS;
use crate::protect::Parts;
use crate::reason::Drop;
use crate::sa::{Protocol, Sa};

mod covered;

/// Octets before the ICV: next header, length, two reserved, SPI, sequence number.
pub const FIXED_HEADER: usize = 12;

/// The longest header: an ICV of 32 octets and its padding over IPv6.
pub const MAX_OVERHEAD: usize = 48;

/// The SPI of an AH header. None if it is too short.
pub fn spi(header: &[u8]) -> Option<u32> {
    (header.len() >= FIXED_HEADER).then(|| u32_at(header, 4))
}

/// Octets that an SA of AH adds to a packet; 0 for one of ESP. They fill whole words of 4 octets over IPv4 and of 8 over IPv6
/// (RFC 4302 section 3.3.3.2.1).
pub fn header_octets(sa: &Sa) -> usize {
    let ipv4 = sa.params().destination.is_ipv4();
    sa.cipher()
        .integrity()
        .map_or(0, |key| header_length(key, ipv4))
}

fn header_length(key: &IntegrityKey, ipv4: bool) -> usize {
    (FIXED_HEADER + key.icv_octets()).next_multiple_of(if ipv4 { 4 } else { 8 })
}

/// Append AH and the payload to `out`, which holds the headers in front, and write the ICV.
///
/// Drops are counted in the SA. Errors: `TooBig`, `Malformed`, `AhUnpredictable`, `SaExpired`, `SequenceExhausted`.
pub(crate) fn seal(sa: &Sa, parts: &Parts<'_>, out: &mut Vec<u8>, now_s: u64) -> Result<(), Drop> {
    counted(sa, seal_next(sa, parts, out, now_s))
}

fn seal_next(sa: &Sa, parts: &Parts<'_>, out: &mut Vec<u8>, now_s: u64) -> Result<(), Drop> {
    let key = sa.cipher().integrity().ok_or(Drop::ClearModeMismatch)?;
    let start = parts.front.end;
    let length = header_length(key, out[0] >> 4 == 4);
    if start + length + parts.payload.len() > MAX_PACKET_OCTETS {
        return Err(Drop::TooBig);
    }
    out.resize(start + length, 0);
    out.extend(parts.payload);
    parts.front.amend(out, Protocol::Ah.number())?;
    // All that can fail comes before a number is taken.
    let headers = covered::headers(&out[..start])?;
    let sequence = Sequence {
        full: sa.take_sequence()?,
        extended: sa.params().esn(),
    };
    let header = &mut out[start..];
    header[0] = parts.content.next_header;
    header[1] = (length / 4 - 2) as u8;
    header[4..8].copy_from_slice(&sa.params().spi.to_be_bytes());
    header[8..FIXED_HEADER].copy_from_slice(&(sequence.full as u32).to_be_bytes());
    let icv = covering(key, &headers, header, sequence).finish();
    header[FIXED_HEADER..][..key.icv_octets()].copy_from_slice(icv.as_ref());
    sa.carried(1, parts.payload.len() as u64, now_s);
    Ok(())
}

/// Authenticate a whole packet, which ends at its own length and whose headers reach to AH. Answers where the payload lies.
///
/// The order is ESP's: lengths, replay window, ICV, and only then the window advances (RFC 4302 section 3.4). Drops are counted
/// in the SA. Errors: `Truncated`, `Malformed`, `AhUnpredictable`, `Replayed`, `OutsideWindow`, `SaExpired`, `NotAuthentic`.
pub(crate) fn open(sa: &Sa, packet: &[u8], front: &Front, now_s: u64) -> Result<Opened, Drop> {
    counted(sa, open_judged(sa, packet, front, now_s))
}

fn open_judged(sa: &Sa, packet: &[u8], front: &Front, now_s: u64) -> Result<Opened, Drop> {
    let key = sa.cipher().integrity().ok_or(Drop::ClearModeMismatch)?;
    let header = &packet[front.end..];
    let length = judge_length(key, header, packet[0] >> 4 == 4)?;
    let sequence = judge_sequence(sa, u32_at(header, 8))?;
    sa.check_hard_limits()?;
    let headers = covered::headers(&packet[..front.end])?;
    let icv = &header[FIXED_HEADER..][..key.icv_octets()];
    covering(key, &headers, header, sequence)
        .verify(icv)
        .map_err(|_| Drop::NotAuthentic)?;
    sa.replay().advance(sequence.full)?;
    let payload = front.end + length..packet.len();
    sa.carried(1, payload.len() as u64, now_s);
    Ok(Opened {
        payload,
        next_header: header[0],
        sequence: sequence.full,
    })
}

/// The length of the header, padding included. Over IPv4 padding to 8 octets is taken too: Linux does that unless told not to.
fn judge_length(key: &IntegrityKey, header: &[u8], ipv4: bool) -> Result<usize, Drop> {
    let fixed = header.get(..FIXED_HEADER).ok_or(Drop::Truncated)?;
    let length = (usize::from(fixed[1]) + 2) * 4;
    let least = header_length(key, ipv4);
    if length != least && length != header_length(key, false) {
        return Err(Drop::Malformed);
    }
    match header.len() < length {
        true => Err(Drop::Truncated),
        false => Ok(length),
    }
}

/// Covers headers, AH with zeros for the ICV, what follows, and the high half of the sequence number where it counts (RFC 4302
/// section 3.3.3). `rest`: AH and what follows; the octets of its ICV are not read.
fn covering<'key>(
    key: &'key IntegrityKey,
    headers: &[u8],
    rest: &[u8],
    sequence: Sequence,
) -> Mac<'key> {
    let (fixed, rest) = rest.split_at(FIXED_HEADER);
    let mut mac = key.start();
    mac.update(headers);
    mac.update(fixed);
    mac.update(&[0; MAX_ICV][..key.icv_octets()]);
    mac.update(&rest[key.icv_octets()..]);
    if sequence.extended {
        mac.update(&sequence.high());
    }
    mac
}

#[cfg(test)]
mod tests;
