use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::bundle::Step;
use crate::protect::{self, Unwrapped};
use crate::sa::{Mode, SaParams};
use crate::testing::{
    extension, gcm_params, hostile_packets, ipv4, ipv6_with, over_ipv6, sa, tcp_packets,
};

const CHOICE: Choice = Choice {
    identification: 7,
    dont_fragment: crate::headers::DontFragment::Copy,
    pad_at_most: 0,
};

fn step(ipv6: bool) -> Step {
    let params = if ipv6 {
        over_ipv6(gcm_params())
    } else {
        gcm_params()
    };
    let mode = Mode::Transport;
    Step {
        sa: Arc::new(sa(SaParams { mode, ..params })),
        mode,
    }
}

fn sealed(step: &Step, packet: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    protect::seal(step, packet, &CHOICE, &mut out, 1).unwrap();
    out
}

fn opened(step: &Step, mut packet: Vec<u8>, in_udp: bool) -> Result<Vec<u8>, Drop> {
    protect::open(&step.sa, &mut packet, in_udp, 1)
        .map(|Unwrapped { range, .. }| packet[range].to_vec())
}

/// A datagram with a right checksum.
fn udp(ipv6: bool, payload: &[u8]) -> Vec<u8> {
    let mut upper = vec![0, 9, 0, 10];
    upper.extend((8 + payload.len() as u16).to_be_bytes());
    upper.extend([0, 0]);
    upper.extend(payload);
    upper_with_checksum(ipv6, protocol::UDP, upper, UDP_CHECKSUM)
}

fn upper_with_checksum(ipv6: bool, protocol: u8, upper: Vec<u8>, place: usize) -> Vec<u8> {
    let mut packet = match ipv6 {
        true => ipv6_with(&[], protocol, &upper),
        false => ipv4("192.0.2.1", "192.0.2.2", protocol, &upper),
    };
    let headers = Headers::parse(&packet).unwrap();
    write_checksum(&mut packet, &headers, place, upper.len());
    packet
}

/// As a NAT leaves it: another source, and only the IP header's checksum put right.
fn translated(mut packet: Vec<u8>) -> Vec<u8> {
    if packet[0] >> 4 == 4 {
        packet[12..16].copy_from_slice(&[100, 64, 1, 2]);
        checksum::write_ipv4(&mut packet, 20);
    } else {
        packet[8..16].copy_from_slice(&[0xfd, 1, 2, 3, 4, 5, 6, 7]);
    }
    packet
}

fn has_right_checksum(packet: &[u8]) -> bool {
    let headers = Headers::parse(packet).unwrap();
    let upper = &packet[headers.transport..headers.length];
    let pseudo = checksum::pseudo_header(packet, headers.protocol, upper.len());
    checksum::fold(checksum::sum(pseudo, upper)) == 0xffff
}

#[test]
fn header_options_and_extension_headers_stay_in_front() {
    let mut options = ipv4(
        "192.0.2.1",
        "192.0.2.2",
        protocol::UDP,
        &[0x94, 4, 0, 0, 5, 6, 7, 8, 9],
    );
    options[0] = 0x46;
    checksum::write_ipv4(&mut options, 24);
    let packet = sealed(&step(false), &options);
    assert_eq!(
        (&packet[20..24], packet[9]),
        (&[0x94, 4, 0, 0][..], protocol::ESP)
    );
    assert_eq!(checksum::checksum(&packet[..24]), 0);
    assert_eq!(opened(&step(false), packet, false), Ok(options));

    let chain = [
        (protocol::HOP_BY_HOP, extension(2)),
        (protocol::ROUTING, extension(3)),
        (protocol::DESTINATION_OPTIONS, extension(1)),
    ];
    let inner = ipv6_with(&chain, protocol::UDP, &[1; 13]);
    let packet = sealed(&step(true), &inner);
    let headers = Headers::parse(&packet).unwrap();
    assert_eq!(
        (headers.protocol, headers.transport),
        (protocol::ESP, 40 + 16 + 24)
    );
    assert_eq!(opened(&step(true), packet, false), Ok(inner));
}

