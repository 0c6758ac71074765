//! The messages beyond SAs and policies of one tunnel, each as a client sees it.

use std::net::IpAddr;
use std::sync::atomic::AtomicBool;

use packet::algorithm::{Encryption, Integrity, Transform};
use packet::bundle::Need;
use packet::migration::Migration;
use packet::sa::{Direction, Encap, Mode, Protocol};
use packet::secret::Secret;
use packet::spd::{PolicyParams, Template};

use super::*;
use crate::limits::MAX_TOLD_OF_BATCH;
use crate::octets::Put;
use crate::samples::Sample;
use crate::strays::Stray;
use crate::testing::{OURS, SPI, THEIRS, protected_by_cbc};
use crate::xfrm::migrate::put_migrations;
use crate::xfrm::policy::put_policy_id;

fn entry(params: SaParams) -> Vec<u8> {
    let sa = Database::new().add_sa(params, 1).unwrap();
    let mut body = Vec::new();
    put_entry(&mut body, &SaEntry::Valid(sa), true, &Clock::start());
    body
}

fn id_of(params: &SaParams) -> Vec<u8> {
    let mut body = Vec::new();
    put_sa_id(&mut body, params.id());
    body
}

fn ah() -> SaParams {
    SaParams {
        protocol: Protocol::Ah,
        mode: Mode::Transport,
        transform: Transform::Authenticated {
            integrity: Integrity::HmacSha256_128,
            key: Secret::new(&[4; 32]),
        },
        ..protected(None)
    }
}

fn old_fashioned() -> SaParams {
    SaParams {
        transform: Transform::Encrypted {
            cipher: Encryption::TripleDesCbc,
            key: Secret::new(b"three keys, none the same"[..24].as_ref()),
            integrity: Integrity::HmacSha256_128,
            integrity_key: Secret::new(&[6; 32]),
        },
        legacy: true,
        ..protected(None)
    }
}

fn subscribed(groups: u32) -> Engine {
    let mut engine = Engine::start();
    let wanted = attributes(&[(attribute::GROUPS, &groups.to_ne_bytes())]);
    assert_eq!(engine.ask(family::SUBSCRIBE, &wanted), 0);
    engine
}

/// What a request is answered with, and no acknowledgement.
fn asked(engine: &mut Engine, kind: u16, body: &[u8]) -> (Header, Vec<u8>) {
    engine.send(kind, 0, body);
    engine.receive().remove(0)
}

#[test]
fn esp_and_ah_may_have_one_spi_and_are_flushed_apart() {
    let mut engine = Engine::start();
    for params in [protected(None), ah()] {
        assert_eq!(engine.ask(message::NEWSA, &entry(params)), 0);
    }
    assert_eq!(engine.ask(message::NEWSA, &entry(ah())), libc::EEXIST);
    assert_eq!(engine.ask(message::FLUSHSA, &[51]), 0);
    assert_eq!(engine.ask(message::GETSA, &id_of(&ah())), libc::ESRCH);
    assert_eq!(engine.dump(message::GETSA).len(), 2);
    assert_eq!(engine.ask(message::FLUSHSA, &[108]), libc::EPROTONOSUPPORT);
    assert_eq!(engine.ask(message::FLUSHSA, &[255]), 0);
    assert_eq!(engine.dump(message::GETSA).len(), 1);
}

#[test]
fn what_is_legacy_is_said_to_be() {
    let mut engine = Engine::start();
    let mut body = entry(old_fashioned());
    // The last attributes but for the empty list of drops: the flag is turned into one that nobody knows.
    let flag = [4, 0, 0x04, 0x40];
    let at = body.windows(4).position(|window| window == flag).unwrap();
    body[at + 2] = 0xf0;
    engine.send(message::NEWSA, ACK, &body);
    let (_, refusal) = engine.receive().remove(0);
    assert_eq!(refusal[..4], (-libc::EOPNOTSUPP).to_ne_bytes());
    let sentence = String::from_utf8_lossy(&refusal[24..]).into_owned();
    assert!(sentence.contains("RFC 8221"), "{sentence}");
    body[at + 2] = 0x04;
    assert_eq!(engine.ask(message::NEWSA, &body), 0);
}

