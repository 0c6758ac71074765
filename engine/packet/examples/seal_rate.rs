//! How fast packets of 1,400 octets are sealed and opened, against the bare cipher: `cargo run --release -p culvert-packet
//! --example seal_rate`.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use aws_lc_rs::aead::{
    AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey,
};
use packet::algorithm::{Aead, Encryption, Integrity, Transform};
use packet::coalesce::Coalescer;
use packet::ip::protocol;
use packet::sa::{Lifetimes, Mode, Protocol, Sa, SaParams};
use packet::secret::Secret;
use packet::segment::Segments;
use packet::virtio::{GSO_TCPV4, NEEDS_CHECKSUM, VirtioHeader};
use packet::{checksum, esp, outer};

const OCTETS: usize = 1_400;
const BATCH: usize = 1_000;
const RUN: Duration = Duration::from_millis(700);

fn association(transform: Transform) -> Sa {
    let params = SaParams {
        source: IpAddr::from([192, 0, 2, 1]),
        destination: IpAddr::from([192, 0, 2, 2]),
        spi: 0x1001,
        reqid: 1,
        protocol: Protocol::Esp,
        mode: Mode::Tunnel,
        transform,
        direction: None,
        encap: None,
        replay_window: 4_096,
        flags: 0,
        extra_flags: 0,
        tfc_padding: 0,
        legacy: true,
        lifetimes: Lifetimes::NONE,
        selectors: Vec::new(),
    };
    Sa::new(params, 1, 0).expect("the parameters are right")
}

/// Packets in a second of work.
fn rate(mut work: impl FnMut()) -> f64 {
    let (start, mut packets) = (Instant::now(), 0usize);
    while start.elapsed() < RUN {
        (0..BATCH).for_each(|_| work());
        packets += BATCH;
    }
    packets as f64 / start.elapsed().as_secs_f64()
}

fn show(what: &str, packets_per_second: f64) {
    let gigabits = packets_per_second * OCTETS as f64 * 8.0 / 1e9;
    println!(
        "{what:44} {:9.0} packets/s {gigabits:7.2} Gbit/s",
        packets_per_second
    );
}

fn bare(name: &str, algorithm: &'static Algorithm) {
    let key = LessSafeKey::new(UnboundKey::new(algorithm, &[7; 32]).expect("32 octets"));
    let (mut packet, mut counter) = ([0u8; OCTETS + 4], 0u64);
    let packets = rate(|| {
        counter += 1;
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&counter.to_be_bytes());
        let sealed = key.seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from([0u8; 8]),
            &mut packet,
        );
        assert!(sealed.is_ok());
    });
    show(&format!("{name}, bare aws-lc-rs, sealing"), packets);
}

fn ours(name: &str, transform: Transform) {
    let (inner, mut out) = (vec![0x42; OCTETS], vec![0; OCTETS + esp::MAX_OVERHEAD]);
    let sa = association(transform.clone());
    show(
        &format!("{name}, seal"),
        rate(|| assert!(esp::seal(&sa, &inner, protocol::IPV4, &mut out, 1).is_ok())),
    );
    let in_place = |out: &mut [u8]| esp::seal_in_place(&sa, out, OCTETS, protocol::IPV4, 1).is_ok();
    show(
        &format!("{name}, seal_in_place"),
        rate(|| assert!(in_place(&mut out))),
    );
    let (sender, receiver) = (association(transform.clone()), association(transform));
    let both = rate(|| {
        let length = esp::seal(&sender, &inner, protocol::IPV4, &mut out, 1).expect("it seals");
        assert!(esp::open(&receiver, &mut out[..length], 1).is_ok());
    });
    show(&format!("{name}, seal and open"), both);
}

/// A TCP packet of many segments, cut and sealed; then opened and joined again. Rates are of segments.
fn stream() {
    let (header, packet) = super_packet();
    let aead = aead(Aead::AesGcm, 32, 16);
    let (sender, receiver) = (association(aead.clone()), association(aead));
    let segments = Segments::new(&header, &packet).expect("it is right");
    let mut buffers = vec![vec![0; OCTETS + esp::MAX_OVERHEAD]; segments.count()];
    let each = segments.count() as f64;
    let cut = |buffers: &mut [Vec<u8>]| {
        for (number, buffer) in buffers.iter_mut().enumerate() {
            let length = segments.write(number, &mut buffer[esp::payload_offset(&sender)..]);
            assert!(esp::seal_in_place(&sender, buffer, length, protocol::IPV4, 1).is_ok());
        }
    };
    show(
        "a stream, cut and sealed",
        each * rate(|| cut(&mut buffers)),
    );
    let mut coalescer = Coalescer::new();
    let both = rate(|| {
        cut(&mut buffers);
        let mut emit = |_: &VirtioHeader, joined: &[u8]| assert_eq!(joined.len(), packet.len());
        for (number, buffer) in buffers.iter_mut().enumerate() {
            let sealed = esp::sealed_length(&receiver, segments.length(number));
            let opened = esp::open(&receiver, &mut buffer[..sealed], 1).expect("it is authentic");
            let inner = &buffer[opened.payload];
            let headers = outer::judge_inner(inner, opened.next_header).expect("it is right");
            coalescer.push(inner, &headers, &mut emit);
        }
        coalescer.flush(&mut emit);
    });
    show("a stream, cut, sealed, opened and joined", each * both);
}

