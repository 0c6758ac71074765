use super::*;
use crate::vectors::{Case, cases};

/// Wycheproof: what is valid is sealed so and opens, what is not does not open.
fn check(algorithm: Aead, case: Case) {
    let key = AeadCipher::new(algorithm, ICV, &case.octets("key")).unwrap();
    let nonce: [u8; NONCE] = case.octets("iv").try_into().unwrap();
    let (aad, message, tag) = (case.octets("aad"), case.octets("msg"), case.octets("tag"));
    let mut body = case.octets("ct");
    let opened = key.open(nonce, &aad, &mut body, &tag);
    assert_eq!(opened.is_ok(), case.is_valid(), "{}", case.0);
    if !case.is_valid() {
        return;
    }
    assert_eq!(body, message);
    let mut icv = [0; ICV];
    key.seal(nonce, &aad, &mut body, &mut icv).unwrap();
    assert_eq!((body, icv.to_vec()), (case.octets("ct"), tag));
}

#[test]
fn aes_gcm_is_that_of_wycheproof() {
    let text = include_str!("../../../tests/vectors/wycheproof_gcm.txt");
    assert!(cases(text).count() > 150);
    cases(text).for_each(|case| check(Aead::AesGcm, case));
}

#[test]
fn chacha20_poly1305_is_that_of_wycheproof() {
    let text = include_str!("../../../tests/vectors/wycheproof_chacha.txt");
    assert!(cases(text).count() > 150);
    cases(text).for_each(|case| check(Aead::ChaCha20Poly1305, case));
}

/// The tags of AES-GCM cut short: what opens with the whole tag opens with a part of it, and not with another.
#[test]
fn short_tags_are_the_beginnings_of_whole_ones() {
    let text = include_str!("../../../tests/vectors/wycheproof_gcm.txt");
    for case in cases(text).filter(|case| case.is_valid()) {
        for icv_octets in [8, 12] {
            let key = AeadCipher::new(Aead::AesGcm, icv_octets, &case.octets("key")).unwrap();
            let nonce: [u8; NONCE] = case.octets("iv").try_into().unwrap();
            let (aad, tag) = (case.octets("aad"), &case.octets("tag")[..icv_octets]);
            let (mut body, mut icv) = (case.octets("msg"), vec![0; icv_octets]);
            key.seal(nonce, &aad, &mut body, &mut icv).unwrap();
            assert_eq!((&body, &icv[..]), (&case.octets("ct"), tag));
            icv[icv_octets - 1] ^= 1;
            assert!(key.open(nonce, &aad, &mut body.clone(), &icv).is_err());
            assert!(key.open(nonce, &aad, &mut body.clone(), &tag[1..]).is_err());
            key.open(nonce, &aad, &mut body, tag).unwrap();
            assert_eq!(body, case.octets("msg"));
        }
    }
}
