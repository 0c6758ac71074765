use proptest::prelude::*;

use super::*;
use crate::testing::{address, ipv4, ipv6, octets, udp_between};

#[test]
fn an_ipv4_datagram() {
    let headers = Headers::parse(&udp_between("192.168.1.20", "192.168.2.34", (4000, 53))).unwrap();
    let expected = Headers {
        source: address("192.168.1.20"),
        destination: address("192.168.2.34"),
        protocol: protocol::UDP,
        ports: Some((4000, 53)),
        fragment: Fragment::Whole,
        tos: 0,
        hop_limit: 64,
        transport: 20,
        length: 28,
    };
    assert_eq!(headers, expected);
}

#[test]
fn extension_headers_are_walked_to_the_ports() {
    let options = [60, 0, 1, 4, 0, 0, 0, 0];
    let destination = [17, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let payload = [&options[..], &destination, &[0x0f, 0xa0, 0, 53, 0, 8, 0, 0]].concat();
    let headers = Headers::parse(&ipv6(
        "2001:db8::1",
        "2001:db8::2",
        protocol::HOP_BY_HOP,
        &payload,
    ))
    .unwrap();
    assert_eq!(
        (headers.protocol, headers.ports, headers.transport),
        (protocol::UDP, Some((4000, 53)), 64)
    );
}

#[test]
fn icmp_shows_type_and_code() {
    let headers =
        Headers::parse(&ipv4("10.0.0.1", "10.0.0.2", protocol::ICMP, &[8, 0, 0, 0])).unwrap();
    assert_eq!(headers.ports, Some((8, 0)));
}

#[test]
fn later_fragments_show_no_ports() {
    let mut packet = udp_between("10.0.0.1", "10.0.0.2", (1, 2));
    packet[6] = 0x20;
    assert_eq!(Headers::parse(&packet).unwrap().fragment, Fragment::First);
    packet[7] = 1;
    let headers = Headers::parse(&packet).unwrap();
    assert_eq!((headers.fragment, headers.ports), (Fragment::Later, None));
    let fragment = [17, 0, 0, 9, 0, 0, 0, 1, 0xff, 0xff];
    let headers = Headers::parse(&ipv6("::1", "::2", protocol::FRAGMENT, &fragment)).unwrap();
    assert_eq!(
        (headers.fragment, headers.ports, headers.protocol),
        (Fragment::Later, None, 17)
    );
}

#[test]
fn lies_about_lengths_are_named() {
    let packet = udp_between("10.0.0.1", "10.0.0.2", (1, 2));
    assert_eq!(Headers::parse(&[]), Err(Drop::Truncated));
    assert_eq!(Headers::parse(&packet[..27]), Err(Drop::Truncated));
    let changed = |place: usize, octet: u8| {
        let mut packet = packet.clone();
        packet[place] = octet;
        Headers::parse(&packet)
    };
    assert_eq!(changed(0, 0x44), Err(Drop::Malformed));
    assert_eq!(changed(0, 0x55), Err(Drop::Malformed));
    assert_eq!(changed(0, 0x4f), Err(Drop::Malformed));
    assert_eq!(changed(3, 19), Err(Drop::Malformed));
    assert_eq!(changed(3, 29), Err(Drop::Truncated));
}

#[test]
fn endless_extension_headers_are_malformed() {
    let one = [protocol::DESTINATION_OPTIONS, 0, 1, 4, 0, 0, 0, 0];
    let packet = ipv6("::1", "::2", protocol::DESTINATION_OPTIONS, &one.repeat(50));
    assert_eq!(Headers::parse(&packet), Err(Drop::Malformed));
}

proptest! {
    #[test]
    fn whatever_parses_lies_within(mut packet in octets(0..200), version in prop_oneof![Just(0x45u8), Just(0x60), any::<u8>()]) {
        if let Some(first) = packet.first_mut() {
            *first = version;
        }
        if let Ok(headers) = Headers::parse(&packet) {
            prop_assert!(headers.transport <= headers.length && headers.length <= packet.len());
        }
    }
}
