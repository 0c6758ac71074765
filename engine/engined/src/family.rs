//! Our own family on the control socket: message and attribute numbers, and the values of its attributes.

use std::net::{SocketAddr, SocketAddrV6};

use crate::netlink::put_attribute;
use crate::octets::{Cursor, Put, address, address_octets, family};
use crate::refusal::Refusal;

/// Numbers of the messages.
pub mod message {
    pub const SUBSCRIBE: u16 = 0x400;
    pub const BARRIER: u16 = 0x401;
    pub const OVERRUN: u16 = 0x402;
    pub const BATCH_BEGIN: u16 = 0x403;
    pub const BATCH_COMMIT: u16 = 0x404;
    pub const BATCH_ABORT: u16 = 0x405;
    pub const IKE_SEND: u16 = 0x410;
    pub const IKE_RECEIVED: u16 = 0x411;
    pub const GETCOUNTERS: u16 = 0x420;
    pub const GETINFO: u16 = 0x421;
    pub const BLOB_PUT: u16 = 0x430;
    pub const BLOB_DELETE: u16 = 0x431;
    pub const BLOB_GET: u16 = 0x432;
    pub const SHUTDOWN: u16 = 0x440;
    pub const GIF_SET: u16 = 0x450;
    pub const GIF_DELETE: u16 = 0x451;
    pub const GIF_GET: u16 = 0x452;
    pub const PATH_MTU: u16 = 0x453;
    pub const GETPATHMTU: u16 = 0x454;
    pub const UNKNOWN_SPI: u16 = 0x455;
    pub const DROPPED: u16 = 0x457;
    pub const SILENCE: u16 = 0x456;
}

/// Numbers of the attributes.
pub mod attribute {
    pub const GROUPS: u16 = 1;
    pub const LOCAL: u16 = 2;
    pub const REMOTE: u16 = 3;
    pub const DATA: u16 = 4;
    pub const COUNTERS: u16 = 5;
    pub const VERSION: u16 = 6;
    pub const PID: u16 = 7;
    pub const TUN_NAME: u16 = 8;
    pub const MARK: u16 = 9;
    pub const FEATURES: u16 = 10;
    pub const KEY: u16 = 11;
    pub const NAME: u16 = 12;
    pub const FLAGS: u16 = 13;
    pub const MTU: u16 = 14;
    pub const SPI: u16 = 15;
    pub const PROTOCOL: u16 = 16;
    pub const REASON: u16 = 18;
    pub const SOURCE: u16 = 19;
    pub const DESTINATION: u16 = 20;
    pub const OCTETS: u16 = 21;
    pub const SA: u16 = 17;
}

/// Groups of notifications, as bits of SUBSCRIBE.
pub mod group {
    pub const ACQUIRE: u32 = 1;
    pub const EXPIRE: u32 = 1 << 1;
    pub const SA: u32 = 1 << 2;
    pub const POLICY: u32 = 1 << 3;
    pub const IKE: u32 = 1 << 4;
    pub const MAPPING: u32 = 1 << 5;
    pub const MIGRATE: u32 = 1 << 6;
    pub const PATH_MTU: u32 = 1 << 7;
    pub const UNKNOWN_SPI: u32 = 1 << 8;
    pub const SILENCE: u32 = 1 << 9;
    pub const DROPPED: u32 = 1 << 10;
    pub const ALL: u32 = 0x7ff;
}

/// Reads the value of `LOCAL` or `REMOTE`.
pub fn parse_endpoint(value: &[u8]) -> Result<SocketAddr, Refusal> {
    let mut cursor = Cursor::new(value);
    let (number, port, scope) = (cursor.u16()?, cursor.be16()?, cursor.u32()?);
    let ip = address(cursor.array()?, number)?;
    Ok(match ip {
        std::net::IpAddr::V4(_) => SocketAddr::new(ip, port),
        std::net::IpAddr::V6(v6) => SocketAddrV6::new(v6, port, 0, scope).into(),
    })
}

/// Appends `LOCAL` or `REMOTE`.
pub fn put_endpoint(body: &mut Vec<u8>, kind: u16, endpoint: SocketAddr) {
    let scope = if let SocketAddr::V6(v6) = endpoint {
        v6.scope_id()
    } else {
        0
    };
    let mut value = Vec::with_capacity(24);
    value.put_u16(family(endpoint.ip()));
    value.put_be16(endpoint.port());
    value.put_u32(scope);
    value.put(&address_octets(endpoint.ip()));
    put_attribute(body, kind, &value);
}

/// Reads an attribute of four octets.
pub fn parse_u32(value: &[u8]) -> Result<u32, Refusal> {
    Cursor::new(value).u32()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_endpoint_comes_back(ip in any::<std::net::IpAddr>(), port in any::<u16>()) {
            let endpoint = SocketAddr::new(ip, port);
            let mut body = Vec::new();
            put_endpoint(&mut body, attribute::REMOTE, endpoint);
            prop_assert_eq!(body.len(), 28);
            prop_assert_eq!(parse_endpoint(&body[4..]).unwrap(), endpoint);
        }

        #[test]
        fn any_octets_are_an_endpoint_or_refused(octets in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = parse_endpoint(&octets);
        }
    }
}
