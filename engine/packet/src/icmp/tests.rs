use proptest::prelude::*;

use super::*;
use crate::testing::{address, extension, hostile_packets, ipv4, ipv6, ipv6_with, octets};

const ROUTER4: &str = "203.0.113.9";
const ROUTER6: &str = "2001:db8::9";

fn told(packet: &[u8], mtu: u32) -> Option<Vec<u8>> {
    let router = if packet[0] >> 4 == 4 {
        ROUTER4
    } else {
        ROUTER6
    };
    let mut out = vec![1; 5];
    too_big(address(router), packet, mtu, &mut out).then_some(out)
}

fn esp4(payload: usize) -> Vec<u8> {
    let upper = [&[0, 0, 0x10, 1][..], &vec![7; payload]].concat();
    ipv4("192.0.2.1", "192.0.2.2", protocol::ESP, &upper)
}

fn esp6(payload: usize) -> Vec<u8> {
    let upper = [&[0, 0, 0x10, 1][..], &vec![7; payload]].concat();
    ipv6("2001:db8::1", "2001:db8::2", protocol::ESP, &upper)
}

#[test]
fn an_error_tells_the_mtu_and_quotes_the_packet() {
    for (packet, longest, quoted_at) in [(esp4(1_400), 576, 28), (esp6(1_400), 1_280, 48)] {
        let error = told(&packet, 1_300).unwrap();
        assert_eq!(error.len(), longest);
        assert_eq!(error[quoted_at..], packet[..longest - quoted_at]);
        let headers = Headers::parse(&error).unwrap();
        assert_eq!(headers.length, longest);
        assert_eq!(icmp_checksum(&error, headers.transport), 0);
        let read = read_too_big(&error).unwrap();
        assert_eq!((read.mtu, read.from), (1_300, headers.source));
        let quote = read.quote;
        assert_eq!(
            (quote.protocol, quote.spi, quote.udp),
            (protocol::ESP, 0x1001, false)
        );
        assert_eq!(
            (quote.source, quote.length),
            (headers.destination, packet.len())
        );
    }
}

#[test]
fn the_numbers_are_those_of_the_rfcs() {
    let error = told(&esp4(8), 1_300).unwrap();
    assert_eq!(error[1], 0xc0);
    assert_eq!(
        (error[9], &error[20..22], &error[24..28]),
        (1, &[3, 4][..], &[0, 0, 5, 20][..])
    );
    assert_eq!(told(&esp4(8), 70_000).unwrap()[26..28], [0xff, 0xff]);
    let error = told(&esp6(8), 1_300).unwrap();
    assert_eq!(
        (error[6], &error[40..42], &error[44..48]),
        (58, &[2, 0][..], &[0, 0, 5, 20][..])
    );
}

#[test]
fn no_error_about_an_error() {
    for kind in 0..=255u8 {
        let query = [0, 8, 9, 10, 13, 14, 15, 16, 17, 18, 42, 43].contains(&kind);
        let packet = ipv4(
            "192.0.2.1",
            "192.0.2.2",
            protocol::ICMP,
            &[kind, 0, 0, 0, 0, 0, 0, 0],
        );
        assert_eq!(told(&packet, 1_300).is_some(), query, "{kind}");
        let packet = ipv6(
            "2001:db8::1",
            "2001:db8::2",
            protocol::ICMPV6,
            &[kind, 0, 0, 0, 0, 0, 0, 0],
        );
        assert_eq!(
            told(&packet, 1_300).is_some(),
            kind >= 128 && kind != 137,
            "{kind}"
        );
    }
    assert_eq!(
        told(&ipv4("192.0.2.1", "192.0.2.2", protocol::ICMP, &[]), 1_300),
        None
    );
}

#[test]
fn no_error_to_nobody_or_about_groups() {
    for (source, destination) in [
        ("0.0.0.0", "192.0.2.2"),
        ("127.0.0.1", "192.0.2.2"),
        ("224.0.0.5", "192.0.2.2"),
        ("255.255.255.255", "192.0.2.2"),
        ("192.0.2.1", "224.0.0.1"),
        ("192.0.2.1", "255.255.255.255"),
    ] {
        assert_eq!(
            told(&ipv4(source, destination, protocol::UDP, &[0; 8]), 1_300),
            None
        );
    }
    for (source, destination) in [
        ("::", "2001:db8::2"),
        ("ff02::1", "2001:db8::2"),
        ("2001:db8::1", "ff0e::1"),
    ] {
        assert_eq!(
            told(&ipv6(source, destination, protocol::UDP, &[0; 8]), 1_300),
            None
        );
    }
}

#[test]
fn no_error_about_later_fragments() {
    let mut packet = esp4(64);
    packet[6] = 0x20;
    assert!(told(&packet, 1_300).is_some());
    packet[7] = 1;
    assert_eq!(told(&packet, 1_300), None);
    let mut header = extension(1);
    header[3] = 8;
    assert_eq!(
        told(
            &ipv6_with(&[(protocol::FRAGMENT, header)], protocol::UDP, &[0; 8]),
            1_300
        ),
        None
    );
}

