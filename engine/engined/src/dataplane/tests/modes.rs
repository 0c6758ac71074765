//! Every protocol in every mode over either family, alone and in bundles.

use packet::algorithm::{Integrity, Transform};
use packet::bundle::Step;
use packet::protect::{self, Choice};
use packet::sa::{Mode, Protocol, SaParams};
use packet::sad::SaEntry;
use packet::secret::Secret;
use packet::spd::{PolicyParams, Template};

use super::*;

/// One step of a bundle, and over which family where it is a tunnel.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub protocol: Protocol,
    pub mode: Mode,
    pub ipv4: bool,
}

pub const fn esp(mode: Mode, ipv4: bool) -> Wanted {
    Wanted {
        protocol: Protocol::Esp,
        mode,
        ipv4,
    }
}

pub const fn ah(mode: Mode, ipv4: bool) -> Wanted {
    Wanted {
        protocol: Protocol::Ah,
        mode,
        ipv4,
    }
}

/// Our address and the peer's.
pub fn ends(ipv4: bool) -> (IpAddr, IpAddr) {
    match ipv4 {
        true => (OURS.into(), THEIRS.into()),
        false => (
            "2001:db8:1::1".parse().unwrap(),
            "2001:db8:2::1".parse().unwrap(),
        ),
    }
}

/// A UDP packet between two addresses.
pub fn udp_packet(source: IpAddr, destination: IpAddr, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    let header = Outer {
        pair: Pair::new(source, destination).unwrap(),
        tos: 0,
        hop_limit: 61,
        dont_fragment: false,
        identification: 77,
    };
    let length = 8 + payload.len();
    header.begin(protocol::UDP, length, &mut packet).unwrap();
    packet.extend([0, 7, 0, 9]);
    packet.extend((length as u16).to_be_bytes());
    packet.extend([0, 0]);
    packet.extend(payload);
    packet
}

/// The SA of a step by its number. Packets are written to ourselves, so it serves both ways.
fn association(number: u32, wanted: Wanted, (source, destination): (IpAddr, IpAddr)) -> SaParams {
    let transform = match wanted.protocol {
        Protocol::Esp => protected(None).transform,
        Protocol::Ah => Transform::Authenticated {
            integrity: Integrity::HmacSha256_128,
            key: Secret::new(&[7; 32]),
        },
    };
    SaParams {
        source,
        destination,
        spi: SPI + number,
        protocol: wanted.protocol,
        reqid: REQID + number,
        mode: wanted.mode,
        transform,
        ..protected(None)
    }
}

fn template(number: u32, wanted: Wanted, (source, destination): (IpAddr, IpAddr)) -> Template {
    Template {
        source,
        destination,
        spi: 0,
        reqid: REQID + number,
        protocol: wanted.protocol,
        mode: wanted.mode,
        optional: false,
    }
}

/// A world with the policies and the SAs of a bundle, for packets of a family.
pub fn world(steps: &[Wanted], ipv4: bool, encap: Option<Encap>) -> World {
    let mut world = World::new();
    let mut at = ends(ipv4);
    let mut templates = Vec::new();
    for (number, wanted) in steps.iter().enumerate() {
        if wanted.mode == Mode::Tunnel {
            at = ends(wanted.ipv4);
        }
        templates.push(template(number as u32, *wanted, at));
        let last = number + 1 == steps.len();
        let params = SaParams {
            encap: encap.filter(|_| last),
            ..association(number as u32, *wanted, at)
        };
        world.database.add_sa(params, 1).unwrap();
    }
    for direction in [PolicyDirection::Out, PolicyDirection::In] {
        let any = Prefix::any(ipv4);
        let params = PolicyParams {
            templates: templates.clone(),
            ..protecting(direction, any, any)
        };
        world.database.add_policy(params, 1).unwrap();
    }
    world.publish();
    world
}

