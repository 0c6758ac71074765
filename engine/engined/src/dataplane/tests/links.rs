//! gif links: in clear, in transport mode, in a tunnel; and what must not come in by them.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use netio::TunDevice;
use packet::bundle::Step;
use packet::sa::Mode;

use super::modes::{Wanted, carry, ends, esp, udp_packet, world};
use super::*;
use crate::gif::{Gif, GifHost};

/// A link between the two ends of a family.
fn link(world: &World, ipv4: bool) -> Arc<MemoryTun> {
    let (local, remote) = ends(ipv4);
    // Packets are written to ourselves: what left for the peer comes from us.
    link_named(world, "gif0", (local, remote));
    link_named(world, "gif1", (remote, local));
    device(world, "gif0")
}

fn link_named(world: &World, name: &str, (local, remote): (IpAddr, IpAddr)) {
    let gif = Gif {
        name: name.into(),
        local,
        remote,
        ecn_friendly: false,
        no_ingress_filter: false,
    };
    world.shared.gifs.set(gif).unwrap();
}

fn device(world: &World, name: &str) -> Arc<MemoryTun> {
    world.gifs.0.lock().unwrap()[name].clone()
}

fn put(device: &MemoryTun, packet: &[u8]) {
    device.put(&[&VirtioHeader::NONE.to_octets()[..], packet].concat());
}

fn came_out(device: &MemoryTun) -> Vec<Vec<u8>> {
    std::iter::from_fn(|| device.take())
        .map(|read| read[VIRTIO_HEADER..].to_vec())
        .collect()
}

fn inner(ipv4: bool) -> Vec<u8> {
    let (source, destination) = match ipv4 {
        true => ("192.168.1.20", "192.168.2.34"),
        false => ("fd00:1::20", "fd00:2::34"),
    };
    udp_packet(
        source.parse().unwrap(),
        destination.parse().unwrap(),
        b"through the link",
    )
}

/// What leaves by `gif0` comes in by `gif1`.
fn through(world: &mut World, packet: &[u8]) -> Vec<Vec<u8>> {
    put(&device(world, "gif0"), packet);
    world.outbound.turn();
    let wire = world.on_the_wire();
    world.shared.inbound_wake.set();
    world.inbound.turn();
    wire.iter().for_each(|packet| world.arrive(packet));
    wire
}

#[test]
fn without_a_policy_a_link_is_in_clear() {
    for (outer, within) in [(true, true), (true, false), (false, true), (false, false)] {
        let mut world = World::new();
        link(&world, outer);
        let wire = through(&mut world, &inner(within));
        let headers = Headers::parse(&wire[0]).unwrap();
        assert_eq!((headers.source, headers.destination), ends(outer));
        assert_eq!(headers.protocol, if within { 4 } else { 41 });
        assert_eq!(headers.hop_limit, 30);
        assert_eq!(came_out(&device(&world, "gif1")), [inner(within)]);
    }
}

#[test]
fn with_a_policy_a_link_is_in_transport_mode_or_a_tunnel() {
    let bundles: [&[Wanted]; 3] = [
        &[esp(Mode::Transport, true)],
        &[esp(Mode::Tunnel, true)],
        &[esp(Mode::Tunnel, false)],
    ];
    for (steps, ipv4) in bundles
        .iter()
        .flat_map(|steps| [(steps, true), (steps, false)])
    {
        let mut world = world(steps, ipv4, None);
        link(&world, ipv4);
        let wire = through(&mut world, &inner(true));
        assert_eq!(Headers::parse(&wire[0]).unwrap().protocol, protocol::ESP);
        assert_eq!(
            came_out(&device(&world, "gif1")),
            [inner(true)],
            "{steps:?}"
        );
        assert!(world.came_out().is_empty());
    }
}

#[test]
fn a_bare_packet_does_not_pass_where_a_policy_protects() {
    let mut clear = World::new();
    link(&clear, true);
    let wire = through(&mut clear, &inner(true));
    let mut world = world(&[esp(Mode::Transport, true)], true, None);
    link(&world, true);
    world.shared.inbound_wake.set();
    world.inbound.turn();
    world.arrive(&wire[0]);
    assert_eq!(world.drops(Drop::InboundPolicyMismatch), 1);
    assert!(came_out(&device(&world, "gif1")).is_empty());
}

