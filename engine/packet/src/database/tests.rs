use super::*;
use crate::algorithm::Integrity;
use crate::esp;
use crate::ip::protocol;
use crate::sa::{Direction, Encap, FLAG_ESN, Lifetimes, Mode, Protocol};
use crate::spd::{PolicyDirection, Template};
use crate::testing::{address, ah_params, gcm_params, policy, selector};

fn request(min: u32, max: u32) -> SpiRequest {
    let (source, destination) = (address("192.0.2.1"), address("192.0.2.2"));
    SpiRequest {
        source,
        destination,
        protocol: Protocol::Esp,
        reqid: 7,
        mode: Mode::Tunnel,
        min,
        max,
    }
}

fn out_policy(destination: &str) -> PolicyParams {
    policy(PolicyDirection::Out, selector("10.0.0.0/8", destination), 1)
}

#[test]
fn what_exists_is_not_added_again() {
    let mut database = Database::new();
    database.add_sa(gcm_params(), 0).unwrap();
    assert_eq!(
        database.add_sa(gcm_params(), 0).unwrap_err(),
        DatabaseError::Exists
    );
    database.add_policy(out_policy("10.0.0.0/8"), 0).unwrap();
    assert_eq!(
        database
            .add_policy(out_policy("10.0.0.0/8"), 0)
            .unwrap_err(),
        DatabaseError::Exists
    );
}

#[test]
fn what_does_not_exist_is_named() {
    let mut database = Database::new();
    let id = gcm_params().id();
    assert_eq!(database.update_sa(gcm_params(), 0).unwrap_err().errno(), 3);
    assert_eq!(database.delete_sa(id).unwrap_err().errno(), 3);
    assert_eq!(
        database
            .delete_policy(PolicyKey::Index(9))
            .unwrap_err()
            .errno(),
        2
    );
}

/// The sequence number of the next packet that an SA seals.
fn next_sequence(sa: &Sa) -> u32 {
    let mut sealed = [0; 200];
    esp::seal(sa, &[0x45; 40], protocol::IPV4, &mut sealed, 1).unwrap();
    u32::from_be_bytes([sealed[4], sealed[5], sealed[6], sealed[7]])
}

#[test]
fn a_key_that_comes_back_counts_on() {
    let mut database = Database::new();
    let first = database.add_sa(gcm_params(), 0).unwrap();
    assert_eq!((next_sequence(&first), next_sequence(&first)), (1, 2));
    database.delete_sa(first.id()).unwrap();
    let again = database.add_sa(gcm_params(), 0).unwrap();
    assert_eq!(next_sequence(&again), 3);
    // The old one may still be at work in a batch of packets, and another SPI may have the same key.
    let other = SaParams {
        spi: gcm_params().spi + 1,
        ..gcm_params()
    };
    let other = database.add_sa(other, 0).unwrap();
    assert_eq!(
        [&first, &other, &again].map(|sa| next_sequence(sa)),
        [4, 5, 6]
    );
}

/// The file of keys is read again after a restart, and the other gateway may seal under the same key: nobody remembers those
/// numbers, and still no nonce comes twice.
#[test]
fn another_process_with_the_same_key_has_other_ivs() {
    let iv = |database: &mut Database| {
        let sa = database.add_sa(gcm_params(), 0).unwrap();
        let mut sealed = [0; 200];
        esp::seal(&sa, &[0x45; 40], protocol::IPV4, &mut sealed, 1).unwrap();
        assert!(esp::open(&sa, &mut sealed[..76].to_vec(), 1).is_ok());
        sealed[8..16].to_vec()
    };
    assert_ne!(iv(&mut Database::new()), iv(&mut Database::new()));
}

