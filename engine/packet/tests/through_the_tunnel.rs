//! Two gateways as a user of the crate sees them: a super-packet goes in at one TUN and comes out at the other.

use std::net::IpAddr;
use std::sync::Arc;
use std::thread;

use packet::algorithm::{Aead, Transform};
use packet::bundle::Step;
use packet::coalesce::Coalescer;
use packet::database::Database;
use packet::flow::FlowCache;
use packet::ip::{Headers, protocol};
use packet::published::Published;
use packet::reason::Drop;
use packet::sa::{Direction, Lifetimes, Mode, Protocol, Sa, SaParams};
use packet::secret::Secret;
use packet::segment::Segments;
use packet::selector::{Prefix, Selector};
use packet::snapshot::{Outbound, Snapshot};
use packet::spd::{Action, PolicyDirection, PolicyParams, Template};
use packet::virtio::{GSO_TCPV4, NEEDS_CHECKSUM, VirtioHeader};
use packet::{checksum, esp, outer};

const SPI: u32 = 0xc0de_0001;

fn between(source: [u8; 4], destination: [u8; 4]) -> Selector {
    let prefix = |octets: [u8; 4]| Prefix::new(IpAddr::from(octets), 24).unwrap();
    Selector::new(prefix(source), prefix(destination)).unwrap()
}

fn lans() -> Selector {
    between([192, 168, 1, 0], [192, 168, 2, 0])
}

fn association(direction: Direction) -> SaParams {
    SaParams {
        source: IpAddr::from([203, 0, 113, 1]),
        destination: IpAddr::from([198, 51, 100, 1]),
        spi: SPI,
        reqid: 1,
        protocol: Protocol::Esp,
        mode: Mode::Tunnel,
        transform: Transform::Aead {
            algorithm: Aead::AesGcm,
            icv_octets: 16,
            key: Secret::new(&[9; 36]),
        },
        direction: Some(direction),
        encap: None,
        replay_window: 1_024,
        flags: 0,
        extra_flags: 0,
        tfc_padding: 0,
        legacy: false,
        lifetimes: Lifetimes::NONE,
        selectors: vec![lans()],
    }
}

fn gateway(direction: Direction) -> Arc<Snapshot> {
    let any = IpAddr::from([0, 0, 0, 0]);
    let template = Template {
        source: any,
        destination: any,
        spi: 0,
        reqid: 1,
        protocol: Protocol::Esp,
        mode: Mode::Tunnel,
        optional: false,
    };
    let policy = PolicyParams {
        direction: if direction == Direction::Out {
            PolicyDirection::Out
        } else {
            PolicyDirection::In
        },
        selector: lans(),
        action: Action::Allow,
        priority: 1,
        index: 0,
        flags: 0,
        templates: vec![template],
        lifetimes: Lifetimes::NONE,
    };
    let mut database = Database::new();
    database.add_policy(policy, 0).unwrap();
    database.add_sa(association(direction), 0).unwrap();
    database.snapshot()
}

/// What a TUN gives for a TCP stream: one packet with many segments' payload and a partial checksum.
fn super_packet(payload: usize) -> (VirtioHeader, Vec<u8>) {
    let length = (40 + payload) as u16;
    let mut packet = vec![
        0x45,
        0,
        0,
        0,
        0,
        1,
        0x40,
        0,
        63,
        protocol::TCP,
        0,
        0,
        192,
        168,
        1,
        20,
        192,
        168,
        2,
        34,
    ];
    packet[2..4].copy_from_slice(&length.to_be_bytes());
    checksum::write_ipv4(&mut packet, 20);
    packet.extend([
        0x9c, 0x40, 0, 80, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 1, 0, 0, 0, 0, 0,
    ]);
    let partial = checksum::fold(checksum::pseudo_header(
        &packet,
        protocol::TCP,
        20 + payload,
    ));
    packet[36..38].copy_from_slice(&partial.to_be_bytes());
    packet.extend((0..payload).map(|index| (index % 251) as u8));
    let header = VirtioHeader {
        flags: NEEDS_CHECKSUM,
        gso_type: GSO_TCPV4,
        header_length: 40,
        gso_size: 1_360,
        checksum_start: 20,
        checksum_offset: 16,
    };
    (header, packet)
}

fn out(
    snapshot: &Snapshot,
    flows: &mut FlowCache,
    header: &VirtioHeader,
    packet: &[u8],
) -> Vec<Vec<u8>> {
    let segments = Segments::new(header, packet).unwrap();
    let Outbound::Protect(bundle) = flows.outbound(snapshot, segments.headers(), 1) else {
        panic!("no protection")
    };
    let sa = bundle.single_tunnel().unwrap();
    let seal = |number: usize| {
        let mut sealed = vec![0; esp::sealed_length(sa, segments.length(number))];
        let length = segments.write(number, &mut sealed[esp::payload_offset(sa)..]);
        let next_header = outer::next_header(segments.headers());
        assert_eq!(
            esp::seal_in_place(sa, &mut sealed, length, next_header, 1),
            Ok(sealed.len())
        );
        sealed
    };
    (0..segments.count()).map(seal).collect()
}

