use proptest::prelude::*;

use super::*;
use crate::ip::Headers;
use crate::testing::{address, extension, ipv4, ipv6, ipv6_with, octets};

fn pair(source: &str, destination: &str) -> Pair {
    Pair::new(address(source), address(destination)).unwrap()
}

fn outer(pair: Pair) -> Outer {
    Outer {
        pair,
        tos: 0xb9,
        hop_limit: 30,
        dont_fragment: true,
        identification: 0x0102,
    }
}

#[test]
fn a_pair_is_of_one_family() {
    assert_eq!(
        Pair::new(address("192.0.2.1"), address("2001:db8::1")),
        None
    );
    assert_eq!(
        Pair::new(address("2001:db8::1"), address("192.0.2.1")),
        None
    );
    let pair = pair("2001:db8::1", "2001:db8::2");
    assert_eq!(pair.source(), address("2001:db8::1"));
    assert_eq!(pair.destination(), address("2001:db8::2"));
}

#[test]
fn a_header_says_what_it_was_told() {
    for pair in [
        pair("192.0.2.1", "192.0.2.2"),
        pair("2001:db8::1", "2001:db8::2"),
    ] {
        let mut packet = vec![0xee; 9];
        outer(pair).begin(protocol::UDP, 5, &mut packet).unwrap();
        packet.extend([0; 5]);
        let headers = Headers::parse(&packet).unwrap();
        assert_eq!(
            (headers.source, headers.destination),
            (pair.source(), pair.destination())
        );
        assert_eq!((headers.tos, headers.hop_limit), (0xb9, 30));
        assert_eq!(
            (headers.protocol, headers.length),
            (protocol::UDP, packet.len())
        );
        assert_eq!(headers.transport, pair.header_octets());
        assert!(must_not_be_fragmented(&packet));
        if headers.is_ipv4() {
            assert_eq!(&packet[4..8], [1, 2, 0x40, 0]);
            assert_eq!(checksum::checksum(&packet[..20]), 0);
        }
    }
}

#[test]
fn a_header_over_too_much_is_refused() {
    let mut out = Vec::new();
    for (pair, most) in [
        (pair("192.0.2.1", "192.0.2.2"), 65_515),
        (pair("2001:db8::1", "2001:db8::2"), 65_495),
    ] {
        assert_eq!(outer(pair).begin(protocol::UDP, most, &mut out), Ok(()));
        assert_eq!(
            outer(pair).begin(protocol::UDP, most + 1, &mut out),
            Err(Drop::TooBig)
        );
        assert_eq!(
            outer(pair).begin(protocol::UDP, usize::MAX, &mut out),
            Err(Drop::TooBig)
        );
    }
}

#[test]
fn dont_fragment_is_copied_set_or_cleared() {
    let mut may = ipv4("192.0.2.1", "192.0.2.2", protocol::UDP, &[]);
    assert!(!DontFragment::Copy.over(&may) && DontFragment::Set.over(&may));
    may[6] = 0x40;
    assert!(DontFragment::Copy.over(&may) && !DontFragment::Clear.over(&may));
    let ipv6 = ipv6("2001:db8::1", "2001:db8::2", protocol::UDP, &[]);
    assert!(DontFragment::Copy.over(&ipv6));
}

#[test]
fn a_security_protocol_goes_behind_what_each_hop_needs() {
    use protocol::{DESTINATION_OPTIONS, HOP_BY_HOP, ROUTING, UDP};
    let cases: [(&[u8], usize, usize); 7] = [
        (&[], 40, 6),
        (&[HOP_BY_HOP], 48, 40),
        (&[ROUTING], 48, 40),
        (&[DESTINATION_OPTIONS], 40, 6),
        (&[HOP_BY_HOP, DESTINATION_OPTIONS], 48, 40),
        (&[HOP_BY_HOP, DESTINATION_OPTIONS, ROUTING], 64, 56),
        (
            &[
                HOP_BY_HOP,
                DESTINATION_OPTIONS,
                ROUTING,
                DESTINATION_OPTIONS,
            ],
            64,
            56,
        ),
    ];
    for (kinds, end, next_header_at) in cases {
        let chain: Vec<_> = kinds.iter().map(|&kind| (kind, extension(1))).collect();
        let packet = ipv6_with(&chain, UDP, &[0; 8]);
        let front = Front::unfragmentable(&packet).unwrap();
        assert_eq!(
            (front.end, front.next_header_at),
            (end, next_header_at),
            "{kinds:?}"
        );
        let whole = Front::before_upper(&packet).unwrap();
        assert_eq!(whole.end, 40 + 8 * kinds.len());
        assert_eq!(whole.protocol(&packet), UDP);
    }
}

