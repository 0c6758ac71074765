//! Nanoseconds for each look-up and milliseconds for each new snapshot, by the number of policies each way and of SAs:
//! `cargo run --release --example lookup_rate`.
//!
//! `flow`: packets of 256 flows, as the packet threads look them up. `new flow`: each packet a flow that was not seen before,
//! by templates with reqid; `without reqid`: by templates as `setkey` writes them. `in`: what arrives. `snapshot`: after a
//! policy was written; `after an SA`: after an SA was added.

use std::hint::black_box;
use std::net::IpAddr;
use std::time::Instant;

use packet::algorithm::{Aead, Transform};
use packet::bundle::Step;
use packet::database::Database;
use packet::flow::FlowCache;
use packet::ip::{Fragment, Headers};
use packet::sa::{Direction, Lifetimes, Mode, Protocol, SaParams};
use packet::secret::Secret;
use packet::selector::{Prefix, Selector};
use packet::snapshot::{Outbound, Snapshot};
use packet::spd::{Action, PolicyDirection, PolicyParams, Template};

const FLOWS: u32 = 256;
const PACKETS: u32 = 50_000;
const ROUNDS: u32 = 15;

fn main() {
    println!(
        "policies     SAs   flow ns   new flow ns   without reqid ns   in ns   snapshot ms   after an SA ms"
    );
    for (policies, sas) in [
        (10, 10),
        (10, 10_000),
        (10_000, 10),
        (10_000, 10_000),
        (65_000, 30_000),
    ] {
        measure(policies, sas);
    }
}

fn measure(policies: u32, sas: u32) {
    let (mut with, mut without) = (
        database(policies, sas, true),
        database(policies, sas, false),
    );
    let (snapshot, built_ms) = timed_ms(|| with.snapshot());
    let flow_ns = known_flows_ns(&snapshot, policies);
    let new_ns = new_flows_ns(&snapshot, policies);
    let without_ns = new_flows_ns(&without.snapshot(), policies);
    let inward_ns = inward_ns(&snapshot, policies);
    with.add_sa(sa(sas, true), 1).expect("an SA");
    let (_, again_ms) = timed_ms(|| with.snapshot());
    println!(
        "{policies:8} {sas:7}   {flow_ns:7.0}   {new_ns:11.0}   {without_ns:16.0}   {inward_ns:5.0}   {built_ms:11.1}   \
         {again_ms:14.1}"
    );
}

/// Policies each way, every one for a peer that has an SA; with more policies than SAs, several for each.
fn database(policies: u32, sas: u32, reqids: bool) -> Database {
    let mut database = Database::new();
    for number in 0..policies {
        for direction in [PolicyDirection::Out, PolicyDirection::In] {
            database
                .add_policy(policy(direction, number, sas, reqids), 1)
                .expect("a policy");
        }
    }
    for number in 0..sas {
        database.add_sa(sa(number, reqids), 1).expect("an SA");
    }
    database
}

fn known_flows_ns(snapshot: &Snapshot, policies: u32) -> f64 {
    let mut flows = FlowCache::new();
    let mut look_up = |number: u32| {
        let headers = headers(number % FLOWS % policies, (number % FLOWS) as u16);
        let outbound = black_box(flows.outbound(snapshot, &headers, 1));
        assert!(matches!(outbound, Outbound::Protect(_)));
    };
    (0..FLOWS).for_each(&mut look_up);
    each_ns(look_up)
}

fn new_flows_ns(snapshot: &Snapshot, policies: u32) -> f64 {
    each_ns(|number| {
        let outbound = snapshot.outbound(&headers(number % policies, number as u16));
        assert!(matches!(black_box(outbound), Outbound::Protect(_)));
    })
}

fn inward_ns(snapshot: &Snapshot, policies: u32) -> f64 {
    let Outbound::Protect(bundle) = snapshot.outbound(&headers(0, 0)) else {
        panic!("no SA")
    };
    let sa = bundle.single_tunnel().expect("one tunnel");
    let path = [Step::opened(sa, 4)];
    each_ns(|number| {
        let headers = headers(number % policies, number as u16);
        let _ = black_box(snapshot.accept(&path, &headers, true));
    })
}

/// The best of some rounds: on a busy host the others tell of its other work.
fn each_ns(mut work: impl FnMut(u32)) -> f64 {
    let rounds = (0..ROUNDS).map(|_| timed_ms(|| (0..PACKETS).for_each(&mut work)).1);
    rounds.fold(f64::INFINITY, f64::min) * 1e6 / f64::from(PACKETS)
}

fn timed_ms<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let value = work();
    (value, start.elapsed().as_secs_f64() * 1e3)
}

/// 10.x.y.0/24 to 192.168.0.0/16, protected by the SA of the number.
fn policy(direction: PolicyDirection, number: u32, sas: u32, reqids: bool) -> PolicyParams {
    let source = Prefix::new(network(number, 0), 24).expect("a prefix");
    let destination = Prefix::new([192, 168, 0, 0].into(), 16).expect("a prefix");
    let template = Template {
        source: [203, 0, 113, 1].into(),
        destination: peer(number % sas),
        spi: 0,
        reqid: if reqids { number % sas + 1 } else { 0 },
        protocol: Protocol::Esp,
        mode: Mode::Tunnel,
        optional: false,
    };
    PolicyParams {
        direction,
        selector: Selector::new(source, destination).expect("one family"),
        action: Action::Allow,
        priority: 300,
        index: 0,
        flags: 0,
        templates: vec![template],
        lifetimes: Lifetimes::NONE,
    }
}

fn sa(number: u32, reqids: bool) -> SaParams {
    let mut key = [0; 20];
    key[..4].copy_from_slice(&number.to_be_bytes());
    SaParams {
        source: [203, 0, 113, 1].into(),
        destination: peer(number),
        spi: 0x1000 + number,
        protocol: Protocol::Esp,
        reqid: if reqids { number + 1 } else { 0 },
        mode: Mode::Tunnel,
        transform: Transform::Aead {
            algorithm: Aead::AesGcm,
            icv_octets: 16,
            key: Secret::new(&key),
        },
        direction: Some(Direction::Out),
        encap: None,
        replay_window: 0,
        flags: 0,
        extra_flags: 0,
        tfc_padding: 0,
        legacy: false,
        lifetimes: Lifetimes::NONE,
        selectors: vec![],
    }
}

fn headers(number: u32, port: u16) -> Headers {
    Headers {
        source: network(number, 7),
        destination: [192, 168, 3, 4].into(),
        protocol: 17,
        ports: Some((port, 53)),
        fragment: Fragment::Whole,
        tos: 0,
        hop_limit: 64,
        transport: 20,
        length: 40,
    }
}

fn network(number: u32, host: u8) -> IpAddr {
    [10, (number >> 8) as u8, number as u8, host].into()
}

fn peer(number: u32) -> IpAddr {
    [198, 18, (number >> 8) as u8, number as u8].into()
}