/// Sends a packet and lets what is on the wire come in; answers that and what came out.
pub fn carry(world: &mut World, packet: &[u8]) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    world.put(packet);
    world.outbound.turn();
    let wire = world.on_the_wire();
    wire.iter().for_each(|packet| world.arrive(packet));
    (wire, world.came_out())
}

const BUNDLES: [&[Wanted]; 12] = [
    &[esp(Mode::Tunnel, true)],
    &[esp(Mode::Tunnel, false)],
    &[ah(Mode::Tunnel, true)],
    &[ah(Mode::Tunnel, false)],
    &[esp(Mode::Transport, true)],
    &[ah(Mode::Transport, true)],
    &[esp(Mode::Transport, true), ah(Mode::Transport, true)],
    &[esp(Mode::Tunnel, true), ah(Mode::Transport, true)],
    &[esp(Mode::Tunnel, false), ah(Mode::Transport, true)],
    &[esp(Mode::Tunnel, true), esp(Mode::Tunnel, false)],
    &[ah(Mode::Transport, true), esp(Mode::Tunnel, true)],
    &[
        esp(Mode::Transport, true),
        ah(Mode::Tunnel, true),
        esp(Mode::Transport, true),
        ah(Mode::Transport, true),
        esp(Mode::Tunnel, false),
        ah(Mode::Transport, true),
    ],
];

#[test]
fn what_goes_out_in_any_bundle_comes_in() {
    for (steps, ipv4) in BUNDLES
        .iter()
        .flat_map(|steps| [(steps, true), (steps, false)])
    {
        let (source, destination) = ends(ipv4);
        let mut world = world(steps, ipv4, None);
        let packet = udp_packet(source, destination, &[9; 300]);
        let (wire, out) = carry(&mut world, &packet);
        assert_eq!(wire.len(), 1, "{steps:?}");
        assert_eq!(out, [packet], "{steps:?}");
        let last = steps.last().unwrap();
        let headers = Headers::parse(&wire[0]).unwrap();
        assert_eq!(headers.protocol, last.protocol.number());
        world.arrive(&wire[0]);
        assert!(world.came_out().is_empty());
        assert_eq!(world.drops(Drop::Replayed), 1, "{steps:?}");
    }
}

#[test]
fn a_packet_that_lacks_a_step_is_refused() {
    let steps = [esp(Mode::Tunnel, true), ah(Mode::Transport, true)];
    let mut both = world(&steps, true, None);
    let mut one = world(&steps[..1], true, None);
    let (source, destination) = ends(true);
    one.put(&udp_packet(source, destination, b"x"));
    one.outbound.turn();
    let wire = one.on_the_wire();
    both.arrive(&wire[0]);
    assert!(both.came_out().is_empty());
    assert_eq!(both.drops(Drop::InboundPolicyMismatch), 1);
}

#[test]
fn transport_mode_passes_a_nat_in_udp() {
    for ipv4 in [true, false] {
        let encap = Encap {
            source_port: 4500,
            destination_port: 4500,
        };
        let mut world = world(&[esp(Mode::Transport, ipv4)], ipv4, Some(encap));
        let (source, destination) = ends(ipv4);
        let packet = udp_packet(source, destination, b"transport in UDP");
        let (wire, out) = carry(&mut world, &packet);
        let headers = Headers::parse(&wire[0]).unwrap();
        assert_eq!((headers.protocol, headers.ports), (17, Some((4500, 4500))));
        let upper = out[0].len() - 24;
        assert_eq!(out[0][upper..upper + 6], packet[packet.len() - 24..][..6]);
        assert_eq!(out[0][upper + 8..], *b"transport in UDP");
        assert!(world.shared.take_notices().is_empty());
    }
}