#[test]
fn parameters_that_cannot_be_are_refused() {
    let refused = |change: fn(&mut SaParams)| {
        let mut params = gcm_params();
        change(&mut params);
        Database::new().add_sa(params, 0).unwrap_err().errno()
    };
    assert_eq!(refused(|params| params.spi = 255), 22);
    assert_eq!(refused(|params| params.source = address("::1")), 22);
    assert_eq!(refused(|params| params.replay_window = 65_537), 22);
    assert_eq!(
        refused(|params| (params.replay_window, params.flags) = (0, 128)),
        22
    );
    assert_eq!(
        refused(|params| params.selectors = vec![selector("10.0.0.0/8", "10.0.0.0/8"); 257]),
        105
    );
}

#[test]
fn only_a_tunnel_changes_the_family() {
    let mut database = Database::new();
    let transport = SaParams {
        mode: Mode::Transport,
        selectors: vec![selector("2001:db8:1::/64", "2001:db8:2::/64")],
        ..gcm_params()
    };
    assert!(database.add_sa(transport.clone(), 1).is_err());
    let tunnel = SaParams {
        mode: Mode::Tunnel,
        ..transport
    };
    database.add_sa(tunnel, 1).unwrap();

    let mut wanted = out_policy("10.0.0.0/8");
    let template = |mode, end| Template {
        mode,
        source: address(end),
        destination: address(end),
        ..wanted.templates[0]
    };
    let (inside, tunnel, outside) = (
        template(Mode::Transport, "192.0.2.2"),
        template(Mode::Tunnel, "2001:db8::2"),
        template(Mode::Transport, "2001:db8::2"),
    );
    wanted.templates = vec![outside];
    assert!(database.add_policy(wanted.clone(), 1).is_err());
    wanted.templates = vec![tunnel, inside];
    assert!(database.add_policy(wanted.clone(), 1).is_err());
    wanted.templates = vec![inside, tunnel, outside];
    database.add_policy(wanted, 1).unwrap();
}

#[test]
fn extended_numbers_need_a_window_only_where_packets_arrive() {
    let params = |direction| SaParams {
        replay_window: 0,
        flags: FLAG_ESN,
        direction,
        ..gcm_params()
    };
    assert!(
        Database::new()
            .add_sa(params(Some(Direction::Out)), 0)
            .is_ok()
    );
    for direction in [None, Some(Direction::In)] {
        assert!(Database::new().add_sa(params(direction), 0).is_err());
    }
}

#[test]
fn a_larval_sa_gets_its_keys_by_an_update() {
    let mut database = Database::new();
    let larval = database
        .allocate_spi(&request(0x1001, 0x1001), &mut || 0x8000_0000, 10)
        .unwrap();
    assert_eq!(larval.id(), gcm_params().id());
    assert!(
        database
            .snapshot()
            .inbound(larval.destination, larval.spi, larval.protocol)
            .is_none()
    );
    assert_eq!(
        database.add_sa(gcm_params(), 0).unwrap_err(),
        DatabaseError::Exists
    );
    database.update_sa(gcm_params(), 11).unwrap();
    assert!(
        database
            .snapshot()
            .inbound(larval.destination, larval.spi, larval.protocol)
            .is_some()
    );
}

#[test]
fn spis_come_from_the_range_and_are_free() {
    let mut database = Database::new();
    let mut draws = [0, 0, u32::MAX, 0].into_iter();
    let mut random = || draws.next().unwrap_or(0);
    let mut spi = || {
        database
            .allocate_spi(&request(0x1000, 0x1fff), &mut random, 0)
            .map(|larval| larval.spi)
    };
    assert_eq!(
        [spi(), spi(), spi()],
        [Ok(0x1000), Ok(0x1fff), Err(DatabaseError::NoSpi)]
    );
    assert_eq!(
        database
            .allocate_spi(&request(255, 300), &mut || 0, 0)
            .unwrap_err()
            .errno(),
        22
    );
}

#[test]
fn a_larval_sa_is_given_up() {
    let mut database = Database::new();
    database
        .allocate_spi(&request(0x1000, 0x1fff), &mut || 0, 10)
        .unwrap();
    assert!(database.expire(39).is_empty());
    assert!(matches!(
        database.expire(40)[..],
        [Expiry {
            hard: true,
            entry: SaEntry::Larval(_)
        }]
    ));
    assert_eq!(database.sad().iter().count(), 0);
}

