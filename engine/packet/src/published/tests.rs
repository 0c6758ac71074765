use super::*;
use crate::database::Database;
use crate::testing::gcm_params;

#[test]
fn a_reader_sees_the_newest_and_the_barrier_waits_for_it() {
    let (mut database, place) = (Database::new(), Published::new());
    let mut reader = place.reader();
    assert_eq!(reader.enter().number(), 0);
    assert!(place.everybody_is_current());
    place.publish(database.snapshot());
    assert!(!place.everybody_is_current());
    assert_eq!(reader.enter().number(), 1);
    assert!(place.everybody_is_current());
    database.add_sa(gcm_params(), 0).unwrap();
    place.publish(database.snapshot());
    assert!(!place.everybody_is_current());
    reader.leave();
    assert!(place.everybody_is_current());
    assert_eq!(reader.enter().sas().len(), 1);
    assert!(place.everybody_is_current());
}

#[test]
fn a_reader_that_is_gone_holds_nobody_up() {
    let (mut database, place) = (Database::new(), Published::new());
    let mut reader = place.reader();
    reader.enter();
    database.add_sa(gcm_params(), 0).unwrap();
    let _ = database.snapshot();
    database.flush_sas(None);
    place.publish(database.snapshot());
    assert!(!place.everybody_is_current());
    drop(reader);
    assert!(place.everybody_is_current());
}
