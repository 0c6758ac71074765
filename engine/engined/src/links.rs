//! What our own family says of gif links, of the ways to the peers, and of peers on whose associations nothing comes.

use std::net::{IpAddr, SocketAddr};

use packet::silence::Silence;

use crate::family::{attribute, message, parse_endpoint, parse_u32, put_endpoint};
use crate::gif::Gif;
use crate::netlink::{self, Attributes, Header, put_attribute};
use crate::refusal::Refusal;
use crate::xfrm::structures::put_sa_id;

const LINK1: u32 = 1;
const LINK2: u32 = 1 << 1;

/// Reads the attributes of GIF_SET.
///
/// # Errors
/// What is missing or unknown, by name.
pub fn parse_gif(attributes: &Attributes<'_>) -> Result<Gif, Refusal> {
    let end = |kind, name| {
        attributes
            .require(kind, name)
            .and_then(parse_endpoint)
            .map(|endpoint| endpoint.ip())
    };
    let flags = attributes.get(attribute::FLAGS).map_or(Ok(0), parse_u32)?;
    if flags & !(LINK1 | LINK2) != 0 {
        return Err(Refusal::new(libc::EINVAL, "there is no such flag"));
    }
    Ok(Gif {
        name: parse_name(attributes)?.to_owned(),
        local: end(attribute::LOCAL, "LOCAL")?,
        remote: end(attribute::REMOTE, "REMOTE")?,
        ecn_friendly: flags & LINK1 != 0,
        no_ingress_filter: flags & LINK2 != 0,
    })
}

/// Reads `NAME`.
///
/// # Errors
/// It is missing or no text.
pub fn parse_name<'a>(attributes: &Attributes<'a>) -> Result<&'a str, Refusal> {
    std::str::from_utf8(attributes.require(attribute::NAME, "NAME")?)
        .map_err(|_| Refusal::new(libc::EINVAL, "the link's name is not text"))
}

/// Appends the attributes of GIF_SET.
pub fn put_gif(body: &mut Vec<u8>, gif: &Gif) {
    let bit = |set, bit| if set { bit } else { 0 };
    let flags = bit(gif.ecn_friendly, LINK1) | bit(gif.no_ingress_filter, LINK2);
    put_attribute(body, attribute::NAME, gif.name.as_bytes());
    put_endpoint(body, attribute::LOCAL, SocketAddr::new(gif.local, 0));
    put_endpoint(body, attribute::REMOTE, SocketAddr::new(gif.remote, 0));
    put_attribute(body, attribute::FLAGS, &flags.to_ne_bytes());
}

/// Appends the attributes of PATH_MTU; 0 for what was forgotten.
pub fn put_path_mtu(body: &mut Vec<u8>, remote: IpAddr, mtu: u32) {
    put_endpoint(body, attribute::REMOTE, SocketAddr::new(remote, 0));
    put_attribute(body, attribute::MTU, &mtu.to_ne_bytes());
}

/// The notification PATH_MTU.
pub fn path_mtu(remote: IpAddr, mtu: u32) -> Vec<u8> {
    netlink::message(Header::notification(message::PATH_MTU), |body| {
        put_path_mtu(body, remote, mtu);
    })
}

/// The notification SILENCE.
pub fn silence(silence: &Silence) -> Vec<u8> {
    netlink::message(Header::notification(message::SILENCE), |body| {
        let mut id = Vec::with_capacity(24);
        put_sa_id(&mut id, silence.inbound);
        put_attribute(body, attribute::SA, &id);
        put_attribute(
            body,
            attribute::FLAGS,
            &u32::from(silence.sending).to_ne_bytes(),
        );
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_link_comes_back(local: IpAddr, remote: IpAddr, ecn_friendly: bool, no_ingress_filter: bool) {
            let gif = Gif { name: "gif0".into(), local, remote, ecn_friendly, no_ingress_filter };
            let mut body = Vec::new();
            put_gif(&mut body, &gif);
            prop_assert_eq!(parse_gif(&Attributes::parse(&body).unwrap()).unwrap(), gif);
        }
    }

    #[test]
    fn an_unknown_flag_is_refused() {
        let mut body = Vec::new();
        put_attribute(&mut body, attribute::FLAGS, &4u32.to_ne_bytes());
        let refused = parse_gif(&Attributes::parse(&body).unwrap()).unwrap_err();
        assert_eq!(refused.sentence, "there is no such flag");
    }
}
