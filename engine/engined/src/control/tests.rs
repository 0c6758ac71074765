//! Conversations with a control thread over devices in memory.

use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;

use netio::memory::{MemoryDatagrams, MemoryTun};
use packet::ip::Headers;
use packet::sa::{Lifetimes, SaParams};
use packet::sad::SaEntry;
use packet::selector::{Prefix, Selector};
use packet::spd::{Policy, PolicyDirection};
use proptest::prelude::*;
use zeroize::Zeroizing;

use super::*;
use crate::clock::Clock;
use crate::family::{attribute, group, message as family, put_endpoint};
use crate::gif::memory::MemoryGifs;
use crate::limits::MAX_ANSWER_OCTETS;
use crate::netlink::{
    ACK, Attributes, DATAGRAM_OCTETS, DONE, DUMP, DUMP_INTR, ERROR, Header, REQUEST, put_attribute,
    put_message,
};
use crate::shared::{Devices, IkeMessage, Notice, PerFamily};
use crate::testing::{protected, protecting};
use crate::xfrm::structures::put_sa_id;
use crate::xfrm::{message, policy::put_policy, sa_state::put_entry};

mod messages;

static ENGINES: AtomicU32 = AtomicU32::new(0);

/// A control thread and a connection to it.
struct Engine {
    shared: Arc<Shared>,
    ike: Arc<MemoryDatagrams>,
    client: Connection,
    path: PathBuf,
    thread: Option<JoinHandle<()>>,
    sequence: u32,
}

fn control(listener: Listener) -> (Arc<Shared>, Arc<MemoryDatagrams>, Control) {
    let ike = Arc::new(MemoryDatagrams::new().unwrap());
    let socket: crate::shared::Socket = ike.clone();
    let both = PerFamily {
        v4: Some(socket),
        v6: None,
    };
    let tun = Arc::new(MemoryTun::new().unwrap());
    let devices = Devices {
        ike: both.clone(),
        nat_t: both.clone(),
        esp: both,
        ..crate::testing::devices(tun)
    };
    let shared = Arc::new(Shared::with_gifs(devices, Box::new(MemoryGifs::default())).unwrap());
    let signalled: &'static Event = Box::leak(Box::new(Event::new().unwrap()));
    let identity = Identity {
        tun_name: "culvert0".into(),
        mark: 67,
        offloads: String::new(),
    };
    let control = Control::new(Arc::clone(&shared), listener, signalled, identity);
    (shared, ike, control)
}

fn socket_path() -> PathBuf {
    let number = ENGINES.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("culvert-control-{}-{number}", std::process::id()))
}

impl Engine {
    fn start() -> Self {
        let path = socket_path();
        let (shared, ike, mut control) = control(Listener::bind(&path).unwrap());
        let thread = Some(std::thread::spawn(move || control.run()));
        let client = Connection::connect(&path).unwrap();
        Self {
            shared,
            ike,
            client,
            path,
            thread,
            sequence: 0,
        }
    }

    fn send(&mut self, kind: u16, flags: u16, body: &[u8]) {
        self.sequence += 1;
        let header = Header {
            kind,
            flags: REQUEST | flags,
            sequence: self.sequence,
            port: 0,
        };
        self.client
            .send(&netlink::message(header, |out| out.extend_from_slice(body)))
            .unwrap();
    }

    fn receive(&self) -> Vec<(Header, Vec<u8>)> {
        receive(&self.client)
    }

    /// The errno that a request is answered with.
    fn ask(&mut self, kind: u16, body: &[u8]) -> i32 {
        self.send(kind, ACK, body);
        let (header, payload) = self.receive().remove(0);
        assert_eq!((header.kind, header.sequence), (ERROR, self.sequence));
        -i32::from_ne_bytes(payload[..4].try_into().unwrap())
    }

    /// The same, where notifications may come before it.
    fn ask_past_notices(&mut self, kind: u16, body: &[u8]) -> i32 {
        self.send(kind, ACK, body);
        loop {
            let (header, payload) = self.receive().remove(0);
            if header.kind == ERROR {
                return -i32::from_ne_bytes(payload[..4].try_into().unwrap());
            }
        }
    }

    fn dump(&mut self, kind: u16) -> Vec<(Header, Vec<u8>)> {
        self.send(kind, DUMP, &[]);
        let mut all = Vec::new();
        while all
            .last()
            .is_none_or(|(header, _): &(Header, _)| header.kind != DONE)
        {
            all.extend(self.receive());
        }
        all
    }
}

