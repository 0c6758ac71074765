//! ESP packets of 0 to 64 octets, all lengths, for every transform: none opens unless it was sealed, and every sealed one does.

use packet::esp;
use packet::sa::Sa;
use trials::associations::{self, ESP, SPI};
use trials::mutation::Source;

const LONGEST: usize = 64;
const ROOM: usize = 256;
const NOW_S: u64 = 2_000;

/// What stands in a packet of a length behind the right SPI: zeros, ones, counting, and some that are drawn.
fn contents(length: usize, source: &mut Source) -> Vec<Vec<u8>> {
    let mut all = vec![
        vec![0; length],
        vec![0xff; length],
        (0..length as u8).collect(),
    ];
    all.extend((0..4).map(|_| source.octets(length)));
    for packet in &mut all {
        for (octet, spi) in packet.iter_mut().zip(SPI.to_be_bytes()) {
            *octet = spi;
        }
    }
    all
}

fn sealed(sa: &Sa, payload: usize) -> Vec<u8> {
    let mut out = vec![0; ROOM];
    let length = esp::seal(sa, &vec![7; payload], 17, &mut out, NOW_S).unwrap();
    out.truncate(length);
    out
}

#[test]
fn nothing_that_was_not_sealed_opens() {
    let mut source = Source::new(1);
    for sa in associations::all(ESP) {
        for length in 0..=LONGEST {
            for mut packet in contents(length, &mut source) {
                assert!(esp::open(&sa, &mut packet, NOW_S).is_err());
            }
        }
    }
}

#[test]
fn what_is_sealed_opens_whole_and_no_shorter_or_longer() {
    for sa in associations::all(ESP) {
        for payload in 0..=LONGEST {
            let packet = sealed(&sa, payload);
            let mut copy = packet.clone();
            let opened = esp::open(&sa, &mut copy, NOW_S).unwrap();
            assert_eq!(
                (&copy[opened.payload], opened.next_header),
                (&vec![7; payload][..], 17)
            );
            for length in 0..packet.len() {
                assert!(esp::open(&sa, &mut packet[..length].to_vec(), NOW_S).is_err());
            }
            assert!(esp::open(&sa, &mut [&packet[..], &[0; 4]].concat(), NOW_S).is_err());
        }
    }
}

#[test]
fn no_bit_of_a_short_packet_may_change() {
    for sa in associations::all(ESP) {
        let packet = sealed(&sa, 9);
        for bit in 0..packet.len() * 8 {
            let mut changed = packet.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(esp::open(&sa, &mut changed, NOW_S).is_err(), "bit {bit}");
        }
    }
}
