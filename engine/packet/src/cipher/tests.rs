use super::*;
use crate::algorithm::Integrity;
use crate::testing::transforms;
use crate::vectors::{Case, cases, encryption};

/// Packets that another implementation made; packets that documents print.
const MADE: &str = include_str!("../../tests/vectors/esp.txt");
const PRINTED: &str = include_str!("../../tests/vectors/documents.txt");

fn sequence(case: Case) -> Sequence {
    Sequence {
        full: case.number("seq"),
        extended: case.text("esn") == "1",
    }
}

/// The payload, and the trailer that a sender writes.
fn plain(case: Case, cipher: &Cipher) -> (Vec<u8>, Vec<u8>) {
    let Some(inner) = case.get("inner") else {
        return (case.octets("plain"), Vec::new());
    };
    let inner = crate::testing::unhex(inner);
    let alignment = cipher.alignment();
    let padding = (inner.len() + 2).next_multiple_of(alignment) - inner.len() - 2;
    let mut trailer: Vec<u8> = (1..=padding as u8).collect();
    trailer.extend([padding as u8, case.number("next") as u8]);
    (inner, trailer)
}

/// Seal with the IV of a packet that is known.
fn sealed(case: Case, cipher: &Cipher, packet: &[u8], inner: &[u8], trailer: &[u8]) -> Vec<u8> {
    let behind_iv = ESP_HEADER + cipher.iv_octets();
    let mut sealed = vec![0xee; packet.len()];
    sealed[..behind_iv].copy_from_slice(&packet[..behind_iv]);
    cipher
        .seal_behind_iv(sequence(case), &mut sealed, Some(inner), trailer)
        .unwrap();
    sealed
}

/// It seals to the packet, from elsewhere and in place, and opens it again.
fn check(case: Case) {
    let cipher = Cipher::new(&case.transform(), 0).unwrap();
    let (packet, (inner, trailer)) = (case.octets("packet"), plain(case, &cipher));
    assert_eq!(
        sealed(case, &cipher, &packet, &inner, &trailer),
        packet,
        "{}",
        case.0
    );
    let behind_iv = ESP_HEADER + cipher.iv_octets();
    let mut in_place = packet.clone();
    in_place[behind_iv..][..inner.len()].copy_from_slice(&inner);
    cipher
        .seal_behind_iv(sequence(case), &mut in_place, None, &trailer)
        .unwrap();
    assert_eq!(in_place, packet);
    let mut opened = packet;
    cipher.open(sequence(case), &mut opened).unwrap();
    let body = [inner, trailer].concat();
    assert_eq!(opened[behind_iv..][..body.len()], body);
}

#[test]
fn packets_are_those_of_another_implementation() {
    assert_eq!(cases(MADE).count(), 105);
    cases(MADE).for_each(check);
}

#[test]
fn packets_are_those_of_the_documents() {
    let with_icv = |case: &Case| case.text("name") != "cbc";
    assert_eq!(cases(PRINTED).filter(with_icv).count(), 16);
    cases(PRINTED).filter(with_icv).for_each(check);
}

/// RFC 3602 section 4 has no integrity, which we always have: up to the ICV the packets are the same.
#[test]
fn packets_of_rfc_3602_are_the_same_up_to_the_icv() {
    let without_icv = cases(PRINTED).filter(|case| case.text("name") == "cbc");
    let same = without_icv.map(|case| {
        let integrity = Integrity::HmacSha256_128;
        let mac = IntegrityKey::new(integrity, &[5; 32]).unwrap();
        let keys = Encrypted::new(encryption("cbc"), &case.octets("key"), mac).unwrap();
        let (mut packet, body) = (case.octets("packet"), case.octets("plain"));
        let printed = packet.clone();
        packet[ESP_HEADER + MAX_IV..].fill(0);
        packet.extend([0; 16]);
        keys.seal(sequence(case), &mut packet, Some(&body), &[])
            .unwrap();
        assert_eq!(packet[..printed.len()], printed);
        keys.open(sequence(case), &mut packet).unwrap();
        assert_eq!(packet[ESP_HEADER + MAX_IV..][..body.len()], body);
    });
    assert_eq!(same.count(), 4);
}

const MASK: u64 = 0xf100_0000_0000_000e;

/// The IV of a packet with this sequence number.
fn iv(cipher: &Cipher, full: u64) -> Vec<u8> {
    let sequence = Sequence {
        full,
        extended: false,
    };
    let mut iv = vec![0; cipher.iv_octets()];
    cipher.iv.write(sequence, &mut iv).unwrap();
    iv
}

#[test]
fn random_ivs_differ_by_packet_and_by_association_and_counters_are_the_number_masked() {
    for transform in transforms() {
        let (first, second) = (
            Cipher::new(&transform, MASK).unwrap(),
            Cipher::new(&transform, MASK).unwrap(),
        );
        if transform.counter_key().is_some() {
            let masked = iv(&first, 0x0102_0304_0506_0708);
            assert_eq!(masked, [0xf0, 2, 3, 4, 5, 6, 7, 6]);
        } else if first.iv_octets() > 0 {
            assert_ne!(iv(&first, 1), iv(&first, 2));
            assert_ne!(iv(&first, 1), iv(&second, 1));
        }
    }
}

#[test]
fn a_key_of_ah_seals_and_opens_nothing() {
    let transform = Transform::Authenticated {
        integrity: Integrity::HmacSha1_96,
        key: crate::secret::Secret::new(&[1; 20]),
    };
    let cipher = Cipher::new(&transform, MASK);
    let (cipher, mut packet) = (cipher.unwrap(), [0; 64]);
    let sequence = Sequence {
        full: 1,
        extended: false,
    };
    assert!(cipher.integrity().is_some());
    assert!(cipher.seal(sequence, &mut packet, None, &[]).is_err());
    assert!(cipher.open(sequence, &mut packet).is_err());
}

/// What `esp` never asks is refused, not a panic.
#[test]
fn lengths_that_do_not_add_up_are_refused() {
    let sequence = Sequence {
        full: 1,
        extended: false,
    };
    for transform in transforms() {
        let cipher = Cipher::new(&transform, MASK).unwrap();
        let mut packet = [0; 128];
        for (inner, trailer) in [(200, 2), (0, 200), (3, 2)] {
            let (inner, trailer) = (vec![0; inner], vec![0; trailer]);
            assert!(
                cipher
                    .seal(sequence, &mut packet, Some(&inner), &trailer)
                    .is_err()
            );
        }
    }
}