/// What is dumped is taken as it is by another engine, and dumped there as it was.
#[test]
fn a_dump_is_loaded_elsewhere() {
    let params = [
        SaParams {
            mode: Mode::Any,
            replay_window: 8,
            ..protected(None)
        },
        SaParams {
            spi: SPI + 1,
            tfc_padding: 1_000,
            flags: 128,
            replay_window: 65_536,
            ..protected(Some(Encap {
                source_port: 4_500,
                destination_port: 4_501,
            }))
        },
        ah(),
        SaParams {
            spi: SPI + 2,
            ..old_fashioned()
        },
    ];
    let (mut first, mut second) = (Engine::start(), Engine::start());
    for params in params {
        assert_eq!(first.ask(message::NEWSA, &entry(params)), 0);
    }
    let rows = first.dump(message::GETSA);
    for (_, row) in &rows[..4] {
        assert_eq!(second.ask(message::NEWSA, row), 0);
    }
    let loaded = second.dump(message::GETSA);
    // They differ in the time of adding, if at all.
    let without_times = |row: &(Header, Vec<u8>)| {
        let mut body = row.1.clone();
        body[176..184].fill(0);
        let usage = body.windows(4).position(|window| window == [36, 0, 9, 0]);
        usage.inspect(|at| body[at + 20..at + 28].fill(0));
        body
    };
    assert!(
        rows[..4]
            .iter()
            .map(without_times)
            .eq(loaded[..4].iter().map(without_times))
    );
}

/// NEWAE that says: so many were sent, the fortieth was the newest that came.
fn aevent(params: &SaParams, sent: u32, window: u32) -> Vec<u8> {
    let mut body = id_of(params);
    body.put_zeros(16);
    body.put_u32(2);
    body.put_u32(0);
    let mut value = Vec::new();
    let words = [2, sent, 40, 0, 0, window, 0xffff_ffff, 0xff];
    words.iter().for_each(|word| value.put_u32(*word));
    put_attribute(&mut body, 23, &value);
    body
}

#[test]
fn an_sa_goes_on_where_another_stands_and_never_back() {
    let (mut engine, params) = (Engine::start(), protected_by_cbc());
    assert_eq!(engine.ask(message::NEWSA, &entry(params.clone())), 0);
    let mut set = |sent, window| {
        let body = aevent(&params, sent, window);
        engine.send(message::NEWAE, ACK | netlink::REPLACE, &body);
        -i32::from_ne_bytes(engine.receive()[0].1[..4].try_into().unwrap())
    };
    assert_eq!(set(1_000, 64), 0);
    assert_eq!((set(999, 64), set(2_000, 32)), (libc::EINVAL, libc::EINVAL));
    let body = aevent(&params, 2_000, 64);
    assert_eq!(engine.ask(message::NEWAE, &body), libc::EOPNOTSUPP);
    let (header, told) = asked(&mut engine, message::GETAE, &body[..48]);
    assert_eq!(header.kind, message::NEWAE);
    assert_eq!(told[40..44], 2u32.to_ne_bytes());
    let found = Attributes::parse(&told[48..]).unwrap();
    let numbers = [1_000u32.to_ne_bytes(), 40u32.to_ne_bytes()].concat();
    assert_eq!(found.get(23).unwrap()[4..12], numbers);
    assert!(found.get(9).is_some());
}

#[test]
fn nonces_are_not_for_others_to_say() {
    let (mut engine, params) = (Engine::start(), protected(None));
    assert_eq!(engine.ask(message::NEWSA, &entry(params.clone())), 0);
    for (sent, outcome) in [(0, 0), (1, libc::EOPNOTSUPP)] {
        let body = aevent(&params, sent, 64);
        engine.send(message::NEWAE, ACK | netlink::REPLACE, &body);
        assert_eq!(engine.receive()[0].1[..4], (-outcome).to_ne_bytes());
    }
    let mut body = entry(SaParams {
        spi: SPI + 1,
        ..params
    });
    let at = body.windows(4).position(|window| window == [36, 0, 23, 0]);
    body[at.unwrap() + 8] = 1;
    assert_eq!(engine.ask(message::NEWSA, &body), libc::EOPNOTSUPP);
    assert_eq!(engine.dump(message::GETSA).len(), 2);
}

