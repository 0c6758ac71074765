//! What this crate's tests build their packets and associations with.

use std::net::IpAddr;

use proptest::prelude::*;

use crate::algorithm::{Aead, Encryption, Integrity, Transform};
use crate::checksum;
use crate::ip::protocol;
use crate::sa::{Direction, Lifetimes, Mode, Protocol, Sa, SaParams};
use crate::secret::Secret;
use crate::selector::{Prefix, Selector};
use crate::spd::{Action, PolicyDirection, PolicyParams, Template};

pub(crate) fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(crate) fn prefix(text: &str) -> Prefix {
    let (network, length) = text.split_once('/').unwrap();
    Prefix::new(address(network), length.parse().unwrap()).unwrap()
}

pub(crate) fn selector(source: &str, destination: &str) -> Selector {
    Selector::new(prefix(source), prefix(destination)).unwrap()
}

/// One of each transform of ESP: all algorithms, lengths of key and lengths of ICV. The first is AES-GCM with 128 bits of key
/// and an ICV of 16 octets.
pub(crate) fn transforms() -> Vec<Transform> {
    let aead = |algorithm: Aead, key, icv_octets| Transform::Aead {
        algorithm,
        icv_octets,
        key: Secret::new(&vec![0x5a; key + algorithm.salt_octets()]),
    };
    let mut all = Vec::new();
    for key in [16, 24, 32] {
        for icv in [16, 12, 8] {
            all.push(aead(Aead::AesGcm, key, icv));
            all.push(aead(Aead::AesCcm, key, icv));
        }
        all.push(aead(Aead::AesGmac, key, 16));
    }
    all.push(aead(Aead::ChaCha20Poly1305, 32, 16));
    all.extend(encrypted_transforms());
    all
}

/// Every cipher without integrity of its own, and every integrity.
fn encrypted_transforms() -> Vec<Transform> {
    let three_keys: Vec<u8> = (0..24).map(|index| index * 9).collect();
    let with = |cipher, key: &[u8], integrity: Integrity| Transform::Encrypted {
        cipher,
        key: Secret::new(key),
        integrity,
        integrity_key: Secret::new(&vec![0x77; integrity.key_octets()]),
    };
    let (cbc, ctr) = (Encryption::AesCbc, Encryption::AesCtr);
    let camellia = Encryption::CamelliaCbc;
    vec![
        with(cbc, &[0x33; 16], Integrity::HmacSha256_128),
        with(cbc, &[0x33; 24], Integrity::HmacSha384_192),
        with(cbc, &[0x33; 32], Integrity::HmacSha512_256),
        with(cbc, &[0x33; 16], Integrity::HmacSha256_96),
        with(ctr, &[0x33; 20], Integrity::HmacSha1_96),
        with(ctr, &[0x33; 28], Integrity::AesCmac96),
        with(ctr, &[0x33; 36], Integrity::HmacSha256_128),
        with(camellia, &[0x33; 16], Integrity::AesXcbc96),
        with(camellia, &[0x33; 24], Integrity::HmacSha384_192),
        with(camellia, &[0x33; 32], Integrity::HmacSha512_256),
        with(Encryption::TripleDesCbc, &three_keys, Integrity::HmacMd5_96),
        with(Encryption::Null, &[], Integrity::HmacSha1_96),
    ]
}

/// A transform of ESP or of AH.
pub(crate) fn transform_of(protocol: Protocol) -> Transform {
    match protocol {
        Protocol::Esp => transforms().remove(0),
        Protocol::Ah => Transform::Authenticated {
            integrity: Integrity::HmacSha256_128,
            key: Secret::new(&[0x77; 32]),
        },
    }
}

/// An SA from 192.0.2.1 to 192.0.2.2 with SPI 0x1001, reqid 7 and a window of 64 packets, for anything.
pub(crate) fn params(transform: Transform) -> SaParams {
    SaParams {
        source: address("192.0.2.1"),
        destination: address("192.0.2.2"),
        spi: 0x1001,
        protocol: Protocol::Esp,
        reqid: 7,
        mode: Mode::Tunnel,
        direction: None,
        encap: None,
        replay_window: 64,
        flags: 0,
        extra_flags: 0,
        tfc_padding: 0,
        legacy: transform.is_legacy(),
        transform,
        lifetimes: Lifetimes::NONE,
        selectors: Vec::new(),
    }
}

pub(crate) fn gcm_params() -> SaParams {
    params(transforms().remove(0))
}

pub(crate) fn sa(params: SaParams) -> Sa {
    Sa::new(params, 1, 1_000).unwrap()
}

