//! Both ways with devices in memory: what goes out of one engine comes in at the other.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use netio::Received;
use netio::memory::{MemoryDatagrams, MemoryHost, MemoryRoutes, MemoryTun, Sent};
use packet::database::Database;
use packet::headers::{Outer, Pair};
use packet::ip::{Headers, protocol};
use packet::reason::Drop;
use packet::sa::{Encap, Protocol};
use packet::selector::Prefix;
use packet::spd::PolicyDirection;
use packet::virtio::{VIRTIO_HEADER, VirtioHeader};
use proptest::prelude::*;

mod bugs;
mod links;
mod modes;
mod sizes;

use super::inbound::InboundThread;
use super::outbound::OutboundThread;
use crate::gif::memory::MemoryGifs;
use crate::samples::Sample;
use crate::shared::{Devices, Notice, PerFamily, Shared, Socket};
use crate::strays::Stray;
use crate::testing::{OURS, REQID, SPI, THEIRS, devices, protected, protecting};

/// An engine whose two threads take a turn when they are told to. Each socket serves both families.
struct World {
    shared: Arc<Shared>,
    tun: Arc<MemoryTun>,
    udp: Arc<MemoryDatagrams>,
    raw: Arc<MemoryDatagrams>,
    ah: Arc<MemoryDatagrams>,
    whole: Arc<MemoryDatagrams>,
    errors: Arc<MemoryDatagrams>,
    icmp: Arc<MemoryDatagrams>,
    routes: Arc<MemoryRoutes>,
    host: Arc<MemoryHost>,
    gifs: MemoryGifs,
    database: Database,
    outbound: OutboundThread,
    inbound: InboundThread,
}

fn datagrams() -> Arc<MemoryDatagrams> {
    Arc::new(MemoryDatagrams::new().unwrap())
}

fn both(socket: &Arc<MemoryDatagrams>) -> PerFamily<Socket> {
    let one: Socket = socket.clone();
    PerFamily {
        v4: Some(one.clone()),
        v6: Some(one),
    }
}

impl World {
    fn new() -> Self {
        let tun = Arc::new(MemoryTun::new().unwrap());
        let [udp, raw, ah, whole, errors, icmp] = std::array::from_fn(|_| datagrams());
        let routes = Arc::new(MemoryRoutes::new(1_500));
        let host = Arc::new(MemoryHost::default());
        let gifs = MemoryGifs::default();
        let devices = Devices {
            nat_t: both(&udp),
            esp: both(&raw),
            ah: both(&ah),
            whole: both(&whole),
            errors: both(&errors),
            icmp: both(&icmp),
            routes: routes.clone(),
            host: host.clone(),
            ..devices(tun.clone())
        };
        let shared = Shared::with_gifs(devices, Box::new(gifs.clone())).unwrap();
        let shared = Arc::new(shared);
        Self {
            outbound: OutboundThread::new(shared.clone()),
            inbound: InboundThread::new(shared.clone()),
            shared,
            tun,
            udp,
            raw,
            ah,
            whole,
            errors,
            icmp,
            routes,
            host,
            gifs,
            database: Database::new(),
        }
    }

    /// All that was sent as it is on the wire: whole packets.
    fn on_the_wire(&self) -> Vec<Vec<u8>> {
        let mut packets: Vec<_> = taken(&self.whole)
            .into_iter()
            .map(|sent| sent.octets)
            .collect();
        let raw = taken(&self.raw);
        packets.extend(raw.iter().map(|sent| in_header(sent, protocol::ESP)));
        packets
    }

    /// Lets the engine receive a whole packet, by the socket that the host would give it to.
    fn arrive(&mut self, packet: &[u8]) {
        let headers = Headers::parse(packet).unwrap();
        let mut received = Received {
            local: headers.destination,
            remote: SocketAddr::new(headers.source, 0),
            traffic_class: headers.tos,
            segment_octets: packet.len(),
            octets: packet.len(),
        };
        match headers.protocol {
            protocol::ESP => self.raw.put(received, packet),
            protocol::AH => self.ah.put(received, packet),
            protocol::ICMP | protocol::ICMPV6 => self.icmp.put(received, packet),
            protocol::UDP => {
                let datagram = &packet[headers.transport + 8..];
                let (source, destination) = headers.ports.unwrap();
                assert_eq!(destination, 4500);
                received.remote.set_port(source);
                (received.segment_octets, received.octets) = (datagram.len(), datagram.len());
                self.udp.put(received, datagram);
            }
            number => {
                let family = match headers.is_ipv4() {
                    true => netio::udp::Family::V4,
                    false => netio::udp::Family::V6,
                };
                let socket = self.host.raw_of(family, number).unwrap();
                socket.put(received, packet);
            }
        }
        self.inbound.turn();
    }