#[test]
fn no_error_from_the_other_family() {
    assert!(!too_big(address(ROUTER6), &esp4(8), 1_300, &mut Vec::new()));
    assert!(!too_big(address(ROUTER4), &esp6(8), 1_300, &mut Vec::new()));
}

#[test]
fn a_quote_of_eight_octets_is_enough() {
    let ah = ipv4(
        "192.0.2.1",
        "192.0.2.2",
        protocol::AH,
        &[4, 4, 0, 0, 0, 0, 0x20, 2, 9, 9, 9, 9],
    );
    let quote = read_quote(&ah[..28]).unwrap();
    assert_eq!(
        (quote.protocol, quote.spi, quote.length),
        (protocol::AH, 0x2002, 32)
    );
    assert_eq!(read_quote(&ah[..27]), None);
    assert_eq!(read_quote(&esp4(100)[..24]).unwrap().spi, 0x1001);
    assert_eq!(read_quote(&esp4(100)[..23]), None);
    assert_eq!(
        read_quote(&esp6(100)[..44]).unwrap().destination,
        address("2001:db8::2")
    );
}

#[test]
fn esp_in_udp_is_found_where_it_is_quoted() {
    let upper = [
        0x11, 0x94, 0x11, 0x94, 0, 20, 0, 0, 0, 0, 0x10, 1, 0, 0, 0, 1,
    ];
    let packet = ipv4("192.0.2.1", "192.0.2.2", protocol::UDP, &upper);
    let quote = read_quote(&packet).unwrap();
    assert_eq!(
        (quote.protocol, quote.spi, quote.udp),
        (protocol::ESP, 0x1001, true)
    );
    assert_eq!(read_quote(&packet[..28]), None);
    let mut ike = packet.clone();
    ike[28..32].fill(0);
    assert_eq!(read_quote(&ike), None);
    let mut other = packet;
    other[20..24].fill(1);
    assert_eq!(read_quote(&other), None);
}

#[test]
fn extension_headers_before_esp_are_walked() {
    let chain = [
        (protocol::HOP_BY_HOP, extension(1)),
        (protocol::FRAGMENT, extension(1)),
    ];
    let mut packet = ipv6_with(&chain, protocol::ESP, &[0, 0, 0x10, 1, 0, 0, 0, 1]);
    assert_eq!(read_quote(&packet).unwrap().spi, 0x1001);
    packet[50] = 1;
    assert_eq!(read_quote(&packet), None);
}

#[test]
fn a_router_that_says_no_number_means_the_next_plateau() {
    let error = told(&esp4(1_476), 0).unwrap();
    assert_eq!(read_too_big(&error).unwrap().mtu, 1_492);
    let mut tiny = esp4(8);
    tiny[2..4].copy_from_slice(&[0, 60]);
    let error = |quoted: &[u8]| {
        let mut error = told(&esp4(8), 0).unwrap();
        error[28..28 + quoted.len()].copy_from_slice(quoted);
        write_checksum(&mut error, 20);
        error
    };
    assert_eq!(read_too_big(&error(&tiny)), None);
}

#[test]
fn only_true_errors_are_read() {
    let error = told(&esp4(100), 1_300).unwrap();
    for place in 20..error.len() {
        let mut damaged = error.clone();
        damaged[place] ^= 0x10;
        assert_eq!(read_too_big(&damaged), None, "octet {place}");
    }
    let mut other = error.clone();
    other[21] = 1;
    write_checksum(&mut other, 20);
    assert_eq!(read_too_big(&other), None);
    for length in 0..error.len() {
        assert_eq!(read_too_big(&error[..length]), None);
    }
    let inside = ipv4(
        ROUTER4,
        "192.0.2.1",
        protocol::ICMP,
        &[&[3, 4, 0, 0, 0, 0, 5, 20], &esp6(50)[..]].concat(),
    );
    let mut inside = inside;
    write_checksum(&mut inside, 20);
    assert_eq!(read_too_big(&inside), None);
}

/// A message in fragments is no message yet; of a fragment behind the first, what looks like an SPI is payload.
#[test]
fn fragments_tell_nothing() {
    let mut error = told(&esp4(100), 1_300).unwrap();
    for field in [[0x20, 0], [0, 1]] {
        error[6..8].copy_from_slice(&field);
        checksum::write_ipv4(&mut error, 20);
        assert_eq!(read_too_big(&error), None);
    }
    let mut quoted = esp4(100);
    quoted[6] = 0x20;
    assert_eq!(read_quote(&quoted).unwrap().spi, 0x1001);
    quoted[7] = 1;
    assert_eq!(read_quote(&quoted), None);
    let mut short = esp4(100);
    short[0] = 0x44;
    assert_eq!(read_quote(&short), None);
}

proptest! {
    #[test]
    fn arbitrary_octets_do_no_harm(packet in octets(0..120), more in hostile_packets(), mtu in any::<u32>()) {
        for packet in [packet, more] {
            let _ = read_quote(&packet);
            let _ = read_too_big(&packet);
            let mut out = Vec::new();
            for router in [ROUTER4, ROUTER6] {
                if too_big(address(router), &packet, mtu, &mut out) {
                    prop_assert!(out.len() <= 1_280 && Headers::parse(&out).is_ok());
                }
            }
        }
    }
}
