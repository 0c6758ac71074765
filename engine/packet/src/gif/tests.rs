use proptest::prelude::*;

use super::*;
use crate::ip::protocol;
use crate::testing::{address, hostile_packets, ipv4, ipv6, octets, udp_between};

const ENDS: [(&str, &str); 2] = [
    ("203.0.113.1", "198.51.100.1"),
    ("2001:db8::1", "2001:db8::2"),
];

fn link((ours, theirs): (&str, &str)) -> Link {
    Link {
        pair: Pair::new(address(ours), address(theirs)).unwrap(),
        ecn: false,
        ingress_filter: true,
    }
}

/// The same link as its other end has it.
fn other(link: Link) -> Link {
    Link {
        pair: Pair::new(link.pair.destination(), link.pair.source()).unwrap(),
        ..link
    }
}

fn inners() -> [Vec<u8>; 2] {
    [
        udp_between("192.168.1.20", "192.168.2.34", (1, 2)),
        udp_between("2001:db8:1::20", "2001:db8:2::34", (1, 2)),
    ]
}

fn encapsulated(link: &Link, inner: &[u8]) -> Vec<u8> {
    let mut out = vec![1, 2, 3];
    link.encapsulate(inner, 0x1234, &mut out).unwrap();
    out
}

#[test]
fn each_family_goes_through_each_family() {
    for ends in ENDS {
        for inner in inners() {
            let mut packet = encapsulated(&link(ends), &inner);
            let outer = Headers::parse(&packet).unwrap();
            assert_eq!((outer.hop_limit, outer.tos), (30, 0));
            assert_eq!(outer.protocol, if inner[0] >> 4 == 4 { 4 } else { 41 });
            if outer.is_ipv4() {
                assert_eq!(&packet[4..8], [0x12, 0x34, 0, 0]);
            }
            let range = other(link(ends)).decapsulate(&mut packet).unwrap();
            assert_eq!(packet[range], inner);
        }
    }
}

#[test]
fn what_follows_a_packet_is_not_sent() {
    let mut longer = inners()[0].clone();
    longer.extend([9; 30]);
    assert_eq!(
        encapsulated(&link(ENDS[0]), &longer),
        encapsulated(&link(ENDS[0]), &inners()[0])
    );
}

#[test]
fn only_the_exact_pair_is_let_in() {
    let packet = encapsulated(&link(ENDS[0]), &inners()[0]);
    for wrong in [
        ("198.51.100.1", "203.0.113.2"),
        ("198.51.100.2", "203.0.113.1"),
        ENDS[0],
        ENDS[1],
    ] {
        assert_eq!(
            link(wrong).decapsulate(&mut packet.clone()),
            Err(Drop::NoGif)
        );
    }
}

#[test]
fn sources_that_no_host_has_are_refused() {
    for source in [
        "224.0.0.1",
        "239.1.2.3",
        "255.255.255.255",
        "127.0.0.1",
        "0.0.0.0",
        "0.1.2.3",
    ] {
        assert!(!may_be_source(address(source)), "{source}");
        let mut packet = encapsulated(&link(ENDS[0]), &udp_between(source, "192.0.2.1", (1, 2)));
        let end = other(link(ENDS[0]));
        assert_eq!(end.decapsulate(&mut packet), Err(Drop::GifSource));
        let open = Link {
            ingress_filter: false,
            ..end
        };
        assert!(open.decapsulate(&mut packet).is_ok());
    }
    for source in ["ff02::1", "::", "::1", "::ffff:192.0.2.1"] {
        let inner = udp_between("2001:db8::9", "2001:db8::1", (1, 2));
        let mut packet = encapsulated(&link(ENDS[0]), &inner);
        let IpAddr::V6(octets) = address(source) else {
            panic!()
        };
        packet[28..44].copy_from_slice(&octets.octets());
        assert_eq!(
            other(link(ENDS[0])).decapsulate(&mut packet),
            Err(Drop::GifSource)
        );
    }
    for source in [
        "10.0.0.1",
        "192.168.1.1",
        "fe80::1",
        "fd00::1",
        "2001:db8::1",
    ] {
        assert!(may_be_source(address(source)));
    }
}

#[test]
fn version_length_and_protocol_must_agree() {
    let end = other(link(ENDS[0]));
    let outer = |protocol, payload: &[u8]| ipv4("203.0.113.1", "198.51.100.1", protocol, payload);
    let [inner4, inner6] = inners();
    let judge = |mut packet: Vec<u8>| end.decapsulate(&mut packet).unwrap_err();
    assert_eq!(judge(outer(protocol::IPV6, &inner4)), Drop::InnerMalformed);
    assert_eq!(judge(outer(protocol::IPV4, &inner6)), Drop::InnerMalformed);
    assert_eq!(
        judge(outer(protocol::IPV4, &inner4[..27])),
        Drop::InnerMalformed
    );
    assert_eq!(judge(outer(protocol::IPV4, &[])), Drop::InnerMalformed);
    assert_eq!(judge(outer(protocol::UDP, &inner4)), Drop::WrongNextHeader);
    let mut fragment = outer(protocol::IPV4, &inner4);
    fragment[6] = 0x20;
    assert_eq!(judge(fragment), Drop::Fragment);
}

