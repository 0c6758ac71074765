//! What the project's own test programs need of the engine's reading of messages; the engine itself has no use for it.

use packet::database::Database;
use packet::sa::SaParams;

use crate::family;
use crate::netlink::{self, Attributes, Message};
use crate::octets::Cursor;
use crate::xfrm::aevent::parse_carried;
use crate::xfrm::migrate::MigrateMessage;
use crate::xfrm::policy::{parse_policy, parse_policy_key};
use crate::xfrm::sa::{SaMessage, parse_spi_request};
use crate::xfrm::structures::parse_sa_id;

const NOW_S: u64 = 1_000;

/// What the payload of a NEWSA says.
///
/// # Errors
/// The sentence with which the engine would refuse it.
pub fn association(payload: &[u8]) -> Result<SaParams, String> {
    SaMessage::parse(payload)
        .and_then(|message| message.into_params(None))
        .map_err(|refusal| refusal.sentence.to_string())
}

/// Reads a datagram as whatever it might be, each message by every reader that there is, and does what the readable ones
/// say to databases of their own.
pub fn read_datagram(mut datagram: &[u8]) {
    let mut database = Database::new();
    while let Some(Ok(Message { payload, rest, .. })) = netlink::split(datagram) {
        read_payload(payload);
        write(&mut database, payload);
        datagram = rest;
    }
    database.snapshot();
}

fn read_payload(payload: &[u8]) {
    let _ = parse_spi_request(payload);
    let _ = parse_sa_id(&mut Cursor::new(payload));
    let _ = MigrateMessage::parse(payload);
    let _ = family::parse_endpoint(payload);
    if let Ok(attributes) = Attributes::parse(payload) {
        let _ = parse_carried(&attributes);
    }
}

fn write(database: &mut Database, payload: &[u8]) {
    if let Ok(params) = association(payload) {
        let _ = database.add_sa(params.clone(), NOW_S);
        let _ = database.update_sa(params, NOW_S);
    }
    if let Ok(policy) = parse_policy(payload) {
        let _ = database.add_policy(policy.clone(), NOW_S);
        let _ = database.update_policy(policy, NOW_S);
    }
    if let Ok(key) = parse_policy_key(payload) {
        let _ = database.delete_policy(key);
    }
}
