use proptest::prelude::*;

use super::*;
use crate::ip::u32_at;
use crate::testing::{extension, hostile_packets, ipv4, ipv6, ipv6_with, octets};

fn cut(packet: &[u8], mtu: usize) -> Result<Vec<Vec<u8>>, Drop> {
    let fragments = Fragments::new(packet, mtu, 0x0badcafe)?;
    let mut out = Vec::new();
    Ok((0..fragments.count())
        .map(|number| {
            fragments.write(number, &mut out);
            out.clone()
        })
        .collect())
}

fn plain(payload: &[u8]) -> Vec<u8> {
    ipv4("192.0.2.1", "192.0.2.2", protocol::UDP, payload)
}

/// An IPv4 packet with these options.
fn with_options(options: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut packet = plain(&[options, payload].concat());
    packet[0] = 0x45 + (options.len() / 4) as u8;
    checksum::write_ipv4(&mut packet, 20 + options.len());
    packet
}

/// What a receiver puts together, the slow way: octet by octet, in any order of arrival.
fn reassembled(fragments: &[Vec<u8>]) -> Vec<u8> {
    let mut payload: Vec<Option<u8>> = Vec::new();
    let mut end = None;
    for fragment in fragments {
        let (offset, more, part) = parts(fragment);
        if !more {
            assert_eq!(end.replace(offset + part.len()), None, "two ends");
        } else {
            assert_eq!(part.len() % 8, 0);
        }
        payload.resize(payload.len().max(offset + part.len()), None);
        for (place, &octet) in payload[offset..].iter_mut().zip(part) {
            assert_eq!(place.replace(octet), None, "fragments overlap");
        }
    }
    assert_eq!(end, Some(payload.len()));
    payload
        .into_iter()
        .map(|octet| octet.expect("a hole"))
        .collect()
}

/// Offset, more, and payload of a fragment.
fn parts(fragment: &[u8]) -> (usize, bool, &[u8]) {
    if fragment[0] >> 4 == 4 {
        let header = usize::from(fragment[0] & 15) * 4;
        assert_eq!(checksum::checksum(&fragment[..header]), 0);
        assert_eq!(usize::from(u16_at(fragment, 2)), fragment.len());
        let field = u16_at(fragment, 6);
        return (
            usize::from(field & 0x1fff) * 8,
            field & 0x2000 != 0,
            &fragment[header..],
        );
    }
    assert_eq!(usize::from(u16_at(fragment, 4)) + 40, fragment.len());
    let mut unfragmentable = fragment.to_vec();
    let at = fragment_header_at(fragment);
    unfragmentable.truncate(at);
    let field = u16_at(fragment, at + 2);
    assert_eq!(
        (fragment[at + 1], u32_at(fragment, at + 4)),
        (0, 0x0badcafe)
    );
    (usize::from(field & !7), field & 1 != 0, &fragment[at + 8..])
}

fn fragment_header_at(fragment: &[u8]) -> usize {
    crate::headers::Extensions::of(fragment)
        .map(Result::unwrap)
        .find(|extension| extension.protocol == protocol::FRAGMENT)
        .unwrap()
        .start
}

#[test]
fn what_fits_stays_as_it_is() {
    let packet = plain(&[7; 100]);
    assert_eq!(
        cut(&packet, 120).unwrap()[..],
        *std::slice::from_ref(&packet)
    );
    let mut behind = packet.clone();
    behind.extend([1; 50]);
    assert_eq!(cut(&behind, 120).unwrap(), [packet]);
}

#[test]
fn a_packet_is_cut_at_multiples_of_eight() {
    let lengths = |payload, mtu| -> Vec<usize> {
        cut(&plain(&vec![1; payload]), mtu)
            .unwrap()
            .iter()
            .map(Vec::len)
            .collect()
    };
    assert_eq!(lengths(101, 120), [116, 25]);
    assert_eq!(lengths(1480, 1499), [1492, 28]);
    assert_eq!(lengths(96 + 96, 116), [116, 116]);
}

#[test]
fn only_copied_options_go_with_later_fragments() {
    // Record route (not copied), no operation, router alert (copied), end.
    let options = [7, 7, 4, 0, 0, 0, 0, 1, 0x94, 4, 0, 0, 0, 0, 0, 0];
    let fragments = cut(&with_options(&options, &[5; 200]), 120).unwrap();
    assert_eq!(fragments[0][20..36], options);
    for later in &fragments[1..] {
        assert_eq!((later[0], &later[20..24]), (0x46, &[0x94, 4, 0, 0][..]));
    }
    assert_eq!(reassembled(&fragments), [5; 200]);
}

#[test]
fn copied_options_are_filled_up_to_a_word() {
    let options = [0x82, 3, 9, 0x94, 4, 0, 0, 0];
    let fragments = cut(&with_options(&options, &[5; 200]), 120).unwrap();
    assert_eq!(
        (fragments[1][0], &fragments[1][20..28]),
        (0x47, &options[..])
    );
}

#[test]
fn options_that_contradict_themselves_are_refused() {
    for options in [[7, 0, 0, 0], [7, 1, 0, 0], [7, 5, 0, 0], [1, 1, 1, 7]] {
        let packet = with_options(&options, &[5; 200]);
        assert_eq!(cut(&packet, 120), Err(Drop::Malformed), "{options:?}");
    }
}

