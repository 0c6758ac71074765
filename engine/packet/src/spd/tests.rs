use super::*;
use crate::database::Database;
use crate::testing::{address, policy, selector};

fn out_policy(destination: &str) -> PolicyParams {
    policy(PolicyDirection::Out, selector("10.0.0.0/8", destination), 1)
}

#[test]
fn a_policy_ends_so_long_after_it_was_added_or_last_used() {
    let ends = |lifetimes: Lifetimes, used: &[u64]| {
        let mut database = Database::new();
        let params = PolicyParams {
            lifetimes,
            ..out_policy("10.0.0.0/8")
        };
        let policy = database.add_policy(params, 100).unwrap();
        (100..140).find_map(|now| {
            if used.contains(&now) {
                policy.mark_used(now);
            }
            let expiries = database.expire_policies(now);
            expiries.first().map(|expiry| (now, expiry.hard))
        })
    };
    let none = Lifetimes::NONE;
    let hard_add = Lifetimes {
        hard_add_s: 10,
        ..none
    };
    let hard_use = Lifetimes {
        hard_use_s: 10,
        ..none
    };
    let soft_add = Lifetimes {
        soft_add_s: 5,
        hard_add_s: 10,
        ..none
    };
    assert_eq!(ends(none, &[]), None);
    assert_eq!(ends(hard_add, &[105]), Some((110, true)));
    assert_eq!(ends(hard_use, &[]), Some((110, true)));
    assert_eq!(ends(hard_use, &[105, 112]), Some((122, true)));
    assert_eq!(ends(soft_add, &[]), Some((105, false)));
}

#[test]
fn a_policy_is_told_of_once_and_an_update_begins_anew() {
    let mut database = Database::new();
    let params = || PolicyParams {
        lifetimes: Lifetimes {
            soft_add_s: 5,
            ..Lifetimes::NONE
        },
        ..out_policy("10.0.0.0/8")
    };
    database.add_policy(params(), 0).unwrap();
    assert_eq!(database.expire_policies(5).len(), 1);
    assert!(database.expire_policies(6).is_empty());
    database.update_policy(params(), 6).unwrap();
    assert_eq!(database.expire_policies(7).len(), 1);
    database.flush_policies();
    assert!(database.expire_policies(99).is_empty());
}

#[test]
fn each_direction_is_counted() {
    let mut database = Database::new();
    let count = |database: &Database| {
        use PolicyDirection::{Fwd, In, Out};
        [In, Out, Fwd].map(|direction| database.spd().count(direction))
    };
    let inward = PolicyParams {
        direction: PolicyDirection::In,
        ..out_policy("10.1.0.0/16")
    };
    let first = database.add_policy(out_policy("10.1.0.0/16"), 0).unwrap();
    database.add_policy(inward, 0).unwrap();
    database
        .update_policy(out_policy("10.1.0.0/16"), 0)
        .unwrap();
    database
        .update_policy(out_policy("10.2.0.0/16"), 0)
        .unwrap();
    assert_eq!(count(&database), [1, 2, 0]);
    let key = PolicyKey::Index(first.params.index);
    database.delete_policy(key).unwrap();
    assert_eq!(count(&database), [1, 1, 0]);
    database.flush_policies();
    assert_eq!(count(&database), [0, 0, 0]);
}

#[test]
fn numbers_from_0x4000_0000_are_for_those_who_give_them() {
    let mut database = Database::new();
    let given = PolicyParams {
        index: 0x4000_0001,
        ..out_policy("10.1.0.0/16")
    };
    let given = database.add_policy(given, 0).unwrap();
    let chosen = database.add_policy(out_policy("10.2.0.0/16"), 0).unwrap();
    assert!(given.params.index == 0x4000_0001 && chosen.params.index < 0x4000_0000);
}

#[test]
fn a_policy_has_six_templates_at_most_and_none_of_either_mode() {
    let refused = |change: fn(&mut Template), count: usize| {
        let mut params = out_policy("10.0.0.0/8");
        change(&mut params.templates[0]);
        params.templates = vec![params.templates[0]; count];
        Database::new()
            .add_policy(params, 0)
            .map_err(DatabaseError::errno)
            .err()
    };
    assert_eq!(refused(|_| (), 6), None);
    assert_eq!(refused(|_| (), 7), Some(105));
    assert_eq!(refused(|template| template.mode = Mode::Any, 1), Some(22));
    assert_eq!(
        refused(|template| template.source = address("::1"), 1),
        Some(22)
    );
}
