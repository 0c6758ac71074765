//! What the daemon has the engine keep.

use super::*;

#[test]
fn blobs_are_kept_and_dumped() {
    let mut engine = Engine::start();
    let put = attributes(&[(attribute::KEY, b"ike/1"), (attribute::DATA, &[5; 16_384])]);
    assert_eq!(engine.ask(family::BLOB_PUT, &put), 0);
    let rows = engine.dump(family::BLOB_GET);
    assert_eq!(
        (rows.len(), rows[0].0.kind, &rows[0].1),
        (2, family::BLOB_PUT, &put)
    );
    assert_eq!(
        engine.ask(
            family::BLOB_DELETE,
            &attributes(&[(attribute::KEY, b"ike/1")])
        ),
        0
    );
    assert_eq!(engine.dump(family::BLOB_GET).len(), 1);
}

#[test]
fn long_blobs_come_and_go_in_parts_and_outlive_who_put_them() {
    let mut engine = Engine::start();
    let part = |octet: u8| attributes(&[(attribute::DATA, &[octet; 20_000])]);
    assert_eq!(engine.ask(family::BLOB_PART, &part(1)), 0);
    assert_eq!(engine.ask(family::BLOB_PART, &part(2)), 0);
    let last = attributes(&[(attribute::KEY, b"ike/1"), (attribute::DATA, &[3; 10])]);
    assert_eq!(engine.ask(family::BLOB_PUT, &last), 0);
    // What another connection began, and did not live to end, is nobody's.
    assert_eq!(engine.ask(family::BLOB_PART, &part(9)), 0);
    engine.client = Connection::connect(&engine.path).unwrap();
    let short = attributes(&[(attribute::KEY, b"ike/2"), (attribute::DATA, &[4; 10])]);
    assert_eq!(engine.ask(family::BLOB_PUT, &short), 0);
    let rows = engine.dump(family::BLOB_GET);
    let kinds: Vec<u16> = rows.iter().map(|(header, _)| header.kind).collect();
    let (put, part) = (family::BLOB_PUT, family::BLOB_PART);
    assert_eq!(kinds, [part, part, put, put, DONE]);
    let octets: usize = rows[..3].iter().map(|(_, body)| body.len()).sum();
    assert!((40_010..40_100).contains(&octets));
    assert_eq!(rows[3].1, short);
}

#[test]
fn a_blob_that_became_too_long_is_not_put_at_all() {
    let mut engine = Engine::start();
    let last = attributes(&[(attribute::KEY, b"ike/1"), (attribute::DATA, &[3; 10])]);
    assert_eq!(engine.ask(family::BLOB_PUT, &last), 0);
    let part = attributes(&[(attribute::DATA, &[1; 30_000])]);
    let answers: Vec<i32> = (0..10)
        .map(|_| engine.ask(family::BLOB_PART, &part))
        .collect();
    assert_eq!(answers[..8], [0; 8]);
    assert_eq!(answers[8..], [libc::EMSGSIZE; 2]);
    assert_eq!(engine.ask(family::BLOB_PUT, &last), libc::ECANCELED);
    assert_eq!(engine.dump(family::BLOB_GET).len(), 1);
    assert_eq!(engine.ask(family::BLOB_PUT, &last), 0);
    assert_eq!(engine.dump(family::BLOB_GET).len(), 2);
}
