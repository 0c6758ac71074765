use std::sync::Arc;

use super::*;
use crate::bundle::Step;
use crate::headers::DontFragment;
use crate::ip::protocol;
use crate::protect;
use crate::sa::{Mode, SaParams};
use crate::testing::{gcm_params, ipv4, ipv6, over_ipv6, sa};

fn step(params: SaParams) -> Step {
    Step {
        sa: Arc::new(sa(params)),
        mode: Mode::Tunnel,
    }
}

fn sealed(step: &Step, inner: &[u8], dont_fragment: DontFragment) -> Vec<u8> {
    let choice = Choice {
        identification: 0x0102,
        dont_fragment,
        pad_at_most: 500,
    };
    let mut out = Vec::new();
    protect::seal(step, inner, &choice, &mut out, 1).unwrap();
    out
}

fn inner(dont_fragment: bool) -> Vec<u8> {
    let mut packet = ipv4("10.0.0.1", "10.0.0.2", protocol::UDP, &[1; 30]);
    packet[6] = if dont_fragment { 0x40 } else { 0 };
    outer::write_tos(&mut packet, 0xb8 | 2);
    crate::checksum::write_ipv4(&mut packet, 20);
    packet
}

#[test]
fn the_outer_header_is_whole() {
    let packet = sealed(&step(gcm_params()), &inner(false), DontFragment::Copy);
    let headers = Headers::parse(&packet).unwrap();
    assert_eq!((headers.tos, headers.hop_limit), (0xba, 64));
    assert_eq!(headers.length, packet.len());
    assert_eq!(packet[4..8], [1, 2, 0, 0]);
    assert_eq!(crate::checksum::checksum(&packet[..20]), 0);
}

#[test]
fn an_identification_of_zero_is_not_sent() {
    let mut out = Vec::new();
    let tunnel = step(gcm_params());
    protect::seal(&tunnel, &inner(false), &Choice::default(), &mut out, 1).unwrap();
    assert_eq!(out[4..6], [0, 1]);
}

#[test]
fn dont_fragment_goes_out_as_it_was_chosen() {
    let flag = |step: &Step, inner: &[u8], choice| sealed(step, inner, choice)[6] == 0x40;
    let plain = step(gcm_params());
    assert!(flag(&plain, &inner(true), DontFragment::Copy));
    assert!(!flag(&plain, &inner(false), DontFragment::Copy));
    assert!(flag(&plain, &inner(false), DontFragment::Set));
    assert!(!flag(&plain, &inner(true), DontFragment::Clear));
    let ipv6 = ipv6("2001:db8::1", "2001:db8::2", protocol::UDP, &[1; 9]);
    assert!(flag(&plain, &ipv6, DontFragment::Copy));
    let params = SaParams {
        flags: FLAG_NOPMTUDISC,
        ..gcm_params()
    };
    assert!(!flag(&step(params), &inner(true), DontFragment::Set));
}

#[test]
fn congestion_on_the_way_comes_in() {
    for params in [gcm_params(), over_ipv6(gcm_params())] {
        let step = step(params);
        let mut packet = sealed(&step, &inner(false), DontFragment::Copy);
        outer::write_tos(&mut packet, 3);
        let unwrapped = protect::open(&step.sa, &mut packet, false, 1).unwrap();
        assert_eq!(unwrapped.headers.tos, 0xb8 | 3);
        assert_eq!(
            Headers::parse(&packet[unwrapped.range]),
            Ok(unwrapped.headers)
        );
    }
}

#[test]
fn congestion_that_cannot_be_told_drops_the_packet() {
    let step = step(gcm_params());
    let plain = ipv4("10.0.0.1", "10.0.0.2", protocol::UDP, &[1; 30]);
    let mut packet = sealed(&step, &plain, DontFragment::Copy);
    outer::write_tos(&mut packet, 3);
    let refused = protect::open(&step.sa, &mut packet, false, 1).unwrap_err();
    assert_eq!(
        (refused, step.sa.drops().get(Drop::EcnMismatch)),
        (Drop::EcnMismatch, 1)
    );
}

#[test]
fn short_packets_are_filled_as_far_as_the_sa_and_the_path_go() {
    for (tfc_padding, filled) in [(0, 50), (40, 50), (300, 300), (1_400, 500)] {
        let step = step(SaParams {
            tfc_padding,
            ..gcm_params()
        });
        let mut packet = sealed(&step, &inner(false), DontFragment::Copy);
        assert_eq!(
            packet.len(),
            20 + crate::esp::sealed_length(&step.sa, filled)
        );
        let unwrapped = protect::open(&step.sa, &mut packet, false, 1).unwrap();
        assert_eq!(packet[unwrapped.range], inner(false));
    }
}

#[test]
fn fragments_pass_inside() {
    let step = step(gcm_params());
    let mut fragment = inner(false);
    fragment[6..8].copy_from_slice(&[0x20, 9]);
    let mut packet = sealed(&step, &fragment, DontFragment::Copy);
    let unwrapped = protect::open(&step.sa, &mut packet, false, 1).unwrap();
    assert_eq!(packet[unwrapped.range], fragment);
}

#[test]
fn what_is_no_packet_is_refused() {
    let tunnel = step(gcm_params());
    let transport = Step {
        mode: Mode::Transport,
        ..tunnel.clone()
    };
    let to_outer = |protocol, payload: &[u8]| ipv4("192.0.2.1", "192.0.2.2", protocol, payload);
    let judge = |packet: Vec<u8>| {
        let mut packet = sealed(&transport, &packet, DontFragment::Copy);
        protect::open(&tunnel.sa, &mut packet, false, 1).unwrap_err()
    };
    assert_eq!(
        judge(to_outer(protocol::UDP, &inner(false))),
        Drop::WrongNextHeader
    );
    assert_eq!(
        judge(to_outer(protocol::IPV6, &inner(false))),
        Drop::InnerMalformed
    );
    assert_eq!(
        judge(to_outer(protocol::IPV4, &inner(false)[..40])),
        Drop::InnerMalformed
    );
    assert_eq!(judge(to_outer(protocol::IPV4, &[])), Drop::InnerMalformed);
}

#[test]
fn padding_behind_the_inner_packet_is_left_out() {
    let tunnel = step(gcm_params());
    let transport = Step {
        mode: Mode::Transport,
        ..tunnel.clone()
    };
    let mut padded = inner(false);
    padded.extend([0; 40]);
    let packet = ipv4("192.0.2.1", "192.0.2.2", protocol::IPV4, &padded);
    let mut packet = sealed(&transport, &packet, DontFragment::Copy);
    let unwrapped = protect::open(&tunnel.sa, &mut packet, false, 1).unwrap();
    assert_eq!(packet[unwrapped.range], inner(false));
}