/// A world whose SA goes in UDP, with so wide a window, and what it has sent of three packets.
fn sent_in_udp(replay_window: u32) -> (World, Vec<Sent>) {
    let encap = Encap {
        source_port: 4500,
        destination_port: 4500,
    };
    let mut world = world(&[esp(Mode::Tunnel, true)], true, Some(encap));
    let sa = association(0, esp(Mode::Tunnel, true), ends(true));
    world.database.delete_sa(sa.id()).unwrap();
    let params = SaParams {
        encap: Some(encap),
        replay_window,
        ..sa
    };
    world.database.add_sa(params, 1).unwrap();
    world.publish();
    let (source, destination) = ends(true);
    (0..3).for_each(|_| world.put(&udp_packet(source, destination, b"x")));
    world.outbound.turn();
    let sent = taken(&world.udp);
    (world, sent)
}

fn from(port: u16) -> SocketAddr {
    SocketAddr::new("192.0.2.77".parse().unwrap(), port)
}

fn deliver_from(world: &mut World, sent: &Sent, port: u16) {
    let received = Received {
        local: ends(true).1,
        remote: from(port),
        traffic_class: 0,
        segment_octets: sent.octets.len(),
        octets: sent.octets.len(),
    };
    world.udp.put(received, &sent.octets);
    world.inbound.turn();
}

#[test]
fn a_nat_that_chose_anew_is_told_once_a_second() {
    let (mut world, sent) = sent_in_udp(64);
    let began_s = world.shared.clock.seconds();
    deliver_from(&mut world, &sent[1], 1_024);
    deliver_from(&mut world, &sent[2], 1_025);
    let seconds = world.shared.clock.seconds() - began_s;
    // Not the newest: an attacker could have kept it back.
    deliver_from(&mut world, &sent[0], 1_026);
    assert_eq!(world.came_out().len(), 3);
    let notices = Vec::from(world.shared.take_notices());
    assert!(notices.len() as u64 <= 1 + seconds, "{notices:?}");
    let Some(Notice::Mapping(sa, remote)) = notices.first() else {
        panic!("{notices:?}")
    };
    assert_eq!((sa.params().spi, *remote), (SPI, from(1_024)));
}

/// Whoever saw a packet may send it again from where he likes.
#[test]
fn without_a_window_nobody_can_tell_a_new_mapping() {
    let (mut world, sent) = sent_in_udp(0);
    (0..3).for_each(|_| deliver_from(&mut world, &sent[2], 1_024));
    assert_eq!(world.came_out().len(), 3);
    assert!(world.shared.take_notices().is_empty());
}

/// The host's way to the peer leads into the TUN, where the policy would have the same packet sealed again and again.
#[test]
fn what_was_sealed_is_not_sealed_again() {
    let encap = Encap {
        source_port: 4500,
        destination_port: 4500,
    };
    for wanted in [
        esp(Mode::Tunnel, true),
        esp(Mode::Transport, false),
        ah(Mode::Transport, true),
    ] {
        let mut world = world(&[wanted], wanted.ipv4, None);
        let (source, destination) = ends(wanted.ipv4);
        world.put(&udp_packet(source, destination, b"x"));
        world.outbound.turn();
        let wire = world.on_the_wire();
        world.put(&wire[0]);
        world.outbound.turn();
        assert!(world.on_the_wire().is_empty());
        assert_eq!(world.drops(Drop::Looped), 1);
    }
    let mut world = world(&[esp(Mode::Transport, true)], true, Some(encap));
    let (source, destination) = ends(true);
    world.put(&udp_packet(source, destination, b"x"));
    world.outbound.turn();
    let wire = world.on_the_wire();
    world.put(&wire[0]);
    // A packet of another SA on the same port is no loop.
    let mut other = wire[0].clone();
    other[28] ^= 1;
    world.put(&other);
    world.outbound.turn();
    assert_eq!(
        (world.on_the_wire().len(), world.drops(Drop::Looped)),
        (1, 1)
    );
}

