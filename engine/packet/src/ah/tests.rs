use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::algorithm::{Integrity, Transform};
use crate::bundle::Step;
use crate::checksum;
use crate::headers::DontFragment;
use crate::ip::protocol;
use crate::protect::{self, Choice, Unwrapped};
use crate::sa::{FLAG_ESN, Lifetimes, Mode, SaParams};
use crate::secret::Secret;
use crate::testing::{
    INTEGRITIES, address, ah_params, extension, hostile_packets, ipv4, ipv6_with, octets,
    over_ipv6, sa, unhex,
};

const CHOICE: Choice = Choice {
    identification: 0x4242,
    dont_fragment: DontFragment::Clear,
    pad_at_most: 0,
};

fn step(params: SaParams, mode: Mode) -> Step {
    let sa = Arc::new(sa(SaParams { mode, ..params }));
    Step { sa, mode }
}

fn sealed(step: &Step, packet: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    protect::seal(step, packet, &CHOICE, &mut out, 5).unwrap();
    out
}

fn opened(step: &Step, packet: &[u8]) -> Result<Vec<u8>, Drop> {
    let mut packet = packet.to_vec();
    protect::open(&step.sa, &mut packet, false, 5)
        .map(|Unwrapped { range, .. }| packet[range].to_vec())
}

/// SHA-1 in transport mode, without a replay window.
fn unguarded(ipv6: bool) -> Step {
    let params = SaParams {
        replay_window: 0,
        ..ah_params(Integrity::HmacSha1_96)
    };
    step(
        if ipv6 { over_ipv6(params) } else { params },
        Mode::Transport,
    )
}

/// An IPv4 packet with these options.
fn with_options(options: &[u8]) -> Vec<u8> {
    let payload = [options, &[7; 24]].concat();
    let mut packet = ipv4("192.0.2.1", "192.0.2.2", protocol::UDP, &payload);
    packet[0] = 0x45 + (options.len() / 4) as u8;
    checksum::write_ipv4(&mut packet, 20 + options.len());
    packet
}

/// A routing header with addresses 2001:db8::1, ::2, ..., all of them still to come.
fn routing(kind: u8, addresses: u8) -> Vec<u8> {
    let mut header = extension(1 + 2 * usize::from(addresses));
    (header[2], header[3]) = (kind, addresses);
    for number in 0..addresses {
        let place = 8 + usize::from(number) * 16;
        header[place..place + 4].copy_from_slice(&[0x20, 1, 0x0d, 0xb8]);
        header[place + 15] = number + 1;
    }
    header
}

/// Options of which the first may change and the second may not.
fn options_header() -> Vec<u8> {
    let mut header = extension(2);
    header[2..].copy_from_slice(&[0x3e, 4, 1, 2, 3, 4, 0x1e, 3, 5, 6, 7, 0, 1, 0]);
    header[1] = 1;
    header
}

struct Vector {
    params: SaParams,
    mode: Mode,
    sequence: u64,
    inner: Vec<u8>,
    packet: Vec<u8>,
}

fn vector(line: &str) -> Vector {
    let field = |name: &str| {
        line.split(' ')
            .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
            .unwrap()
    };
    let integrity = match field("integrity") {
        "md5" => Integrity::HmacMd5_96,
        "sha1" => Integrity::HmacSha1_96,
        "sha256" => Integrity::HmacSha256_128,
        "sha384" => Integrity::HmacSha384_192,
        "sha512" => Integrity::HmacSha512_256,
        "cmac" => Integrity::AesCmac96,
        name => panic!("{name}"),
    };
    let inner = unhex(field("inner"));
    let ipv6 = match field("mode") {
        "transport" => inner[0] >> 4 == 6,
        tunnel => tunnel == "tunnel6",
    };
    let (source, destination) = match ipv6 {
        true => ("2001:db8::1", "2001:db8::2"),
        false => ("192.0.2.1", "192.0.2.2"),
    };
    Vector {
        params: SaParams {
            source: address(source),
            destination: address(destination),
            spi: 0xc0ff_ee01,
            flags: if field("esn") == "1" { FLAG_ESN } else { 0 },
            transform: Transform::Authenticated {
                integrity,
                key: Secret::new(&unhex(field("key"))),
            },
            ..ah_params(integrity)
        },
        mode: match field("mode") {
            "transport" => Mode::Transport,
            _ => Mode::Tunnel,
        },
        sequence: field("seq").parse().unwrap(),
        inner,
        packet: unhex(field("packet")),
    }
}

