//! The few fields of a TCP header (RFC 9293 section 3.1) that cutting and joining touch.

use crate::ip::u32_at;

/// Octets of a TCP header without options.
pub const TCP_HEADER: usize = 20;
/// Where the checksum lies.
pub const CHECKSUM: usize = 16;

/// The sender has no more to say.
pub const FIN: u8 = 0x01;
/// The application should get what is there.
pub const PSH: u8 = 0x08;
/// The acknowledgement number counts.
pub const ACK: u8 = 0x10;
/// The congestion window was reduced.
pub const CWR: u8 = 0x80;

/// The header's length if a whole one begins at the start of `upper`.
pub(crate) fn header_length(upper: &[u8]) -> Option<usize> {
    let length = usize::from(upper.get(12)? >> 4) * 4;
    (length >= TCP_HEADER && length <= upper.len()).then_some(length)
}

pub(crate) fn sequence(upper: &[u8]) -> u32 {
    u32_at(upper, 4)
}

pub(crate) fn set_sequence(upper: &mut [u8], sequence: u32) {
    upper[4..8].copy_from_slice(&sequence.to_be_bytes());
}

pub(crate) fn flags(upper: &[u8]) -> u8 {
    upper[13]
}

pub(crate) fn set_flags(upper: &mut [u8], flags: u8) {
    upper[13] = flags;
}
