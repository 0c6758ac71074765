use ccm::consts::U13;

use super::*;
use crate::vectors::{Case, cases};

fn keyed(key: &[u8], nonce: usize, icv: usize) -> Box<dyn Sealer> {
    let of_length = match (key.len(), nonce) {
        (_, NONCE) => return Ccm::new(key, icv).unwrap().0,
        (16, 12) => scheduled::<Aes128, U12>,
        (24, 12) => scheduled::<Aes192, U12>,
        (32, 12) => scheduled::<Aes256, U12>,
        (16, 13) => scheduled::<Aes128, U13>,
        lengths => panic!("{lengths:?}"),
    };
    of_length(key, icv).unwrap()
}

fn check(case: Case) {
    let (nonce, tag) = (case.octets("iv"), case.octets("tag"));
    let key = keyed(&case.octets("key"), nonce.len(), tag.len());
    let (aad, message) = (case.octets("aad"), case.octets("msg"));
    let mut body = case.octets("ct");
    let opened = key.open(&nonce, &aad, &mut body, &tag);
    assert_eq!(opened.is_ok(), case.is_valid(), "{}", case.0);
    if !case.is_valid() {
        return;
    }
    assert_eq!(body, message);
    let mut icv = vec![0; tag.len()];
    key.seal(&nonce, &aad, &mut body, &mut icv).unwrap();
    assert_eq!((body, icv), (case.octets("ct"), tag));
}

#[test]
fn aes_ccm_is_that_of_wycheproof() {
    let text = include_str!("../../../tests/vectors/wycheproof_ccm.txt");
    assert!(cases(text).count() > 150);
    assert!(cases(text).any(|case| case.octets("iv").len() == NONCE));
    cases(text).for_each(check);
}

/// Its nonces of 13 octets are not those of ESP: this shows the mode, not the packet.
#[test]
fn aes_ccm_is_that_of_rfc_3610() {
    let text = include_str!("../../../tests/vectors/ccm.txt");
    assert_eq!(cases(text).count(), 3);
    cases(text).for_each(check);
}