#[test]
fn a_fragment_is_cut_into_fragments_of_the_whole() {
    let whole = plain(&(0..=255).cycle().take(3_000).collect::<Vec<u8>>());
    let coarse = cut(&whole, 1_000).unwrap();
    let fine: Vec<_> = coarse
        .iter()
        .flat_map(|part| cut(part, 300).unwrap())
        .collect();
    assert!(fine.len() > coarse.len() && fine.iter().all(|part| part.len() <= 300));
    assert_eq!(reassembled(&fine), whole[20..]);
}

#[test]
fn identification_is_kept_or_given() {
    let mut packet = plain(&[0; 200]);
    assert!(
        cut(&packet, 100)
            .unwrap()
            .iter()
            .all(|part| part[4..6] == [0x12, 0x34])
    );
    packet[4..6].fill(0);
    assert!(
        cut(&packet, 100)
            .unwrap()
            .iter()
            .all(|part| part[4..6] == [0xca, 0xfe])
    );
}

#[test]
fn what_must_not_be_cut_is_too_big() {
    let mut packet = plain(&[0; 200]);
    assert_eq!(cut(&packet, 67), Err(Drop::TooBig));
    assert_eq!(cut(&packet, 0), Err(Drop::TooBig));
    packet[6] = 0x40;
    assert_eq!(cut(&packet, 100), Err(Drop::TooBig));
    let packet = ipv6("2001:db8::1", "2001:db8::2", protocol::UDP, &[0; 1_400]);
    assert_eq!(cut(&packet, 1_279), Err(Drop::TooBig));
}

#[test]
fn a_fragment_that_would_end_behind_the_longest_packet_is_refused() {
    // 65,535 octets less a header of 20 and 8,179 units of 8.
    for (payload, fits) in [(83, true), (84, false)] {
        let mut packet = plain(&vec![0; payload]);
        packet[6..8].copy_from_slice(&8_179u16.to_be_bytes());
        assert_eq!(cut(&packet, 68).is_ok(), fits, "{payload}");
    }
    let mut packet = plain(&[0; 200]);
    packet[6..8].copy_from_slice(&[0x1f, 0xff]);
    assert_eq!(cut(&packet, 100), Err(Drop::Malformed));
}

#[test]
fn ipv6_fragments_keep_what_each_hop_needs() {
    let chain = [
        (protocol::HOP_BY_HOP, extension(1)),
        (protocol::ROUTING, extension(3)),
        (protocol::DESTINATION_OPTIONS, extension(2)),
    ];
    let packet = ipv6_with(&chain, protocol::UDP, &[3; 3_000]);
    let fragments = cut(&packet, 1_280).unwrap();
    for fragment in &fragments {
        assert!(fragment.len() <= 1_280);
        assert_eq!(fragment_header_at(fragment), 72);
        assert_eq!(fragment[48], protocol::FRAGMENT);
        assert_eq!(fragment[72], protocol::DESTINATION_OPTIONS);
    }
    assert_eq!(reassembled(&fragments), packet[72..]);
}

#[test]
fn ipv6_is_not_cut_twice_nor_within_its_headers() {
    let fragment = ipv6_with(
        &[(protocol::FRAGMENT, extension(1))],
        protocol::UDP,
        &[3; 3_000],
    );
    assert_eq!(cut(&fragment, 1_280), Err(Drop::Fragment));
    let long = ipv6_with(
        &[(protocol::DESTINATION_OPTIONS, extension(200))],
        protocol::UDP,
        &[3; 3_000],
    );
    assert_eq!(cut(&long, 1_280), Err(Drop::TooBig));
    let long = ipv6_with(
        &[(protocol::HOP_BY_HOP, extension(200))],
        protocol::UDP,
        &[3; 3_000],
    );
    assert_eq!(cut(&long, 1_280), Err(Drop::TooBig));
}

#[test]
fn the_longest_packet_over_the_least_mtu_is_bounded() {
    let packet = with_options(&[1; 40], &vec![0; 65_475]);
    assert_eq!(cut(&packet, 68).unwrap().len(), 8_185);
}

proptest! {
    #[test]
    fn what_is_put_together_is_the_packet(
        payload in octets(0..6_000), ipv4 in any::<bool>(), mtu in 68usize..3_000, seed in any::<usize>(),
    ) {
        let (packet, mtu, front) = match ipv4 {
            true => (plain(&payload), mtu, 20),
            false => (ipv6_with(&[(protocol::HOP_BY_HOP, extension(1))], protocol::UDP, &payload), mtu + 1_212, 48),
        };
        let mut fragments = cut(&packet, mtu).unwrap();
        prop_assert!(fragments.iter().all(|fragment| fragment.len() <= mtu));
        if fragments.len() > 1 {
            let places = fragments.len();
            fragments.rotate_left(seed % places);
            prop_assert_eq!(&reassembled(&fragments), &packet[front..]);
        } else {
            prop_assert_eq!(&fragments[0], &packet);
        }
    }

    #[test]
    fn arbitrary_octets_do_no_harm(packet in octets(0..200), more in hostile_packets(), mtu in 0usize..200) {
        for packet in [packet, more] {
            for fragment in cut(&packet, mtu).into_iter().flatten() {
                prop_assert!(fragment.len() <= mtu);
            }
        }
    }
}