fn vectors() -> Vec<Vector> {
    let text = include_str!("../../tests/vectors/ah.txt");
    let vectors: Vec<_> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(vector)
        .collect();
    assert_eq!(vectors.len(), 56);
    vectors
}

#[test]
fn packets_of_another_implementation_open() {
    for vector in vectors() {
        let step = step(vector.params, vector.mode);
        step.sa.replay().advance(vector.sequence - 1).unwrap();
        assert_eq!(opened(&step, &vector.packet), Ok(vector.inner));
        assert_eq!(opened(&step, &vector.packet), Err(Drop::Replayed));
    }
}

#[test]
fn sealing_gives_what_another_implementation_gives() {
    for vector in vectors() {
        // It puts AH behind destination options for the last node; we put it before them, so that they are protected by ESP
        // too. Both are right (RFC 4302 section 3.1.1).
        if vector.mode == Mode::Transport && vector.inner[6] == protocol::DESTINATION_OPTIONS {
            continue;
        }
        let step = step(vector.params, vector.mode);
        step.sa.set_sent_sequence(vector.sequence - 1);
        assert_eq!(sealed(&step, &vector.inner), vector.packet);
    }
}

#[test]
fn the_header_fills_words_of_its_family() {
    for (integrity, ipv4, ipv6) in [
        (Integrity::HmacSha1_96, 24, 24),
        (Integrity::HmacSha256_128, 28, 32),
        (Integrity::HmacSha384_192, 36, 40),
        (Integrity::HmacSha512_256, 44, 48),
    ] {
        assert_eq!(header_octets(&sa(ah_params(integrity))), ipv4);
        assert_eq!(header_octets(&sa(over_ipv6(ah_params(integrity)))), ipv6);
        assert!(ipv6 <= MAX_OVERHEAD);
    }
    let step = step(ah_params(Integrity::HmacSha256_128), Mode::Transport);
    let packet = sealed(
        &step,
        &ipv4("192.0.2.1", "192.0.2.2", protocol::UDP, &[1; 9]),
    );
    assert_eq!((packet.len(), packet[21]), (20 + 28 + 9, 5));
    assert_eq!(spi(&packet[20..]), Some(0x1001));
    assert_eq!(spi(&packet[20..31]), None);
}

#[test]
fn padding_to_eight_octets_is_taken_over_ipv4_as_linux_sends_it() {
    let step = step(ah_params(Integrity::HmacSha256_128), Mode::Transport);
    let inner = ipv4("192.0.2.1", "192.0.2.2", protocol::UDP, &[1; 9]);
    let mut packet = sealed(&step, &inner);
    packet.splice(48..48, [9; 4]);
    packet[21] = 6;
    let front = Front {
        length: packet.len(),
        ..Front::before_upper(&inner).unwrap()
    };
    front.amend(&mut packet, protocol::AH).unwrap();
    let headers = covered::headers(&packet[..20]).unwrap();
    let sequence = Sequence {
        full: 1,
        extended: false,
    };
    let key = step.sa.cipher().integrity().unwrap();
    let icv = covering(key, &headers, &packet[20..], sequence).finish();
    packet[32..48].copy_from_slice(icv.as_ref());
    assert_eq!(opened(&step, &packet), Ok(inner));
}

#[test]
fn an_identification_of_zero_is_replaced_before_it_is_covered() {
    let step = unguarded(false);
    let mut inner = ipv4("192.0.2.1", "192.0.2.2", protocol::UDP, &[1; 9]);
    assert_eq!(sealed(&step, &inner)[4..6], [0x12, 0x34]);
    inner[4..6].fill(0);
    let packet = sealed(&step, &inner);
    assert_eq!(packet[4..6], [0x42, 0x42]);
    assert!(opened(&step, &packet).is_ok());
    let mut out = Vec::new();
    protect::seal(&step, &inner, &Choice::default(), &mut out, 5).unwrap();
    assert_eq!(out[4..6], [0, 1]);
}