#[test]
fn a_link_takes_exactly_its_pair() {
    let mut world = World::new();
    link(&world, true);
    let mut wire = through(&mut world, &inner(true)).remove(0);
    assert_eq!(came_out(&device(&world, "gif1")).len(), 1);
    wire[15] ^= 1;
    packet::checksum::write_ipv4(&mut wire, 20);
    world.arrive(&wire);
    assert_eq!(world.drops(Drop::NoGif), 1);
}

#[test]
fn a_source_that_no_host_has_does_not_come_in() {
    let mut world = World::new();
    link(&world, true);
    let loopback = udp_packet(
        "127.0.0.1".parse().unwrap(),
        "192.168.2.34".parse().unwrap(),
        b"x",
    );
    through(&mut world, &loopback);
    assert_eq!(world.drops(Drop::GifSource), 1);
}

#[test]
fn a_link_that_is_removed_is_silent() {
    let mut world = World::new();
    let device = link(&world, true);
    through(&mut world, &inner(true));
    world.shared.gifs.delete("gif0").unwrap();
    world.shared.gifs.delete("gif1").unwrap();
    put(&device, &inner(true));
    world.shared.outbound_wake.set();
    world.outbound.turn();
    assert!(world.on_the_wire().is_empty());
    assert!(device.read(&mut [0; 2_000]).is_ok());
}

#[test]
fn a_link_of_a_tunnel_of_another_sa_is_none() {
    // A packet of protocol 4 out of a tunnel whose ends are no link's goes to the host like any other.
    let mut world = world(&[esp(Mode::Tunnel, true)], true, None);
    let mut outer = Vec::new();
    let header = Outer {
        pair: Pair::new([10, 0, 0, 1].into(), [10, 0, 0, 2].into()).unwrap(),
        tos: 0,
        hop_limit: 9,
        dont_fragment: true,
        identification: 5,
    };
    let within = inner(true);
    header
        .begin(protocol::IPV4, within.len(), &mut outer)
        .unwrap();
    outer.extend(within);
    let (_, out) = carry(&mut world, &outer);
    assert_eq!(out, [outer]);
}

#[test]
fn a_step_knows_gif_from_tunnel_by_the_mode_of_its_sa() {
    let mut world = world(&[esp(Mode::Transport, true)], true, None);
    let sa = world.database.snapshot().sas()[0].clone();
    assert_eq!(Step::opened(&sa, protocol::IPV4).mode, Mode::Transport);
}

/// The way to the other end leads through the link itself, as a default route does: one packet would go round for ever.
#[test]
fn what_a_link_has_sent_does_not_go_round() {
    let in_clear = World::new();
    let sealed = world(&[esp(Mode::Transport, true)], true, None);
    for mut world in [in_clear, sealed] {
        link(&world, true);
        let wire = through(&mut world, &inner(true));
        put(&device(&world, "gif0"), &wire[0]);
        world.outbound.turn();
        assert!(world.on_the_wire().is_empty());
        assert_eq!(world.drops(Drop::Looped), 1);
    }
}

/// A device that cannot be made anew: somebody took its name.
struct Broken {
    ready: netio::poll::Event,
    reopened: AtomicU32,
}

impl TunDevice for Broken {
    fn read(&self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::from_raw_os_error(libc::EBADFD))
    }

    fn write(&self, _: &[IoSlice<'_>]) -> io::Result<usize> {
        Err(io::Error::from_raw_os_error(libc::EBADFD))
    }

    fn reopen(&self) -> io::Result<()> {
        self.reopened.fetch_add(1, Relaxed);
        Err(io::Error::from_raw_os_error(libc::EINVAL))
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.ready.as_fd())
    }
}

struct BrokenGifs(Arc<Broken>);

impl GifHost for BrokenGifs {
    fn open(&self, _: &str) -> io::Result<Arc<dyn TunDevice>> {
        Ok(self.0.clone())
    }

    fn remove(&self, _: &str) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_link_without_its_device_holds_nobody_up() {
    let broken = Arc::new(Broken {
        ready: netio::poll::Event::new().unwrap(),
        reopened: AtomicU32::new(0),
    });
    broken.ready.set();
    let mut world = World::with_policies();
    world.add_sa(true);
    let gifs = Box::new(BrokenGifs(broken.clone()));
    world.shared = Arc::new(Shared::with_gifs(world.shared.devices.clone(), gifs).unwrap());
    world.outbound = OutboundThread::new(world.shared.clone());
    world.publish();
    link_named(&world, "gif0", ends(true));
    for number in 0..5 {
        world.put(&packet(&[number]));
        world.outbound.turn();
    }
    assert_eq!(taken(&world.udp).len(), 5);
    assert_eq!(broken.reopened.load(Relaxed), 1);
}
