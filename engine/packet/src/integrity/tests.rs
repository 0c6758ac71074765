use proptest::prelude::*;

use super::*;
use crate::testing::{octets, unhex};

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

fn icv(algorithm: Integrity, key: &[u8], pieces: &[&[u8]]) -> Vec<u8> {
    let key = IntegrityKey::new(algorithm, key).unwrap();
    let mut mac = key.start();
    pieces.iter().for_each(|piece| mac.update(piece));
    mac.finish().as_ref().to_vec()
}

/// The full MAC is as documents print it; an ICV is its beginning.
fn check(algorithm: Integrity, key: &[u8], message: &[u8], mac: &str) {
    let mac = unhex(mac);
    let length = algorithm.icv_octets().min(mac.len());
    assert_eq!(icv(algorithm, key, &[message])[..length], mac[..length]);
}

/// The octets 0, 1, 2 ...
fn counting(length: u8) -> Vec<u8> {
    (0..length).collect()
}

/// RFC 2202 section 2, those of its cases whose key has 16 octets: 1 and 3 (and 5, cut to 96 bits there).
#[test]
fn hmac_md5_cases_of_rfc_2202() {
    let md5 = Integrity::HmacMd5_96;
    check(
        md5,
        &[0x0b; 16],
        b"Hi There",
        "9294727a3638bb1c13f48ef8158bfc9d",
    );
    check(
        md5,
        &[0xaa; 16],
        &[0xdd; 50],
        "56be34521d144c88dbb8c733f0e8b3f6",
    );
    check(
        md5,
        &[0x0c; 16],
        b"Test With Truncation",
        "56461ef2342edc00f9bab995690efd4c",
    );
}

/// RFC 2202 section 3, those of its cases whose key has 20 octets: 1, 3 and 5.
#[test]
fn hmac_sha1_cases_of_rfc_2202() {
    let sha1 = Integrity::HmacSha1_96;
    check(
        sha1,
        &[0x0b; 20],
        b"Hi There",
        "b617318655057264e28bc0b6fb378c8ef146be00",
    );
    check(
        sha1,
        &[0xaa; 20],
        &[0xdd; 50],
        "125d7342b9ac11cd91a39af48aa17b4f63f175d3",
    );
    check(
        sha1,
        &[0x0c; 20],
        b"Test With Truncation",
        "4c1a03424b55e07fe7f27be1d58bb9324a9a5a04",
    );
}

/// RFC 4868 section 2.7.2: AUTH256, AUTH384 and AUTH512, test cases 1 to 3 of each that fit its key length.
#[test]
fn hmac_sha2_cases_of_rfc_4868() {
    check(
        Integrity::HmacSha256_128,
        &[0x0b; 32],
        b"Hi There",
        "198a607eb44bfbc69903a0f1cf2bbdc5",
    );
    check(
        Integrity::HmacSha384_192,
        &[0x0b; 48],
        b"Hi There",
        "b6a8d5636f5c6a7224f9977dcf7ee6c7fb6d0c48cbdee973",
    );
    check(
        Integrity::HmacSha512_256,
        &[0x0b; 64],
        b"Hi There",
        "637edc6e01dce7e6742a99451aae82df23da3e92439e590e43e761b33e910fb8",
    );
}

/// RFC 3566 section 4.6, all ten cases. The key is 00 to 0f, the messages count up, and case 7 is 1,000 octets of zeros.
#[test]
fn aes_xcbc_cases_of_rfc_3566() {
    let cases = [
        (0, "75f0251d528ac01c4573dfd584d79f29"),
        (3, "5b376580ae2f19afe7219ceef172756f"),
        (16, "d2a246fa349b68a79998a4394ff7a263"),
        (20, "47f51b4564966215b8985c63055ed308"),
        (32, "f54f0ec8d2b9f3d36807734bd5283fd4"),
        (34, "becbb3bccdb518a30677d5481fb6b4d8"),
    ];
    for (length, mac) in cases {
        check(Integrity::AesXcbc96, &counting(16), &counting(length), mac);
    }
    check(
        Integrity::AesXcbc96,
        &counting(16),
        &[0; 1000],
        "f0dafee895db30253761103b5d84528f",
    );
}

/// RFC 4494 section 4, all four cases, which are those of RFC 4493 cut to 96 bits.
#[test]
fn aes_cmac_cases_of_rfc_4494() {
    let key = unhex("2b7e151628aed2a6abf7158809cf4f3c");
    let message = unhex(concat!(
        "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51",
        "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710",
    ));
    let cases = [
        (0, "bb1d6929e95937287fa37d129b756746"),
        (16, "070a16b46b4d4144f79bdd9dd04a287c"),
        (40, "dfa66747de9ae63030ca32611497c827"),
        (64, "51f0bebf7e3b9d92fc49741779363cfe"),
    ];
    for (length, mac) in cases {
        check(Integrity::AesCmac96, &key, &message[..length], mac);
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
        let key = IntegrityKey::new(algorithm, &vec![1; algorithm.key_octets()]).unwrap();
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
            let key = vec![9; algorithm.key_octets()];
            prop_assert_eq!(icv(algorithm, &key, &pieces), icv(algorithm, &key, &[&message]));
        }
    }

    /// The construction that XCBC shares is what aws-lc-rs does.
    #[test]
    fn cmac_is_that_of_another_implementation(key in octets(16..17), message in octets(0..200)) {
        let other = aws_lc_rs::cmac::Key::new(aws_lc_rs::cmac::AES_128, &key).unwrap();
        let tag = aws_lc_rs::cmac::sign(&other, &message).unwrap();
        prop_assert_eq!(icv(Integrity::AesCmac96, &key, &[&message]), &tag.as_ref()[..12]);
    }

    #[test]
    fn a_flipped_bit_is_refused(message in octets(1..80), at in any::<proptest::sample::Index>(), bit in 0u8..8) {
        let mut changed = message.clone();
        changed[at.index(message.len())] ^= 1 << bit;
        for algorithm in ALL {
            let key = IntegrityKey::new(algorithm, &vec![9; algorithm.key_octets()]).unwrap();
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
