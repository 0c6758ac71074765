//! Selectors as XFRM has them: one prefix pair, one protocol, one masked pair of ports (RFC 4301 section 4.4.1.1).

use std::net::IpAddr;

use crate::ip::Headers;

/// An address prefix; its host bits are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Prefix {
    address: IpAddr,
    length: u8,
}

impl Prefix {
    /// A prefix of `length` bits. The address's host bits are cleared. None if the family has fewer bits.
    pub fn new(address: IpAddr, length: u8) -> Option<Prefix> {
        if length > width(address) {
            return None;
        }
        Some(Prefix {
            address: masked(address, length),
            length,
        })
    }

    /// The whole of a family.
    pub fn any(ipv4: bool) -> Prefix {
        let address = if ipv4 {
            IpAddr::from([0u8; 4])
        } else {
            IpAddr::from([0u8; 16])
        };
        Prefix { address, length: 0 }
    }

    /// The one address.
    pub fn host(address: IpAddr) -> Prefix {
        Prefix {
            address,
            length: width(address),
        }
    }

    /// The first address.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// The number of bits that are the same for all.
    pub fn length(&self) -> u8 {
        self.length
    }

    /// Whether an address lies in the prefix.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(prefix), IpAddr::V4(address)) => {
                let differing = prefix.to_bits() ^ address.to_bits();
                differing
                    .checked_shr(32 - u32::from(self.length))
                    .unwrap_or(0)
                    == 0
            }
            (IpAddr::V6(prefix), IpAddr::V6(address)) => {
                let differing = prefix.to_bits() ^ address.to_bits();
                differing
                    .checked_shr(128 - u32::from(self.length))
                    .unwrap_or(0)
                    == 0
            }
            _ => false,
        }
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn masked(address: IpAddr, length: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            IpAddr::V4((address.to_bits() & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
            IpAddr::V6((address.to_bits() & mask).into())
        }
    }
}

/// A port under a mask: a bit that the mask does not have may be anything. Mask 0: any port, and packets without ports too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct MaskedPort {
    /// The port, in host order.
    pub port: u16,
    /// The bits that count.
    pub mask: u16,
}

impl MaskedPort {
    /// Any port.
    pub const ANY: MaskedPort = MaskedPort { port: 0, mask: 0 };

    /// Exactly one port.
    pub fn exactly(port: u16) -> MaskedPort {
        MaskedPort {
            port,
            mask: u16::MAX,
        }
    }

    fn matches(self, port: u16) -> bool {
        (self.port ^ port) & self.mask == 0
    }
}

/// Which packets something applies to. Both prefixes are of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Selector {
    source: Prefix,
    destination: Prefix,
    /// The upper-layer protocol; 0 for any.
    pub protocol: u8,
    /// Source port, or type of ICMP.
    pub source_port: MaskedPort,
    /// Destination port, or code of ICMP.
    pub destination_port: MaskedPort,
}

impl Selector {
    /// Everything between two prefixes. None if they are of different families.
    pub fn new(source: Prefix, destination: Prefix) -> Option<Selector> {
        (source.address.is_ipv4() == destination.address.is_ipv4()).then_some(Selector {
            source,
            destination,
            protocol: 0,
            source_port: MaskedPort::ANY,
            destination_port: MaskedPort::ANY,
        })
    }

    /// Exactly the flow of a packet: what an ACQUIRE says of the packet that asked.
    pub fn of_packet(headers: &Headers) -> Selector {
        let (source_port, destination_port) = match headers.ports {
            Some((source, destination)) => (
                MaskedPort::exactly(source),
                MaskedPort::exactly(destination),
            ),
            None => (MaskedPort::ANY, MaskedPort::ANY),
        };
        Selector {
            source: Prefix::host(headers.source),
            destination: Prefix::host(headers.destination),
            protocol: headers.protocol,
            source_port,
            destination_port,
        }
    }

    /// The source prefix.
    pub fn source(&self) -> Prefix {
        self.source
    }

    /// The destination prefix.
    pub fn destination(&self) -> Prefix {
        self.destination
    }

    /// True for IPv4.
    pub fn is_ipv4(&self) -> bool {
        self.source.address.is_ipv4()
    }

    /// Whether a packet is one of these. A packet that shows no ports matches only where no port is asked for: a fragment
    /// is never taken for what it may not be (RFC 4301 section 7.2).
    pub fn matches(&self, headers: &Headers) -> bool {
        (self.protocol == 0 || self.protocol == headers.protocol)
            && self.source.contains(headers.source)
            && self.destination.contains(headers.destination)
            && self.ports_match(headers.ports)
    }

    fn ports_match(&self, ports: Option<(u16, u16)>) -> bool {
        match ports {
            Some((source, destination)) => {
                self.source_port.matches(source) && self.destination_port.matches(destination)
            }
            None => self.source_port.mask == 0 && self.destination_port.mask == 0,
        }
    }
}

#[cfg(test)]
mod tests;
