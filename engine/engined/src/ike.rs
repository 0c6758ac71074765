//! IKE datagrams: down from the daemon to a peer, up from a peer to the daemon, kept for a while when no daemon is there.

use std::collections::VecDeque;
use std::net::SocketAddr;

use netio::Transmit;

use crate::dataplane::{KEEPALIVE, NON_ESP_MARKER};
use crate::family::{attribute, message, parse_endpoint, put_endpoint};
use crate::limits::MAX_IKE_MESSAGES;
use crate::netlink::{self, Attributes, Header, put_attribute};
use crate::refusal::Refusal;
use crate::shared::{Devices, IKE_PORT, IkeMessage, NAT_T_PORT};

/// Messages that came while no daemon was there; the oldest give way.
#[derive(Default)]
pub struct Kept {
    messages: VecDeque<IkeMessage>,
}

impl Kept {
    /// Keeps a message; true when the oldest had to go for it.
    pub fn keep(&mut self, message: IkeMessage) -> bool {
        let full = self.messages.len() >= MAX_IKE_MESSAGES;
        if full {
            self.messages.pop_front();
        }
        self.messages.push_back(message);
        full
    }

    /// All of them, the oldest first.
    pub fn take(&mut self) -> VecDeque<IkeMessage> {
        std::mem::take(&mut self.messages)
    }
}

/// The notification `IKE_RECEIVED`.
pub fn received(ike: &IkeMessage) -> Vec<u8> {
    netlink::message(Header::notification(message::IKE_RECEIVED), |body| {
        put_endpoint(body, attribute::LOCAL, ike.local);
        put_endpoint(body, attribute::REMOTE, ike.remote);
        put_attribute(body, attribute::DATA, &ike.octets);
    })
}

/// Does what `IKE_SEND` asks for.
///
/// # Errors
/// `EINVAL` for a message that makes no sense, or what the host says.
pub fn send(payload: &[u8], devices: &Devices) -> Result<(), Refusal> {
    let attributes = Attributes::parse(payload)?;
    let local = parse_endpoint(attributes.require(attribute::LOCAL, "LOCAL")?)?;
    let remote = parse_endpoint(attributes.require(attribute::REMOTE, "REMOTE")?)?;
    let octets = attributes.require(attribute::DATA, "DATA")?;
    if local.is_ipv4() != remote.is_ipv4() {
        return Err(Refusal::new(
            libc::EINVAL,
            "LOCAL and REMOTE are of different families",
        ));
    }
    if remote.port() == 0 {
        return Err(Refusal::new(libc::EINVAL, "REMOTE has no port"));
    }
    transmit(local, remote, octets, devices)
}

fn transmit(
    local: SocketAddr,
    remote: SocketAddr,
    octets: &[u8],
    devices: &Devices,
) -> Result<(), Refusal> {
    let (sockets, marked) = match local.port() {
        IKE_PORT => (&devices.ike, false),
        NAT_T_PORT => (&devices.nat_t, octets != [KEEPALIVE]),
        _ => {
            return Err(Refusal::new(
                libc::EINVAL,
                "the port of LOCAL is neither 500 nor 4500",
            ));
        }
    };
    let socket = sockets.of(remote.ip()).ok_or(Refusal::new(
        libc::EAFNOSUPPORT,
        "this host does not have the address family",
    ))?;
    let marker: &[u8] = if marked { &NON_ESP_MARKER } else { &[] };
    let datagram = [marker, octets].concat();
    let transmit = Transmit {
        local: (!local.ip().is_unspecified()).then_some(local.ip()),
        remote,
        traffic_class: 0,
        segment_octets: None,
        octets: &datagram,
    };
    socket.send_fragmentable(&transmit).map_err(|error| {
        let errno = error.raw_os_error().unwrap_or(libc::EIO);
        Refusal::about(
            errno,
            format!("the host did not send the datagram to {remote}: {error}"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ike(number: u16) -> IkeMessage {
        let (local, remote) = (
            "192.0.2.1:500".parse().unwrap(),
            "192.0.2.2:500".parse().unwrap(),
        );
        IkeMessage {
            local,
            remote,
            octets: number.to_be_bytes().to_vec(),
        }
    }

    #[test]
    fn the_oldest_message_gives_way() {
        let mut kept = Kept::default();
        assert!((0..256).all(|number| !kept.keep(ike(number))));
        assert!(kept.keep(ike(256)));
        let all = kept.take();
        assert_eq!((all.len(), &all[0], &all[255]), (256, &ike(1), &ike(256)));
        assert!(kept.take().is_empty());
    }
}