#[test]
fn a_gif_packet_in_transport_mode_keeps_its_outer_header() {
    let inside = ipv4("10.0.0.1", "10.0.0.2", protocol::UDP, &[1; 9]);
    let gif = ipv4("192.0.2.1", "192.0.2.2", protocol::IPV4, &inside);
    let step = step(false);
    let mut packet = sealed(&step, &gif);
    let unwrapped = protect::open(&step.sa, &mut packet, false, 1).unwrap();
    assert_eq!(unwrapped.headers.protocol, protocol::IPV4);
    assert_eq!(packet[unwrapped.range], gif);
}

#[test]
fn fragments_are_refused_both_ways() {
    for field in [[0x20, 0], [0, 1]] {
        let mut fragment = ipv4("192.0.2.1", "192.0.2.2", protocol::UDP, &[1; 16]);
        fragment[6..8].copy_from_slice(&field);
        let refused = protect::seal(&step(false), &fragment, &CHOICE, &mut Vec::new(), 1);
        assert_eq!(refused, Err(Drop::Fragment));
        let mut packet = sealed(&step(false), &udp(false, b"whole"));
        packet[6..8].copy_from_slice(&field);
        assert_eq!(opened(&step(false), packet, false), Err(Drop::Fragment));
    }
    let chain = [
        (protocol::DESTINATION_OPTIONS, extension(1)),
        (protocol::FRAGMENT, extension(1)),
    ];
    let fragment = ipv6_with(&chain, protocol::UDP, &[1; 16]);
    let refused = protect::seal(&step(true), &fragment, &CHOICE, &mut Vec::new(), 1);
    assert_eq!(refused, Err(Drop::Fragment));
}

#[test]
fn behind_a_nat_checksums_are_put_right() {
    for ipv6 in [false, true] {
        for packet in [
            udp(ipv6, b"odd"),
            upper_with_checksum(ipv6, protocol::ICMPV6, vec![128, 0, 0, 0, 1, 2], 2),
        ] {
            let wrapped = translated(sealed(&step(ipv6), &packet));
            let right = opened(&step(ipv6), wrapped.clone(), true).unwrap();
            assert!(has_right_checksum(&right));
            assert_eq!(right[8..20], translated(packet.clone())[8..20]);
            let wrong = opened(&step(ipv6), wrapped, false).unwrap();
            assert!(!has_right_checksum(&wrong));
        }
    }
}

#[test]
fn a_datagram_without_checksum_stays_so_over_ipv4_only() {
    let mut packet = udp(false, b"none");
    packet[26..28].fill(0);
    let wrapped = translated(sealed(&step(false), &packet));
    let right = opened(&step(false), wrapped, true).unwrap();
    assert_eq!(right[20..], packet[20..]);
    let mut packet = udp(true, b"none");
    packet[46..48].fill(0);
    let right = opened(&step(true), translated(sealed(&step(true), &packet)), true).unwrap();
    assert!(has_right_checksum(&right));
}

#[test]
fn a_checksum_of_zero_is_written_as_ones() {
    let mut packet = udp(false, &[0, 0]);
    packet.copy_within(26..28, 28);
    let headers = Headers::parse(&packet).unwrap();
    repair_checksum(&mut packet, &headers);
    assert_eq!(packet[26..28], [0xff, 0xff]);
}

#[test]
fn octets_behind_a_datagram_are_not_covered() {
    let mut packet = udp(false, b"even");
    packet.extend([0x77; 6]);
    let front = Front {
        length: packet.len(),
        ..Front::unfragmentable(&packet).unwrap()
    };
    front.amend(&mut packet, protocol::UDP).unwrap();
    let headers = Headers::parse(&packet).unwrap();
    let before = packet.clone();
    repair_checksum(&mut packet, &headers);
    assert_eq!(packet, before);
}