#[test]
fn an_update_keeps_numbers_and_counters() {
    let mut database = Database::new();
    let old = database.add_sa(gcm_params(), 0).unwrap();
    esp::seal(&old, b"x", protocol::IPV4, &mut [0; 100], 1).unwrap();
    let encap = Some(Encap {
        source_port: 4500,
        destination_port: 4501,
    });
    let new = database
        .update_sa(
            SaParams {
                encap,
                reqid: 99,
                ..gcm_params()
            },
            5,
        )
        .unwrap();
    esp::seal(&new, b"x", protocol::IPV4, &mut [0; 100], 1).unwrap();
    assert_eq!(
        (new.params().encap, new.params().reqid, new.added_s()),
        (encap, 7, 0)
    );
    assert_eq!((old.sent_sequence(), old.usage()), (2, new.usage()));
}

/// What NEWSA refuses, no update brings in: AH in UDP would leave as if it were ESP.
#[test]
fn an_update_is_judged_too() {
    let mut database = Database::new();
    let ah = ah_params(Integrity::HmacSha256_128);
    let sa = database.add_sa(ah.clone(), 0).unwrap();
    let encap = Some(Encap {
        source_port: 4500,
        destination_port: 4500,
    });
    let refused = database.update_sa(SaParams { encap, ..ah }, 1);
    assert_eq!(refused.unwrap_err().errno(), 22);
    let SaEntry::Valid(now) = database.sad().get(sa.id()).unwrap() else {
        panic!()
    };
    assert!(Arc::ptr_eq(now, &sa));
}

#[test]
fn limits_are_told_once_and_a_hard_one_removes() {
    let mut database = Database::new();
    let lifetimes = Lifetimes {
        soft_add_s: 10,
        hard_add_s: 20,
        ..Lifetimes::NONE
    };
    database
        .add_sa(
            SaParams {
                lifetimes,
                ..gcm_params()
            },
            100,
        )
        .unwrap();
    let told: Vec<Vec<bool>> = [109, 110, 111, 120, 121]
        .map(|now| {
            database
                .expire(now)
                .iter()
                .map(|expiry| expiry.hard)
                .collect()
        })
        .to_vec();
    assert_eq!(told, [vec![], vec![false], vec![], vec![true], vec![]]);
    assert!(database.snapshot().sas().is_empty());
}

#[test]
fn octets_packets_use_and_numbers_have_limits_too() {
    let due = |lifetimes: Lifetimes, act: fn(&Sa)| {
        let mut database = Database::new();
        act(&database
            .add_sa(
                SaParams {
                    lifetimes,
                    ..gcm_params()
                },
                0,
            )
            .unwrap());
        database.expire(1_000).first().map(|expiry| expiry.hard)
    };
    let send =
        |sa: &Sa| assert!(esp::seal(sa, &[0; 50], protocol::IPV4, &mut [0; 200], 900).is_ok());
    let none = Lifetimes::NONE;
    assert_eq!(due(none, send), None);
    assert_eq!(
        due(
            Lifetimes {
                soft_octets: 50,
                ..none
            },
            send
        ),
        Some(false)
    );
    assert_eq!(
        due(
            Lifetimes {
                soft_octets: 51,
                ..none
            },
            send
        ),
        None
    );
    assert_eq!(
        due(
            Lifetimes {
                hard_packets: 1,
                ..none
            },
            send
        ),
        Some(true)
    );
    assert_eq!(
        due(
            Lifetimes {
                hard_use_s: 100,
                ..none
            },
            send
        ),
        Some(true)
    );
    assert_eq!(
        due(
            Lifetimes {
                hard_use_s: 101,
                ..none
            },
            send
        ),
        None
    );
    assert_eq!(
        due(
            Lifetimes {
                hard_use_s: 1,
                ..none
            },
            |_| ()
        ),
        None
    );
    assert_eq!(
        due(none, |sa| sa.set_sent_sequence(u64::from(u32::MAX) / 8 * 7)),
        Some(false)
    );
    assert_eq!(
        due(none, |sa| sa.set_sent_sequence(u64::from(u32::MAX))),
        Some(true)
    );
}

