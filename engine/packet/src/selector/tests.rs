use proptest::prelude::*;

use super::*;
use crate::ip::Fragment;
use crate::testing::{address, prefix, selector};

fn headers(
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    ports: Option<(u16, u16)>,
) -> Headers {
    let fragment = Fragment::Whole;
    Headers {
        source,
        destination,
        protocol,
        ports,
        fragment,
        tos: 0,
        hop_limit: 1,
        transport: 0,
        length: 0,
    }
}

/// Bit by bit.
fn naive_contains(prefix: Prefix, address: IpAddr) -> bool {
    let bits = |address: IpAddr| -> Vec<bool> {
        let octets = match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        octets
            .iter()
            .flat_map(|octet| (0..8).map(move |bit| octet >> (7 - bit) & 1 == 1))
            .collect()
    };
    let (network, address) = (bits(prefix.address()), bits(address));
    network.len() == address.len()
        && network[..prefix.length().into()] == address[..prefix.length().into()]
}

fn naive_port(port: MaskedPort, value: Option<u16>) -> bool {
    (0..16).all(|bit| {
        port.mask >> bit & 1 == 0
            || value.is_some_and(|value| value >> bit & 1 == port.port >> bit & 1)
    })
}

/// Few different addresses, so that prefixes and packets often meet.
fn addresses() -> impl Strategy<Value = IpAddr> {
    let near = |text: &'static str| {
        (0u32..8, 0u32..33).prop_map(move |(low, shift)| match address(text) {
            IpAddr::V4(base) => {
                IpAddr::V4((base.to_bits() ^ low.checked_shl(shift).unwrap_or(0)).into())
            }
            IpAddr::V6(base) => {
                IpAddr::V6((base.to_bits() ^ (u128::from(low) << (shift * 3))).into())
            }
        })
    };
    prop_oneof![near("192.168.1.0"), near("2001:db8::")]
}

fn masked_ports() -> impl Strategy<Value = MaskedPort> {
    let mask = prop_oneof![Just(0), Just(u16::MAX), Just(0xfff0), any::<u16>()];
    (0u16..4, mask).prop_map(|(port, mask)| MaskedPort { port, mask })
}

proptest! {
    #[test]
    fn it_does_what_the_naive_model_does(
        (network, length) in (addresses(), 0u8..129),
        (source, destination) in (addresses(), addresses()),
        (wanted, protocol) in (0u8..3, 0u8..3),
        (source_port, destination_port) in (masked_ports(), masked_ports()),
        ports in proptest::option::of((0u16..20, 0u16..20)),
    ) {
        let Some(inside) = Prefix::new(network, length) else { return Ok(()) };
        let all = Prefix::any(network.is_ipv4());
        let selector = Selector { protocol: wanted, source_port, destination_port, ..Selector::new(inside, all).unwrap() };
        let expected = naive_contains(inside, source)
            && naive_contains(all, destination)
            && (wanted == 0 || wanted == protocol)
            && naive_port(source_port, ports.map(|ports| ports.0))
            && naive_port(destination_port, ports.map(|ports| ports.1));
        prop_assert_eq!(selector.matches(&headers(source, destination, protocol, ports)), expected);
    }

    #[test]
    fn a_packet_lies_in_its_own_selector(source in addresses(), ports in proptest::option::of((any::<u16>(), any::<u16>()))) {
        let headers = headers(source, source, 6, ports);
        prop_assert!(Selector::of_packet(&headers).matches(&headers));
    }
}

#[test]
fn host_bits_are_cleared_and_lengths_bounded() {
    assert_eq!(prefix("192.168.1.77/24"), prefix("192.168.1.0/24"));
    assert_eq!(Prefix::new(address("10.0.0.0"), 33), None);
    assert_eq!(Prefix::new(address("::"), 129), None);
    assert_eq!(Selector::new(prefix("10.0.0.0/8"), prefix("::/0")), None);
}

#[test]
fn a_fragment_without_ports_does_not_match_a_port() {
    let mut web = selector("10.0.0.0/8", "10.0.0.0/8");
    web.destination_port = MaskedPort::exactly(80);
    let one = address("10.0.0.1");
    assert!(!web.matches(&headers(one, one, 6, None)));
    assert!(web.matches(&headers(one, one, 6, Some((5, 80)))));
}
