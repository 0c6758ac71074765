//! What the project's own test programs need of the engine's reading of messages; the engine itself has no use for it.

use packet::sa::SaParams;

use crate::netlink::{self, Attributes, Message};
use crate::octets::Cursor;
use crate::xfrm::policy::{parse_policy, parse_policy_key};
use crate::xfrm::sa::{SaMessage, parse_spi_request};
use crate::xfrm::structures::parse_sa_id;

/// What the payload of a NEWSA says.
///
/// # Errors
/// The sentence with which the engine would refuse it.
pub fn association(payload: &[u8]) -> Result<SaParams, String> {
    SaMessage::parse(payload)
        .and_then(|message| message.into_params(None))
        .map_err(|refusal| refusal.sentence.to_string())
}

/// Reads a datagram as whatever it might be: its messages, and each payload by every reader that there is.
pub fn read_datagram(mut datagram: &[u8]) {
    while let Some(Ok(Message { payload, rest, .. })) = netlink::split(datagram) {
        read_payload(payload);
        datagram = rest;
    }
}

fn read_payload(payload: &[u8]) {
    let _ = Attributes::parse(payload);
    let _ = association(payload);
    let _ = parse_spi_request(payload);
    let _ = parse_sa_id(&mut Cursor::new(payload));
    let _ = parse_policy(payload);
    let _ = parse_policy_key(payload);
}