#[test]
fn the_databases_are_counted() {
    let mut engine = Engine::start();
    assert_eq!(engine.ask(message::NEWSA, &entry(ah())), 0);
    assert_eq!(engine.ask(message::NEWPOLICY, &policy(1)), 0);
    let (header, body) = asked(&mut engine, message::GETSADINFO, &[7, 0, 0, 0]);
    assert_eq!(
        (header.kind, &body[..4]),
        (message::NEWSADINFO, &[7, 0, 0, 0][..])
    );
    let found = Attributes::parse(&body[4..]).unwrap();
    assert_eq!(found.get(1), Some(&1u32.to_ne_bytes()[..]));
    let (header, body) = asked(&mut engine, message::GETSPDINFO, &[0; 4]);
    assert_eq!(header.kind, message::NEWSPDINFO);
    let found = Attributes::parse(&body[4..]).unwrap();
    let counts = [0u32, 1, 0, 0, 0, 0].map(u32::to_ne_bytes).concat();
    assert_eq!(found.get(1), Some(&counts[..]));
}

#[test]
fn a_tunnel_moves_with_its_sas() {
    let mut engine = subscribed(group::SA | group::POLICY | group::MIGRATE);
    let (old, new) = (protected(None), IpAddr::from([203, 0, 113, 99]));
    let migration = Migration {
        protocol: Protocol::Esp,
        mode: Mode::Tunnel,
        reqid: 0,
        old: (old.source, old.destination),
        new: (old.source, new),
    };
    let everywhere = Prefix::any(true);
    let params = PolicyParams {
        index: 17,
        ..protecting(PolicyDirection::Out, everywhere, everywhere)
    };
    let body = |migration: &Migration| {
        let mut body = Vec::new();
        put_policy_id(&mut body, &params);
        put_migrations(&mut body, std::slice::from_ref(migration));
        body
    };
    assert_eq!(
        engine.ask(message::MIGRATE, &body(&migration)),
        libc::ENOENT
    );
    let mut written = Vec::new();
    put_policy(
        &mut written,
        &Policy::new(params.clone(), 0, 1),
        &Clock::start(),
    );
    assert_eq!(engine.ask(message::NEWPOLICY, &written), 0);
    assert_eq!(
        engine.ask_past_notices(message::NEWSA, &entry(old.clone())),
        0
    );
    let elsewhere = Migration {
        old: (new, new),
        ..migration
    };
    assert_eq!(
        engine.ask_past_notices(message::MIGRATE, &body(&elsewhere)),
        libc::ESRCH
    );
    engine.send(message::MIGRATE, 0, &body(&migration));
    let wanted = [
        message::DELSA,
        message::NEWSA,
        message::UPDPOLICY,
        message::MIGRATE,
    ];
    let mut told = Vec::new();
    while told.len() < wanted.len() {
        told.extend(engine.receive().into_iter().map(|(header, _)| header.kind));
    }
    assert_eq!(told, wanted);
    let moved = SaParams {
        destination: new,
        ..old.clone()
    };
    let (header, _) = asked(&mut engine, message::GETSA, &id_of(&moved));
    assert_eq!(header.kind, message::NEWSA);
    assert_eq!(engine.ask(message::GETSA, &id_of(&old)), libc::ESRCH);
}

/// Four templates; the third is the one whose SA is not there.
#[test]
fn an_acquire_names_the_template_and_its_ends() {
    let engine = subscribed(group::ACQUIRE);
    let template =
        protecting(PolicyDirection::Out, Prefix::any(true), Prefix::any(true)).templates[0];
    let transport = Template {
        mode: Mode::Transport,
        protocol: Protocol::Ah,
        ..template
    };
    let params = PolicyParams {
        templates: vec![template, template, transport, template],
        index: 17,
        ..protecting(PolicyDirection::Out, Prefix::any(true), Prefix::any(true))
    };
    let need = Need {
        policy: Arc::new(Policy::new(params, 1, 1)),
        template: 2,
        source: OURS.into(),
        destination: THEIRS.into(),
    };
    let packet = Selector::new(Prefix::host(OURS.into()), Prefix::host(THEIRS.into())).unwrap();
    assert!(
        engine
            .shared
            .notify(Notice::Acquire(Arc::new(need), packet))
    );
    let (header, body) = engine.receive().remove(0);
    assert_eq!((header.kind, body[20]), (message::ACQUIRE, 51));
    assert_eq!((&body[..4], &body[24..28]), (&THEIRS[..], &OURS[..]));
    let found = Attributes::parse(&body[280..]).unwrap();
    assert_eq!(found.get(5).unwrap().len(), 4 * 64);
    assert_eq!(found.get(0x4005), Some(&2u32.to_ne_bytes()[..]));
}