fn super_packet() -> (VirtioHeader, Vec<u8>) {
    let payload = (OCTETS - 40) * 44;
    let mut packet = vec![0x45, 0, 0, 0, 0, 1, 0x40, 0, 63, protocol::TCP, 0, 0];
    packet[2..4].copy_from_slice(&((payload + 40) as u16).to_be_bytes());
    packet.extend([192, 168, 1, 20, 192, 168, 2, 34]);
    checksum::write_ipv4(&mut packet, 20);
    packet.extend([
        0x9c, 0x40, 0, 80, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 1, 0, 0, 0, 0, 0,
    ]);
    let partial = checksum::fold(checksum::pseudo_header(
        &packet,
        protocol::TCP,
        20 + payload,
    ));
    packet[36..38].copy_from_slice(&partial.to_be_bytes());
    packet.extend((0..payload).map(|index| index as u8));
    let header = VirtioHeader {
        flags: NEEDS_CHECKSUM,
        gso_type: GSO_TCPV4,
        header_length: 40,
        gso_size: (OCTETS - 40) as u16,
        checksum_start: 20,
        checksum_offset: 16,
    };
    (header, packet)
}

fn aead(algorithm: Aead, key: usize, icv_octets: usize) -> Transform {
    Transform::Aead {
        algorithm,
        icv_octets,
        key: Secret::new(&vec![7; key + algorithm.salt_octets()]),
    }
}

fn encrypted(cipher: Encryption, key: usize, integrity: Integrity) -> Transform {
    let key: Vec<u8> = (0..key).map(|index| index as u8 * 6).collect();
    Transform::Encrypted {
        cipher,
        key: Secret::new(&key),
        integrity,
        integrity_key: Secret::new(&vec![7; integrity.key_octets()]),
    }
}

/// The algorithms that IKE proposes, against the bare ciphers.
fn modern() {
    bare("AES-256-GCM", &AES_256_GCM);
    ours("AES-256-GCM", aead(Aead::AesGcm, 32, 16));
    bare("ChaCha20-Poly1305", &CHACHA20_POLY1305);
    ours("ChaCha20-Poly1305", aead(Aead::ChaCha20Poly1305, 32, 16));
    ours(
        "AES-256-CBC, HMAC-SHA2-256-128",
        encrypted(Encryption::AesCbc, 32, Integrity::HmacSha256_128),
    );
}

/// All others; each cipher and each integrity once.
fn others() {
    ours("AES-256-GCM-12", aead(Aead::AesGcm, 32, 12));
    ours("AES-256-CCM-16", aead(Aead::AesCcm, 32, 16));
    ours("AES-256-GMAC", aead(Aead::AesGmac, 32, 16));
    for (name, cipher, key, integrity) in [
        (
            "AES-256-CTR, HMAC-SHA1-96",
            Encryption::AesCtr,
            36,
            Integrity::HmacSha1_96,
        ),
        (
            "AES-128-CTR, AES-XCBC-96",
            Encryption::AesCtr,
            20,
            Integrity::AesXcbc96,
        ),
        (
            "AES-128-CTR, AES-CMAC-96",
            Encryption::AesCtr,
            20,
            Integrity::AesCmac96,
        ),
        (
            "AES-256-CTR, HMAC-SHA2-384-192",
            Encryption::AesCtr,
            36,
            Integrity::HmacSha384_192,
        ),
        (
            "AES-256-CBC, HMAC-SHA2-512-256",
            Encryption::AesCbc,
            32,
            Integrity::HmacSha512_256,
        ),
        (
            "Camellia-256-CBC, HMAC-SHA2-256-128",
            Encryption::CamelliaCbc,
            32,
            Integrity::HmacSha256_128,
        ),
        (
            "3DES-CBC, HMAC-MD5-96",
            Encryption::TripleDesCbc,
            24,
            Integrity::HmacMd5_96,
        ),
        (
            "NULL, HMAC-SHA2-256-96",
            Encryption::Null,
            0,
            Integrity::HmacSha256_96,
        ),
    ] {
        ours(name, encrypted(cipher, key, integrity));
    }
}

fn main() {
    stream();
    modern();
    others();
}