/// The two ends of one association.
pub(crate) fn pair(params: SaParams) -> (Sa, Sa) {
    let outbound = sa(SaParams {
        direction: Some(Direction::Out),
        ..params.clone()
    });
    (
        outbound,
        sa(SaParams {
            direction: Some(Direction::In),
            ..params
        }),
    )
}

pub(crate) fn policy(
    direction: PolicyDirection,
    selector: Selector,
    priority: u32,
) -> PolicyParams {
    let any = IpAddr::from([0u8; 4]);
    PolicyParams {
        direction,
        selector,
        action: Action::Allow,
        priority,
        index: 0,
        flags: 0,
        templates: vec![Template {
            source: any,
            destination: any,
            spi: 0,
            reqid: 7,
            protocol: Protocol::Esp,
            mode: Mode::Tunnel,
            optional: false,
        }],
        lifetimes: Lifetimes::NONE,
    }
}

/// An IPv4 packet with right checksum of the header.
pub(crate) fn ipv4(source: &str, destination: &str, protocol: u8, upper: &[u8]) -> Vec<u8> {
    let (IpAddr::V4(source), IpAddr::V4(destination)) = (address(source), address(destination))
    else {
        panic!()
    };
    let length = (20 + upper.len()) as u16;
    let mut packet = vec![0x45, 0, 0, 0, 0x12, 0x34, 0, 0, 64, protocol, 0, 0];
    packet[2..4].copy_from_slice(&length.to_be_bytes());
    packet.extend(source.octets());
    packet.extend(destination.octets());
    checksum::write_ipv4(&mut packet, 20);
    packet.extend(upper);
    packet
}

/// An IPv6 packet.
pub(crate) fn ipv6(source: &str, destination: &str, next_header: u8, payload: &[u8]) -> Vec<u8> {
    let (IpAddr::V6(source), IpAddr::V6(destination)) = (address(source), address(destination))
    else {
        panic!()
    };
    let mut packet = vec![0x60, 0, 0, 0, 0, 0, next_header, 64];
    packet[4..6].copy_from_slice(&(payload.len() as u16).to_be_bytes());
    packet.extend(source.octets());
    packet.extend(destination.octets());
    packet.extend(payload);
    packet
}

/// A UDP datagram of four ports' octets and some more; no checksum.
pub(crate) fn udp_between(source: &str, destination: &str, ports: (u16, u16)) -> Vec<u8> {
    let mut upper = [ports.0.to_be_bytes(), ports.1.to_be_bytes()].concat();
    upper.extend([0, 8, 0, 0]);
    match address(source) {
        IpAddr::V4(_) => ipv4(source, destination, protocol::UDP, &upper),
        IpAddr::V6(_) => ipv6(source, destination, protocol::UDP, &upper),
    }
}

pub(crate) fn octets(range: std::ops::Range<usize>) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), range)
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2)
        .map(|index| u8::from_str_radix(&text[2 * index..2 * index + 2], 16).unwrap())
        .collect()
}

/// What makes up a TCP packet.
#[derive(Clone, Debug)]
pub(crate) struct Tcp {
    pub(crate) ipv4: bool,
    pub(crate) identification: u16,
    pub(crate) sequence: u32,
    pub(crate) flags: u8,
    pub(crate) options: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

impl Tcp {
    pub(crate) fn transport(&self) -> usize {
        if self.ipv4 { 20 } else { 40 }
    }

    pub(crate) fn header(&self) -> usize {
        self.transport() + 20 + self.options.len()
    }

    /// The packet with a right checksum, or with the partial one that the kernel leaves to offload.
    pub(crate) fn packet(&self, partial: bool) -> Vec<u8> {
        let mut upper = vec![0x9c, 0x40, 0, 80];
        upper.extend(self.sequence.to_be_bytes());
        upper.extend([
            0,
            0,
            0,
            9,
            ((20 + self.options.len()) / 4 * 16) as u8,
            self.flags,
            1,
            2,
            0,
            0,
            0,
            0,
        ]);
        upper.extend(&self.options);
        upper.extend(&self.payload);
        let mut packet = match self.ipv4 {
            true => ipv4("192.168.1.20", "192.168.2.34", protocol::TCP, &upper),
            false => ipv6("2001:db8::20", "2001:db8::34", protocol::TCP, &upper),
        };
        if self.ipv4 {
            packet[4..6].copy_from_slice(&self.identification.to_be_bytes());
            packet[6] = 0x40;
            checksum::write_ipv4(&mut packet, 20);
        }
        let pseudo = checksum::pseudo_header(&packet, protocol::TCP, upper.len());
        let whole = !checksum::fold(checksum::sum(pseudo, &upper));
        let value = if partial {
            checksum::fold(pseudo)
        } else {
            whole
        };
        packet[self.transport() + 16..][..2].copy_from_slice(&value.to_be_bytes());
        packet
    }

