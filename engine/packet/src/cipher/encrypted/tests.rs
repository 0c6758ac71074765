use super::*;
use crate::vectors::{Case, cases, encryption};

fn check(case: Case) {
    let keyed = Keyed::new(encryption(case.text("name")), &case.octets("key")).unwrap();
    let (iv, mut body) = (case.octets("iv"), case.octets("plain"));
    keyed.encrypt(&iv, &mut body).unwrap();
    assert_eq!(body, case.octets("cipher"), "{}", case.0);
    keyed.decrypt(&iv, &mut body).unwrap();
    assert_eq!(body, case.octets("plain"));
}

#[test]
fn ciphers_are_those_of_the_documents() {
    let text = include_str!("../../../tests/vectors/ciphers.txt");
    assert_eq!(cases(text).count(), 19);
    cases(text).for_each(check);
}

#[test]
fn cbc_is_that_of_wycheproof() {
    let text = include_str!("../../../tests/vectors/wycheproof_cbc.txt");
    assert!(cases(text).count() > 100);
    cases(text).for_each(check);
}

#[test]
fn a_part_of_a_block_is_refused() {
    for (name, key) in [("cbc", 16), ("camellia", 32), ("3des", 24)] {
        let key: Vec<u8> = (0..key).map(|octet| octet * 2).collect();
        let keyed = Keyed::new(encryption(name), &key).unwrap();
        let iv = vec![0; keyed.iv_octets()];
        assert!(keyed.encrypt(&iv, &mut [0; 17]).is_err());
        assert!(keyed.decrypt(&iv, &mut [0; 17]).is_err());
        assert!(keyed.encrypt(&[0; 5], &mut [0; 16]).is_err());
    }
}

#[test]
fn a_key_of_another_length_is_refused() {
    let taken = |name: &str| {
        let count = (0..70u8).map(|length| (0..length).map(|octet| octet * 2).collect::<Vec<_>>());
        let lengths = count.filter(|key| Keyed::new(encryption(name), key).is_ok());
        lengths.map(|key| key.len()).collect::<Vec<_>>()
    };
    assert_eq!(taken("null"), [0]);
    assert_eq!(taken("cbc"), [16, 24, 32]);
    assert_eq!(taken("ctr"), [20, 28, 36]);
    assert_eq!(taken("camellia"), [16, 24, 32]);
    assert_eq!(taken("3des"), [24]);
}