    /// The packets that came out of the TUN since.
    fn came_out(&self) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.tun.take())
            .map(|read| read[VIRTIO_HEADER..].to_vec())
            .collect()
    }

    /// A policy each way; packets are written to ourselves, so one SA serves both.
    fn with_policies() -> Self {
        let mut world = Self::new();
        for direction in [PolicyDirection::Out, PolicyDirection::In] {
            let params = protecting(direction, Prefix::any(true), Prefix::any(true));
            world.database.add_policy(params, 1).unwrap();
        }
        world.publish();
        world
    }

    fn add_sa(&mut self, udp: bool) {
        let encap = udp.then_some(Encap {
            source_port: 4500,
            destination_port: 4500,
        });
        let params = protected(encap);
        self.database.add_sa(params, 1).unwrap();
        self.publish();
    }

    fn publish(&mut self) {
        self.shared.published.publish(self.database.snapshot());
        self.shared.outbound_wake.set();
    }

    fn put(&self, packet: &[u8]) {
        self.tun
            .put(&[&VirtioHeader::NONE.to_octets()[..], packet].concat());
    }

    fn deliver(&mut self, octets: &[u8], segment_octets: usize) {
        let remote = SocketAddr::new(OURS.into(), 4500);
        let (local, octets_in_all) = (IpAddr::from(THEIRS), octets.len());
        let received = Received {
            local,
            remote,
            traffic_class: 0,
            segment_octets,
            octets: octets_in_all,
        };
        self.udp.put(received, octets);
        self.inbound.turn();
    }

    fn drops(&self, reason: Drop) -> u64 {
        self.shared.inbound_drops.get(reason) + self.shared.outbound_drops.get(reason)
    }
}

/// An IPv4 packet of UDP with a payload.
fn packet(payload: &[u8]) -> Vec<u8> {
    let length = (28 + payload.len()) as u16;
    let mut packet = vec![
        0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 1, 1,
    ];
    packet[2..4].copy_from_slice(&length.to_be_bytes());
    packet.extend([0, 7, 0, 9]);
    packet.extend((length - 20).to_be_bytes());
    packet.extend([0, 0]);
    packet.extend(payload);
    packet
}

/// What a socket of a protocol was given, with the header that the host writes.
fn in_header(sent: &Sent, protocol: u8) -> Vec<u8> {
    let mut packet = Vec::new();
    let header = Outer {
        pair: Pair::new(sent.local.unwrap(), sent.remote.ip()).unwrap(),
        tos: sent.traffic_class,
        hop_limit: 64,
        dont_fragment: true,
        identification: 1,
    };
    header
        .begin(protocol, sent.octets.len(), &mut packet)
        .unwrap();
    packet.extend(&sent.octets);
    packet
}

fn taken(socket: &MemoryDatagrams) -> Vec<Sent> {
    std::iter::from_fn(|| socket.take()).collect()
}

#[test]
fn what_goes_out_comes_in() {
    let mut world = World::with_policies();
    world.add_sa(true);
    let packets: Vec<_> = (0..3).map(|number| packet(&[number; 100])).collect();
    packets.iter().for_each(|packet| world.put(packet));
    world.outbound.turn();
    let sent = taken(&world.udp);
    assert_eq!(sent.len(), 3);
    assert_eq!(sent[0].remote, SocketAddr::new(THEIRS.into(), 4500));
    let run: Vec<u8> = sent.iter().flat_map(|sent| sent.octets.clone()).collect();
    world.deliver(&run, sent[0].octets.len());
    for packet in packets {
        assert_eq!(world.tun.take().unwrap()[VIRTIO_HEADER..], packet);
    }
    world.deliver(&run, sent[0].octets.len());
    assert_eq!(world.drops(Drop::Replayed), 3);
    assert!(world.tun.take().is_none());
}

