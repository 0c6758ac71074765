use proptest::prelude::*;

use super::*;
use crate::algorithm::Integrity;
use crate::headers::HOP_LIMIT;
use crate::ip::protocol;
use crate::sa::{Encap, SaParams};
use crate::testing::{
    INTEGRITIES, ah_params, extension, hostile_packets, ipv4, ipv6_with, octets, over_ipv6, params,
    sa, transforms,
};

const CHOICE: Choice = Choice {
    identification: 0x4242,
    dont_fragment: DontFragment::Copy,
    pad_at_most: 0,
};

/// The first SA of ESP, AES-GCM, in `some`.
const ESP: usize = INTEGRITIES.len();

fn step(params: SaParams, mode: Mode) -> Step {
    let sa = Arc::new(sa(SaParams { mode, ..params }));
    Step { sa, mode }
}

/// The SAs of `some`: first those of AH.
fn kinds() -> std::ops::Range<usize> {
    0..INTEGRITIES.len() + transforms().len()
}

/// AH or ESP by number, over IPv6 or not.
fn some(which: usize, ipv6: bool) -> SaParams {
    let params = match INTEGRITIES.get(which) {
        Some(&integrity) => ah_params(integrity),
        None => params(transforms()[which - INTEGRITIES.len()].clone()),
    };
    if ipv6 { over_ipv6(params) } else { params }
}

fn packet_of(ipv6: bool, payload: &[u8]) -> Vec<u8> {
    match ipv6 {
        true => ipv6_with(
            &[(protocol::HOP_BY_HOP, extension(1))],
            protocol::UDP,
            payload,
        ),
        false => ipv4("192.0.2.1", "192.0.2.2", protocol::UDP, payload),
    }
}

/// Apply steps in their order.
fn sealed(steps: &[Step], packet: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    for step in steps {
        let mut out = Vec::new();
        let place = seal(step, &packet, &CHOICE, &mut out, 5).unwrap();
        let number = step.sa.params().spi.to_be_bytes();
        let spi_at = match step.sa.params().protocol {
            Protocol::Esp => place,
            Protocol::Ah => place + 4,
        };
        assert_eq!(out[spi_at..spi_at + 4], number);
        packet = out;
    }
    packet
}

/// Take them off again, the last first.
fn opened(steps: &[Step], mut packet: Vec<u8>) -> Result<Vec<u8>, Drop> {
    for step in steps.iter().rev() {
        let unwrapped = open(&step.sa, &mut packet, false, 5)?;
        packet = packet[unwrapped.range].to_vec();
        assert_eq!(Headers::parse(&packet), Ok(unwrapped.headers));
        assert_eq!(unwrapped.step.mode, step.mode);
    }
    Ok(packet)
}

#[test]
fn each_family_goes_through_each_family() {
    for which in kinds() {
        for (inside, outside) in [(false, false), (false, true), (true, false), (true, true)] {
            let steps = [step(some(which, outside), Mode::Tunnel)];
            let inner = packet_of(inside, &[3; 50]);
            let outer = sealed(&steps, &inner);
            let headers = Headers::parse(&outer).unwrap();
            assert_eq!(headers.destination, steps[0].sa.params().destination);
            assert_eq!(headers.protocol, steps[0].sa.params().protocol.number());
            assert_eq!(
                (headers.hop_limit, headers.length),
                (HOP_LIMIT, outer.len())
            );
            assert_eq!(opened(&steps, outer), Ok(inner));
        }
    }
}

#[test]
fn ah_over_esp_and_esp_in_esp() {
    let ah = |mode| step(ah_params(Integrity::HmacSha256_128), mode);
    let esp = |which, mode| step(some(ESP + which, false), mode);
    use Mode::{Transport, Tunnel};
    let bundles = [
        vec![esp(0, Transport), ah(Transport)],
        vec![esp(0, Tunnel), ah(Transport)],
        vec![esp(4, Tunnel), esp(0, Transport)],
        vec![esp(4, Transport), esp(3, Tunnel)],
        vec![ah(Tunnel), esp(0, Tunnel)],
        (0..6).map(|which| esp(which, Transport)).collect(),
    ];
    for steps in bundles {
        let inner = packet_of(false, &[3; 50]);
        let packet = sealed(&steps, &inner);
        assert_eq!(opened(&steps, packet), Ok(inner));
    }
}

