use proptest::prelude::*;

use super::*;
use crate::checksum;
use crate::fragment::Fragments;
use crate::testing::{ipv4, ipv6, octets};

fn packet(is_v4: bool, payload: &[u8]) -> Vec<u8> {
    match is_v4 {
        true => ipv4("192.0.2.1", "192.0.2.2", protocol::UDP, payload),
        false => ipv6("2001:db8::1", "2001:db8::2", protocol::UDP, payload),
    }
}

fn fragments(packet: &[u8], mtu: usize, identification: u32) -> Vec<Vec<u8>> {
    let fragments = Fragments::new(packet, mtu, identification).unwrap();
    let write = |number| {
        let mut fragment = Vec::new();
        fragments.write(number, &mut fragment);
        fragment
    };
    (0..fragments.count()).map(write).collect()
}

fn add(reassembler: &mut Reassembler, fragment: &[u8]) -> Result<Option<Vec<u8>>, Drop> {
    let headers = Headers::parse(fragment).unwrap();
    reassembler.add(fragment, &headers, 0)
}

proptest! {
    #[test]
    fn fragments_in_any_order_are_the_packet_again(
        is_v4 in any::<bool>(),
        payload in octets(1_300..9_000),
        mtu in 1_280usize..1_500,
        order in any::<u64>(),
    ) {
        let packet = packet(is_v4, &payload);
        let mut parts = fragments(&packet, mtu, 9);
        prop_assume!(parts.len() > 1);
        parts.sort_by_key(|part| order.rotate_left(part[7].into()) ^ u64::from(part[part.len() / 2]));
        let mut reassembler = Reassembler::new();
        let last = parts.pop().unwrap();
        for part in &parts {
            prop_assert_eq!(add(&mut reassembler, part), Ok(None));
        }
        prop_assert_eq!(add(&mut reassembler, &last), Ok(Some(packet)));
        prop_assert_eq!(reassembler.expire(u64::MAX), 0);
    }

    #[test]
    fn any_fragment_is_kept_or_dropped(fields in proptest::collection::vec((any::<u16>(), octets(0..40)), 1..30)) {
        let mut reassembler = Reassembler::new();
        for (field, payload) in fields {
            let mut fragment = packet(true, &payload);
            fragment[6..8].copy_from_slice(&(field & 0x3fff).to_be_bytes());
            checksum::write_ipv4(&mut fragment, 20);
            if let Ok(Some(whole)) = add(&mut reassembler, &fragment) {
                prop_assert_eq!(Headers::parse(&whole).unwrap().length, whole.len());
            }
        }
    }
}

#[test]
fn what_overlaps_takes_all_of_it_away() {
    let packet = packet(true, &[7; 3_000]);
    let parts = fragments(&packet, 1_300, 1);
    let mut reassembler = Reassembler::new();
    assert_eq!(add(&mut reassembler, &parts[0]), Ok(None));
    assert_eq!(add(&mut reassembler, &parts[0]), Err(Drop::Fragment));
    assert_eq!(add(&mut reassembler, &parts[1]), Ok(None));
    assert_eq!(add(&mut reassembler, &parts[2]), Ok(None));
    assert_eq!(reassembler.expire(u64::MAX), 1);
}

/// As many octets as the last fragment asks for, but some of them behind it and a hole before it.
#[test]
fn an_end_before_what_came_is_no_end() {
    let fragment = |field: u16, payload: &[u8]| {
        let mut fragment = packet(true, payload);
        fragment[6..8].copy_from_slice(&field.to_be_bytes());
        checksum::write_ipv4(&mut fragment, 20);
        fragment
    };
    for (last, payload) in [(2, &[3; 8][..]), (3, &[])] {
        let mut reassembler = Reassembler::new();
        for (field, octet) in [(0x2000, 1), (0x2003, 2)] {
            let part = fragment(field, &[octet; 8]);
            assert_eq!(add(&mut reassembler, &part), Ok(None));
        }
        let end = fragment(last, payload);
        assert_eq!(add(&mut reassembler, &end), Err(Drop::Fragment));
        assert_eq!(reassembler.expire(u64::MAX), 0);
    }
}

#[test]
fn the_oldest_gives_way() {
    let mut reassembler = Reassembler::new();
    let first =
        |number: usize| fragments(&packet(false, &[0; 3_000]), 1_300, number as u32).remove(0);
    for number in 0..MAX_REASSEMBLIES + 3 {
        assert_eq!(add(&mut reassembler, &first(number)), Ok(None));
    }
    assert_eq!(reassembler.expire(REASSEMBLY_NANOSECONDS - 1), 0);
    assert_eq!(reassembler.expire(REASSEMBLY_NANOSECONDS), MAX_REASSEMBLIES);
}
