//! The structures that several messages share: selectors, lifetimes, names of SAs, counters.

use std::net::IpAddr;

use packet::sa::{Lifetimes, Protocol, SaId, Usage};
use packet::selector::{MaskedPort, Prefix, Selector};

use super::attribute::{
    ALG_COMP, COADDR, IF_ID, MARK, OFFLOAD_DEV, POLICY_TYPE, SEC_CTX, SET_MARK,
};
use crate::clock::Clock;
use crate::netlink::Attributes;
use crate::octets::{Cursor, Put, address, family};
use crate::refusal::Refusal;

/// Octets of `struct xfrm_selector`.
pub const SELECTOR_OCTETS: usize = 56;
/// Octets of `struct xfrm_userpolicy_id`.
pub const POLICY_ID_OCTETS: usize = 64;
/// Octets of `struct xfrm_usersa_info`.
pub const SA_INFO_OCTETS: usize = 224;
/// `XFRM_INF`.
const NEVER: u64 = u64::MAX;

/// Reads a selector; none when it is all zero, which means everything of either family.
pub fn parse_selector(cursor: &mut Cursor<'_>) -> Result<Option<Selector>, Refusal> {
    let octets: [u8; SELECTOR_OCTETS] = cursor.array()?;
    if octets == [0; SELECTOR_OCTETS] {
        return Ok(None);
    }
    let mut cursor = Cursor::new(&octets);
    let (destination, source) = (cursor.array()?, cursor.array()?);
    let destination_port = MaskedPort {
        port: cursor.be16()?,
        mask: cursor.be16()?,
    };
    let source_port = MaskedPort {
        port: cursor.be16()?,
        mask: cursor.be16()?,
    };
    let (number, length_d, length_s, protocol) =
        (cursor.u16()?, cursor.u8()?, cursor.u8()?, cursor.u8()?);
    cursor.skip(3)?;
    if cursor.u32()? != 0 || cursor.u32()? != 0 {
        return Err(Refusal::new(
            libc::EOPNOTSUPP,
            "selectors by interface or user are not supported",
        ));
    }
    let source = prefix(address(source, number)?, length_s)?;
    let destination = prefix(address(destination, number)?, length_d)?;
    let mut selector = Selector::new(source, destination).ok_or(Refusal::new(
        libc::EINVAL,
        "the selector's prefixes are of different families",
    ))?;
    (
        selector.protocol,
        selector.source_port,
        selector.destination_port,
    ) = (protocol, source_port, destination_port);
    Ok(Some(selector))
}

fn prefix(address: IpAddr, length: u8) -> Result<Prefix, Refusal> {
    Prefix::new(address, length).ok_or(Refusal::new(
        libc::EINVAL,
        "a prefix is longer than its address",
    ))
}

/// Appends a selector; none is written as zeros.
pub fn put_selector(body: &mut Vec<u8>, selector: Option<&Selector>) {
    let Some(selector) = selector else {
        return body.put_zeros(SELECTOR_OCTETS);
    };
    body.put_address(selector.destination().address());
    body.put_address(selector.source().address());
    for port in [selector.destination_port, selector.source_port] {
        body.put_be16(port.port);
        body.put_be16(port.mask);
    }
    body.put_u16(family(selector.source().address()));
    body.put_u8(selector.destination().length());
    body.put_u8(selector.source().length());
    body.put_u8(selector.protocol);
    body.put_zeros(3 + 4 + 4);
}

/// Reads `struct xfrm_lifetime_cfg`.
pub fn parse_lifetimes(cursor: &mut Cursor<'_>) -> Result<Lifetimes, Refusal> {
    Ok(Lifetimes {
        soft_octets: limit(cursor.u64()?),
        hard_octets: limit(cursor.u64()?),
        soft_packets: limit(cursor.u64()?),
        hard_packets: limit(cursor.u64()?),
        soft_add_s: cursor.u64()?,
        hard_add_s: cursor.u64()?,
        soft_use_s: cursor.u64()?,
        hard_use_s: cursor.u64()?,
    })
}

/// A limit of 0 octets or packets would end an SA before its first packet; who sends it means none.
fn limit(value: u64) -> u64 {
    if value == 0 { NEVER } else { value }
}

/// Appends `struct xfrm_lifetime_cfg`.
pub fn put_lifetimes(body: &mut Vec<u8>, lifetimes: &Lifetimes) {
    body.put_u64(lifetimes.soft_octets);
    body.put_u64(lifetimes.hard_octets);
    body.put_u64(lifetimes.soft_packets);
    body.put_u64(lifetimes.hard_packets);
    body.put_u64(lifetimes.soft_add_s);
    body.put_u64(lifetimes.hard_add_s);
    body.put_u64(lifetimes.soft_use_s);
    body.put_u64(lifetimes.hard_use_s);
}

