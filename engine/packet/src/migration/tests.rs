use std::sync::Arc;

use super::*;
use crate::database::Database;
use crate::esp;
use crate::ip::protocol;
use crate::sa::SaParams;
use crate::spd::{PolicyDirection, PolicyKey, PolicyParams};
use crate::testing::{address, gcm_params, policy, selector};

/// The sequence number of the next packet that an SA seals.
fn next_sequence(sa: &Sa) -> u32 {
    let mut sealed = [0; 200];
    esp::seal(sa, &[0x45; 40], protocol::IPV4, &mut sealed, 1).unwrap();
    u32::from_be_bytes([sealed[4], sealed[5], sealed[6], sealed[7]])
}

fn tunnel_policy(direction: PolicyDirection) -> PolicyParams {
    let mut params = policy(direction, selector("10.0.0.0/8", "10.0.0.0/8"), 1);
    let template = &mut params.templates[0];
    (template.source, template.destination) = (address("192.0.2.1"), address("192.0.2.2"));
    params
}

fn to(new: &str) -> Migration {
    Migration {
        protocol: Protocol::Esp,
        mode: Mode::Tunnel,
        reqid: 7,
        old: (address("192.0.2.1"), address("192.0.2.2")),
        new: (address("192.0.2.1"), address(new)),
    }
}

fn key() -> PolicyKey {
    let selector = tunnel_policy(PolicyDirection::Out).selector;
    PolicyKey::Selector(PolicyDirection::Out, selector)
}

#[test]
fn what_migrates_keeps_keys_numbers_and_age() {
    let mut database = Database::new();
    let written = database
        .add_policy(tunnel_policy(PolicyDirection::Out), 3)
        .unwrap();
    let old = database.add_sa(gcm_params(), 4).unwrap();
    let elsewhere = SaParams {
        source: address("192.0.2.9"),
        spi: gcm_params().spi + 1,
        ..gcm_params()
    };
    database.add_sa(elsewhere.clone(), 4).unwrap();
    assert_eq!(next_sequence(&old), 1);
    let moved = database
        .migrate(key(), &[to("198.51.100.9")], None)
        .unwrap();
    let [(name, sa)] = moved.sas.as_slice() else {
        panic!()
    };
    assert_eq!(
        (*name, sa.serial(), sa.added_s()),
        (old.id(), old.serial(), 4)
    );
    assert_eq!((next_sequence(sa), next_sequence(&old)), (2, 3));
    let template = moved.policy.params.templates[0];
    assert_eq!(template.destination, address("198.51.100.9"));
    assert_eq!(
        (moved.policy.params.index, moved.policy.serial),
        (written.params.index, written.serial)
    );
    assert!(database.sad().get(elsewhere.id()).is_some());
    assert!(database.sad().get(old.id()).is_none());
    assert!(database.sad().get(sa.id()).is_some());
}

#[test]
fn a_migration_that_cannot_be_changes_nothing() {
    let mut database = Database::new();
    database
        .add_policy(tunnel_policy(PolicyDirection::Out), 0)
        .unwrap();
    database.add_sa(gcm_params(), 0).unwrap();
    let taken = SaParams {
        destination: address("198.51.100.9"),
        ..gcm_params()
    };
    database.add_sa(taken, 0).unwrap();
    let before = (database.sad_generation(), database.spd_generation());
    let mut refused = |migrations: &[Migration]| {
        let outcome = database.migrate(key(), migrations, None);
        outcome.unwrap_err().errno()
    };
    assert_eq!(refused(&[to("198.51.100.9")]), 17);
    assert_eq!(refused(&[to("::1")]), 22);
    assert_eq!(refused(&[]), 22);
    assert_eq!(refused(&[to("198.51.100.8"); 7]), 22);
    let other = Migration {
        reqid: 8,
        ..to("198.51.100.8")
    };
    assert_eq!(refused(&[other]), 3);
    assert_eq!(
        (database.sad_generation(), database.spd_generation()),
        before
    );
}

#[test]
fn a_policy_without_ends_stays_as_it_is_and_its_sas_move() {
    let mut database = Database::new();
    let mut written = tunnel_policy(PolicyDirection::Out);
    let template = &mut written.templates[0];
    (template.source, template.destination) = (address("0.0.0.0"), address("0.0.0.0"));
    database.add_policy(written.clone(), 0).unwrap();
    database.add_sa(gcm_params(), 0).unwrap();
    let moved = database
        .migrate(key(), &[to("198.51.100.9")], None)
        .unwrap();
    assert_eq!(moved.sas.len(), 1);
    assert_eq!(moved.sas[0].1.id().destination, address("198.51.100.9"));
    assert_eq!(moved.policy.params.templates, written.templates);
}

/// Around a tunnel that moves to another family, a step in transport mode that does not move too has no packets.
#[test]
fn no_migration_makes_a_policy_that_could_not_be_written() {
    let mut database = Database::new();
    let mut params = tunnel_policy(PolicyDirection::Out);
    let around = Template {
        protocol: Protocol::Ah,
        mode: Mode::Transport,
        ..params.templates[0]
    };
    params.templates.push(around);
    let before = database.add_policy(params, 0).unwrap();
    let elsewhere = Migration {
        new: (address("2001:db8::1"), address("2001:db8::2")),
        ..to("198.51.100.9")
    };
    let refused = database.migrate(key(), &[elsewhere], None);
    assert_eq!(refused.unwrap_err().errno(), 22);
    assert!(Arc::ptr_eq(&before, &database.spd().get(key()).unwrap()));
    let both = Migration {
        protocol: Protocol::Ah,
        mode: Mode::Transport,
        ..elsewhere
    };
    database.migrate(key(), &[elsewhere, both], None).unwrap();
}
