//! A gif link: whole IP packets in the payload of others, as gif(4) sends them (RFC 2003, RFC 4213, RFC 2473).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use crate::headers::{Outer, Pair};
use crate::ip::{Fragment, Headers, protocol};
use crate::outer;
use crate::reason::Drop;

/// The hop limit of the outer header, as gif(4) has it.
pub const HOP_LIMIT: u8 = 30;

/// Links within links that are looked into: the limit of encapsulation that RFC 2473 section 6.6 gives a tunnel.
const MAX_NESTED_LINKS: usize = 4;

/// The two ends of a link and how it behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Source: ours. Destination: theirs.
    pub pair: Pair,
    /// LINK1: type of service goes out with the packet and congestion comes in (RFC 6040); otherwise the outer one is 0.
    pub ecn: bool,
    /// Refuse inner sources that no packet may have; LINK2 switches it off.
    pub ingress_filter: bool,
}

impl Link {
    /// Whether a packet with these outer headers comes from the other end: exactly the pair, the other way round.
    pub fn is_from(&self, outer: &Headers) -> bool {
        outer.source == self.pair.destination() && outer.destination == self.pair.source()
    }

    /// Put an inner packet, which ends at its own length, into an outer one.
    ///
    /// `identification`: for IPv4, not 0 where AH covers it. Errors: `Truncated`, `Malformed`, `TooBig`, `Looped`.
    pub fn encapsulate(
        &self,
        inner: &[u8],
        identification: u16,
        out: &mut Vec<u8>,
    ) -> Result<(), Drop> {
        let headers = Headers::parse(inner)?;
        if self.has_sent(inner, headers) {
            return Err(Drop::Looped);
        }
        let outer = Outer {
            pair: self.pair,
            tos: if self.ecn { headers.tos } else { 0 },
            hop_limit: HOP_LIMIT,
            dont_fragment: false,
            identification,
        };
        outer.begin(outer::next_header(&headers), headers.length, out)?;
        out.extend(&inner[..headers.length]);
        Ok(())
    }

    /// Whether a packet is one that went through this link already, be it within others: the host's way to the other end leads
    /// through the link (a default route does it), and each round would make a longer packet, for ever.
    fn has_sent(&self, mut packet: &[u8], mut headers: Headers) -> bool {
        for _ in 0..MAX_NESTED_LINKS {
            if !matches!(headers.protocol, protocol::IPV4 | protocol::IPV6) {
                return false;
            }
            if (headers.source, headers.destination)
                == (self.pair.source(), self.pair.destination())
            {
                return true;
            }
            packet = &packet[headers.transport..headers.length];
            match Headers::parse(packet) {
                Ok(inner) => headers = inner,
                Err(_) => return false,
            }
        }
        true
    }

    /// Judge a whole packet of protocol 4 or 41 and answer where the inner packet lies.
    ///
    /// Errors: `NoGif` for another pair, `Fragment`, `WrongNextHeader`, `InnerMalformed`, `GifSource`, `EcnMismatch`, and those of
    /// `Headers::parse`.
    pub fn decapsulate(&self, packet: &mut [u8]) -> Result<Range<usize>, Drop> {
        let outer = Headers::parse(packet)?;
        if !self.is_from(&outer) {
            return Err(Drop::NoGif);
        }
        if outer.fragment != Fragment::Whole {
            return Err(Drop::Fragment);
        }
        let payload = &mut packet[outer.transport..outer.length];
        let inner = outer::judge_inner(payload, outer.protocol)?;
        if self.ingress_filter && !may_be_source(inner.source) {
            return Err(Drop::GifSource);
        }
        if self.ecn {
            outer::apply_ecn(payload, outer.tos)?;
        }
        Ok(outer.transport..outer.transport + inner.length)
    }
}

/// Whether a packet from a wire may have this source (RFC 1122 section 3.2.1.3, RFC 4291 section 2.5): one address of a host.
pub fn may_be_source(source: IpAddr) -> bool {
    match source {
        IpAddr::V4(source) => may_be_source_ipv4(source),
        IpAddr::V6(source) => may_be_source_ipv6(source),
    }
}

fn may_be_source_ipv4(source: Ipv4Addr) -> bool {
    // 0.0.0.0/8 is "this network": no more than the unspecified address does it come from another host.
    !(source.is_multicast()
        || source.is_broadcast()
        || source.is_loopback()
        || source.octets()[0] == 0)
}

fn may_be_source_ipv6(source: Ipv6Addr) -> bool {
    // A mapped address on a wire is somebody who wants to be taken for an IPv4 host.
    !(source.is_multicast()
        || source.is_unspecified()
        || source.is_loopback()
        || source.to_ipv4_mapped().is_some())
}

#[cfg(test)]
mod tests;