#[test]
fn ipv4_options_belong_to_the_front() {
    let mut packet = ipv4("192.0.2.1", "192.0.2.2", protocol::UDP, &[1, 1, 1, 0, 9, 9]);
    packet[0] = 0x46;
    let front = Front::unfragmentable(&packet).unwrap();
    assert_eq!((front.end, front.next_header_at, front.length), (24, 9, 26));
}

#[test]
fn fragments_have_no_place_for_anything() {
    for field in [0x2000u16, 1, 0x2001, 0x1fff] {
        let mut packet = ipv4("192.0.2.1", "192.0.2.2", protocol::UDP, &[0; 8]);
        packet[6..8].copy_from_slice(&field.to_be_bytes());
        assert_eq!(Front::unfragmentable(&packet), Err(Drop::Fragment));
    }
    let packet = ipv6_with(
        &[(protocol::FRAGMENT, extension(1))],
        protocol::UDP,
        &[0; 8],
    );
    assert_eq!(Front::unfragmentable(&packet), Err(Drop::Fragment));
    assert_eq!(Front::before_upper(&packet), Err(Drop::Fragment));
}

#[test]
fn no_packet_is_longer_than_the_longest() {
    for (payload, refused) in [(65_495, None), (65_496, Some(Drop::Malformed))] {
        let packet = ipv6(
            "2001:db8::1",
            "2001:db8::2",
            protocol::UDP,
            &vec![0; payload],
        );
        assert_eq!(Front::before_upper(&packet).err(), refused);
        assert_eq!(Headers::parse(&packet).err(), refused);
    }
}

#[test]
fn a_chain_without_end_is_refused() {
    let most = vec![(protocol::DESTINATION_OPTIONS, extension(1)); MAX_EXTENSION_HEADERS];
    assert!(Front::before_upper(&ipv6_with(&most, protocol::UDP, &[])).is_ok());
    let more = vec![(protocol::DESTINATION_OPTIONS, extension(1)); MAX_EXTENSION_HEADERS + 1];
    let packet = ipv6_with(&more, protocol::UDP, &[]);
    assert_eq!(Front::before_upper(&packet), Err(Drop::Malformed));
}

#[test]
fn an_amended_header_is_right_for_all_that_follows() {
    for mut packet in [
        ipv4("192.0.2.1", "192.0.2.2", protocol::UDP, &[0; 8]),
        ipv6_with(
            &[(protocol::HOP_BY_HOP, extension(1))],
            protocol::UDP,
            &[0; 8],
        ),
    ] {
        let front = Front::unfragmentable(&packet).unwrap();
        packet.extend([7; 24]);
        front.amend(&mut packet, protocol::ESP).unwrap();
        let headers = Headers::parse(&packet).unwrap();
        assert_eq!(
            (headers.length, headers.protocol),
            (packet.len(), protocol::ESP)
        );
        assert!(!headers.is_ipv4() || checksum::checksum(&packet[..20]) == 0);
        packet.resize(65_536, 0);
        assert_eq!(front.amend(&mut packet, protocol::ESP), Err(Drop::TooBig));
    }
}

proptest! {
    #[test]
    fn it_reads_what_the_other_parser_reads(packet in crate::testing::hostile_packets()) {
        if let Ok(front) = Front::before_upper(&packet) {
            let headers = Headers::parse(&packet).unwrap();
            prop_assert_eq!(front.end, headers.transport);
            prop_assert_eq!(front.length, headers.length);
            prop_assert_eq!(front.protocol(&packet), headers.protocol);
            let place = Front::unfragmentable(&packet).unwrap();
            prop_assert!(place.end <= front.end && place.length == front.length);
        }
    }

    #[test]
    fn arbitrary_octets_do_no_harm(packet in octets(0..200)) {
        let _ = Front::before_upper(&packet);
        let _ = Front::unfragmentable(&packet);
    }
}