#[test]
fn an_sa_of_either_mode_goes_by_what_is_inside() {
    for which in [1, ESP, ESP + 4] {
        let sa = Arc::new(sa(SaParams {
            mode: Mode::Any,
            ..some(which, false)
        }));
        let inner = packet_of(false, &[3; 50]);
        for mode in [Mode::Tunnel, Mode::Transport] {
            let steps = [Step {
                sa: Arc::clone(&sa),
                mode,
            }];
            assert_eq!(opened(&steps, sealed(&steps, &inner)), Ok(inner.clone()));
        }
    }
}

#[test]
fn only_the_protocol_of_the_sa_is_opened() {
    let (esp, ah) = (
        step(some(ESP, false), Mode::Tunnel),
        step(some(1, false), Mode::Tunnel),
    );
    let mut packet = sealed(std::slice::from_ref(&esp), &packet_of(false, &[1; 9]));
    let refused = open(&ah.sa, &mut packet, false, 1).unwrap_err();
    assert_eq!(refused, Drop::ClearModeMismatch);
    assert_eq!(ah.sa.drops().get(Drop::ClearModeMismatch), 1);
    let mut packet = sealed(std::slice::from_ref(&ah), &packet_of(false, &[1; 9]));
    assert_eq!(
        open(&esp.sa, &mut packet, false, 1).unwrap_err(),
        Drop::ClearModeMismatch
    );
}

#[test]
fn each_drop_is_counted_once() {
    let steps = [step(some(ESP, false), Mode::Tunnel)];
    let mut packet = sealed(&steps, &packet_of(false, &[1; 9]));
    packet[40] ^= 1;
    assert_eq!(opened(&steps, packet), Err(Drop::NotAuthentic));
    let refused = seal(&steps[0], &[0x45], &CHOICE, &mut Vec::new(), 1);
    assert_eq!(refused, Err(Drop::Truncated));
    let long = ipv4("192.0.2.1", "192.0.2.2", protocol::UDP, &vec![0; 65_500]);
    assert_eq!(
        seal(&steps[0], &long, &CHOICE, &mut Vec::new(), 1),
        Err(Drop::TooBig)
    );
    let counted = steps[0].sa.drops().nonzero();
    assert!(counted.iter().all(|&(_, times)| times == 1));
    assert_eq!(counted.len(), 3);
}

#[test]
fn too_much_takes_no_number() {
    for which in [1, ESP] {
        for mode in [Mode::Tunnel, Mode::Transport] {
            let step = step(some(which, false), mode);
            let long = ipv4("192.0.2.1", "192.0.2.2", protocol::UDP, &vec![0; 65_500]);
            let refused = seal(&step, &long, &CHOICE, &mut Vec::new(), 1);
            assert_eq!(refused, Err(Drop::TooBig));
            assert_eq!(step.sa.sent_sequence(), 0);
        }
    }
}

#[test]
fn what_follows_a_packet_is_not_part_of_it() {
    let steps = [step(some(1, false), Mode::Transport)];
    let inner = packet_of(false, &[3; 50]);
    let mut longer = inner.clone();
    longer.extend([9; 20]);
    let mut packet = sealed(&steps, &longer);
    packet.extend([8; 20]);
    assert_eq!(opened(&steps, packet), Ok(inner));
}

