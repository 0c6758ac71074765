//! Functions that take any octets and must come back, soon and without a panic: what each fuzz target runs.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use aws_lc_rs::hmac;
use packet::bundle::Step;
use packet::fragment::Fragments;
use packet::headers::{Front, Pair};
use packet::ip::Headers;
use packet::protect::{self, Choice};
use packet::reason::Drop;
use packet::sa::Sa;
use packet::{esp, gif, icmp, outer};

use crate::associations::{self, AH, ESP, KEY, SPI};

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
        name: "protected",
        run: protected,
        seeds: protected_seeds,
    },
    Target {
        name: "there_and_back",
        run: there_and_back,
        seeds: packets_by_choice,
    },
    Target {
        name: "gif",
        run: gif,
        seeds: gif_seeds,
    },
    Target {
        name: "icmp",
        run: icmp,
        seeds: icmp_seeds,
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

/// Every association of both protocols, one for each that a packet names.
fn all_associations() -> &'static [Arc<Sa>] {
    static ALL: OnceLock<Vec<Arc<Sa>>> = OnceLock::new();
    ALL.get_or_init(|| {
        let both = associations::all(ESP)
            .into_iter()
            .chain(associations::all(AH));
        both.map(Arc::new).collect()
    })
}

fn chosen(input: &[u8]) -> Option<(&'static Arc<Sa>, &[u8])> {
    let (&choice, rest) = input.split_first()?;
    let all = all_associations();
    Some((&all[usize::from(choice) % all.len()], rest))
}

/// The first octet chooses the association, the rest is a whole packet that came for it.
pub fn protected(input: &[u8]) {
    let Some((sa, packet)) = chosen(input) else {
        return;
    };
    let mut packet = packet.to_vec();
    if let Ok(opened) = protect::open(sa, &mut packet, input.len() % 2 == 1, NOW_S) {
        assert!(opened.range.end <= packet.len());
        assert!(Headers::parse(&packet[opened.range]).is_ok());
    }
}

fn protected_seeds() -> Vec<Vec<u8>> {
    let sealed = |choice: Vec<u8>| {
        let (sa, packet) = chosen(&choice)?;
        let out = sealed(sa, packet).ok()?;
        Some([&choice[..1], &out].concat())
    };
    packets_by_choice().into_iter().filter_map(sealed).collect()
}

fn sealed(sa: &Arc<Sa>, packet: &[u8]) -> Result<Vec<u8>, Drop> {
    let step = Step {
        sa: Arc::clone(sa),
        mode: sa.params().mode,
    };
    let choice = Choice {
        identification: 0x4321,
        ..Choice::default()
    };
    let mut out = Vec::new();
    protect::seal(&step, packet, &choice, &mut out, NOW_S)?;
    Ok(out)
}

/// Whatever packet is sealed comes out as it went in, however its options and extension headers look.
pub fn there_and_back(input: &[u8]) {
    let Some((sa, packet)) = chosen(input) else {
        return;
    };
    let Ok(mut out) = sealed(sa, packet) else {
        return;
    };
    let headers = Headers::parse(packet).expect("what was sealed has headers");
    match protect::open(sa, &mut out, false, NOW_S) {
        Ok(opened) => {
            let (back, sent) = (&out[opened.range], &packet[..headers.length]);
            assert!(back == sent || same_but_for_ipv4(back, sent));
        }
        // What is inside of a tunnel is judged as a packet of its own, and nothing follows "no next header".
        Err(reason) => assert!(
            [Drop::Dummy, Drop::InnerMalformed, Drop::WrongNextHeader].contains(&reason),
            "{reason:?}"
        ),
    }
}

/// In transport mode an IPv4 header gets a right checksum, and a number where it has none.
fn same_but_for_ipv4(back: &[u8], sent: &[u8]) -> bool {
    if sent[0] >> 4 != 4 || back.len() != sent.len() {
        return false;
    }
    let numbered = sent[4..6] != [0, 0];
    let plain = |packet: &[u8]| {
        let mut packet = packet.to_vec();
        packet[10..12].fill(0);
        packet[4..6]
            .iter_mut()
            .for_each(|octet| *octet *= u8::from(numbered));
        packet
    };
    plain(back) == plain(sent)
}

fn packets_by_choice() -> Vec<Vec<u8>> {
    let with = |packet: Vec<u8>| {
        (0..all_associations().len() as u8).map(move |choice| [&[choice], &packet[..]].concat())
    };
    packets().into_iter().flat_map(with).collect()
}

/// A packet for a gif link: in at one end, and what comes out back through the other.
pub fn gif(input: &[u8]) {
    let (us, them) = (IpAddr::from([192, 0, 2, 2]), IpAddr::from([192, 0, 2, 1]));
    let link = gif::Link {
        pair: Pair::new(us, them).expect("one family"),
        ecn: true,
        ingress_filter: true,
    };
    let mut packet = input.to_vec();
    if let Ok(inner) = link.decapsulate(&mut packet) {
        let mut out = Vec::new();
        link.encapsulate(&packet[inner.clone()], 1, &mut out)
            .expect("what came in goes out");
        assert!(out.ends_with(&packet[inner]));
    }
}

fn gif_seeds() -> Vec<Vec<u8>> {
    let outer = |inner: &Vec<u8>| {
        let length = (inner.len() as u16 + 20).to_be_bytes();
        let mut packet = vec![0x45, 0, length[0], length[1], 0, 9, 0, 0, 64, 4, 0, 0];
        packet[9] = if inner[0] >> 4 == 4 { 4 } else { 41 };
        packet.extend([192, 0, 2, 1, 192, 0, 2, 2]);
        packet.extend(inner);
        packet
    };
    packets().iter().map(outer).collect()
}

/// An ICMP error about a packet of ours, or a packet about which one is due.
pub fn icmp(input: &[u8]) {
    if let Some(told) = icmp::read_too_big(input) {
        assert!(told.mtu > 0);
    }
    let _ = icmp::read_quote(input);
    let mut out = Vec::new();
    for source in [
        IpAddr::from([192, 0, 2, 9]),
        IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 9]),
    ] {
        if icmp::too_big(source, input, 1_280, &mut out) {
            assert!(Headers::parse(&out).is_ok_and(|headers| headers.length == out.len()));
        }
    }
}

fn icmp_seeds() -> Vec<Vec<u8>> {
    let told = |(number, sa): (usize, &Arc<Sa>)| {
        let sealed = sealed(sa, &packets()[number % 2]).ok()?;
        let mut out = Vec::new();
        let source = if sealed[0] >> 4 == 4 {
            IpAddr::from([192, 0, 2, 9])
        } else {
            IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 9])
        };
        icmp::too_big(source, &sealed, 1_280, &mut out).then_some(out)
    };
    all_associations()
        .iter()
        .enumerate()
        .filter_map(told)
        .chain(packets())
        .collect()
}

/// A packet as the TUN or a tunnel gives it; cut to pieces where it may be.
pub fn headers(input: &[u8]) {
    let Ok(headers) = Headers::parse(input) else {
        return;
    };
    assert!(headers.length <= input.len() && headers.transport <= headers.length);
    let packet = &input[..headers.length];
    let _ = Front::before_upper(packet);
    for mtu in [68, 576, 1_280] {
        let Ok(fragments) = Fragments::new(packet, mtu, 7) else {
            continue;
        };
        let mut out = Vec::new();
        for number in 0..fragments.count() {
            fragments.write(number, &mut out);
            assert!(out.len() <= mtu || fragments.count() == 1);
            assert!(Headers::parse(&out).is_ok_and(|headers| headers.length == out.len()));
        }
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