#[test]
fn without_encapsulation_it_leaves_by_the_raw_socket() {
    let mut world = World::with_policies();
    world.add_sa(false);
    world.put(&packet(b"x"));
    world.outbound.turn();
    assert!(world.udp.take().is_none());
    let sent = world.raw.take().unwrap();
    assert_eq!(sent.remote, SocketAddr::new(THEIRS.into(), 0));
    let octets = in_header(&sent, protocol::ESP);
    let remote = SocketAddr::new(OURS.into(), 0);
    let received = Received {
        local: THEIRS.into(),
        remote,
        traffic_class: 0,
        segment_octets: octets.len(),
        octets: octets.len(),
    };
    world.raw.put(received, &octets);
    world.inbound.turn();
    assert_eq!(world.tun.take().unwrap()[VIRTIO_HEADER..], packet(b"x"));
}

#[test]
fn esp_is_taken_in_udp_and_by_itself_on_every_association() {
    for udp in [true, false] {
        let mut world = World::with_policies();
        world.add_sa(udp);
        let packets: Vec<_> = (0..2).map(|number| packet(&[number; 100])).collect();
        packets.iter().for_each(|packet| world.put(packet));
        world.outbound.turn();
        let sent = taken(if udp { &world.udp } else { &world.raw });
        world.deliver(&sent[0].octets, sent[0].octets.len());
        world.arrive(&in_header(&sent[1], protocol::ESP));
        assert_eq!(world.came_out(), packets);
    }
}

#[test]
fn the_first_packets_wait_and_ask_once() {
    let mut world = World::with_policies();
    world.put(&packet(b"first"));
    world.put(&packet(b"second"));
    world.outbound.turn();
    let notices = Vec::from(world.shared.take_notices());
    let [Notice::Acquire(need, asked)] = notices.as_slice() else {
        panic!("{notices:?}")
    };
    assert_eq!((need.template().reqid, asked.protocol), (REQID, 17));
    world.add_sa(true);
    world.outbound.turn();
    assert_eq!(taken(&world.udp).len(), 2);
}

#[test]
fn what_no_policy_protects_is_dropped() {
    let mut world = World::new();
    world.put(&packet(b"clear"));
    world.put(&[0x45, 0]);
    world.tun.put(&[0; 3]);
    world.outbound.turn();
    assert_eq!(
        (world.drops(Drop::NoPolicy), world.drops(Drop::Truncated)),
        (1, 2)
    );
}

/// What the control thread is told of dropped packets.
fn samples(world: &World) -> Vec<Sample> {
    let notices = world.shared.take_notices().into_iter();
    notices
        .filter_map(|notice| match notice {
            Notice::Dropped(sample) => Some(sample),
            _ => None,
        })
        .collect()
}

#[test]
fn a_dropped_packet_is_told_where_somebody_wants_to_see_some() {
    let mut world = World::new();
    world.put(&packet(b"clear"));
    world.outbound.turn();
    assert_eq!(samples(&world), []);
    world.shared.samples.want(true);
    world.put(&packet(b"clear"));
    world.put(&packet(b"at the same time"));
    world.outbound.turn();
    let told = samples(&world);
    assert_eq!(told.len(), 1);
    assert_eq!(
        (told[0].reason, told[0].inbound, told[0].protocol),
        (Drop::NoPolicy, false, 17)
    );
    assert_eq!(told[0].octets as usize, packet(b"clear").len());
}

#[test]
fn a_datagram_that_is_dropped_is_told_with_its_spi() {
    let mut world = World::with_policies();
    world.add_sa(true);
    world.shared.samples.want(true);
    let unknown = [&(SPI + 1).to_be_bytes()[..], &[0; 60]].concat();
    world.deliver(&unknown, unknown.len());
    let told = samples(&world);
    assert_eq!(told.len(), 1);
    assert_eq!(
        (told[0].reason, told[0].inbound, told[0].spi),
        (Drop::UnknownSpi, true, SPI + 1)
    );
    assert_eq!(told[0].destination, SocketAddr::new(THEIRS.into(), 4_500));
}

#[test]
fn a_run_is_told_apart_datagram_by_datagram() {
    let mut world = World::with_policies();
    let ike = [&[0; 4][..], &[9; 28]].concat();
    world.deliver(&[ike.clone(), ike.clone(), vec![1, 2, 3]].concat(), 32);
    world.deliver(&[0xff], 1);
    assert_eq!(world.shared.take_notices().len(), 2);
    assert_eq!(
        (world.drops(Drop::IkeTooShort), world.drops(Drop::Keepalive)),
        (1, 1)
    );
}

