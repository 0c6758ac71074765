//! The Internet checksum (RFC 1071) and its incremental update (RFC 1624).

use crate::ip::{IPV4_HEADER, IPV6_HEADER};

/// Octets that are summed at once, each lane for itself, so that the compiler uses vector registers.
const STRIDE: usize = 32;

/// Add octets to an unfolded sum. A piece of odd length must be the last.
pub fn sum(total: u64, octets: &[u8]) -> u64 {
    let mut lanes = [0u64; STRIDE / 4];
    let mut strides = octets.chunks_exact(STRIDE);
    for stride in strides.by_ref() {
        for (lane, quad) in lanes.iter_mut().zip(stride.chunks_exact(4)) {
            *lane += u64::from(u32::from_ne_bytes([quad[0], quad[1], quad[2], quad[3]]));
        }
    }
    // The sum does not depend on the order of octets until its end (RFC 1071 section 2B).
    let native = fold(lanes.iter().sum());
    total + u64::from(u16::from_be_bytes(native.to_ne_bytes())) + sum_rest(strides.remainder())
}

fn sum_rest(octets: &[u8]) -> u64 {
    let mut quads = octets.chunks_exact(4);
    let whole = quads
        .by_ref()
        .map(|quad| u32::from_be_bytes([quad[0], quad[1], quad[2], quad[3]]));
    let total: u64 = whole.map(u64::from).sum();
    let rest = quads.remainder();
    let mut last = [0u8; 4];
    last[..rest.len()].copy_from_slice(rest);
    total + u64::from(u32::from_be_bytes(last))
}

/// Fold an unfolded sum to 16 bits, not inverted.
pub fn fold(mut total: u64) -> u16 {
    while total > 0xffff {
        total = (total >> 16) + (total & 0xffff);
    }
    total as u16
}

/// The checksum over octets.
pub fn checksum(octets: &[u8]) -> u16 {
    !fold(sum(0, octets))
}

/// The unfolded sum of the pseudo-header (RFC 793, RFC 8200 section 8.1) of a packet whose fixed IP header was judged.
pub fn pseudo_header(packet: &[u8], protocol: u8, upper_length: usize) -> u64 {
    let addresses = if packet[0] >> 4 == 4 {
        &packet[12..IPV4_HEADER]
    } else {
        &packet[8..IPV6_HEADER]
    };
    sum(u64::from(protocol) + upper_length as u64, addresses)
}

/// The checksum after one 16-bit word of what it covers has changed (RFC 1624 equation 3).
pub fn update(checksum: u16, old: u16, new: u16) -> u16 {
    !fold(u64::from(!checksum) + u64::from(!old) + u64::from(new))
}

/// Write the header checksum of an IPv4 header of `length` octets.
pub fn write_ipv4(packet: &mut [u8], length: usize) {
    packet[10..12].fill(0);
    let value = checksum(&packet[..length]);
    packet[10..12].copy_from_slice(&value.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::octets;

    #[test]
    fn rfc_1071_section_3_example() {
        assert_eq!(
            fold(sum(0, &[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7])),
            0xddf2
        );
    }

    #[test]
    fn an_odd_octet_is_padded_on_the_right() {
        assert_eq!(fold(sum(0, &[1, 2, 3])), 0x0102 + 0x0300);
    }

    proptest! {
        #[test]
        fn it_does_what_the_definition_does(octets in octets(0..400), start in any::<u16>()) {
            let words = octets.chunks(2).map(|pair| u64::from(pair[0]) << 8 | pair.get(1).map_or(0, |&low| low.into()));
            let naive = words.fold(u64::from(start), |total, word| {
                let total = total + word;
                (total & 0xffff) + (total >> 16)
            });
            prop_assert_eq!(u64::from(fold(sum(start.into(), &octets))), naive);
        }
    }

    #[test]
    fn an_update_equals_a_new_sum() {
        let mut octets = *b"\x45\x00\x00\x54\xa6\xf2\x00\x00\x40\x01";
        let before = checksum(&octets);
        octets[0..2].copy_from_slice(&[0x45, 0x03]);
        assert_eq!(update(before, 0x4500, 0x4503), checksum(&octets));
    }
}