#[test]
fn what_is_cut_short_is_left_as_it_is() {
    for (protocol, upper) in [
        (protocol::UDP, &[1u8; 7][..]),
        (protocol::UDP, &[0, 1, 0, 2, 0, 7, 9, 9]),
        (protocol::UDP, &[0, 1, 0, 2, 0, 9, 9, 9]),
        (protocol::TCP, &[1; 19]),
        (protocol::TCP, &[0xff; 20]),
        (protocol::ICMPV6, &[1; 3]),
        (protocol::SCTP, &[1; 30]),
    ] {
        let packet = ipv4("192.0.2.1", "192.0.2.2", protocol, upper);
        let right = opened(&step(false), sealed(&step(false), &packet), true).unwrap();
        assert_eq!(right, packet, "protocol {protocol}");
    }
}

#[test]
fn headers_and_payload_that_make_no_packet_are_refused() {
    // Destination options inside that reach behind the packet's end.
    let step = step(true);
    let payload = [60, 200, 0, 0, 0, 0, 0, 0];
    let mut packet = ipv6_with(&[], protocol::ESP, &[]);
    packet.resize(40 + crate::esp::sealed_length(&step.sa, payload.len()), 0);
    let next_header = protocol::DESTINATION_OPTIONS;
    crate::esp::seal(&step.sa, &payload, next_header, &mut packet[40..], 1).unwrap();
    let front = Front {
        end: 40,
        next_header_at: 6,
        length: packet.len(),
    };
    front.amend(&mut packet, protocol::ESP).unwrap();
    assert_eq!(opened(&step, packet, false), Err(Drop::InnerMalformed));
    assert_eq!(step.sa.drops().get(Drop::InnerMalformed), 1);
}

/// A fragment's beginning is covered by a checksum over the whole, which is not there to compute.
#[test]
fn the_checksum_of_a_fragment_is_left_as_it_is() {
    let mut header = extension(1);
    header[3] = 1;
    let packet = ipv6_with(
        &[(protocol::FRAGMENT, header)],
        protocol::UDP,
        &[0, 9, 0, 10, 0, 8, 7, 7],
    );
    let headers = Headers::parse(&packet).unwrap();
    assert_eq!(headers.fragment, Fragment::First);
    let mut repaired = packet.clone();
    repair_checksum(&mut repaired, &headers);
    assert_eq!(repaired, packet);
}

proptest! {
    #[test]
    fn tcp_comes_out_as_it_went_in_and_right_behind_a_nat(tcp in tcp_packets(any::<u8>(), 200)) {
        let packet = tcp.packet(false);
        let step = step(!tcp.ipv4);
        prop_assert_eq!(opened(&step, sealed(&step, &packet), true), Ok(packet.clone()));
        let right = opened(&step, translated(sealed(&step, &packet)), true).unwrap();
        prop_assert!(has_right_checksum(&right));
    }

    #[test]
    fn any_payload_does_no_harm(packet in hostile_packets()) {
        if let Ok(headers) = Headers::parse(&packet) {
            repair_checksum(&mut packet.clone(), &headers);
            let step = step(!headers.is_ipv4());
            let mut out = Vec::new();
            if protect::seal(&step, &packet, &CHOICE, &mut out, 1).is_ok() {
                let result = opened(&step, out, false);
                // Nothing behind the headers is what a dummy packet looks like (RFC 4303 section 2.6).
                if result == Err(Drop::Dummy) {
                    prop_assert_eq!(Front::unfragmentable(&packet).unwrap().protocol(&packet), protocol::NONE);
                    return Ok(());
                }
                let right = Headers::parse(&result.unwrap()).unwrap();
                prop_assert_eq!((right.protocol, right.length), (headers.protocol, headers.length));
            }
        }
    }
}
