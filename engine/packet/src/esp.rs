//! ESP packets (RFC 4303): sealing into a caller's buffer, opening in place.

use std::ops::Range;

use crate::cipher::{Cipher, ESP_HEADER, MAX_IV, MAX_TRAILER, Sequence};
use crate::integrity::MAX_ICV;
use crate::ip::{protocol, u32_at};
use crate::limits::MAX_PACKET_OCTETS;
use crate::reason::Drop;
use crate::sa::{Mode, Sa};

/// The most octets that sealing adds to a packet: header, IV, trailer with padding, the longest ICV.
pub const MAX_OVERHEAD: usize = ESP_HEADER + MAX_IV + MAX_TRAILER + MAX_ICV;

/// Where the parts of a sealed packet lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layout {
    payload: usize,
    padding: usize,
    total: usize,
}

impl Layout {
    fn new(cipher: &Cipher, inner: usize) -> Layout {
        let payload = ESP_HEADER + cipher.iv_octets();
        let body = (inner + 2).next_multiple_of(cipher.alignment());
        Layout {
            payload,
            padding: body - inner - 2,
            total: payload + body + cipher.icv_octets(),
        }
    }
}

/// What a packet carries. A next header alone is content without padding for traffic flow confidentiality.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    /// The next header field: 4 or 41 in tunnel mode.
    pub next_header: u8,
    /// Traffic flow confidentiality (RFC 4303 section 2.7): a shorter payload is followed by zeros up to so many octets.
    /// Only for whole packets in tunnel mode, whose own length says where they end; of other content it is ignored.
    pub pad_to: usize,
}

impl From<u8> for Content {
    fn from(next_header: u8) -> Self {
        Content {
            next_header,
            pad_to: 0,
        }
    }
}

impl Content {
    /// Octets of payload with its padding for traffic flow confidentiality, for so many octets inside: what `sealed_length`
    /// and `inner_capacity` count.
    pub fn payload_octets(self, sa: &Sa, inner: usize) -> usize {
        let whole = matches!(self.next_header, protocol::IPV4 | protocol::IPV6);
        if whole && sa.params().mode != Mode::Transport {
            inner.max(self.pad_to)
        } else {
            inner
        }
    }
}

/// An opened packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Where the payload lies in the packet that was opened. Padding for traffic flow confidentiality may follow it.
    pub payload: Range<usize>,
    /// The next header field.
    pub next_header: u8,
    /// The sequence number in full.
    pub sequence: u64,
}

/// The SPI of an ESP packet. None if it is too short for a header.
pub fn spi(packet: &[u8]) -> Option<u32> {
    (packet.len() >= ESP_HEADER).then(|| u32_at(packet, 0))
}

/// Octets of the sealed packet for so many octets inside.
pub fn sealed_length(sa: &Sa, inner: usize) -> usize {
    Layout::new(sa.cipher(), inner).total
}

/// The largest inner packet whose sealed form has at most so many octets; 0 if none has.
pub fn inner_capacity(sa: &Sa, sealed: usize) -> usize {
    let cipher = sa.cipher();
    let room = sealed.saturating_sub(ESP_HEADER + cipher.iv_octets() + cipher.icv_octets());
    (room / cipher.alignment() * cipher.alignment()).saturating_sub(2)
}

/// Where `seal_in_place` wants the inner packet.
pub fn payload_offset(sa: &Sa) -> usize {
    ESP_HEADER + sa.cipher().iv_octets()
}

/// Seal an inner packet into `out`, which need not be cleared; it is read once and not changed.
///
/// `content`: a next header, or more. `now_s`: for the time of first use. Answers the sealed length. Drops are counted in the SA.
///
/// Errors: `TooBig` (no room), `SaExpired`, `SequenceExhausted`.
pub fn seal(
    sa: &Sa,
    inner: &[u8],
    content: impl Into<Content>,
    out: &mut [u8],
    now_s: u64,
) -> Result<usize, Drop> {
    let (content, length) = (content.into(), inner.len());
    counted(sa, seal_next(sa, Some(inner), length, content, out, now_s))
}

/// Seal an inner packet of `length` octets that lies at `payload_offset` in `packet` already.
///
/// Otherwise as `seal`.
pub fn seal_in_place(
    sa: &Sa,
    packet: &mut [u8],
    length: usize,
    content: impl Into<Content>,
    now_s: u64,
) -> Result<usize, Drop> {
    let content = content.into();
    counted(sa, seal_next(sa, None, length, content, packet, now_s))
}

/// Authenticate and open a whole ESP packet in place. `now_s`: for the time of first use. Drops are counted in the SA.
///
/// Lengths are judged before anything else, then the replay window is asked, then the packet is authenticated; only then
/// does the window advance (RFC 4303 section 3.4).
///
/// Errors: `Truncated`, `BadPadding`, `Replayed`, `OutsideWindow`, `SaExpired`, `NotAuthentic`, `Dummy`. After an error the octets
/// of the packet mean nothing.
pub fn open(sa: &Sa, packet: &mut [u8], now_s: u64) -> Result<Opened, Drop> {
    counted(sa, open_judged(sa, packet, now_s))
}

