use proptest::prelude::*;

use super::*;
use crate::algorithm::Transform;
use crate::sa::{FLAG_ESN, Lifetimes, SaParams};
use crate::testing::{gcm_params, octets, pair, params, sa, transforms};

fn sealed(sa: &Sa, inner: &[u8]) -> Vec<u8> {
    let mut out = vec![0xee; inner.len() + MAX_OVERHEAD];
    let length = seal(sa, inner, protocol::IPV4, &mut out, 5).unwrap();
    out.truncate(length);
    out
}

/// Every transform, with extended sequence numbers and without.
fn with_and_without_esn() -> Vec<(Transform, u8)> {
    let both = |transform: Transform| [(transform.clone(), 0), (transform, FLAG_ESN)];
    transforms().into_iter().flat_map(both).collect()
}

#[test]
fn what_is_sealed_opens_again_with_every_transform() {
    for (transform, flags) in with_and_without_esn() {
        let (out, inward) = pair(SaParams {
            flags,
            ..params(transform)
        });
        for length in [0, 1, 2, 3, 13, 14, 15, 16, 17, 84, 1400, 65_000] {
            let inner: Vec<u8> = (0..length).map(|index| index as u8).collect();
            let mut packet = sealed(&out, &inner);
            assert_eq!(packet.len(), sealed_length(&out, length));
            assert_eq!(spi(&packet), Some(0x1001));
            let opened = open(&inward, &mut packet, 9).unwrap();
            assert_eq!(
                (&packet[opened.payload], opened.next_header),
                (&inner[..], protocol::IPV4)
            );
        }
        assert_eq!(inward.usage().packets, 12);
        assert_eq!(
            (inward.usage().first_use_s, out.usage().first_use_s),
            (9, 5)
        );
    }
}

#[test]
fn a_packet_that_lies_in_its_place_is_sealed_to_something_that_opens() {
    for transform in transforms() {
        let (out, inward) = pair(params(transform));
        for length in [0usize, 1, 20, 77, 1400] {
            let inner: Vec<u8> = (0..length).map(|index| index as u8).collect();
            let mut packet = vec![0; length + MAX_OVERHEAD];
            packet[payload_offset(&out)..][..length].copy_from_slice(&inner);
            let total = seal_in_place(&out, &mut packet, length, protocol::IPV6, 1).unwrap();
            let opened = open(&inward, &mut packet[..total], 1).unwrap();
            assert_eq!(
                (&packet[opened.payload], opened.next_header),
                (&inner[..], protocol::IPV6)
            );
        }
    }
}

#[test]
fn in_place_and_from_elsewhere_give_the_same_octets() {
    let counted = |transform: &Transform| transform.counter_key().is_some();
    for transform in transforms().into_iter().filter(counted) {
        let inner = [7u8; 100];
        let (first, second) = (sa(params(transform.clone())), sa(params(transform)));
        let mut packet = vec![0; 100 + MAX_OVERHEAD];
        packet[payload_offset(&first)..][..100].copy_from_slice(&inner);
        let total = seal_in_place(&first, &mut packet, 100, protocol::IPV4, 1).unwrap();
        assert_eq!(packet[..total], sealed(&second, &inner));
    }
}

#[test]
fn a_change_of_any_octet_is_refused_and_moves_nothing() {
    for (transform, flags) in with_and_without_esn() {
        let (out, inward) = pair(SaParams {
            flags,
            ..params(transform)
        });
        sealed(
            &out,
            b"the first number is not used: its neighbour 0 is refused for another reason",
        );
        let original = sealed(&out, b"forty octets, more or less, of a payload");
        for place in 0..original.len() {
            for bit in [0x01, 0x80] {
                let mut packet = original.clone();
                packet[place] ^= bit;
                assert_eq!(
                    open(&inward, &mut packet, 1),
                    Err(Drop::NotAuthentic),
                    "octet {place}"
                );
            }
        }
        assert_eq!(inward.replay_state().top(), 0);
        assert!(open(&inward, &mut original.clone(), 1).is_ok());
        assert_eq!(
            inward.drops().get(Drop::NotAuthentic),
            2 * original.len() as u64
        );
    }
}