/// Flip each bit of a packet and see whether it still opens: exactly if it lies in what may change.
fn each_bit(step: &Step, inner: &[u8], may_change: impl Fn(usize, u8) -> Option<bool>) {
    let packet = sealed(step, inner);
    assert!(opened(step, &packet).is_ok());
    for place in 0..packet.len() {
        for bit in 0..8 {
            let mut changed = packet.clone();
            changed[place] ^= 1 << bit;
            let result = opened(step, &changed);
            if let Some(expected) = may_change(place, bit) {
                assert_eq!(
                    result.is_ok(),
                    expected,
                    "octet {place} bit {bit}: {result:?}"
                );
            }
        }
    }
}

#[test]
fn what_may_change_over_ipv4_does_and_nothing_else() {
    // Router alert, no operation, security; record route and time stamp, which change; one that nobody knows.
    let options = [
        0x94, 4, 0, 0, 1, 0x82, 11, 0xab, 0xcd, 1, 2, 3, 4, 5, 6, 7, // immutable
        7, 7, 8, 192, 0, 2, 9, 0x44, 8, 5, 0, 1, 2, 3, 4, 0xde, 4, 9, 9, 0,
    ];
    let inner = with_options(&options);
    each_bit(&unguarded(false), &inner, |place, bit| match place {
        // A fragment is refused as such: only DF and the reserved bit may change.
        6 => Some(bit >= 6),
        7 => Some(false),
        1 | 8 | 10 | 11 => Some(true),
        // Another type or length is another option; what it makes of the rest is not foreseen here.
        36 | 37 | 43 | 44 | 51 | 52 => None,
        38..=42 | 45..=50 | 53..=54 => Some(true),
        _ => Some(false),
    });
}

/// RFC 4302 appendix A1 whole, and types that it does not know: the first list counts as it is, all else as zero.
#[test]
fn each_option_changes_or_not_as_the_appendix_says() {
    const IMMUTABLE: [u8; 5] = [130, 133, 134, 148, 149];
    let step = unguarded(false);
    for kind in (2..=255).filter(|kind| ![131, 137].contains(kind)) {
        let mut packet = sealed(&step, &with_options(&[kind, 4, 1, 2]));
        assert!(opened(&step, &packet).is_ok());
        packet[23] ^= 0xff;
        let expected = !IMMUTABLE.contains(&kind);
        assert_eq!(opened(&step, &packet).is_ok(), expected, "{kind}");
    }
}

#[test]
fn what_may_change_over_ipv6_does_and_nothing_else() {
    let chain = [
        (protocol::HOP_BY_HOP, options_header()),
        (protocol::DESTINATION_OPTIONS, options_header()),
        (protocol::ROUTING, extension(3)),
        (protocol::DESTINATION_OPTIONS, options_header()),
    ];
    let inner = ipv6_with(&chain, protocol::UDP, &[7; 20]);
    each_bit(&unguarded(true), &inner, |place, bit| match place {
        0 => Some(bit < 4),
        1..=3 | 7 => Some(true),
        // The data of the first option in the first two headers; the third lies behind AH.
        44..=47 | 60..=63 => Some(true),
        // Type and length of an option that may change do not change themselves.
        _ => Some(false),
    });
}

#[test]
fn a_source_route_is_covered_with_its_last_address_as_the_destination() {
    for kind in [131, 137] {
        let step = unguarded(false);
        let inner = with_options(&[kind, 11, 4, 192, 0, 2, 77, 192, 0, 2, 2, 0]);
        let mut packet = sealed(&step, &inner);
        // The first router, whose address the destination was, puts its own in the place of the next; then the second.
        for (pointer, next) in [(8, [192, 0, 2, 77]), (12, [192, 0, 2, 2])] {
            packet[16..20].copy_from_slice(&next);
            packet[22] = pointer;
            packet[23 + usize::from(pointer) - 8..][..4].copy_from_slice(&[10, 9, 8, 7]);
            assert!(opened(&step, &packet).is_ok());
        }
        packet[19] = 3;
        assert_eq!(opened(&step, &packet), Err(Drop::NotAuthentic));
    }
}

