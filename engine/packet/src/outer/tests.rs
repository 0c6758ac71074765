use super::*;
use crate::sa::SaParams;
use crate::testing::{gcm_params, ipv4, ipv6, sa};

fn with_flags(flags: u8, extra_flags: u32) -> Sa {
    sa(SaParams {
        flags,
        extra_flags,
        ..gcm_params()
    })
}

#[test]
fn the_outer_header_has_the_inner_dscp_and_ecn() {
    assert_eq!(tos(&with_flags(0, 0), 0xba), 0xba);
    assert_eq!(tos(&with_flags(FLAG_NOECN, 0), 0xba), 0xb8);
    assert_eq!(tos(&with_flags(0, EXTRA_FLAG_DONT_ENCAP_DSCP), 0xba), 0x02);
}

/// RFC 6040 figure 4, all sixteen.
#[test]
fn decapsulation_follows_the_table() {
    const ECT_0: u8 = 2;
    let table = [
        (NOT_ECT, [Some(NOT_ECT), Some(NOT_ECT), Some(NOT_ECT), None]),
        (ECT_0, [Some(ECT_0), Some(ECT_0), Some(ECT_1), Some(CE)]),
        (ECT_1, [Some(ECT_1), Some(ECT_1), Some(ECT_1), Some(CE)]),
        (CE, [Some(CE), Some(CE), Some(CE), Some(CE)]),
    ];
    for (inner, row) in table {
        for (outer, expected) in [NOT_ECT, ECT_0, ECT_1, CE].into_iter().zip(row) {
            assert_eq!(
                decapsulated_ecn(inner, outer),
                expected.ok_or(Drop::EcnMismatch),
                "{inner} {outer}"
            );
        }
    }
}

#[test]
fn congestion_reaches_both_kinds_of_packet() {
    let mut four = ipv4("10.0.0.1", "10.0.0.2", 17, &[0; 8]);
    let mut six = ipv6("::1", "::2", 17, &[0; 8]);
    write_tos(&mut four, 0xba);
    write_tos(&mut six, 0xba);
    for packet in [&mut four, &mut six] {
        apply_tos(&with_flags(0, 0), packet, CE).unwrap();
        assert_eq!(Headers::parse(packet).unwrap().tos, 0xbb);
        apply_tos(&with_flags(FLAG_DECAP_DSCP, 0), packet, 0x10).unwrap();
        assert_eq!(Headers::parse(packet).unwrap().tos, 0x13);
    }
    assert_eq!(checksum::checksum(&four[..20]), 0);
    assert_eq!(six[1] & 15, 0);
}

#[test]
fn the_flow_label_stays() {
    let mut packet = ipv6("::1", "::2", 17, &[0; 8]);
    packet[1..4].copy_from_slice(&[0x0a, 0xbc, 0xde]);
    write_tos(&mut packet, 0xff);
    assert_eq!(packet[..4], [0x6f, 0xfa, 0xbc, 0xde]);
    write_tos(&mut packet, 0);
    assert_eq!(packet[..4], [0x60, 0x0a, 0xbc, 0xde]);
}

#[test]
fn congestion_over_a_packet_that_cannot_say_so_is_dropped_unless_ecn_is_off() {
    let mut packet = ipv4("10.0.0.1", "10.0.0.2", 17, &[]);
    assert_eq!(
        apply_tos(&with_flags(0, 0), &mut packet, CE),
        Err(Drop::EcnMismatch)
    );
    assert_eq!(
        apply_tos(&with_flags(FLAG_NOECN, 0), &mut packet, CE),
        Ok(())
    );
}

#[test]
fn what_came_out_is_judged_by_next_header_version_and_length() {
    let packet = ipv4("10.0.0.1", "10.0.0.2", 17, &[0; 8]);
    let padded = [&packet[..], &[0; 50]].concat();
    assert_eq!(judge_inner(&padded, 4).unwrap().length, 28);
    assert_eq!(judge_inner(&packet, 41), Err(Drop::InnerMalformed));
    assert_eq!(judge_inner(&packet, 6), Err(Drop::WrongNextHeader));
    assert_eq!(judge_inner(&packet[..27], 4), Err(Drop::InnerMalformed));
    assert_eq!(judge_inner(&[], 4), Err(Drop::InnerMalformed));
    let headers = judge_inner(&ipv6("::1", "::2", 17, &[0; 8]), 41).unwrap();
    assert_eq!(next_header(&headers), 41);
}