/// The high half is not sent, and yet a packet of another is refused.
#[test]
fn the_high_half_is_authenticated_with_every_transform() {
    for transform in transforms() {
        let (out, inward) = pair(SaParams {
            flags: FLAG_ESN,
            ..params(transform)
        });
        out.set_sent_sequence(0x7_0000_0004);
        let packet = sealed(&out, b"x");
        assert_eq!(
            open(&inward, &mut packet.clone(), 1),
            Err(Drop::NotAuthentic)
        );
        inward.replay().advance(0x7_0000_0001).unwrap();
        let opened = open(&inward, &mut packet.clone(), 1).unwrap();
        assert_eq!(opened.sequence, 0x7_0000_0005);
    }
}

#[test]
fn every_duplicate_is_dropped_by_name() {
    let (out, inward) = pair(gcm_params());
    let packets: Vec<_> = (0..200).map(|_| sealed(&out, b"x")).collect();
    for packet in &packets {
        assert!(open(&inward, &mut packet.clone(), 1).is_ok());
    }
    let reasons: Vec<_> = packets
        .iter()
        .map(|packet| open(&inward, &mut packet.clone(), 1).unwrap_err())
        .collect();
    assert!(
        reasons[..136]
            .iter()
            .all(|&reason| reason == Drop::OutsideWindow)
    );
    assert!(
        reasons[136..]
            .iter()
            .all(|&reason| reason == Drop::Replayed)
    );
}

#[test]
fn extended_numbers_pass_the_end_of_the_low_half() {
    let (out, inward) = pair(SaParams {
        flags: FLAG_ESN,
        ..gcm_params()
    });
    out.set_sent_sequence(u64::from(u32::MAX) - 2);
    inward.replay().advance(u64::from(u32::MAX) - 2).unwrap();
    let sequences: Vec<_> = (0..5)
        .map(|_| open(&inward, &mut sealed(&out, b"x"), 1).unwrap().sequence)
        .collect();
    assert_eq!(
        sequences,
        (0xffff_fffe..0x1_0000_0003).collect::<Vec<u64>>()
    );
}

#[test]
fn the_last_number_is_sent_and_none_after_it() {
    let out = sa(gcm_params());
    out.set_sent_sequence(u64::from(u32::MAX) - 1);
    let mut room = [0; 100];
    assert!(seal(&out, b"x", protocol::IPV4, &mut room, 1).is_ok());
    for _ in 0..3 {
        assert_eq!(
            seal(&out, b"x", protocol::IPV4, &mut room, 1),
            Err(Drop::SequenceExhausted)
        );
    }
}

#[test]
fn a_hard_limit_ends_both_directions() {
    let lifetimes = Lifetimes {
        hard_packets: 2,
        ..Lifetimes::NONE
    };
    let (out, inward) = pair(SaParams {
        lifetimes,
        ..gcm_params()
    });
    let other = sa(gcm_params());
    other.set_sent_sequence(2);
    let packets = [sealed(&out, b"x"), sealed(&out, b"x"), sealed(&other, b"x")];
    assert_eq!(
        seal(&out, b"x", protocol::IPV4, &mut [0; 100], 1),
        Err(Drop::SaExpired)
    );
    let results = packets.map(|mut packet| open(&inward, &mut packet, 1).map(|_| ()));
    assert_eq!(results, [Ok(()), Ok(()), Err(Drop::SaExpired)]);
}

#[test]
fn no_room_is_said_before_a_number_is_used() {
    let out = sa(gcm_params());
    assert_eq!(
        seal(&out, &[0; 100], protocol::IPV4, &mut [0; 100], 1),
        Err(Drop::TooBig)
    );
    assert_eq!(out.sent_sequence(), 0);
}

#[test]
fn a_dummy_is_dropped_and_its_number_is_used_up() {
    let (out, inward) = pair(gcm_params());
    let mut packet = vec![0; 100];
    let length = seal(&out, b"", protocol::NONE, &mut packet, 1).unwrap();
    assert_eq!(
        open(&inward, &mut packet[..length].to_vec(), 1),
        Err(Drop::Dummy)
    );
    assert_eq!(open(&inward, &mut packet[..length], 1), Err(Drop::Replayed));
}

fn padded(pad_to: usize) -> Content {
    Content {
        next_header: protocol::IPV4,
        pad_to,
    }
}