#[test]
fn capacity_counts_udp() {
    let bare = step(some(ESP, false), Mode::Tunnel);
    let in_udp = SaParams {
        encap: Some(Encap {
            source_port: 4500,
            destination_port: 4500,
        }),
        ..some(ESP, false)
    };
    let in_udp = step(in_udp, Mode::Tunnel);
    assert_eq!(
        capacity(std::slice::from_ref(&bare), 20, 1_492),
        capacity(std::slice::from_ref(&in_udp), 20, 1_500)
    );
    for steps in [
        [in_udp.clone(), bare.clone()],
        [bare.clone(), in_udp.clone()],
        [in_udp.clone(), in_udp.clone()],
    ] {
        let outside = capacity(&steps[1..], 20, 1_500);
        let within = capacity(&steps[..1], 20, outside);
        assert_eq!(capacity(&steps, 20, 1_500), within);
    }
    assert_eq!(capacity(&[], 20, 1_500), 1_500);
    assert_eq!(capacity(&[step(some(ESP, false), Mode::Tunnel)], 20, 40), 0);
}

proptest! {
    #[test]
    fn what_fits_the_capacity_fits_the_path_and_no_octet_more(
        kinds in prop::collection::vec((kinds(), any::<bool>(), any::<bool>()), 1..5),
        inside in any::<bool>(), mtu in 700usize..2_000,
    ) {
        let mut family = inside;
        let steps: Vec<Step> = kinds.into_iter().map(|(which, tunnel, other)| {
            if tunnel {
                family = other;
            }
            step(some(which, family), if tunnel { Mode::Tunnel } else { Mode::Transport })
        }).collect();
        let front = if inside { 48 } else { 20 };
        let most = capacity(&steps, front, mtu);
        prop_assume!(most > front);
        let inner = packet_of(inside, &vec![1; most - front]);
        prop_assert!(sealed(&steps, &inner).len() <= mtu);
        let more = packet_of(inside, &vec![1; most - front + 1]);
        prop_assert!(sealed(&steps, &more).len() > mtu);
        prop_assert_eq!(opened(&steps, sealed(&steps, &inner)), Ok(inner));
    }

    #[test]
    fn a_changed_octet_behind_the_headers_is_never_accepted(
        which in kinds(), ipv6 in any::<bool>(), transport in any::<bool>(),
        payload in octets(0..80), place in any::<prop::sample::Index>(), change in 1u8..,
    ) {
        let mode = if transport { Mode::Transport } else { Mode::Tunnel };
        let steps = [step(some(which, ipv6), mode)];
        let mut packet = sealed(&steps, &packet_of(ipv6, &payload));
        let front = Front::before_upper(&packet).unwrap().end;
        let place = front + place.index(packet.len() - front);
        packet[place] ^= change;
        prop_assert!(opened(&steps, packet).is_err());
    }

    #[test]
    fn arbitrary_octets_do_no_harm(
        packet in octets(0..200), more in hostile_packets(), which in kinds(), ipv6 in any::<bool>(),
    ) {
        for mode in [Mode::Tunnel, Mode::Transport] {
            let step = step(some(which, ipv6), mode);
            for packet in [&packet, &more] {
                let _ = seal(&step, packet, &CHOICE, &mut Vec::new(), 1);
                prop_assert!(open(&step.sa, &mut packet.clone(), true, 1).is_err());
            }
        }
    }
}

#[test]
fn every_length_of_a_short_packet_is_judged() {
    for which in kinds() {
        for ipv6 in [false, true] {
            let sa = Arc::new(sa(SaParams {
                mode: Mode::Any,
                ..some(which, ipv6)
            }));
            let number = sa.params().protocol.number();
            for length in 0..=64 {
                let upper = vec![length as u8; length];
                let mut packet = match ipv6 {
                    true => ipv6_with(&[], number, &upper),
                    false => ipv4("192.0.2.1", "192.0.2.2", number, &upper),
                };
                for end in 0..=packet.len() {
                    assert!(open(&sa, &mut packet.clone()[..end], true, 1).is_err());
                }
                assert!(open(&sa, &mut packet, true, 1).is_err());
            }
        }
    }
}