/// Of two SAs that are not there, the second is asked for when the first has come: the first ping needs no second.
#[test]
fn a_packet_that_waits_asks_for_each_sa_of_its_bundle() {
    let steps = [esp(Mode::Tunnel, true), ah(Mode::Transport, true)];
    let mut world = world(&steps, true, None);
    world.database.flush_sas(None);
    world.publish();
    let (source, destination) = ends(true);
    world.put(&udp_packet(source, destination, b"x"));
    for (number, step) in steps.into_iter().enumerate() {
        world.outbound.turn();
        let notices = Vec::from(world.shared.take_notices());
        let [Notice::Acquire(need, _)] = notices.as_slice() else {
            panic!("{notices:?}")
        };
        assert_eq!(need.template, number);
        let params = association(number as u32, step, (source, destination));
        world.database.add_sa(params, 1).unwrap();
        world.publish();
    }
    world.outbound.turn();
    assert_eq!(world.on_the_wire().len(), 1);
}

#[test]
fn what_may_be_used_is_not_needed() {
    let mut world = World::new();
    let any = Prefix::any(true);
    let mut params = protecting(PolicyDirection::Out, any, any);
    params.templates[0].optional = true;
    world.database.add_policy(params, 1).unwrap();
    world.publish();
    let (source, destination) = ends(true);
    let packet = udp_packet(source, destination, b"in clear");
    world.put(&packet);
    world.put(&packet);
    world.outbound.turn();
    assert_eq!(world.on_the_wire(), [packet.clone(), packet]);
    assert_eq!(world.shared.take_notices().len(), 1);
}

#[test]
fn short_packets_are_filled_up() {
    let mut world = World::with_policies();
    let mut params = protected(None);
    params.tfc_padding = 600;
    world.database.add_sa(params, 1).unwrap();
    world.publish();
    let (short, long) = (packet(b"x"), packet(&[1; 700]));
    world.put(&short);
    world.put(&long);
    world.outbound.turn();
    let wire = world.on_the_wire();
    assert!(wire[0].len() > 600 && wire[1].len() > 700);
    wire.iter().for_each(|packet| world.arrive(packet));
    assert_eq!(world.came_out(), [short, long]);
}

#[test]
fn an_sa_within_more_than_six_is_not_opened() {
    let steps = [esp(Mode::Tunnel, true); 6];
    let mut world = world(&steps, true, None);
    let (source, destination) = ends(true);
    world.put(&udp_packet(source, destination, b"x"));
    world.outbound.turn();
    let six = world.on_the_wire().remove(0);
    // Sealed once more by the outermost SA, as no policy would have it.
    let id = association(5, steps[5], (source, destination)).id();
    let Some(SaEntry::Valid(sa)) = world.database.sad().get(id) else {
        panic!()
    };
    let step = Step::opened(sa, protocol::IPV4);
    let mut seven = Vec::new();
    protect::seal(&step, &six, &Choice::default(), &mut seven, 1).unwrap();
    world.arrive(&seven);
    assert_eq!(world.drops(Drop::NestedTooDeep), 1);
    assert!(world.came_out().is_empty());
}

#[test]
fn a_policy_for_what_is_forwarded_does_not_judge_what_ends_here() {
    let mut world = world(&[esp(Mode::Tunnel, true)], true, None);
    let any = Prefix::any(true);
    let blocked = PolicyParams {
        action: packet::spd::Action::Block,
        templates: vec![],
        ..protecting(PolicyDirection::Fwd, any, any)
    };
    world.database.add_policy(blocked, 1).unwrap();
    world.publish();
    // The host in memory has this one address.
    for (destination, passes) in [([192, 0, 2, 254], 1), ([192, 0, 2, 7], 0)] {
        let packet = udp_packet([10, 0, 0, 1].into(), destination.into(), b"x");
        assert_eq!(carry(&mut world, &packet).1.len(), passes);
    }
    assert_eq!(world.drops(Drop::PolicyDiscard), 1);
}
