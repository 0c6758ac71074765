//! Packets that do not fit: cut where they may be, refused with the right number where not; and what is believed of the path.

use packet::fragment::Fragments;
use packet::icmp;
use packet::reassembly::Reassembler;
use packet::sa::Mode;

use super::modes::{ah, carry, ends, esp, udp_packet, world};
use super::*;

/// With the don't fragment flag.
fn whole_only(mut packet: Vec<u8>) -> Vec<u8> {
    packet[6] |= 0x40;
    packet::checksum::write_ipv4(&mut packet, 20);
    packet
}

/// A packet of so many octets between the ends of a family.
fn of_length(ipv4: bool, octets: usize) -> Vec<u8> {
    let (source, destination) = ends(ipv4);
    let header = if ipv4 { 28 } else { 48 };
    udp_packet(source, destination, &vec![5; octets - header])
}

/// As the host at the other end does it.
fn put_together(fragments: &[Vec<u8>]) -> Vec<u8> {
    if let [whole] = fragments {
        return whole.clone();
    }
    let mut reassembler = Reassembler::new();
    let whole = fragments.iter().find_map(|fragment| {
        let headers = Headers::parse(fragment).unwrap();
        reassembler.add(fragment, &headers, 0).unwrap()
    });
    whole.unwrap()
}

/// What the sender was told to fit.
fn told(world: &World) -> u32 {
    let sent = taken(&world.errors);
    assert_eq!(sent.len(), 1);
    let error = &sent[0].octets;
    let at = Headers::parse(error).unwrap().transport;
    match error[0] >> 4 {
        4 => {
            assert_eq!(error[at..at + 2], [3, 4]);
            u16::from_be_bytes([error[at + 6], error[at + 7]]).into()
        }
        _ => {
            assert_eq!(error[at], 2);
            u32::from_be_bytes(error[at + 4..at + 8].try_into().unwrap())
        }
    }
}

#[test]
fn the_number_is_the_largest_that_fits() {
    let bundles: [&[super::modes::Wanted]; 4] = [
        &[esp(Mode::Tunnel, true)],
        &[esp(Mode::Tunnel, false)],
        &[ah(Mode::Tunnel, true)],
        &[esp(Mode::Transport, true), ah(Mode::Transport, true)],
    ];
    for (steps, ipv4) in bundles
        .iter()
        .flat_map(|steps| [(steps, true), (steps, false)])
    {
        let mut world = world(steps, ipv4, None);
        let mut packet = of_length(ipv4, 1_600);
        if ipv4 {
            packet = whole_only(packet);
        }
        let (wire, _) = carry(&mut world, &packet);
        assert!(wire.is_empty());
        let number = told(&world) as usize;
        assert!((1_300..1_500).contains(&number), "{steps:?} {number}");
        for (octets, fits) in [(number, true), (number + 1, false)] {
            let packet = of_length(ipv4, octets);
            let packet = if ipv4 { whole_only(packet) } else { packet };
            let (wire, out) = carry(&mut world, &packet);
            assert_eq!(wire.len(), usize::from(fits), "{steps:?} {octets}");
            assert!(wire.iter().all(|packet| packet.len() <= 1_500));
            assert_eq!(out.len(), usize::from(fits));
        }
        assert_eq!(world.drops(Drop::TooBig), 2);
    }
}

#[test]
fn what_may_be_cut_is_cut_inside_a_tunnel() {
    let mut world = world(&[esp(Mode::Tunnel, true)], true, None);
    let (wire, out) = carry(&mut world, &of_length(true, 3_000));
    assert_eq!((wire.len(), out.len()), (3, 3));
    assert!(wire.iter().all(|packet| packet.len() <= 1_500));
    let payload: usize = out.iter().map(|packet| packet.len() - 20).sum();
    assert_eq!(payload, 2_980);
    assert!(world.errors.take().is_none());
}

#[test]
fn in_transport_mode_it_is_cut_outside() {
    let mut world = world(&[esp(Mode::Transport, true)], true, None);
    world.put(&of_length(true, 3_000));
    world.outbound.turn();
    let wire = world.on_the_wire();
    assert_eq!(wire.len(), 3);
    world.arrive(&put_together(&wire));
    assert_eq!(world.came_out(), [of_length(true, 3_000)]);
}

#[test]
fn the_least_size_of_ipv6_passes_any_way() {
    let mut world = world(&[esp(Mode::Tunnel, true)], false, None);
    world.routes.set(THEIRS.into(), 1_280);
    world.put(&of_length(false, 1_280));
    world.outbound.turn();
    let wire = world.on_the_wire();
    assert_eq!(wire.len(), 2);
    assert!(wire.iter().all(|packet| packet.len() <= 1_280));
    assert!(world.errors.take().is_none());
}

/// What a router says of a packet that was on the wire.
fn complaint(wire: &[u8], mtu: u32) -> Vec<u8> {
    let mut error = Vec::new();
    let router = "192.0.2.99".parse().unwrap();
    assert!(icmp::too_big(router, wire, mtu, &mut error));
    error
}

#[test]
fn a_router_that_quotes_our_packet_is_believed() {
    let mut world = world(&[esp(Mode::Tunnel, true)], true, None);
    let packet = whole_only(of_length(true, 1_300));
    let (wire, _) = carry(&mut world, &packet);
    world.arrive(&complaint(&wire[0], 1_200));
    let notices = Vec::from(world.shared.take_notices());
    assert!(
        matches!(notices.as_slice(), [Notice::PathMtu(peer, 1_200)] if *peer == IpAddr::from(THEIRS)),
        "{notices:?}"
    );
    let (wire, _) = carry(&mut world, &packet);
    assert!(wire.is_empty());
    assert!((1_100..1_200).contains(&told(&world)));
}

#[test]
fn who_cannot_quote_one_is_not() {
    let mut world = world(&[esp(Mode::Tunnel, true)], true, None);
    let packet = whole_only(of_length(true, 1_300));
    let (wire, _) = carry(&mut world, &packet);
    let mut guessed = wire[0].clone();
    guessed[20] ^= 0x40;
    let mut elsewhere = wire[0].clone();
    elsewhere[19] ^= 1;
    packet::checksum::write_ipv4(&mut elsewhere, 20);
    let mut not_ours = wire[0].clone();
    not_ours[15] ^= 1;
    packet::checksum::write_ipv4(&mut not_ours, 20);
    for forged in [&guessed, &elsewhere, &not_ours] {
        world.arrive(&complaint(forged, 600));
    }
    // It would have fitted.
    world.arrive(&complaint(&wire[0], 1_400));
    assert_eq!(world.drops(Drop::IcmpUnbelieved), 4);
    assert!(world.shared.take_notices().is_empty());
    assert_eq!(carry(&mut world, &packet).0.len(), 1);
}

#[test]
fn fragments_are_put_together_for_transport_mode() {
    for (ipv4, mtu) in [(true, 9_000), (false, 9_000), (true, 1_500), (false, 1_500)] {
        let mut world = world(&[ah(Mode::Transport, ipv4)], ipv4, None);
        world.routes.set(ends(ipv4).1, mtu);
        let packet = of_length(ipv4, 4_000);
        let fragments = Fragments::new(&packet, 1_400, 3).unwrap();
        let mut fragment = Vec::new();
        for number in 0..fragments.count() {
            fragments.write(number, &mut fragment);
            world.put(&fragment);
        }
        world.outbound.turn();
        let wire = world.on_the_wire();
        assert!(wire.iter().all(|packet| packet.len() <= mtu as usize));
        world.arrive(&put_together(&wire));
        assert_eq!(world.came_out(), [packet]);
    }
}