    /// The plain path: each packet made from nothing, as a host without offload would.
    pub(crate) fn cut(&self, size: usize) -> Vec<Vec<u8>> {
        let last = self.payload.len().div_ceil(size) - 1;
        let part = |(number, payload): (usize, &[u8])| {
            let mut flags = self.flags;
            if number > 0 {
                flags &= !0x80;
            }
            if number < last {
                flags &= !0x09;
            }
            let sequence = self.sequence.wrapping_add((number * size) as u32);
            let identification = self.identification.wrapping_add(number as u16);
            Tcp {
                sequence,
                flags,
                identification,
                payload: payload.to_vec(),
                ..self.clone()
            }
            .packet(false)
        };
        self.payload.chunks(size).enumerate().map(part).collect()
    }
}

pub(crate) fn tcp_packets(
    flags: impl Strategy<Value = u8>,
    most: usize,
) -> impl Strategy<Value = Tcp> {
    let options = (0usize..11).prop_flat_map(|words| octets(words * 4..words * 4 + 1));
    (
        any::<bool>(),
        any::<u16>(),
        any::<u32>(),
        flags,
        options,
        octets(1..most),
    )
        .prop_map(
            |(ipv4, identification, sequence, flags, options, payload)| Tcp {
                ipv4,
                identification,
                sequence,
                flags,
                options,
                payload,
            },
        )
}

/// An extension header of so many units of 8 octets, filled with padding options; its next header is written later.
pub(crate) fn extension(units: usize) -> Vec<u8> {
    let mut header = vec![0; units * 8];
    header[1] = (units - 1) as u8;
    header
}

/// An IPv6 packet from 2001:db8::20 to 2001:db8::34 with extension headers, each by its number and its octets.
pub(crate) fn ipv6_with(chain: &[(u8, Vec<u8>)], upper: u8, payload: &[u8]) -> Vec<u8> {
    let following = chain.iter().skip(1).map(|(kind, _)| *kind).chain([upper]);
    let mut octets = Vec::new();
    for ((_, header), next) in chain.iter().zip(following) {
        octets.push(next);
        octets.extend(&header[1..]);
    }
    octets.extend(payload);
    let first = chain.first().map_or(upper, |(kind, _)| *kind);
    ipv6("2001:db8::20", "2001:db8::34", first, &octets)
}

/// Octets that come nearer to packets than chance does: a header whose length fits, and anything behind it.
pub(crate) fn hostile_packets() -> impl Strategy<Value = Vec<u8>> {
    let kinds = prop::sample::select(vec![0u8, 1, 4, 6, 17, 41, 43, 44, 50, 51, 58, 59, 60]);
    (octets(40..160), any::<bool>(), kinds, any::<[bool; 3]>()).prop_map(
        |(mut packet, is_ipv4, kind, [whole, fits, short])| {
            let length = packet.len();
            if is_ipv4 {
                packet[0] = 0x45 + (packet[0] & 3) * u8::from(!short);
                if whole {
                    packet[6..8].fill(0);
                }
                packet[9] = kind;
            } else {
                packet[0] = 0x60;
                packet[6] = kind;
            }
            if fits {
                let (at, length) = if is_ipv4 {
                    (2, length)
                } else {
                    (4, length - 40)
                };
                packet[at..at + 2].copy_from_slice(&(length as u16).to_be_bytes());
            }
            if short && !is_ipv4 && length > 56 {
                packet[41] = 0;
                packet[49] = 0;
            }
            packet
        },
    )
}

/// Every integrity algorithm.
pub(crate) const INTEGRITIES: [Integrity; 8] = [
    Integrity::HmacMd5_96,
    Integrity::HmacSha1_96,
    Integrity::HmacSha256_96,
    Integrity::HmacSha256_128,
    Integrity::HmacSha384_192,
    Integrity::HmacSha512_256,
    Integrity::AesXcbc96,
    Integrity::AesCmac96,
];

/// An SA of AH, otherwise as `params`.
pub(crate) fn ah_params(integrity: Integrity) -> SaParams {
    SaParams {
        protocol: Protocol::Ah,
        legacy: true,
        ..params(Transform::Authenticated {
            integrity,
            key: Secret::new(&vec![0x21; integrity.key_octets()]),
        })
    }
}

/// The same SA between 2001:db8::20 and 2001:db8::34, as the packets of `ipv6_with`.
pub(crate) fn over_ipv6(params: SaParams) -> SaParams {
    SaParams {
        source: address("2001:db8::20"),
        destination: address("2001:db8::34"),
        ..params
    }
}
