use proptest::prelude::*;

use super::*;
use crate::testing::octets;
use crate::vectors::{cases, integrity_of};

const ALL: [Integrity; 8] = [
    Integrity::HmacMd5_96,
    Integrity::HmacSha1_96,
    Integrity::HmacSha256_96,
    Integrity::HmacSha256_128,
    Integrity::HmacSha384_192,
    Integrity::HmacSha512_256,
    Integrity::AesXcbc96,
    Integrity::AesCmac96,
];

fn icv(key: &IntegrityKey, pieces: &[&[u8]]) -> Vec<u8> {
    let mut mac = key.start();
    pieces.iter().for_each(|piece| mac.update(piece));
    mac.finish().as_ref().to_vec()
}

fn keyed(algorithm: Integrity) -> IntegrityKey {
    IntegrityKey::new(algorithm, &vec![9; algorithm.key_octets()]).unwrap()
}

/// The documents print whole MACs and try keys of every length; an ICV is the beginning of one.
#[test]
fn macs_are_those_of_the_documents() {
    let text = include_str!("../../tests/vectors/macs.txt");
    assert_eq!(cases(text).count(), 55);
    for case in cases(text) {
        let algorithm = integrity_of(case.text("name"));
        let key = IntegrityKey::scheduled(algorithm, &case.octets("key")).unwrap();
        let (icv, tag) = (icv(&key, &[&case.octets("msg")]), case.octets("tag"));
        let length = icv.len().min(tag.len());
        assert!(length >= 12);
        assert_eq!(icv[..length], tag[..length], "{}", case.0);
    }
}

#[test]
fn macs_are_those_of_wycheproof() {
    let text = include_str!("../../tests/vectors/wycheproof_macs.txt");
    assert!(cases(text).count() > 300);
    for case in cases(text) {
        let algorithm = integrity_of(case.text("name"));
        let key = IntegrityKey::new(algorithm, &case.octets("key")).unwrap();
        let mut mac = key.start();
        mac.update(&case.octets("msg"));
        let verdict = mac.verify(&case.octets("tag")).is_ok();
        assert_eq!(verdict, case.is_valid(), "{}", case.0);
    }
}

#[test]
fn a_key_of_another_length_is_refused() {
    for algorithm in ALL {
        for length in (0..100).filter(|length| *length != algorithm.key_octets()) {
            assert!(IntegrityKey::new(algorithm, &vec![1; length]).is_err());
        }
    }
}

#[test]
fn an_icv_of_another_length_is_refused() {
    for algorithm in ALL {
        let key = keyed(algorithm);
        let mut icv = key.start().finish().as_ref().to_vec();
        assert_eq!(icv.len(), key.icv_octets());
        assert!(key.start().verify(&icv).is_ok());
        icv.push(0);
        assert!(key.start().verify(&icv).is_err());
        assert!(key.start().verify(&icv[..icv.len() - 2]).is_err());
        assert!(key.start().verify(&[]).is_err());
    }
}

proptest! {
    #[test]
    fn pieces_are_covered_as_the_whole_is(message in octets(0..100), cuts in (0usize..100, 0usize..100)) {
        let (first, second) = (cuts.0.min(message.len()), cuts.1.min(message.len()));
        let (first, second) = (first.min(second), first.max(second));
        let pieces = [&message[..first], &message[first..second], &message[second..]];
        for algorithm in ALL {
            let key = keyed(algorithm);
            prop_assert_eq!(icv(&key, &pieces), icv(&key, &[&message]));
        }
    }

    /// The construction that XCBC shares is what aws-lc-rs does.
    #[test]
    fn cmac_is_that_of_another_implementation(key in octets(16..17), message in octets(0..200)) {
        let other = aws_lc_rs::cmac::Key::new(aws_lc_rs::cmac::AES_128, &key).unwrap();
        let tag = aws_lc_rs::cmac::sign(&other, &message).unwrap();
        let ours = IntegrityKey::new(Integrity::AesCmac96, &key).unwrap();
        prop_assert_eq!(icv(&ours, &[&message]), &tag.as_ref()[..12]);
    }

    #[test]
    fn a_flipped_bit_is_refused(message in octets(1..80), at in any::<proptest::sample::Index>(), bit in 0u8..8) {
        let mut changed = message.clone();
        changed[at.index(message.len())] ^= 1 << bit;
        for algorithm in ALL {
            let key = keyed(algorithm);
            let mut mac = key.start();
            mac.update(&message);
            let mut icv = mac.finish().as_ref().to_vec();
            let mut mac = key.start();
            mac.update(&changed);
            prop_assert!(mac.verify(&icv).is_err());
            icv[at.index(algorithm.icv_octets())] ^= 1 << bit;
            let mut mac = key.start();
            mac.update(&message);
            prop_assert!(mac.verify(&icv).is_err());
        }
    }
}