#[test]
fn options_that_contradict_themselves_take_no_number() {
    let step = unguarded(false);
    for options in [
        [131, 3, 3, 1],
        [131, 4, 4, 0],
        [131, 2, 1, 1],
        [7, 9, 4, 0],
        [7, 0, 0, 0],
    ] {
        let mut out = Vec::new();
        let result = protect::seal(&step, &with_options(&options), &CHOICE, &mut out, 5);
        assert_eq!(result, Err(Drop::Malformed), "{options:?}");
    }
    assert_eq!(step.sa.sent_sequence(), 0);
    assert_eq!(step.sa.drops().get(Drop::Malformed), 5);
}

#[test]
fn a_routing_header_is_covered_as_it_will_arrive() {
    for (kind, addresses) in [(0, 1), (0, 3), (2, 1)] {
        let step = unguarded(true);
        let inner = ipv6_with(
            &[(protocol::ROUTING, routing(kind, addresses))],
            protocol::UDP,
            &[7; 9],
        );
        let mut packet = sealed(&step, &inner);
        for number in 0..usize::from(addresses) {
            // RFC 2460 section 4.4: the node swaps the destination with the next address.
            let place = 48 + number * 16;
            for octet in 0..16 {
                packet.swap(24 + octet, place + octet);
            }
            packet[43] -= 1;
            packet[7] -= 1;
            assert!(opened(&step, &packet).is_ok(), "type {kind} after {number}");
        }
        assert_eq!(packet[39], addresses);
        packet[63] ^= 1;
        assert_eq!(opened(&step, &packet), Err(Drop::NotAuthentic));
    }
}

#[test]
fn a_route_that_cannot_be_foreseen_is_refused() {
    let step = unguarded(true);
    let judge = |header: Vec<u8>| {
        let inner = ipv6_with(&[(protocol::ROUTING, header)], protocol::UDP, &[7; 9]);
        protect::seal(&step, &inner, &CHOICE, &mut Vec::new(), 5).unwrap_err()
    };
    assert_eq!(judge(routing(4, 1)), Drop::AhUnpredictable);
    assert_eq!(judge(routing(3, 1)), Drop::AhUnpredictable);
    let mut more = routing(0, 1);
    more[3] = 2;
    assert_eq!(judge(more), Drop::Malformed);
    let mut odd = extension(4);
    odd[3] = 1;
    assert_eq!(judge(odd), Drop::Malformed);
    let mut options = options_header();
    options[3] = 200;
    let inner = ipv6_with(&[(protocol::HOP_BY_HOP, options)], protocol::UDP, &[7; 9]);
    let refused = protect::seal(&step, &inner, &CHOICE, &mut Vec::new(), 5);
    assert_eq!(refused, Err(Drop::Malformed));
}

#[test]
fn every_algorithm_and_both_kinds_of_number() {
    for integrity in INTEGRITIES {
        for flags in [0, FLAG_ESN] {
            let params = SaParams {
                flags,
                ..ah_params(integrity)
            };
            let inner = ipv4("192.0.2.1", "192.0.2.2", protocol::UDP, &[1; 33]);
            let step = step(params, Mode::Transport);
            assert_eq!(opened(&step, &sealed(&step, &inner)), Ok(inner));
        }
    }
}

#[test]
fn the_high_half_of_the_number_is_covered() {
    let esn = |window| {
        let params = SaParams {
            flags: FLAG_ESN,
            ..ah_params(Integrity::HmacSha1_96)
        };
        let step = step(params, Mode::Transport);
        step.sa.replay().advance(window).unwrap();
        step
    };
    let sender = esn(1);
    sender.sa.set_sent_sequence(0x3_0000_0004);
    let packet = sealed(
        &sender,
        &ipv4("192.0.2.1", "192.0.2.2", protocol::UDP, &[1; 33]),
    );
    assert!(opened(&esn(0x3_0000_0001), &packet).is_ok());
    assert_eq!(
        opened(&esn(0x2_0000_0001), &packet),
        Err(Drop::NotAuthentic)
    );
}

