//! A few of the packets that are dropped, told while somebody wants to see them: debugging, at a bounded rate.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use packet::ip::{Fragment, Headers, protocol};
use packet::reason::Drop;

use crate::family::{attribute, message, put_endpoint};
use crate::limits::SAMPLES_PER_SECOND;
use crate::netlink::{self, Header, put_attribute};

const APART_NS: u64 = 1_000_000_000 / SAMPLES_PER_SECOND;

/// What is told of a dropped packet: no octet of what it carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Why it was dropped.
    pub reason: Drop,
    /// Whether it came from outside.
    pub inbound: bool,
    /// Its outermost source; the port is 0 where there is none to be seen.
    pub source: SocketAddr,
    /// Its outermost destination.
    pub destination: SocketAddr,
    /// Its protocol.
    pub protocol: u8,
    /// Its SPI where it is ESP or AH, also in UDP; else 0.
    pub spi: u32,
    /// Its length.
    pub octets: u32,
}

impl Sample {
    /// A whole packet; None where nothing can be read of it.
    pub fn of_packet(reason: Drop, inbound: bool, packet: &[u8]) -> Option<Self> {
        let headers = Headers::parse(packet).ok()?;
        let upper = &packet[headers.transport..headers.length];
        let (from, to) = match headers.protocol {
            protocol::UDP | protocol::TCP => headers.ports.unwrap_or_default(),
            _ => (0, 0),
        };
        let is_first = headers.fragment == Fragment::Whole;
        Some(Self {
            reason,
            inbound,
            source: SocketAddr::new(headers.source, from),
            destination: SocketAddr::new(headers.destination, to),
            protocol: headers.protocol,
            spi: match headers.protocol {
                protocol::ESP if is_first => number(upper, 0),
                protocol::AH if is_first => number(upper, 4),
                _ => 0,
            },
            octets: headers.length as u32,
        })
    }

    /// A datagram of UDP, to `local`. What does not begin with a marker is ESP.
    pub fn of_datagram(
        reason: Drop,
        local: SocketAddr,
        remote: SocketAddr,
        datagram: &[u8],
    ) -> Self {
        Self {
            reason,
            inbound: true,
            source: remote,
            destination: local,
            protocol: protocol::UDP,
            spi: if local.port() == crate::shared::IKE_PORT {
                0
            } else {
                number(datagram, 0)
            },
            octets: datagram.len() as u32,
        }
    }
}

fn number(octets: &[u8], at: usize) -> u32 {
    let found = octets.get(at..at + 4).and_then(|four| four.try_into().ok());
    found.map_or(0, u32::from_be_bytes)
}

/// Whether anybody wants samples, and when the next one may be told.
#[derive(Default)]
pub struct Samples {
    wanted: AtomicBool,
    next_ns: AtomicU64,
}

impl Samples {
    /// Somebody wants them, or nobody does any more.
    pub fn want(&self, wanted: bool) {
        self.wanted.store(wanted, Relaxed);
    }

    /// Whether one is to be taken now. Where nobody wants any, that is all that it costs.
    pub fn take(&self, now_ns: u64) -> bool {
        if !self.wanted.load(Relaxed) {
            return false;
        }
        let next_ns = self.next_ns.load(Relaxed);
        now_ns >= next_ns
            && self
                .next_ns
                .compare_exchange(next_ns, now_ns + APART_NS, Relaxed, Relaxed)
                .is_ok()
    }
}

/// The notification DROPPED.
pub fn told(sample: &Sample) -> Vec<u8> {
    netlink::message(Header::notification(message::DROPPED), |body| {
        let reason = sample.reason as u32;
        put_attribute(body, attribute::REASON, &reason.to_ne_bytes());
        let flags = u32::from(sample.inbound);
        put_attribute(body, attribute::FLAGS, &flags.to_ne_bytes());
        put_endpoint(body, attribute::SOURCE, sample.source);
        put_endpoint(body, attribute::DESTINATION, sample.destination);
        let number = u32::from(sample.protocol);
        put_attribute(body, attribute::PROTOCOL, &number.to_ne_bytes());
        put_attribute(body, attribute::SPI, &sample.spi.to_be_bytes());
        put_attribute(body, attribute::OCTETS, &sample.octets.to_ne_bytes());
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_is_taken_that_nobody_wants_and_then_a_few_a_second() {
        let samples = Samples::default();
        assert!(!samples.take(0));
        samples.want(true);
        let taken = (0..2_000_000_000u64).step_by(100_000);
        let count = taken.filter(|now_ns| samples.take(*now_ns)).count() as u64;
        assert_eq!(count, 2 * SAMPLES_PER_SECOND);
        samples.want(false);
        assert!(!samples.take(u64::MAX / 2));
    }

    #[test]
    fn a_datagram_shows_its_spi_on_the_port_that_has_one() {
        let ends = |port| {
            (
                SocketAddr::new([203, 0, 113, 1].into(), port),
                SocketAddr::new([198, 51, 100, 1].into(), 4_500),
            )
        };
        for (port, spi) in [(4_500, 0x0102_0304), (500, 0)] {
            let (local, remote) = ends(port);
            let sample = Sample::of_datagram(Drop::UnknownSpi, local, remote, &[1, 2, 3, 4, 5]);
            assert_eq!((sample.spi, sample.octets), (spi, 5));
            assert_eq!((sample.source, sample.destination), (remote, local));
        }
    }

    proptest! {
        #[test]
        fn any_octets_are_a_sample_or_none(octets in proptest::collection::vec(any::<u8>(), 0..120), inbound in any::<bool>()) {
            if let Some(sample) = Sample::of_packet(Drop::NoPolicy, inbound, &octets) {
                prop_assert!(sample.octets as usize <= octets.len());
                prop_assert!(!told(&sample).is_empty());
            }
        }
    }
}
