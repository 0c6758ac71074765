use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;
use crate::ip::{Fragment, protocol};
use crate::selector::MaskedPort;
use crate::spd::{PolicyDirection, PolicyParams};
use crate::testing::{policy, selector};

/// Addresses that differ in few bits, so that prefixes of all lengths meet them.
fn address(ipv4: bool, bits: u8) -> IpAddr {
    let (high, low) = (u32::from(bits >> 2) << 30, u32::from(bits & 3));
    if ipv4 {
        Ipv4Addr::from(high | low).into()
    } else {
        Ipv6Addr::from(u128::from(high) << 96 | u128::from(low)).into()
    }
}

fn random_prefix(ipv4: bool) -> impl Strategy<Value = Prefix> {
    let length = prop_oneof![Just(0u8), Just(1), Just(2), Just(31), Just(32)];
    (0u8..16, length).prop_map(move |(bits, length)| {
        let length = if ipv4 || length < 31 {
            length
        } else {
            length + 96
        };
        Prefix::new(address(ipv4, bits), length).unwrap()
    })
}

fn random_port() -> impl Strategy<Value = MaskedPort> {
    let mask = prop_oneof![Just(0u16), Just(0xffff), Just(0xfffe), Just(1)];
    (0u16..4, mask).prop_map(|(port, mask)| MaskedPort { port, mask })
}

prop_compose! {
    fn random_selector()(ipv4 in any::<bool>())(
        source in random_prefix(ipv4),
        destination in random_prefix(ipv4),
        protocol in prop_oneof![Just(0), Just(protocol::TCP), Just(protocol::UDP)],
        ports in (random_port(), random_port()),
    ) -> Selector {
        let mut selector = Selector::new(source, destination).unwrap();
        (selector.protocol, selector.source_port, selector.destination_port) = (protocol, ports.0, ports.1);
        selector
    }
}

prop_compose! {
    fn random_headers()(
        ipv4 in any::<bool>(),
        ends in (0u8..16, 0u8..16),
        protocol in prop_oneof![Just(protocol::TCP), Just(protocol::UDP), Just(protocol::ESP)],
        ports in proptest::option::of((0u16..4, 0u16..4)),
    ) -> Headers {
        Headers {
            source: address(ipv4, ends.0), destination: address(ipv4, ends.1), protocol, ports,
            fragment: Fragment::Whole, tos: 0, hop_limit: 64, transport: 20, length: 40,
        }
    }
}

fn listed(selector: Selector, serial: u64) -> Arc<Policy> {
    let params = PolicyParams {
        selector,
        ..policy(PolicyDirection::Out, selector, 1)
    };
    Arc::new(Policy::new(params, serial, 1))
}

proptest! {
    #[test]
    fn it_finds_what_a_walk_finds(
        selectors in proptest::collection::vec(random_selector(), 0..60),
        packets in proptest::collection::vec(random_headers(), 1..40),
    ) {
        let policies: Vec<_> = selectors.into_iter().zip(0..).map(|(selector, serial)| listed(selector, serial)).collect();
        let list = PolicyList::new(policies.clone());
        for headers in packets {
            let walked = policies.iter().find(|policy| policy.params.selector.matches(&headers));
            prop_assert_eq!(list.first_match(&headers).map(|policy| policy.serial), walked.map(|policy| policy.serial));
        }
    }
}

#[test]
fn policies_of_one_shape_are_one_group() {
    let policies = (0..1_000u32)
        .map(|number| {
            let source = format!("10.{}.{}.0/24", number >> 8, number & 255);
            listed(selector(&source, "192.168.0.0/16"), number.into())
        })
        .collect();
    assert_eq!(PolicyList::new(policies).groups.len(), 1);
}