#[test]
fn only_an_authentic_packet_moves_the_window() {
    let step = step(ah_params(Integrity::HmacSha1_96), Mode::Transport);
    let inner = ipv4("192.0.2.1", "192.0.2.2", protocol::UDP, &[1; 33]);
    let packets: Vec<_> = (0..3).map(|_| sealed(&step, &inner)).collect();
    let mut forged = packets[2].clone();
    forged[40] ^= 1;
    assert_eq!(opened(&step, &forged), Err(Drop::NotAuthentic));
    assert_eq!(step.sa.replay_state().top(), 0);
    assert!(opened(&step, &packets[1]).is_ok());
    let mut replayed = packets[1].clone();
    replayed[40] ^= 1;
    assert_eq!(opened(&step, &replayed), Err(Drop::Replayed));
    assert!(opened(&step, &packets[0]).is_ok() && opened(&step, &packets[2]).is_ok());
    assert_eq!(step.sa.drops().get(Drop::Replayed), 1);
    assert_eq!(step.sa.usage().packets, 6);
}

#[test]
fn a_hard_limit_ends_both_directions() {
    let lifetimes = Lifetimes {
        hard_packets: 1,
        ..Lifetimes::NONE
    };
    let params = SaParams {
        lifetimes,
        ..ah_params(Integrity::HmacSha1_96)
    };
    let [sender, receiver] = [(); 2].map(|()| step(params.clone(), Mode::Transport));
    let other = step(ah_params(Integrity::HmacSha1_96), Mode::Transport);
    let inner = ipv4("192.0.2.1", "192.0.2.2", protocol::UDP, &[1; 33]);
    sealed(&other, &inner);
    let packets = [sealed(&sender, &inner), sealed(&other, &inner)];
    let refused = protect::seal(&sender, &inner, &CHOICE, &mut Vec::new(), 5);
    assert_eq!(refused, Err(Drop::SaExpired));
    let results = packets.map(|packet| opened(&receiver, &packet).map(drop));
    assert_eq!(results, [Ok(()), Err(Drop::SaExpired)]);
}

#[test]
fn fragments_are_refused_both_ways() {
    let step = unguarded(false);
    let mut inner = ipv4("192.0.2.1", "192.0.2.2", protocol::UDP, &[1; 33]);
    let mut packet = sealed(&step, &inner);
    inner[6] = 0x20;
    let refused = protect::seal(&step, &inner, &CHOICE, &mut Vec::new(), 5);
    assert_eq!(refused, Err(Drop::Fragment));
    packet[6] = 0x20;
    assert_eq!(opened(&step, &packet), Err(Drop::Fragment));
}

#[test]
fn every_length_of_a_short_packet_is_judged() {
    for integrity in INTEGRITIES {
        for ipv6 in [false, true] {
            let params = ah_params(integrity);
            let step = step(if ipv6 { over_ipv6(params) } else { params }, Mode::Any);
            for length in 0..=64usize {
                for field in 0..=u8::MAX {
                    let mut upper = vec![field; length];
                    if length > 1 {
                        upper[1] = field;
                    }
                    let packet = match ipv6 {
                        true => ipv6_with(&[], protocol::AH, &upper),
                        false => ipv4("192.0.2.1", "192.0.2.2", protocol::AH, &upper),
                    };
                    assert!(opened(&step, &packet).is_err());
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn what_is_sealed_opens_again(
        payload in octets(0..300), ipv6 in any::<bool>(), tunnel in any::<bool>(), which in 0..INTEGRITIES.len(),
    ) {
        let params = ah_params(INTEGRITIES[which]);
        let mode = if tunnel { Mode::Tunnel } else { Mode::Transport };
        let step = step(if ipv6 { over_ipv6(params) } else { params }, mode);
        let inner = match ipv6 {
            true => ipv6_with(&[(protocol::HOP_BY_HOP, options_header())], protocol::UDP, &payload),
            false => ipv4("192.0.2.1", "192.0.2.2", protocol::UDP, &payload),
        };
        prop_assert_eq!(opened(&step, &sealed(&step, &inner)), Ok(inner));
    }

    #[test]
    fn arbitrary_octets_do_no_harm(packet in octets(0..200), more in hostile_packets()) {
        let (step4, step6) = (unguarded(false), unguarded(true));
        for packet in [packet, more] {
            for step in [&step4, &step6] {
                let _ = protect::seal(step, &packet, &CHOICE, &mut Vec::new(), 1);
                prop_assert!(opened(step, &packet).is_err());
            }
        }
    }
}
