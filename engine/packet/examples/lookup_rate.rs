//! Nanoseconds for each look-up, each packet a flow that was not seen before, and microseconds for each new snapshot, by the
//! number of policies: `cargo run --release --example lookup_rate`.

use std::hint::black_box;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use packet::algorithm::{Aead, Transform};
use packet::bundle::Step;
use packet::database::Database;
use packet::ip::{Fragment, Headers};
use packet::sa::{Direction, Lifetimes, Mode, Protocol, Sa, SaParams};
use packet::secret::Secret;
use packet::selector::{Prefix, Selector};
use packet::spd::{Action, PolicyDirection, PolicyParams, Template};

const SAS: u32 = 1_000;
const PACKETS: u32 = 100_000;

fn main() {
    println!("policies   outbound ns   inbound ns   snapshot us   after an SA us");
    for policies in [10, 100, 1_000, 8_000] {
        measure(policies);
    }
}

fn measure(count: u32) {
    let mut database = Database::new();
    for number in 0..count {
        database
            .add_policy(policy(PolicyDirection::Out, number), 1)
            .expect("a policy");
        database
            .add_policy(policy(PolicyDirection::In, number), 1)
            .expect("a policy");
    }
    for number in 0..SAS {
        database.add_sa(sa(number), 1).expect("an SA");
    }
    let (snapshot, built_us) = timed(|| database.snapshot());
    let (_, outbound_us) = timed(|| {
        for number in 0..PACKETS {
            black_box(snapshot.outbound(&headers(number % count, number as u16)));
        }
    });
    let inbound = Arc::new(Sa::new(sa(0), 1, 1).expect("an SA"));
    let path = [Step::opened(&inbound, 4)];
    let (_, inbound_us) = timed(|| {
        for number in 0..PACKETS {
            let headers = headers(number % count, number as u16);
            let _ = black_box(snapshot.accept(&path, &headers, true));
        }
    });
    database.add_sa(sa(SAS), 1).expect("an SA");
    let (_, again_us) = timed(|| database.snapshot());
    let each = |us: f64| us * 1_000.0 / f64::from(PACKETS);
    println!(
        "{count:8}   {:11.0}   {:10.0}   {built_us:11.0}   {again_us:14.0}",
        each(outbound_us),
        each(inbound_us)
    );
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let value = work();
    (value, start.elapsed().as_secs_f64() * 1e6)
}

/// 10.x.y.0/24 to 192.168.0.0/16, protected by the SA of the number.
fn policy(direction: PolicyDirection, number: u32) -> PolicyParams {
    let source = Prefix::new(network(number, 0), 24).expect("a prefix");
    let destination = Prefix::new([192, 168, 0, 0].into(), 16).expect("a prefix");
    let template = Template {
        source: [203, 0, 113, 1].into(),
        destination: [198, 51, 100, 1].into(),
        spi: 0,
        reqid: number % SAS + 1,
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

fn sa(number: u32) -> SaParams {
    SaParams {
        source: [203, 0, 113, 1].into(),
        destination: [198, 51, 100, 1].into(),
        spi: 0x1000 + number,
        reqid: number % SAS + 1,
        protocol: Protocol::Esp,
        mode: Mode::Tunnel,
        transform: Transform::Aead {
            algorithm: Aead::AesGcm,
            icv_octets: 16,
            key: Secret::new(&[number as u8; 20]),
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