fn inward(
    snapshot: &Snapshot,
    flows: &mut FlowCache,
    sealed: &mut [u8],
    outer_tos: u8,
) -> Result<(Headers, Vec<u8>), Drop> {
    let spi = esp::spi(sealed).ok_or(Drop::Truncated)?;
    let sa = snapshot
        .inbound(IpAddr::from([198, 51, 100, 1]), spi, Protocol::Esp)
        .ok_or(Drop::UnknownSpi)?;
    let opened = esp::open(sa, sealed, 1)?;
    let inner = &mut sealed[opened.payload];
    let headers = outer::judge_inner(inner, opened.next_header)?;
    let inner = &mut inner[..headers.length];
    outer::apply_tos(sa, inner, outer_tos)?;
    let step = Step::opened(sa, opened.next_header);
    flows.accept(snapshot, &[step], &headers, true, 1)?;
    Ok((headers, inner.to_vec()))
}

#[test]
fn a_stream_crosses_and_is_joined_again() {
    let (left, right) = (gateway(Direction::Out), gateway(Direction::In));
    let (mut left_flows, mut right_flows) = (FlowCache::new(), FlowCache::new());
    let (header, packet) = super_packet(60_000);
    let sealed = out(&left, &mut left_flows, &header, &packet);
    assert_eq!(sealed.len(), 45);
    let readable = |sealed: &Vec<u8>| sealed.windows(16).any(|octets| octets == &packet[100..116]);
    assert!(!sealed.iter().any(readable));
    let (mut coalescer, mut joined) = (Coalescer::new(), Vec::new());
    let mut emit = |header: &VirtioHeader, packet: &[u8]| joined.push((*header, packet.to_vec()));
    for mut sealed in sealed {
        let (headers, inner) = inward(&right, &mut right_flows, &mut sealed, 0).unwrap();
        coalescer.push(&inner, &headers, &mut emit);
    }
    coalescer.flush(&mut emit);
    assert_eq!(joined, [(header, packet)]);
}

#[test]
fn what_the_association_may_not_carry_does_not_come_out() {
    let right = gateway(Direction::In);
    let sender = Sa::new(association(Direction::Out), 1, 0).unwrap();
    let try_inner = |change: fn(&mut Vec<u8>), outer_tos: u8| {
        let (_, mut packet) = super_packet(100);
        change(&mut packet);
        let mut sealed = vec![0; packet.len() + esp::MAX_OVERHEAD];
        let length = esp::seal(&sender, &packet, protocol::IPV4, &mut sealed, 1).unwrap();
        inward(
            &right,
            &mut FlowCache::new(),
            &mut sealed[..length],
            outer_tos,
        )
        .map(|(_, inner)| inner.len())
    };
    assert_eq!(try_inner(|_| (), 0), Ok(140));
    assert_eq!(
        try_inner(|packet| packet.extend([0; 300]), 0),
        Ok(140),
        "padding for traffic flow confidentiality"
    );
    assert_eq!(
        try_inner(|packet| packet[14] = 7, 0),
        Err(Drop::SelectorMismatch)
    );
    assert_eq!(
        try_inner(|packet| packet[0] = 0x65, 0),
        Err(Drop::InnerMalformed)
    );
    assert_eq!(
        try_inner(|packet| packet.truncate(100), 0),
        Err(Drop::InnerMalformed)
    );
    assert_eq!(try_inner(|_| (), 3), Err(Drop::EcnMismatch));
}

/// Four threads seal with one SA: no number is used twice. Four threads open all of it: each packet once.
#[test]
fn threads_share_an_association() {
    const EACH: usize = 2_000;
    let sender = Arc::new(Sa::new(association(Direction::Out), 1, 0).unwrap());
    let sealing = (0..4).map(|_| {
        let sender = Arc::clone(&sender);
        thread::spawn(move || {
            let seal = |_| {
                let mut packet = vec![0; esp::sealed_length(&sender, 20)];
                esp::seal(&sender, &[1; 20], protocol::IPV4, &mut packet, 1).unwrap();
                packet
            };
            (0..EACH).map(seal).collect::<Vec<_>>()
        })
    });
    let threads: Vec<_> = sealing.collect();
    let mut packets: Vec<Vec<u8>> = threads
        .into_iter()
        .flat_map(|thread| thread.join().unwrap())
        .collect();
    packets.sort_by_key(|packet| packet[4..8].to_vec());
    assert!(
        packets
            .windows(2)
            .all(|pair| pair[0][4..16] != pair[1][4..16])
    );
    let wide = SaParams {
        replay_window: 65_536,
        ..association(Direction::In)
    };
    let (receiver, packets) = (Arc::new(Sa::new(wide, 1, 0).unwrap()), Arc::new(packets));
    let opening = (0..4).map(|_| {
        let (receiver, packets) = (Arc::clone(&receiver), Arc::clone(&packets));
        thread::spawn(move || {
            packets
                .iter()
                .filter(|packet| esp::open(&receiver, &mut packet.to_vec(), 1).is_ok())
                .count()
        })
    });
    let threads: Vec<_> = opening.collect();
    let opened: usize = threads
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .sum();
    assert_eq!(
        (opened, receiver.usage().packets),
        (4 * EACH, 4 * EACH as u64)
    );
    assert_eq!(receiver.drops().get(Drop::Replayed), 12 * EACH as u64);
}

#[test]
fn threads_may_share_what_they_share() {
    fn shared<T: Send + Sync>() {}
    fn movable<T: Send>() {}
    shared::<Sa>();
    shared::<Snapshot>();
    shared::<Published>();
    movable::<FlowCache>();
    movable::<Coalescer>();
    movable::<Database>();
}