impl std::ops::Drop for Engine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        assert_eq!(self.ask(family::SHUTDOWN, &[]), 0);
        self.thread.take().unwrap().join().unwrap();
        std::fs::remove_file(&self.path).unwrap();
    }
}

fn receive(client: &Connection) -> Vec<(Header, Vec<u8>)> {
    let ready = poll::wait_readable(&[client.as_fd()], Some(5_000)).unwrap();
    assert!(ready[0], "the engine does not answer");
    let mut buffer = vec![0; DATAGRAM_OCTETS];
    let octets = client.receive(&mut buffer).unwrap();
    let mut rest = &buffer[..octets];
    let mut all = Vec::new();
    while let Some(Ok(message)) = netlink::split(rest) {
        all.push((message.header, message.payload.to_vec()));
        rest = message.rest;
    }
    all
}

fn policy(number: u16) -> Vec<u8> {
    let [second, third] = number.to_be_bytes();
    let prefix = |second, third| Prefix::new([10, second, third, 0].into(), 24).unwrap();
    let params = protecting(
        PolicyDirection::Out,
        prefix(1, 0),
        prefix(100 + second, third),
    );
    let mut body = Vec::new();
    put_policy(&mut body, &Policy::new(params, 0, 1), &Clock::start());
    body
}

fn attributes(all: &[(u16, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    all.iter()
        .for_each(|(kind, value)| put_attribute(&mut body, *kind, value));
    body
}

#[test]
fn a_batch_is_one_snapshot_or_none() {
    let mut engine = Engine::start();
    assert_eq!(engine.ask(family::BATCH_COMMIT, &[]), libc::EINVAL);
    assert_eq!(engine.ask(family::BATCH_BEGIN, &[]), 0);
    assert_eq!(engine.ask(message::NEWPOLICY, &policy(1)), 0);
    assert_eq!(engine.ask(message::NEWPOLICY, &policy(1)), libc::EEXIST);
    assert_eq!(engine.ask(family::BATCH_COMMIT, &[]), libc::ECANCELED);
    assert_eq!(engine.dump(message::GETPOLICY).len(), 1);
    assert_eq!(engine.ask(family::BATCH_BEGIN, &[]), 0);
    assert_eq!(engine.ask(message::NEWPOLICY, &policy(1)), 0);
    assert_eq!(engine.ask(message::NEWPOLICY, &policy(2)), 0);
    assert_eq!(engine.dump(message::GETPOLICY).len(), 1);
    assert_eq!(engine.ask(family::BATCH_COMMIT, &[]), 0);
    assert_eq!(engine.dump(message::GETPOLICY).len(), 3);
}

#[test]
fn a_barrier_waits_for_the_packets_under_way_and_keeps_the_order() {
    let mut engine = Engine::start();
    let mut reader = engine.shared.published.reader();
    drop(reader.enter());
    assert_eq!(engine.ask(message::NEWPOLICY, &policy(1)), 0);
    engine.send(family::BARRIER, ACK, &[]);
    let barrier = engine.sequence;
    engine.send(family::GETCOUNTERS, 0, &[]);
    assert!(!poll::wait_readable(&[engine.client.as_fd()], Some(50)).unwrap()[0]);
    reader.leave();
    let (header, _) = engine.receive().remove(0);
    assert_eq!((header.kind, header.sequence), (ERROR, barrier));
    assert_eq!(engine.receive().remove(0).0.kind, family::GETCOUNTERS);
}

#[test]
fn a_dump_is_of_one_moment_and_says_when_the_table_moved_on() {
    let mut engine = Engine::start();
    // Far more than the socket holds while nobody reads.
    for number in 0..2_000 {
        assert_eq!(engine.ask(message::NEWPOLICY, &policy(number)), 0);
    }
    let rows = engine.dump(message::GETPOLICY);
    assert_eq!(rows.len(), 2_001);
    assert!(rows.iter().all(|(header, _)| !header.has(DUMP_INTR)));
    engine.send(message::GETPOLICY, DUMP, &[]);
    assert!(poll::wait_readable(&[engine.client.as_fd()], Some(5_000)).unwrap()[0]);
    let mut reader = Connection::connect(&engine.path).unwrap();
    std::mem::swap(&mut engine.client, &mut reader);
    assert_eq!(engine.ask(message::FLUSHPOLICY, &[]), 0);
    let mut rows = Vec::new();
    while rows
        .last()
        .is_none_or(|(header, _): &(Header, _)| header.kind != DONE)
    {
        rows.extend(receive(&reader));
    }
    assert_eq!(rows.len(), 2_001);
    let first = rows.iter().position(|(header, _)| header.has(DUMP_INTR));
    assert!(first.is_some_and(|first| first > 0));
    assert!(rows.last().unwrap().0.has(DUMP_INTR));
}

#[test]
fn the_largest_rows_fit_the_datagrams_of_a_dump() {
    let mut engine = Engine::start();
    let host = |last: u8| Prefix::host([10, 0, 0, last].into());
    let selectors = (0..=255).map(|last| Selector::new(host(last), host(1)).unwrap());
    let largest = SaParams {
        replay_window: 65_536,
        selectors: selectors.collect(),
        ..protected(None)
    };
    for number in 0..20u8 {
        let mut params = largest.clone();
        params.spi += u32::from(number);
        // Larger and smaller ones by turns.
        params
            .selectors
            .truncate(if number % 3 == 0 { 256 } else { 1 });
        let sa = Database::new().add_sa(params, 1).unwrap();
        let mut body = Vec::new();
        put_entry(&mut body, &SaEntry::Valid(sa), true, &Clock::start());
        assert_eq!(engine.ask(message::NEWSA, &body), 0);
    }
    let rows = engine.dump(message::GETSA);
    assert_eq!(rows.len(), 21);
    let spis = rows[..20].iter().map(|(_, body)| body[72..76].to_vec());
    assert!(spis.is_sorted_by(|first, second| first < second));
}

#[test]
fn an_sa_that_reaches_its_limit_is_told_and_gone() {
    let mut engine = Engine::start();
    let groups = group::EXPIRE | group::SA;
    let wanted = attributes(&[(attribute::GROUPS, &groups.to_ne_bytes())]);
    assert_eq!(engine.ask(family::SUBSCRIBE, &wanted), 0);
    let params = SaParams {
        lifetimes: Lifetimes {
            hard_add_s: 1,
            ..Lifetimes::NONE
        },
        ..protected(None)
    };
    let sa = Database::new().add_sa(params, 1).unwrap();
    let mut body = Vec::new();
    put_entry(&mut body, &SaEntry::Valid(sa), true, &Clock::start());
    engine.send(message::NEWSA, 0, &body);
    let mut told = Vec::new();
    while told.len() < 3 {
        told.extend(engine.receive());
    }
    let kinds: Vec<u16> = told.iter().map(|(header, _)| header.kind).collect();
    assert_eq!(kinds, [message::NEWSA, message::EXPIRE, message::DELSA]);
    assert!(
        !told[0].1.windows(36).any(|window| window == [3; 36]),
        "a notification carries keys"
    );
    assert_eq!(told[1].1.len(), 232);
    assert_eq!(told[1].1[224], 1);
    assert_eq!(engine.dump(message::GETSA).len(), 1);
}

#[test]
fn ike_is_kept_until_somebody_subscribes_and_goes_out_with_its_marker() {
    let mut engine = Engine::start();
    let (local, remote) = (
        "192.0.2.1:4500".parse().unwrap(),
        "192.0.2.2:4500".parse().unwrap(),
    );
    let octets = vec![7; 40];
    assert!(engine.shared.notify(Notice::Ike(IkeMessage {
        local,
        remote,
        octets: octets.clone()
    })));
    assert_eq!(engine.ask(message::GETSA, &[]), libc::EINVAL);
    engine.send(
        family::SUBSCRIBE,
        0,
        &attributes(&[(attribute::GROUPS, &group::IKE.to_ne_bytes())]),
    );
    let (header, mut body) = engine.receive().remove(0);
    assert_eq!((header.kind, header.sequence), (family::IKE_RECEIVED, 0));
    assert!(body.windows(40).any(|window| window == octets));
    assert_eq!(engine.ask(family::IKE_SEND, &body), 0);
    assert_eq!(
        engine.ike.take().unwrap().octets,
        [&[0; 4][..], &octets].concat()
    );
    body.clear();
    put_endpoint(&mut body, attribute::LOCAL, local);
    put_endpoint(&mut body, attribute::REMOTE, remote);
    put_attribute(&mut body, attribute::DATA, &[0xff]);
    assert_eq!(engine.ask(family::IKE_SEND, &body), 0);
    assert_eq!(engine.ike.take().unwrap().octets, [0xff]);
}

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

#[test]
fn many_messages_in_one_datagram_are_answered_in_order() {
    let engine = Engine::start();
    let mut datagram = Vec::new();
    for sequence in 1..=1_000 {
        let header = Header {
            kind: family::GETINFO,
            flags: REQUEST,
            sequence,
            port: 0,
        };
        put_message(&mut datagram, header, |_| ());
    }
    engine.client.send(&datagram).unwrap();
    let answered: Vec<u32> = (1..=1_000)
        .map(|_| engine.receive().remove(0).0.sequence)
        .collect();
    assert!(answered.is_sorted() && answered.len() == 1_000);
}

#[test]
fn short_requests_for_long_answers_are_bounded_and_all_answered() {
    let path = socket_path();
    let (_, _, mut control) = control(Listener::bind(&path).unwrap());
    control.database.add_sa(protected(None), 1).unwrap();
    let mut id = Vec::new();
    put_sa_id(&mut id, protected(None).id());
    let (header, mut requests) = (
        Header {
            kind: message::GETSA,
            flags: REQUEST,
            ..Header::default()
        },
        Vec::new(),
    );
    (0..200).for_each(|_| put_message(&mut requests, header, |body| body.extend(&id)));
    let (ours, theirs) = Connection::pair().unwrap();
    let mut client = Client::new(ours, false);
    client.put_back(Zeroizing::new(requests), 0);
    let mut answers = 0;
    while client.has_requests() {
        control.handle_requests(&mut client);
        let mut waiting = 0;
        while client.wants_to_write_answers() {
            client.flush();
            waiting += 1;
            receive(&theirs);
        }
        assert!(waiting <= MAX_ANSWER_OCTETS / DATAGRAM_OCTETS);
        answers += waiting;
        while poll::wait_readable(&[theirs.as_fd()], Some(0)).unwrap()[0] {
            receive(&theirs);
            answers += 1;
        }
    }
    assert_eq!(answers, 200);
    std::fs::remove_file(path).unwrap();
}

#[test]
fn who_may_only_look_cannot_keep_the_daemon_out() {
    let path = socket_path();
    let (_, _, mut control) = control(Listener::bind(&path).unwrap());
    for privileged in [vec![false; MAX_CLIENTS], vec![true]].concat() {
        control.admit(Connection::pair().unwrap().0, privileged);
    }
    assert_eq!(control.clients.len(), MAX_ONLOOKERS + 1);
    std::fs::remove_file(path).unwrap();
}

#[test]
fn who_is_not_privileged_may_count_and_no_more() {
    let path = socket_path();
    let (_, _, mut control) = control(Listener::bind(&path).unwrap());
    let (ours, theirs) = Connection::pair().unwrap();
    let mut client = Client::new(ours, false);
    let mut ask = |kind, flags| {
        let header = Header {
            kind,
            flags: REQUEST | flags,
            sequence: 1,
            port: 0,
        };
        control.request(&mut client, header, &[]);
        control.conclude_pending(&mut client);
        client.flush();
        receive(&theirs).remove(0)
    };
    assert_eq!(ask(family::GETCOUNTERS, 0).0.kind, family::GETCOUNTERS);
    assert_eq!(ask(message::GETSA, DUMP).0.kind, DONE);
    for kind in [
        message::FLUSHSA,
        message::NEWPOLICY,
        family::SUBSCRIBE,
        family::SHUTDOWN,
        family::IKE_SEND,
        family::BLOB_PUT,
        family::BLOB_PART,
        family::BLOB_DELETE,
    ] {
        assert_eq!(ask(kind, 0).1[..4], (-libc::EPERM).to_ne_bytes());
    }
    assert_eq!(
        ask(family::BLOB_GET, DUMP).1[..4],
        (-libc::EPERM).to_ne_bytes()
    );
    std::fs::remove_file(path).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_octets_are_answered_or_ignored_and_the_engine_lives(
        datagrams in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..300), 1..10),
        kinds in proptest::collection::vec(prop_oneof![0u16..0x20, 0x400u16..0x434], 1..10),
    ) {
        let mut engine = Engine::start();
        for (index, datagram) in datagrams.iter().enumerate() {
            engine.client.send(datagram).unwrap();
            if let Some(kind) = kinds.get(index) {
                engine.send(*kind, ACK, datagram);
            }
        }
        // A client that sent such things may have answers, even overruns, before it; another has not.
        engine.client = Connection::connect(&engine.path).unwrap();
        prop_assert_eq!(engine.ask(family::GETINFO, &[1]), libc::EINVAL);
    }
}