#[test]
fn a_new_mapping_and_a_path_are_told_and_dumped() {
    let mut engine = subscribed(group::MAPPING | group::PATH_MTU);
    let sa = Database::new().add_sa(protected(None), 1).unwrap();
    let remote = "198.51.100.7:40000".parse().unwrap();
    assert!(engine.shared.notify(Notice::Mapping(sa, remote)));
    let (header, body) = engine.receive().remove(0);
    assert_eq!((header.kind, body.len()), (message::MAPPING, 64));
    assert_eq!(
        (&body[44..48], &body[62..]),
        (&[198, 51, 100, 7][..], &40_000u16.to_be_bytes()[..])
    );
    engine.shared.learn_path_mtu(THEIRS.into(), 1_400);
    engine.shared.learn_path_mtu(THEIRS.into(), 1_400);
    let (header, told) = engine.receive().remove(0);
    assert_eq!(header.kind, family::PATH_MTU);
    let rows = engine.dump(family::GETPATHMTU);
    assert_eq!((rows.len(), &rows[0].1), (2, &told));
}

/// NEWAE that says how many packets an SA has carried.
fn has_carried(params: &SaParams, packets: u64) -> Vec<u8> {
    let mut body = id_of(params);
    body.put(&[0; 24]);
    let mut usage = Vec::new();
    for number in [0, packets, 0, 0] {
        usage.put_u64(number);
    }
    put_attribute(&mut body, 9, &usage);
    body
}

#[test]
fn packets_that_leave_without_an_answer_are_told() {
    let mut engine = subscribed(group::SILENCE);
    let params = |direction, spi| SaParams {
        direction: Some(direction),
        reqid: 9,
        spi,
        ..protected(None)
    };
    let (inbound, outbound) = (params(Direction::In, SPI), params(Direction::Out, SPI + 1));
    for one in [&inbound, &outbound] {
        assert_eq!(engine.ask(message::NEWSA, &entry(one.clone())), 0);
    }
    let mut carried = 0;
    let told = loop {
        carried += 1;
        engine.send(
            message::NEWAE,
            netlink::REPLACE,
            &has_carried(&outbound, carried),
        );
        if poll::wait_readable(&[engine.client.as_fd()], Some(100)).unwrap()[0] {
            break engine.receive().remove(0);
        }
    };
    let (header, told) = told;
    assert_eq!(header.kind, family::SILENCE);
    let found = Attributes::parse(&told).unwrap();
    assert_eq!(found.get(attribute::SA).unwrap(), id_of(&inbound));
    assert_eq!(found.get(attribute::FLAGS), Some(&1u32.to_ne_bytes()[..]));
}

#[test]
fn a_packet_for_an_unknown_spi_is_told() {
    let engine = subscribed(group::UNKNOWN_SPI);
    let stray = Stray {
        local: "198.51.100.1:4500".parse().unwrap(),
        remote: "203.0.113.7:40000".parse().unwrap(),
        protocol: Protocol::Esp,
        spi: 0x1234_5678,
    };
    assert!(engine.shared.notify(Notice::Stray(stray)));
    let (header, body) = engine.receive().remove(0);
    assert_eq!(header.kind, family::UNKNOWN_SPI);
    let found = Attributes::parse(&body).unwrap();
    assert_eq!(found.get(15), Some(&[0x12, 0x34, 0x56, 0x78][..]));
    assert_eq!(found.get(16), Some(&50u32.to_ne_bytes()[..]));
    assert_eq!(
        (found.get(2).unwrap().len(), found.get(3).unwrap().len()),
        (24, 24)
    );
}

