use proptest::prelude::*;

use super::*;
use crate::segment::Segments;
use crate::testing::{Tcp, tcp_packets, udp_between};

const DATA: u8 = tcp::ACK;
const PUSH: u8 = tcp::ACK | tcp::PSH;

fn joined<'a>(packets: impl IntoIterator<Item = &'a Vec<u8>>) -> Vec<(VirtioHeader, Vec<u8>)> {
    let (mut coalescer, mut out) = (Coalescer::new(), Vec::new());
    let mut emit = |header: &VirtioHeader, packet: &[u8]| out.push((*header, packet.to_vec()));
    for packet in packets {
        coalescer.push(packet, &Headers::parse(packet).unwrap(), &mut emit);
    }
    coalescer.flush(&mut emit);
    out
}

fn cut_again(joined: &[(VirtioHeader, Vec<u8>)]) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    for (header, packet) in joined {
        let segments = Segments::new(header, packet).unwrap();
        for number in 0..segments.count() {
            let mut out = vec![0; segments.length(number)];
            segments.write(number, &mut out);
            packets.push(out);
        }
    }
    packets
}

fn stream(sizes: &[usize]) -> Vec<Vec<u8>> {
    let mut tcp = Tcp {
        ipv4: true,
        identification: 1,
        sequence: 5,
        flags: DATA,
        options: vec![],
        payload: vec![],
    };
    let mut packets = Vec::new();
    for &size in sizes {
        tcp.payload = vec![size as u8; size];
        packets.push(tcp.packet(false));
        tcp.sequence = tcp.sequence.wrapping_add(size as u32);
        tcp.identification += 1;
    }
    packets
}

fn lengths(sizes: &[usize]) -> Vec<usize> {
    joined(&stream(sizes))
        .iter()
        .map(|(_, packet)| packet.len() - 40)
        .collect()
}

proptest! {
    #[test]
    fn cut_and_joined_is_the_same(
        tcp in tcp_packets(prop_oneof![Just(DATA), Just(PUSH)], 9_000),
        size in 1usize..1_500,
    ) {
        let mut tcp = tcp;
        let size = size.max(tcp.payload.len() / 500);
        tcp.payload.extend(vec![0; size]);
        let joined = joined(&tcp.cut(size));
        prop_assert_eq!(joined.len(), 1);
        prop_assert_eq!(usize::from(joined[0].0.gso_size), size);
        prop_assert_eq!(&joined[0].1, &tcp.packet(true));
    }

    /// Whatever comes, in whatever order: cut again, it is what came, in that order.
    #[test]
    fn nothing_is_lost_changed_or_reordered(
        tcp in tcp_packets(prop_oneof![Just(DATA), Just(PUSH), Just(0x11)], 5_000),
        size in 100usize..700,
        order in proptest::collection::vec(0usize..50, 1..50),
        // Behind the ports: between flows the order may change.
        damage in proptest::option::of((0usize..50, 44usize..2_000)),
    ) {
        let mut packets = tcp.cut(size);
        if let Some((which, place)) = damage {
            let count = packets.len();
            let packet = &mut packets[which % count];
            let place = place.min(packet.len() - 1);
            packet[place] ^= 1;
        }
        let sent: Vec<_> = order.iter().map(|index| packets[index % packets.len()].clone()).collect();
        prop_assert_eq!(cut_again(&joined(&sent)), sent);
    }
}

#[test]
fn a_short_segment_ends_it_and_a_longer_one_begins_anew() {
    assert_eq!(lengths(&[100, 100, 50, 100, 100]), [250, 200]);
    assert_eq!(lengths(&[50, 100, 100]), [50, 200]);
    assert_eq!(lengths(&[1400; 50]), [1400 * 46, 1400 * 4]);
}

#[test]
fn what_differs_is_not_joined() {
    let pair = stream(&[100, 100]);
    let changed = |place: usize, value: u8| {
        let mut second = pair[1].clone();
        second[place] = value;
        checksum::write_ipv4(&mut second, 20);
        second[36..38].fill(0);
        let sum = checksum::sum(checksum::pseudo_header(&second, 6, 120), &second[20..]);
        second[36..38].copy_from_slice(&(!checksum::fold(sum)).to_be_bytes());
        joined(&[pair[0].clone(), second]).len()
    };
    assert_eq!(changed(45, 9), 1, "payload may be anything");
    for (place, value, what) in [
        (1, 1, "ECN"),
        (5, 9, "identification"),
        (6, 0, "DF"),
        (8, 63, "time to live"),
        (15, 9, "source"),
        (23, 81, "port"),
        (27, 8, "sequence number"),
        (31, 8, "acknowledgement"),
        (33, 0x18 | 0x20, "URG"),
        (33, 0x11, "FIN"),
        (33, 0x90, "CWR"),
        (34, 9, "window"),
    ] {
        assert_eq!(changed(place, value), 2, "{what}");
    }
}

#[test]
fn a_wrong_checksum_is_not_mended() {
    for place in [10, 45] {
        let mut packets = stream(&[100, 100, 100]);
        packets[1][place] ^= 1;
        let joined = joined(&packets);
        assert_eq!(
            joined
                .iter()
                .map(|(_, packet)| packet.clone())
                .collect::<Vec<_>>(),
            packets
        );
    }
}

#[test]
fn without_fragments_the_identification_may_stand_still() {
    let mut packets = stream(&[100, 100, 100]);
    for packet in &mut packets {
        packet[4..6].fill(0);
        checksum::write_ipv4(packet, 20);
    }
    assert_eq!(joined(&packets).len(), 1);
}

#[test]
fn other_protocols_pass_and_flows_do_not_mix() {
    let datagram = udp_between("10.0.0.1", "10.0.0.2", (1, 2));
    let six = Tcp {
        ipv4: false,
        identification: 0,
        sequence: 1,
        flags: DATA,
        options: vec![],
        payload: vec![1; 200],
    };
    let (four, six) = (stream(&[100, 100]), six.cut(100));
    let out = joined([&four[0], &datagram, &six[0], &four[1], &six[1]]);
    let lengths: Vec<_> = out.iter().map(|(_, packet)| packet.len()).collect();
    assert_eq!(lengths, [28, 240, 260]);
}

#[test]
fn more_flows_than_places_lose_nothing() {
    let mut packets = Vec::new();
    for round in 0..2u32 {
        for port in 0..40u16 {
            let mut packet = stream(&[100, 100])[round as usize].clone();
            packet[20..22].copy_from_slice(&port.to_be_bytes());
            packet[36..38].fill(0);
            let sum = checksum::sum(checksum::pseudo_header(&packet, 6, 120), &packet[20..]);
            packet[36..38].copy_from_slice(&(!checksum::fold(sum)).to_be_bytes());
            packets.push(packet);
        }
    }
    let mut out = cut_again(&joined(&packets));
    out.sort();
    packets.sort();
    assert_eq!(out, packets);
}
