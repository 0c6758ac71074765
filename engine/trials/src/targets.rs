//! Functions that take any octets and must come back, soon and without a panic: what each fuzz target runs.

use std::sync::OnceLock;

use aws_lc_rs::hmac;
use packet::esp;
use packet::ip::Headers;
use packet::outer;
use packet::sa::Sa;

use crate::associations::{self, ESP, KEY, SPI};

/// A target: its name, what it runs, and inputs to begin with.
pub struct Target {
    /// The name of its folder in the corpus.
    pub name: &'static str,
    /// Must come back for any octets.
    pub run: fn(&[u8]),
    /// Inputs that go deep.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target {
        name: "esp_open",
        run: esp_open,
        seeds: esp_seeds,
    },
    Target {
        name: "esp_trailer",
        run: esp_trailer,
        seeds: trailer_seeds,
    },
    Target {
        name: "headers",
        run: headers,
        seeds: packets,
    },
    Target {
        name: "netlink",
        run: netlink,
        seeds: netlink_seeds,
    },
];

const NOW_S: u64 = 2_000;
const ROOM: usize = 512;

fn esp_associations() -> &'static [Sa] {
    static ALL: OnceLock<Vec<Sa>> = OnceLock::new();
    ALL.get_or_init(|| associations::all(ESP))
}

/// The first octet chooses the association, the rest is an ESP packet.
pub fn esp_open(input: &[u8]) {
    let Some((&choice, packet)) = input.split_first() else {
        return;
    };
    let all = esp_associations();
    let sa = &all[usize::from(choice) % all.len()];
    let _ = esp::spi(packet);
    if let Ok(opened) = esp::open(sa, &mut packet.to_vec(), NOW_S) {
        assert!(opened.payload.end <= packet.len());
    }
}

fn esp_seeds() -> Vec<Vec<u8>> {
    let sealed = |(number, sa): (usize, &Sa)| {
        let mut out = vec![0; ROOM];
        let length = esp::seal(sa, &packets()[number % 2], 4, &mut out, NOW_S).ok()?;
        Some([&[number as u8], &out[..length]].concat())
    };
    esp_associations()
        .iter()
        .enumerate()
        .filter_map(sealed)
        .collect()
}

/// The octets are the body of an authentic packet: whatever stands in them, padding and what is inside must be judged.
pub fn esp_trailer(input: &[u8]) {
    let sa = &esp_associations()[2];
    let key = hmac::Key::new(hmac::HMAC_SHA256, &[KEY; 32]);
    let mut packet = [&SPI.to_be_bytes()[..], &1u32.to_be_bytes(), input].concat();
    let icv = hmac::sign(&key, &packet);
    packet.extend(&icv.as_ref()[..16]);
    let Ok(opened) = esp::open(sa, &mut packet, NOW_S) else {
        return;
    };
    let inner = &mut packet[opened.payload];
    if let Ok(headers) = outer::judge_inner(inner, opened.next_header) {
        assert!(headers.length <= inner.len() && headers.transport <= headers.length);
        for tos in 0..=3 {
            let _ = outer::apply_tos(sa, inner, tos);
        }
    }
}

fn trailer_seeds() -> Vec<Vec<u8>> {
    let body = |(packet, next_header): (&Vec<u8>, u8)| {
        let padding = (2 - packet.len() as i64).rem_euclid(4) as u8;
        let mut body = packet.clone();
        body.extend(1..=padding);
        body.extend([padding, next_header]);
        body
    };
    packets().iter().zip([4, 41]).map(body).collect()
}

/// A packet as the TUN or a tunnel gives it.
pub fn headers(input: &[u8]) {
    if let Ok(headers) = Headers::parse(input) {
        assert!(headers.length <= input.len() && headers.transport <= headers.length);
    }
}

/// A UDP datagram of IPv4, one of IPv6 behind extension headers, and a first fragment.
fn packets() -> Vec<Vec<u8>> {
    let udp = [0, 53, 0, 53, 0, 12, 0, 0, 1, 2, 3, 4];
    let mut ipv4 = vec![0x45, 0, 0, 32, 0, 9, 0, 0, 64, 17, 0, 0];
    ipv4.extend([192, 0, 2, 1, 192, 0, 2, 2]);
    ipv4.extend(udp);
    let mut ipv6 = vec![0x60, 0, 0, 0, 0, 28, 0, 64];
    ipv6.extend([&[0x20, 1, 0x0d, 0xb8][..], &[0; 11], &[1]].concat());
    ipv6.extend([&[0x20, 1, 0x0d, 0xb8][..], &[0; 11], &[2]].concat());
    ipv6.extend([60, 0, 1, 4, 0, 0, 0, 0, 17, 0, 1, 4, 0, 0, 0, 0]);
    ipv6.extend(udp);
    let mut fragment = ipv4.clone();
    fragment[6] = 0x20;
    vec![ipv4, ipv6, fragment]
}

/// A datagram of the control socket.
pub fn netlink(input: &[u8]) {
    engined::tools::read_datagram(input);
}

fn netlink_seeds() -> Vec<Vec<u8>> {
    let message = |body: Vec<u8>| {
        let mut octets = (body.len() as u32 + 16).to_ne_bytes().to_vec();
        octets.extend([0x10, 0, 5, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
        octets.extend(body);
        octets
    };
    associations::messages(ESP)
        .into_iter()
        .map(message)
        .collect()
}
