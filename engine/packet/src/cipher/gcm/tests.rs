use proptest::prelude::*;

use super::*;
use crate::testing::octets;
use crate::vectors::cases;

#[test]
fn gmac_is_that_of_wycheproof() {
    let text = include_str!("../../../tests/vectors/wycheproof_gmac.txt");
    assert!(cases(text).count() > 150);
    for case in cases(text) {
        let parts = GcmParts::new(&case.octets("key")).unwrap();
        let nonce = case.octets("iv").try_into().unwrap();
        let tag = parts.tag(nonce, (&case.octets("msg"), &[]), &[]).unwrap();
        assert_eq!(
            tag.to_vec() == case.octets("tag"),
            case.is_valid(),
            "{}",
            case.0
        );
    }
}

proptest! {
    /// The tag that is made of parts is the tag that aws-lc-rs makes whole.
    #[test]
    fn the_parts_are_the_whole(key in octets(32..33), nonce in any::<[u8; 12]>(), aad in octets(0..100), text in octets(0..100), blocks in 0usize..7) {
        let whole = LessSafeKey::new(UnboundKey::new(gcm(&key).unwrap(), &key).unwrap());
        let mut ciphertext = text.clone();
        let tag = whole
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(&aad), &mut ciphertext)
            .unwrap();
        let parts = GcmParts::new(&key).unwrap();
        let pieces = aad.split_at((blocks * BLOCK).min(aad.len()));
        prop_assert_eq!(&parts.tag(nonce, pieces, &ciphertext).unwrap()[..], tag.as_ref());
        parts.apply(nonce, COUNTER_OF_TEXT, &mut ciphertext).unwrap();
        prop_assert_eq!(ciphertext, text);
    }
}
