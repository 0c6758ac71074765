//! Packets of SAs that are not here: their sender uses what we have lost, or somebody guesses. Anybody can send them, so they
//! are told at a bounded rate, and no address takes all of it.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use packet::sa::Protocol;

use crate::family::{attribute, message, put_endpoint};
use crate::limits::{
    MAX_STRAY_SOURCES, STRAYS_AT_ONCE, STRAYS_OF_ONE_AT_ONCE, STRAYS_OF_ONE_PER_SECOND,
    STRAYS_PER_SECOND,
};
use crate::netlink::{self, Header, put_attribute};

const SECOND_NS: u64 = 1_000_000_000;

/// What arrived for an SA that is not here. Ports are 0 where it did not come in UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stray {
    /// Our end.
    pub local: SocketAddr,
    /// Where it says it comes from.
    pub remote: SocketAddr,
    /// ESP or AH.
    pub protocol: Protocol,
    /// The SPI that is not known.
    pub spi: u32,
}

/// The notification UNKNOWN_SPI.
pub fn told(stray: &Stray) -> Vec<u8> {
    netlink::message(Header::notification(message::UNKNOWN_SPI), |body| {
        put_endpoint(body, attribute::LOCAL, stray.local);
        put_endpoint(body, attribute::REMOTE, stray.remote);
        let number = u32::from(stray.protocol.number());
        put_attribute(body, attribute::PROTOCOL, &number.to_ne_bytes());
        put_attribute(body, attribute::SPI, &stray.spi.to_be_bytes());
    })
}

/// Holds so many and gains one in an interval.
#[derive(Clone, Copy)]
struct Bucket {
    left: u64,
    refilled_ns: u64,
}

impl Bucket {
    fn full(most: u64, now_ns: u64) -> Self {
        Self {
            left: most,
            refilled_ns: now_ns,
        }
    }

    fn take(&mut self, most: u64, per_second: u64, now_ns: u64) -> bool {
        let interval_ns = SECOND_NS / per_second;
        let gained = now_ns.saturating_sub(self.refilled_ns) / interval_ns;
        self.left = self.left.saturating_add(gained).min(most);
        self.refilled_ns += gained * interval_ns;
        self.left
            .checked_sub(1)
            .map(|left| self.left = left)
            .is_some()
    }
}

/// How often strays are told: in all, and of one address.
pub struct StrayRates {
    all: Bucket,
    by_source: HashMap<IpAddr, Bucket>,
}

impl StrayRates {
    /// Nothing was told yet.
    pub fn new(now_ns: u64) -> Self {
        Self {
            all: Bucket::full(STRAYS_AT_ONCE, now_ns),
            by_source: HashMap::new(),
        }
    }

    /// Whether one more from this address is told.
    pub fn allow(&mut self, remote: IpAddr, now_ns: u64) -> bool {
        if self.by_source.len() >= MAX_STRAY_SOURCES && !self.by_source.contains_key(&remote) {
            self.by_source.clear();
        }
        let own = self
            .by_source
            .entry(remote)
            .or_insert_with(|| Bucket::full(STRAYS_OF_ONE_AT_ONCE, now_ns));
        own.take(STRAYS_OF_ONE_AT_ONCE, STRAYS_OF_ONE_PER_SECOND, now_ns)
            && self.all.take(STRAYS_AT_ONCE, STRAYS_PER_SECOND, now_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::family::parse_endpoint;
    use crate::netlink::Attributes;

    fn source(number: u32) -> IpAddr {
        std::net::Ipv4Addr::from(0x0a00_0000 + number).into()
    }

    fn told_of(rates: &mut StrayRates, remote: IpAddr, times: u64, now_ns: u64) -> u64 {
        (0..times)
            .map(|_| u64::from(rates.allow(remote, now_ns)))
            .sum()
    }

    #[test]
    fn one_address_has_a_few_and_then_some_each_second() {
        let mut rates = StrayRates::new(0);
        assert_eq!(
            told_of(&mut rates, source(1), 100, 0),
            STRAYS_OF_ONE_AT_ONCE
        );
        assert_eq!(
            told_of(&mut rates, source(1), 100, SECOND_NS),
            STRAYS_OF_ONE_PER_SECOND
        );
        assert_eq!(told_of(&mut rates, source(2), 1, SECOND_NS), 1);
    }

    #[test]
    fn all_together_are_bounded_too() {
        let mut rates = StrayRates::new(0);
        let many: u64 = (0..10_000)
            .map(|one| told_of(&mut rates, source(one), 1, 0))
            .sum();
        assert_eq!(many, STRAYS_AT_ONCE);
        assert!(rates.by_source.len() <= MAX_STRAY_SOURCES);
        let later: u64 = (0..10_000)
            .map(|one| told_of(&mut rates, source(one), 1, SECOND_NS))
            .sum();
        assert_eq!(later, STRAYS_PER_SECOND);
    }

    #[test]
    fn a_clock_that_stands_gives_nothing_more() {
        let mut rates = StrayRates::new(5 * SECOND_NS);
        told_of(&mut rates, source(1), 100, 5 * SECOND_NS);
        assert!(!rates.allow(source(1), 0));
    }

    #[test]
    fn it_says_who_sent_what_to_whom() {
        let stray = Stray {
            local: "198.51.100.1:4500".parse().unwrap(),
            remote: "[2001:db8::7]:40000".parse().unwrap(),
            protocol: Protocol::Ah,
            spi: 0x0102_0304,
        };
        let octets = told(&stray);
        let found = Attributes::parse(&octets[16..]).unwrap();
        let end = |kind| parse_endpoint(found.get(kind).unwrap()).unwrap();
        assert_eq!(
            (end(attribute::LOCAL), end(attribute::REMOTE)),
            (stray.local, stray.remote)
        );
        assert_eq!(
            found.get(attribute::PROTOCOL),
            Some(&51u32.to_ne_bytes()[..])
        );
        assert_eq!(found.get(attribute::SPI), Some(&[1, 2, 3, 4][..]));
    }
}
