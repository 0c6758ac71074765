//! Structures of the kernel's headers, octet by octet: a cursor that reads them and a trait that writes them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::refusal::Refusal;

/// `AF_INET`.
pub const FAMILY_V4: u16 = libc::AF_INET as u16;
/// `AF_INET6`.
pub const FAMILY_V6: u16 = libc::AF_INET6 as u16;

/// Reads a structure from its front.
pub struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// A cursor at the start of `octets`.
    pub fn new(octets: &'a [u8]) -> Self {
        Self { rest: octets }
    }

    /// What was not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next `N` octets.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Refusal> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(Refusal::SHORT)?;
        self.rest = rest;
        Ok(*head)
    }

    /// The next `octets` octets.
    pub fn slice(&mut self, octets: usize) -> Result<&'a [u8], Refusal> {
        let (head, rest) = self.rest.split_at_checked(octets).ok_or(Refusal::SHORT)?;
        self.rest = rest;
        Ok(head)
    }

    /// Passes over padding and fields that mean nothing here.
    pub fn skip(&mut self, octets: usize) -> Result<(), Refusal> {
        self.slice(octets).map(drop)
    }

    /// One octet.
    pub fn u8(&mut self) -> Result<u8, Refusal> {
        self.array::<1>().map(|[octet]| octet)
    }

    /// Two octets in host order.
    pub fn u16(&mut self) -> Result<u16, Refusal> {
        self.array().map(u16::from_ne_bytes)
    }

    /// Four octets in host order.
    pub fn u32(&mut self) -> Result<u32, Refusal> {
        self.array().map(u32::from_ne_bytes)
    }

    /// Eight octets in host order.
    pub fn u64(&mut self) -> Result<u64, Refusal> {
        self.array().map(u64::from_ne_bytes)
    }

    /// Two octets in network order.
    pub fn be16(&mut self) -> Result<u16, Refusal> {
        self.array().map(u16::from_be_bytes)
    }

    /// Four octets in network order.
    pub fn be32(&mut self) -> Result<u32, Refusal> {
        self.array().map(u32::from_be_bytes)
    }
}

/// An address in sixteen octets; IPv4 in the first four, as XFRM has it. Which it is, another field says.
pub fn address(octets: [u8; 16], family: u16) -> Result<IpAddr, Refusal> {
    match family {
        FAMILY_V4 => Ok(Ipv4Addr::new(octets[0], octets[1], octets[2], octets[3]).into()),
        FAMILY_V6 => Ok(Ipv6Addr::from(octets).into()),
        _ => Err(Refusal::new(
            libc::EAFNOSUPPORT,
            "the address family is neither IPv4 nor IPv6",
        )),
    }
}

/// The sixteen octets of an address.
pub fn address_octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => {
            let mut octets = [0; 16];
            octets[..4].copy_from_slice(&v4.octets());
            octets
        }
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// The family's number of an address.
pub fn family(address: IpAddr) -> u16 {
    if address.is_ipv4() {
        FAMILY_V4
    } else {
        FAMILY_V6
    }
}

/// Appends a structure's fields.
pub trait Put {
    /// Octets as they are.
    fn put(&mut self, octets: &[u8]);
    /// Padding.
    fn put_zeros(&mut self, octets: usize);
    /// One octet.
    fn put_u8(&mut self, value: u8) {
        self.put(&[value]);
    }
    /// Two octets in host order.
    fn put_u16(&mut self, value: u16) {
        self.put(&value.to_ne_bytes());
    }
    /// Four octets in host order.
    fn put_u32(&mut self, value: u32) {
        self.put(&value.to_ne_bytes());
    }
    /// Eight octets in host order.
    fn put_u64(&mut self, value: u64) {
        self.put(&value.to_ne_bytes());
    }
    /// Two octets in network order.
    fn put_be16(&mut self, value: u16) {
        self.put(&value.to_be_bytes());
    }
    /// Four octets in network order.
    fn put_be32(&mut self, value: u32) {
        self.put(&value.to_be_bytes());
    }
    /// An address in sixteen octets.
    fn put_address(&mut self, address: IpAddr) {
        self.put(&address_octets(address));
    }
}

impl Put for Vec<u8> {
    fn put(&mut self, octets: &[u8]) {
        self.extend_from_slice(octets);
    }

    fn put_zeros(&mut self, octets: usize) {
        self.resize(self.len() + octets, 0);
    }
}