#[test]
fn a_flood_of_ike_is_bounded_and_leaves_room_for_an_acquire() {
    let mut world = World::new();
    let ike = [&[0; 4][..], &[9; 28]].concat();
    (0..600).for_each(|_| world.deliver(&ike, 32));
    assert_eq!(world.drops(Drop::IkeQueueFull), 344);
    let protecting = protecting(PolicyDirection::Out, Prefix::any(true), Prefix::any(true));
    world.database.add_policy(protecting, 1).unwrap();
    world.publish();
    world.put(&packet(b"needs an SA"));
    world.outbound.turn();
    let notices = world.shared.take_notices();
    assert_eq!(notices.len(), 257);
    assert!(matches!(notices[256], Notice::Acquire(..)));
}

/// What the control thread is told of packets for unknown SPIs.
fn strays(world: &World) -> Vec<Stray> {
    let notices = world.shared.take_notices().into_iter();
    notices
        .filter_map(|notice| match notice {
            Notice::Stray(stray) => Some(stray),
            _ => None,
        })
        .collect()
}

#[test]
fn a_packet_for_an_unknown_spi_is_told_a_few_times() {
    let mut world = World::with_policies();
    world.add_sa(true);
    let unknown = [&(SPI + 1).to_be_bytes()[..], &[0; 60]].concat();
    (0..100).for_each(|_| world.deliver(&unknown, unknown.len()));
    assert_eq!(world.drops(Drop::UnknownSpi), 100);
    let told = strays(&world);
    let wanted = Stray {
        local: SocketAddr::new(THEIRS.into(), 4500),
        remote: SocketAddr::new(OURS.into(), 4500),
        protocol: Protocol::Esp,
        spi: SPI + 1,
    };
    assert_eq!(told[0], wanted);
    assert!((4..10).contains(&told.len()), "{told:?}");
}

#[test]
fn without_udp_it_is_told_without_ports() {
    let mut world = World::with_policies();
    let header = Outer {
        pair: Pair::new(OURS.into(), THEIRS.into()).unwrap(),
        tos: 0,
        hop_limit: 64,
        dont_fragment: false,
        identification: 1,
    };
    for (number, protocol, spi_at) in [
        (protocol::ESP, Protocol::Esp, 0),
        (protocol::AH, Protocol::Ah, 4),
    ] {
        let mut body = [0; 64];
        body[1] = 4;
        body[spi_at..spi_at + 4].copy_from_slice(&SPI.to_be_bytes());
        let mut whole = Vec::new();
        header.begin(number, body.len(), &mut whole).unwrap();
        whole.extend_from_slice(&body);
        world.arrive(&whole);
        let wanted = Stray {
            local: SocketAddr::new(THEIRS.into(), 0),
            remote: SocketAddr::new(OURS.into(), 0),
            protocol,
            spi: SPI,
        };
        assert_eq!(strays(&world), [wanted]);
    }
}

proptest! {
    #[test]
    fn any_datagram_is_dropped_with_a_reason(
        octets in proptest::collection::vec(any::<u8>(), 1..200),
        known in any::<bool>(),
        segment in 1usize..200,
    ) {
        let mut world = World::with_policies();
        world.add_sa(true);
        let octets = if known { [&SPI.to_be_bytes()[..], &octets].concat() } else { octets };
        world.deliver(&octets, segment);
        let datagrams = octets.len().div_ceil(segment);
        let dropped: u64 = world.shared.inbound_drops.nonzero().iter().map(|(_, packets)| packets).sum();
        let ike = world.shared.take_notices().iter().filter(|notice| matches!(notice, Notice::Ike(_))).count();
        prop_assert_eq!(dropped as usize + ike, datagrams);
        prop_assert!(world.tun.take().is_none());
    }

    #[test]
    fn any_read_of_the_tun_is_sent_or_dropped(octets in proptest::collection::vec(any::<u8>(), 1..200), version in 4u8..=6) {
        let mut world = World::with_policies();
        world.add_sa(true);
        let mut octets = octets;
        if let Some(first) = octets.get_mut(VIRTIO_HEADER) {
            *first = version << 4 | 5;
        }
        world.tun.put(&octets);
        world.outbound.turn();
        let dropped = world.shared.outbound_drops.nonzero().len();
        prop_assert!(dropped > 0 || world.udp.take().is_some());
    }
}
