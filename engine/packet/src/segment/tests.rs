use proptest::prelude::*;

use super::*;
use crate::testing::{Tcp, ipv4, octets, tcp_packets, udp_between};

fn virtio(tcp: &Tcp, size: usize) -> VirtioHeader {
    VirtioHeader {
        flags: NEEDS_CHECKSUM,
        gso_type: if tcp.ipv4 { GSO_TCPV4 } else { GSO_TCPV6 },
        header_length: tcp.header() as u16,
        gso_size: size as u16,
        checksum_start: tcp.transport() as u16,
        checksum_offset: 16,
    }
}

fn all(segments: &Segments<'_>) -> Vec<Vec<u8>> {
    let write = |number| {
        let mut out = vec![0xee; segments.length(number)];
        assert_eq!(segments.write(number, &mut out), out.len());
        out
    };
    (0..segments.count()).map(write).collect()
}

proptest! {
    #[test]
    fn cutting_equals_the_plain_path(tcp in tcp_packets(any::<u8>(), 9_000), size in 1usize..1_500) {
        let size = size.max(tcp.payload.len() / 500);
        let packet = tcp.packet(true);
        let segments = Segments::new(&virtio(&tcp, size), &packet).unwrap();
        prop_assert_eq!(all(&segments), tcp.cut(size));
    }

    #[test]
    fn a_partial_checksum_is_completed(tcp in tcp_packets(any::<u8>(), 1_500)) {
        let header = VirtioHeader { gso_type: GSO_NONE, ..virtio(&tcp, 0) };
        let packet = tcp.packet(true);
        prop_assert_eq!(all(&Segments::new(&header, &packet).unwrap()), [tcp.packet(false)]);
    }

    #[test]
    fn nothing_a_tun_says_makes_it_panic(
        tcp in tcp_packets(any::<u8>(), 300),
        flags in 0u8..4,
        gso_type in prop_oneof![0u8..8, Just(0x81)],
        (gso_size, start, offset) in (0u16..400, 0u16..400, 0u16..400),
        (place, octet) in (0usize..400, any::<u8>()),
    ) {
        let mut packet = tcp.packet(true);
        let place = place % packet.len();
        packet[place] = octet;
        for header in [
            VirtioHeader { flags, gso_type, header_length: 0, gso_size, checksum_start: start, checksum_offset: offset },
            VirtioHeader { gso_size, ..virtio(&tcp, 0) },
        ] {
            if let Ok(segments) = Segments::new(&header, &packet) {
                all(&segments);
            }
        }
    }

    #[test]
    fn the_header_of_the_tun_is_read_as_written(octets in octets(10..11)) {
        let (header, rest) = VirtioHeader::split(&octets).unwrap();
        prop_assert_eq!((&header.to_octets()[..], rest.len()), (&octets[..], 0));
    }
}

#[test]
fn a_complete_packet_is_passed_on_as_it_is() {
    let packet = udp_between("10.0.0.1", "10.0.0.2", (1, 2));
    let padded = [&packet[..], &[0; 5]].concat();
    let segments = Segments::new(&VirtioHeader::NONE, &padded).unwrap();
    assert_eq!((segments.count(), all(&segments)), (1, vec![packet]));
}

/// A UDP super-packet with the partial checksum of its whole length.
fn udp_super(payload: &[u8]) -> (VirtioHeader, Vec<u8>) {
    let length = (8 + payload.len()) as u16;
    let upper = [
        &[0x0f, 0xa0, 0, 53][..],
        &length.to_be_bytes(),
        &[0, 0],
        payload,
    ]
    .concat();
    let mut packet = ipv4("10.0.0.1", "10.0.0.2", protocol::UDP, &upper);
    let partial = checksum::fold(checksum::pseudo_header(&packet, protocol::UDP, upper.len()));
    packet[26..28].copy_from_slice(&partial.to_be_bytes());
    let header = VirtioHeader {
        flags: NEEDS_CHECKSUM,
        gso_type: GSO_UDP_L4,
        header_length: 28,
        gso_size: 100,
        checksum_start: 20,
        checksum_offset: 6,
    };
    (header, packet)
}

#[test]
fn datagrams_are_cut_too() {
    let payload: Vec<u8> = (0..250u8).collect();
    let (header, packet) = udp_super(&payload);
    let parts = all(&Segments::new(&header, &packet).unwrap());
    assert_eq!(
        parts.iter().map(Vec::len).collect::<Vec<_>>(),
        [128, 128, 78]
    );
    for (part, chunk) in parts.iter().zip(payload.chunks(100)) {
        assert_eq!(&part[28..], chunk);
        assert_eq!(usize::from(u16_at(part, 24)), part.len() - 20);
        let sum = checksum::pseudo_header(part, protocol::UDP, part.len() - 20);
        assert_eq!(checksum::fold(checksum::sum(sum, &part[20..])), 0xffff);
        assert_eq!(checksum::checksum(&part[..20]), 0);
    }
    assert_eq!(u16_at(&parts[2], 4), u16_at(&packet, 4) + 2);
}

#[test]
fn a_header_that_contradicts_the_packet_is_refused() {
    let (good, packet) = udp_super(&[0; 250]);
    let changes = [
        VirtioHeader {
            gso_type: GSO_TCPV4,
            ..good
        },
        VirtioHeader {
            gso_type: 3,
            ..good
        },
        VirtioHeader {
            gso_size: 0,
            ..good
        },
        VirtioHeader { flags: 0, ..good },
        VirtioHeader {
            checksum_start: 24,
            ..good
        },
        VirtioHeader {
            checksum_offset: 16,
            ..good
        },
        VirtioHeader {
            gso_type: GSO_NONE,
            checksum_start: 277,
            ..good
        },
    ];
    for header in changes {
        assert_eq!(
            Segments::new(&header, &packet).unwrap_err(),
            Drop::UnsupportedOffload,
            "{header:?}"
        );
    }
    let padded = [&packet[..], &[0]].concat();
    assert_eq!(
        Segments::new(&good, &padded).unwrap_err(),
        Drop::UnsupportedOffload
    );
}