#[test]
fn dropped_packets_are_told_while_somebody_wants_to_see_some() {
    let mut engine = subscribed(group::DROPPED);
    let sample = Sample {
        reason: Drop::NoPolicy,
        inbound: false,
        source: "192.168.1.2:443".parse().unwrap(),
        destination: "192.168.2.2:40000".parse().unwrap(),
        protocol: 6,
        spi: 0,
        octets: 1_500,
    };
    let mut told = 0;
    engine.shared.sample(0, || {
        told += 1;
        Some(sample)
    });
    engine.shared.sample(1, || panic!("too soon"));
    let (header, body) = engine.receive().remove(0);
    assert_eq!((header.kind, told), (family::DROPPED, 1));
    let found = Attributes::parse(&body).unwrap();
    let reason = Drop::NoPolicy as u32;
    assert_eq!(found.get(18), Some(&reason.to_ne_bytes()[..]));
    assert_eq!(found.get(13), Some(&0u32.to_ne_bytes()[..]));
    assert_eq!(found.get(21), Some(&1_500u32.to_ne_bytes()[..]));
    let others = attributes(&[(attribute::GROUPS, &group::EXPIRE.to_ne_bytes())]);
    assert_eq!(engine.ask(family::SUBSCRIBE, &others), 0);
    engine.shared.notify(Notice::Dropped(sample));
    assert_eq!(engine.ask(family::BARRIER, &[]), 0);
    engine
        .shared
        .sample(u64::MAX / 2, || panic!("nobody wants any"));
}

#[test]
fn a_policy_with_a_lifetime_ends() {
    let mut engine = subscribed(group::EXPIRE | group::POLICY);
    let mut params = protecting(PolicyDirection::Out, Prefix::any(true), Prefix::any(true));
    params.lifetimes = Lifetimes {
        hard_use_s: 1,
        ..Lifetimes::NONE
    };
    let mut body = Vec::new();
    put_policy(&mut body, &Policy::new(params, 0, 1), &Clock::start());
    engine.send(message::NEWPOLICY, 0, &body);
    let mut told = Vec::new();
    while told.len() < 3 {
        told.extend(engine.receive());
    }
    let kinds: Vec<u16> = told.iter().map(|(header, _)| header.kind).collect();
    let wanted = [message::NEWPOLICY, message::POLEXPIRE, message::DELPOLICY];
    assert_eq!((kinds, told[1].1[168]), (wanted.to_vec(), 1));
}

#[test]
fn a_large_batch_is_told_as_one() {
    let mut engine = subscribed(group::POLICY);
    assert_eq!(engine.ask(family::BATCH_BEGIN, &[]), 0);
    for number in 0..=MAX_TOLD_OF_BATCH as u16 {
        assert_eq!(engine.ask(message::NEWPOLICY, &policy(number)), 0);
    }
    assert_eq!(engine.ask(family::BATCH_COMMIT, &[]), 0);
    let (header, _) = engine.receive().remove(0);
    assert!(header.kind == message::FLUSHPOLICY && header.has(DUMP_INTR));
    let count = engine.dump(message::GETPOLICY).len();
    assert_eq!(count, MAX_TOLD_OF_BATCH + 2);
}

#[test]
fn links_are_made_dumped_and_removed() {
    let mut engine = Engine::start();
    let set = |name: &[u8], flags: u32| {
        let mut body = attributes(&[
            (attribute::NAME, name),
            (attribute::FLAGS, &flags.to_ne_bytes()),
        ]);
        put_endpoint(&mut body, attribute::LOCAL, (OURS, 0).into());
        put_endpoint(&mut body, attribute::REMOTE, (THEIRS, 0).into());
        body
    };
    assert_eq!(
        engine.ask(family::GIF_SET, &set(b"culvert0", 0)),
        libc::EEXIST
    );
    assert_eq!(engine.ask(family::GIF_SET, &set(b"gif0", 1)), 0);
    assert_eq!(engine.ask(family::GIF_SET, &set(b"gif1", 1)), libc::EEXIST);
    let rows = engine.dump(family::GIF_GET);
    assert_eq!((rows.len(), rows[0].0.kind), (2, family::GIF_SET));
    let name = attributes(&[(attribute::NAME, b"gif0")]);
    assert_eq!(engine.ask(family::GIF_DELETE, &name), 0);
    assert_eq!(engine.ask(family::GIF_DELETE, &name), libc::ENOENT);
}

