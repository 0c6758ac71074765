//! ESP and AH packets of 0 to 64 octets, all lengths, for every transform: none opens unless it was sealed, and every sealed
//! one does.

use std::sync::Arc;

use packet::bundle::Step;
use packet::esp;
use packet::protect::{self, Choice};
use packet::sa::Sa;
use trials::associations::{self, AH, ESP, SPI};
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

/// A packet of IPv4 or IPv6 with so many octets of AH's, from the SA's source to its destination.
fn packet_with(sa: &Sa, body: &[u8]) -> Vec<u8> {
    let length = body.len() as u16;
    let mut packet = if sa.params().destination.is_ipv4() {
        let mut header = vec![0x45; 20];
        header[2..4].copy_from_slice(&(length + 20).to_be_bytes());
        header[6..8].fill(0);
        header[9] = AH;
        header[12..].copy_from_slice(&[192, 0, 2, 1, 192, 0, 2, 2]);
        header
    } else {
        let mut header = vec![0x60; 40];
        header[4..6].copy_from_slice(&length.to_be_bytes());
        header[6] = AH;
        header
    };
    packet.extend(body);
    packet
}

/// What stands in AH of a length: as `contents`, with the SPI in its place and each of the lengths that AH may say.
fn ah_contents(length: usize, source: &mut Source) -> Vec<Vec<u8>> {
    let bodies = contents(length, source).into_iter();
    let with_length = |body: Vec<u8>, words: u8| {
        let mut body = body;
        let head = [4, words, 0, 0];
        let written = head.into_iter().chain(SPI.to_be_bytes());
        body.iter_mut()
            .zip(written)
            .for_each(|(octet, value)| *octet = value);
        body
    };
    bodies
        .flat_map(|body| [0, 1, 4, 5, 6, 9, 255].map(|words| with_length(body.clone(), words)))
        .collect()
}

#[test]
fn no_ah_opens_that_was_not_sealed() {
    let mut source = Source::new(2);
    for sa in associations::all(AH).into_iter().map(Arc::new) {
        for length in 0..=LONGEST {
            for body in ah_contents(length, &mut source) {
                let mut packet = packet_with(&sa, &body);
                assert!(protect::open(&sa, &mut packet, false, NOW_S).is_err());
            }
        }
    }
}

#[test]
fn ah_that_is_sealed_opens_and_no_bit_of_it_may_change() {
    for sa in associations::all(AH).into_iter().map(Arc::new) {
        let step = Step {
            sa: Arc::clone(&sa),
            mode: sa.params().mode,
        };
        for payload in 0..=LONGEST {
            let mut inner = packet_with(&sa, &vec![7; payload]);
            let place = if inner[0] >> 4 == 4 { 9 } else { 6 };
            inner[place] = 17;
            let mut out = Vec::new();
            let start = protect::seal(&step, &inner, &Choice::default(), &mut out, NOW_S).unwrap();
            let opened = protect::open(&sa, &mut out.clone(), false, NOW_S).unwrap();
            assert_eq!(opened.range.len(), inner.len());
            for bit in start * 8..out.len() * 8 {
                let mut changed = out.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                assert!(
                    protect::open(&sa, &mut changed, false, NOW_S).is_err(),
                    "bit {bit}"
                );
            }
            for length in start..out.len() {
                assert!(protect::open(&sa, &mut out[..length].to_vec(), false, NOW_S).is_err());
            }
        }
    }
}