#[test]
fn a_flow_is_padded_with_zeros_that_open_behind_the_payload() {
    for transform in transforms() {
        let (out, inward) = pair(params(transform));
        for (length, pad_to) in [(20, 100), (0, 1), (99, 100), (100, 100), (101, 100)] {
            let inner = vec![7; length];
            let octets = padded(pad_to).payload_octets(&out, length);
            assert_eq!(octets, length.max(pad_to));
            let mut packet = vec![0xee; sealed_length(&out, octets)];
            let total = seal(&out, &inner, padded(pad_to), &mut packet, 1);
            assert_eq!(total, Ok(packet.len()));
            let opened = open(&inward, &mut packet, 1).unwrap();
            let payload = &packet[opened.payload];
            assert_eq!(payload[..length], inner);
            assert_eq!(payload[length..], vec![0; octets - length]);
        }
        assert_eq!(out.usage().octets, 20 + 99 + 100 + 101);
    }
}

#[test]
fn padding_a_flow_in_place_gives_the_same_octets() {
    let (first, second) = (sa(gcm_params()), sa(gcm_params()));
    let mut packet = [0xee; 300];
    packet[payload_offset(&first)..][..20].fill(7);
    let total = seal_in_place(&first, &mut packet, 20, padded(200), 1).unwrap();
    let mut other = [0; 300];
    seal(&second, &[7; 20], padded(200), &mut other, 1).unwrap();
    assert_eq!(packet[..total], other[..total]);
}

#[test]
fn only_whole_packets_in_tunnel_mode_are_padded() {
    let transport = sa(SaParams {
        mode: Mode::Transport,
        ..gcm_params()
    });
    assert_eq!(padded(200).payload_octets(&transport, 20), 20);
    let udp = Content {
        next_header: protocol::UDP,
        pad_to: 200,
    };
    assert_eq!(udp.payload_octets(&sa(gcm_params()), 20), 20);
}

#[test]
fn padding_a_flow_beyond_the_room_is_refused() {
    let out = sa(gcm_params());
    let mut room = [0; 200];
    assert_eq!(
        seal(&out, b"x", padded(200), &mut room, 1),
        Err(Drop::TooBig)
    );
    assert_eq!(
        seal(&out, b"x", padded(usize::MAX), &mut room, 1),
        Err(Drop::TooBig)
    );
    assert_eq!(out.sent_sequence(), 0);
}

/// Seal a body with a trailer of one's own.
fn sealed_body(sa: &Sa, body: &[u8]) -> Vec<u8> {
    let mut packet =
        vec![0; ESP_HEADER + sa.cipher().iv_octets() + body.len() + sa.cipher().icv_octets()];
    packet[3] = 1;
    packet[7] = 1;
    let sequence = Sequence {
        full: 1,
        extended: false,
    };
    sa.cipher()
        .seal(
            sequence,
            &mut packet,
            Some(&body[..body.len() - 2]),
            &body[body.len() - 2..],
        )
        .unwrap();
    packet
}

#[test]
fn the_longest_padding_is_taken() {
    let inward = sa(gcm_params());
    let padded: Vec<u8> = [9, 9, 9]
        .into_iter()
        .chain(1..=255)
        .chain([255, 4])
        .collect();
    let opened = open(&inward, &mut sealed_body(&inward, &padded), 1).unwrap();
    assert_eq!(opened.payload.len(), 3);
}

#[test]
fn a_trailer_that_no_sender_writes_is_refused() {
    // Too much padding; padding that does not count up; padding that begins with 0.
    for body in [
        [9, 9, 9, 9, 9, 9, 7, 4],
        [9, 9, 9, 9, 1, 3, 2, 4],
        [9, 9, 9, 0, 1, 2, 3, 4],
    ] {
        let inward = sa(gcm_params());
        assert_eq!(
            open(&inward, &mut sealed_body(&inward, &body), 1),
            Err(Drop::BadPadding),
            "{body:?}"
        );
    }
    // One octet more than there is, and the last octet of the IV looks like padding.
    let inward = sa(gcm_params());
    let too_long = sealed_body(&inward, &[2, 3, 4, 5, 6, 7, 7, 4]);
    assert_eq!(too_long[15], 1);
    assert_eq!(
        open(&inward, &mut too_long.clone(), 1),
        Err(Drop::BadPadding)
    );
    let inward = sa(gcm_params());
    let all_padding = [1, 2, 3, 4, 5, 6, 6, 4];
    assert!(
        open(&inward, &mut sealed_body(&inward, &all_padding), 1)
            .unwrap()
            .payload
            .is_empty()
    );
}