#[test]
fn indices_carry_the_direction_and_are_not_reused_at_once() {
    let mut database = Database::new();
    let first = database.add_policy(out_policy("10.1.0.0/16"), 0).unwrap();
    database
        .delete_policy(PolicyKey::Index(first.params.index))
        .unwrap();
    let second = database.add_policy(out_policy("10.1.0.0/16"), 0).unwrap();
    assert_ne!(first.params.index, second.params.index);
    assert_eq!(second.params.index % 8, PolicyDirection::Out as u32);
    let wrong = PolicyParams {
        index: 16,
        ..out_policy("10.2.0.0/16")
    };
    assert_eq!(database.add_policy(wrong, 0).unwrap_err().errno(), 22);
}

#[test]
fn an_updated_policy_keeps_its_index_and_its_age() {
    let mut database = Database::new();
    let old = database.add_policy(out_policy("10.1.0.0/16"), 3).unwrap();
    let new = database
        .update_policy(
            PolicyParams {
                priority: 77,
                ..out_policy("10.1.0.0/16")
            },
            9,
        )
        .unwrap();
    assert_eq!(
        (new.params.index, new.serial, new.added_s),
        (old.params.index, old.serial, 3)
    );
    assert_eq!(database.spd().iter().count(), 1);
    assert_eq!(database.snapshot().number(), 1);
}

#[test]
fn a_batch_is_seen_whole_or_not_at_all() {
    let mut database = Database::new();
    database.add_policy(out_policy("10.1.0.0/16"), 0).unwrap();
    let (mut draft, drawn_at) = (database.spd().clone(), database.spd_generation());
    draft.flush();
    draft.add(out_policy("10.2.0.0/16"), 0).unwrap();
    assert!(
        database
            .spd()
            .get(PolicyKey::Selector(
                PolicyDirection::Out,
                out_policy("10.1.0.0/16").selector
            ))
            .is_some()
    );
    database.replace_policies(draft.clone(), drawn_at).unwrap();
    assert!(
        database
            .spd()
            .get(PolicyKey::Selector(
                PolicyDirection::Out,
                out_policy("10.2.0.0/16").selector
            ))
            .is_some()
    );
    assert_eq!(
        database.replace_policies(draft, drawn_at),
        Err(DatabaseError::Conflict)
    );
}

#[test]
fn a_snapshot_stays_until_something_changes() {
    let mut database = Database::new();
    let first = database.snapshot();
    assert!(Arc::ptr_eq(&first, &database.snapshot()));
    database.add_sa(gcm_params(), 0).unwrap();
    assert!(database.snapshot().number() > first.number());
}

#[test]
fn debug_shows_no_keys() {
    let mut database = Database::new();
    let sa = database.add_sa(gcm_params(), 0).unwrap();
    let shown = format!("{database:?} {sa:?}");
    assert!(shown.contains("Secret(20 octets)") && !shown.contains("90, 90"));
}

#[test]
fn an_update_gives_a_soft_limit_anew() {
    let mut database = Database::new();
    let lifetimes = |soft_add_s| Lifetimes {
        soft_add_s,
        ..Lifetimes::NONE
    };
    let params = |soft_add_s| SaParams {
        lifetimes: lifetimes(soft_add_s),
        ..gcm_params()
    };
    database.add_sa(params(10), 0).unwrap();
    assert_eq!(database.expire(10).len(), 1);
    assert_eq!(database.expire(20).len(), 0);
    database.update_sa(params(30), 20).unwrap();
    assert_eq!(database.expire(29).len(), 0);
    assert_eq!(database.expire(30).len(), 1);
}
