//! What passes between inner and outer header: DSCP and ECN (RFC 4301 section 5.1.2, RFC 6040), and what came out of a tunnel.

use crate::checksum;
use crate::ip::{Headers, protocol};
use crate::reason::Drop;
use crate::sa::{EXTRA_FLAG_DONT_ENCAP_DSCP, FLAG_DECAP_DSCP, FLAG_NOECN, Sa};

const ECN: u8 = 3;
const NOT_ECT: u8 = 0;
const ECT_1: u8 = 1;
const CE: u8 = 3;

/// The outer type of service or traffic class for a packet that leaves (RFC 6040 section 4.1, normal mode).
pub fn tos(sa: &Sa, inner_tos: u8) -> u8 {
    let params = sa.params();
    let ecn = if params.flags & FLAG_NOECN != 0 {
        NOT_ECT
    } else {
        inner_tos & ECN
    };
    let dscp = if params.extra_flags & EXTRA_FLAG_DONT_ENCAP_DSCP != 0 {
        0
    } else {
        inner_tos & !ECN
    };
    dscp | ecn
}

/// The next header field for an inner packet: 4 or 41.
pub fn next_header(headers: &Headers) -> u8 {
    if headers.is_ipv4() {
        protocol::IPV4
    } else {
        protocol::IPV6
    }
}

/// Judge what came out of a tunnel. The packet ends at `Headers::length`; what follows is padding (RFC 4303 section 2.7).
///
/// Errors: `WrongNextHeader`, `InnerMalformed`.
pub fn judge_inner(packet: &[u8], next_header: u8) -> Result<Headers, Drop> {
    let version = match next_header {
        protocol::IPV4 => 4,
        protocol::IPV6 => 6,
        _ => return Err(Drop::WrongNextHeader),
    };
    if packet.first().is_none_or(|octet| octet >> 4 != version) {
        return Err(Drop::InnerMalformed);
    }
    Headers::parse(packet).map_err(|_| Drop::InnerMalformed)
}

/// Bring the outer header's ECN, and its DSCP if the SA says so, into the packet that came out (RFC 6040 section 4.2).
///
/// `packet`: judged. Errors: `EcnMismatch` for congestion experienced over a packet whose sender cannot be told.
pub fn apply_tos(sa: &Sa, packet: &mut [u8], outer_tos: u8) -> Result<(), Drop> {
    let flags = sa.params().flags;
    let inner = read_tos(packet);
    let ecn = if flags & FLAG_NOECN != 0 {
        inner & ECN
    } else {
        decapsulated_ecn(inner & ECN, outer_tos & ECN)?
    };
    let dscp = if flags & FLAG_DECAP_DSCP != 0 {
        outer_tos & !ECN
    } else {
        inner & !ECN
    };
    if dscp | ecn != inner {
        write_tos(packet, dscp | ecn);
    }
    Ok(())
}

/// Bring the outer header's ECN alone into the packet that came out (RFC 6040 section 4.2).
///
/// `packet`: judged. Errors: `EcnMismatch`.
pub(crate) fn apply_ecn(packet: &mut [u8], outer_tos: u8) -> Result<(), Drop> {
    let inner = read_tos(packet);
    let ecn = decapsulated_ecn(inner & ECN, outer_tos & ECN)?;
    if ecn != inner & ECN {
        write_tos(packet, inner & !ECN | ecn);
    }
    Ok(())
}

/// RFC 6040 figure 4.
fn decapsulated_ecn(inner: u8, outer: u8) -> Result<u8, Drop> {
    match (inner, outer) {
        (NOT_ECT, CE) => Err(Drop::EcnMismatch),
        (NOT_ECT, _) | (CE, _) => Ok(inner),
        (_, CE) => Ok(CE),
        (_, ECT_1) => Ok(ECT_1),
        _ => Ok(inner),
    }
}

/// Type of service or traffic class of a packet whose header was judged.
pub(crate) fn read_tos(packet: &[u8]) -> u8 {
    if packet[0] >> 4 == 4 {
        packet[1]
    } else {
        packet[0] << 4 | packet[1] >> 4
    }
}

/// Write the type of service or traffic class of a packet whose header was judged.
pub(crate) fn write_tos(packet: &mut [u8], tos: u8) {
    if packet[0] >> 4 == 6 {
        packet[0] = 0x60 | tos >> 4;
        packet[1] = tos << 4 | packet[1] & 15;
        return;
    }
    let (old, sum) = (
        u16::from_be_bytes([packet[0], packet[1]]),
        u16::from_be_bytes([packet[10], packet[11]]),
    );
    packet[1] = tos;
    let sum = checksum::update(sum, old, u16::from_be_bytes([packet[0], tos]));
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
}

#[cfg(test)]
mod tests;