#[test]
fn octets_behind_the_inner_packet_are_left_out() {
    let mut inner = inners()[0].clone();
    let length = inner.len();
    inner.extend([0; 7]);
    let mut packet = ipv4("203.0.113.1", "198.51.100.1", protocol::IPV4, &inner);
    let range = other(link(ENDS[0])).decapsulate(&mut packet).unwrap();
    assert_eq!(range, 20..20 + length);
}

#[test]
fn a_friendly_link_carries_congestion_both_ways() {
    let friendly = Link {
        ecn: true,
        ..link(ENDS[1])
    };
    for mut inner in inners() {
        crate::outer::write_tos(&mut inner, 0xb8 | 2);
        let mut packet = encapsulated(&friendly, &inner);
        assert_eq!(Headers::parse(&packet).unwrap().tos, 0xba);
        crate::outer::write_tos(&mut packet, 0xb8 | 3);
        let range = other(friendly).decapsulate(&mut packet).unwrap();
        assert_eq!(Headers::parse(&packet[range]).unwrap().tos, 0xbb);

        let mut packet = encapsulated(&link(ENDS[1]), &inner);
        crate::outer::write_tos(&mut packet, 3);
        let range = other(link(ENDS[1])).decapsulate(&mut packet).unwrap();
        assert_eq!(Headers::parse(&packet[range]).unwrap().tos, 0xba);
    }
}

#[test]
fn congestion_that_cannot_be_told_drops_the_packet() {
    let friendly = Link {
        ecn: true,
        ..link(ENDS[1])
    };
    let mut packet = encapsulated(&friendly, &inners()[0]);
    crate::outer::write_tos(&mut packet, 3);
    assert_eq!(
        other(friendly).decapsulate(&mut packet),
        Err(Drop::EcnMismatch)
    );
}

#[test]
fn a_packet_that_would_grow_too_long_is_refused() {
    let inner = ipv6("2001:db8::9", "2001:db8::8", protocol::UDP, &[0; 65_476]);
    let mut out = Vec::new();
    assert_eq!(
        link(ENDS[0]).encapsulate(&inner, 1, &mut out),
        Err(Drop::TooBig)
    );
    assert_eq!(
        link(ENDS[0]).encapsulate(&[], 1, &mut out),
        Err(Drop::Truncated)
    );
}

proptest! {
    #[test]
    fn arbitrary_octets_do_no_harm(packet in octets(0..120), more in hostile_packets()) {
        for ends in ENDS {
            let any = Link { ecn: true, ..link(ends) };
            let _ = any.encapsulate(&packet, 1, &mut Vec::new());
            for packet in [&packet, &more] {
                let mut outer = Vec::new();
                let header = Outer { pair: other(any).pair, tos: 3, hop_limit: 1, dont_fragment: false, identification: 1 };
                for protocol in [protocol::IPV4, protocol::IPV6] {
                    header.begin(protocol, packet.len(), &mut outer).unwrap();
                    outer.extend(packet);
                    if let Ok(range) = any.decapsulate(&mut outer) {
                        prop_assert_eq!(Headers::parse(&outer[range.clone()]).unwrap().length, range.len());
                    }
                }
            }
        }
    }
}

/// The host's way to the other end leads through the link: one ping would go round for ever, longer each time.
#[test]
fn what_the_link_has_sent_does_not_go_in_again() {
    let links = ENDS.map(link);
    let refused = |link: &Link, packet: &[u8]| link.encapsulate(packet, 1, &mut vec![]);
    for (one, other) in [(links[0], links[1]), (links[1], links[0])] {
        let sent = encapsulated(&one, &inners()[0]);
        assert_eq!(refused(&one, &sent), Err(Drop::Looped));
        let through_another = encapsulated(&other, &sent);
        assert_eq!(refused(&one, &through_another), Err(Drop::Looped));
    }
    let mut nested = inners()[0].clone();
    for number in 0..MAX_NESTED_LINKS as u8 {
        let ours = format!("203.0.113.{}", 10 + number);
        nested = encapsulated(&link((&ours, "198.51.100.9")), &nested);
        let outcome = refused(&links[0], &nested);
        assert_eq!(outcome.is_err(), number == MAX_NESTED_LINKS as u8 - 1);
    }
}

/// What is in the link between its own two ends, and no packet of its own, is none of these.
#[test]
fn the_ends_themselves_may_speak_through_the_link() {
    let (ours, theirs) = ENDS[0];
    encapsulated(&link(ENDS[0]), &udp_between(ours, theirs, (1, 2)));
}