#[test]
fn what_is_longer_than_any_packet_is_refused() {
    let inward = sa(gcm_params());
    let longest = &mut vec![1; MAX_PACKET_OCTETS + 1];
    assert_eq!(open(&inward, longest, 1), Err(Drop::TooBig));
    let shorter = &mut longest[..65_532];
    assert_eq!(open(&inward, shorter, 1), Err(Drop::NotAuthentic));
}

/// Every length from none to one that holds a whole packet of any transform, of octets that say all or nothing.
#[test]
fn every_short_length_is_dropped_by_name() {
    let named = [
        Drop::Truncated,
        Drop::BadPadding,
        Drop::OutsideWindow,
        Drop::NotAuthentic,
    ];
    for (transform, flags) in with_and_without_esn() {
        let inward = sa(SaParams {
            flags,
            ..params(transform)
        });
        for length in 0..=96 {
            for octet in [0x00, 0x01, 0xff] {
                let reason = open(&inward, &mut vec![octet; length], 1).unwrap_err();
                assert!(named.contains(&reason), "{length}: {reason:?}");
            }
        }
        assert_eq!(inward.replay_state().top(), 0);
    }
}

/// What is shorter than a packet with an empty payload is judged by its length alone.
#[test]
fn the_shortest_packet_is_that_of_an_empty_payload() {
    for transform in transforms() {
        let (out, inward) = pair(params(transform));
        let shortest = sealed(&out, b"");
        for length in 0..shortest.len() {
            let reason = open(&inward, &mut shortest[..length].to_vec(), 1);
            assert_eq!(reason, Err(Drop::Truncated));
        }
        assert!(open(&inward, &mut shortest.clone(), 1).is_ok());
    }
}

#[test]
fn the_capacity_is_the_most_that_fits() {
    for transform in transforms() {
        let out = sa(params(transform));
        for sealed in [100, 1372, 1373, 1400, 1472, 1480] {
            let inner = inner_capacity(&out, sealed);
            assert!(
                sealed_length(&out, inner) <= sealed && sealed_length(&out, inner + 1) > sealed
            );
        }
        assert_eq!(inner_capacity(&out, 10), 0);
    }
}

fn any_transform(which: proptest::sample::Index) -> Transform {
    which.get(&transforms()).clone()
}

proptest! {
    #[test]
    fn no_octets_make_it_panic(mut packet in octets(0..65), which in any::<proptest::sample::Index>()) {
        let inward = sa(params(any_transform(which)));
        prop_assert!(open(&inward, &mut packet, 1).is_err());
    }

    #[test]
    fn a_cut_packet_is_refused(inner in octets(0..200), which in any::<proptest::sample::Index>(), cut in 1usize..200) {
        let (out, inward) = pair(params(any_transform(which)));
        let mut packet = sealed(&out, &inner);
        packet.truncate(packet.len().saturating_sub(cut));
        prop_assert!(open(&inward, &mut packet, 1).is_err());
    }

    #[test]
    fn any_payload_comes_back(inner in octets(0..2000), which in any::<proptest::sample::Index>(), esn in any::<bool>(), pad_to in 0usize..2000) {
        let flags = if esn { FLAG_ESN } else { 0 };
        let (out, inward) = pair(SaParams { flags, ..params(any_transform(which)) });
        let mut packet = vec![0; 2000 + MAX_OVERHEAD];
        let total = seal(&out, &inner, padded(pad_to), &mut packet, 1).unwrap();
        let opened = open(&inward, &mut packet[..total], 1).unwrap();
        prop_assert_eq!(opened.payload.len(), inner.len().max(pad_to));
        prop_assert_eq!(&packet[opened.payload][..inner.len()], &inner[..]);
    }

    #[test]
    fn any_flipped_bit_is_refused(inner in octets(0..300), which in any::<proptest::sample::Index>(), esn in any::<bool>(), at in any::<proptest::sample::Index>(), bit in 0u8..8) {
        let flags = if esn { FLAG_ESN } else { 0 };
        let (out, inward) = pair(SaParams { flags, ..params(any_transform(which)) });
        let mut packet = sealed(&out, &inner);
        let at = at.index(packet.len());
        packet[at] ^= 1 << bit;
        prop_assert!(open(&inward, &mut packet, 1).is_err());
        prop_assert_eq!(inward.replay_state().top(), 0);
    }
}