/// Count a drop in the SA.
pub(crate) fn counted<T>(sa: &Sa, result: Result<T, Drop>) -> Result<T, Drop> {
    result.inspect_err(|&reason| sa.drops().add(reason))
}

fn seal_next(
    sa: &Sa,
    inner: Option<&[u8]>,
    length: usize,
    content: Content,
    out: &mut [u8],
    now_s: u64,
) -> Result<usize, Drop> {
    let payload = content.payload_octets(sa, length);
    if payload > MAX_PACKET_OCTETS {
        return Err(Drop::TooBig);
    }
    let layout = Layout::new(sa.cipher(), payload);
    let out = out.get_mut(..layout.total).ok_or(Drop::TooBig)?;
    let full = sa.take_sequence()?;
    out[..4].copy_from_slice(&sa.params().spi.to_be_bytes());
    out[4..8].copy_from_slice(&(full as u32).to_be_bytes());
    let sequence = Sequence {
        full,
        extended: sa.params().esn(),
    };
    let inner = match payload > length {
        true => pad_flow(&mut out[layout.payload..][..payload], inner, length),
        false => inner,
    };
    let trailer = Trailer::new(layout.padding, content.next_header);
    // Cannot fail: every length was computed here, and none comes near a cipher's limit.
    sa.cipher()
        .seal(sequence, out, inner, trailer.octets())
        .map_err(|_| Drop::TooBig)?;
    sa.carried(1, length as u64, now_s);
    Ok(layout.total)
}

/// Put the payload in its place and zeros behind it; nothing lies elsewhere then.
fn pad_flow<'a>(place: &mut [u8], inner: Option<&[u8]>, length: usize) -> Option<&'a [u8]> {
    let (payload, padding) = place.split_at_mut(length);
    if let Some(inner) = inner {
        payload.copy_from_slice(inner);
    }
    padding.fill(0);
    None
}

/// Padding of 1, 2, 3 ..., its length, the next header (RFC 4303 section 2.4).
struct Trailer {
    octets: [u8; MAX_TRAILER],
    length: usize,
}

impl Trailer {
    fn new(padding: usize, next_header: u8) -> Trailer {
        let mut octets = std::array::from_fn(|index| index as u8 + 1);
        octets[padding] = padding as u8;
        octets[padding + 1] = next_header;
        Trailer {
            octets,
            length: padding + 2,
        }
    }

    fn octets(&self) -> &[u8] {
        &self.octets[..self.length]
    }
}

fn open_judged(sa: &Sa, packet: &mut [u8], now_s: u64) -> Result<Opened, Drop> {
    let body = judge_lengths(sa.cipher(), packet)?;
    let sequence = judge_sequence(sa, u32_at(packet, 4))?;
    sa.check_hard_limits()?;
    sa.cipher()
        .open(sequence, packet)
        .map_err(|_| Drop::NotAuthentic)?;
    sa.replay().advance(sequence.full)?;
    let (payload, next_header) = judge_trailer(packet, body)?;
    sa.carried(1, payload.len() as u64, now_s);
    if next_header == protocol::NONE {
        return Err(Drop::Dummy);
    }
    Ok(Opened {
        payload,
        next_header,
        sequence: sequence.full,
    })
}

/// Where payload, padding and trailer lie.
fn judge_lengths(cipher: &Cipher, packet: &[u8]) -> Result<Range<usize>, Drop> {
    let start = ESP_HEADER + cipher.iv_octets();
    let end = packet
        .len()
        .checked_sub(cipher.icv_octets())
        .ok_or(Drop::Truncated)?;
    if end < start + cipher.alignment() {
        return Err(Drop::Truncated);
    }
    if packet.len() > MAX_PACKET_OCTETS {
        return Err(Drop::TooBig);
    }
    if (end - start) % cipher.alignment() != 0 {
        return Err(Drop::BadPadding);
    }
    Ok(start..end)
}

/// The number of a packet in full, if the replay window does not refuse it.
pub(crate) fn judge_sequence(sa: &Sa, low: u32) -> Result<Sequence, Drop> {
    let extended = sa.params().esn();
    let window = sa.replay();
    let full = match extended {
        true => window.full_sequence(low).ok_or(Drop::OutsideWindow)?,
        false => u64::from(low),
    };
    window.check(full)?;
    Ok(Sequence { full, extended })
}

/// The padding must be what a sender has to write: this also finds a wrong key that an integrity check let pass.
fn judge_trailer(packet: &[u8], body: Range<usize>) -> Result<(Range<usize>, u8), Drop> {
    let (padding, next_header) = (usize::from(packet[body.end - 2]), packet[body.end - 1]);
    let pad_end = body.end - 2;
    if padding > pad_end - body.start {
        return Err(Drop::BadPadding);
    }
    let payload_end = pad_end - padding;
    let as_written = packet[payload_end..pad_end]
        .iter()
        .zip(1..=u8::MAX)
        .all(|(&octet, number)| octet == number);
    if !as_written {
        return Err(Drop::BadPadding);
    }
    Ok((body.start..payload_end, next_header))
}

#[cfg(test)]
mod tests;