#[test]
fn what_would_mean_something_else_is_refused_by_name() {
    let mut engine = Engine::start();
    for (kind, value) in [
        (21u16, &[1u8, 0, 0, 0, 1, 0, 0, 0][..]),
        (31, &[1, 0, 0, 0]),
    ] {
        for (message, mut body) in [
            (message::NEWSA, entry(protected(None))),
            (message::NEWPOLICY, policy(1)),
        ] {
            put_attribute(&mut body, kind, value);
            assert_eq!(engine.ask(message, &body), libc::EOPNOTSUPP);
        }
    }
}

/// Thousands of requests one by one, while a packet thread looks at every snapshot: few are made, and a barrier gets its own.
#[test]
fn snapshots_are_made_once_a_burst_and_before_a_barrier() {
    let mut engine = Engine::start();
    let stop = Arc::new(AtomicBool::new(false));
    let mut reader = engine.shared.published.reader();
    let seen = std::thread::spawn({
        let stop = Arc::clone(&stop);
        move || {
            let mut newest = 0;
            while !stop.load(Ordering::SeqCst) {
                newest = reader.enter().number();
                reader.leave();
                std::thread::yield_now();
            }
            newest
        }
    });
    for number in 0..3_000 {
        assert_eq!(engine.ask(message::NEWPOLICY, &policy(number)), 0);
    }
    assert_eq!(engine.ask(family::BARRIER, &[]), 0);
    let met = engine.shared.published.reader().enter();
    let last = policy(2_999);
    let prefix = Prefix::new([last[0], last[1], last[2], 0].into(), 24).unwrap();
    let packet = Headers::parse(&packet_to(prefix.address())).unwrap();
    assert!(met.outbound(&packet).policy().is_some());
    stop.store(true, Ordering::SeqCst);
    let made = seen.join().unwrap();
    assert!(made < 3_000, "{made} snapshots");
}

fn packet_to(destination: IpAddr) -> Vec<u8> {
    let IpAddr::V4(destination) = destination else {
        panic!()
    };
    let mut packet = vec![0x45, 0, 0, 20, 0, 1, 0, 0, 64, 17, 0, 0, 10, 1, 0, 9];
    packet.extend(destination.octets());
    packet
}

/// By hand: `cargo test --release -p culvert-engined -- --ignored --nocapture hundred`. It prints how long it took.
#[test]
#[ignore = "a measurement"]
fn a_hundred_thousand_policies_are_loaded() {
    const COUNT: u32 = 100_000;
    let mut engine = subscribed(group::POLICY);
    let start = std::time::Instant::now();
    assert_eq!(engine.ask(family::BATCH_BEGIN, &[]), 0);
    let mut datagram = Vec::new();
    for number in 0..COUNT {
        let [_, first, second, third] = number.to_be_bytes();
        let mut body = policy(1);
        body[..4].copy_from_slice(&[10, first, second, third]);
        body[42] = 32;
        let header = Header {
            kind: message::NEWPOLICY,
            flags: REQUEST,
            ..Header::default()
        };
        put_message(&mut datagram, header, |out| out.extend_from_slice(&body));
        if datagram.len() > DATAGRAM_OCTETS - 512 || number == COUNT - 1 {
            while engine.client.send(&datagram).is_err() {
                std::thread::yield_now();
            }
            datagram.clear();
        }
    }
    assert_eq!(engine.ask_past_notices(family::BATCH_COMMIT, &[]), 0);
    println!("committed after {:?}", start.elapsed());
    assert_eq!(engine.ask_past_notices(family::BARRIER, &[]), 0);
    println!("met by packets after {:?}", start.elapsed());
    assert_eq!(engine.dump(message::GETPOLICY).len(), COUNT as usize + 1);
    println!("dumped after {:?}", start.elapsed());
}