/// Appends `struct xfrm_lifetime_cur`; times become seconds since 1970, as the kernel has them.
pub fn put_usage(body: &mut Vec<u8>, usage: &Usage, added_s: u64, clock: &Clock) {
    body.put_u64(usage.octets);
    body.put_u64(usage.packets);
    body.put_u64(clock.since_1970(added_s));
    body.put_u64(if usage.first_use_s == 0 {
        0
    } else {
        clock.since_1970(usage.first_use_s)
    });
}

/// Appends `struct xfrm_id`.
pub fn put_id(body: &mut Vec<u8>, destination: IpAddr, spi: u32, protocol: Protocol) {
    body.put_address(destination);
    body.put_be32(spi);
    body.put_u8(protocol.number());
    body.put_zeros(3);
}

/// Reads `struct xfrm_usersa_id`.
pub fn parse_sa_id(cursor: &mut Cursor<'_>) -> Result<SaId, Refusal> {
    let (destination, spi, number, protocol) =
        (cursor.array()?, cursor.be32()?, cursor.u16()?, cursor.u8()?);
    Ok(SaId {
        destination: address(destination, number)?,
        spi,
        protocol: parse_protocol(protocol)?,
    })
}

/// Appends `struct xfrm_usersa_id`.
pub fn put_sa_id(body: &mut Vec<u8>, id: SaId) {
    body.put_address(id.destination);
    body.put_be32(id.spi);
    body.put_u16(family(id.destination));
    body.put_u8(id.protocol.number());
    body.put_u8(0);
}

/// Reads the protocol of an SA or a template; any other than ESP and AH is refused by its name.
pub fn parse_protocol(number: u8) -> Result<Protocol, Refusal> {
    const IPCOMP: u8 = 108;
    Protocol::from_number(number).ok_or_else(|| match number {
        IPCOMP => Refusal::new(libc::EPROTONOSUPPORT, "IPComp is not supported"),
        _ => Refusal::about(
            libc::EPROTONOSUPPORT,
            format!("protocol {number} is neither ESP (50) nor AH (51)"),
        ),
    })
}

/// Refuses what an SA or a policy would mean something else without: marks, interfaces, security contexts and the like.
pub fn refuse_foreign(attributes: &Attributes<'_>) -> Result<(), Refusal> {
    const FOREIGN: [(u16, &str); 8] = [
        (ALG_COMP, "IPComp is not supported"),
        (SEC_CTX, "security contexts are not supported"),
        (COADDR, "care-of addresses are not supported"),
        (POLICY_TYPE, "there are no policies of another type"),
        (MARK, "marks are not supported"),
        (OFFLOAD_DEV, "there is no device to offload to"),
        (SET_MARK, "marks are not supported"),
        (IF_ID, "interfaces of XFRM are not supported"),
    ];
    for (kind, sentence) in FOREIGN {
        // Zero is what they are where they are not there.
        let zero = |value: &[u8]| value.iter().all(|octet| *octet == 0);
        if attributes.get(kind).is_some_and(|value| !zero(value)) {
            return Err(Refusal::new(libc::EOPNOTSUPP, sentence));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_octets_are_a_selector_or_refused(octets in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = parse_selector(&mut Cursor::new(&octets));
        }

        #[test]
        fn a_selector_comes_back(source: [u8; 4], destination: [u8; 4], lengths in (0u8..=32, 0u8..=32), port: u16, mask: u16) {
            let prefix = |octets, length| Prefix::new(IpAddr::from(octets), length).unwrap();
            let mut selector = Selector::new(prefix(source, lengths.0), prefix(destination, lengths.1)).unwrap();
            (selector.protocol, selector.source_port) = (6, MaskedPort { port, mask });
            let mut body = Vec::new();
            put_selector(&mut body, Some(&selector));
            prop_assert_eq!(body.len(), SELECTOR_OCTETS);
            prop_assert_eq!(parse_selector(&mut Cursor::new(&body)).unwrap(), Some(selector));
        }
    }

    #[test]
    fn an_empty_selector_is_everything() {
        let mut body = Vec::new();
        put_selector(&mut body, None);
        assert_eq!(parse_selector(&mut Cursor::new(&body)).unwrap(), None);
    }
}
